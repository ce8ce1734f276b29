//! The one place where an error of a wallet or the store becomes a fault that a front end answers.

use std::time::Duration;

use agent_api::Fault;
use lightning::LightningError;
use store::StoreError;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it is.
    pub fault: Fault,
    /// For the operator's log, without secrets.
    pub reason: String,
}

impl Failure {
    /// Too much is asked at once; worth another try in a second.
    pub fn busy(reason: impl Into<String>) -> Self {
        Self { fault: Fault::Unavailable { retry_after_s: 1 }, reason: reason.into() }
    }

    /// A mistake of ours.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self { fault: Fault::Internal, reason: reason.into() }
    }
}

impl From<LightningError> for Failure {
    fn from(error: LightningError) -> Self {
        let fault = match &error {
            LightningError::Refused(_) | LightningError::Wrong(_) => Fault::Refused,
            LightningError::Unavailable { retry_after, .. } => {
                Fault::Unavailable { retry_after_s: whole_seconds(*retry_after) }
            }
            LightningError::TimedOut => Fault::TimedOut,
        };
        Self { fault, reason: error.to_string() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let fault = match &error {
            StoreError::Unavailable(_) | StoreError::NotCarriedOut(_) => {
                Fault::Unavailable { retry_after_s: 1 }
            }
            StoreError::RequestReused => Fault::Internal,
        };
        Self { fault, reason: error.to_string() }
    }
}

/// Rounded up, and at least one: `Retry-After: 0` would invite a storm.
pub(super) fn whole_seconds(duration: Duration) -> u32 {
    let up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(up).unwrap_or(u32::MAX).max(1)
}
