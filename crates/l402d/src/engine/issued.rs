//! The invoices that were handed out lately, and which of them are paid: memory, bounded, never the truth.
//!
//! The store and the node hold the truth. What is forgotten here costs one question to them.

use std::collections::{HashMap, VecDeque};

use l402::PaymentHash;

use super::{INVOICE_EXPIRY_S, pool::AHEAD_EXPIRY_S};

/// Invoices remembered at most: some 20 MB when every one of them is unpaid, 10 minutes of 80 a second. More in a
/// flood, and the oldest cost a look-up when they are asked for.
const CAPACITY: usize = 50_000;
/// How long past its handing out an entry is of use: until the invoice can't be paid, and a little longer.
const LIFE_S: u64 = (AHEAD_EXPIRY_S + INVOICE_EXPIRY_S) as u64;

#[derive(Default)]
pub(super) struct Issued {
    entries: HashMap<PaymentHash, Entry>,
    /// Oldest first.
    order: VecDeque<(PaymentHash, u64)>,
    capacity: Option<usize>,
}

struct Entry {
    /// When it was put in: tells a renewed entry from the one that `order` meant.
    since: u64,
    state: State,
}

enum State {
    Open { bolt11: String, expires_at: u64, price_msat: u64 },
    Settled,
}

impl Issued {
    /// Remembers a new invoice; `false` if its hash is known already.
    pub(super) fn add(
        &mut self,
        hash: PaymentHash,
        bolt11: String,
        expires_at: u64,
        price_msat: u64,
        now: u64,
    ) -> bool {
        if self.entries.contains_key(&hash) {
            return false;
        }
        self.put(hash, State::Open { bolt11, expires_at, price_msat }, now);
        true
    }

    /// Remembers that it is paid.
    pub(super) fn settle(&mut self, hash: PaymentHash, now: u64) {
        match self.entries.get_mut(&hash) {
            Some(entry) => entry.state = State::Settled,
            None => self.put(hash, State::Settled, now),
        }
    }

    pub(super) fn is_settled(&self, hash: &PaymentHash) -> bool {
        matches!(self.entries.get(hash), Some(Entry { state: State::Settled, .. }))
    }

    /// Whether it was handed out by this process, as far as that is remembered.
    pub(super) fn contains(&self, hash: &PaymentHash) -> bool {
        self.entries.contains_key(hash)
    }

    /// What an unpaid one costs, in msat.
    pub(super) fn price_msat(&self, hash: &PaymentHash) -> Option<u64> {
        match &self.entries.get(hash)?.state {
            State::Open { price_msat, .. } => Some(*price_msat),
            State::Settled => None,
        }
    }

    /// The text and expiry (Unix seconds) of an unpaid one.
    pub(super) fn open(&self, hash: &PaymentHash) -> Option<(String, u64)> {
        match &self.entries.get(hash)?.state {
            State::Open { bolt11, expires_at, .. } => Some((bolt11.clone(), *expires_at)),
            State::Settled => None,
        }
    }

    fn put(&mut self, hash: PaymentHash, state: State, now: u64) {
        self.entries.insert(hash, Entry { since: now, state });
        self.order.push_back((hash, now));
        while let Some((oldest, since)) = self.order.front() {
            let full = self.order.len() > self.capacity.unwrap_or(CAPACITY);
            if !full && since + LIFE_S > now {
                break;
            }
            if self.entries.get(oldest).is_some_and(|entry| entry.since == *since) {
                self.entries.remove(oldest);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> PaymentHash {
        PaymentHash([n; 32])
    }

    #[test]
    fn the_oldest_make_room() {
        let mut issued = Issued { capacity: Some(2), ..Issued::default() };
        for n in 1..=3 {
            assert!(issued.add(hash(n), format!("lnbc{n}"), 700, 10, 100));
        }
        assert_eq!(issued.open(&hash(1)), None);
        assert_eq!(issued.open(&hash(3)), Some(("lnbc3".into(), 700)));
        assert_eq!((issued.entries.len(), issued.order.len()), (2, 2));
    }

    #[test]
    fn the_expired_leave() {
        let mut issued = Issued::default();
        issued.add(hash(1), "lnbc1".into(), 700, 10, 100);
        issued.add(hash(2), "lnbc2".into(), 1000, 10, 400);
        issued.add(hash(3), "lnbc3".into(), 2900, 10, 100 + LIFE_S);
        assert_eq!((issued.contains(&hash(1)), issued.contains(&hash(2))), (false, true));
    }

    #[test]
    fn paid_is_paid() {
        let mut issued = Issued::default();
        issued.add(hash(1), "lnbc1".into(), 700, 10, 100);
        assert_eq!((issued.is_settled(&hash(1)), issued.price_msat(&hash(1))), (false, Some(10)));
        issued.settle(hash(1), 101);
        issued.settle(hash(2), 101);
        assert!(issued.is_settled(&hash(1)) && issued.is_settled(&hash(2)));
        assert_eq!(issued.open(&hash(1)), None);
        assert!(!issued.add(hash(1), "again".into(), 700, 10, 102), "no invoice is handed out twice");
    }
}
