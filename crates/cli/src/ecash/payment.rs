//! Makes up a payment out of a purse: of proofs that fit, or by a swap at their mint, which also locks them.

use std::time::Duration;

use cashu::amount::SplitTarget;
use cashu::dhke::{blind_message, construct_proofs};
use cashu::secret::Secret;
use cashu::{
    Amount, BlindSignature, BlindedMessage, CurrencyUnit, Id, KeySetInfo, Keys, MintUrl, PreMintSecrets,
    Proof, Proofs, SecretKey, State, Token,
};

use super::mint::{Mint, Refused, denominations};
use super::purse::{Line, Output, Purchase, Purse, Sent, Swap};
use super::request::Asked;
use crate::error::{Failure, Kind};
use crate::place::Place;

/// More than the mint's fee for any payment: from there on it is no price of a service.
const FEE_AT_MOST: u64 = 100;

/// A purse, and how long a mint may take.
pub struct Payer {
    /// The money.
    pub purse: Purse,
    /// For each call of a mint.
    pub step: Duration,
}

/// An output with what unblinds it, and whether it is to be sent.
struct Blinded {
    message: BlindedMessage,
    secret: Secret,
    r: SecretKey,
    send: bool,
}

impl Payer {
    /// Finishes what earlier runs began and did not live to see; returns what to tell. What can't be finished now
    /// stays.
    pub async fn recover(&mut self) -> Result<Vec<String>, Failure> {
        let swaps: Vec<Swap> = self.purse.lines.iter().filter_map(as_swap).cloned().collect();
        let mut notes = Vec::new();
        for swap in swaps {
            let told = match Mint::open(&swap.mint, self.step).await {
                Ok(mint) => self.finish(&mint, &swap, true).await.map(|_| {
                    format!("recovered a payment of {} sat that an earlier run did not send", swap.to.sat)
                }),
                Err(failure) => Err(failure),
            };
            notes.push(told.unwrap_or_else(|failure| failure.to_string()));
        }
        Ok(notes)
    }

    /// Sets a payment aside, on record as sent. At most `max_msat` leaves the purse, the mint's fee included.
    pub async fn prepare(&mut self, asked: &Asked, max_msat: u64, place: &Place) -> Result<Sent, Failure> {
        let mut why = None;
        for url in self.mints(asked) {
            match self.of_mint(&url, asked, max_msat, place).await {
                Ok(Some(sent)) => return Ok(sent),
                Ok(None) => {}
                Err(failure) if failure.kind == Kind::PaymentFailed => why = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        Err(why.unwrap_or_else(|| {
            let names: Vec<String> = asked.mints.iter().map(ToString::to_string).collect();
            let text = format!(
                "the ecash wallet holds less than the price, {} sat and the mint's fee, of one mint that the server \
                 accepts ({}); nothing was paid",
                asked.sat,
                names.join(", ")
            );
            Failure::new(Kind::PaymentFailed, text)
        }))
    }

    /// The mints whose ecash is at hand and accepted, in the server's order.
    fn mints(&self, asked: &Asked) -> Vec<MintUrl> {
        let mut all: Vec<MintUrl> = Vec::new();
        for url in self.purse.lines.iter().filter_map(mint_of) {
            if asked.accepts(&url) && !all.contains(&url) {
                all.push(url);
            }
        }
        all.sort_by_key(|url| asked.mints.iter().position(|mint| mint == url));
        all
    }

    async fn of_mint(
        &mut self,
        url: &MintUrl,
        asked: &Asked,
        max_msat: u64,
        place: &Place,
    ) -> Result<Option<Sent>, Failure> {
        let mint = Mint::open(url, self.step).await?;
        let to = Purchase::of(place, asked.sat, asked.lock.is_some());
        let held = self.held(&mint);
        if let (None, Some(chosen)) = (&asked.lock, exact(&held, asked.sat, &mint)) {
            within(sum(&chosen), max_msat)?;
            let sent = Sent { to, token: token(&mint, chosen.clone()).to_string() };
            self.take(&mint, held, &chosen, Line::Sent(sent.clone()))?;
            return Ok(Some(sent));
        }
        let (info, keys) = mint.active().await?;
        let Some(send_sat) = with_fee(asked.sat, &info, &keys) else { return Ok(None) };
        let Some((chosen, keep_sat)) = enough(&held, send_sat, &mint) else { return Ok(None) };
        within(sum(&chosen) - keep_sat, max_msat)?;
        let outputs = outputs(&info, &keys, send_sat, keep_sat, asked).map_err(|error| {
            mint.failure(Refused::Away(format!("its denominations do not give the price: {error}")))
        })?;
        let inputs = token(&mint, chosen.clone()).to_string();
        let swap = Swap { mint: url.clone(), inputs, keyset: info.id, keep: outputs.1, send: outputs.0, to };
        self.take(&mint, held, &chosen, Line::Swap(swap.clone()))?;
        self.finish(&mint, &swap, false).await
    }

    /// The proofs at hand of a mint that can be spent now.
    fn held(&self, mint: &Mint) -> Proofs {
        let ours = self.purse.lines.iter().filter_map(|line| match line {
            Line::Money(token) if mint_of(line).as_ref() == Some(&mint.url) => {
                token.proofs(&mint.keysets).ok()
            }
            _ => None,
        });
        ours.flatten().collect()
    }

    /// Moves proofs out of the money and into a line, in one step.
    fn take(&mut self, mint: &Mint, held: Proofs, chosen: &[Proof], line: Line) -> Result<(), Failure> {
        self.purse.lines.retain(|line| match line {
            Line::Money(token) => {
                mint_of(line).as_ref() != Some(&mint.url) || token.proofs(&mint.keysets).is_err()
            }
            _ => true,
        });
        let left: Proofs = held.into_iter().filter(|proof| !chosen.contains(proof)).collect();
        if !left.is_empty() {
            self.purse.lines.push(Line::money(token(mint, left)));
        }
        self.purse.lines.push(line);
        self.purse.save()
    }

    /// Has a recorded swap done, now or again: the mint is asked for the same outputs. What was to be sent becomes a
    /// payment, or money if it was never sent and can still be spent here.
    async fn finish(&mut self, mint: &Mint, swap: &Swap, abandoned: bool) -> Result<Option<Sent>, Failure> {
        let keys = mint.keys(swap.keyset).await.map_err(|failure| undecided(swap, &failure.to_string()))?;
        let unreadable = |what: &str| {
            Failure::new(Kind::Local, format!("a swap on record in the ecash wallet can't be read: {what}"))
        };
        let inputs = swap.inputs.parse::<Token>().map_err(|_| unreadable("its inputs"))?;
        let inputs = inputs.proofs(&mint.keysets).map_err(|_| unreadable("the keyset of its inputs"))?;
        let mut blinded = Vec::new();
        for (outputs, send) in [(&swap.keep, false), (&swap.send, true)] {
            for output in outputs {
                let one = Blinded::new(output, swap.keyset, send).ok_or_else(|| unreadable("an output"))?;
                blinded.push(one);
            }
        }
        // By amount, so that the mint does not see which are sent.
        blinded.sort_by_key(|one| one.message.amount);
        let messages: Vec<_> = blinded.iter().map(|one| one.message.clone()).collect();
        let signatures = match mint.swap(inputs.clone(), messages.clone()).await {
            Ok(signatures) => signatures,
            Err(refused) if refused.is_pending() => {
                return Err(undecided(swap, "it is at the same ecash already"));
            }
            Err(Refused::Away(why)) => return Err(undecided(swap, &why)),
            Err(Refused::No(code, why)) => match mint.restore(messages).await {
                Ok(Some(signatures)) => signatures,
                Ok(None) => return Err(self.give_up(mint, swap, &inputs, Refused::No(code, why)).await?),
                Err(_) => return Err(undecided(swap, &why)),
            },
        };
        verify(&signatures, &blinded, &keys).map_err(|why| undecided(swap, why))?;
        let proofs = |send: bool| {
            let pairs = blinded.iter().zip(&signatures).filter(|(one, _)| one.send == send);
            let (ours, theirs): (Vec<_>, Vec<_>) =
                pairs.map(|(one, signature)| (one, signature.clone())).unzip();
            let rs = ours.iter().map(|one| one.r.clone()).collect();
            let secrets = ours.iter().map(|one| one.secret.clone()).collect();
            construct_proofs(theirs, rs, secrets, &keys).map_err(|error| undecided(swap, &error.to_string()))
        };
        let (keep, send) = (proofs(false)?, proofs(true)?);
        self.purse.lines.retain(|line| as_swap(line).is_none_or(|other| other.inputs != swap.inputs));
        if !keep.is_empty() {
            self.purse.lines.push(Line::money(token(mint, keep)));
        }
        let send = token(mint, send);
        let sent = Sent { to: swap.to.clone(), token: send.to_string() };
        let spendable = abandoned && !swap.to.locked;
        self.purse.lines.push(if spendable { Line::money(send) } else { Line::Sent(sent.clone()) });
        self.purse.save()?;
        Ok(Some(sent).filter(|_| !spendable))
    }

    /// The mint refuses a swap for good and has signed none of it: what it does not know as spent is money again.
    async fn give_up(
        &mut self,
        mint: &Mint,
        swap: &Swap,
        inputs: &[Proof],
        refused: Refused,
    ) -> Result<Failure, Failure> {
        let states = mint.states(inputs).await.map_err(|_| undecided(swap, "its word can't be had"))?;
        let pairs = || inputs.iter().zip(&states);
        let good: Proofs =
            pairs().filter(|(_, state)| **state != State::Spent).map(|(proof, _)| proof.clone()).collect();
        let lost_sat = sum(inputs) - sum(&good);
        self.purse.lines.retain(|line| as_swap(line).is_none_or(|other| other.inputs != swap.inputs));
        if !good.is_empty() {
            self.purse.lines.push(Line::money(token(mint, good)));
        }
        self.purse.save()?;
        let mut text = mint.failure(refused).to_string();
        if lost_sat > 0 {
            text.push_str(&format!(
                "; {lost_sat} sat of the wallet had been spent elsewhere and were taken out of it: run again"
            ));
        }
        Ok(Failure::new(Kind::PaymentFailed, text))
    }
}

impl Blinded {
    fn new(output: &Output, keyset: Id, send: bool) -> Option<Self> {
        let secret: Secret = output.secret.parse().ok()?;
        let r = SecretKey::from_hex(&output.r).ok()?;
        let (blinded, r) = blind_message(secret.as_bytes(), Some(r)).ok()?;
        let message = BlindedMessage::new(Amount::from(output.amount), keyset, blinded);
        Some(Self { message, secret, r, send })
    }
}

fn as_swap(line: &Line) -> Option<&Swap> {
    match line {
        Line::Swap(swap) => Some(swap),
        _ => None,
    }
}

fn mint_of(line: &Line) -> Option<MintUrl> {
    match line {
        Line::Money(token) => token.mint_url().ok(),
        _ => None,
    }
}

fn token(mint: &Mint, proofs: Proofs) -> Token {
    Token::new(mint.url.clone(), proofs, None, CurrencyUnit::Sat)
}

/// Sat.
fn sum(proofs: &[Proof]) -> u64 {
    proofs.iter().map(|proof| proof.amount.to_u64()).sum()
}

/// Proofs, with proof that the mint signed them, that come to exactly this after the fee. Denominations are powers of two:
/// if a sum can be made of some, taking the largest that fits makes it.
fn exact(held: &[Proof], net_sat: u64, mint: &Mint) -> Option<Proofs> {
    let mut sorted: Vec<&Proof> = held.iter().filter(|proof| proof.dleq.is_some()).collect();
    sorted.sort_by_key(|proof| std::cmp::Reverse(proof.amount));
    (net_sat..=net_sat.saturating_add(FEE_AT_MOST)).find_map(|gross_sat| {
        let mut left = gross_sat;
        let mut chosen = Proofs::new();
        for proof in &sorted {
            if proof.amount.to_u64() <= left {
                left -= proof.amount.to_u64();
                chosen.push((*proof).clone());
            }
        }
        let fits = left == 0 && mint.fee_sat(&chosen).is_some_and(|fee| gross_sat - net_sat == fee);
        fits.then_some(chosen)
    })
}

/// Proofs to swap for this much, and what is left of them after the mint's fee.
fn enough(held: &[Proof], send_sat: u64, mint: &Mint) -> Option<(Proofs, u64)> {
    let mut sorted = held.to_vec();
    sorted.sort_by_key(|proof| std::cmp::Reverse(proof.amount));
    let mut chosen = Proofs::new();
    for proof in sorted {
        chosen.push(proof);
        let after_fee = sum(&chosen).checked_sub(mint.fee_sat(&chosen)?);
        if let Some(left) = after_fee.and_then(|sat| sat.checked_sub(send_sat)) {
            return Some((chosen, left));
        }
    }
    None
}

/// What has to be sent for `net_sat` to be left after the payee's own swap.
fn with_fee(net_sat: u64, info: &KeySetInfo, keys: &Keys) -> Option<u64> {
    let all = denominations(info, keys);
    (net_sat..=net_sat.saturating_add(FEE_AT_MOST)).find(|gross_sat| {
        let count = Amount::from(*gross_sat).split(&all).map_or(0, |parts| parts.len() as u64);
        let fee = info.input_fee_ppk.saturating_mul(count).div_ceil(1000);
        count > 0 && gross_sat - net_sat >= fee
    })
}

/// What is to be sent, and what stays.
fn outputs(
    info: &KeySetInfo,
    keys: &Keys,
    send_sat: u64,
    keep_sat: u64,
    asked: &Asked,
) -> Result<(Vec<Output>, Vec<Output>), cashu::nut00::Error> {
    let (all, none) = (denominations(info, keys), SplitTarget::None);
    let random = |sat| PreMintSecrets::random(info.id, Amount::from(sat), &none, &all);
    let send = match &asked.lock {
        Some(lock) => PreMintSecrets::with_conditions(info.id, Amount::from(send_sat), &none, lock, &all)?,
        None => random(send_sat)?,
    };
    let keep = if keep_sat > 0 { written(&random(keep_sat)?) } else { Vec::new() };
    Ok((written(&send), keep))
}

fn written(secrets: &PreMintSecrets) -> Vec<Output> {
    let one = |made: &cashu::PreMint| Output {
        amount: made.amount.to_u64(),
        secret: made.secret.to_string(),
        r: made.r.to_secret_hex(),
    };
    secrets.secrets.iter().map(one).collect()
}

/// Whether the mint signed what it was asked to (NUT-12 where it proves it).
fn verify(signatures: &[BlindSignature], asked: &[Blinded], keys: &Keys) -> Result<(), &'static str> {
    if signatures.len() != asked.len() {
        return Err("it signed another number of outputs");
    }
    for (signature, one) in signatures.iter().zip(asked) {
        if signature.amount != one.message.amount || signature.keyset_id != one.message.keyset_id {
            return Err("it signed another amount or keyset");
        }
        let key = keys.amount_key(signature.amount).ok_or("it signed an amount that it has no key for")?;
        if signature.dleq.is_some() && signature.verify_dleq(key, one.message.blinded_secret).is_err() {
            return Err("it signed with another key than it publishes");
        }
    }
    Ok(())
}

fn within(cost_sat: u64, max_msat: u64) -> Result<(), Failure> {
    if cost_sat.saturating_mul(1000) <= max_msat {
        return Ok(());
    }
    let text = format!(
        "paying with ecash takes {cost_sat} sat with the mint's fees, the budget is {max_msat} msat: nothing was paid; \
         raise --max-msat to buy"
    );
    Err(Failure::new(Kind::OverBudget, text))
}

fn undecided(swap: &Swap, why: &str) -> Failure {
    let text = format!(
        "the mint {} has not finished a swap of ecash: {why}; it is on record in the wallet, run the same command again",
        swap.mint
    );
    Failure::new(Kind::Undecided, text)
}
