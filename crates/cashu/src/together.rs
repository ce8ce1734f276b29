//! Payments that are locked to us, redeemed many in one swap: of such a swap the mint takes less, rounds its fee once, and is asked
//! once.
//!
//! Which payments are swapped together, and for which outputs, is on record before the mint is asked, as for a single one;
//! so the same swap is asked for again until its outcome is known. If the mint refuses it, each payment is swapped alone: one
//! that is bad costs no other.

use std::collections::HashMap;
use std::time::Duration;

use cdk::nuts::{Proofs, SecretKey, State};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::mint::Mint;
use crate::record::{Bundle, Row};
use crate::swap::{Attempt, Purse, Swapped, inputs, unreadable};
use crate::token::sum;
use crate::{PaymentId, Refusal, Unavailable};

/// Proofs in one swap. Mints take a thousand and more; it has to end within the deadline of a call on a slow one, too.
const PROOFS_AT_MOST: usize = 100;

/// Of one payee.
#[derive(Default)]
struct Lot {
    payments: Vec<(PaymentId, Zeroizing<String>)>,
    proofs: Proofs,
}

impl Purse {
    /// Puts payments that are not part of a swap yet into bundles, and these on record.
    pub(crate) async fn bundles_of(&self, mint: &Mint, rows: Vec<Row>) -> Result<Vec<Bundle>, Unavailable> {
        let (mut lots, mut bundles) = (HashMap::<String, Lot>::new(), Vec::new());
        for row in rows {
            let Some(text) = row.proofs else { continue };
            let proofs: Proofs = serde_json::from_str(&text).map_err(|_| unreadable())?;
            let lot = lots.entry(row.payee.clone()).or_default();
            if lot.proofs.len() + proofs.len() > PROOFS_AT_MOST {
                bundles.extend(self.begin(mint, &row.payee, std::mem::take(lot)).await?);
            }
            lot.payments.push((row.id, text));
            lot.proofs.extend(proofs);
        }
        for (payee, lot) in lots {
            bundles.extend(self.begin(mint, &payee, lot).await?);
        }
        Ok(bundles)
    }

    /// `None`: there is nothing, or another process was faster with one of them.
    async fn begin(&self, mint: &Mint, payee: &str, lot: Lot) -> Result<Option<Bundle>, Unavailable> {
        if lot.payments.is_empty() {
            return Ok(None);
        }
        let keysets = mint.keysets().await?;
        let worth = sum(&lot.proofs).and_then(|sum| sum.checked_sub(keysets.fee_sat(&lot.proofs).ok()?));
        let net_sat = worth.ok_or_else(unreadable)?;
        let outputs = self.outputs(mint, net_sat).await?;
        let bundle = Bundle { id: 0, payee: payee.to_owned(), net_sat, outputs, payments: lot.payments };
        self.record.begin_bundle(mint.url.to_string(), bundle).await
    }

    /// Swaps a bundle. May be called again, and by several at once.
    ///
    /// # Errors
    /// [`Unavailable`]: it is not known whether it was swapped; to be called again.
    pub(crate) async fn swap_together(&self, mint: &Mint, bundle: &Bundle) -> Result<Swapped, Unavailable> {
        let outputs = &bundle.outputs;
        let keysets = mint.keysets_with(|known| known.keys(&outputs.keyset).is_some()).await?;
        let known = keysets.info(&outputs.keyset).zip(keysets.keys(&outputs.keyset));
        let (info, keys) = known.ok_or_else(|| mint.unavailable("it no longer knows a keyset of its own"))?;
        let secrets = self.secrets(outputs, bundle.net_sat, info, keys)?;
        let count = u32::try_from(secrets.secrets.len()).unwrap_or(u32::MAX);
        let proofs = signed(bundle, self.key.clone()).await?;
        tracing::debug!(payments = bundle.payments.len(), "swap assigned");
        let refused = match self.attempt_patiently(mint, &proofs, &secrets, keys).await? {
            Attempt::Signed(signatures) => {
                tracing::debug!(payments = bundle.payments.len(), "swap answered");
                self.keep(mint, secrets, signatures, keys, &bundle.payee).await?;
                tracing::debug!(payments = bundle.payments.len(), "swap kept");
                self.record.finish_bundle(bundle.id, bundle.ids()).await?;
                tracing::debug!(payments = bundle.payments.len(), "swap finished");
                return Ok(Swapped::Done);
            }
            Attempt::Pending => return Ok(Swapped::Pending),
            Attempt::OtherOutputs => {
                self.record.unbundle(bundle.id).await?;
                mint.refresh(Duration::ZERO).await?;
                return Err(mint.unavailable("it refuses the outputs of a swap; others are tried"));
            }
            // For all that is known one of them is to blame, for ever.
            Attempt::Unclear(_) if self.are_all(mint, &proofs, State::Unspent).await? => Refusal::Invalid,
            Attempt::Unclear(reason) => return Err(mint.unavailable(reason)),
            Attempt::Spent => Refusal::Spent,
            Attempt::Invalid => Refusal::Invalid,
        };
        self.record.refuse_bundle(bundle.id, count).await?;
        Ok(Swapped::Refused(refused))
    }
}

/// The proofs with our signature, made where nobody waits for the thread.
async fn signed(bundle: &Bundle, key: Option<SecretKey>) -> Result<Proofs, Unavailable> {
    let texts: Vec<_> = bundle.payments.iter().map(|(_, text)| text.clone()).collect();
    let signed = spawn_blocking(move || {
        let mut all = Proofs::new();
        for text in texts {
            all.extend(inputs(&text, key.as_ref())?);
        }
        Ok(all)
    });
    signed.await.map_err(|error| Unavailable::Store(error.to_string()))?
}
