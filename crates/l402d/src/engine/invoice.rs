//! An invoice for a challenge: one that is ready, or a new one.

use std::sync::Arc;

use agent_api::Fault;
use l402::{Msat, PaymentHash};
use lightning::{Invoice, InvoiceRequest};
use tokio::time::Instant;

use super::{Engine, Failure, INVOICE_EXPIRY_S, backend::Backend, pool::Wanted, unix_now};

/// An invoice that may reach a client: the wallet's module has checked its hash, amount, network and expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its payment hash.
    pub payment_hash: PaymentHash,
    /// The invoice (BOLT 11).
    pub bolt11: String,
    /// 28 random bytes for the id of its token.
    pub nonce: [u8; 28],
    /// When it expires, in Unix seconds.
    pub expires_at: u64,
}

impl Ready {
    pub(super) fn new(made: Invoice) -> Result<Self, Failure> {
        let mut nonce = [0; 28];
        getrandom::fill(&mut nonce)
            .map_err(|error| Failure::internal(format!("no random bytes: {error}")))?;
        let Invoice { payment_hash, bolt11, expires_at } = made;
        Ok(Self { payment_hash, bolt11, nonce, expires_at })
    }
}

impl Engine {
    /// An invoice that says what is `wanted`, which can be paid for [`INVOICE_EXPIRY_S`] or longer.
    ///
    /// # Errors
    /// [`Failure`]: the wallet's, or too much is asked at once.
    pub async fn invoice(&self, backend: &str, wanted: Wanted) -> Result<Ready, Failure> {
        if let Some(ready) = self.ready_invoice(backend, &wanted) {
            return Ok(ready);
        }
        let backend = self.backend(backend)?;
        let ask = InvoiceRequest {
            amount: Msat(wanted.amount_msat),
            description: wanted.description.clone(),
            expiry_s: INVOICE_EXPIRY_S,
        };
        let made = Ready::new(backend.call(backend.lightning.create(&ask)).await?)?;
        if !backend.issue(&made, wanted.amount_msat) {
            return Err(backend.returned_twice(made.payment_hash));
        }
        backend.stir(|pool| pool.handed_out(wanted, Instant::now()));
        Ok(made)
    }

    /// The same where it takes no wallet: there is one ready.
    pub fn ready_invoice(&self, backend: &str, wanted: &Wanted) -> Option<Ready> {
        let backend = self.backends.get(backend)?;
        loop {
            let ready = backend.stir(|pool| pool.take(wanted, Instant::now(), unix_now()))?;
            if backend.issue(&ready, wanted.amount_msat) {
                return Some(ready);
            }
            tracing::error!(
                backend = backend.name,
                reason = backend.returned_twice(ready.payment_hash).reason,
                "an invoice that was made ahead is thrown away"
            );
        }
    }
}

impl Backend {
    /// Remembers an invoice that goes to a client; `false` if one did already.
    fn issue(self: &Arc<Self>, ready: &Ready, amount_msat: u64) -> bool {
        self.issued().add(ready.payment_hash, ready.bolt11.clone(), ready.expires_at, amount_msat, unix_now())
    }

    /// Two clients would pay one invoice, and one of them for nothing.
    pub(super) fn returned_twice(&self, hash: PaymentHash) -> Failure {
        let reason = format!("the Lightning node returned the invoice {hash} twice");
        Failure { fault: Fault::Refused, reason }
    }
}
