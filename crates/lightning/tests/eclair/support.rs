//! What the tests of the Eclair module share: a wallet on a simulated node, and the world around it.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use l402::{Msat, PaymentHash};
use lightning::conformance::World;
use lightning::eclair::Eclair;
use lightning::{InvoiceRequest, LightningError};
use lnsim::{EclairEvents, EclairOptions, Sim, SimOptions};

/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A deadline to run into.
pub const SHORT: Duration = Duration::from_millis(400);

/// The password of the simulated node.
pub const PASSWORD: &str = "correct horse: battery staple";

pub const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A simulated node, and the address of its Eclair.
pub struct Node {
    pub sim: Sim,
    pub address: String,
}

pub fn node() -> Node {
    node_with(EclairEvents::default())
}

pub fn node_with(events: EclairEvents) -> Node {
    let sim = Sim::start(SimOptions::default()).unwrap();
    let address = sim.open_eclair(ANY, EclairOptions { password: PASSWORD.to_owned(), events }).unwrap();
    Node { sim, address: format!("http://{address}") }
}

impl Node {
    pub fn wallet(&self) -> Eclair {
        self.wallet_with(PASSWORD, PATIENCE)
    }

    pub fn wallet_with(&self, password: &str, timeout: Duration) -> Eclair {
        Eclair::new(&self.address, password, timeout).unwrap()
    }
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

impl World for Node {
    fn pay<'a>(&'a self, bolt11: &'a str) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            self.sim.pay(bolt11).unwrap();
        })
    }

    fn cancel(&self, hash: PaymentHash) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.sim.cancel(&hash.0).unwrap();
        })
    }
}
