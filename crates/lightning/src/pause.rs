//! Back-off: how long a wallet that can't be reached is left alone.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::LightningError;

/// Pause after the first failed attempt; it doubles with each further one. Short, because a node that restarts is back
/// within seconds and clients wait for it.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause. There is one client per host, so the node is not stormed, and an operator who mends something does
/// not wait long.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Pause after one more failure when there were `failures` before.
pub(crate) fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_PAUSE)
}

/// Keeps calls away from a wallet whose connections fail: while a failure is being slept off they fail at once.
#[derive(Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    /// Attempts that failed since the wallet last answered.
    failures: u32,
    /// Until when, and why.
    closed: Option<(Instant, String)>,
}

impl Gate {
    /// Whether a call may be tried now.
    ///
    /// # Errors
    /// [`LightningError::Unavailable`] during a pause.
    pub(crate) fn pass(&self) -> Result<(), LightningError> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Result<(), LightningError> {
        match &self.state().closed {
            Some((until, text)) => match until.saturating_duration_since(now) {
                Duration::ZERO => Ok(()),
                left => Err(LightningError::unavailable(text.clone(), left)),
            },
            None => Ok(()),
        }
    }

    /// No connection could be made. Starts a pause, and returns how long it is.
    pub(crate) fn failed(&self, text: &str) -> Duration {
        self.failed_at(text, Instant::now())
    }

    fn failed_at(&self, text: &str, now: Instant) -> Duration {
        let mut state = self.state();
        // Of calls that fail together, the first one counts.
        if let Some((until, _)) = &state.closed
            && *until > now
        {
            return *until - now;
        }
        let pause = pause_after(state.failures);
        state.failures = state.failures.saturating_add(1);
        state.closed = Some((now + pause, text.to_owned()));
        pause
    }

    /// The wallet answered, if only with a refusal.
    pub(crate) fn answered(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        assert_eq!(pause_after(0), FIRST_PAUSE);
        assert_eq!(pause_after(1), FIRST_PAUSE * 2);
        assert_eq!(pause_after(3), FIRST_PAUSE * 8);
        assert_eq!(pause_after(6), LONGEST_PAUSE);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn a_failure_closes_and_an_answer_opens() {
        let (gate, start) = (Gate::default(), Instant::now());
        assert_eq!(gate.failed_at("down", start), FIRST_PAUSE);
        assert_eq!(gate.failed_at("of the same moment", start), FIRST_PAUSE);
        assert_eq!(gate.pass_at(start), Err(LightningError::unavailable("down", FIRST_PAUSE)));
        let later = start + FIRST_PAUSE;
        assert_eq!(gate.pass_at(later), Ok(()));
        assert_eq!(gate.failed_at("down", later), FIRST_PAUSE * 2);
        gate.answered();
        assert_eq!(gate.pass_at(later), Ok(()));
        assert_eq!(gate.failed_at("again", later), FIRST_PAUSE);
    }
}
