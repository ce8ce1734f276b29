//! The swap of a payment's proofs for ecash of our own (NUT-03), such that it can be asked for any number of times.
//!
//! The outputs are derived from the seed and a counter that is on record before the mint is asked (NUT-13). Asking
//! again, after a crash or by another process, therefore asks for the same ecash. If the mint says that the proofs are
//! spent, it is asked whether it signed these outputs (NUT-09): then it was us, and the ecash is ours.

use std::time::Duration;

use cdk::Amount;
use cdk::amount::SplitTarget;
use cdk::dhke::construct_proofs;
use cdk::nuts::{
    BlindSignature, CurrencyUnit, Id, KeySetInfo, Keys, Nut10Secret, PreMintSecrets, Proof, Proofs,
    PublicKey, RestoreRequest, SecretKey, State, SwapRequest,
};
use cdk::types::ProofInfo;

use crate::keysets::denominations;
use crate::mint::{ASK_AGAIN_AFTER, Mint, Wallet};
use crate::record::{Outputs, Record, Row};
use crate::seed::Seed;
use crate::{Refusal, Unavailable};

/// How often other outputs are tried, when the mint has retired their keyset or signed them before.
const OUTPUTS_AT_MOST: usize = 3;

/// How long a swap of pending proofs waits before it is tried again. Longer than a mint works on a swap, shorter than a
/// client waits.
const PENDING_PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// What swaps need besides the mint.
pub(crate) struct Purse {
    pub(crate) wallet: Wallet,
    pub(crate) record: Record,
    pub(crate) seed: Seed,
    /// Signs for proofs that are locked to it.
    pub(crate) key: Option<SecretKey>,
}

/// How a swap ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Swapped {
    /// The ecash is in the wallet, and the record says so.
    Done,
    /// The mint refuses for good, and the record says so.
    Refused(Refusal),
    /// The proofs are in use at the mint, for now.
    Pending,
}

/// One attempt with fixed outputs.
pub(crate) enum Attempt {
    Signed(Vec<BlindSignature>),
    Spent,
    Pending,
    Invalid,
    OtherOutputs,
    /// The mint refuses, with a code that is not known: for now, or for good.
    Unclear(String),
}

impl Purse {
    /// How many outputs a swap of this worth has.
    fn count(net_sat: u64, info: &KeySetInfo, keys: &Keys) -> Option<u32> {
        let parts = Amount::from(net_sat).split(&denominations(info, keys)).ok()?;
        u32::try_from(parts.len()).ok()
    }

    /// Outputs for a swap of this worth that were never used: of an active keyset.
    pub(crate) async fn outputs(&self, mint: &Mint, net_sat: u64) -> Result<Outputs, Unavailable> {
        let keysets = mint.keysets_with(|known| known.for_outputs().is_some()).await?;
        let none = || mint.unavailable("it has no active keyset in the unit sat");
        let (info, keys) = keysets.for_outputs().ok_or_else(none)?;
        let count = Self::count(net_sat, info, keys).ok_or_else(none)?;
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
            let keysets = mint.keysets_with(|known| known.keys(&outputs.keyset).is_some()).await?;
            let known = keysets.info(&outputs.keyset).zip(keysets.keys(&outputs.keyset));
            let (info, keys) =
                known.ok_or_else(|| mint.unavailable("it no longer knows a keyset of its own"))?;
            let secrets = self.secrets(&outputs, row.net_sat, info, keys)?;
            let count = u32::try_from(secrets.secrets.len()).unwrap_or(u32::MAX);
            tracing::debug!(payment = ?row.id, "swap assigned");
            match self.attempt_patiently(mint, &proofs, &secrets, keys).await? {
                Attempt::Signed(signatures) => {
                    tracing::debug!(payment = ?row.id, "swap answered");
                    self.keep(mint, secrets, signatures, keys, &row.payee).await?;
                    tracing::debug!(payment = ?row.id, "swap kept");
                    self.record.finish(row.id).await?;
                    tracing::debug!(payment = ?row.id, "swap finished");
                    return Ok(Swapped::Done);
                }
                Attempt::Pending => return Ok(Swapped::Pending),
                Attempt::Unclear(reason) => return Err(mint.unavailable(reason)),
                Attempt::Spent => {
                    self.record.refuse(row.id, count).await?;
                    return Ok(Swapped::Refused(Refusal::Spent));
                }
                Attempt::Invalid => {
                    self.record.refuse(row.id, count).await?;
                    return Ok(Swapped::Refused(Refusal::Invalid));
                }
                Attempt::OtherOutputs => {
                    self.record.unassign(row.id).await?;
                    mint.refresh(Duration::ZERO).await?;
                }
            }
        }
        Err(mint.unavailable("it refuses every output"))
    }

    /// Finds out whether an unfinished swap went through after all; nothing is asked for anew, as what was not swapped is the
    /// client's still. One that did not, and that is so old that it never will, is forgotten.
    pub(crate) async fn look(&self, mint: &Mint, row: &Row, is_old: bool) -> Result<(), Unavailable> {
        let Some(outputs) = &row.outputs else {
            return if is_old { self.record.refuse(row.id, 0).await } else { Ok(()) };
        };
        let keysets = mint.keysets().await?;
        let Some((info, keys)) = keysets.info(&outputs.keyset).zip(keysets.keys(&outputs.keyset)) else {
            return Ok(());
        };
        let secrets = self.secrets(outputs, row.net_sat, info, keys)?;
        let count = u32::try_from(secrets.secrets.len()).unwrap_or(u32::MAX);
        match self.restore(mint, &secrets, keys).await? {
            Some(signatures) => {
                self.keep(mint, secrets, signatures, keys, &row.payee).await?;
                self.record.finish(row.id).await
            }
            None if is_old => self.record.refuse(row.id, count).await,
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

    /// Proofs are pending for a moment while another of us swaps them.
    pub(crate) async fn attempt_patiently(
        &self,
        mint: &Mint,
        proofs: &Proofs,
        secrets: &PreMintSecrets,
        keys: &Keys,
    ) -> Result<Attempt, Unavailable> {
        for pause in PENDING_PAUSES {
            match self.attempt(mint, proofs, secrets, keys).await? {
                Attempt::Pending => tokio::time::sleep(pause).await,
                other => return Ok(other),
            }
        }
        self.attempt(mint, proofs, secrets, keys).await
    }

    async fn attempt(
        &self,
        mint: &Mint,
        proofs: &Proofs,
        secrets: &PreMintSecrets,
        keys: &Keys,
    ) -> Result<Attempt, Unavailable> {
        let request = SwapRequest::new(proofs.clone(), secrets.blinded_messages());
        match mint.call(|mint| mint.post_swap(request)).await? {
            Ok(response) => {
                verify(&response.signatures, secrets, keys).map_err(|reason| mint.unavailable(reason))?;
                Ok(Attempt::Signed(response.signatures))
            }
            Err(cdk::Error::TokenAlreadySpent) => {
                Ok(self.restore(mint, secrets, keys).await?.map_or(Attempt::Spent, Attempt::Signed))
            }
            // Another of us may have been faster with the same request.
            Err(cdk::Error::BlindedMessageAlreadySigned) => match self.restore(mint, secrets, keys).await? {
                Some(signatures) if self.are_spent(mint, proofs).await? => Ok(Attempt::Signed(signatures)),
                Some(_) | None => Ok(Attempt::OtherOutputs),
            },
            Err(cdk::Error::TokenPending) => {
                Ok(self.restore(mint, secrets, keys).await?.map_or(Attempt::Pending, Attempt::Signed))
            }
            Err(cdk::Error::HttpError(Some(408 | 425 | 429), reason)) => Err(mint.unavailable(reason)),
            Err(error) if is_of_outputs(&error) || self.are_retired(mint, secrets, &error).await? => {
                Ok(self.restore(mint, secrets, keys).await?.map_or(Attempt::OtherOutputs, Attempt::Signed))
            }
            Err(error) if error.is_definitive_failure() => {
                tracing::info!(mint = %mint.url, %error, "the mint refuses ecash");
                Ok(Attempt::Invalid)
            }
            Err(cdk::Error::UnknownErrorResponse(reason)) => Ok(Attempt::Unclear(reason)),
            Err(error) => Err(mint.unavailable(error.to_string())),
        }
    }

    /// Whether these outputs are of a keyset that their mint has retired: not every mint has a code for that.
    async fn are_retired(
        &self,
        mint: &Mint,
        secrets: &PreMintSecrets,
        error: &cdk::Error,
    ) -> Result<bool, Unavailable> {
        if !(error.is_definitive_failure() || matches!(error, cdk::Error::UnknownErrorResponse(_))) {
            return Ok(false);
        }
        let keysets = mint.refresh(ASK_AGAIN_AFTER).await?;
        Ok(!keysets.info(&secrets.keyset_id).is_some_and(|info| info.active))
    }

    /// The mint's signatures on these outputs, if it has signed them all.
    async fn restore(
        &self,
        mint: &Mint,
        secrets: &PreMintSecrets,
        keys: &Keys,
    ) -> Result<Option<Vec<BlindSignature>>, Unavailable> {
        let request = RestoreRequest { outputs: secrets.blinded_messages() };
        let found = mint.call(|mint| mint.post_restore(request)).await?;
        let found = found.map_err(|error| mint.unavailable(error.to_string()))?;
        let pairs: Vec<_> = found.outputs.iter().zip(&found.signatures).collect();
        let signature = |secret: &cdk::nuts::PreMint| {
            let blinded = secret.blinded_message.blinded_secret;
            pairs
                .iter()
                .find(|(output, _)| output.blinded_secret == blinded)
                .map(|(_, signature)| (*signature).clone())
        };
        let Some(signatures) = secrets.secrets.iter().map(signature).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        verify(&signatures, secrets, keys).map_err(|reason| mint.unavailable(reason))?;
        Ok(Some(signatures))
    }

    async fn are_spent(&self, mint: &Mint, proofs: &Proofs) -> Result<bool, Unavailable> {
        self.are_all(mint, proofs, State::Spent).await
    }

    /// Whether the mint says so of each of these proofs.
    pub(crate) async fn are_all(
        &self,
        mint: &Mint,
        proofs: &Proofs,
        state: State,
    ) -> Result<bool, Unavailable> {
        let ys = proofs.iter().map(Proof::y).collect::<Result<_, _>>();
        let ys = ys.map_err(|_| mint.unavailable("a proof without Y"))?;
        let request = cdk::nuts::CheckStateRequest { ys };
        let found = mint.call(|mint| mint.post_check_state(request)).await?;
        let found = found.map_err(|error| mint.unavailable(error.to_string()))?;
        Ok(found.states.iter().all(|proof| proof.state == state))
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

/// Whether it says that other outputs are needed.
fn is_of_outputs(error: &cdk::Error) -> bool {
    matches!(
        error,
        cdk::Error::KeysetUnknown(_)
            | cdk::Error::UnknownKeySet
            | cdk::Error::InactiveKeyset
            | cdk::Error::ExpiredKeyset
    )
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

/// Whether the mint signed what it was asked to. It need not send DLEQ proofs; those that it sends must verify.
fn verify(signatures: &[BlindSignature], secrets: &PreMintSecrets, keys: &Keys) -> Result<(), &'static str> {
    if signatures.len() != secrets.secrets.len() {
        return Err("it signed another number of outputs");
    }
    for (signature, secret) in signatures.iter().zip(&secrets.secrets) {
        let output = &secret.blinded_message;
        if signature.amount != output.amount || signature.keyset_id != output.keyset_id {
            return Err("it signed another amount or keyset");
        }
        let key = keys.amount_key(signature.amount).ok_or("it signed an amount that it has no key for")?;
        if signature.dleq.is_some() && signature.verify_dleq(key, output.blinded_secret).is_err() {
            return Err("it signed with another key than it publishes");
        }
    }
    Ok(())
}
