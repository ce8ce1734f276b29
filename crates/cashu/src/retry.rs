//! Trying payments again that are recorded as lost: whatever their mint does not call spent is held again, and redeemed.

use crate::attempt::ys;
use crate::mint::Mint;
use crate::record::Row;
use crate::swap::{Purse, Swapped, inputs, unreadable};
use crate::{Till, Unavailable};

use cdk::nuts::State;

/// What became of the lost payments of one mint, in sat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// The mint.
    pub mint: String,
    /// Redeemed: in the wallet now.
    pub recovered_sat: u64,
    /// Not spent by the mint's word, and held again; a running l402d redeems it.
    pub held_sat: u64,
    /// Spent by somebody else, by the mint's word, or in use at the mint.
    pub lost_sat: u64,
    /// Why it ended before all was tried.
    pub error: Option<Unavailable>,
}

impl Till {
    /// Tries again what is lost of each mint. To be called any number of times, also while payments are taken.
    ///
    /// # Errors
    /// [`Unavailable::Store`]; what else goes wrong is told for each mint.
    pub async fn retry(&self) -> Result<Vec<Retried>, Unavailable> {
        let mut all = Vec::new();
        for mint in &self.inner.mints {
            let mut told = Retried { mint: mint.url.to_string(), ..Retried::default() };
            told.error = self.inner.purse.retry_all(mint, &mut told).await.err();
            all.push(told);
        }
        // What was not reached is lost still, and so is what was spent of payments that were redeemed in part.
        for left in self.inner.purse.record.balances().await?.into_iter().filter(|left| left.lost_sat > 0) {
            match all.iter_mut().find(|told| told.mint == left.mint) {
                Some(told) => told.lost_sat = left.lost_sat,
                None => all.push(Retried {
                    error: Some(not_asked(&left.mint)),
                    lost_sat: left.lost_sat,
                    mint: left.mint,
                    ..Retried::default()
                }),
            }
        }
        Ok(all)
    }
}

fn not_asked(mint: &str) -> Unavailable {
    let reason = "it is not asked: it is not among CASHU_WHITELISTED_MINTS".into();
    Unavailable::Mint { mint: mint.to_owned(), reason, retry_after_s: None }
}

impl Purse {
    async fn retry_all(&self, mint: &Mint, told: &mut Retried) -> Result<(), Unavailable> {
        for row in self.record.lost(mint.url.to_string()).await? {
            let text = row.proofs.as_ref().ok_or_else(unreadable)?;
            let proofs = inputs(text, None)?;
            let states = self.states_of(mint, ys(&proofs)?).await?;
            if states.iter().any(|proof| proof.state == State::Unspent) {
                self.record.reopen(row.id).await?;
                self.redeem_again(mint, row, told).await?;
            }
        }
        Ok(())
    }

    async fn redeem_again(&self, mint: &Mint, row: Row, told: &mut Retried) -> Result<(), Unavailable> {
        let (id, sat) = (row.id, row.net_sat);
        let Some(row) = self.record.find(id).await? else { return Ok(()) };
        let swapped = match self.swap(mint, &row).await {
            // The first try told what is left of it.
            Ok(Swapped::Shrunk) => match self.record.find(id).await? {
                Some(rest) => (self.swap(mint, &rest).await, rest.net_sat),
                None => return Ok(()),
            },
            other => (other, sat),
        };
        match swapped {
            (Ok(Swapped::Done), sat) => told.recovered_sat += sat,
            (Ok(Swapped::Pending | Swapped::Postponed(_) | Swapped::Shrunk), sat) => told.held_sat += sat,
            (Ok(Swapped::Lost | Swapped::Refused(_)), _) => {}
            (Err(error), sat) => {
                told.held_sat += sat;
                return Err(error);
            }
        }
        Ok(())
    }
}
