//! What the operator's log says of a wallet: one line when something begins to fail and one when all is well again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use lightning::LightningError;
use tokio::time::Instant;

use super::backend::Backend;

/// What a wallet is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    /// To make an invoice.
    Create,
    /// To look one up.
    LookUp,
    /// To take one back.
    Cancel,
    /// How it is.
    Probe,
}

/// What fails, as the last call of each kind told.
#[derive(Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Default)]
struct State {
    /// Why, by kind.
    failing: HashMap<Call, Trouble>,
    /// When a call of each kind failed last.
    failed_at: HashMap<Call, Instant>,
    /// Whether any call ever succeeded.
    answered: bool,
}

struct Trouble {
    text: String,
    /// The wallet was not reached at all.
    unreachable: bool,
}

impl Health {
    /// Takes note of how a call ended that was `begun` then, and logs a change. What went well and was begun before
    /// something failed says nothing of how the wallet is since.
    pub(super) fn note<T>(
        &self,
        backend: &Backend,
        call: Call,
        begun: Instant,
        result: &Result<T, LightningError>,
    ) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = backend.name.as_str();
        match result {
            Ok(_) if state.failed_at.get(&call).is_some_and(|failed| begun < *failed) => {}
            Ok(_) => {
                let before = state.failing.len();
                // Any answer shows that the wallet is reached, and the probe is not repeated.
                state
                    .failing
                    .retain(|kind, trouble| *kind != call && *kind != Call::Probe && !trouble.unreachable);
                let mended = state.failing.len() < before;
                let first = !std::mem::replace(&mut state.answered, true);
                if mended && state.failing.is_empty() {
                    tracing::info!(backend = name, "the backend answers again");
                } else if first {
                    tracing::info!(backend = name, "the backend answers");
                }
            }
            Err(error) => {
                state.failed_at.insert(call, Instant::now());
                let unreachable = matches!(error, LightningError::Unavailable { .. });
                let trouble = Trouble { text: error.to_string(), unreachable };
                // One trouble of several kinds of calls is one line.
                let known = state.failing.values().any(|failing| failing.text == trouble.text);
                state.failing.insert(call, trouble);
                if !known {
                    drop(state);
                    complain(backend, call, error);
                }
            }
        }
    }

    #[cfg(test)]
    fn is_failing(&self) -> bool {
        !self.0.lock().unwrap().failing.is_empty()
    }
}

fn complain(backend: &Backend, call: Call, error: &LightningError) {
    let calls = backend.lightning.calls();
    let call = match call {
        Call::Create => calls.create,
        Call::LookUp => calls.look_up,
        Call::Cancel => calls.cancel.unwrap_or_default(),
        Call::Probe => calls.health,
    };
    let backend_name = backend.name.as_str();
    match error {
        LightningError::Refused(_) | LightningError::Wrong(_) => tracing::error!(
            backend = backend_name, call, %error,
            "the backend does not do what it is asked; clients get 502. Check what the wallet lets l402d do, and its log"
        ),
        LightningError::TimedOut => tracing::error!(
            backend = backend_name, call, %error,
            "the backend is silent; clients that need it get 504 until it answers. {}",
            backend.lightning.when_silent()
        ),
        LightningError::Unavailable { .. } => tracing::error!(
            backend = backend_name, call, %error,
            "the backend is down; clients that need it get 503 until it is back. \
             Check that the wallet runs, and its address and credentials"
        ),
    }
}

/// Asks once at the start, for the log only.
pub(super) async fn probe(backend: Arc<Backend>) {
    if let Ok(health) = backend.call(Call::Probe, backend.lightning.health()).await {
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

    use store::{Model, NoIssuedInvoices};

    use super::*;
    use crate::testing::Wallet;

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_before_a_failure_does_not_end_an_outage() {
        let backend = Backend::new(
            "a".into(),
            Arc::new(Wallet::new()),
            Arc::new(Model::new()),
            Arc::new(NoIssuedInvoices),
        );
        let (health, down) = (Health::default(), Err::<(), _>(LightningError::TimedOut));
        let early = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        health.note(&backend, Call::Create, Instant::now(), &down);
        health.note(&backend, Call::Create, early, &Ok(()));
        assert!(health.is_failing());
        health.note(&backend, Call::LookUp, Instant::now(), &Ok(()));
        assert!(health.is_failing(), "of another kind");
        tokio::time::advance(Duration::from_secs(1)).await;
        health.note(&backend, Call::Create, Instant::now(), &Ok(()));
        assert!(!health.is_failing());
    }

    #[tokio::test(start_paused = true)]
    async fn any_answer_ends_what_kept_the_wallet_from_being_reached() {
        let backend = Backend::new(
            "a".into(),
            Arc::new(Wallet::new()),
            Arc::new(Model::new()),
            Arc::new(NoIssuedInvoices),
        );
        let health = Health::default();
        let away = || {
            let (text, retry_after) = ("away".to_owned(), Duration::from_secs(1));
            Err::<(), _>(LightningError::Unavailable { text, retry_after })
        };
        health.note(&backend, Call::Probe, Instant::now(), &away());
        health.note(&backend, Call::LookUp, Instant::now(), &away());
        tokio::time::advance(Duration::from_secs(1)).await;
        health.note(&backend, Call::Create, Instant::now(), &Ok(()));
        assert!(!health.is_failing());
    }
}
