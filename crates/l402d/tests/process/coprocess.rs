//! The real program, started as nginx starts it: configuration by a pipe, life tied to a socket.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::support::{Daemon, agent_config, is_granted};
use agent_api::{FromAgent, Proof};
use lnsim::{Fault, Method, Sim, SimOptions};

fn setup() -> (Sim, tempfile::TempDir) {
    (Sim::start(SimOptions::default()).unwrap(), tempfile::tempdir().unwrap())
}

#[test]
fn it_lives_as_long_as_nginx() {
    let (sim, dir) = setup();
    let (mut daemon, lifeline) = Daemon::start_coprocess(&agent_config(&sim, dir.path()));
    let mut front = daemon.connect();
    let (hash, bolt11) = front.new_invoice();
    let preimage = sim.pay(&bolt11).unwrap();
    assert!(is_granted(&front.prove(1, hash, preimage)));
    // Hangs at the node, and so does not hold up the end for longer than it may.
    sim.fault(Fault::hang().at(Method::LookupInvoice));
    front.ask(2, [1; 32], Proof::LookUp(None));
    sim.wait_for_calls(Method::LookupInvoice, 1).unwrap();
    drop(lifeline);
    let (status, said) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(said, "", "what it says goes to its log");
    assert_eq!(front.read(), None);
    let log = fs::metadata(dir.path().join("l402d.log")).unwrap();
    assert_eq!(log.mode() & 0o777, 0o600);
}

#[test]
fn what_is_in_flight_is_answered_before_the_end() {
    let (sim, dir) = setup();
    let (mut daemon, lifeline) = Daemon::start_coprocess(&agent_config(&sim, dir.path()));
    let mut front = daemon.connect();
    sim.fault(Fault::delay(500).at(Method::LookupInvoice));
    // Of a payment that is unknown, so that no push answers it.
    front.ask(1, [9; 32], Proof::LookUp(None));
    sim.wait_for_calls(Method::LookupInvoice, 1).unwrap();
    drop(lifeline);
    assert!(matches!(front.read(), Some(FromAgent::Dead { .. })));
    assert_eq!(daemon.wait().0.code(), Some(0));
}

#[test]
fn it_keeps_nothing_of_its_start() {
    let (sim, dir) = setup();
    let (daemon, _lifeline) = Daemon::start_coprocess(&agent_config(&sim, dir.path()));
    let mut open: Vec<(u32, PathBuf)> = fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, fs::read_link(entry.path()).ok()?))
        })
        .collect();
    open.sort();
    // The configuration was closed at its end, so a second reader of the secrets finds nothing, and nothing that
    // is printed by mistake can reach the lifeline.
    for (fd, what) in &open[..2] {
        assert_eq!(what, &PathBuf::from("/dev/null"), "{fd}: {open:?}");
    }
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    assert!(arguments.ends_with("\0--coprocess\0"), "{arguments}");
}

#[test]
fn what_is_no_configuration_starts_nothing() {
    let script = r#"printf 'state_dir=/nowhere\0' | exec "$0" --coprocess"#;
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_l402d")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("l402d: the configuration pipe was cut short"), "{said}");
}
