//! May this client be challenged, or have a payment looked up, once more?

use std::{sync::Arc, time::Duration};

use agent_api::{Fault, Rate};
use store::{Store, Taken};
use tokio::sync::OnceCell;

use super::{Engine, Failure, failure::whole_seconds};

impl Engine {
    /// Takes one challenge of what a client may have.
    ///
    /// # Errors
    /// [`Fault::Limited`]: it has had them all.
    pub async fn admit(&self, rate: &Rate) -> Result<(), Failure> {
        take(&*self.store, rate).await
    }
}

async fn take(store: &dyn Store, rate: &Rate) -> Result<(), Failure> {
    match store.rate_take(&rate.key, in_store(rate)).await {
        Taken::Passed => Ok(()),
        Taken::Limited { retry_after } => Err(Failure {
            fault: Fault::Limited { retry_after_s: whole_seconds(retry_after) },
            reason: String::new(),
        }),
    }
}

fn in_store(rate: &Rate) -> store::Rate {
    store::Rate { limit: rate.limit, window: Duration::from_secs(rate.window_s.into()) }
}

/// The look-ups that one request may cost the wallets: one of its client's rate, however many wallets are asked.
pub(super) struct LookUpPermit {
    store: Arc<dyn Store>,
    /// `None`: any number.
    rate: Option<Rate>,
    taken: OnceCell<Result<(), Failure>>,
}

impl LookUpPermit {
    pub(super) fn new(store: Arc<dyn Store>, rate: Option<Rate>) -> Arc<Self> {
        Arc::new(Self { store, rate, taken: OnceCell::new() })
    }

    /// Takes the look-up, the first time that a wallet has to be asked.
    ///
    /// # Errors
    /// [`Fault::Limited`]: the client has had them all.
    pub(super) async fn take(&self) -> Result<(), Failure> {
        let Some(rate) = &self.rate else { return Ok(()) };
        self.taken.get_or_init(|| take(&*self.store, rate)).await.clone()
    }

    /// Gives back what was taken: the payment had arrived.
    pub(super) async fn give_back(&self) {
        if let (Some(rate), Some(Ok(()))) = (&self.rate, self.taken.get()) {
            self.store.rate_give_back(&rate.key, in_store(rate)).await;
        }
    }
}
