//! The simulated node: one per scenario, in this process.

use std::net::SocketAddr;
use std::path::PathBuf;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use lnsim::{Permit, Sim, SimOptions};

use super::node::{self, Node};
use super::wallet::{Keys, Wallet};

/// A simulator of its own.
pub struct Simulated(Sim);

impl Simulated {
    /// Starts one.
    pub fn start() -> Self {
        Self::of(Sim::start(SimOptions::default()).expect("a simulator"))
    }

    /// One that was started.
    pub fn of(sim: Sim) -> Self {
        Self(sim)
    }
}

impl Node for Simulated {
    fn address(&self) -> SocketAddr {
        self.0.lnd_address().parse().expect("an address")
    }

    fn certificate(&self) -> PathBuf {
        self.0.tls_cert_path()
    }

    fn macaroon(&self, name: &str) -> PathBuf {
        self.0.macaroon_path(match name {
            "invoice" | "l402" => Permit::Invoice,
            "readonly" => Permit::Readonly,
            "admin" => Permit::Admin,
            other => panic!("no macaroon {other:?}"),
        })
    }

    fn payer(&self) -> (SocketAddr, PathBuf, PathBuf) {
        (self.address(), self.certificate(), self.macaroon("admin"))
    }
}

impl Wallet for Simulated {
    fn environment(&self) -> Keys {
        node::environment(self)
    }

    fn keys(&self) -> Keys {
        node::keys(self, "invoice")
    }

    fn keys_not_accepted(&self) -> Option<Keys> {
        Some(node::keys(self, "readonly"))
    }

    fn secrets(&self) -> Vec<String> {
        node::secrets(self)
    }

    fn pay(&self, bolt11: &str) -> Result<String, String> {
        self.0.pay(bolt11).map(|preimage| HEXLOWER.encode(&preimage)).map_err(|error| error.to_string())
    }

    fn cancel(&self, hash: &str) -> Result<(), String> {
        self.0.cancel(&hash_from(hash)).map_err(|error| error.to_string())
    }

    fn sim(&self) -> Option<&Sim> {
        Some(&self.0)
    }

    /// gRPC's "unknown", in which LND wraps most refusals.
    fn refusal(&self) -> i32 {
        2
    }

    fn as_node(&self) -> Option<&dyn Node> {
        Some(self)
    }
}

/// A payment hash from its hex.
pub fn hash_from(hex: &str) -> [u8; 32] {
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).expect("hex");
    bytes.try_into().expect("32 bytes")
}
