//! A melt that is on record: the mint is asked to pay, and what came of it is found out, as often as it takes.
//!
//! Between the record and its end the process may die anywhere. What is on record can be asked for again: the mint takes a
//! quote once, and the change is signed on outputs that the seed gives again (NUT-08, NUT-09, NUT-13). A melt is given up only
//! when the mint can't pay it any more: it refused the only request that it ever got, or the quote has ended.

use cdk::MeltQuoteResponse;
use cdk::nuts::nut00::KnownMethod;
use cdk::nuts::{
    BlindSignature, CheckStateRequest, Keys, MeltQuoteState, MeltRequest, PaymentMethod, PreMintSecrets,
    Proof, ProofState, Proofs, PublicKey, RestoreRequest, State,
};

use crate::melt::{Melted, Standing};
use crate::mint::Mint;
use crate::record::Melt;
use crate::swap::Purse;
use crate::{Unavailable, unix_now};

/// How long after its end a quote is waited for, in seconds: clocks differ.
const GRACE_S: u64 = 300;

const BOLT11: PaymentMethod = PaymentMethod::Known(KnownMethod::Bolt11);

/// What the mint says about a quote.
enum Word {
    Paid(Option<Vec<BlindSignature>>),
    Unpaid,
    /// It does not know the quote any more.
    Forgotten,
    Pending,
}

impl Word {
    fn of(answer: &MeltQuoteResponse<String>) -> Self {
        match answer.state() {
            MeltQuoteState::Paid => Self::Paid(answer.change().cloned()),
            MeltQuoteState::Unpaid | MeltQuoteState::Failed => Self::Unpaid,
            MeltQuoteState::Pending | MeltQuoteState::Unknown => Self::Pending,
        }
    }
}

impl Purse {
    /// Finds out what came of an open melt, and has it paid if nothing did.
    pub(crate) async fn conclude(&self, mint: &Mint, melt: &Melt) -> Result<Standing, Unavailable> {
        let is_over = melt.expiry.saturating_add(GRACE_S) < unix_now();
        match self.word(mint, melt).await? {
            Word::Paid(change) => self.complete(mint, melt, change).await,
            Word::Pending => Ok(Standing::UnderWay("the mint is paying".into())),
            Word::Unpaid if is_over => self.abandon(mint, melt, "its quote has ended".into(), false).await,
            Word::Forgotten if is_over => self.forgotten(mint, melt).await,
            Word::Unpaid | Word::Forgotten => self.ask(mint, melt).await,
        }
    }

    /// Asks the mint to pay.
    pub(crate) async fn ask(&self, mint: &Mint, melt: &Melt) -> Result<Standing, Unavailable> {
        let Some(before) = self.record.attempt_melt(melt.quote.clone()).await? else {
            return Ok(Standing::UnderWay("another process has concluded it".into()));
        };
        let outputs = self.blank(&melt.outputs, melt.overpaid_sat)?.blinded_messages();
        let outputs = if outputs.is_empty() { None } else { Some(outputs) };
        let request = MeltRequest::new(melt.quote.clone(), proofs(melt)?, outputs);
        tracing::debug!(quote = melt.quote, "melt asked");
        let reason = match mint.call(|mint| mint.post_melt(&BOLT11, request)).await? {
            Ok(answer) => match Word::of(&answer) {
                Word::Paid(change) => {
                    tracing::debug!(quote = melt.quote, "melt answered");
                    return self.complete(mint, melt, change).await;
                }
                Word::Pending => return Ok(Standing::UnderWay("the mint is paying".into())),
                Word::Unpaid | Word::Forgotten => "the Lightning payment failed".to_owned(),
            },
            Err(error) if is_refusal(&error) => error.to_string(),
            Err(error) => return Err(mint.unavailable(error.to_string())),
        };
        // With an earlier request somewhere on its way this answer is not the last word.
        if before > 0 {
            return Ok(Standing::UnderWay(format!("{reason}; it is tried until its quote ends")));
        }
        match self.word(mint, melt).await? {
            Word::Paid(change) => self.complete(mint, melt, change).await,
            Word::Pending => Ok(Standing::UnderWay(reason)),
            Word::Unpaid | Word::Forgotten => self.abandon(mint, melt, reason, true).await,
        }
    }

    async fn word(&self, mint: &Mint, melt: &Melt) -> Result<Word, Unavailable> {
        match mint.call(|mint| mint.get_melt_quote_status(BOLT11, &melt.quote)).await? {
            Ok(answer) => Ok(Word::of(&answer)),
            Err(error) if is_refusal(&error) => Ok(Word::Forgotten),
            Err(error) => Err(mint.unavailable(error.to_string())),
        }
    }

    /// The mint has forgotten the quote, but not what it gave change for.
    async fn forgotten(&self, mint: &Mint, melt: &Melt) -> Result<Standing, Unavailable> {
        let states = self.states(mint, melt).await?;
        let signed = self.signatures(mint, &self.blank(&melt.outputs, melt.overpaid_sat)?).await?;
        if !signed.is_empty() && states.iter().all(|proof| proof.state == State::Spent) {
            return self.complete(mint, melt, None).await;
        }
        self.abandon(mint, melt, "the mint has forgotten its quote".into(), false).await
    }

    async fn states(&self, mint: &Mint, melt: &Melt) -> Result<Vec<ProofState>, Unavailable> {
        self.states_of(mint, ys(&proofs(melt)?)?).await
    }

    /// The mint's word on each of these proofs.
    pub(crate) async fn states_of(
        &self,
        mint: &Mint,
        ys: Vec<PublicKey>,
    ) -> Result<Vec<ProofState>, Unavailable> {
        let wanted = ys.len();
        let found = mint.call(|mint| mint.post_check_state(CheckStateRequest { ys })).await?;
        let states = found.map_err(|error| mint.unavailable(error.to_string()))?.states;
        let is_whole = states.len() == wanted;
        if is_whole { Ok(states) } else { Err(mint.unavailable("it does not say the state of every proof")) }
    }

    /// Gives a melt up that the mint has not paid. What somebody else has spent of its proofs leaves the wallet. Its outputs serve
    /// another time if `reuse` says so and the mint has not signed them, so that failures open no gap that a
    /// restoring wallet would not cross.
    async fn abandon(
        &self,
        mint: &Mint,
        melt: &Melt,
        reason: String,
        reuse: bool,
    ) -> Result<Standing, Unavailable> {
        let found = self.states(mint, melt).await?;
        let in_use = |state: &State| !matches!(state, State::Unspent | State::Spent);
        if found.iter().any(|proof| in_use(&proof.state)) {
            return Ok(Standing::UnderWay(format!("{reason}; its ecash is pending at the mint")));
        }
        let spent: Vec<_> =
            found.iter().filter(|proof| proof.state == State::Spent).map(|proof| proof.y).collect();
        let blank = self.blank(&melt.outputs, melt.overpaid_sat)?;
        let signed = self.signatures(mint, &blank).await?;
        if !spent.is_empty() {
            tracing::error!(
                mint = %mint.url, proofs = spent.len(),
                "ecash of the wallet has been spent by somebody else who has its seed or a copy of it; it is taken out"
            );
            let removed = self.wallet.update_proofs(Vec::new(), spent).await;
            removed.map_err(|error| Unavailable::Store(error.to_string()))?;
        }
        let reuse = reuse && signed.is_empty();
        let count = if reuse { u32::try_from(blank.len()).unwrap_or(0) } else { 0 };
        self.record.abandon_melt(melt.quote.clone(), count).await?;
        Ok(Standing::Abandoned(reason))
    }

    /// It was paid: its change goes into the wallet, its proofs out of it.
    async fn complete(
        &self,
        mint: &Mint,
        melt: &Melt,
        change: Option<Vec<BlindSignature>>,
    ) -> Result<Standing, Unavailable> {
        let blank = self.blank(&melt.outputs, melt.overpaid_sat)?;
        let keyset = melt.outputs.keyset;
        let keysets = mint.keysets_with(|known| known.keys(&keyset).is_some()).await?;
        let keys = keysets.keys(&keyset);
        let keys = keys.ok_or_else(|| mint.unavailable("it no longer knows a keyset of its own"))?;
        let told = change.unwrap_or_default().into_iter().enumerate().collect();
        let mut change = verified(told, melt, &blank, keys);
        if change.is_empty() && !blank.is_empty() {
            change = verified(self.signatures(mint, &blank).await?, melt, &blank, keys);
        }
        let change_sat: u64 = change.iter().map(|(_, signature)| signature.amount.to_u64()).sum();
        let mut secrets = PreMintSecrets::new(keyset);
        let mut signatures = Vec::new();
        for (place, signature) in change {
            secrets.secrets.extend(blank.secrets.get(place).cloned());
            signatures.push(signature);
        }
        let spent = ys(&proofs(melt)?)?;
        let disowned = spent.iter().map(PublicKey::to_bytes).collect();
        self.replace(mint, secrets, signatures, keys, &melt.payee, spent).await?;
        tracing::debug!(quote = melt.quote, "melt kept");
        self.record.close_melt(melt.quote.clone(), change_sat, disowned).await?;
        let fees_sat = melt.spent_sat.saturating_sub(melt.amount_sat).saturating_sub(change_sat);
        tracing::info!(mint = %mint.url, payee = melt.payee, sat = melt.amount_sat, fees_sat, "ecash was paid out over Lightning");
        Ok(Standing::Paid(Melted { paid_sat: melt.amount_sat, fees_sat }))
    }

    /// Which of these outputs the mint has signed, by their place (NUT-09).
    pub(crate) async fn signatures(
        &self,
        mint: &Mint,
        blank: &PreMintSecrets,
    ) -> Result<Vec<(usize, BlindSignature)>, Unavailable> {
        if blank.is_empty() {
            return Ok(Vec::new());
        }
        let request = RestoreRequest { outputs: blank.blinded_messages() };
        let found = mint.call(|mint| mint.post_restore(request)).await?;
        let found = found.map_err(|error| mint.unavailable(error.to_string()))?;
        let place = |output: &PublicKey| {
            blank.secrets.iter().position(|secret| secret.blinded_message.blinded_secret == *output)
        };
        let pairs = found.outputs.iter().zip(found.signatures);
        Ok(pairs
            .filter_map(|(output, signature)| Some((place(&output.blinded_secret)?, signature)))
            .collect())
    }
}

/// Whether the mint said no, and did nothing.
fn is_refusal(error: &cdk::Error) -> bool {
    match error {
        cdk::Error::HttpError(Some(408 | 425 | 429), _) => false,
        cdk::Error::PaymentFailed
        | cdk::Error::TokenAlreadySpent
        | cdk::Error::BlindedMessageAlreadySigned
        | cdk::Error::RequestAlreadyPaid => true,
        other => other.is_definitive_failure(),
    }
}

/// The change, if it is what the mint may give; else none.
fn verified(
    change: Vec<(usize, BlindSignature)>,
    melt: &Melt,
    blank: &PreMintSecrets,
    keys: &Keys,
) -> Vec<(usize, BlindSignature)> {
    let is_good = |(place, signature): &(usize, BlindSignature)| {
        let (Some(secret), Some(key)) = (blank.secrets.get(*place), keys.amount_key(signature.amount)) else {
            return false;
        };
        signature.keyset_id == melt.outputs.keyset
            && (signature.dleq.is_none()
                || signature.verify_dleq(key, secret.blinded_message.blinded_secret).is_ok())
    };
    let total = change.iter().try_fold(0_u64, |sum, (_, part)| sum.checked_add(part.amount.to_u64()));
    let fits = total.is_some_and(|total| total <= melt.overpaid_sat);
    if fits && change.iter().all(is_good) {
        return change;
    }
    tracing::error!(mint = melt.mint, quote = melt.quote, "the mint's change of a payment is not valid");
    Vec::new()
}

fn proofs(melt: &Melt) -> Result<Proofs, Unavailable> {
    let unreadable = || Unavailable::Store("a recorded melt can't be read".into());
    serde_json::from_str(melt.proofs.as_deref().ok_or_else(unreadable)?).map_err(|_| unreadable())
}

fn ys(proofs: &Proofs) -> Result<Vec<PublicKey>, Unavailable> {
    let ys: Result<_, _> = proofs.iter().map(Proof::y).collect();
    ys.map_err(|_| Unavailable::Store("a proof of the wallet has no Y".into()))
}
