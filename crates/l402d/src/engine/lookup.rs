//! Is it paid? From memory, from the store, from the node, which is asked in turn (`turns.rs`).

use std::sync::Arc;

use l402::PaymentHash;
use lightning::Lookup;
use store::Settled;

use super::{Failure, admit::LookUpPermit, backend::Backend, unix_now};

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
        let is_paid = || self.issued().is_settled(&hash);
        let answer = self.look_ups.ask(hash, is_paid, permit.take(), self.look_up(hash)).await;
        answer.unwrap_or(Ok(Ok(Verdict::Paid)))?
    }

    async fn look_up(&self, hash: PaymentHash) -> Result<Verdict, Failure> {
        match self.call(self.lightning.look_up(hash)).await? {
            Lookup::Settled { preimage, received } => {
                let preimage = preimage.map(|preimage| *preimage.expose());
                let settled = Settled { preimage, received_msat: received.0, at: unix_now() };
                let paid = self.record(hash, settled).await?;
                // Too little arrived: this invoice can't be paid any more.
                Ok(if paid { Verdict::Paid } else { Verdict::Dead })
            }
            Lookup::Pending { bolt11, expires_at } => Ok(self.pending(hash, bolt11, expires_at)),
            Lookup::Dead | Lookup::Unknown => Ok(Verdict::Dead),
            Lookup::CannotLookUp => Ok(Verdict::CannotLookUp),
        }
    }

    /// An invoice that can't be shown, or not be paid in time, is as good as none.
    fn pending(&self, hash: PaymentHash, bolt11: Option<String>, expires_at: u64) -> Verdict {
        let bolt11 = bolt11.or_else(|| self.issued().open(&hash).map(|(bolt11, _)| bolt11));
        match bolt11 {
            Some(bolt11) if expires_at > unix_now() => {
                Verdict::Unsettled { bolt11, expires_at, offer: self.lightning.offer() }
            }
            Some(_) | None => Verdict::Dead,
        }
    }
}
