//! Notes: what a wallet has to know again of an invoice that it can't find by the payment hash.

use std::time::Duration;

use crate::{BoxFuture, Hash, StoreError};

/// How long a note is kept. A client that brings its macaroon alone does so while it still waits, seconds after it paid;
/// a month later it needs the preimage.
pub const KEEP_NOTES: Duration = Duration::from_secs(30 * 86_400);

/// How many notes are kept: the newest. At some 200 bytes each it bounds what a flood of challenges can fill a disk with.
pub const MAX_NOTES: u64 = 1_000_000;

/// One text for each invoice, durable, for [`KEEP_NOTES`] at least unless [`MAX_NOTES`] newer ones came.
pub trait Notes: Send + Sync {
    /// Writes the note of an invoice. Durable once it answers. The first one stays.
    ///
    /// # Errors
    /// [`StoreError`]; it may not be there then.
    fn note_put(&self, payment_hash: Hash, note: String) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The note of an invoice.
    ///
    /// # Errors
    /// [`StoreError`]
    fn note_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<String>, StoreError>>;
}
