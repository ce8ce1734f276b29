//! Invoices that are ready to be handed out: which, how many, how old, and for whom there are none. Without I/O.
//!
//! What clients ask for decides what is made ahead ([`Demand`]): nothing of what is hardly asked for, a handful of what
//! is asked for now and then, as many as the highest demand of some seconds took of what is asked for much. So a client
//! that varies the price gets an invoice for each, and no pool for any. An invoice leaves the pool once: to a client, or to
//! be cancelled.

mod demand;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use l402::PaymentHash;
use tokio::time::Instant;

use super::{INVOICE_EXPIRY_S, Ready};
use demand::Demand;

/// How long an invoice that is made ahead may wait to be handed out, in seconds.
const SHELF_LIFE_S: u32 = 600;
/// The life of an invoice that is made ahead: it waits, and then has as long a life as one that is made when it is
/// asked for.
pub(super) const AHEAD_EXPIRY_S: u32 = SHELF_LIFE_S + INVOICE_EXPIRY_S;
/// The least time to pay that a client gets of an invoice that was made ahead, seconds. Those of a wallet that follows what
/// it is asked have ten minutes left when they leave the shelf; one that chooses a shorter life has them kept until here.
const LEAST_LEFT_S: u64 = 120;
/// An invoice is worth making ahead if it can be kept for so long, seconds.
const LEAST_SHELF_S: u64 = 30;
/// How long a wallet whose invoices are too short is not tried again.
const TOO_SHORT: Duration = Duration::from_secs(600);
/// A wallet that takes so long over an invoice has one ready from the second client on. Longer than what a first call
/// takes that has to connect, or to pair.
const SLOW: Duration = Duration::from_secs(3);
/// Ready invoices of one wallet at most: some 4 MB.
const MOST: usize = 8192;
/// Of these, of one kind at most: something is left for the others.
const MOST_OF_ONE: usize = 7168;
/// Kinds whose demand is remembered at most: some 2 MB with descriptions as nginx writes them.
const KINDS: usize = 4096;
/// Between two searches for kinds that can be forgotten.
const SWEEP: Duration = Duration::from_secs(1);
/// A longer description is no location's of nginx, and nothing is kept under it.
const LONGEST_DESCRIPTION: usize = 640;
/// Invoices planned at once: the demand is looked at again after so many.
const PLANNED: usize = 256;
/// After an invoice was taken, until another one is made for it: a burst has its end first.
const CALM: Duration = Duration::from_secs(1);

/// Between two plans that are wanted in a hurry: each looks at every kind.
const PACE: Duration = Duration::from_millis(20);

/// What an invoice says: all that makes one as good as another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Its price.
    pub amount_msat: u64,
    /// What the payer's wallet shows.
    pub description: String,
}

/// The pool of one wallet.
pub(super) struct Pool {
    kinds: HashMap<Arc<Wanted>, Kind>,
    /// All that are ready, by hash: what is not in here is not handed out.
    ready: HashSet<PaymentHash>,
    /// How many are being made.
    making: usize,
    /// When to look for what is to be made or too old.
    due: Option<Instant>,
    planned: Option<Instant>,
    swept: Option<Instant>,
    /// Ready invoices at most.
    most: usize,
    /// Until when nothing is made ahead, because the wallet's invoices live too short.
    too_short: Option<Instant>,
    closed: bool,
}

struct Kind {
    demand: Demand,
    /// Oldest first.
    ready: VecDeque<Waiting>,
    making: usize,
}

struct Waiting {
    invoice: Ready,
    /// Until when it may be handed out.
    until: Instant,
}

/// What to do next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Invoices to make; [`Pool::made`] or [`Pool::not_made`] ends each.
    pub(super) make: VecDeque<Arc<Wanted>>,
    /// Whether there is more to make after these.
    pub(super) more: bool,
    /// Invoices to cancel, which nobody has seen.
    pub(super) cancel: Vec<PaymentHash>,
}

/// Why an invoice did not get into the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotKept {
    /// The pool is closed; nobody has seen the invoice.
    Closed,
    /// It would not live long enough; nobody has seen it.
    TooShort,
    /// It is in the pool already, so that it must be left alone.
    Twice,
}

impl Pool {
    /// A pool of `most` invoices at most, and of [`MOST`] in any case.
    pub(super) fn new(most: usize) -> Self {
        Self {
            kinds: HashMap::new(),
            ready: HashSet::new(),
            making: 0,
            due: None,
            planned: None,
            swept: None,
            most: most.min(MOST),
            too_short: None,
            closed: false,
        }
    }

    /// The oldest ready invoice that says this. `unix` is the time in Unix seconds, here and below.
    pub(super) fn take(&mut self, wanted: &Wanted, now: Instant, unix: u64) -> Option<Ready> {
        let kind = self.kinds.get_mut(wanted)?;
        // Those that are too old stay where they are: they are cancelled with the next plan.
        let good = kind.ready.iter().position(|waiting| waiting.is_good(now, unix));
        let is_stale = good != Some(0) && !kind.ready.is_empty();
        let taken = good.and_then(|at| kind.ready.remove(at));
        if taken.is_some() {
            kind.demand.note(now);
        }
        let (left, worth) = (kind.ready.len() + kind.making, kind.worth(now));
        if is_stale {
            self.hurry(now);
        }
        let taken = taken?;
        let known = self.ready.remove(&taken.invoice.payment_hash);
        debug_assert!(known, "both are changed together");
        if left < worth {
            // At a quarter there is no time left for calm.
            self.hurry(if left <= worth / 4 { now } else { now + CALM });
        }
        Some(taken.invoice)
    }

    /// Takes note of an invoice that was made for a client who found none ready: how long that took, and how long it lives,
    /// seconds.
    pub(super) fn handed_out(&mut self, wanted: Wanted, took: Duration, life_s: u64, now: Instant) {
        self.too_short = (life_s < LEAST_LEFT_S + LEAST_SHELF_S).then_some(now + TOO_SHORT);
        if self.closed || wanted.description.len() > LONGEST_DESCRIPTION {
            return;
        }
        if !self.kinds.contains_key(&wanted) && !self.has_room(now) {
            return;
        }
        let kind = self.kinds.entry(Arc::new(wanted)).or_insert_with(|| Kind::new(now));
        kind.demand.set_slow(took >= SLOW);
        kind.demand.note(now);
        if kind.ready.len() + kind.making < kind.worth(now) && !self.is_too_short(now) {
            self.hurry(now);
        }
    }

    /// When there is something to do next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What to make and what to cancel now.
    pub(super) fn plan(&mut self, now: Instant, unix: u64) -> Plan {
        let mut plan = Plan::default();
        for kind in self.kinds.values_mut() {
            let bad = kind.ready.iter().take_while(|waiting| !waiting.is_good(now, unix)).count();
            for old in kind.ready.drain(..bad) {
                self.ready.remove(&old.invoice.payment_hash);
                plan.cancel.push(old.invoice.payment_hash);
            }
        }
        let mut room = match self.is_too_short(now) {
            true => 0,
            false => self.most.saturating_sub(self.ready.len() + self.making),
        };
        let mut short: Vec<_> = self
            .kinds
            .iter_mut()
            .filter_map(|(wanted, kind)| {
                let missing = kind.worth(now).saturating_sub(kind.ready.len() + kind.making);
                (missing > 0).then_some((wanted, kind, missing))
            })
            .collect();
        // One of each after the other: who needs a handful does not wait for who needs thousands.
        while !short.is_empty() && room > 0 && !plan.more {
            for (wanted, kind, missing) in &mut short {
                if room == 0 || plan.make.len() >= PLANNED {
                    break;
                }
                plan.make.push_back(Arc::clone(wanted));
                kind.making += 1;
                self.making += 1;
                *missing -= 1;
                room -= 1;
            }
            short.retain(|(_, _, missing)| *missing > 0);
            plan.more = !short.is_empty() && plan.make.len() >= PLANNED;
        }
        self.due = self.next_old();
        self.planned = Some(now);
        plan
    }

    /// Keeps an invoice that was made by plan.
    pub(super) fn made(
        &mut self,
        wanted: &Arc<Wanted>,
        invoice: Ready,
        now: Instant,
        unix: u64,
    ) -> Result<(), NotKept> {
        self.not_made(wanted);
        if self.closed {
            return Err(NotKept::Closed);
        }
        let left_s = invoice.expires_at.saturating_sub(unix);
        if left_s < LEAST_LEFT_S + LEAST_SHELF_S {
            self.too_short = Some(now + TOO_SHORT);
            return Err(NotKept::TooShort);
        }
        let shelf_s = (left_s - LEAST_LEFT_S).min(SHELF_LIFE_S.into());
        let until = now + Duration::from_secs(shelf_s);
        let waiting = Waiting { invoice, until };
        if !self.ready.insert(waiting.invoice.payment_hash) {
            return Err(NotKept::Twice);
        }
        let kind = self.kinds.entry(Arc::clone(wanted)).or_insert_with(|| Kind::new(now));
        kind.ready.push_back(waiting);
        self.due = Some(self.due.map_or(until, |due| due.min(until)));
        Ok(())
    }

    /// Takes back one of a plan.
    pub(super) fn not_made(&mut self, wanted: &Wanted) {
        self.making -= 1;
        if let Some(kind) = self.kinds.get_mut(wanted) {
            kind.making -= 1;
        }
    }

    /// Makes nothing of this ahead until it is asked for anew: the wallet doesn't want to.
    pub(super) fn forget(&mut self, wanted: &Wanted, now: Instant) {
        if let Some(kind) = self.kinds.get_mut(wanted) {
            kind.demand.forget(now);
        }
    }

    /// Looks again at `when`, or earlier if that was planned, but not at once after the last time.
    pub(super) fn hurry(&mut self, when: Instant) {
        let when = self.planned.map_or(when, |planned| when.max(planned + PACE));
        self.due = Some(self.due.map_or(when, |due| due.min(when)));
    }

    /// Ends the pool: none is handed out or kept any more. What is left, for cancelling.
    pub(super) fn close(&mut self) -> Vec<PaymentHash> {
        self.closed = true;
        self.kinds.clear();
        self.due = None;
        self.ready.drain().collect()
    }

    /// How many are ready.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    fn next_old(&self) -> Option<Instant> {
        self.kinds.values().filter_map(|kind| kind.ready.front()).map(|waiting| waiting.until).min()
    }

    fn is_too_short(&self, now: Instant) -> bool {
        self.too_short.is_some_and(|until| now < until)
    }

    /// Whether one more kind can be remembered; forgets those that were hardly asked for if need be.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.kinds.len() < KINDS {
            return true;
        }
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP) {
            return false;
        }
        self.swept = Some(now);
        self.kinds.retain(|_, kind| !kind.ready.is_empty() || kind.making > 0 || !kind.demand.is_slight(now));
        self.kinds.len() < KINDS
    }
}

impl Kind {
    fn new(now: Instant) -> Self {
        Self { demand: Demand::new(now), ready: VecDeque::new(), making: 0 }
    }

    fn worth(&self, now: Instant) -> usize {
        self.demand.worth(now).min(MOST_OF_ONE)
    }
}

impl Waiting {
    /// Whether a client who gets it now has ample time to pay. Both clocks count: ours does not run while the machine
    /// sleeps, and the node's may be wrong.
    fn is_good(&self, now: Instant, unix: u64) -> bool {
        now < self.until && self.invoice.expires_at >= unix + LEAST_LEFT_S
    }
}
