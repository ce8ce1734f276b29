//! Finds out which encryption a wallet reads whose info event no relay has: it is asked in both.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::NwcClient;
use super::info::{Encryption, Method};
use super::message;
use crate::LightningError;

/// How much longer an answer in NIP-44 is waited for after one in NIP-04: it is preferred.
const PREFERRED: Duration = Duration::from_millis(500);

impl NwcClient {
    /// The encryption to ask in.
    ///
    /// # Errors
    /// No relay can be reached, or the wallet answers in none.
    pub(super) async fn encryption(&self, deadline: Instant) -> Result<Encryption, LightningError> {
        self.hub().info(deadline).await?;
        if let Some(known) = self.hub().encryption()? {
            return Ok(known);
        }
        // One finds out for all who wait.
        let Ok(_turn) = timeout_at(deadline, self.probing.lock()).await else {
            return Err(LightningError::TimedOut);
        };
        if let Some(known) = self.hub().encryption()? {
            return Ok(known);
        }
        let found = self.probe(deadline).await?;
        self.hub().learn(found);
        Ok(found)
    }

    async fn probe(&self, deadline: Instant) -> Result<Encryption, LightningError> {
        let (new, old) = (self.reads(Encryption::Nip44, deadline), self.reads(Encryption::Nip04, deadline));
        tokio::pin!(new, old);
        let reads_old = tokio::select! {
            biased;
            reads_new = &mut new => {
                if reads_new? {
                    return Ok(Encryption::Nip44);
                }
                old.await?
            }
            reads_old = &mut old => {
                let until = if reads_old.as_ref().is_ok_and(|reads| *reads) {
                    deadline.min(Instant::now() + PREFERRED)
                } else {
                    deadline
                };
                if timeout_at(until, &mut new).await.is_ok_and(|reads| reads.is_ok_and(|reads| reads)) {
                    return Ok(Encryption::Nip44);
                }
                reads_old?
            }
        };
        match reads_old {
            true => Ok(Encryption::Nip04),
            false => Err(LightningError::Refused(
                "the wallet reads neither NIP-44 nor NIP-04; update it, or use another one".to_owned(),
            )),
        }
    }

    /// Whether the wallet answers a question in this encryption: one of two that change nothing.
    async fn reads(&self, encryption: Encryption, deadline: Instant) -> Result<bool, LightningError> {
        let (nothing, nobody) = (json!({}), message::lookup_invoice(l402::PaymentHash([0; 32])));
        let hub = self.hub();
        let answer = tokio::select! {
            answer = hub.ask(Method::GetInfo, &nothing, encryption, deadline) => answer,
            answer = hub.ask(Method::LookupInvoice, &nobody, encryption, deadline) => answer,
        };
        Ok(!matches!(answer?, Err(refusal) if refusal.is_about_encryption()))
    }
}
