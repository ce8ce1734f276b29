//! Prices and payees that the operator lists by path in the store that hosts share: looked up once for all who ask
//! at once, and known for half a second. While they can't be looked up, what was known last holds.

mod paths;
mod payees;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use l402::PaymentHash;
use lightning::Notes;
use settings::value;
use store::{Listed, Prices};
use tokio::time::Instant;

use super::{
    Engine, Failure, INVOICE_EXPIRY_S, Ready, Wanted, admit::LookUpPermit, backend::Backend, lookup::Verdict,
};
use paths::Paths;
use payees::Payees;

pub use payees::Opener;

/// How old what is known may be, from the moment on at which it was asked for. A change is to count within a second.
const FRESH: Duration = Duration::from_millis(500);
/// How long ecash at a price that was listed before is taken: as long as an invoice over it can be paid.
const TAKEN: Duration = Duration::from_secs(INVOICE_EXPIRY_S as u64);
/// Prices of a path that were listed before and are remembered at most.
const EARLIER: usize = 16;
/// Before the Lightning address of a listed payee; no backend has such a name.
const LISTED: &str = "lnurl:";
/// Characters of a value that are logged.
const SHOWN: usize = 60;

/// What is listed, and the wallets that it names.
pub struct Listing {
    prices: Arc<dyn Prices>,
    paths: Paths,
    payees: Payees,
    notes: Arc<dyn Notes>,
    /// Values that were found to be of no use.
    unusable: AtomicU64,
    /// It can't be looked up, and the log says so.
    is_silent: AtomicBool,
}

/// What is sold to one request: for how much, and who is paid.
#[derive(Clone)]
pub struct Quote {
    /// In msat.
    pub amount_msat: u64,
    /// Who is listed; `None`: the location's own.
    payee: Option<Arc<Backend>>,
}

/// What is known of a path.
#[derive(Clone)]
struct Known {
    asked: Instant,
    listed: Listed,
    price_msat: Option<u64>,
    /// A Lightning address.
    payee: Option<String>,
    /// What the price was lately, and until when; `None`: the location's own.
    earlier: Vec<(Instant, Option<u64>)>,
}

impl Known {
    /// What came before this look-up, as long as it is of use.
    fn earlier(before: Option<&Known>, price_msat: Option<u64>, now: Instant) -> Vec<(Instant, Option<u64>)> {
        let Some(before) = before else { return Vec::new() };
        let changed = before.price_msat != price_msat;
        let last = changed.then_some((now, before.price_msat));
        let all = last.into_iter().chain(before.earlier.iter().copied());
        all.filter(|(until, _)| now.duration_since(*until) < TAKEN).take(EARLIER).collect()
    }

    /// The lowest price in msat that a client may have been asked and can still pay.
    fn lowest(&self, own_msat: u64) -> u64 {
        let earlier = self.earlier.iter().filter(|(until, _)| until.elapsed() < TAKEN);
        let all = earlier.map(|(_, price_msat)| *price_msat).chain([self.price_msat]);
        all.map(|price_msat| price_msat.unwrap_or(own_msat)).min().unwrap_or(own_msat)
    }

    fn is_fresh(&self) -> bool {
        self.asked.elapsed() < FRESH
    }
}

impl Quote {
    fn of_location(amount_msat: u64) -> Self {
        Self { amount_msat, payee: None }
    }

    /// What the invoice is to say.
    pub fn over<'a>(&self, wanted: &'a Wanted) -> Cow<'a, Wanted> {
        match self.amount_msat == wanted.amount_msat {
            true => Cow::Borrowed(wanted),
            false => Cow::Owned(Wanted { amount_msat: self.amount_msat, ..wanted.clone() }),
        }
    }
}

impl Listing {
    /// What is listed in `prices`. `open` opens the wallet at a Lightning address; it keeps its notes in `notes`, each with
    /// the address.
    #[must_use]
    pub fn new(prices: Arc<dyn Prices>, notes: Arc<dyn Notes>, open: Opener) -> Self {
        Self {
            prices,
            paths: Paths::default(),
            payees: Payees::new(open, notes.clone()),
            notes,
            unusable: AtomicU64::new(0),
            is_silent: AtomicBool::new(false),
        }
    }

    /// How often a value was found that can't be used.
    pub fn unusable(&self) -> u64 {
        self.unusable.load(Ordering::Relaxed)
    }

    /// What is known and fresh.
    fn known(&self, path: &str) -> Option<Known> {
        self.paths.find(path)?.known().filter(Known::is_fresh)
    }

    /// What is listed, or what was known last.
    async fn find(&self, path: &str) -> Option<Known> {
        let slot = self.paths.of(path);
        let _turn = slot.turn().await;
        let known = slot.known();
        if known.as_ref().is_some_and(Known::is_fresh) {
            return known;
        }
        let asked = Instant::now();
        match self.prices.listed(path).await {
            Ok(listed) => {
                if self.is_silent.swap(false, Ordering::Relaxed) {
                    tracing::info!("prices in Redis are looked up again");
                }
                let known = self.judge(path, listed, asked, known.as_ref());
                slot.set(known.clone());
                Some(known)
            }
            Err(error) => {
                if !self.is_silent.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        %error,
                        "prices in Redis can't be looked up; until they can, those that were known last hold, and \
                         the locations' own where none was known"
                    );
                }
                known
            }
        }
    }

    /// What can't be used is as if it were not there; the log says so once.
    fn judge(&self, path: &str, listed: Listed, asked: Instant, before: Option<&Known>) -> Known {
        let price_msat = listed.price.as_deref().and_then(|text| value::msat(text.trim().as_bytes()));
        let payee = listed.payee.as_deref().and_then(|text| value::lightning_address(text.trim()));
        let earlier = Known::earlier(before, price_msat, asked);
        let before = before.map(|known| &known.listed);
        if let (Some(text), None) = (&listed.price, price_msat) {
            let unusable = self.unusable.fetch_add(1, Ordering::Relaxed) + 1;
            if before.and_then(|before| before.price.as_ref()) != Some(text) {
                tracing::warn!(
                    path,
                    value = shown(text),
                    unusable,
                    "the price in Redis is no positive number of millisatoshi; the location's own is asked"
                );
            }
        }
        if let (Some(text), None) = (&listed.payee, &payee) {
            let unusable = self.unusable.fetch_add(1, Ordering::Relaxed) + 1;
            if before.and_then(|before| before.payee.as_ref()) != Some(text) {
                tracing::warn!(
                    path,
                    value = shown(text),
                    unusable,
                    "the payee in Redis (lnurl:) is no Lightning address; the location's own wallet is paid"
                );
            }
        }
        Known { asked, listed, price_msat, payee, earlier }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect::<String>().escape_debug().to_string()
}

impl Engine {
    /// What is sold at this path, where that is known without asking anyone. `amount_msat` is the location's own price.
    pub fn quote_at_once(&self, path: &str, amount_msat: u64) -> Option<Quote> {
        match self.listing_of(path) {
            None => Some(Quote::of_location(amount_msat)),
            Some(listing) => self.quote_of(listing, path, amount_msat, Some(listing.known(path)?)).ok(),
        }
    }

    /// What is sold at this path.
    ///
    /// # Errors
    /// [`Failure`]: the wallet that is listed can't be opened.
    pub async fn quote(&self, path: &str, amount_msat: u64) -> Result<Quote, Failure> {
        match self.listing_of(path) {
            None => Ok(Quote::of_location(amount_msat)),
            Some(listing) => self.quote_of(listing, path, amount_msat, listing.find(path).await),
        }
    }

    /// The price in msat for which ecash is taken at this path: the lowest that was asked as lately as an invoice can be paid.
    /// So a price that rises takes nothing from a client whose ecash is on its way, or was taken and whose answer was lost.
    pub async fn ecash_price(&self, path: &str, amount_msat: u64) -> u64 {
        match self.listing_of(path) {
            None => amount_msat,
            Some(listing) => listing.find(path).await.map_or(amount_msat, |known| known.lowest(amount_msat)),
        }
    }

    /// Who is to get the worth of ecash that is taken at this path: who is listed, or the location's own.
    pub async fn ecash_payee(&self, path: &str, backends: String) -> String {
        let Some(listing) = self.listing_of(path) else { return backends };
        let listed = listing.find(path).await.and_then(|known| known.payee);
        listed.map_or(backends, |address| format!("{LISTED}{address}"))
    }

    /// The wallet of a payee that [`Engine::ecash_payee`] named, where it is one who was listed.
    pub(super) fn listed_payee(&self, payee: &str) -> Option<Result<Arc<Backend>, Failure>> {
        let address = payee.strip_prefix(LISTED)?;
        Some(match &self.listing {
            Some(listing) => self.payee_at(listing, "", address),
            None => {
                Err(Failure::internal(format!("{address} was listed in Redis, and there is none any more")))
            }
        })
    }

    fn listing_of(&self, path: &str) -> Option<&Listing> {
        self.listing.as_ref().filter(|_| !path.is_empty())
    }

    fn quote_of(
        &self,
        listing: &Listing,
        path: &str,
        amount_msat: u64,
        known: Option<Known>,
    ) -> Result<Quote, Failure> {
        let Some(Known { price_msat, payee, .. }) = known else { return Ok(Quote::of_location(amount_msat)) };
        let payee = match payee {
            None => None,
            Some(address) => Some(self.payee_at(listing, path, &address)?),
        };
        Ok(Quote { amount_msat: price_msat.unwrap_or(amount_msat), payee })
    }

    /// The wallet at a Lightning address: one of the configuration, or one that is opened now.
    fn payee_at(&self, listing: &Listing, path: &str, address: &str) -> Result<Arc<Backend>, Failure> {
        match self.backends.get(&settings::lnurl_backend_name(address)) {
            Some(backend) => Ok(backend.clone()),
            None => listing.payees.of(address, self).map_err(|reason| {
                Failure::internal(format!("the payee that is listed for {path:?} can't be paid: {reason}"))
            }),
        }
    }

    /// An invoice to that quote; see [`Engine::invoice`].
    ///
    /// # Errors
    /// [`Failure`]: the wallet's. Nobody else is paid in place of who is listed.
    pub async fn invoice_to(&self, quote: &Quote, backends: &str, wanted: Wanted) -> Result<Ready, Failure> {
        let Some(payee) = &quote.payee else { return self.invoice(backends, wanted).await };
        match payee.ready(&wanted) {
            Some(ready) => Ok(ready),
            None => payee.invoice(wanted).await,
        }
    }

    /// The same where it takes no wallet: there is one ready.
    pub fn ready_invoice_to(&self, quote: &Quote, backends: &str, wanted: &Wanted) -> Option<Ready> {
        match &quote.payee {
            Some(payee) => payee.ready(wanted),
            None => self.ready_invoice(backends, wanted),
        }
    }

    /// Whether it is paid, to whoever made the invoice: one who was listed, or one of the location's own.
    pub(super) async fn verdict(
        &self,
        names: &str,
        hash: PaymentHash,
        permit: &Arc<LookUpPermit>,
    ) -> Result<Verdict, Failure> {
        match self.listed_maker(names, hash).await? {
            Some(payee) => payee.verdict(hash, permit).await,
            None => self.verdict_of_any(names, hash, permit).await,
        }
    }

    async fn listed_maker(&self, names: &str, hash: PaymentHash) -> Result<Option<Arc<Backend>>, Failure> {
        let Some(listing) = &self.listing else { return Ok(None) };
        if let Some(payee) = listing.payees.maker(&hash) {
            return Ok(Some(payee));
        }
        if self.payees(names)?.iter().any(|payee| payee.issued().contains(&hash)) {
            return Ok(None);
        }
        // Made by another host, or before this process was started.
        let note = listing.notes.find(hash).await?;
        match note.as_deref().and_then(payees::address_in) {
            Some(address) => self.payee_at(listing, "", address).map(Some),
            None => Ok(None),
        }
    }
}
