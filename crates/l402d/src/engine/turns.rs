//! The question whether a payment arrived, in turn: however many ask, the node is asked at most once a second for one
//! payment.
//!
//! Who asks first gets an answer at once. Who asks while one is under way, or within a second of it, waits for the
//! next turn, shares that answer with all who wait, and is woken earlier when the settlement is pushed. An answer is
//! only shared with those who asked before its question was put, so that nobody who has paid is told "unpaid" by an answer
//! older than their question.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use l402::PaymentHash;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The least time between two questions about one payment.
const INTERVAL: Duration = Duration::from_secs(1);
/// Payments before those are dropped that nobody asks about any more.
const MANY: usize = 1024;

/// The turns of one wallet's payments; an answer is an `A`.
pub(super) struct Turns<A>(Mutex<Slots<A>>);

struct Slots<A> {
    by_hash: HashMap<PaymentHash, Arc<Slot<A>>>,
    /// The size at which to look for what can go: doubles with what can't, so that the cost stays even.
    next_sweep: usize,
}

/// One payment's turn.
struct Slot<A> {
    /// Held by the one who asks the node, or waits to.
    turn: tokio::sync::Mutex<Last<A>>,
    paid: Notify,
    /// How often it was asked for; each who asks takes the next number.
    asked: AtomicU64,
}

struct Last<A> {
    began: Option<Instant>,
    /// It answers those who asked with a number below this: before it began.
    covers: u64,
    /// `None` when it was given up.
    answer: Option<A>,
}

impl<A> Default for Turns<A> {
    fn default() -> Self {
        Self(Mutex::new(Slots { by_hash: HashMap::new(), next_sweep: 0 }))
    }
}

impl<A: Clone> Turns<A> {
    /// Asks the node in turn. `None`: it is paid, as `is_paid` says, or [`Turns::wake`] meanwhile. Whoever records a payment
    /// makes `is_paid` true first, and wakes then. Who would have to ask the node is admitted first; whoever is not leaves
    /// the turn to the next one.
    pub(super) async fn ask<E>(
        &self,
        hash: PaymentHash,
        is_paid: impl Fn() -> bool,
        admit: impl Future<Output = Result<(), E>>,
        ask_node: impl Future<Output = A>,
    ) -> Option<Result<A, E>> {
        let slot = self.slot(hash);
        // From here on no push is missed; what came before is known.
        let paid = slot.paid.notified();
        if is_paid() {
            return None;
        }
        tokio::select! {
            biased;
            () = paid => None,
            answer = slot.ask_in_turn(admit, ask_node) => Some(answer),
        }
    }

    /// Wakes all who wait for this payment.
    pub(super) fn wake(&self, hash: &PaymentHash) {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner).by_hash.get(hash).cloned();
        if let Some(slot) = slot {
            slot.paid.notify_waiters();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_hash.len()
    }

    fn slot(&self, hash: PaymentHash) -> Arc<Slot<A>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.by_hash.len() >= slots.next_sweep.max(MANY) {
            slots.by_hash.retain(|_, slot| slot.is_needed());
            slots.next_sweep = 2 * slots.by_hash.len();
        }
        slots.by_hash.entry(hash).or_insert_with(|| Arc::new(Slot::new())).clone()
    }
}

impl<A: Clone> Slot<A> {
    fn new() -> Self {
        let last = Last { began: None, covers: 0, answer: None };
        Self { turn: tokio::sync::Mutex::new(last), paid: Notify::new(), asked: AtomicU64::new(0) }
    }

    fn is_needed(self: &Arc<Self>) -> bool {
        let recent = |last: &Last<A>| last.began.is_some_and(|began| began.elapsed() < INTERVAL);
        Arc::strong_count(self) > 1 || self.turn.try_lock().map_or(true, |last| recent(&last))
    }

    async fn ask_in_turn<E>(
        &self,
        admit: impl Future<Output = Result<(), E>>,
        ask_node: impl Future<Output = A>,
    ) -> Result<A, E> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let mut last = self.turn.lock().await;
        if let Last { covers, answer: Some(answer), .. } = &*last
            && number < *covers
        {
            return Ok(answer.clone());
        }
        if let Some(began) = last.began {
            sleep_until(began + INTERVAL).await;
        }
        admit.await?;
        // Given up from here on, the question still counts: the node was asked.
        let covers = self.asked.load(Ordering::SeqCst);
        *last = Last { began: Some(Instant::now()), covers, answer: None };
        let answer = ask_node.await;
        last.answer = Some(answer.clone());
        Ok(answer)
    }
}
