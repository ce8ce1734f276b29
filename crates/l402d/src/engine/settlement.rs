//! Payments that the node pushes: recorded, and whoever waits for one is woken.

use std::{sync::Arc, time::Duration};

use lightning::Settlement;
use tokio::{task::JoinSet, time::sleep};

use super::backend::Backend;

/// Settlements recorded with one commit at most.
const BATCH: usize = 64;
/// Before the subscription is taken up again after it ended, which it should not.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens for as long as l402d runs.
pub(super) async fn listen(backend: Arc<Backend>) {
    loop {
        let mut settlements = backend.lightning.settlements();
        let mut batch = Vec::with_capacity(BATCH);
        while settlements.recv_many(&mut batch, BATCH).await > 0 {
            let mut records = JoinSet::new();
            for settlement in batch.drain(..) {
                records.spawn(arrived(backend.clone(), settlement));
            }
            while records.join_next().await.is_some() {}
        }
        tracing::warn!(backend = backend.name, "the wallet's push of settlements ended; taking it up again");
        sleep(PAUSE).await;
    }
}

/// What was handed out by this l402d or an earlier one is recorded, also where nobody asks; what was not is left alone: a
/// node may be shared with other software.
async fn arrived(backend: Arc<Backend>, settlement: Settlement) {
    let Settlement { payment_hash, preimage, received, .. } = settlement;
    if backend.issued().is_settled(&payment_hash) || !backend.recalls(payment_hash).await {
        return;
    }
    match backend.record(payment_hash, preimage, received).await {
        Ok(()) => tracing::debug!(backend = backend.name, %payment_hash, "settled"),
        // Nothing is lost: a look-up finds it again.
        Err(failure) => {
            tracing::error!(backend = backend.name, %payment_hash, reason = failure.reason, "not recorded");
        }
    }
}
