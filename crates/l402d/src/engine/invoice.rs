//! A new invoice for a challenge.

use agent_api::Fault;
use l402::{Msat, PaymentHash};
use lightning::InvoiceRequest;

use super::{Engine, Failure, INVOICE_EXPIRY_S, unix_now};

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

impl Engine {
    /// Makes an invoice over `amount_msat`.
    ///
    /// # Errors
    /// [`Failure`]: the wallet's, or too much is asked at once.
    pub async fn invoice(
        &self,
        backend: &str,
        amount_msat: u64,
        description: String,
    ) -> Result<Ready, Failure> {
        let backend = self.backend(backend)?;
        let ask = InvoiceRequest { amount: Msat(amount_msat), description, expiry_s: INVOICE_EXPIRY_S };
        let made = backend.call(backend.lightning.create(&ask)).await?;
        let mut nonce = [0; 28];
        getrandom::fill(&mut nonce)
            .map_err(|error| Failure::internal(format!("no random bytes: {error}")))?;
        let new = backend.issued().add(
            made.payment_hash,
            made.bolt11.clone(),
            made.expires_at,
            amount_msat,
            unix_now(),
        );
        if !new {
            // Two clients would pay one invoice, and one of them for nothing.
            let reason = format!("the Lightning node returned the invoice {} twice", made.payment_hash);
            return Err(Failure { fault: Fault::Refused, reason });
        }
        Ok(Ready { payment_hash: made.payment_hash, bolt11: made.bolt11, nonce, expires_at: made.expires_at })
    }
}
