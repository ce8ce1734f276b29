//! The real program's root keys: rotated, read again, told to who is connected.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use crate::support::{Daemon, agent_config, command, is_granted};
use agent_api::Proof;
use lnsim::{Fault, Method, Sim, SimOptions};

fn setup() -> (Sim, tempfile::TempDir) {
    (Sim::start(SimOptions::default()).unwrap(), tempfile::tempdir().unwrap())
}

fn rotate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_l402d"));
    command.env_clear().arg("rotate-key").args(arguments).output().unwrap()
}

fn rotated(state: &Path, more: &[&str]) -> String {
    let state = state.to_str().unwrap();
    let output = rotate(&[&["--state-dir", state], more].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_new_key_is_told_to_who_is_connected_and_nothing_is_dropped() {
    let (sim, dir) = setup();
    let daemon = Daemon::start(&sim, dir.path());
    let mut front = daemon.connect();
    let old = front.keys.clone();
    let (hash, bolt11) = front.new_invoice();
    // One question is under way at the node all the while.
    sim.fault(Fault::hang().at(Method::LookupInvoice));
    front.ask(1, hash, Proof::LookUp(None));
    sim.wait_for_calls(Method::LookupInvoice, 1).unwrap();

    let said = rotated(dir.path(), &[]);
    assert!(said.contains("is new and signs after a reload") && said.contains("still verify"), "{said}");
    daemon.signal("HUP");
    let bridge = front.read_keys();
    assert_eq!((bridge.len(), &bridge[0]), (2, &old[0]), "at first it only verifies");
    let new = front.read_keys();
    assert_eq!((new.len(), &new[0], &new[1]), (2, &bridge[1], &old[0]));
    assert_eq!(daemon.connect().keys, new);

    let preimage = sim.pay(&bolt11).unwrap();
    assert!(is_granted(&front.read().unwrap()), "the question of before");
    let (other, bolt11) = front.new_invoice();
    assert_ne!((other, &bolt11), (hash, &String::new()));
    assert!(is_granted(&front.prove(1, hash, preimage)), "a resend");

    // The former one goes.
    let said = rotated(dir.path(), &["--keep", "1"]);
    assert!(said.contains("no other is left"), "{said}");
    daemon.signal("HUP");
    assert_eq!(front.read_keys()[0], new[0]);
    let last = front.read_keys();
    assert_eq!(last.len(), 1);
    assert!(!new.contains(&last[0]));

    // Reloading what has not changed tells nobody anything.
    daemon.signal("HUP");
    front.new_invoice();
    let (_, log) = daemon.stop("TERM");
    assert!(log.contains("root keys"), "{log}");
    let text = fs::read_to_string(dir.path().join("root.key")).unwrap();
    assert!(text.lines().all(|key| !log.contains(key)), "{log}");
}

#[test]
fn an_operators_file_is_read_again_and_a_broken_one_is_not_taken() {
    let (sim, dir) = setup();
    let file = dir.path().join("keys");
    fs::write(&file, "the first key of the operator, 32 or more\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = command(&sim, dir.path());
    command.env("ROOT_KEY_FILE", &file);
    let daemon = Daemon::start_with(command, dir.path());
    let mut front = daemon.connect();
    let first = front.keys.clone();

    fs::write(&file, "short\n").unwrap();
    daemon.signal("HUP");
    daemon.wait_for("nothing is reloaded; the former root keys stay in force");
    assert!(daemon.stderr().contains("has 5 characters"), "{}", daemon.stderr());

    fs::write(
        &file,
        "the second key of the operator, 32 or more\nthe first key of the operator, 32 or more\n",
    )
    .unwrap();
    daemon.signal("HUP");
    assert_eq!(front.read_keys()[0], first[0]);
    let both = front.read_keys();
    assert_eq!((both.len(), &both[1]), (2, &first[0]));

    assert!(rotate(&["--key-file", file.to_str().unwrap()]).status.success());
    daemon.signal("HUP");
    assert_eq!((front.read_keys().len(), front.read_keys().len()), (3, 3));
    assert!(!dir.path().join("root.key").exists());
}

#[test]
fn a_coprocess_reads_its_own_keys_again() {
    let (sim, dir) = setup();
    let (daemon, _lifeline) = Daemon::start_coprocess(&agent_config(&sim, dir.path()));
    let mut front = daemon.connect();
    rotated(dir.path(), &[]);
    let log = dir.path().join("l402d.log");
    fs::rename(&log, dir.path().join("l402d.log.1")).unwrap();
    daemon.signal("HUP");
    assert_eq!((front.read_keys().len(), front.read_keys().len()), (2, 2));
    assert!(fs::metadata(&log).unwrap().permissions().mode() & 0o777 == 0o600);
}

#[test]
fn what_can_not_be_rotated_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let code = |arguments: &[&str]| rotate(arguments).status.code();
    assert_eq!(code(&[]), Some(2));
    let state = dir.path().to_str().unwrap();
    assert_eq!(code(&["--state-dir", state, "--key-file", "/x"]), Some(2));
    assert_eq!(code(&["--state-dir", state, "--keep", "0"]), Some(2));
    let output = rotate(&["--state-dir", "/nowhere/at/all"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("l402d: can't read or make the root key /nowhere/at/all/root.key"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
