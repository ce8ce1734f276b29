//! A wallet that can't be opened, in its place: every call says why, so that it costs its own locations only.

use std::future::ready;

use l402::PaymentHash;
use tokio::sync::mpsc;

use crate::{
    Bounds, Calls, Cancelled, Health, Invoice, InvoiceRequest, Lightning, LightningError, Lookup, OpenError,
    Reply, Settlement,
};

/// Stands for a wallet that can't be opened.
pub struct Unusable {
    kind: &'static str,
    reason: String,
}

impl Unusable {
    /// In the place of a wallet of `kind`, such as `NWC`.
    pub fn new(kind: &'static str, error: &OpenError) -> Unusable {
        Unusable { kind, reason: format!("it can't be opened: {}", error.reason) }
    }

    fn refused<T: Send + 'static>(&self) -> Reply<'_, T> {
        Box::pin(ready(Err(LightningError::Refused(self.reason.clone()))))
    }
}

impl Lightning for Unusable {
    fn create<'a>(&'a self, _ask: &'a InvoiceRequest) -> Reply<'a, Invoice> {
        self.refused()
    }

    fn look_up(&self, _hash: PaymentHash) -> Reply<'_, Lookup> {
        self.refused()
    }

    fn cancel(&self, _hash: PaymentHash) -> Reply<'_, Cancelled> {
        self.refused()
    }

    fn settlements(&self) -> mpsc::Receiver<Settlement> {
        let (to, nothing) = mpsc::channel(1);
        // Nothing comes, and it does not end: who listens would begin again.
        tokio::spawn(async move { to.closed().await });
        nothing
    }

    fn health(&self) -> Reply<'_, Health> {
        self.refused()
    }

    fn calls(&self) -> Calls {
        Calls {
            kind: self.kind,
            health: "the settings",
            create: "the settings",
            look_up: "the settings",
            push: "the settings",
            cancel: None,
        }
    }

    fn bounds(&self) -> Reply<'_, Bounds> {
        self.refused()
    }

    fn try_push(&self) -> Reply<'_, bool> {
        self.refused()
    }
}
