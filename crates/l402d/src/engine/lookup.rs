//! Is it paid? Asked of the node at most once a second for one payment, however many clients ask.
//!
//! Who asks first gets a look-up at once. Who asks while one is under way, or within a second of it, waits for
//! the next slot, shares that answer with all who wait, and is woken earlier when the node pushes the settlement.
//! An answer is only shared with those who asked before its look-up began, so that nobody who has paid is told
//! "unpaid" by an answer older than the question.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use l402::PaymentHash;
use lightning::Lookup;
use store::Settled;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{Failure, backend::Backend, unix_now};

/// The least time between two look-ups of one payment.
const INTERVAL: Duration = Duration::from_secs(1);
/// Slots before those are dropped that nobody needs any more.
const MANY: usize = 1024;

/// Whether an invoice is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Paid,
    Unsettled { bolt11: String, expires_at: u64 },
    Dead,
    CannotLookUp,
}

/// The look-ups of one wallet.
#[derive(Default)]
pub(super) struct Slots(Mutex<SlotMap>);

#[derive(Default)]
struct SlotMap {
    by_hash: HashMap<PaymentHash, Arc<Slot>>,
    /// The size at which to look for what can go: doubles with what can't, so that the cost stays even.
    next_sweep: usize,
}

/// One payment's turn to be looked up.
#[derive(Default)]
struct Slot {
    /// Held by the one who looks up, or waits to.
    turn: tokio::sync::Mutex<Last>,
    paid: Notify,
    /// How often it was asked for; each who asks takes the next number.
    asked: AtomicU64,
}

#[derive(Default)]
struct Last {
    began: Option<Instant>,
    /// It answers those who asked with a number below this: before it began.
    covers: u64,
    /// `None` when it was given up.
    answer: Option<Result<Verdict, Failure>>,
}

impl Slots {
    fn of(&self, hash: PaymentHash) -> Arc<Slot> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.by_hash.len() >= map.next_sweep.max(MANY) {
            map.by_hash.retain(|_, slot| slot.is_needed());
            map.next_sweep = 2 * map.by_hash.len();
        }
        map.by_hash.entry(hash).or_default().clone()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_hash.len()
    }

    /// Wakes all who wait for this payment.
    pub(super) fn wake(&self, hash: &PaymentHash) {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = map.by_hash.get(hash) {
            slot.paid.notify_waiters();
        }
    }
}

impl Slot {
    fn is_needed(self: &Arc<Self>) -> bool {
        let recent = |last: &Last| last.began.is_some_and(|began| began.elapsed() < INTERVAL);
        Arc::strong_count(self) > 1 || self.turn.try_lock().map_or(true, |last| recent(&last))
    }
}

impl Backend {
    /// Whether it is paid: from memory, from the store, from the node.
    pub(super) async fn verdict(&self, hash: PaymentHash) -> Result<Verdict, Failure> {
        if self.issued().is_settled(&hash) {
            return Ok(Verdict::Paid);
        }
        if self.store.settled_get(hash.0).await?.is_some() {
            self.issued().settle(hash, unix_now());
            return Ok(Verdict::Paid);
        }
        let slot = self.slots.of(hash);
        let mut paid = pin!(slot.paid.notified());
        // From here on no push is missed; before, it was seen in memory.
        paid.as_mut().enable();
        if self.issued().is_settled(&hash) {
            return Ok(Verdict::Paid);
        }
        tokio::select! {
            biased;
            () = paid => Ok(Verdict::Paid),
            verdict = self.look_up_in_turn(&slot, hash) => verdict,
        }
    }

    async fn look_up_in_turn(&self, slot: &Slot, hash: PaymentHash) -> Result<Verdict, Failure> {
        let number = slot.asked.fetch_add(1, Ordering::SeqCst);
        let mut last = slot.turn.lock().await;
        if let Last { covers, answer: Some(answer), .. } = &*last
            && number < *covers
        {
            return answer.clone();
        }
        if let Some(began) = last.began {
            sleep_until(began + INTERVAL).await;
        }
        // Given up from here on, the look-up still counts: the node was asked.
        let covers = slot.asked.load(Ordering::SeqCst);
        *last = Last { began: Some(Instant::now()), covers, answer: None };
        let answer = self.look_up(hash).await;
        last.answer = Some(answer.clone());
        answer
    }

    async fn look_up(&self, hash: PaymentHash) -> Result<Verdict, Failure> {
        match self.call(self.lightning.look_up(hash)).await? {
            Lookup::Settled { preimage, received } => {
                let preimage = preimage.map(|preimage| *preimage.expose());
                let settled = Settled { preimage, received_msat: received.0, at: unix_now() };
                let paid = self.record(hash, settled).await?;
                // Too little arrived: this invoice can't be paid any more.
                Ok(if paid { Verdict::Paid } else { Verdict::Dead })
            }
            Lookup::Pending { bolt11, expires_at } => Ok(self.pending(hash, bolt11, expires_at)),
            Lookup::Dead | Lookup::Unknown => Ok(Verdict::Dead),
            Lookup::CannotLookUp => Ok(Verdict::CannotLookUp),
        }
    }

    /// An invoice that can't be shown, or not be paid in time, is as good as none.
    fn pending(&self, hash: PaymentHash, bolt11: Option<String>, expires_at: u64) -> Verdict {
        let bolt11 = bolt11.or_else(|| self.issued().open(&hash).map(|(bolt11, _)| bolt11));
        match bolt11 {
            Some(bolt11) if expires_at > unix_now() => Verdict::Unsettled { bolt11, expires_at },
            Some(_) | None => Verdict::Dead,
        }
    }
}
