//! The simulated node behind its mailbox: sessions of Lightning Node Connect.

use std::sync::Mutex;

use data_encoding::HEXLOWER;
use lnsim::{LncOptions, LncSession, Permit, Sim, SimOptions};

use super::sim::hash_from;
use super::wallet::{Keys, Wallet};

/// A simulator of its own, whose node is reached through the mailbox only.
pub struct Remote {
    sim: Sim,
    /// What was made so far; each serves one client.
    sessions: Mutex<Vec<LncSession>>,
    /// The phrase of the environment's backend.
    first: String,
}

impl Remote {
    /// Starts one.
    pub fn start() -> Self {
        let sim = Sim::start(SimOptions::default()).expect("a simulator");
        let session = sim.lnc_session(LncOptions::default()).expect("a session");
        let first = session.phrase().to_owned();
        Self { sim, sessions: Mutex::new(vec![session]), first }
    }

    /// The keys of another session.
    fn another(&self, permit: Permit) -> Keys {
        let options = LncOptions { permit, ..LncOptions::default() };
        let session = self.sim.lnc_session(options).expect("a session");
        let keys = vec![
            ("type", "lnc".to_owned()),
            ("pairing_phrase", session.phrase().to_owned()),
            ("mailbox", self.sim.mailbox_address()),
            ("mailbox_cert", self.sim.tls_cert_path().display().to_string()),
        ];
        self.sessions.lock().expect("sessions").push(session);
        keys
    }
}

impl Wallet for Remote {
    fn environment(&self) -> Keys {
        vec![
            ("LN_CLIENT_TYPE", "LNC".to_owned()),
            ("LNC_PAIRING_PHRASE", self.first.clone()),
            ("LNC_MAILBOX_SERVER", self.sim.mailbox_address()),
            ("LNC_MAILBOX_CERT", self.sim.tls_cert_path().display().to_string()),
        ]
    }

    fn keys(&self) -> Keys {
        self.another(Permit::Invoice)
    }

    fn keys_not_accepted(&self) -> Option<Keys> {
        Some(self.another(Permit::Readonly))
    }

    fn secrets(&self) -> Vec<String> {
        let macaroon = std::fs::read(self.sim.macaroon_path(Permit::Invoice)).expect("a macaroon");
        vec![self.first.clone(), HEXLOWER.encode(&macaroon)]
    }

    fn pay(&self, bolt11: &str) -> Result<String, String> {
        self.sim.pay(bolt11).map(|preimage| HEXLOWER.encode(&preimage)).map_err(|error| error.to_string())
    }

    fn cancel(&self, hash: &str) -> Result<(), String> {
        self.sim.cancel(&hash_from(hash)).map_err(|error| error.to_string())
    }

    fn sim(&self) -> Option<&Sim> {
        Some(&self.sim)
    }

    /// gRPC's "unknown", in which LND wraps most refusals.
    fn refusal(&self) -> i32 {
        2
    }
}
