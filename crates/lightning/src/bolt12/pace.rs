//! Spaces calls out: each takes the next free moment, or is told when that would be.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::LightningError;

/// Between two calls. lightningd drops onion messages of a peer beyond four and one each 250 ms.
const INTERVAL: Duration = Duration::from_millis(300);

/// Calls that may follow each other at once, after a while without any.
const BURST: u32 = 3;

/// When the next call may be made.
#[derive(Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits for the next free moment.
    ///
    /// # Errors
    /// It comes too late for a call that has to end at `deadline`, which takes a while itself.
    pub(super) async fn wait(&self, deadline: Instant) -> Result<(), LightningError> {
        let now = Instant::now();
        let moment = {
            let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let earliest = now.checked_sub(INTERVAL * BURST).unwrap_or(now);
            let moment = next.map_or(earliest, |next| next.max(earliest));
            let left = deadline.saturating_duration_since(now);
            let wait = moment.saturating_duration_since(now);
            if wait > left / 2 {
                let text = "the offer leads through a peer, which passes on few messages a second, and others wait \
                            before this one; an offer without a path has no such limit";
                return Err(LightningError::unavailable(text, wait));
            }
            *next = Some(moment + INTERVAL);
            moment
        };
        sleep_until(moment).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_spaced_out_after_a_burst() {
        let (pace, start) = (Pace::default(), Instant::now());
        let deadline = || Instant::now() + Duration::from_secs(10);
        for _ in 0..=BURST {
            pace.wait(deadline()).await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for n in 1..=5 {
            pace.wait(deadline()).await.unwrap();
            assert_eq!(start.elapsed(), INTERVAL * n);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_told_at_once() {
        let pace = Pace::default();
        let waits: Vec<_> = (0..40).map(|_| pace.wait(Instant::now() + Duration::from_secs(6))).collect();
        let start = Instant::now();
        let mut refused = 0;
        for wait in waits {
            refused +=
                usize::from(tokio::time::timeout(Duration::ZERO, wait).await.is_ok_and(|done| done.is_err()));
        }
        assert!(refused > 20, "{refused}");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
