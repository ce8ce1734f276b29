//! A simulated mailbox and a wallet behind it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use l402::PaymentHash;
use lightning::{Lightning, Notes, Reply};
use lnsim::{LncOptions, LncSession, Permit, Sim, SimOptions};
use settings::{BackendConfig, BackendSettings, LncSettings, RouteHints, Secret};

/// This wallet finds everything by its hash.
struct NoNotes;

impl Notes for NoNotes {
    fn keep(&self, _: PaymentHash, _: String) -> Reply<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn find(&self, _: PaymentHash) -> Reply<'_, Option<String>> {
        Box::pin(async { Ok(None) })
    }
}

pub fn notes() -> Arc<dyn Notes> {
    Arc::new(NoNotes)
}

/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn sim() -> Sim {
    Sim::start(SimOptions::default()).unwrap()
}

pub fn session(sim: &Sim, permit: Permit) -> LncSession {
    sim.lnc_session(LncOptions { permit, ..LncOptions::default() }).unwrap()
}

pub fn wallet(sim: &Sim, phrase: &str, state: &Path) -> Arc<dyn Lightning> {
    let config = BackendConfig::Lnc(LncSettings {
        phrase: Secret::new(phrase.to_owned()),
        mailbox: sim.mailbox_address(),
        certificate: Some(std::fs::read(sim.tls_cert_path()).unwrap()),
    });
    let settings = BackendSettings {
        name: "remote".to_owned(),
        timeout_ms: 10_000,
        route_hints: RouteHints::Auto,
        config,
    };
    lightning::open(&settings, &notes(), state).unwrap()
}
