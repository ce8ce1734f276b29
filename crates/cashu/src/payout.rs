//! What there is in the till, and paying it out.

use crate::mint::{ASK_AGAIN_AFTER, Mint};
use crate::turn::Turn;
use crate::{Balance, Invoices, MeltError, MeltTerms, Redeemed, Till, Unavailable};

/// Melts of one payee's ecash of a mint in one go.
const MELTS_AT_MOST: usize = 100;

impl Till {
    /// What there is of each mint's ecash: of those whose ecash is taken, in their order, and then of others on record.
    ///
    /// # Errors
    /// [`Unavailable::Store`]
    pub async fn balance(&self) -> Result<Vec<Balance>, Unavailable> {
        let mut on_record = self.inner.purse.record.balances().await?;
        let mut all = Vec::new();
        for mint in &self.inner.mints {
            let mint = mint.url.to_string();
            let found = on_record.iter().position(|balance| balance.mint == mint);
            all.push(
                found.map_or_else(|| Balance { mint, ..Balance::default() }, |place| on_record.remove(place)),
            );
        }
        all.append(&mut on_record);
        Ok(all)
    }

    /// Pays the wallet's ecash out over Lightning, to each payee what is theirs, mint by mint, after finding out what came of
    /// the last time. To be called again and again; it may be dropped, and the process may die, at any point. While another
    /// process is at it, it waits.
    ///
    /// # Errors
    /// [`Unavailable::Store`]; what else goes wrong is told for each payee.
    pub async fn redeem(
        &self,
        terms: &MeltTerms,
        invoices: &dyn Invoices,
    ) -> Result<Vec<Redeemed>, Unavailable> {
        let _turn = Turn::take(&self.inner.database).await?;
        let mut all = Vec::new();
        for mint in &self.inner.mints {
            let mut away = None;
            for payee in self.inner.purse.payees(mint).await? {
                let mint_name = mint.url.to_string();
                let mut done =
                    Redeemed { mint: mint_name, payee, paid_sat: 0, fees_sat: 0, error: away.clone() };
                if done.error.is_none() {
                    self.redeem_of(mint, &mut done, terms, invoices).await;
                }
                // Of a mint that does not answer each payee would wait for a deadline in vain.
                if let Some(MeltError::Unavailable(Unavailable::Mint { .. })) = &done.error
                    && away.is_none()
                    && mint.refresh(ASK_AGAIN_AFTER).await.is_err()
                {
                    away = done.error.clone();
                }
                all.push(done);
            }
        }
        Ok(all)
    }
    /// Pays out what is this payee's.
    async fn redeem_of(&self, mint: &Mint, done: &mut Redeemed, terms: &MeltTerms, invoices: &dyn Invoices) {
        for _ in 0..MELTS_AT_MOST {
            match self.inner.purse.melt(mint, &done.payee, terms, invoices).await {
                Ok(Some(melted)) => {
                    done.paid_sat += melted.paid_sat;
                    done.fees_sat += melted.fees_sat;
                }
                Ok(None) => return,
                Err(error) => return done.error = Some(error),
            }
        }
    }
}
