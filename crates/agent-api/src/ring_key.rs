//! A root key as l402d tells it to a front end.
use crate::Secret32;

/// A root key, and which tokens it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingKey {
    /// The key.
    pub secret: Secret32,
    /// It verifies tokens for any number of requests only: what was drawn from the others is not known.
    pub reusable_only: bool,
}

impl From<Secret32> for RingKey {
    fn from(secret: Secret32) -> Self {
        Self { secret, reusable_only: false }
    }
}
