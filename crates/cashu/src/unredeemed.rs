//! Held payments that the mint does not swap. Its word on each proof decides: what it calls unspent is tried again, as long as it
//! takes; only what somebody else has spent is lost, and only when the mint says so a second time.

use cdk::nuts::{Proof, ProofState, Proofs, State};
use zeroize::Zeroizing;

use crate::attempt::ys;
use crate::mint::Mint;
use crate::record::{Rest, Row};
use crate::swap::{Purse, Swapped, count, unreadable};
use crate::token::sum;
use crate::{PaymentId, Unavailable, unix_now};

impl Purse {
    /// Finds out what becomes of a held payment whose swap was refused, or failed, for this reason.
    ///
    /// # Errors
    /// [`Unavailable`]: the mint does not say; nothing has changed.
    pub(crate) async fn not_redeemed(
        &self,
        mint: &Mint,
        id: PaymentId,
        reason: String,
    ) -> Result<Swapped, Unavailable> {
        // Its outputs may have been assigned since it was read.
        let Some(row) = self.record.find(id).await? else { return Ok(Swapped::Done) };
        let Some(text) = &row.proofs else { return Ok(Swapped::Done) };
        let proofs: Proofs = serde_json::from_str(text).map_err(|_| unreadable())?;
        let states = self.states_of(mint, ys(&proofs)?).await?;
        let with = |state: State| states.iter().filter(|proof| proof.state == state).count();
        let (spent, unspent) = (with(State::Spent), with(State::Unspent));
        if spent + unspent < states.len() {
            return Ok(Swapped::Pending);
        }
        if spent == 0 {
            self.record.postpone(id, unix_now()).await?;
            return Ok(Swapped::Postponed(reason));
        }
        self.spent(mint, &row, proofs, &states).await
    }

    /// Some or all proofs of a held payment are spent: by us, with a request whose answer was lost, or by somebody else.
    async fn spent(
        &self,
        mint: &Mint,
        row: &Row,
        proofs: Proofs,
        states: &[ProofState],
    ) -> Result<Swapped, Unavailable> {
        let mut outputs = 0;
        if let Some(assigned) = &row.outputs {
            let (info, keys) = mint.keyset(assigned.keyset).await?;
            let secrets = self.secrets(assigned, row.net_sat, &info, &keys)?;
            outputs = count(&secrets);
            if let Some(signatures) = self.restore(mint, &secrets, &keys).await? {
                return self.done(mint, row, secrets, signatures, &keys).await;
            }
        }
        if let Some(former) = row.former_bundle
            && self.conclude_given_up(mint, former).await?
        {
            return Ok(Swapped::Done);
        }
        if row.tries == 0 {
            // A mint may mark proofs as spent a moment before it can say what it has signed for them.
            self.record.postpone(row.id, unix_now()).await?;
            return Ok(Swapped::Postponed("it has been spent; the mint is asked once more for what".into()));
        }
        let is_unspent =
            |(proof, state): (Proof, &ProofState)| (state.state == State::Unspent).then_some(proof);
        let left: Proofs = proofs.into_iter().zip(states).filter_map(is_unspent).collect();
        match rest(mint, row, &left).await? {
            Some(rest) => {
                self.record.shrink(row.id, rest, outputs).await?;
                Ok(Swapped::Shrunk)
            }
            None => {
                self.record.lose(row.id, outputs).await?;
                Ok(Swapped::Lost)
            }
        }
    }
}

/// What nobody has spent of a payment, if it is worth anything.
async fn rest(mint: &Mint, row: &Row, left: &Proofs) -> Result<Option<Rest>, Unavailable> {
    let keysets = mint.keysets().await?;
    let net_sat = sum(left).and_then(|sum| sum.checked_sub(keysets.fee_sat(left).ok()?));
    let Some(net_sat) = net_sat.filter(|net| *net > 0 && *net < row.net_sat) else { return Ok(None) };
    let proofs = serde_json::to_string(left).map_err(|_| unreadable())?;
    Ok(Some(Rest { proofs: Zeroizing::new(proofs), net_sat }))
}
