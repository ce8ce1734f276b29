//! The ledger: which payment each piece of ecash is of, over all hosts.

use std::time::Duration;

use crate::{BoxFuture, StoreError};

/// Pieces of ecash, by their names, and a note of the payment that they are of. All pieces of a payment are entered together
/// or not at all. Each call may be repeated. A note may hold a preimage.
pub trait Ledger: Send + Sync {
    /// Enters these pieces with this note, unless one of them is entered already; for so long, or for ever. Durable once it
    /// answers.
    ///
    /// # Errors
    /// [`StoreError`]; they may be entered then.
    fn enter<'a>(
        &'a self,
        pieces: &'a [String],
        note: &'a str,
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<Entered, StoreError>>;

    /// Enters these pieces with this note, in place of whatever they were entered with; for so long, or for ever.
    ///
    /// # Errors
    /// [`StoreError`]; they may be entered then.
    fn confirm<'a>(
        &'a self,
        pieces: &'a [String],
        note: &'a str,
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Takes out those of these pieces that are entered with this note.
    ///
    /// # Errors
    /// [`StoreError`]; they may be out then.
    fn withdraw<'a>(&'a self, pieces: &'a [String], note: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// What pieces of ecash were found to be.
#[derive(Clone, PartialEq, Eq)]
pub enum Entered {
    /// In no payment: they are entered now.
    New,
    /// All entered with this note. There may be others with the same.
    Known(String),
    /// Not all with the same note, or some only: part of another payment, or of several.
    Mixed,
}

impl std::fmt::Debug for Entered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::New => "New",
            Self::Known(_) => "Known",
            Self::Mixed => "Mixed",
        })
    }
}
