//! What a scenario knows of a Lightning node, be it simulated or real.

use std::net::SocketAddr;
use std::path::PathBuf;

use lnsim::Sim;

/// A receiving node, and somebody who can pay it.
pub trait Node: Send + Sync {
    /// Where its gRPC listens.
    fn address(&self) -> SocketAddr;

    /// Its certificate, in PEM form.
    fn certificate(&self) -> PathBuf;

    /// One of LND's macaroon files: `invoice`, `readonly`, `admin`.
    fn macaroon(&self, name: &str) -> PathBuf;

    /// Where a client can pay: address, certificate and a macaroon that may spend.
    fn payer(&self) -> (SocketAddr, PathBuf, PathBuf);

    /// Pays and returns the preimage in hex.
    fn pay(&self, bolt11: &str) -> Result<String, String>;

    /// Cancels an unpaid invoice, by its payment hash in hex.
    fn cancel(&self, hash: &str) -> Result<(), String>;

    /// The simulator's controls; a real node has none.
    fn sim(&self) -> Option<&Sim>;
}
