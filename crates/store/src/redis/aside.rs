//! What a challenge asks of Redis and can do without: it waits a moment for the answer, and no longer at all once
//! Redis has been silent. Then one in a second tries.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use crate::StoreError;

/// How long a challenge waits.
const PATIENCE: Duration = Duration::from_millis(250);
/// From one that waited in vain to the next that waits.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether it is worth waiting: until when it is not.
#[derive(Default)]
pub(super) struct Aside(Mutex<Option<Instant>>);

impl Aside {
    /// The outcome of the call, if it comes soon.
    ///
    /// # Errors
    /// The call's, or that Redis is silent.
    pub(super) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if !self.is_worth_waiting() {
            return Err(StoreError::NotCarriedOut("Redis has been silent lately".into()));
        }
        match timeout(PATIENCE, call).await {
            Ok(outcome) => {
                // A refusal that comes at once costs nobody time.
                *self.lock() = None;
                outcome
            }
            Err(_) => {
                *self.lock() = Some(Instant::now() + PAUSE);
                Err(StoreError::Unavailable(format!("Redis does not answer within {PATIENCE:?}")))
            }
        }
    }

    /// Takes the turn of trying, if that is due: who comes meanwhile does not wait for its outcome.
    fn is_worth_waiting(&self) -> bool {
        let mut silent = self.lock();
        match *silent {
            None => true,
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                *silent = Some(Instant::now() + PAUSE);
                true
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // Nothing that holds it can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_in_a_second_waits_for_a_silent_redis() {
        let (aside, start) = (Aside::default(), Instant::now());
        let waited = async |aside: &Aside| {
            let began = Instant::now();
            aside.ask::<()>(pending()).await.unwrap_err();
            began.elapsed()
        };
        assert_eq!(waited(&aside).await, PATIENCE);
        for _ in 0..100 {
            assert_eq!(waited(&aside).await, Duration::ZERO);
            aside.ask(ready(Ok(()))).await.unwrap_err();
        }
        tokio::time::sleep_until(start + PATIENCE + PAUSE).await;
        assert_eq!(waited(&aside).await, PATIENCE);
        tokio::time::sleep(PAUSE).await;
        // Together with one that tries, nobody waits.
        let (one, other) = tokio::join!(waited(&aside), waited(&aside));
        assert_eq!((one, other), (PATIENCE, Duration::ZERO));
        tokio::time::sleep(PAUSE).await;
        aside.ask(ready(Ok(()))).await.unwrap();
        aside.ask(ready(Ok(()))).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_at_once_has_an_answer() {
        let aside = Aside::default();
        let refused = || ready(Err::<(), _>(StoreError::NotCarriedOut("connection refused".into())));
        for _ in 0..2 {
            assert_eq!(aside.ask(refused()).await, refused().await);
        }
        aside.ask(ready(Ok(()))).await.unwrap();
    }
}
