//! One wallet with all that is remembered of it.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use l402::PaymentHash;
use lightning::{Lightning, LightningError};
use store::{Settled, Store};

use super::{Failure, calls::Calls, health::Health, issued::Issued, lookup::Slots, unix_now};

pub(super) struct Backend {
    pub(super) name: String,
    pub(super) lightning: Arc<dyn Lightning>,
    pub(super) store: Arc<dyn Store>,
    pub(super) slots: Slots,
    issued: Mutex<Issued>,
    calls: Calls,
    health: Health,
}

impl Backend {
    pub(super) fn new(name: String, lightning: Arc<dyn Lightning>, store: Arc<dyn Store>) -> Self {
        Self {
            name,
            lightning,
            store,
            slots: Slots::default(),
            issued: Mutex::default(),
            calls: Calls::new(),
            health: Health::default(),
        }
    }

    /// Makes one call of the wallet when its turn comes.
    pub(super) async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, LightningError>>,
    ) -> Result<T, Failure> {
        let _turn = self.calls.turn().await?;
        let result = call.await;
        self.health.note(&self.name, &result);
        result.map_err(Failure::from)
    }

    pub(super) fn issued(&self) -> MutexGuard<'_, Issued> {
        // Nothing that holds it can leave it half changed.
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a payment for good, then tells whoever waits for it. `Ok(false)`: it is less than its price,
    /// and so no payment.
    pub(super) async fn record(&self, hash: PaymentHash, settled: Settled) -> Result<bool, Failure> {
        let price = self.issued().price_msat(&hash).unwrap_or(1);
        if settled.received_msat < price {
            tracing::error!(
                backend = self.name,
                payment_hash = %hash,
                price_msat = price,
                received_msat = settled.received_msat,
                "the node calls an invoice settled that received less than its price; it is not taken as paid"
            );
            return Ok(false);
        }
        self.store.settled_put(hash.0, settled).await?;
        self.issued().settle(hash, unix_now());
        self.slots.wake(&hash);
        Ok(true)
    }
}
