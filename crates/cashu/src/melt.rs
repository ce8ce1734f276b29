//! Paying the wallet's ecash out over Lightning (NUT-05): how much, when, and the quote for it.

use std::{collections::BTreeSet, fmt, future::Future, pin::Pin};

use cdk::lightning_invoice::Bolt11Invoice;
use cdk::nuts::nut23::{MeltQuoteBolt11Request, MeltQuoteBolt11Response};
use cdk::nuts::{CurrencyUnit, PreMintSecrets, Proofs, PublicKey};
use zeroize::Zeroizing;

use crate::mint::Mint;
use crate::record::{Melt, Order, Outputs};
use crate::swap::Purse;
use crate::token::sum;
use crate::{Unavailable, unix_now};

/// Payments begun until one is not refused for its size: each holds half of the proofs of the one before.
const HALVINGS_AT_MOST: usize = 10;
/// The longest id of a quote.
const LONGEST_QUOTE: usize = 200;
/// Y values that the wallet is asked for at once.
const PROOFS_AT_ONCE: usize = 500;
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
    /// Proofs in one melt; 0: as many as the mint takes, and the wallet has them swapped for fewer where there are more.
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
    /// Not paid, and never will be; the ecash is in the wallet. With fewer proofs it may be paid.
    Abandoned {
        reason: String,
        too_many: bool,
    },
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
    /// Who is owed ecash of this mint, or has a melt or an exchange there whose outcome is not known.
    pub(crate) async fn payees(&self, mint: &Mint) -> Result<BTreeSet<String>, Unavailable> {
        let name = mint.url.to_string();
        let mut all = self.record.owners(name.clone()).await?;
        all.extend(self.record.open_melts(name.clone()).await?.into_iter().map(|melt| melt.payee));
        all.extend(self.record.exchanging(name).await?);
        Ok(all)
    }

    /// Whether proofs of this payee are being paid out.
    pub(crate) async fn has_open_melt(&self, mint: &Mint, payee: &str) -> Result<bool, Unavailable> {
        let open = self.record.open_melts(mint.url.to_string()).await?;
        Ok(open.iter().any(|melt| melt.payee == payee))
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
        let under_way = |reason: String| MeltError::UnderWay { mint: name.clone(), reason };
        let open = self.record.open_melts(name.clone()).await?;
        if let Some(open) = open.into_iter().find(|melt| melt.payee == payee) {
            match self.conclude(mint, &open).await? {
                Standing::Paid(melted) => return Ok(Some(melted)),
                Standing::UnderWay(reason) => return Err(under_way(reason)),
                Standing::Abandoned { reason, .. } => {
                    tracing::warn!(mint = %mint.url, quote = open.quote, reason, "the mint did not pay ecash out");
                }
            }
        }
        let exchanging = || under_way("its ecash is being swapped for fewer proofs".into());
        if !self.conclude_exchange(mint, payee).await? {
            return Err(exchanging());
        }
        for _ in 0..HALVINGS_AT_MOST {
            if terms.max_proofs == 0 && !self.consolidate(mint, payee).await? {
                return Err(exchanging());
            }
            let Some(plan) = self.plan(mint, payee, terms, invoices).await? else { return Ok(None) };
            match self.pay(mint, payee, plan).await? {
                Standing::Paid(melted) => return Ok(Some(melted)),
                Standing::UnderWay(reason) => return Err(under_way(reason)),
                Standing::Abandoned { too_many: true, .. } => {}
                Standing::Abandoned { reason, .. } => {
                    return Err(MeltError::Refused { mint: name, reason });
                }
            }
        }
        Err(MeltError::Refused { mint: name, reason: "it takes no number of proofs".into() })
    }

    async fn pay(&self, mint: &Mint, payee: &str, plan: Plan) -> Result<Standing, Unavailable> {
        let melt = self.melt_of(mint, payee, plan).await?;
        if !self.record.begin_melt(melt.clone()).await? {
            return Ok(Standing::UnderWay("another process has begun one".into()));
        }
        tracing::debug!(quote = melt.quote, "melt recorded");
        self.ask(mint, &melt).await
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
        let at_most = mint.inputs_at_most();
        let at_most = if terms.max_proofs > 0 { at_most.min(terms.max_proofs) } else { at_most };
        let proofs = self.owned(mint, payee, Order::Largest, at_most).await?;
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
        match mint.call(|api| api.melt_quote(&request)).await? {
            Ok(quote) if !is_usable(&quote.quote) => {
                Err(refused("its quote has an id that can't be used".into()))
            }
            Ok(quote) if quote.amount.to_u64() == amount_sat => Ok(quote),
            Ok(_) => Err(refused("its quote is for another payment".into())),
            Err(word) => Err(refused(word.text())),
        }
    }

    /// A payee's ecash of a mint, of the keysets that the mint lists: at most so many proofs, in this order.
    pub(crate) async fn owned(
        &self,
        mint: &Mint,
        payee: &str,
        order: Order,
        at_most: usize,
    ) -> Result<Proofs, Unavailable> {
        let listed = mint.keysets().await?.infos().iter().map(|info| info.id.to_string()).collect();
        self.owned_of(mint, payee, listed, order, at_most).await
    }

    /// The same, of these keysets.
    pub(crate) async fn owned_of(
        &self,
        mint: &Mint,
        payee: &str,
        keysets: Vec<String>,
        order: Order,
        at_most: usize,
    ) -> Result<Proofs, Unavailable> {
        let (name, payee) = (mint.url.to_string(), payee.to_owned());
        let ys = self.record.owned(name, payee, keysets, order, at_most).await?;
        let store = |error: &dyn fmt::Display| Unavailable::Store(error.to_string());
        let ys: Result<Vec<_>, _> = ys.iter().map(|y| PublicKey::from_slice(y)).collect();
        let mut proofs = Proofs::new();
        for part in ys.map_err(|error| store(&error))?.chunks(PROOFS_AT_ONCE) {
            let found = self.wallet.get_proofs_by_ys(part.to_vec()).await.map_err(|error| store(&error))?;
            proofs.extend(found.into_iter().map(|info| info.proof));
        }
        Ok(proofs)
    }

    async fn melt_of(&self, mint: &Mint, payee: &str, plan: Plan) -> Result<Melt, Unavailable> {
        let now = unix_now();
        let keysets = mint.keysets_with(|known| known.for_outputs(now).is_some()).await?;
        let active = keysets.for_outputs(now);
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

/// Whether a quote's id can stand in an address and in a log.
fn is_usable(quote: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    (1..=LONGEST_QUOTE).contains(&quote.len()) && quote.bytes().all(fits) && !quote.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_QUOTE, MeltTerms, is_usable};

    #[test]
    fn a_quotes_id_is_a_plain_word() {
        for good in ["9d745270-1405-46de-b5c5-e2762b4f5e00", "abc_DEF.1~"] {
            assert!(is_usable(good), "{good}");
        }
        let long = "a".repeat(LONGEST_QUOTE + 1);
        for bad in ["", "..", "a/b", "a?b", "a b", "a\nb", "\u{1b}[2J", "é", &long] {
            assert!(!is_usable(bad), "{bad}");
        }
    }

    #[test]
    fn the_reserve_is_a_share_rounded_up_and_no_less_than_the_least() {
        let terms = MeltTerms::default();
        assert_eq!(terms.reserve_sat(10), 4);
        assert_eq!(terms.reserve_sat(400), 4);
        assert_eq!(terms.reserve_sat(401), 5);
        assert_eq!(terms.reserve_sat(u64::MAX), u64::MAX.div_ceil(100));
    }
}
