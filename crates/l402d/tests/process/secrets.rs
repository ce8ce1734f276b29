//! Nothing that is logged holds a secret, whatever is asked to be logged.

use std::{fs, path::Path};

use crate::support::{Daemon, Front, agent_config, command};
use agent_api::ToAgent;
use data_encoding::{BASE64, HEXLOWER};
use lnsim::{Fault, FaultKind, Method, Permit, Sim, SimOptions};
use settings::{RootKeys, Secret};

const ROOT_KEY: &str = "correct horse battery staple, and 32 characters";

/// Goes through all that could be logged and returns the secrets there were.
fn live(sim: &Sim, front: &mut Front) -> Vec<Vec<u8>> {
    let mut secrets = vec![ROOT_KEY.as_bytes().to_vec()];
    secrets.push(fs::read(sim.macaroon_path(Permit::Invoice)).unwrap());
    secrets.extend(front.keys.iter().map(|key| key.expose().to_vec()));
    for n in 0..3 {
        let (hash, bolt11) = front.new_invoice();
        front.look_up(10 * n, hash);
        let preimage = sim.pay(&bolt11).unwrap();
        front.look_up(10 * n + 1, hash);
        front.prove(10 * n + 2, hash, preimage);
        front.prove(10 * n + 3, [1; 32], preimage);
        secrets.push(preimage.to_vec());
    }
    for fault in [
        Fault::refuse(2, "no"),
        Fault::new(FaultKind::WrongAmount(1)),
        Fault::new(FaultKind::WrongHash),
        Fault::drop_connection().at(Method::AddInvoice),
        Fault::new(FaultKind::RefuseConnections),
    ] {
        sim.fault(fault);
        front.invoice(10_000);
        front.look_up(999, [2; 32]);
        sim.clear_faults();
    }
    front.send(&ToAgent::Hello { protocol: agent_api::PROTOCOL, pid: 1 });
    assert_eq!(front.read(), None);
    secrets
}

fn holds_none(log: &str, secrets: &[Vec<u8>]) {
    assert!(log.contains("l402d listens") && log.contains("DEBUG"), "{log}");
    let lower = log.to_lowercase();
    for secret in secrets {
        assert!(!lower.contains(&HEXLOWER.encode(secret)), "{log}");
        assert!(!log.contains(&BASE64.encode(secret)), "{log}");
        // As a list of numbers, which is how `Debug` shows bytes.
        let numbers: Vec<_> = secret.iter().take(8).map(u8::to_string).collect();
        assert!(!log.contains(&numbers.join(", ")), "{log}");
        if let Ok(text) = std::str::from_utf8(secret) {
            assert!(!log.contains(text), "{log}");
        }
    }
}

#[test]
fn not_on_standard_error() {
    let (sim, dir) = (Sim::start(SimOptions::default()).unwrap(), tempfile::tempdir().unwrap());
    let mut command = command(&sim, dir.path());
    command.env("RUST_LOG", "trace,h2=trace,hyper=trace,tonic=trace,rustls=trace").env("ROOT_KEY", ROOT_KEY);
    let daemon = Daemon::start_with(command, dir.path());
    let secrets = live(&sim, &mut daemon.connect());
    let (_, log) = daemon.stop("TERM");
    holds_none(&log, &secrets);
}

#[test]
fn not_in_the_log_of_a_coprocess() {
    let (sim, dir) = (Sim::start(SimOptions::default()).unwrap(), tempfile::tempdir().unwrap());
    let config = settings::AgentConfig {
        root_keys: RootKeys { keys: vec![Secret::new(ROOT_KEY.as_bytes().to_vec())], file: None },
        ecash: None,
        ..agent_config(&sim, dir.path())
    };
    let (mut daemon, lifeline) = Daemon::start_coprocess(&config);
    let secrets = live(&sim, &mut daemon.connect());
    drop(lifeline);
    daemon.wait();
    let log: &Path = config.log_file.as_deref().unwrap();
    holds_none(&fs::read_to_string(log).unwrap(), &secrets);
}
