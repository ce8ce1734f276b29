//! A melt that is on record: the mint is asked to pay, and what came of it is found out, as often as it takes.
//!
//! Between the record and its end the process may die anywhere. What is on record can be asked for again: the mint takes a
//! quote once, and the change is signed on outputs that the seed gives again (NUT-08, NUT-09, NUT-13). A melt is given up only
//! when the mint can't pay it any more: it refused the only request that it ever got, or the quote has ended.

use cdk::nuts::nut23::MeltQuoteBolt11Response;
use cdk::nuts::{
    BlindSignature, Keys, MeltQuoteState, MeltRequest, PreMintSecrets, ProofState, Proofs, PublicKey, State,
};

use crate::api::Word;
use crate::attempt::ys;
use crate::melt::{Melted, Standing};
use crate::mint::Mint;
use crate::record::Melt;
use crate::swap::Purse;
use crate::{Unavailable, unix_now};

/// How long after its end a quote is waited for, in seconds: clocks differ.
const GRACE_S: u64 = 300;

/// Proofs that every mint takes in one request: a refusal of as few is no matter of size, whatever it says.
const NEVER_TOO_MANY: usize = 100;

/// How long a request may be on its way that the mint has not answered, in seconds.
const ON_ITS_WAY_S: u64 = 600;

/// Whether a melt was refused for the number of its proofs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Fits,
    /// For all that is known: not every mint has a code for it.
    MayBe,
    /// The mint says so, and would to the same request.
    TooMany,
}

impl Size {
    fn of(word: &Word, count: usize) -> Self {
        match word {
            Word::Known(..) if word.is_of_size() => Self::TooMany,
            Word::TooLarge => Self::MayBe,
            Word::Unknown(_) if count > NEVER_TOO_MANY => Self::MayBe,
            Word::Known(..) | Word::Unknown(_) => Self::Fits,
        }
    }
}

/// What the mint says about a quote.
enum QuoteState {
    Paid(Option<Vec<BlindSignature>>),
    Unpaid,
    /// It does not know the quote any more.
    Forgotten,
    Pending,
}

impl QuoteState {
    fn of(answer: MeltQuoteBolt11Response<String>) -> Self {
        match answer.state {
            MeltQuoteState::Paid => Self::Paid(answer.change),
            MeltQuoteState::Unpaid | MeltQuoteState::Failed => Self::Unpaid,
            MeltQuoteState::Pending | MeltQuoteState::Unknown => Self::Pending,
        }
    }
}

impl Purse {
    /// Finds out what came of an open melt, and has it paid if nothing did.
    pub(crate) async fn conclude(&self, mint: &Mint, melt: &Melt) -> Result<Standing, Unavailable> {
        let is_over = melt.expiry.saturating_add(GRACE_S) < unix_now();
        let ended = || Gone { reason: "its quote has ended".into(), reuse: false, too_many: false };
        match self.quote_state(mint, melt).await {
            Ok(QuoteState::Paid(change)) => self.complete(mint, melt, change).await,
            Ok(QuoteState::Pending) => Ok(Standing::UnderWay("the mint is paying".into())),
            Ok(QuoteState::Unpaid) if is_over => self.abandon(mint, melt, ended()).await,
            Ok(QuoteState::Forgotten) if is_over => self.forgotten(mint, melt).await,
            Ok(QuoteState::Unpaid | QuoteState::Forgotten) => self.ask(mint, melt).await,
            // It is paid no more, whatever keeps the mint from saying so: its proofs tell.
            Err(error) if is_over => {
                let states = self.states(mint, melt).await.map_err(|_| error.clone())?;
                if states.iter().any(|proof| proof.state != State::Unspent) {
                    return Err(error);
                }
                self.abandon(mint, melt, ended()).await
            }
            Err(error) => Err(error),
        }
    }

    /// Asks the mint to pay.
    pub(crate) async fn ask(&self, mint: &Mint, melt: &Melt) -> Result<Standing, Unavailable> {
        let Some(unanswered) = self.record.attempt_melt(melt.quote.clone(), unix_now()).await? else {
            return Ok(Standing::UnderWay("another process has concluded it".into()));
        };
        let outputs = self.blank(&melt.outputs, melt.overpaid_sat)?.blinded_messages();
        let outputs = if outputs.is_empty() { None } else { Some(outputs) };
        let inputs = proofs(melt)?;
        let count = inputs.len();
        let request = MeltRequest::new(melt.quote.clone(), inputs, outputs);
        tracing::debug!(quote = melt.quote, "melt asked");
        let answer = mint.call(|api| api.melt(&request)).await?;
        self.record.melt_answered(melt.quote.clone(), unanswered).await?;
        let (reason, size) = match answer.map(QuoteState::of) {
            Ok(QuoteState::Paid(change)) => {
                tracing::debug!(quote = melt.quote, "melt answered");
                return self.complete(mint, melt, change).await;
            }
            Ok(QuoteState::Pending) => return Ok(Standing::UnderWay("the mint is paying".into())),
            Ok(QuoteState::Unpaid | QuoteState::Forgotten) => {
                ("the Lightning payment failed".to_owned(), Size::Fits)
            }
            Err(word) => (word.text(), Size::of(&word, count)),
        };
        // With an earlier request somewhere on its way this answer is not the last word, unless that one is refused as well.
        let is_on_its_way = unanswered.saturating_add(ON_ITS_WAY_S) > unix_now();
        if unanswered > 0 && is_on_its_way && size != Size::TooMany {
            return Ok(Standing::UnderWay(format!("{reason}; an earlier request may still be on its way")));
        }
        let too_many = size != Size::Fits;
        match self.quote_state(mint, melt).await? {
            QuoteState::Paid(change) => self.complete(mint, melt, change).await,
            QuoteState::Pending => Ok(Standing::UnderWay(reason)),
            QuoteState::Unpaid | QuoteState::Forgotten => {
                if too_many {
                    mint.too_many_inputs(count);
                }
                self.abandon(mint, melt, Gone { reason, reuse: true, too_many }).await
            }
        }
    }

    async fn quote_state(&self, mint: &Mint, melt: &Melt) -> Result<QuoteState, Unavailable> {
        match mint.call(|api| api.melt_quote_state(&melt.quote)).await? {
            Ok(answer) => Ok(QuoteState::of(answer)),
            // Mints have no common code for that.
            Err(_) => Ok(QuoteState::Forgotten),
        }
    }

    /// The mint has forgotten the quote, but not what it gave change for.
    async fn forgotten(&self, mint: &Mint, melt: &Melt) -> Result<Standing, Unavailable> {
        let states = self.states(mint, melt).await?;
        if states.iter().all(|proof| proof.state == State::Spent) {
            let blank = self.blank(&melt.outputs, melt.overpaid_sat)?;
            if !self.signatures(mint, &blank).await?.is_empty() {
                return self.complete(mint, melt, None).await;
            }
        }
        let reason = "the mint has forgotten its quote".to_owned();
        self.abandon(mint, melt, Gone { reason, reuse: false, too_many: false }).await
    }

    async fn states(&self, mint: &Mint, melt: &Melt) -> Result<Vec<ProofState>, Unavailable> {
        self.states_of(mint, ys(&proofs(melt)?)?).await
    }

    /// Gives a melt up that the mint has not paid. What somebody else has spent of its proofs leaves the wallet.
    async fn abandon(&self, mint: &Mint, melt: &Melt, gone: Gone) -> Result<Standing, Unavailable> {
        let Gone { reason, reuse, too_many } = gone;
        let found = self.states(mint, melt).await?;
        let in_use = |state: &State| !matches!(state, State::Unspent | State::Spent);
        if found.iter().any(|proof| in_use(&proof.state)) {
            return Ok(Standing::UnderWay(format!("{reason}; its ecash is pending at the mint")));
        }
        let spent: Vec<_> =
            found.iter().filter(|proof| proof.state == State::Spent).map(|proof| proof.y).collect();
        self.take_out(mint, spent).await?;
        let blank = self.blank(&melt.outputs, melt.overpaid_sat)?;
        // A mint that can't say whether it has signed them keeps nothing from ending.
        let reuse = reuse && self.signatures(mint, &blank).await.is_ok_and(|signed| signed.is_empty());
        let count = if reuse { u32::try_from(blank.len()).unwrap_or(0) } else { 0 };
        self.record.abandon_melt(melt.quote.clone(), count).await?;
        Ok(Standing::Abandoned { reason, too_many })
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
        let (_, keys) = mint.keyset(keyset).await?;
        let told = change.unwrap_or_default().into_iter().enumerate().collect();
        let mut change = verified(told, melt, &blank, &keys);
        if change.is_empty() && !blank.is_empty() {
            change = verified(self.signatures(mint, &blank).await?, melt, &blank, &keys);
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
        self.replace(mint, secrets, signatures, &keys, &melt.payee, spent).await?;
        tracing::debug!(quote = melt.quote, "melt kept");
        self.record.close_melt(melt.quote.clone(), change_sat, disowned).await?;
        let fees_sat = melt.spent_sat.saturating_sub(melt.amount_sat).saturating_sub(change_sat);
        tracing::info!(mint = %mint.url, payee = melt.payee, sat = melt.amount_sat, fees_sat, "ecash was paid out over Lightning");
        Ok(Standing::Paid(Melted { paid_sat: melt.amount_sat, fees_sat }))
    }
}

/// Why a melt is given up. Its outputs serve another time if `reuse` says so and the mint has not signed them, so that failures
/// open no gap that a restoring wallet would not cross.
struct Gone {
    reason: String,
    reuse: bool,
    too_many: bool,
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
