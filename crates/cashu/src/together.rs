//! Payments that are locked to us, redeemed many in one swap: of such a swap the mint takes less, rounds its fee once, and is asked
//! once.
//!
//! Which payments are swapped together, and for which outputs, is on record before the mint is asked, as for a single one;
//! so the same swap is asked for again until its outcome is known. If the mint refuses it, each payment is swapped alone: one
//! that is bad costs no other. A bundle that was given up is remembered until all its payments are over: should its swap have gone
//! through all the same, what it brought is found.

use std::collections::HashMap;
use std::time::Duration;

use cdk::nuts::{BlindSignature, Keys, PreMintSecrets, Proofs, SecretKey, State};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::attempt::Attempt;
use crate::mint::Mint;
use crate::record::{Bundle, Row};
use crate::swap::{Purse, count, inputs, unreadable};
use crate::token::sum;
use crate::{PaymentId, Unavailable};

/// Proofs in one swap. Mints take a thousand and more; it has to end within the deadline of a call on a slow one, too.
const PROOFS_AT_MOST: usize = 100;

/// How often a bundle fails, while its mint answers other questions, until its payments are swapped alone: something before the
/// mint may dislike one of them.
const TRIES_AT_MOST: u32 = 3;

/// How the swap of a bundle ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bundled {
    /// The ecash is in the wallet, and the record says so.
    Done,
    /// Some of the proofs are in use at the mint, for now.
    Pending,
    /// The mint refuses it: each payment is swapped alone from now on.
    GivenUp(String),
}

/// Of one payee.
#[derive(Default)]
struct Lot {
    payments: Vec<(PaymentId, Zeroizing<String>)>,
    proofs: Proofs,
}

impl Purse {
    /// Puts payments that are not part of a swap yet into bundles, and these on record.
    pub(crate) async fn bundles_of(&self, mint: &Mint, rows: Vec<Row>) -> Result<Vec<Bundle>, Unavailable> {
        let at_most = PROOFS_AT_MOST.min(mint.inputs_at_most());
        let keysets = mint.keysets().await?;
        let (mut lots, mut bundles) = (HashMap::<String, Lot>::new(), Vec::new());
        for row in rows {
            let Some(text) = row.proofs else { continue };
            let proofs: Proofs = serde_json::from_str(&text).map_err(|_| unreadable())?;
            if keysets.fee_sat(&proofs).is_err() {
                // Of a keyset that the mint does not list any more: it is not to be in the way of others.
                self.record.swap_alone(row.id).await?;
                continue;
            }
            let lot = lots.entry(row.payee.clone()).or_default();
            if lot.proofs.len() + proofs.len() > at_most {
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
        let (payee, payments) = (payee.to_owned(), lot.payments);
        let bundle = Bundle { id: 0, payee, net_sat, outputs, tries: 0, payments };
        self.record.begin_bundle(mint.url.to_string(), bundle).await
    }

    /// Swaps a bundle. May be called again, and by several at once.
    ///
    /// # Errors
    /// [`Unavailable`]: it is not known whether it was swapped; to be called again.
    pub(crate) async fn swap_together(&self, mint: &Mint, bundle: &Bundle) -> Result<Bundled, Unavailable> {
        let proofs = signed(bundle, self.key.clone()).await?;
        let Some((info, keys)) = self.keyset_of(mint, &bundle.outputs, &proofs).await? else {
            self.record.unbundle(bundle.id).await?;
            return Err(mint.unavailable("it lists the keyset of a swap no more; another is tried"));
        };
        let secrets = self.secrets(&bundle.outputs, bundle.net_sat, &info, &keys)?;
        tracing::debug!(payments = bundle.payments.len(), "swap assigned");
        let count = count(&secrets);
        let reason = match self.attempt_patiently(mint, &proofs, &secrets, &keys).await {
            Ok(Attempt::Signed(signatures)) => {
                tracing::debug!(payments = bundle.payments.len(), "swap answered");
                self.done_together(mint, bundle, secrets, signatures, &keys).await?;
                return Ok(Bundled::Done);
            }
            Ok(Attempt::Pending) => return Ok(Bundled::Pending),
            Ok(Attempt::OtherOutputs) => {
                self.record.unbundle(bundle.id).await?;
                mint.refresh(Duration::ZERO).await?;
                return Err(mint.unavailable("it refuses the outputs of a swap; others are tried"));
            }
            Ok(refused @ (Attempt::Spent | Attempt::Refused(..))) => {
                return self.give_up(bundle, count, refused.reason()).await;
            }
            Ok(refused @ (Attempt::TooMany(_) | Attempt::Unclear(_))) => {
                if let Attempt::TooMany(_) = refused {
                    mint.too_many_inputs(proofs.len());
                }
                refused.reason()
            }
            Err(error) => {
                // Is the mint away, or is it this swap that fails?
                let is_untouched = self.are_all(mint, &proofs, State::Unspent).await;
                if is_untouched.map_err(|_| error.clone())? && bundle.tries + 1 < TRIES_AT_MOST {
                    self.record.count_bundle_try(bundle.id).await?;
                    return Err(error);
                }
                error.to_string()
            }
        };
        // Swapped all the same, with a request whose answer was lost?
        if !self.are_all(mint, &proofs, State::Unspent).await?
            && let Some(signatures) = self.restore(mint, &secrets, &keys).await?
        {
            self.done_together(mint, bundle, secrets, signatures, &keys).await?;
            return Ok(Bundled::Done);
        }
        self.give_up(bundle, count, reason).await
    }

    async fn give_up(&self, bundle: &Bundle, count: u32, reason: String) -> Result<Bundled, Unavailable> {
        self.record.give_up_bundle(bundle.id, count).await?;
        Ok(Bundled::GivenUp(reason))
    }

    async fn done_together(
        &self,
        mint: &Mint,
        bundle: &Bundle,
        secrets: PreMintSecrets,
        signatures: Vec<BlindSignature>,
        keys: &Keys,
    ) -> Result<(), Unavailable> {
        self.keep(mint, secrets, signatures, keys, &bundle.payee).await?;
        tracing::debug!(payments = bundle.payments.len(), "swap kept");
        self.record.finish_bundle(bundle.id, bundle.ids()).await?;
        tracing::debug!(payments = bundle.payments.len(), "swap finished");
        Ok(())
    }

    /// Whether the swap of a bundle that was given up went through all the same; then its ecash is in the wallet, and its payments are
    /// over.
    pub(crate) async fn conclude_given_up(&self, mint: &Mint, id: i64) -> Result<bool, Unavailable> {
        let Some(bundle) = self.record.given_up_bundle(id).await? else { return Ok(false) };
        let (info, keys) = mint.keyset(bundle.outputs.keyset).await?;
        let secrets = self.secrets(&bundle.outputs, bundle.net_sat, &info, &keys)?;
        let Some(signatures) = self.restore(mint, &secrets, &keys).await? else { return Ok(false) };
        self.done_together(mint, &bundle, secrets, signatures, &keys).await?;
        Ok(true)
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
