//! One wallet with all that is remembered of it.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use l402::PaymentHash;
use lightning::{Lightning, LightningError};
use store::{Settled, Store};
use tokio::{sync::Notify, time::Instant};

use super::{
    Failure, calls::Calls, health::Health, issued::Issued, lookup::Verdict, payees::Circuit, pool::Pool,
    turns::Turns, unix_now,
};

pub(super) struct Backend {
    pub(super) name: String,
    pub(super) lightning: Arc<dyn Lightning>,
    pub(super) store: Arc<dyn Store>,
    pub(super) look_ups: Turns<Result<Verdict, Failure>>,
    issued: Mutex<Issued>,
    pool: Mutex<Pool>,
    /// The pool has something to do earlier than it had.
    stirred: Notify,
    calls: Calls,
    health: Health,
    pub(super) circuit: Circuit,
}

impl Backend {
    pub(super) fn new(name: String, lightning: Arc<dyn Lightning>, store: Arc<dyn Store>) -> Self {
        Self {
            name,
            lightning,
            store,
            look_ups: Turns::default(),
            issued: Mutex::default(),
            pool: Mutex::new(Pool::new()),
            stirred: Notify::new(),
            calls: Calls::new(),
            health: Health::default(),
            circuit: Circuit::default(),
        }
    }

    /// Makes one call of the wallet when its turn comes.
    pub(super) async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, LightningError>>,
    ) -> Result<T, Failure> {
        let _turn = self.calls.turn().await?;
        self.noted(call).await
    }

    /// The same for a call that no client waits for: its turn comes, however long that takes.
    pub(super) async fn call_behind<T>(
        &self,
        call: impl Future<Output = Result<T, LightningError>>,
    ) -> Result<T, Failure> {
        let _turn = self.calls.turn_behind().await?;
        self.noted(call).await
    }

    async fn noted<T>(&self, call: impl Future<Output = Result<T, LightningError>>) -> Result<T, Failure> {
        let begun = Instant::now();
        let result = call.await;
        self.health.note(&self.name, begun, &result);
        if let Err(LightningError::Unavailable { .. } | LightningError::TimedOut) = &result {
            self.circuit.failed(Instant::now());
        }
        result.map_err(Failure::from)
    }

    pub(super) fn pool(&self) -> MutexGuard<'_, Pool> {
        // As for `issued`.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the pool, and wakes who tends it if it is needed earlier than it was.
    pub(super) fn stir<T>(&self, work: impl FnOnce(&mut Pool) -> T) -> T {
        let mut pool = self.pool();
        let before = pool.due();
        let result = work(&mut pool);
        let earlier = pool.due().is_some_and(|due| before.is_none_or(|before| due < before));
        drop(pool);
        if earlier {
            self.stirred.notify_one();
        }
        result
    }

    /// Ends when the pool was stirred since.
    pub(super) async fn stirred(&self) {
        self.stirred.notified().await;
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
        self.look_ups.wake(&hash);
        Ok(true)
    }
}
