//! Draws that are given back: of clients that left, and of claims whose end is not known.

use std::{sync::Arc, time::Duration};

use store::{RequestId, Store};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};

/// Tries before a draw is left drawn, and said so.
const TRIES: u32 = 5;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Hands over what is to be given back to one task, which tries again where the store fails.
pub(super) struct Undo {
    requests: mpsc::UnboundedSender<RequestId>,
    pending: watch::Sender<usize>,
}

impl Undo {
    pub(super) fn start(store: Arc<dyn Store>) -> Self {
        // Unbounded: each was a request in flight, and those are bounded.
        let (requests, waiting) = mpsc::unbounded_channel();
        let (pending, _) = watch::channel(0);
        tokio::spawn(work(store, waiting, pending.clone()));
        Self { requests, pending }
    }

    pub(super) fn release(&self, request: RequestId) {
        self.pending.send_modify(|count| *count += 1);
        if self.requests.send(request).is_err() {
            tracing::error!("a draw of a client that left can't be given back: l402d is stopping");
            self.pending.send_modify(|count| *count -= 1);
        }
    }

    /// Waits until nothing is left to give back.
    pub(super) async fn settled(&self) {
        // The sender is our own, so there is always an answer.
        let _ = self.pending.subscribe().wait_for(|count| *count == 0).await;
    }
}

async fn work(
    store: Arc<dyn Store>,
    mut waiting: mpsc::UnboundedReceiver<RequestId>,
    pending: watch::Sender<usize>,
) {
    let mut releases = JoinSet::new();
    loop {
        tokio::select! {
            request = waiting.recv() => match request {
                Some(request) => { releases.spawn(release(store.clone(), request)); }
                None => break,
            },
            Some(_) = releases.join_next() => pending.send_modify(|count| *count -= 1),
        }
    }
    releases.join_all().await;
}

async fn release(store: Arc<dyn Store>, request: RequestId) {
    for tried in 1..=TRIES {
        match store.release(request).await {
            Ok(_) => return,
            Err(error) if tried == TRIES => {
                tracing::error!(%error, "the draw of a client that left could not be given back");
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}
