//! Ecash as a payment: from here on it has a payment hash and a preimage, and is drawn from like any other.

use std::{sync::Arc, time::Duration};

use agent_api::Fault;
use ecash::{AcceptError, Paid, Till, Unavailable};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Engine, Failure};
use crate::apart::Apart;

/// When it is worth trying again while a mint is away.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The till, and where it works.
pub struct Counter {
    till: Arc<Till>,
    apart: Apart,
}

impl Counter {
    /// A till that was opened there.
    #[must_use]
    pub fn new(till: Till, apart: Apart) -> Self {
        Self { till: Arc::new(till), apart }
    }

    /// The till itself, for who computes little or holds nobody up.
    pub(super) fn till(&self) -> &Till {
        &self.till
    }

    async fn accept(
        &self,
        token: &str,
        price_msat: u64,
        bought: [u8; 32],
        payee: &str,
    ) -> Result<Result<Paid, AcceptError>, Failure> {
        let (till, token, payee) = (self.till.clone(), Zeroizing::new(token.to_owned()), payee.to_owned());
        let accepted = self.apart.run(async move { till.accept(&token, price_msat, bought, &payee).await });
        accepted.await.map_err(|_| {
            Failure::internal("the ecash wallet has a fault, the log says which; please report it")
        })
    }
}

/// What became of ecash that a client sent.
#[derive(Debug)]
pub enum Taken {
    /// It is a payment. The same ecash for the same terms always comes to the same one.
    Paid {
        /// What it goes by.
        payment_hash: [u8; 32],
        /// Its preimage.
        preimage: Zeroizing<[u8; 32]>,
        /// 28 random bytes for the id of its token.
        nonce: [u8; 28],
        /// When it was paid, in Unix seconds.
        paid_at: u64,
    },
    /// It is none, by the client's fault.
    Refused(ecash::Refusal),
    /// No ecash is taken.
    NoEcash,
}

impl Engine {
    /// The payment request over a price, or an empty text where no ecash is taken.
    #[must_use]
    pub fn ecash_request(&self, amount_msat: u64) -> String {
        self.till.as_ref().and_then(|counter| counter.till.request(amount_msat)).unwrap_or_default()
    }

    /// Makes a payment out of ecash. `terms` tell what is bought; the ecash buys nothing else after that.
    /// Its worth is for the wallets that `backends` names, as for an invoice.
    ///
    /// # Errors
    /// [`Failure`]: nothing can be said now; the client may send the same ecash again.
    pub async fn take_ecash(
        &self,
        token: &str,
        amount_msat: u64,
        terms: &str,
        backends: &str,
    ) -> Result<Taken, Failure> {
        let Some(counter) = &self.till else { return Ok(Taken::NoEcash) };
        match counter.accept(token, amount_msat, Sha256::digest(terms).into(), backends).await? {
            Ok(Paid { payment_hash, preimage, at }) => {
                let mut nonce = [0; 28];
                getrandom::fill(&mut nonce)
                    .map_err(|error| Failure::internal(format!("no random bytes: {error}")))?;
                Ok(Taken::Paid { payment_hash, preimage, nonce, paid_at: at })
            }
            Err(AcceptError::Refused(refusal)) => Ok(Taken::Refused(refusal)),
            Err(AcceptError::Unavailable(reason)) => Err(reason.into()),
        }
    }
}

impl From<Unavailable> for Failure {
    fn from(reason: Unavailable) -> Self {
        let retry_after_s = match &reason {
            Unavailable::Mint { retry_after_s: Some(seconds), .. } => *seconds,
            Unavailable::Mint { retry_after_s: None, .. } => TRY_AGAIN.as_secs() as u32,
            Unavailable::Store(_)
            | Unavailable::Ledger(_)
            | Unavailable::Elsewhere
            | Unavailable::Busy { .. } => 1,
        };
        Self { fault: Fault::Unavailable { retry_after_s }, reason: reason.to_string() }
    }
}
