//! What the operator's log says of a wallet: one line when it goes down and one when it is back.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use lightning::LightningError;

use super::backend::Backend;

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const REFUSING: u8 = 2;
const DOWN: u8 = 3;

/// The state of a wallet, as its last call told.
#[derive(Default)]
pub(super) struct Health(AtomicU8);

impl Health {
    /// Takes note of how a call ended, and logs a change.
    pub(super) fn note<T>(&self, backend: &str, result: &Result<T, LightningError>) {
        let now = match result {
            Ok(_) => UP,
            Err(LightningError::Refused(_) | LightningError::Wrong(_)) => REFUSING,
            Err(LightningError::Unavailable { .. } | LightningError::TimedOut) => DOWN,
        };
        let before = self.0.swap(now, Ordering::Relaxed);
        match result {
            _ if before == now => {}
            Ok(_) if before == UNKNOWN => tracing::info!(backend, "the backend answers"),
            Ok(_) => tracing::info!(backend, "the backend answers again"),
            Err(error) if now == REFUSING => tracing::error!(
                backend, %error,
                "the backend does not do what it is asked; clients get 502. Check what the wallet lets l402d do, and its log"
            ),
            Err(error) => tracing::error!(
                backend, %error,
                "the backend is down; clients that need it get 503 or 504 until it is back. \
                 Check that the wallet runs, and its address and credentials"
            ),
        }
    }
}

/// Asks once at the start, for the log only.
pub(super) async fn probe(backend: Arc<Backend>) {
    if let Ok(health) = backend.call(backend.lightning.health()).await {
        let network = health.network.as_deref().unwrap_or("unknown");
        tracing::info!(backend = backend.name, node = health.node, network, "connected");
        if health.synced == Some(false) {
            tracing::warn!(
                backend = backend.name,
                "the node has not caught up with the chain yet; it may be unable to receive payments"
            );
        }
    }
}
