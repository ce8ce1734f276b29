//! The simulated node: one per scenario, in this process.

use std::net::SocketAddr;
use std::path::PathBuf;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use lnsim::{Permit, Sim, SimOptions};

use super::node::Node;

/// A simulator of its own.
pub struct Simulated(Sim);

impl Simulated {
    /// Starts one.
    pub fn start() -> Self {
        Self(Sim::start(SimOptions::default()).expect("a simulator"))
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
            "invoice" => Permit::Invoice,
            "readonly" => Permit::Readonly,
            "admin" => Permit::Admin,
            other => panic!("no macaroon {other:?}"),
        })
    }

    fn payer(&self) -> (SocketAddr, PathBuf, PathBuf) {
        (self.address(), self.certificate(), self.macaroon("admin"))
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
}

/// A payment hash from its hex.
pub fn hash_from(hex: &str) -> [u8; 32] {
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).expect("hex");
    bytes.try_into().expect("32 bytes")
}
