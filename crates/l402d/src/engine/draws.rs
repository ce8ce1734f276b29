//! Draws on what was paid, and giving them back: those of clients that left, and of claims whose end is not known.
//!
//! Nobody is told that a payment is used up while something of it is being given back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use l402::Preimage;
use store::{Claim, Claimed, Hash, RequestId, Store, StoreError};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Between two tries. It is tried until it is done: what was drawn for nobody is a payment lost.
const PAUSE: Duration = Duration::from_millis(200);
/// At most, after many of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long another draw on the same payment waits for one that is being given back.
const PATIENCE: Duration = Duration::from_secs(2);

/// Draws, and hands over what is to be given back to one task, which tries again where the store fails.
pub(super) struct Draws {
    store: Arc<dyn Store>,
    draws: mpsc::UnboundedSender<Draw>,
    pending: watch::Sender<HashMap<Hash, usize>>,
}

/// One draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The payment that was drawn on.
    pub payment_hash: Hash,
    /// The redemption that drew.
    pub request: RequestId,
}

/// Why nothing was drawn.
#[derive(Debug)]
pub(super) enum Undrawn {
    /// What another request drew is being given back, and that takes long.
    InDoubt,
    /// The store's. Where it may have drawn, that is being given back.
    Store(StoreError),
}

impl Draws {
    pub(super) fn start(store: Arc<dyn Store>) -> Self {
        // Unbounded: each was a request in flight, and those are bounded.
        let (draws, waiting) = mpsc::unbounded_channel();
        let (pending, _) = watch::channel(HashMap::new());
        tokio::spawn(work(store.clone(), waiting, pending.clone()));
        Self { store, draws, pending }
    }

    /// Draws from a payment, durably. The preimage is for other hosts, which may not know it.
    pub(super) async fn draw(&self, claim: Claim, preimage: Option<Preimage>) -> Result<Claimed, Undrawn> {
        let Claim { payment_hash, request, .. } = claim;
        if !self.settled_of(&payment_hash).await {
            return Err(Undrawn::InDoubt);
        }
        let drawn = match preimage {
            Some(preimage) => self.store.claim_proved(claim, preimage).await,
            None => self.store.claim(claim).await,
        };
        if !matches!(drawn, Ok(_) | Err(StoreError::NotCarriedOut(_))) {
            // Whether it was drawn is not known for certain: give back in any case.
            self.release(Draw { payment_hash, request });
        }
        drawn.map_err(Undrawn::Store)
    }

    pub(super) fn release(&self, draw: Draw) {
        self.pending.send_modify(|pending| *pending.entry(draw.payment_hash).or_default() += 1);
        if self.draws.send(draw).is_err() {
            tracing::error!("a draw of a client that left can't be given back: l402d is stopping");
            done(&self.pending, draw.payment_hash);
        }
    }

    /// Waits until nothing of this payment is left to give back, for a while; whether that is so.
    async fn settled_of(&self, payment_hash: &Hash) -> bool {
        if !self.pending.borrow().contains_key(payment_hash) {
            return true;
        }
        let mut pending = self.pending.subscribe();
        let given_back = pending.wait_for(|pending| !pending.contains_key(payment_hash));
        matches!(timeout(PATIENCE, given_back).await, Ok(Ok(_)))
    }

    /// Waits until nothing is left to give back.
    pub(super) async fn settled(&self) {
        // The sender is our own, so there is always an answer.
        let _ = self.pending.subscribe().wait_for(HashMap::is_empty).await;
    }
}

fn done(pending: &watch::Sender<HashMap<Hash, usize>>, payment_hash: Hash) {
    pending.send_modify(|pending| {
        if let Some(count) = pending.get_mut(&payment_hash) {
            *count -= 1;
            if *count == 0 {
                pending.remove(&payment_hash);
            }
        }
    });
}

async fn work(
    store: Arc<dyn Store>,
    mut waiting: mpsc::UnboundedReceiver<Draw>,
    pending: watch::Sender<HashMap<Hash, usize>>,
) {
    let mut releases = JoinSet::new();
    loop {
        tokio::select! {
            draw = waiting.recv() => match draw {
                Some(draw) => { releases.spawn(release(store.clone(), draw)); }
                None => break,
            },
            Some(ended) = releases.join_next() => if let Ok(payment_hash) = ended {
                done(&pending, payment_hash);
            },
        }
    }
    while releases.join_next().await.is_some() {}
}

async fn release(store: Arc<dyn Store>, Draw { payment_hash, request }: Draw) -> Hash {
    let (mut pause, mut said) = (PAUSE, false);
    while let Err(error) = store.release(payment_hash, request).await {
        if !said {
            tracing::warn!(%error, "the draw of a client that left can't be given back yet; trying on");
            said = true;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    payment_hash
}
