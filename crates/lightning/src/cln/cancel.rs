//! Taking an unpaid invoice back: lightningd deletes it, and lets nobody pay what it does not have.

use std::sync::atomic::Ordering;

use l402::PaymentHash;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::ClnNode;
use super::link::Failure;
use super::message;
use super::refusal::{INVOICE_NOT_FOUND, Method, NOT_PERMITTED, STATUS_CHANGED};
use crate::{Cancelled, LightningError};

impl ClnNode {
    /// By its hash the invoice is found, by its label deleted: that of an offer's invoice is the node's own choice.
    pub(super) async fn delete_invoice(
        &self,
        hash: PaymentHash,
        deadline: Instant,
    ) -> Result<Cancelled, LightningError> {
        let Some(label) = self.to_cancel(hash, deadline).await? else {
            return Ok(Cancelled::Done);
        };
        // lightningd compares the status and deletes in one step: whoever pays in between has paid.
        let params = json!({ "label": label, "status": "unpaid" });
        match self.link.call(Method::DelInvoice, &params, deadline).await {
            Ok(_) => Ok(Cancelled::Done),
            Err(Failure::Answer(error)) if error.code == INVOICE_NOT_FOUND => Ok(Cancelled::Done),
            Err(Failure::Answer(error)) if error.code == STATUS_CHANGED => {
                match self.to_cancel(hash, deadline).await? {
                    Some(_) => Err(Failure::Answer(error).of(Method::DelInvoice)),
                    None => Ok(Cancelled::Done),
                }
            }
            Err(Failure::Answer(error)) if NOT_PERMITTED.contains(&error.code) => {
                if !self.told_that_it_cannot_cancel.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "the rune does not permit delinvoice: invoices that nobody got stay in the node until they expire"
                    );
                }
                Ok(Cancelled::CannotCancel)
            }
            Err(failure) => Err(failure.of(Method::DelInvoice)),
        }
    }

    async fn to_cancel(&self, hash: PaymentHash, deadline: Instant) -> Result<Option<Value>, LightningError> {
        message::to_cancel(hash, &self.list_invoices(hash, deadline).await?)
    }
}
