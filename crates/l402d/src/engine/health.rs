//! What the operator's log says of a wallet: one line when it goes down and one when it is back.

use std::sync::{Arc, Mutex, PoisonError};

use lightning::LightningError;
use tokio::time::Instant;

use super::backend::Backend;

/// How a wallet stands, as its last call told.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Unknown,
    Up,
    Refusing,
    Down,
}

/// The state of a wallet, and when a call failed last.
#[derive(Default)]
pub(super) struct Health(Mutex<(Standing, Option<Instant>)>);

impl Health {
    /// Takes note of how a call ended that was `begun` then, and logs a change. What went well and was begun before something
    /// failed says nothing of how the wallet stands since.
    pub(super) fn note<T>(&self, backend: &str, begun: Instant, result: &Result<T, LightningError>) {
        let now = match result {
            Ok(_) => Standing::Up,
            Err(LightningError::Refused(_) | LightningError::Wrong(_)) => Standing::Refusing,
            Err(LightningError::Unavailable { .. } | LightningError::TimedOut) => Standing::Down,
        };
        let before = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if result.is_err() {
                state.1 = Some(Instant::now());
            } else if state.1.is_some_and(|failed| begun < failed) {
                return;
            }
            std::mem::replace(&mut state.0, now)
        };
        match result {
            _ if before == now => {}
            Ok(_) if before == Standing::Unknown => tracing::info!(backend, "the backend answers"),
            Ok(_) => tracing::info!(backend, "the backend answers again"),
            Err(error) if now == Standing::Refusing => tracing::error!(
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_before_a_failure_does_not_end_an_outage() {
        let (health, down) = (Health::default(), Err::<(), _>(LightningError::TimedOut));
        let standing = || health.0.lock().unwrap().0;
        let early = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        health.note("a", Instant::now(), &down);
        health.note("a", early, &Ok(()));
        assert!(standing() == Standing::Down);
        tokio::time::advance(Duration::from_secs(1)).await;
        health.note("a", Instant::now(), &Ok(()));
        assert!(standing() == Standing::Up);
    }
}
