//! The reference store: the meaning of each call in plain maps. Forgets all at exit, so for tests only.

use std::{
    collections::HashMap,
    future::ready,
    sync::{Mutex, PoisonError},
};

use crate::{
    BoxFuture, Claim, Claimed, Hash, Notes, Rate, RequestId, Settled, Store, StoreError, Taken, rate::Rates,
};

/// A store in memory: what the others are compared with, and what tests of the engine run on.
#[derive(Default)]
pub struct Model {
    state: Mutex<State>,
    rates: Rates,
}

#[derive(Default)]
struct State {
    used: HashMap<Hash, u32>,
    /// `None`: released.
    requests: HashMap<RequestId, Option<(Claim, u32)>>,
    settled: HashMap<Hash, Settled>,
    notes: HashMap<Hash, String>,
}

impl Model {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T: Send + 'static>(&self, act: impl FnOnce(&mut State) -> T) -> BoxFuture<'_, T> {
        Box::pin(ready(act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))))
    }
}

impl State {
    fn claim(&mut self, claim: Claim) -> Result<Claimed, StoreError> {
        match self.requests.get(&claim.request) {
            Some(None) => return Ok(Claimed::Released),
            Some(Some((first, _))) if first.payment_hash != claim.payment_hash => {
                return Err(StoreError::RequestReused);
            }
            Some(Some((_, remaining))) => return Ok(Claimed::Granted { remaining: *remaining }),
            None => {}
        }
        let used = self.used.entry(claim.payment_hash).or_default();
        let Some(after) = used.checked_add(claim.units).filter(|after| *after <= claim.limit) else {
            return Ok(Claimed::UsedUp);
        };
        *used = after;
        let remaining = claim.limit - after;
        self.requests.insert(claim.request, Some((claim, remaining)));
        Ok(Claimed::Granted { remaining })
    }

    fn release(&mut self, request: RequestId) -> bool {
        let Some(Some((claim, _))) = self.requests.insert(request, None) else { return false };
        if let Some(used) = self.used.get_mut(&claim.payment_hash) {
            *used -= claim.units;
        }
        true
    }

    fn settle(&mut self, payment_hash: Hash, settled: Settled) {
        let first = self.settled.entry(payment_hash).or_insert_with(|| settled.clone());
        first.preimage = first.preimage.or(settled.preimage);
    }
}

impl Store for Model {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Claimed, StoreError>> {
        self.with(|state| state.claim(claim))
    }

    fn release(&self, _: Hash, request: RequestId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.with(|state| Ok(state.release(request)))
    }

    fn used(&self, payment_hash: Hash) -> BoxFuture<'_, Result<u32, StoreError>> {
        self.with(|state| Ok(state.used.get(&payment_hash).copied().unwrap_or(0)))
    }

    fn settled_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<Settled>, StoreError>> {
        self.with(|state| Ok(state.settled.get(&payment_hash).cloned()))
    }

    fn settled_put(&self, payment_hash: Hash, settled: Settled) -> BoxFuture<'_, Result<(), StoreError>> {
        self.with(|state| {
            state.settle(payment_hash, settled);
            Ok(())
        })
    }

    fn rate_take<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Taken> {
        Box::pin(ready(self.rates.take(key, rate)))
    }

    fn rate_give_back<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, ()> {
        self.rates.give_back(key, rate);
        Box::pin(ready(()))
    }
}

impl Notes for Model {
    fn note_put(&self, payment_hash: Hash, note: String) -> BoxFuture<'_, Result<(), StoreError>> {
        self.with(|state| {
            state.notes.entry(payment_hash).or_insert(note);
            Ok(())
        })
    }

    fn note_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        self.with(|state| Ok(state.notes.get(&payment_hash).cloned()))
    }
}
