//! BOLT12 through Core Lightning: each challenge is an invoice that `fetchinvoice` brings for the operator's own offer.
//!
//! The node makes and keeps these invoices as any others, so that look-ups and payments are as in [`cln`](crate::cln).

mod invoice;
mod tlv;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use l402::{Msat, PaymentHash};
use serde_json::json;
use settings::Bolt12Settings;
use tokio::sync::mpsc;

use crate::cln::Cln;
use crate::http::deadline;
use crate::{
    Calls, Cancelled, Health, Invoice, InvoiceRequest, Lightning, LightningError, Lookup, Network, Reply,
    Settlement, unix_now,
};
use invoice::Offer;

/// Opens the wallet that `settings` describes. The one time-out bounds connecting too.
pub(crate) fn open(settings: &Bolt12Settings, timeout: Duration) -> Result<Arc<dyn Lightning>, String> {
    Ok(Arc::new(Bolt12::new(settings, timeout)?))
}

/// When a BOLT12 invoice was made, Unix seconds.
pub(crate) fn made_at(invoice: &str) -> Option<u64> {
    invoice::made_at(invoice)
}

/// A wallet that is an offer of a CLN.
pub struct Bolt12 {
    cln: Cln,
    offer: Offer,
    /// The network of the first good invoice.
    seen: OnceLock<Network>,
}

impl Bolt12 {
    /// A wallet on this offer; every call takes at most `timeout`. Nothing is connected before the first call.
    ///
    /// # Errors
    /// The operator's: an offer or a certificate that can't be used.
    pub fn new(settings: &Bolt12Settings, timeout: Duration) -> Result<Bolt12, String> {
        let offer = Offer::parse(&settings.offer)?;
        Ok(Bolt12 { cln: Cln::new(&settings.cln, timeout)?, offer, seen: OnceLock::new() })
    }

    async fn fetch(&self, ask: &InvoiceRequest) -> Result<Invoice, LightningError> {
        let deadline = deadline(self.cln.timeout());
        let network = self.cln.network(deadline).await?;
        let mut params = json!({
            "offer": &*self.offer.text,
            // The node need not try for longer than we wait.
            "timeout": self.cln.timeout().as_secs().max(1),
        });
        match self.offer.amount {
            // An offer for any amount wants one, and one for an amount none.
            None => params["amount_msat"] = ask.amount.0.into(),
            Some(amount) if amount == ask.amount => {}
            Some(amount) => {
                return Err(LightningError::Refused(format!(
                    "the offer asks for {amount}, the price is {}: make an offer for any amount (lightning-cli \
                     offer any …)",
                    ask.amount
                )));
            }
        }
        let text = self.cln.fetch_invoice(&params, deadline).await?;
        let network = network.or_else(|| self.seen.get().copied());
        let checked = self.offer.check(&text, ask.amount, network, unix_now())?;
        let _ = self.seen.set(checked.network);
        Ok(Invoice { payment_hash: checked.payment_hash, bolt11: text, expires_at: checked.expires_at })
    }
}

impl Lightning for Bolt12 {
    /// The description is the offer's, and the life of the invoice the node's.
    fn create<'a>(&'a self, ask: &'a InvoiceRequest) -> Reply<'a, Invoice> {
        Box::pin(self.fetch(ask))
    }

    fn look_up(&self, hash: PaymentHash) -> Reply<'_, Lookup> {
        self.cln.look_up(hash)
    }

    /// lightningd deletes the invoice of an offer as any other; the offer stays.
    fn cancel(&self, hash: PaymentHash) -> Reply<'_, Cancelled> {
        self.cln.cancel(hash)
    }

    fn settlements(&self) -> mpsc::Receiver<Settlement> {
        self.cln.settlements()
    }

    fn health(&self) -> Reply<'_, Health> {
        self.cln.health()
    }

    fn calls(&self) -> Calls {
        Calls { kind: "BOLT12", create: "fetchinvoice", ..crate::cln::CALLS }
    }

    fn offer(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.offer.text))
    }

    /// An offer for an amount is for no other.
    fn least(&self) -> Reply<'_, Msat> {
        Box::pin(async { Ok(self.offer.amount.unwrap_or(Msat(1000))) })
    }

    fn try_push(&self) -> Reply<'_, bool> {
        self.cln.try_push()
    }
}
