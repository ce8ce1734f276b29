//! What an operator lists for a path while everything runs: its price, and who is paid.

use crate::{BoxFuture, StoreError};

/// What is listed for a path, as the operator wrote it. Whoever reads it judges it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The price in msat.
    pub price: Option<String>,
    /// The Lightning address that is paid.
    pub payee: Option<String>,
}

/// A list of prices that hosts share.
pub trait Prices: Send + Sync {
    /// What is listed for this path now. Answers within a quarter of a second.
    ///
    /// # Errors
    /// [`StoreError`]: not known now.
    fn listed<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Listed, StoreError>>;
}
