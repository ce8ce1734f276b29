//! A Lightning address (LUD-16): invoices by LNURL-pay (LUD-06), look-ups by `verify` (LUD-21).
//!
//! The wallet is somebody else's server, known by nothing but its name: what it says is checked, and where it points to is
//! reached only within the rules of `reach.rs`. It pushes nothing, and finds an invoice only by the address that came with
//! it, so that address is noted down before the invoice reaches a client.

mod message;
mod note;
mod reach;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use l402::PaymentHash;
use settings::LnurlSettings;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::connector::{Bounds, Connector, Found, Made, Push, Wish};
use crate::foreign::Secrets;
use crate::judgement::{Described, Fact, Remark};
use crate::{Calls, Health, InvoiceRequest, Lightning, LightningError, Notes, Reply, Wallet, unix_now};
use message::{Callback, PayRequest};
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
pub type Lnurl = Wallet<LnurlServer>;

/// The server of a Lightning address as it speaks.
pub struct LnurlServer {
    address: Address,
    reach: Reach,
    notes: Arc<dyn Notes>,
    offer: Mutex<Option<(Instant, Arc<PayRequest>)>>,
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
        Ok(Wallet::of(LnurlServer { address, reach, notes, offer: Mutex::default() }, timeout))
    }
}

impl LnurlServer {
    async fn create_invoice(&self, ask: &InvoiceRequest, deadline: Instant) -> Result<Made, LightningError> {
        let (mut offer, fresh) = self.offer(deadline).await?;
        offer.takes(ask.amount)?;
        let url = offer.callback(ask.amount)?;
        let called: Callback = message::read("callback", &self.reach.get(&url, deadline).await?)?;
        let mut made = Made::bolt11(called.pr, None);
        let described = made.terms.as_ref().map(|terms| terms.described.clone());
        if !fresh && described.is_ok_and(|found| found != Described::Hash(offer.description_hash())) {
            // What the address offers may have changed since it was read.
            self.forget_offer();
            offer = self.offer(deadline).await?.0;
        }
        made.wish = Wish { described: Some(Described::Hash(offer.description_hash())), life_s: None };
        let Ok(terms) = &made.terms else { return Ok(made) };
        match self.verify_address(called.verify.as_deref()) {
            Ok(url) => {
                let note = Note { amount: ask.amount, expires_at: terms.expires_at(), url };
                self.notes.keep(terms.payment_hash, note.to_string()).await?;
            }
            Err(reason) => {
                let text = format!(
                    "its invoices {reason}, so no payment can be looked up: a client needs the preimage, and one that \
                     brings the macaroon alone is told so"
                );
                made.findings.push(Remark::new(Fact::VerifyAddress, text));
            }
        }
        Ok(made)
    }

    /// Where an invoice can be looked up; else why not.
    fn verify_address(&self, named: Option<&str>) -> Result<reqwest::Url, String> {
        match named.map(str::trim).filter(|text| !text.is_empty()) {
            None => Err("come without `verify` (LUD-21)".to_owned()),
            Some(text) => self
                .reach
                .check(text)
                .map_err(|reason| format!("have a `verify` that can't be asked: {reason}")),
        }
    }

    async fn verify(&self, hash: PaymentHash, deadline: Instant) -> Result<Found, LightningError> {
        let Some(text) = self.notes.find(hash).await? else { return Ok(Found::CannotLookUp) };
        let Some(note) = Note::parse(&text) else { return Ok(Found::CannotLookUp) };
        let answer = self.reach.get(&note.url, deadline).await?;
        message::found(&note, &answer, unix_now())
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

    async fn fresh_offer(&self, deadline: Instant) -> Result<Arc<PayRequest>, LightningError> {
        self.forget_offer();
        Ok(self.offer(deadline).await?.0)
    }
}

impl Connector for LnurlServer {
    fn make<'a>(&'a self, ask: &'a InvoiceRequest, deadline: Instant) -> Reply<'a, Made> {
        Box::pin(self.create_invoice(ask, deadline))
    }

    fn find(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Found> {
        Box::pin(self.verify(hash, deadline))
    }

    /// Nothing is pushed: whoever waits asks, and the engine asks for all who wait at once.
    fn pushes(&self) -> mpsc::Receiver<Push> {
        let (to, pushes) = mpsc::channel(1);
        // Held until the receiver is gone, so that the subscription does not seem to have ended.
        tokio::spawn(async move { to.closed().await });
        pushes
    }

    fn health(&self, deadline: Instant) -> Reply<'_, Health> {
        Box::pin(async move {
            self.fresh_offer(deadline).await?;
            Ok(Health::of(format!("LNURL {}", self.address.name)))
        })
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

    fn bounds(&self, deadline: Instant) -> Reply<'_, Bounds> {
        Box::pin(async move { Ok(self.offer(deadline).await?.0.bounds()) })
    }

    fn describes(&self) -> bool {
        false
    }

    fn try_push(&self, _: Instant) -> Reply<'_, bool> {
        Box::pin(async { Ok(false) })
    }

    /// An address is public.
    fn secrets(&self) -> Secrets {
        Secrets::none()
    }
}
