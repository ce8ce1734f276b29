//! Swaps the wallet's own proofs for others of the same payee: many small ones for few large ones, before they are paid out, and
//! those of a keyset that ends soon. Whoever calls this has the turn with the wallet, so that nothing else spends these proofs.
//!
//! As with payments, the exchange is on record with its outputs before the mint is asked, and is asked for again until its
//! outcome is known.

use cdk::nuts::{PreMintSecrets, Proofs, PublicKey, State};
use zeroize::Zeroizing;

use crate::attempt::{Attempt, ys};
use crate::mint::Mint;
use crate::record::{Exchange, Order};
use crate::swap::{Purse, count};
use crate::token::sum;
use crate::turn::Turn;
use crate::{Unavailable, unix_now};

/// Proofs in one exchange: it has to end within the deadline of a call on a slow mint.
const PROOFS_AT_MOST: usize = 100;
/// Exchanges of one payee's proofs in one go.
const EXCHANGES_AT_MOST: usize = 200;

/// How an exchange ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Exchanged {
    /// The new proofs are in the wallet.
    Done,
    /// The proofs are in use at the mint, for now.
    Pending,
    /// The mint takes fewer proofs in one request; nothing has changed.
    TooMany,
    /// The mint refuses; nothing has changed, but that what somebody else has spent has left the wallet.
    Refused(String),
}

impl Purse {
    /// Finds out what came of the payee's exchange that is open, if there is one. `false`: it is not known yet.
    pub(crate) async fn conclude_exchange(&self, mint: &Mint, payee: &str) -> Result<bool, Unavailable> {
        let open = self.record.open_exchange(mint.url.to_string(), payee.to_owned()).await?;
        let Some(open) = open else { return Ok(true) };
        Ok(self.ask_exchange(mint, &open).await? != Exchanged::Pending)
    }

    /// Brings the number of a payee's proofs down to what one request to the mint may hold, as far as that can be done. `false`: an
    /// exchange is open.
    pub(crate) async fn consolidate(&self, mint: &Mint, payee: &str) -> Result<bool, Unavailable> {
        for _ in 0..EXCHANGES_AT_MOST {
            let at_most = mint.inputs_at_most();
            if self.owned(mint, payee, Order::Largest, at_most.saturating_add(1)).await?.len() <= at_most {
                return Ok(true);
            }
            let smallest = self.owned(mint, payee, Order::Smallest, at_most.min(PROOFS_AT_MOST)).await?;
            match self.exchange(mint, payee, smallest).await? {
                Some(Exchanged::Done | Exchanged::TooMany) => {}
                Some(Exchanged::Refused(reason)) => {
                    tracing::warn!(mint = %mint.url, payee, reason, "the mint does not swap small proofs of the wallet for large ones");
                    return Ok(true);
                }
                Some(Exchanged::Pending) => return Ok(false),
                None => return Ok(true),
            }
        }
        Ok(true)
    }

    /// Swaps proofs of a payee for fewer, or for those of another keyset. `None`: that would bring nothing.
    async fn exchange(
        &self,
        mint: &Mint,
        payee: &str,
        proofs: Proofs,
    ) -> Result<Option<Exchanged>, Unavailable> {
        let keysets = mint.keysets().await?;
        let (Some(worth), Ok(fee_sat)) = (sum(&proofs), keysets.fee_sat(&proofs)) else { return Ok(None) };
        let net_sat = worth.saturating_sub(fee_sat);
        if net_sat == 0 {
            return Ok(None);
        }
        let outputs = self.outputs(mint, net_sat).await?;
        let (info, keys) = mint.keyset(outputs.keyset).await?;
        let parts = self.secrets(&outputs, net_sat, &info, &keys)?.secrets.len();
        let is_of_others = proofs.iter().any(|proof| proof.keyset_id != outputs.keyset);
        if parts >= proofs.len() && !is_of_others {
            self.record.free_outputs(outputs, u32::try_from(parts).unwrap_or(0)).await?;
            return Ok(None);
        }
        let text = serde_json::to_string(&proofs);
        let text = text.map_err(|error| Unavailable::Store(error.to_string()))?;
        let (mint_name, payee, proofs) = (mint.url.to_string(), payee.to_owned(), Zeroizing::new(text));
        let exchange = Exchange { id: 0, mint: mint_name, payee, net_sat, fee_sat, outputs, proofs };
        match self.record.begin_exchange(exchange).await? {
            Some(begun) => self.ask_exchange(mint, &begun).await.map(Some),
            None => Ok(Some(Exchanged::Pending)),
        }
    }

    async fn ask_exchange(&self, mint: &Mint, exchange: &Exchange) -> Result<Exchanged, Unavailable> {
        let unreadable = |_| Unavailable::Store("a recorded exchange can't be read".into());
        let proofs: Proofs = serde_json::from_str(&exchange.proofs).map_err(unreadable)?;
        let Some((info, keys)) = self.keyset_of(mint, &exchange.outputs, &proofs).await? else {
            self.record.abandon_exchange(exchange.id, 0).await?;
            return Ok(Exchanged::Refused("it lists the keyset of the exchange no more".into()));
        };
        let secrets = self.secrets(&exchange.outputs, exchange.net_sat, &info, &keys)?;
        tracing::debug!(proofs = proofs.len(), "exchange asked");
        match self.attempt_patiently(mint, &proofs, &secrets, &keys).await? {
            Attempt::Signed(signatures) => {
                let spent = ys(&proofs)?;
                let disowned = spent.iter().map(PublicKey::to_bytes).collect();
                self.replace(mint, secrets, signatures, &keys, &exchange.payee, spent).await?;
                self.record.finish_exchange(exchange.id, disowned).await?;
                Ok(Exchanged::Done)
            }
            Attempt::Pending => Ok(Exchanged::Pending),
            Attempt::TooMany(_) => {
                mint.too_many_inputs(proofs.len());
                self.record.abandon_exchange(exchange.id, count(&secrets)).await?;
                Ok(Exchanged::TooMany)
            }
            refused => {
                let is_unclear = matches!(refused, Attempt::Unclear(_) | Attempt::OtherOutputs);
                self.refused(mint, exchange, &proofs, &secrets, is_unclear).await?;
                Ok(Exchanged::Refused(refused.reason()))
            }
        }
    }

    /// The exchange is given up. Its outputs serve another, unless the mint may have signed them.
    async fn refused(
        &self,
        mint: &Mint,
        exchange: &Exchange,
        proofs: &Proofs,
        secrets: &PreMintSecrets,
        is_unclear: bool,
    ) -> Result<(), Unavailable> {
        let states = self.states_of(mint, ys(proofs)?).await?;
        let spent: Vec<_> =
            states.iter().filter(|proof| proof.state == State::Spent).map(|proof| proof.y).collect();
        self.take_out(mint, spent).await?;
        let free = if is_unclear { 0 } else { count(secrets) };
        self.record.abandon_exchange(exchange.id, free).await
    }

    /// Takes proofs out of the wallet that somebody else has spent.
    pub(crate) async fn take_out(&self, mint: &Mint, spent: Vec<PublicKey>) -> Result<(), Unavailable> {
        if spent.is_empty() {
            return Ok(());
        }
        tracing::error!(
            mint = %mint.url, proofs = spent.len(),
            "ecash of the wallet has been spent by somebody else who has its seed or a copy of it; it is taken out"
        );
        let removed = self.wallet.update_proofs(Vec::new(), spent).await;
        removed.map_err(|error| Unavailable::Store(error.to_string()))
    }
}

/// Exchanges the wallet's ecash of keysets that end soon for ecash of others, if the mint has any.
pub(crate) async fn leave_ending_keysets(
    purse: &Purse,
    mint: &Mint,
    database: &std::path::Path,
) -> Result<(), Unavailable> {
    let (keysets, now) = (mint.keysets().await?, unix_now());
    let ending = keysets.ending(now);
    let is_better = keysets.for_outputs(now).is_some_and(|(info, _)| !ending.contains(&info.id));
    if ending.is_empty() || !is_better {
        return Ok(());
    }
    let ending: Vec<_> = ending.iter().map(ToString::to_string).collect();
    let mut turn = None;
    for payee in purse.record.owners(mint.url.to_string()).await? {
        for _ in 0..EXCHANGES_AT_MOST {
            let at_most = mint.inputs_at_most().min(PROOFS_AT_MOST);
            let proofs = purse.owned_of(mint, &payee, ending.clone(), Order::Largest, at_most).await?;
            if proofs.is_empty() {
                break;
            }
            if turn.is_none() {
                turn = Some(Turn::take(database).await?);
                // They may have been paid out meanwhile.
                continue;
            }
            if purse.has_open_melt(mint, &payee).await? || !purse.conclude_exchange(mint, &payee).await? {
                break;
            }
            match purse.exchange(mint, &payee, proofs).await? {
                Some(Exchanged::Done | Exchanged::TooMany) => {}
                Some(Exchanged::Refused(reason)) => {
                    tracing::error!(mint = %mint.url, payee, reason, "the mint does not swap ecash of a keyset that ends soon");
                    break;
                }
                Some(Exchanged::Pending) | None => break,
            }
        }
    }
    Ok(())
}
