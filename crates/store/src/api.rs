//! The trait that every store fulfils, its calls and their answers.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use l402::Preimage;

use crate::{Rate, Taken};

/// A future that can be sent to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A payment hash, as raw bytes.
pub type Hash = [u8; 32];

/// Names one redemption of a payment; unique, chosen by whoever asks, repeated in a resend.
pub type RequestId = [u8; 16];

/// How long a request id is remembered (for resends and releases). A resend happens within the agent
/// time-out (seconds) of the first sending; an hour also covers a response that streams for long before
/// it is known to have failed. The *units* a claim drew are remembered for ever.
pub const KEEP_REQUESTS: Duration = Duration::from_secs(3600);

/// Durable claims and settlements.
///
/// A call that was started is carried out even when its future is dropped: whoever gives up on a
/// [`Store::claim`] calls [`Store::release`] with the same id.
pub trait Store: Send + Sync {
    /// Draws `units` from what a payment bought, if that leaves `used ≤ limit`. Durable once it answers.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was granted then, and nothing may be served.
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Claimed, StoreError>>;

    /// The same where the preimage is at hand: other hosts, where there are any, get to know with the draw, or soon after, that
    /// the payment is settled. What gets lost of that costs one of them a question to its node.
    ///
    /// # Errors
    /// As [`Store::claim`].
    fn claim_proved(&self, claim: Claim, _preimage: Preimage) -> BoxFuture<'_, Result<Claimed, StoreError>> {
        self.claim(claim)
    }

    /// Gives back what the request drew from this payment, once, and closes its id. Answers whether something
    /// was given back.
    ///
    /// # Errors
    /// [`StoreError`]; the draw may stand then, and the call may be repeated.
    fn release(&self, payment_hash: Hash, request: RequestId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// The units that were drawn from a payment so far; as many as there can be where the payment is spent altogether.
    ///
    /// # Errors
    /// [`StoreError`]
    fn used(&self, payment_hash: Hash) -> BoxFuture<'_, Result<u32, StoreError>>;

    /// The settlement of a payment, if it was recorded.
    ///
    /// # Errors
    /// [`StoreError`]
    fn settled_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<Settled>, StoreError>>;

    /// Records a settlement, for ever. The first record stays; a later one can only add a missing preimage.
    ///
    /// # Errors
    /// [`StoreError`]
    fn settled_put(&self, payment_hash: Hash, settled: Settled) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Takes one of what may be done so often under this name. Kept for the window only, and no longer than the
    /// process where the store is not shared. Never fails: a store that can't be reached counts for itself.
    fn rate_take<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Taken>;

    /// Gives back one that was taken under this name. Never fails: what can't be given back comes back with time.
    fn rate_give_back<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, ()>;

    /// Whether other hosts draw on the same store, so that what this one learns is worth telling.
    fn is_shared(&self) -> bool {
        false
    }
}

/// What [`Store::claim`] is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The payment that is drawn on.
    pub payment_hash: Hash,
    /// Names this redemption.
    pub request: RequestId,
    /// The most units that the presenting token lets anyone have drawn from the payment.
    pub limit: u32,
    /// How many units this redemption draws (a request is 1).
    pub units: u32,
}

/// What a claim came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The units are drawn, durably.
    Granted {
        /// Units left under the claim's limit, as of this draw.
        remaining: u32,
    },
    /// Fewer units are left than were asked for; nothing was drawn.
    UsedUp,
    /// This request id was released before; nothing was drawn.
    Released,
}

/// A payment that arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct Settled {
    /// The preimage, where the node tells it.
    pub preimage: Option<[u8; 32]>,
    /// What arrived, in msat; 0 where whoever recorded it did not know.
    pub received_msat: u64,
    /// When it was recorded, in Unix seconds.
    pub at: u64,
}

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settled")
            .field("preimage", &self.preimage.map(|_| "redacted"))
            .field("received_msat", &self.received_msat)
            .field("at", &self.at)
            .finish()
    }
}

/// Why a store could not answer. Nothing was granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The storage failed (disk full, I/O error, locked too long, no answer): the operator's to mend, worth a
    /// retry. Whether what was asked was carried out is not known.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store can't be reached, or refused: what was asked was not carried out. Worth a retry.
    #[error("the store can't be used: {0}")]
    NotCarriedOut(String),
    /// One request id was used for two different payments: a mistake of the caller that a store may notice.
    #[error("a request id was used for two payments")]
    RequestReused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_settlement_hides_the_preimage() {
        let settled = Settled { preimage: Some([0xab; 32]), received_msat: 7, at: 1 };
        let text = format!("{settled:?}");
        assert!(text.contains("redacted") && !text.contains("171") && !text.contains("ab, "), "{text}");
    }
}
