//! Taking an unpaid invoice back: lightningd deletes it, and lets nobody pay what it does not have.

use std::sync::atomic::Ordering;

use l402::PaymentHash;
use serde_json::json;
use tokio::time::Instant;

use super::Cln;
use super::link::Failure;
use super::message::{self, Standing};
use super::refusal::{INVOICE_NOT_FOUND, Method, NOT_PERMITTED, STATUS_CHANGED};
use crate::http::deadline;
use crate::{Cancelled, LightningError};

impl Cln {
    /// By its hash the invoice is found, by its label deleted: that of an offer's invoice is the node's own choice.
    pub(super) async fn delete_invoice(&self, hash: PaymentHash) -> Result<Cancelled, LightningError> {
        let deadline = deadline(self.timeout);
        let Standing::Unpaid { label } = self.standing(hash, deadline).await? else {
            return Ok(Cancelled::Done);
        };
        // lightningd compares the status and deletes in one step: whoever pays in between has paid.
        let params = json!({ "label": label, "status": "unpaid" });
        match self.link.call(Method::DelInvoice, &params, deadline).await {
            Ok(_) => Ok(Cancelled::Done),
            Err(Failure::Answer(error)) if error.code == INVOICE_NOT_FOUND => Ok(Cancelled::Done),
            Err(Failure::Answer(error)) if error.code == STATUS_CHANGED => {
                match self.standing(hash, deadline).await? {
                    Standing::Gone => Ok(Cancelled::Done),
                    Standing::Unpaid { .. } => Err(Failure::Answer(error).of(Method::DelInvoice)),
                }
            }
            Err(Failure::Answer(error)) if NOT_PERMITTED.contains(&error.code) => {
                let reason = Failure::Answer(error).of(Method::DelInvoice);
                if !self.told_that_it_cannot_cancel.swap(true, Ordering::Relaxed) {
                    tracing::warn!("invoices that nobody got stay in the node until they expire: {reason}");
                }
                Ok(Cancelled::CannotCancel)
            }
            Err(failure) => Err(failure.of(Method::DelInvoice)),
        }
    }

    /// Whether there is still something to cancel; a paid one is an error.
    async fn standing(&self, hash: PaymentHash, deadline: Instant) -> Result<Standing, LightningError> {
        message::standing(hash, self.list_invoices(hash, deadline).await?)
    }
}
