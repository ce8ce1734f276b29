//! What a wallet has to remember of an invoice for longer than a process lives.

use l402::PaymentHash;

use crate::api::Reply;

/// A place for notes, one for each invoice. Only wallets that can't find an invoice by its payment hash need it.
pub trait Notes: Send + Sync {
    /// Keeps the note of an invoice, durably once it answers. A client may come back long after the invoice was made, so a
    /// note is kept for at least 30 days.
    fn keep(&self, hash: PaymentHash, note: String) -> Reply<'_, ()>;

    /// The note of an invoice, if there is one.
    fn find(&self, hash: PaymentHash) -> Reply<'_, Option<String>>;
}
