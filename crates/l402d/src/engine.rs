//! What l402d decides: which invoice a client pays, whether it is paid, and whether it may still be used.
//!
//! The engine knows neither sockets nor frames: [`Engine::invoice`] and [`Engine::redeem`] are plain
//! functions over a [`Lightning`] wallet and a [`Store`]. Dropping their futures gives the question up;
//! whoever gives up a redemption calls [`Engine::undo`] too.

mod admit;
mod backend;
mod calls;
mod draws;
mod ecash;
mod examine;
mod failure;
mod health;
mod invoice;
mod issued;
mod listing;
mod lookup;
mod payees;
mod payout;
mod pool;
mod redeem;
mod refill;
mod settlement;
mod turns;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use agent_api::Fault;
use lightning::Lightning;
use store::{IssuedInvoices, NoIssuedInvoices, Store};
use tokio::{sync::watch, task::JoinSet};

use backend::Backend;
use draws::Draws;

pub use draws::Draw;
pub use ecash::{Counter, Taken};
pub use failure::Failure;
pub use invoice::Ready;
pub use listing::{Listing, Opener, Quote};
pub use payout::Payout;
pub use pool::Wanted;
pub use redeem::{Redeemed, Redemption};

/// How long an invoice can be paid from its handing out on, in seconds, or a little longer. Ten minutes: enough to fetch a telephone and scan a code,
/// little enough that a node and this process hold few unpaid ones.
pub const INVOICE_EXPIRY_S: u32 = 600;

/// All that l402d decides with.
pub struct Engine {
    backends: HashMap<String, Arc<Backend>>,
    store: Arc<dyn Store>,
    record: Arc<dyn IssuedInvoices>,
    draws: Draws,
    closing: watch::Sender<bool>,
    tending: Mutex<JoinSet<()>>,
    till: Option<Counter>,
    listing: Option<Listing>,
}

impl Engine {
    /// Starts listening for settlements and asks each wallet once how it is, in the background: the start
    /// does not depend on a node being up. Must be called in a tokio runtime.
    #[must_use]
    pub fn start(wallets: Vec<(String, Arc<dyn Lightning>)>, store: Arc<dyn Store>) -> Arc<Self> {
        Self::start_with(wallets, store, Arc::new(NoIssuedInvoices), None, None)
    }

    /// As [`Engine::start`], with a record of the invoices that were handed out, and takes ecash, and looks up what is listed.
    #[must_use]
    pub fn start_with(
        wallets: Vec<(String, Arc<dyn Lightning>)>,
        store: Arc<dyn Store>,
        record: Arc<dyn IssuedInvoices>,
        till: Option<Counter>,
        listing: Option<Listing>,
    ) -> Arc<Self> {
        let engine = Self::resting(wallets, store, record, till, listing);
        let mut tending = JoinSet::new();
        for backend in engine.backends.values() {
            tokio::spawn(settlement::listen(backend.clone()));
            tokio::spawn(health::probe(backend.clone()));
            tending.spawn(refill::tend(backend.clone(), engine.closing.subscribe()));
        }
        *engine.tending.lock().unwrap_or_else(PoisonError::into_inner) = tending;
        engine
    }

    /// One that asks nothing of the wallets by itself. Must be called in a tokio runtime.
    #[must_use]
    pub fn at_rest(
        wallets: Vec<(String, Arc<dyn Lightning>)>,
        store: Arc<dyn Store>,
        till: Option<Counter>,
        listing: Option<Listing>,
    ) -> Arc<Self> {
        Self::resting(wallets, store, Arc::new(NoIssuedInvoices), till, listing)
    }

    fn resting(
        wallets: Vec<(String, Arc<dyn Lightning>)>,
        store: Arc<dyn Store>,
        record: Arc<dyn IssuedInvoices>,
        till: Option<Counter>,
        listing: Option<Listing>,
    ) -> Arc<Self> {
        let backend = |(name, wallet): (String, _)| {
            let backend = Backend::new(name.clone(), wallet, store.clone(), record.clone());
            (name, Arc::new(backend))
        };
        let backends = wallets.into_iter().map(backend).collect();
        let (draws, (closing, _)) = (Draws::start(store.clone()), watch::channel(false));
        Arc::new(Self { backends, store, record, draws, closing, tending: Mutex::default(), till, listing })
    }

    /// Cancels the invoices that were made ahead and that nobody got, where the wallet can, for some seconds at most.
    /// From now on none is made ahead.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut tending = std::mem::take(&mut *self.tending.lock().unwrap_or_else(PoisonError::into_inner));
        while tending.join_next().await.is_some() {}
    }

    /// Gives back what a redemption drew, if it drew, and makes sure that it never will. In the background:
    /// nobody waits for the answer.
    pub fn undo(&self, draw: Draw) {
        self.draws.release(draw);
    }

    /// Waits until everything that was to be given back is.
    pub async fn settle_undos(&self) {
        self.draws.settled().await;
    }

    fn backend(&self, name: &str) -> Result<&Arc<Backend>, Failure> {
        self.backends.get(name).ok_or_else(|| {
            let known: Vec<_> = self.backends.keys().map(String::as_str).collect();
            Failure {
                fault: Fault::Internal,
                reason: format!(
                    "l402d has no backend {name:?} (it has: {}); give l402d and nginx the same configuration",
                    known.join(", ")
                ),
            }
        })
    }
}

/// Unix seconds.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since: Duration| since.as_secs())
}
