//! What a scenario knows of an LND node, be it simulated or real.

use std::net::SocketAddr;
use std::path::PathBuf;

use data_encoding::HEXLOWER;

use super::wallet::{Keys, Wallet};

/// A receiving node, and somebody who can pay it.
pub trait Node: Wallet {
    /// Where its gRPC listens.
    fn address(&self) -> SocketAddr;

    /// Its certificate, in PEM form.
    fn certificate(&self) -> PathBuf;

    /// One of LND's macaroon files: `invoice`, `readonly`, `admin`; or `l402`, which permits what the guide says and no more.
    fn macaroon(&self, name: &str) -> PathBuf;

    /// Where a client can pay: address, certificate and a macaroon that may spend.
    fn payer(&self) -> (SocketAddr, PathBuf, PathBuf);
}

/// [`Wallet::environment`] of a node.
pub fn environment(node: &dyn Node) -> Keys {
    vec![
        ("LN_CLIENT_TYPE", "LND".to_owned()),
        ("LND_ADDRESS", node.address().to_string()),
        ("MACAROON_FILE_PATH", node.macaroon("invoice").display().to_string()),
        ("CERT_FILE_PATH", node.certificate().display().to_string()),
    ]
}

/// [`Wallet::keys`] of a node, with this one of its macaroons.
pub fn keys(node: &dyn Node, macaroon: &str) -> Keys {
    vec![
        ("type", "lnd".to_owned()),
        ("address", node.address().to_string()),
        ("macaroon", node.macaroon(macaroon).display().to_string()),
        ("cert", node.certificate().display().to_string()),
    ]
}

/// [`Wallet::secrets`] of a node.
pub fn secrets(node: &dyn Node) -> Vec<String> {
    let read = |name| std::fs::read(node.macaroon(name)).expect("a macaroon");
    ["invoice", "admin", "readonly"].map(|name| HEXLOWER.encode(&read(name))).to_vec()
}
