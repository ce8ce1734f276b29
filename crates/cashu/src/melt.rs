//! Paying the wallet's ecash out over Lightning (NUT-05): how much, when, and the quote for it.

use std::{collections::BTreeSet, fmt, future::Future, pin::Pin};

use cdk::lightning_invoice::Bolt11Invoice;
use cdk::nuts::nut23::{MeltQuoteBolt11Request, MeltQuoteBolt11Response};
use cdk::nuts::{CurrencyUnit, PreMintSecrets, Proof, Proofs, PublicKey, State};
use cdk::{MeltQuoteCreateResponse, MeltQuoteRequest};
use zeroize::Zeroizing;

use crate::mint::Mint;
use crate::record::{Melt, Outputs};
use crate::swap::Purse;
use crate::token::sum;
use crate::{Keysets, Unavailable, unix_now};

/// Invoices asked for at most until the mint's fee reserve fits.
const QUOTES_AT_MOST: usize = 3;
/// For how long a quote without an end is taken to be good, in seconds.
const ENDLESS_S: u64 = 86_400;

/// An invoice, or why there is none.
pub type InvoiceFuture<'a> = Pin<Box<dyn Future<Output = Result<String, String>> + Send + 'a>>;

/// Who ecash is paid out to.
pub trait Invoices: Send + Sync {
    /// A BOLT11 invoice of this payee over exactly this much. It may stay unpaid. The payee is as [`Till::accept`](crate::Till::accept) was told, or empty for what
    /// was taken before payees were recorded.
    fn invoice<'a>(&'a self, payee: &'a str, amount_msat: u64) -> InvoiceFuture<'a>;
}

/// What is paid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeltTerms {
    /// What there must be of a mint's ecash, in sat.
    pub min_balance_sat: u64,
    /// What is set aside for the payment's fee, in percent. What the fee does not take comes back.
    pub fee_reserve_percent: u64,
    /// What is set aside at least, in sat.
    pub min_fee_reserve_sat: u64,
    /// Proofs in one melt; 0: all.
    pub max_proofs: usize,
}

impl Default for MeltTerms {
    fn default() -> Self {
        Self { min_balance_sat: 10, fee_reserve_percent: 1, min_fee_reserve_sat: 4, max_proofs: 0 }
    }
}

impl MeltTerms {
    /// What is set aside for the fee of paying this much, in sat.
    fn reserve_sat(&self, sat: u64) -> u64 {
        let share = sat.saturating_mul(self.fee_reserve_percent).div_ceil(100);
        share.max(self.min_fee_reserve_sat)
    }

    /// The largest proofs, as many as go into one melt.
    fn choose(&self, mut proofs: Proofs) -> Proofs {
        proofs.sort_by_key(|proof| std::cmp::Reverse(proof.amount));
        if self.max_proofs > 0 {
            proofs.truncate(self.max_proofs);
        }
        proofs
    }
}

/// Why ecash was not paid out. It is in the wallet still, or on record with the mint's quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeltError {
    /// The mint or the disk.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// There is no invoice to pay.
    #[error("no invoice to pay ecash out to: {0}")]
    Invoice(String),
    /// The mint did not pay; the ecash is in the wallet.
    #[error("the mint {mint} did not pay: {reason}")]
    Refused {
        /// The mint.
        mint: String,
        /// What it said.
        reason: String,
    },
    /// The mint may still pay; the next time it is asked what came of it.
    #[error("the payment of the mint {mint} is under way: {reason}")]
    UnderWay {
        /// The mint.
        mint: String,
        /// What is known.
        reason: String,
    },
}

/// What became of one payee's ecash of one mint in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// The mint.
    pub mint: String,
    /// The payee.
    pub payee: String,
    /// What was paid out, in sat.
    pub paid_sat: u64,
    /// What that cost, in sat: the mint's fee and the Lightning payment's.
    pub fees_sat: u64,
    /// Why it ended before all was paid out.
    pub error: Option<MeltError>,
}

/// One melt that was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Melted {
    pub(crate) paid_sat: u64,
    pub(crate) fees_sat: u64,
}

/// How a recorded melt stands.
#[derive(Debug)]
pub(crate) enum Standing {
    Paid(Melted),
    /// Not paid, and never will be; the ecash is in the wallet.
    Abandoned(String),
    UnderWay(String),
}

/// What a melt is to pay.
struct Plan {
    quote: MeltQuoteBolt11Response<String>,
    proofs: Proofs,
    spent_sat: u64,
    overpaid_sat: u64,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("spent_sat", &self.spent_sat).finish_non_exhaustive()
    }
}

impl Purse {
    /// Who is owed ecash of this mint, or has a melt there whose outcome is not known.
    pub(crate) async fn payees(&self, mint: &Mint) -> Result<BTreeSet<String>, Unavailable> {
        let open = self.record.open_melts(mint.url.to_string()).await?;
        let mut all: BTreeSet<_> = open.into_iter().map(|melt| melt.payee).collect();
        all.extend(self.owned(mint).await?.into_iter().map(|(payee, _)| payee));
        Ok(all)
    }

    /// Concludes the payee's melt that is open, or pays out once. `None`: there is too little.
    pub(crate) async fn melt(
        &self,
        mint: &Mint,
        payee: &str,
        terms: &MeltTerms,
        invoices: &dyn Invoices,
    ) -> Result<Option<Melted>, MeltError> {
        let name = mint.url.to_string();
        let open = self.record.open_melts(name.clone()).await?;
        if let Some(open) = open.into_iter().find(|melt| melt.payee == payee) {
            match self.conclude(mint, &open).await? {
                Standing::Paid(melted) => return Ok(Some(melted)),
                Standing::UnderWay(reason) => return Err(MeltError::UnderWay { mint: name, reason }),
                Standing::Abandoned(reason) => {
                    tracing::warn!(mint = %mint.url, quote = open.quote, reason, "the mint did not pay ecash out");
                }
            }
        }
        let Some(plan) = self.plan(mint, payee, terms, invoices).await? else { return Ok(None) };
        let melt = self.melt_of(mint, payee, plan).await?;
        if !self.record.begin_melt(melt.clone()).await? {
            let reason = "another process has begun one".to_owned();
            return Err(MeltError::UnderWay { mint: name, reason });
        }
        tracing::debug!(quote = melt.quote, "melt recorded");
        match self.ask(mint, &melt).await? {
            Standing::Paid(melted) => Ok(Some(melted)),
            Standing::UnderWay(reason) => Err(MeltError::UnderWay { mint: name, reason }),
            Standing::Abandoned(reason) => Err(MeltError::Refused { mint: name, reason }),
        }
    }

    /// The proofs to spend and the mint's quote for an invoice over what they are worth, fees aside.
    async fn plan(
        &self,
        mint: &Mint,
        payee: &str,
        terms: &MeltTerms,
        invoices: &dyn Invoices,
    ) -> Result<Option<Plan>, MeltError> {
        let keysets = mint.keysets().await?;
        let proofs = terms.choose(self.spendable(mint, payee, &keysets).await?);
        let worth = || Unavailable::Store("the ecash can't be added up".into());
        let spent_sat = sum(&proofs).ok_or_else(worth)?;
        let fee_sat = keysets.fee_sat(&proofs).map_err(|_| worth())?;
        if spent_sat < terms.min_balance_sat {
            return Ok(None);
        }
        let net_sat = spent_sat.saturating_sub(fee_sat);
        let mut amount_sat = net_sat.saturating_sub(terms.reserve_sat(net_sat));
        for _ in 0..QUOTES_AT_MOST {
            if amount_sat == 0 {
                return Ok(None);
            }
            let quote = self.quote(mint, payee, invoices, amount_sat).await?;
            let left = net_sat.saturating_sub(quote.fee_reserve.to_u64());
            if amount_sat <= left {
                return Ok(Some(Plan { quote, proofs, spent_sat, overpaid_sat: net_sat - amount_sat }));
            }
            amount_sat = left;
        }
        let reason = "it sets ever more aside for the payment's fee".to_owned();
        Err(MeltError::Refused { mint: mint.url.to_string(), reason })
    }

    async fn quote(
        &self,
        mint: &Mint,
        payee: &str,
        invoices: &dyn Invoices,
        amount_sat: u64,
    ) -> Result<MeltQuoteBolt11Response<String>, MeltError> {
        let amount_msat = amount_sat.saturating_mul(1000);
        let invoice = invoices.invoice(payee, amount_msat).await.map_err(MeltError::Invoice)?;
        let invoice: Bolt11Invoice =
            invoice.parse().map_err(|_| MeltError::Invoice("it can't be read".into()))?;
        if invoice.amount_milli_satoshis() != Some(amount_msat) {
            return Err(MeltError::Invoice("it is over another amount than was asked for".into()));
        }
        let refused = |reason: String| MeltError::Refused { mint: mint.url.to_string(), reason };
        let request = MeltQuoteBolt11Request { request: invoice, unit: CurrencyUnit::Sat, options: None };
        let answer = mint.call(|mint| mint.post_melt_quote(MeltQuoteRequest::Bolt11(request))).await?;
        match answer {
            Ok(MeltQuoteCreateResponse::Bolt11(quote)) if quote.amount.to_u64() == amount_sat => Ok(quote),
            Ok(_) => Err(refused("its quote is for another payment".into())),
            Err(error) if error.is_definitive_failure() => Err(refused(error.to_string())),
            Err(error) => Err(mint.unavailable(error.to_string()).into()),
        }
    }

    /// A payee's ecash of a mint, as far as the mint knows its keysets.
    async fn spendable(&self, mint: &Mint, payee: &str, keysets: &Keysets) -> Result<Proofs, Unavailable> {
        let owned = self.owned(mint).await?.into_iter().filter(|(owner, _)| owner == payee);
        let proofs = owned.map(|(_, proof)| proof);
        Ok(proofs.filter(|proof| keysets.info(&proof.keyset_id).is_some()).collect())
    }

    /// The wallet's ecash of a mint, each with whose it is.
    pub(crate) async fn owned(&self, mint: &Mint) -> Result<Vec<(String, Proof)>, Unavailable> {
        let (unit, state) = (Some(CurrencyUnit::Sat), Some(vec![State::Unspent]));
        let found = self.wallet.get_proofs(Some(mint.url.clone()), unit, state, None).await;
        let found = found.map_err(|error| Unavailable::Store(error.to_string()))?;
        let owners = self.record.owners().await?;
        let owner = |y: &PublicKey| owners.get(&y.to_bytes()).cloned().unwrap_or_default();
        Ok(found.into_iter().map(|info| (owner(&info.y), info.proof)).collect())
    }

    async fn melt_of(&self, mint: &Mint, payee: &str, plan: Plan) -> Result<Melt, Unavailable> {
        let keysets = mint.keysets_with(|known| known.for_outputs().is_some()).await?;
        let active = keysets.for_outputs();
        let (info, _) = active.ok_or_else(|| mint.unavailable("it has no active keyset in the unit sat"))?;
        let count = self.blank(&Outputs { keyset: info.id, counter: 0 }, plan.overpaid_sat)?.len();
        let counter = self.counter(info.id, u32::try_from(count).unwrap_or(u32::MAX)).await?;
        let proofs = serde_json::to_string(&plan.proofs);
        let proofs = proofs.map_err(|error| Unavailable::Store(error.to_string()))?;
        let at = unix_now();
        Ok(Melt {
            mint: mint.url.to_string(),
            payee: payee.to_owned(),
            at,
            expiry: if plan.quote.expiry == 0 { at.saturating_add(ENDLESS_S) } else { plan.quote.expiry },
            tries: 0,
            amount_sat: plan.quote.amount.to_u64(),
            spent_sat: plan.spent_sat,
            overpaid_sat: plan.overpaid_sat,
            proofs: Some(Zeroizing::new(proofs)),
            outputs: Outputs { keyset: info.id, counter },
            quote: plan.quote.quote,
        })
    }

    /// Outputs without amounts, for change of at most this much (NUT-08).
    pub(crate) fn blank(&self, outputs: &Outputs, overpaid_sat: u64) -> Result<PreMintSecrets, Unavailable> {
        PreMintSecrets::from_seed_blank(outputs.keyset, outputs.counter, &self.seed.0, overpaid_sat.into())
            .map_err(|error| Unavailable::Store(format!("outputs can't be derived: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::MeltTerms;

    #[test]
    fn the_reserve_is_a_share_rounded_up_and_no_less_than_the_least() {
        let terms = MeltTerms::default();
        assert_eq!(terms.reserve_sat(10), 4);
        assert_eq!(terms.reserve_sat(400), 4);
        assert_eq!(terms.reserve_sat(401), 5);
        assert_eq!(terms.reserve_sat(u64::MAX), u64::MAX.div_ceil(100));
    }
}
