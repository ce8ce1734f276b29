//! Payments that the node pushes: recorded, and whoever waits for one is woken.

use std::{sync::Arc, time::Duration};

use lightning::Settlement;
use store::Settled;
use tokio::{task::JoinSet, time::sleep};

use super::{backend::Backend, unix_now};

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

/// What was not handed out by this process is left to a look-up: a node may be shared with other software.
async fn arrived(backend: Arc<Backend>, settlement: Settlement) {
    let Settlement { payment_hash, preimage, received } = settlement;
    let known = {
        let issued = backend.issued();
        issued.contains(&payment_hash) && !issued.is_settled(&payment_hash)
    };
    if !known {
        return;
    }
    let preimage = preimage.map(|preimage| *preimage.expose());
    let settled = Settled { preimage, received_msat: received.0, at: unix_now() };
    match backend.record(payment_hash, settled).await {
        Ok(true) => tracing::debug!(backend = backend.name, %payment_hash, "settled"),
        Ok(false) => {}
        // Nothing is lost: a look-up finds it again.
        Err(failure) => {
            tracing::error!(backend = backend.name, %payment_hash, reason = failure.reason, "not recorded");
        }
    }
}
