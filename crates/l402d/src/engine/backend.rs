//! One wallet with all that is remembered of it.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use l402::{Msat, PaymentHash, Preimage};
use lightning::{Lightning, LightningError};
use store::{IssuedInvoice, IssuedInvoices, Settled, Store};
use tokio::{sync::Notify, time::Instant};

use super::{
    Failure,
    calls::Calls,
    health::{Call, Health},
    issued::Issued,
    lookup::Verdict,
    payees::Circuit,
    pool::Pool,
    turns::Turns,
    unix_now,
};

pub(super) struct Backend {
    pub(super) name: String,
    pub(super) lightning: Arc<dyn Lightning>,
    pub(super) store: Arc<dyn Store>,
    record: Arc<dyn IssuedInvoices>,
    pub(super) look_ups: Turns<Result<Verdict, Failure>>,
    issued: Mutex<Issued>,
    pool: Mutex<Pool>,
    /// The pool has something to do earlier than it had.
    stirred: Notify,
    calls: Calls,
    health: Health,
    pub(super) circuit: Circuit,
    /// It makes invoices of a client's life, and refuses longer ones.
    pub(super) refuses_long_lives: AtomicBool,
}

impl Backend {
    pub(super) fn new(
        name: String,
        lightning: Arc<dyn Lightning>,
        store: Arc<dyn Store>,
        record: Arc<dyn IssuedInvoices>,
    ) -> Self {
        let pool = Pool::new(lightning.most_ahead());
        Self {
            name,
            lightning,
            store,
            record,
            look_ups: Turns::default(),
            issued: Mutex::default(),
            pool: Mutex::new(pool),
            stirred: Notify::new(),
            calls: Calls::new(),
            health: Health::default(),
            circuit: Circuit::default(),
            refuses_long_lives: AtomicBool::new(false),
        }
    }

    /// Makes one call of the wallet when its turn comes.
    pub(super) async fn call<T>(
        &self,
        kind: Call,
        call: impl Future<Output = Result<T, LightningError>>,
    ) -> Result<T, Failure> {
        let _turn = self.calls.turn().await?;
        self.noted(kind, call).await
    }

    /// The same for a call that no client waits for: its turn comes, however long that takes.
    pub(super) async fn call_behind<T>(
        &self,
        kind: Call,
        call: impl Future<Output = Result<T, LightningError>>,
    ) -> Result<T, Failure> {
        let _turn = self.calls.turn_behind().await?;
        self.noted(kind, call).await
    }

    async fn noted<T>(
        &self,
        kind: Call,
        call: impl Future<Output = Result<T, LightningError>>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let result = call.await;
        self.health.note(self, kind, begun, &result);
        // Whether it can sell is what the circuit is about: a look-up that fails, which any holder of a token can ask for,
        // says nothing of that.
        if let (Call::Create, Err(LightningError::Unavailable { .. } | LightningError::TimedOut)) =
            (kind, &result)
        {
            self.circuit.failed(Instant::now());
        }
        result.map_err(Failure::from)
    }

    /// Takes note of an invoice that goes to a client, for this process and for later ones.
    pub(super) fn keep(&self, hash: PaymentHash, invoice: &str, amount_msat: u64, expires_at: u64) -> bool {
        let new = self.issued().add(hash, invoice.to_owned(), expires_at, amount_msat, unix_now());
        if new {
            self.record.note(IssuedInvoice {
                payment_hash: hash.0,
                backend: self.name.clone(),
                invoice: invoice.to_owned(),
                amount_msat,
                expires_at,
            });
        }
        new
    }

    /// Whether it handed this invoice out, as this process remembers or an earlier one has noted down.
    pub(super) async fn recalls(&self, hash: PaymentHash) -> bool {
        if self.issued().contains(&hash) {
            return true;
        }
        match self.record.find(hash.0).await {
            Some(IssuedInvoice { backend, invoice, amount_msat, expires_at, .. }) if backend == self.name => {
                self.issued().add(hash, invoice, expires_at, amount_msat, unix_now());
                true
            }
            Some(_) | None => false,
        }
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

    /// Records a payment for good, then tells whoever waits for it. That the wallet calls it settled is enough: an amount
    /// that differs from the price, as of a wallet that takes a fee from it, is logged.
    pub(super) async fn record(
        &self,
        hash: PaymentHash,
        preimage: Option<Preimage>,
        received: Option<Msat>,
    ) -> Result<(), Failure> {
        let price = self.issued().price_msat(&hash);
        if let (Some(price), Some(Msat(received))) = (price, received)
            && received < price
        {
            let (backend, payment_hash) = (self.name.as_str(), hash);
            if received < price / 2 {
                tracing::error!(
                    backend, %payment_hash, price_msat = price, received_msat = received,
                    "less than half of its price was received for an invoice that the wallet calls settled; it is served. \
                     Check the wallet's fees, and its records"
                );
            } else {
                tracing::warn!(
                    backend, %payment_hash, price_msat = price, received_msat = received,
                    "less than its price was received for an invoice, a fee of the wallet's perhaps; it is served"
                );
            }
        }
        let settled = Settled {
            preimage: preimage.map(|preimage| *preimage.expose()),
            received_msat: received.map(|msat| msat.0).or(price).unwrap_or_default(),
            at: unix_now(),
        };
        self.store.settled_put(hash.0, settled).await?;
        self.issued().settle(hash, unix_now());
        self.look_ups.wake(&hash);
        Ok(())
    }
}
