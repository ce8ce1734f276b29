//! What there is in the till, whose it is, and paying it out.

use std::collections::BTreeMap;

use crate::{Invoices, MeltTerms, Redeemed, Till, Unavailable};

/// Melts of one payee's ecash of a mint in one go.
const MELTS_AT_MOST: usize = 100;

/// What there is of one mint's ecash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The mint.
    pub mint: String,
    /// In the wallet, in sat.
    pub wallet_sat: u64,
    /// The same by payee; under an empty name what was taken before payees were recorded.
    pub payees: BTreeMap<String, u64>,
    /// Paid, locked to us and not redeemed yet, in sat after the mint's fee.
    pub held_sat: u64,
    /// Paid out over Lightning so far, in sat.
    pub redeemed_sat: u64,
    /// What paying it out has cost so far, in sat.
    pub redemption_fees_sat: u64,
}

impl Till {
    /// The wallet's ecash that is not spent, by mint, and what is held and not redeemed yet, both in sat.
    ///
    /// # Errors
    /// [`Unavailable::Store`]
    pub async fn balance(&self) -> Result<Vec<Balance>, Unavailable> {
        let mut all = Vec::new();
        for mint in &self.inner.mints {
            let mut payees = BTreeMap::new();
            for (payee, proof) in self.inner.purse.owned(mint).await? {
                *payees.entry(payee).or_default() += proof.amount.to_u64();
            }
            let held_sat = self.inner.purse.record.held(mint.url.to_string()).await?;
            let melted = self.inner.purse.record.melted(mint.url.to_string()).await?;
            all.push(Balance {
                mint: mint.url.to_string(),
                wallet_sat: payees.values().sum(),
                payees,
                held_sat,
                redeemed_sat: melted.paid_sat,
                redemption_fees_sat: melted.fees_sat,
            });
        }
        Ok(all)
    }

    /// Pays the wallet's ecash out over Lightning, to each payee what is theirs, mint by mint, after finding out what came of
    /// the last time. To be called again and again; it may be dropped, and the process may die, at any point.
    ///
    /// # Errors
    /// [`Unavailable::Store`]; what else goes wrong is told for each payee.
    pub async fn redeem(
        &self,
        terms: &MeltTerms,
        invoices: &dyn Invoices,
    ) -> Result<Vec<Redeemed>, Unavailable> {
        let _one_at_a_time = self.inner.melting.lock().await;
        let mut all = Vec::new();
        for mint in &self.inner.mints {
            for payee in self.inner.purse.payees(mint).await? {
                let mint_name = mint.url.to_string();
                let mut done = Redeemed { mint: mint_name, payee, paid_sat: 0, fees_sat: 0, error: None };
                for _ in 0..MELTS_AT_MOST {
                    match self.inner.purse.melt(mint, &done.payee, terms, invoices).await {
                        Ok(Some(melted)) => {
                            done.paid_sat += melted.paid_sat;
                            done.fees_sat += melted.fees_sat;
                        }
                        Ok(None) => break,
                        Err(error) => {
                            done.error = Some(error);
                            break;
                        }
                    }
                }
                all.push(done);
            }
        }
        Ok(all)
    }
}
