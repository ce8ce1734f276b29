//! Simulated backends that are reached by HTTP: Eclair, and Lightning addresses.

use std::net::{Ipv4Addr, SocketAddr};

use data_encoding::HEXLOWER;
use lnsim::{EclairEvents, EclairOptions, LnurlOptions, Sim, SimOptions};

use super::sim::hash_from;
use super::wallet::{Keys, Wallet};

/// Any free port of this host.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The simulated Eclair's password.
const PASSWORD: &str = "eclair-password-of-the-scenarios";

/// A simulator of its own that answers as Eclair.
pub struct Eclair {
    sim: Sim,
    address: SocketAddr,
}

impl Eclair {
    /// Starts one.
    pub fn start() -> Self {
        let sim = Sim::start(SimOptions::default()).expect("a simulator");
        let options = EclairOptions { password: PASSWORD.to_owned(), events: EclairEvents::default() };
        let address = sim.open_eclair(ANY, options).expect("a port");
        Self { sim, address }
    }

    fn keys_with(&self, password: &str) -> Keys {
        vec![
            ("type", "eclair".to_owned()),
            ("address", format!("http://{}", self.address)),
            ("password", password.to_owned()),
        ]
    }
}

impl Wallet for Eclair {
    fn environment(&self) -> Keys {
        vec![
            ("LN_CLIENT_TYPE", "ECLAIR".to_owned()),
            ("ECLAIR_ADDRESS", format!("http://{}", self.address)),
            ("ECLAIR_PASSWORD", PASSWORD.to_owned()),
        ]
    }

    fn keys(&self) -> Keys {
        self.keys_with(PASSWORD)
    }

    fn keys_not_accepted(&self) -> Option<Keys> {
        Some(self.keys_with("another-password"))
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned(), "another-password".to_owned()]
    }

    fn pay(&self, invoice: &str) -> Result<String, String> {
        pay(&self.sim, invoice)
    }

    fn cancel(&self, hash: &str) -> Result<(), String> {
        self.sim.cancel(&hash_from(hash)).map_err(|error| error.to_string())
    }

    fn sim(&self) -> Option<&Sim> {
        Some(&self.sim)
    }

    fn refusal(&self) -> i32 {
        500
    }
}

/// A simulator of its own that answers as the server of a Lightning address.
pub struct Lnurl {
    sim: Sim,
    address: SocketAddr,
    verify: bool,
}

impl Lnurl {
    /// Starts one; `verify`: whether its payments can be looked up.
    pub fn start(verify: bool) -> Self {
        let sim = Sim::start(SimOptions::default()).expect("a simulator");
        let options = LnurlOptions { verify, ..LnurlOptions::default() };
        let address = sim.open_lnurl(ANY, options).expect("a port");
        Self { sim, address, verify }
    }

    fn keys_of(&self, user: &str) -> Keys {
        vec![("type", "lnurl".to_owned()), ("address", format!("http://{user}@{}", self.address))]
    }
}

impl Wallet for Lnurl {
    fn environment(&self) -> Keys {
        vec![
            ("LN_CLIENT_TYPE", "LNURL".to_owned()),
            ("LNURL_ADDRESS", format!("http://alice@{}", self.address)),
        ]
    }

    fn keys(&self) -> Keys {
        self.keys_of("alice")
    }

    /// There are no credentials, but there are users that nobody knows.
    fn keys_not_accepted(&self) -> Option<Keys> {
        Some(self.keys_of("mallory"))
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    fn pay(&self, invoice: &str) -> Result<String, String> {
        pay(&self.sim, invoice)
    }

    fn cancel(&self, hash: &str) -> Result<(), String> {
        self.sim.cancel(&hash_from(hash)).map_err(|error| error.to_string())
    }

    fn sim(&self) -> Option<&Sim> {
        Some(&self.sim)
    }

    /// An error in the body of a 200, as LUD-06 has it.
    fn refusal(&self) -> i32 {
        200
    }

    fn looks_up(&self) -> bool {
        self.verify
    }

    fn pushes(&self) -> bool {
        false
    }

    fn cancels(&self) -> bool {
        false
    }
}

fn pay(sim: &Sim, invoice: &str) -> Result<String, String> {
    sim.pay(invoice).map(|preimage| HEXLOWER.encode(&preimage)).map_err(|error| error.to_string())
}
