//! The swap of a payment's proofs for ecash of our own (NUT-03), such that it can be asked for any number of times.
//!
//! The outputs are derived from the seed and a counter that is on record before the mint is asked (NUT-13). Asking
//! again, after a crash or by another process, therefore asks for the same ecash. If the mint says that the proofs are
//! spent, it is asked whether it signed these outputs (NUT-09): then it was us, and the ecash is ours. What an answer means is in
//! attempt.rs; what becomes of a payment that was granted and is not swapped, in unredeemed.rs.

use std::sync::Arc;
use std::time::Duration;

use cdk::Amount;
use cdk::amount::SplitTarget;
use cdk::dhke::construct_proofs;
use cdk::nuts::{
    BlindSignature, CurrencyUnit, Id, KeySetInfo, Keys, Nut10Secret, PreMintSecrets, Proof, Proofs,
    PublicKey, SecretKey, State,
};
use cdk::types::ProofInfo;

use crate::api::Word;
use crate::attempt::Attempt;
use crate::keysets::denominations;
use crate::mint::{Mint, Wallet};
use crate::record::{self, Outputs, Record, Row};
use crate::seed::Seed;
use crate::{Refusal, Unavailable, unix_now};

/// How often other outputs are tried, when the mint has retired their keyset or signed them before.
const OUTPUTS_AT_MOST: usize = 3;

/// What swaps need besides the mint.
pub(crate) struct Purse {
    pub(crate) wallet: Wallet,
    pub(crate) record: Arc<Record>,
    pub(crate) seed: Seed,
    /// Signs for proofs that are locked to it.
    pub(crate) key: Option<SecretKey>,
}

/// How a swap ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Swapped {
    /// The ecash is in the wallet, and the record says so.
    Done,
    /// The mint refuses an offered payment for good; the record has forgotten it.
    Refused(Refusal),
    /// The proofs are in use at the mint, for now.
    Pending,
    /// The mint does not swap a held payment: it is tried again later.
    Postponed(String),
    /// Somebody else has spent a part of a held payment: the rest of it is held.
    Shrunk,
    /// Somebody else has spent a held payment, and the record says so.
    Lost,
}

impl Purse {
    /// How many outputs a swap of this worth has.
    fn parts(net_sat: u64, info: &KeySetInfo, keys: &Keys) -> Option<u32> {
        let parts = Amount::from(net_sat).split(&denominations(info, keys)).ok()?;
        u32::try_from(parts.len()).ok()
    }

    /// Outputs for a swap of this worth that were never used: of an active keyset.
    pub(crate) async fn outputs(&self, mint: &Mint, net_sat: u64) -> Result<Outputs, Unavailable> {
        let now = unix_now();
        let keysets = mint.keysets_with(|known| known.for_outputs(now).is_some()).await?;
        let none = || {
            mint.unavailable(if keysets.has_newer() {
                "its active keysets have ids of a version that this l402d does not understand; a newer one may"
            } else {
                "it has no active keyset in the unit sat"
            })
        };
        let (info, keys) = keysets.for_outputs(now).ok_or_else(none)?;
        let count = Self::parts(net_sat, info, keys).ok_or_else(none)?;
        Ok(Outputs { keyset: info.id, counter: self.counter(info.id, count).await? })
    }

    /// The first of `count` counters of a keyset that no signed output was derived from.
    pub(crate) async fn counter(&self, keyset: Id, count: u32) -> Result<u32, Unavailable> {
        if let Some(counter) = self.record.unused(keyset.to_string(), count).await? {
            return Ok(counter);
        }
        let end = self.wallet.increment_keyset_counter(&keyset, count).await;
        let end = end.map_err(|error| Unavailable::Store(error.to_string()))?;
        Ok(end.saturating_sub(count))
    }

    /// Swaps a recorded payment. May be called again, and by several at once.
    ///
    /// # Errors
    /// [`Unavailable`]: it is not known whether it was swapped; to be called again.
    pub(crate) async fn swap(&self, mint: &Mint, row: &Row) -> Result<Swapped, Unavailable> {
        let Some(text) = &row.proofs else { return Ok(Swapped::Done) };
        let proofs = inputs(text, self.key.as_ref())?;
        let mut fixed = row.outputs.clone();
        for _ in 0..OUTPUTS_AT_MOST {
            let outputs = match fixed.take() {
                Some(outputs) => outputs,
                None => {
                    let fresh = self.outputs(mint, row.net_sat).await?;
                    let assigned = self.record.assign(row.id, fresh).await?;
                    assigned.ok_or_else(|| {
                        Unavailable::Store("another process redeems this payment among others".into())
                    })?
                }
            };
            let Some((info, keys)) = self.keyset_of(mint, &outputs, &proofs).await? else {
                self.record.unassign(row.id).await?;
                continue;
            };
            let secrets = self.secrets(&outputs, row.net_sat, &info, &keys)?;
            tracing::debug!(payment = ?row.id, "swap assigned");
            match self.attempt_patiently(mint, &proofs, &secrets, &keys).await? {
                Attempt::Signed(signatures) => {
                    tracing::debug!(payment = ?row.id, "swap answered");
                    return self.done(mint, row, secrets, signatures, &keys).await;
                }
                Attempt::Pending => return Ok(Swapped::Pending),
                Attempt::OtherOutputs => {
                    self.record.unassign(row.id).await?;
                    mint.refresh(Duration::ZERO).await?;
                }
                refused if row.state == record::State::Offered => {
                    return self.not_taken(mint, row, &secrets, refused).await;
                }
                refused => return self.not_redeemed(mint, row.id, refused.reason()).await,
            }
        }
        Err(mint.unavailable("it refuses every output"))
    }

    /// The keyset of outputs that these proofs are to be swapped for. `None`: the mint lists it no more, and has not swapped them.
    pub(crate) async fn keyset_of(
        &self,
        mint: &Mint,
        outputs: &Outputs,
        proofs: &Proofs,
    ) -> Result<Option<(KeySetInfo, Keys)>, Unavailable> {
        let error = match mint.keyset(outputs.keyset).await {
            Ok(found) => return Ok(Some(found)),
            Err(error) => error,
        };
        let is_listed = mint.keysets().await?.info(&outputs.keyset).is_some();
        if is_listed || !self.are_all(mint, proofs, State::Unspent).await? {
            return Err(error);
        }
        Ok(None)
    }

    /// The outputs of a payment are signed.
    pub(crate) async fn done(
        &self,
        mint: &Mint,
        row: &Row,
        secrets: PreMintSecrets,
        signatures: Vec<BlindSignature>,
        keys: &Keys,
    ) -> Result<Swapped, Unavailable> {
        self.keep(mint, secrets, signatures, keys, &row.payee).await?;
        tracing::debug!(payment = ?row.id, "swap kept");
        self.record.finish(row.id).await?;
        tracing::debug!(payment = ?row.id, "swap finished");
        Ok(Swapped::Done)
    }

    /// An offered payment was not swapped: whose fault is it?
    async fn not_taken(
        &self,
        mint: &Mint,
        row: &Row,
        secrets: &PreMintSecrets,
        refused: Attempt,
    ) -> Result<Swapped, Unavailable> {
        let refusal = match refused {
            Attempt::Spent => Refusal::Spent,
            Attempt::Refused(refusal, reason) => {
                tracing::info!(mint = %mint.url, reason, "the mint refuses ecash");
                refusal
            }
            Attempt::TooMany(Word::Known(..)) => Refusal::TooLarge,
            Attempt::TooMany(word) => return Err(mint.unavailable(word.text())),
            Attempt::Unclear(reason) => return Err(mint.unavailable(reason)),
            Attempt::Signed(_) | Attempt::Pending | Attempt::OtherOutputs => {
                return Err(mint.unavailable("it is not known what became of a swap"));
            }
        };
        self.record.refuse(row.id, count(secrets)).await?;
        Ok(Swapped::Refused(refusal))
    }

    /// Finds out whether an unfinished swap went through after all; nothing is asked for anew, as what was not swapped is the
    /// client's still. One that did not, and that is so old that it never will, is forgotten.
    pub(crate) async fn look(&self, mint: &Mint, row: &Row, is_old: bool) -> Result<(), Unavailable> {
        let Some(outputs) = &row.outputs else {
            return if is_old { self.record.refuse(row.id, 0).await } else { Ok(()) };
        };
        let (info, keys) = mint.keyset(outputs.keyset).await?;
        let secrets = self.secrets(outputs, row.net_sat, &info, &keys)?;
        match self.restore(mint, &secrets, &keys).await? {
            Some(signatures) => self.done(mint, row, secrets, signatures, &keys).await.map(drop),
            None if is_old => self.record.refuse(row.id, count(&secrets)).await,
            None => Ok(()),
        }
    }

    pub(crate) fn secrets(
        &self,
        outputs: &Outputs,
        net_sat: u64,
        info: &KeySetInfo,
        keys: &Keys,
    ) -> Result<PreMintSecrets, Unavailable> {
        let (amount, split) = (Amount::from(net_sat), SplitTarget::None);
        PreMintSecrets::from_seed(
            outputs.keyset,
            outputs.counter,
            &self.seed.0,
            amount,
            &split,
            &denominations(info, keys),
        )
        .map_err(|error| Unavailable::Store(format!("outputs can't be derived: {error}")))
    }

    /// Puts the new ecash into the wallet, as this payee's.
    pub(crate) async fn keep(
        &self,
        mint: &Mint,
        secrets: PreMintSecrets,
        signatures: Vec<BlindSignature>,
        keys: &Keys,
        payee: &str,
    ) -> Result<(), Unavailable> {
        self.replace(mint, secrets, signatures, keys, payee, Vec::new()).await
    }

    /// As [`Purse::keep`], and takes what was spent out of it, both or neither.
    pub(crate) async fn replace(
        &self,
        mint: &Mint,
        secrets: PreMintSecrets,
        signatures: Vec<BlindSignature>,
        keys: &Keys,
        payee: &str,
        spent: Vec<PublicKey>,
    ) -> Result<(), Unavailable> {
        let store = |error: String| Unavailable::Store(error);
        let counters: Vec<_> = secrets.secrets.iter().map(|secret| secret.derivation_index).collect();
        let proofs = construct_proofs(signatures, secrets.rs(), secrets.secrets(), keys)
            .map_err(|error| store(error.to_string()))?;
        let mut infos = Vec::new();
        for (proof, counter) in proofs.into_iter().zip(counters) {
            let info = ProofInfo::new(proof, mint.url.clone(), State::Unspent, CurrencyUnit::Sat)
                .map_err(|error| store(error.to_string()))?;
            infos.push(match counter {
                Some(counter) => info.with_derivation_index(counter),
                None => info,
            });
        }
        // Before it is in the wallet: no ecash there is ever without a payee.
        let ys = infos.iter().map(|info| info.y.to_bytes()).collect();
        self.record.own(ys, payee.to_owned()).await?;
        self.wallet.update_proofs(infos, spent).await.map_err(|error| store(error.to_string()))
    }
}

/// How many outputs they are.
pub(crate) fn count(secrets: &PreMintSecrets) -> u32 {
    u32::try_from(secrets.secrets.len()).unwrap_or(u32::MAX)
}

/// Recorded proofs, with our signature where one is locked to us.
pub(crate) fn inputs(text: &str, key: Option<&SecretKey>) -> Result<Proofs, Unavailable> {
    let mut proofs: Proofs = serde_json::from_str(text).map_err(|_| unreadable())?;
    if let Some(key) = key {
        let is_locked = |proof: &&mut Proof| Nut10Secret::try_from(&proof.secret).is_ok();
        for proof in proofs.iter_mut().filter(is_locked) {
            proof.sign_p2pk(key.clone()).map_err(|_| unreadable())?;
        }
    }
    Ok(proofs)
}

pub(crate) fn unreadable() -> Unavailable {
    Unavailable::Store("a recorded payment can't be read".into())
}
