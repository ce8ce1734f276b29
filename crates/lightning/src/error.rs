//! What can go wrong with a wallet, and who has to act.

use std::time::Duration;

/// Why a wallet did not do what it was asked. The texts are for the operator's log: they say what to do and hold no
/// secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightningError {
    /// The wallet answered, and refused: the operator has to act.
    #[error("the Lightning node refuses: {0}")]
    Refused(String),
    /// There is no usable connection, or the wallet says that it is not ready: it may work again by itself.
    #[error("the Lightning node is unavailable: {text}")]
    Unavailable {
        /// What happened.
        text: String,
        /// When the next attempt is worth it. Earlier calls fail at once.
        retry_after: Duration,
    },
    /// No answer within the deadline of the call.
    #[error("the Lightning node did not answer in time")]
    TimedOut,
    /// The wallet answered something else than what was asked for: it must not reach a client.
    #[error("the Lightning node returned something else than what was asked for: {0}")]
    Wrong(String),
}

impl LightningError {
    /// Shorthand for [`LightningError::Unavailable`].
    pub(crate) fn unavailable(text: impl Into<String>, retry_after: Duration) -> LightningError {
        LightningError::Unavailable { text: text.into(), retry_after }
    }

    /// The same with another text.
    pub(crate) fn map_text(self, change: impl FnOnce(&str) -> String) -> LightningError {
        match self {
            LightningError::Refused(text) => LightningError::Refused(change(&text)),
            LightningError::Unavailable { text, retry_after } => {
                LightningError::Unavailable { text: change(&text), retry_after }
            }
            LightningError::TimedOut => LightningError::TimedOut,
            LightningError::Wrong(text) => LightningError::Wrong(change(&text)),
        }
    }

    /// Whether another one has the same text, whenever it is worth another attempt.
    pub(crate) fn says_the_same(&self, other: &LightningError) -> bool {
        self.to_string() == other.to_string()
    }
}
