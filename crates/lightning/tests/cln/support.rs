//! What the tests of the CLN module share: simulated nodes, wallets on them, and the world around.

use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use l402::{Msat, PaymentHash};
use lightning::cln::Cln;
use lightning::conformance::World;
use lightning::{InvoiceRequest, LightningError};
use lnsim::{Sim, SimOptions};
use settings::{ClnSettings, Secret};

/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A deadline to run into.
pub const SHORT: Duration = Duration::from_millis(400);

/// All that selling needs, without cancelling.
pub const METHODS: [&str; 4] = ["invoice", "listinvoices", "waitanyinvoice", "getinfo"];

/// What the guides restrict a rune to.
pub const RESTRICTIONS: &[&[&str]] = &[
    &[
        "method=invoice",
        "method=fetchinvoice",
        "method=listinvoices",
        "method=waitanyinvoice",
        "method=getinfo",
        "method=delinvoice",
    ],
    &["method/delinvoice", "pnamestatus=unpaid"],
];

/// A simulated node with both of its doors open.
pub struct Node {
    pub sim: Sim,
    pub socket: ClnSettings,
    pub address: String,
}

impl Node {
    pub fn start() -> Self {
        let sim = Sim::start(SimOptions::default()).unwrap();
        let path = sim.dir().join("lightning-rpc");
        sim.open_cln_socket(&path).unwrap();
        let address = sim.open_cln_rest("127.0.0.1:0".parse().unwrap()).unwrap().to_string();
        Self { sim, socket: ClnSettings::Socket { path }, address }
    }

    /// clnrest with this rune.
    pub fn rest(&self, rune: &str) -> ClnSettings {
        ClnSettings::Rest {
            address: self.address.clone(),
            rune: Secret::new(rune.to_owned()),
            certificate: Some(fs::read(self.sim.cln_ca_path()).unwrap()),
        }
    }

    /// Each way to reach it.
    pub fn ways(&self) -> [ClnSettings; 2] {
        [self.socket.clone(), self.rest(&self.sim.cln_rune_of(RESTRICTIONS))]
    }
}

pub fn wallet(settings: &ClnSettings) -> Cln {
    wallet_with(settings, PATIENCE)
}

pub fn wallet_with(settings: &ClnSettings, timeout: Duration) -> Cln {
    Cln::new(settings, timeout).unwrap()
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
