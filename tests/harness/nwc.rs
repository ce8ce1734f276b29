//! A wallet of Nostr Wallet Connect behind two relays: one per scenario, in this process.

use data_encoding::HEXLOWER;
use lnsim::{NwcDoor, NwcOptions, Sim, SimOptions};

use super::sim::hash_from;
use super::wallet::{Keys, Wallet};

/// A simulator of its own, with its door for such clients.
pub struct Connected {
    sim: Sim,
    door: NwcDoor,
}

impl Connected {
    /// Starts one.
    pub fn start() -> Self {
        let sim = Sim::start(SimOptions::default()).expect("a simulator");
        let door = sim.open_nwc(NwcOptions { relays: 2, ..NwcOptions::default() }).expect("relays");
        Self { sim, door }
    }
}

/// The keys of a block with this URI.
pub fn keys(uri: String) -> Keys {
    vec![("type", "nwc".to_owned()), ("uri", uri)]
}

impl Wallet for Connected {
    fn environment(&self) -> Keys {
        vec![("LN_CLIENT_TYPE", "NWC".to_owned()), ("NWC_URI", self.door.uri())]
    }

    fn keys(&self) -> Keys {
        keys(self.door.uri())
    }

    fn keys_not_accepted(&self) -> Option<Keys> {
        Some(keys(self.door.uri_of_a_stranger()))
    }

    fn secrets(&self) -> Vec<String> {
        vec![HEXLOWER.encode(&self.door.client_secret())]
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

    fn cancels(&self) -> bool {
        false
    }

    /// NIP-47's `OTHER`.
    fn refusal(&self) -> i32 {
        2
    }
}
