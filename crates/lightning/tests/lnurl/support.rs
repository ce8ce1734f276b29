//! What the tests of the LNURL module share: a wallet at a simulated server, its notes, and the world around it.

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use l402::{Msat, PaymentHash};
use lightning::conformance::World;
use lightning::lnurl::Lnurl;
use lightning::{InvoiceRequest, LightningError, Notes, Reply};
use lnsim::{LnurlOptions, Sim, SimOptions};

/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A deadline to run into.
pub const SHORT: Duration = Duration::from_millis(400);

pub const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Notes in memory, which may fail to be written.
#[derive(Default)]
pub struct Memory {
    notes: Mutex<HashMap<PaymentHash, String>>,
    full: bool,
}

impl Memory {
    pub fn full() -> Memory {
        Memory { full: true, ..Memory::default() }
    }

    pub fn len(&self) -> usize {
        self.notes.lock().unwrap().len()
    }
}

impl Notes for Memory {
    fn keep(&self, hash: PaymentHash, note: String) -> Reply<'_, ()> {
        Box::pin(async move {
            if self.full {
                let text = "the disk is full".to_owned();
                return Err(LightningError::Unavailable { text, retry_after: Duration::from_secs(1) });
            }
            self.notes.lock().unwrap().insert(hash, note);
            Ok(())
        })
    }

    fn find(&self, hash: PaymentHash) -> Reply<'_, Option<String>> {
        Box::pin(async move { Ok(self.notes.lock().unwrap().get(&hash).cloned()) })
    }
}

/// A simulated server and its wallet.
pub struct Server {
    pub sim: Sim,
    pub address: String,
    pub notes: Arc<Memory>,
}

pub fn server(options: LnurlOptions) -> Server {
    let sim = Sim::start(SimOptions::default()).unwrap();
    let address = sim.open_lnurl(ANY, options).unwrap();
    Server { sim, address: format!("http://alice@{address}"), notes: Arc::default() }
}

impl Server {
    pub fn wallet(&self) -> Lnurl {
        self.wallet_with(PATIENCE)
    }

    pub fn wallet_with(&self, timeout: Duration) -> Lnurl {
        wallet(&self.address, &self.notes, timeout)
    }
}

pub fn wallet(address: &str, notes: &Arc<Memory>, timeout: Duration) -> Lnurl {
    let notes: Arc<dyn Notes> = notes.clone();
    Lnurl::new(address, None, notes, timeout).unwrap()
}

pub fn ask(msat: u64) -> InvoiceRequest {
    InvoiceRequest { amount: Msat(msat), description: "a test".to_owned(), expiry_s: 600 }
}

pub fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, LightningError>) -> bool {
    matches!(result, Err(LightningError::Unavailable { .. }))
}

impl World for Server {
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
