//! One request to swap proofs for fixed outputs (NUT-03), and what its answer means for the proofs.

use std::time::Duration;

use cdk::error::ErrorCode;
use cdk::nuts::{
    BlindSignature, CheckStateRequest, Keys, PreMint, PreMintSecrets, Proof, ProofState, Proofs, PublicKey,
    RestoreRequest, State, SwapRequest,
};

use crate::api::Word;
use crate::keysets::ends_by;
use crate::mint::{ASK_AGAIN_AFTER, Mint};
use crate::swap::Purse;
use crate::{Keysets, Refusal, Unavailable, unix_now};

/// How long a swap of pending proofs waits before it is tried again. Longer than a mint works on a swap, shorter than a
/// client waits.
const PENDING_PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];
/// Proofs whose state is asked for at once: the answer has to fit the largest that is read.
const STATES_AT_ONCE: usize = 200;

/// What came of one request.
pub(crate) enum Attempt {
    /// The outputs are signed.
    Signed(Vec<BlindSignature>),
    /// The proofs were spent, and not for these outputs.
    Spent,
    /// The proofs are in use at the mint, for now.
    Pending,
    /// The mint refuses the proofs, with a code that says so.
    Refused(Refusal, String),
    /// The request holds too much.
    TooMany(Word),
    /// The mint does not sign these outputs, whatever they are to be paid with.
    OtherOutputs,
    /// The mint refuses for a reason that says nothing of the proofs.
    Unclear(String),
}

impl Attempt {
    /// Why the outputs are not signed.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Refused(_, reason) | Self::Unclear(reason) => reason,
            Self::TooMany(word) => word.text(),
            Self::Spent => "it has been spent".into(),
            Self::Pending => "it is pending".into(),
            Self::OtherOutputs => "it is not swapped for these outputs".into(),
            Self::Signed(_) => String::new(),
        }
    }
}

/// Which of some outputs the mint has signed (NUT-09).
enum Restored {
    /// All, as they are asked for.
    All(Vec<BlindSignature>),
    /// Not all, or for other amounts: a wallet that lost its file asks for what it had signed before.
    Some,
    None,
}

impl Purse {
    /// One attempt. Proofs are pending for a moment while another of us swaps them: that is waited for.
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
        match mint.call(|api| api.swap(&request)).await? {
            Ok(response) => {
                verify(&response.signatures, secrets, keys).map_err(|reason| mint.unavailable(reason))?;
                Ok(Attempt::Signed(response.signatures))
            }
            Err(word) => self.meaning(mint, proofs, secrets, keys, word).await,
        }
    }

    async fn meaning(
        &self,
        mint: &Mint,
        proofs: &Proofs,
        secrets: &PreMintSecrets,
        keys: &Keys,
        word: Word,
    ) -> Result<Attempt, Unavailable> {
        let text = word.text();
        let or = |restored: Restored, attempt: Attempt| match restored {
            Restored::All(signatures) => Attempt::Signed(signatures),
            Restored::Some | Restored::None => attempt,
        };
        let code = match &word {
            Word::TooLarge => return Ok(Attempt::TooMany(word)),
            Word::Unknown(_) => None,
            Word::Known(code, _) => Some(*code),
        };
        match code {
            Some(ErrorCode::TokenAlreadySpent) => {
                Ok(or(self.restored(mint, secrets, keys).await?, Attempt::Spent))
            }
            Some(ErrorCode::TokenPending | ErrorCode::OutputsPending) => {
                Ok(or(self.restored(mint, secrets, keys).await?, Attempt::Pending))
            }
            // Another of us may have been faster with the same request.
            Some(ErrorCode::BlindedMessageAlreadySigned) => match self.restored(mint, secrets, keys).await? {
                Restored::All(signatures) if self.are_all(mint, proofs, State::Spent).await? => {
                    Ok(Attempt::Signed(signatures))
                }
                Restored::All(_) | Restored::Some => Ok(Attempt::OtherOutputs),
                // Some mints use this code for something else.
                Restored::None => Ok(Attempt::Unclear(text)),
            },
            Some(ErrorCode::MaxInputsExceeded | ErrorCode::MaxOutputsExceeded) => Ok(Attempt::TooMany(word)),
            Some(ErrorCode::KeysetNotFound | ErrorCode::KeysetInactive | ErrorCode::KeysetExpired) => {
                let keysets = mint.refresh(Duration::ZERO).await?;
                if !is_active(&keysets, secrets) {
                    return Ok(or(self.restored(mint, secrets, keys).await?, Attempt::OtherOutputs));
                }
                Ok(match ended(&keysets, proofs) {
                    Some(refusal) => Attempt::Refused(refusal, text),
                    // It lists all of them.
                    None => Attempt::Unclear(text),
                })
            }
            // Not every mint has a code for a retired keyset.
            _ if !is_active(&*mint.refresh(ASK_AGAIN_AFTER).await?, secrets) => {
                Ok(or(self.restored(mint, secrets, keys).await?, Attempt::OtherOutputs))
            }
            Some(code) if is_of_proofs(code) => Ok(Attempt::Refused(Refusal::Invalid, text)),
            Some(_) | None => Ok(Attempt::Unclear(text)),
        }
    }

    /// The mint's signatures on these outputs, if it has signed them all.
    pub(crate) async fn restore(
        &self,
        mint: &Mint,
        secrets: &PreMintSecrets,
        keys: &Keys,
    ) -> Result<Option<Vec<BlindSignature>>, Unavailable> {
        match self.restored(mint, secrets, keys).await? {
            Restored::All(signatures) => Ok(Some(signatures)),
            Restored::Some | Restored::None => Ok(None),
        }
    }

    async fn restored(
        &self,
        mint: &Mint,
        secrets: &PreMintSecrets,
        keys: &Keys,
    ) -> Result<Restored, Unavailable> {
        let found = self.signatures(mint, secrets).await?;
        if found.len() != secrets.secrets.len() {
            return Ok(if found.is_empty() { Restored::None } else { Restored::Some });
        }
        let signatures: Vec<_> = found.into_iter().map(|(_, signature)| signature).collect();
        if signatures.iter().zip(&secrets.secrets).any(|(signature, secret)| !is_for(signature, secret)) {
            return Ok(Restored::Some);
        }
        verify(&signatures, secrets, keys).map_err(|reason| mint.unavailable(reason))?;
        Ok(Restored::All(signatures))
    }

    /// Which of these outputs the mint has signed, by their place and in its order (NUT-09).
    pub(crate) async fn signatures(
        &self,
        mint: &Mint,
        blank: &PreMintSecrets,
    ) -> Result<Vec<(usize, BlindSignature)>, Unavailable> {
        if blank.is_empty() {
            return Ok(Vec::new());
        }
        let request = RestoreRequest { outputs: blank.blinded_messages() };
        let found = mint.call(|api| api.restore(&request)).await?;
        let found = found.map_err(|word| mint.unavailable(word.text()))?;
        let place = |output: &PublicKey| {
            blank.secrets.iter().position(|secret| secret.blinded_message.blinded_secret == *output)
        };
        let pairs = found.outputs.iter().zip(found.signatures);
        let mut all: Vec<_> = pairs
            .filter_map(|(output, signature)| Some((place(&output.blinded_secret)?, signature)))
            .collect();
        all.sort_by_key(|(place, _)| *place);
        all.dedup_by_key(|(place, _)| *place);
        Ok(all)
    }

    /// Whether the mint says so of each of these proofs.
    pub(crate) async fn are_all(
        &self,
        mint: &Mint,
        proofs: &Proofs,
        state: State,
    ) -> Result<bool, Unavailable> {
        let states = self.states_of(mint, ys(proofs)?).await?;
        Ok(states.iter().all(|proof| proof.state == state))
    }

    /// The mint's word on each of these proofs (NUT-07).
    pub(crate) async fn states_of(
        &self,
        mint: &Mint,
        ys: Vec<PublicKey>,
    ) -> Result<Vec<ProofState>, Unavailable> {
        let mut states = Vec::with_capacity(ys.len());
        for part in ys.chunks(STATES_AT_ONCE) {
            let request = CheckStateRequest { ys: part.to_vec() };
            let found = mint.call(|api| api.check_state(&request)).await?;
            let found = found.map_err(|word| mint.unavailable(word.text()))?.states;
            // In whatever order they come.
            for y in part {
                let state = found.iter().find(|proof| proof.y == *y).cloned();
                states
                    .push(state.ok_or_else(|| mint.unavailable("it does not say the state of every proof"))?);
            }
        }
        Ok(states)
    }
}

/// The Y value of each proof (NUT-00).
pub(crate) fn ys(proofs: &Proofs) -> Result<Vec<PublicKey>, Unavailable> {
    let ys: Result<_, _> = proofs.iter().map(Proof::y).collect();
    ys.map_err(|_| Unavailable::Store("a proof of the wallet has no Y".into()))
}

/// Whether this code says that proofs are no good, whatever they are to be swapped for.
fn is_of_proofs(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::TokenNotVerified
            | ErrorCode::WitnessMissingOrInvalid
            | ErrorCode::DuplicateInputs
            | ErrorCode::MultipleUnits
            | ErrorCode::UnitMismatch
            | ErrorCode::UnsupportedUnit
    )
}

/// Whether the mint signs outputs of this keyset.
fn is_active(keysets: &Keysets, secrets: &PreMintSecrets) -> bool {
    keysets.info(&secrets.keyset_id).is_some_and(|info| info.active)
}

/// Why the mint takes no ecash of a keyset of these proofs any more.
fn ended(keysets: &Keysets, proofs: &Proofs) -> Option<Refusal> {
    let now = unix_now();
    proofs.iter().find_map(|proof| match keysets.info(&proof.keyset_id) {
        None => Some(Refusal::Keyset),
        Some(info) if ends_by(info, now) => Some(Refusal::ExpiredKeyset),
        Some(_) => None,
    })
}

/// Whether the mint signed what it was asked to. It need not send DLEQ proofs; those that it sends must verify.
fn verify(signatures: &[BlindSignature], secrets: &PreMintSecrets, keys: &Keys) -> Result<(), &'static str> {
    if signatures.len() != secrets.secrets.len() {
        return Err("it signed another number of outputs");
    }
    for (signature, secret) in signatures.iter().zip(&secrets.secrets) {
        if !is_for(signature, secret) {
            return Err("it signed another amount or keyset");
        }
        let output = &secret.blinded_message;
        let key = keys.amount_key(signature.amount).ok_or("it signed an amount that it has no key for")?;
        if signature.dleq.is_some() && signature.verify_dleq(key, output.blinded_secret).is_err() {
            return Err("it signed with another key than it publishes");
        }
    }
    Ok(())
}

/// Whether a signature is over what an output asks for.
fn is_for(signature: &BlindSignature, secret: &PreMint) -> bool {
    let output = &secret.blinded_message;
    signature.amount == output.amount && signature.keyset_id == output.keyset_id
}
