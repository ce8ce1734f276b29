//! What the tests of the LND module share: a wallet on a simulated node, and the world around it.

use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use l402::{Msat, PaymentHash};
use lightning::conformance::World;
use lightning::lnd::Lnd;
use lightning::{InvoiceRequest, Lightning, LightningError};
use lnd_rpc::channel::Node;
use lnsim::{Permit, Sim, SimOptions};

/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A deadline to run into.
pub const SHORT: Duration = Duration::from_millis(400);

pub fn sim() -> Sim {
    Sim::start(SimOptions::default()).unwrap()
}

/// A node as an operator would configure it from the simulator's files.
pub fn node(sim: &Sim, address: &str, permit: Permit, socks5: Option<&str>, timeout: Duration) -> Node {
    let certificate = fs::read(sim.tls_cert_path()).unwrap();
    let macaroon = fs::read(sim.macaroon_path(permit)).unwrap();
    Node::new(address, &certificate, &macaroon, socks5, timeout).unwrap()
}

pub fn wallet_with(sim: &Sim, permit: Permit, timeout: Duration) -> Lnd {
    Lnd::new(node(sim, &sim.lnd_address(), permit, None, timeout), timeout)
}

pub fn wallet(sim: &Sim) -> Lnd {
    wallet_with(sim, Permit::Admin, PATIENCE)
}

pub fn ask(msat: u64) -> InvoiceRequest {
    InvoiceRequest { amount: Msat(msat), description: "a test".to_owned(), expiry_s: 600 }
}

/// Repeats a call until it works, waiting as long as each error says.
pub async fn until_available<T, F>(mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, LightningError>>,
{
    let tries = async {
        loop {
            match call().await {
                Ok(value) => return value,
                Err(LightningError::Unavailable { retry_after, .. }) => tokio::time::sleep(retry_after).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, tries).await.unwrap()
}

pub fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, LightningError>) -> bool {
    matches!(result, Err(LightningError::Unavailable { .. }))
}

/// A look-up of a hash that nobody made.
pub async fn look_up_nothing(wallet: &Lnd) -> Result<lightning::Lookup, LightningError> {
    wallet.look_up(PaymentHash([9; 32])).await
}

/// The simulator's payer as the world around its node.
pub struct SimWorld<'a>(pub &'a Sim);

impl World for SimWorld<'_> {
    fn pay<'a>(&'a self, bolt11: &'a str) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            self.0.pay(bolt11).unwrap();
        })
    }

    fn cancel(&self, hash: PaymentHash) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.0.cancel(&hash.0).unwrap();
        })
    }
}
