//! An invoice for a challenge: one that is ready, or a new one.

use std::sync::Arc;

use agent_api::Fault;
use l402::{Msat, PaymentHash};
use lightning::{Invoice, InvoiceRequest};
use tokio::time::Instant;

use super::{Engine, Failure, INVOICE_EXPIRY_S, backend::Backend, health::Call, pool::Wanted, unix_now};

/// An invoice that may reach a client: its hash, amount, network and time to pay were judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its payment hash.
    pub payment_hash: PaymentHash,
    /// The invoice (BOLT 11, or of a BOLT 12 offer).
    pub bolt11: String,
    /// The BOLT 12 offer that it is of, where it is of one.
    pub offer: Option<Arc<str>>,
    /// 28 random bytes for the id of its token.
    pub nonce: [u8; 28],
    /// When it expires, in Unix seconds.
    pub expires_at: u64,
}

impl Ready {
    pub(super) fn new(made: Invoice, offer: Option<Arc<str>>) -> Result<Self, Failure> {
        let mut nonce = [0; 28];
        getrandom::fill(&mut nonce)
            .map_err(|error| Failure::internal(format!("no random bytes: {error}")))?;
        let Invoice { payment_hash, bolt11, expires_at, .. } = made;
        Ok(Self { payment_hash, bolt11, offer, nonce, expires_at })
    }
}

impl Engine {
    /// An invoice that says what is `wanted`, which can be paid for [`INVOICE_EXPIRY_S`] or as long as the
    /// wallet's invoices can. `backends` are the names
    /// of one or several, separated by a space: the next one is asked where one fails.
    ///
    /// # Errors
    /// [`Failure`]: the wallet's, or too much is asked at once.
    pub async fn invoice(&self, backends: &str, wanted: Wanted) -> Result<Ready, Failure> {
        match self.ready_invoice(backends, &wanted) {
            Some(ready) => Ok(ready),
            None => self.invoice_of_any(backends, wanted).await,
        }
    }

    /// The same where it takes no wallet: there is one ready.
    pub fn ready_invoice(&self, backends: &str, wanted: &Wanted) -> Option<Ready> {
        self.ready_of_first(backends, wanted)
    }
}

impl Backend {
    /// Makes an invoice for a client.
    pub(super) async fn invoice(self: &Arc<Self>, wanted: Wanted) -> Result<Ready, Failure> {
        let ask = InvoiceRequest {
            amount: Msat(wanted.amount_msat),
            description: wanted.description.clone(),
            expiry_s: INVOICE_EXPIRY_S,
        };
        let begun = Instant::now();
        let made = self.call(Call::Create, self.lightning.create(&ask)).await?;
        let made = Ready::new(made, self.lightning.offer())?;
        if !self.issue(&made, wanted.amount_msat) {
            return Err(self.returned_twice(made.payment_hash));
        }
        self.circuit.works();
        let took = begun.elapsed();
        let life_s = made.expires_at.saturating_sub(unix_now());
        self.stir(|pool| pool.handed_out(wanted, took, life_s, Instant::now()));
        Ok(made)
    }

    /// An invoice that is ready.
    pub(super) fn ready(self: &Arc<Self>, wanted: &Wanted) -> Option<Ready> {
        loop {
            let ready = self.stir(|pool| pool.take(wanted, Instant::now(), unix_now()))?;
            if self.issue(&ready, wanted.amount_msat) {
                return Some(ready);
            }
            tracing::error!(
                backend = self.name,
                reason = self.returned_twice(ready.payment_hash).reason,
                "an invoice that was made ahead is thrown away"
            );
        }
    }

    /// Remembers an invoice that goes to a client; `false` if one did already.
    fn issue(self: &Arc<Self>, ready: &Ready, amount_msat: u64) -> bool {
        self.keep(ready.payment_hash, &ready.bolt11, amount_msat, ready.expires_at)
    }

    /// Two clients would pay one invoice, and one of them for nothing.
    pub(super) fn returned_twice(&self, hash: PaymentHash) -> Failure {
        let reason = format!("the Lightning node returned the invoice {hash} twice");
        Failure { fault: Fault::Refused, reason }
    }
}
