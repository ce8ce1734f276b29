//! A Lightning address (LUD-16): invoices by LNURL-pay (LUD-06), look-ups by `verify` (LUD-21).
//!
//! The wallet is somebody else's server, known by nothing but its name: what it says is checked, and where it points to is
//! reached only within the rules of `reach.rs`. It pushes nothing, and finds an invoice only by the address that came with
//! it, so that address is noted down before the invoice reaches a client.

mod message;
mod note;
mod reach;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use l402::{Msat, PaymentHash};
use settings::LnurlSettings;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::http::deadline;
use crate::invoice::{AskedByHash, check_described_by_hash};
use crate::{
    Calls, Health, Invoice, InvoiceRequest, Lightning, LightningError, Lookup, Network, Notes, Reply,
    Settlement, unix_now,
};
use message::{Callback, PayRequest, Verify};
use note::Note;
use reach::{Address, Reach};

/// How long what the address offers is taken as known: each invoice costs one exchange then, not two.
const OFFER_LIFE: Duration = Duration::from_secs(60);

/// Opens the wallet that `settings` describes.
pub(crate) fn open(
    settings: &LnurlSettings,
    notes: Arc<dyn Notes>,
    timeout: Duration,
) -> Result<Arc<dyn Lightning>, String> {
    Ok(Arc::new(Lnurl::new(&settings.address, settings.socks5_proxy.as_deref(), notes, timeout)?))
}

/// A wallet behind a Lightning address.
pub struct Lnurl {
    address: Address,
    reach: Reach,
    notes: Arc<dyn Notes>,
    timeout: Duration,
    offer: Mutex<Option<(Instant, Arc<PayRequest>)>>,
    /// The network of the first good invoice.
    seen: OnceLock<Network>,
    /// Whether the operator was told that invoices can't be looked up.
    told: AtomicBool,
}

impl Lnurl {
    /// A wallet at `address`, such as `alice@example.com` or `http://alice@127.0.0.1:5000`; `socks5` is the `host:port` of
    /// a proxy. Every call takes at most `timeout`. Nothing is connected before the first call.
    ///
    /// # Errors
    /// The operator's: an address that is none, or TLS without certificate authorities.
    pub fn new(
        address: &str,
        socks5: Option<&str>,
        notes: Arc<dyn Notes>,
        timeout: Duration,
    ) -> Result<Lnurl, String> {
        let address = Address::parse(address)?;
        let reach = Reach::new(&address, socks5)?;
        let (offer, seen, told) = (Mutex::default(), OnceLock::new(), AtomicBool::new(false));
        Ok(Lnurl { address, reach, notes, timeout, offer, seen, told })
    }

    async fn create_invoice(&self, ask: &InvoiceRequest) -> Result<Invoice, LightningError> {
        let deadline = deadline(self.timeout);
        let (offer, fresh) = self.offer(deadline).await?;
        offer.takes(ask.amount)?;
        let url = offer.callback(ask.amount)?;
        let made: Callback = message::read("callback", &self.reach.get(&url, deadline).await?)?;
        let check = |offer: &PayRequest| {
            let asked = AskedByHash {
                amount: ask.amount,
                description_hash: offer.description_hash(),
                network: self.seen.get().copied(),
            };
            check_described_by_hash(&made.pr, &asked, unix_now())
        };
        let mut checked = check(&offer);
        if checked.is_err() && !fresh {
            // What the address offers may have changed since it was read.
            self.forget_offer();
            checked = check(&self.offer(deadline).await?.0);
        }
        let (payment_hash, checked) = checked?;
        let _ = self.seen.set(checked.network);
        match made.verify {
            Some(url) => {
                let url = self.reach.check(&url).map_err(|reason| {
                    LightningError::Wrong(format!("an invoice whose `verify` must not be asked: {reason}"))
                })?;
                let note = Note { amount: ask.amount, expires_at: checked.expires_at, url };
                self.notes.keep(payment_hash, note.to_string()).await?;
            }
            None => self.say_that_it_is_blind(),
        }
        Ok(Invoice { payment_hash, bolt11: made.pr, expires_at: checked.expires_at })
    }

    async fn verify(&self, hash: PaymentHash) -> Result<Lookup, LightningError> {
        let Some(text) = self.notes.find(hash).await? else { return Ok(Lookup::CannotLookUp) };
        let Some(note) = Note::parse(&text) else { return Ok(Lookup::CannotLookUp) };
        let answer = self.reach.get(&note.url, deadline(self.timeout)).await?;
        if message::is_not_found(&answer) {
            return Ok(Lookup::Unknown);
        }
        let verify: Verify = message::read("verify", &answer)?;
        message::lookup(hash, &note, verify, unix_now())
    }

    /// What the address offers, and whether it was read just now.
    async fn offer(&self, deadline: Instant) -> Result<(Arc<PayRequest>, bool), LightningError> {
        let known = self.offer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((read, offer)) = known
            && read.elapsed() < OFFER_LIFE
        {
            return Ok((offer, false));
        }
        let answer = self.reach.get(&self.address.url, deadline).await?;
        let offer: Arc<PayRequest> = Arc::new(message::read("the address", &answer)?);
        offer.is_one()?;
        *self.offer.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), offer.clone()));
        Ok((offer, true))
    }

    fn forget_offer(&self) {
        *self.offer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn say_that_it_is_blind(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                address = self.address.name,
                "this wallet's invoices come without `verify` (LUD-21), so no payment can be looked up: a client needs \
                 the preimage, and one that brings the macaroon alone is told so"
            );
        }
    }

    async fn offer_health(&self) -> Result<Health, LightningError> {
        self.forget_offer();
        self.offer(deadline(self.timeout)).await?;
        let network = self.seen.get().map(|network| network.name().to_owned());
        Ok(Health { node: format!("LNURL {}", self.address.name), network, synced: None })
    }
}

impl Lightning for Lnurl {
    fn create<'a>(&'a self, ask: &'a InvoiceRequest) -> Reply<'a, Invoice> {
        Box::pin(self.create_invoice(ask))
    }

    fn look_up(&self, hash: PaymentHash) -> Reply<'_, Lookup> {
        Box::pin(self.verify(hash))
    }

    /// Nothing is pushed: whoever waits asks, and the engine asks for all who wait at once.
    fn settlements(&self) -> mpsc::Receiver<Settlement> {
        let (to, settlements) = mpsc::channel(1);
        // Held until the receiver is gone, so that the subscription does not seem to have ended.
        tokio::spawn(async move { to.closed().await });
        settlements
    }

    fn health(&self) -> Reply<'_, Health> {
        Box::pin(self.offer_health())
    }

    fn calls(&self) -> Calls {
        Calls {
            kind: "LNURL",
            health: "the address",
            create: "callback",
            look_up: "verify",
            push: "nothing (LNURL has no push)",
            cancel: None,
        }
    }

    fn least(&self) -> Reply<'_, Msat> {
        Box::pin(async { Ok(self.offer(deadline(self.timeout)).await?.0.least()) })
    }

    fn try_push(&self) -> Reply<'_, bool> {
        Box::pin(async { Ok(false) })
    }
}
