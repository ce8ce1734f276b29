//! Is it paid? From memory, from the store, from the node, which is asked in turn (`turns.rs`).

use std::sync::Arc;

use l402::PaymentHash;
use lightning::Lookup;

use super::{Failure, admit::LookUpPermit, backend::Backend, health::Call, unix_now};

/// Whether an invoice is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Paid,
    Unsettled { bolt11: String, expires_at: u64, offer: Option<Arc<str>> },
    Dead,
    CannotLookUp,
}

impl Backend {
    /// Says if it is paid: from memory, from the store, from the node, if the permit allows that.
    pub(super) async fn verdict(&self, hash: PaymentHash, permit: &LookUpPermit) -> Result<Verdict, Failure> {
        if self.issued().is_settled(&hash) {
            return Ok(Verdict::Paid);
        }
        if self.store.settled_get(hash.0).await?.is_some() {
            self.issued().settle(hash, unix_now());
            return Ok(Verdict::Paid);
        }
        self.recalls(hash).await;
        let is_paid = || self.issued().is_settled(&hash);
        let answer = self.look_ups.ask(hash, is_paid, permit.take(), self.look_up(hash)).await;
        answer.unwrap_or(Ok(Ok(Verdict::Paid)))?
    }

    async fn look_up(&self, hash: PaymentHash) -> Result<Verdict, Failure> {
        match self.call(Call::LookUp, self.lightning.look_up(hash)).await? {
            Lookup::Settled { preimage, received, .. } => {
                self.record(hash, preimage, received).await?;
                Ok(Verdict::Paid)
            }
            Lookup::Pending { bolt11, expires_at } => Ok(self.pending(hash, bolt11, expires_at)),
            // Some wallets say so of live invoices, and for a while of paid ones: our own record decides.
            Lookup::Unknown | Lookup::Unclear(_) => Ok(self.pending(hash, None, None)),
            Lookup::Dead => Ok(Verdict::Dead),
            Lookup::CannotLookUp => Ok(Verdict::CannotLookUp),
        }
    }

    /// The same invoice for as long as it can be paid, by our own record, or else as the wallet tells. One that can't be
    /// shown is as good as none.
    fn pending(&self, hash: PaymentHash, told: Option<String>, told_expiry: Option<u64>) -> Verdict {
        let known = self.issued().open(&hash);
        match known.or(told.zip(told_expiry)) {
            Some((bolt11, expires_at)) if expires_at > unix_now() => {
                Verdict::Unsettled { bolt11, expires_at, offer: self.lightning.offer() }
            }
            Some(_) | None => Verdict::Dead,
        }
    }
}
