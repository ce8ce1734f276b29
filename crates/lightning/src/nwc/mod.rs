//! Any wallet that speaks Nostr Wallet Connect (NIP-47): `make_invoice`, `lookup_invoice`, notifications, `get_info`.
//!
//! A connection that may make invoices and look them up is enough; one that may spend is never needed. Every relay of
//! the URI is used at the same time: requests go to each, and the first answer counts.
//!
//! The way of a call: `hub` (who waits, which relays are up) → `session` (the protocol, without I/O) → `account` (the
//! keys) and `message` (the bodies); `relay` carries frames.

mod account;
mod hub;
mod info;
mod message;
mod refusal;
mod relay;
mod session;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use l402::PaymentHash;
use rustls::ClientConfig;
use settings::NwcSettings;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::{
    Asked, Calls, Health, Invoice, InvoiceRequest, Lightning, LightningError, Lookup, Network, Reply,
    Settlement, check_invoice, fit_description,
};
use account::Account;
use hub::{Hub, unix_now};
use info::Method;
use message::NodeInfo;
use relay::Address;
use session::Session;

/// Opens the wallet that `settings` describes. The one time-out bounds connecting too.
pub(crate) fn open(settings: &NwcSettings, timeout: Duration) -> Result<Arc<dyn Lightning>, String> {
    let NwcSettings { wallet, secret, relays } = settings;
    Ok(Arc::new(Nwc::new(wallet, secret.expose(), relays, None, timeout)?))
}

/// A wallet behind relays.
pub struct Nwc {
    hub: Arc<Hub>,
    relays: Vec<Address>,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    /// The tasks that keep the relays reached, once there was a first call.
    tasks: OnceLock<Tasks>,
    /// What `get_info` said; `None` within if it may not be asked.
    told: OnceCell<Option<Told>>,
    /// The network of the first good invoice.
    seen: OnceLock<Network>,
    /// The wallet said that it has no `lookup_invoice`, whatever its info event says.
    cannot_look_up: AtomicBool,
}

struct Told {
    network: Option<Network>,
    /// Whether this connection may look up.
    can_look_up: bool,
}

/// Ends its tasks when it goes.
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Nwc {
    /// A wallet of this public key behind these relays, for the client of this secret key; every call takes at most
    /// `timeout`, connecting included. `wss://` relays must be trusted by `tls`, or by the system if that is `None`.
    /// Nothing is connected before the first call.
    ///
    /// # Errors
    /// The operator's: a key or address that is none. The text holds no secret.
    pub fn new(
        wallet: &[u8; 32],
        secret: &[u8; 32],
        relays: &[String],
        tls: Option<Arc<ClientConfig>>,
        timeout: Duration,
    ) -> Result<Nwc, String> {
        let account = Account::new(wallet, secret)?;
        let addresses = relays.iter().map(|url| Address::parse(url)).collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() {
            return Err("NWC_URI names no relay: copy the URI again from the wallet".to_owned());
        }
        let tls = match tls {
            None if addresses.iter().any(Address::is_secure) => Some(relay::system_tls()?),
            tls => tls,
        };
        Ok(Nwc {
            hub: Arc::new(Hub::new(Session::new(account), relays)),
            relays: addresses,
            tls,
            timeout,
            tasks: OnceLock::new(),
            told: OnceCell::new(),
            seen: OnceLock::new(),
            cannot_look_up: AtomicBool::new(false),
        })
    }

    /// The shared state, with the relays being reached.
    fn hub(&self) -> &Hub {
        self.tasks.get_or_init(|| {
            let relays = self.relays.iter().enumerate();
            let tasks = relays.map(|(index, address)| {
                let (hub, tls) = (Arc::clone(&self.hub), self.tls.clone());
                tokio::spawn(relay::keep(hub, index, address.clone(), tls, self.timeout)).abort_handle()
            });
            Tasks(tasks.collect())
        });
        &self.hub
    }

    async fn make_invoice(&self, ask: &InvoiceRequest) -> Result<Invoice, LightningError> {
        let deadline = Instant::now() + self.timeout;
        let hub = self.hub();
        if !hub.info(deadline).await?.can(Method::MakeInvoice) {
            return Err(LightningError::Refused(
                "the wallet's connection has no make_invoice; make a connection that has it".to_owned(),
            ));
        }
        let network = self.told(deadline).await?.and_then(|told| told.network);
        let network = network.or_else(|| self.seen.get().copied());
        let description = fit_description(&ask.description);
        let answer = hub.ask(Method::MakeInvoice, &message::make_invoice(ask, description), deadline).await?;
        let result = answer.map_err(|refusal| refusal.of(Method::MakeInvoice))?;
        let (bolt11, payment_hash) = message::made(result)?;
        let asked = Asked { amount: ask.amount, payment_hash, description, expiry_s: ask.expiry_s, network };
        let checked = check_invoice(&bolt11, &asked, unix_now())?;
        let first = *self.seen.get_or_init(|| checked.network);
        if first != checked.network {
            return Err(LightningError::Wrong(format!(
                "an invoice on {}, but earlier ones were on {}",
                checked.network.name(),
                first.name()
            )));
        }
        Ok(Invoice { payment_hash, bolt11, expires_at: checked.expires_at })
    }

    async fn look_up_invoice(&self, hash: PaymentHash) -> Result<Lookup, LightningError> {
        let deadline = Instant::now() + self.timeout;
        let hub = self.hub();
        let offered = hub.info(deadline).await?.can(Method::LookupInvoice);
        let allowed = self.told(deadline).await?.is_none_or(|told| told.can_look_up);
        if !offered || !allowed || self.cannot_look_up.load(Ordering::Relaxed) {
            return Ok(Lookup::CannotLookUp);
        }
        match hub.ask(Method::LookupInvoice, &message::lookup_invoice(hash), deadline).await? {
            Ok(result) => message::lookup(hash, result),
            Err(refusal) if refusal.is_not_found() => Ok(Lookup::Unknown),
            Err(refusal) if refusal.is_not_implemented() => {
                if !self.cannot_look_up.swap(true, Ordering::Relaxed) {
                    tracing::warn!("the wallet has no lookup_invoice, although its info event says so");
                }
                Ok(Lookup::CannotLookUp)
            }
            Err(refusal) => Err(refusal.of(Method::LookupInvoice)),
        }
    }

    async fn wallet_health(&self) -> Result<Health, LightningError> {
        let deadline = Instant::now() + self.timeout;
        let info = self.hub().info(deadline).await?;
        if info.can(Method::GetInfo) {
            match self.hub().ask(Method::GetInfo, &serde_json::json!({}), deadline).await? {
                Ok(result) => {
                    let NodeInfo { node, network, .. } = message::node_info(&result);
                    return Ok(Health { node, network, synced: None });
                }
                Err(refusal) if refusal.code == "UNAUTHORIZED" => return Err(refusal.of(Method::GetInfo)),
                Err(_) => {}
            }
        }
        // A look-up shows as well that the wallet answers this connection.
        self.look_up_invoice(PaymentHash([0; 32])).await?;
        Ok(Health { node: "NWC wallet".to_owned(), network: None, synced: None })
    }

    /// What the wallet says of itself and of this connection. Asked once; a wallet that may not say is not asked again.
    async fn told(&self, deadline: Instant) -> Result<Option<&Told>, LightningError> {
        let ask = || async {
            let hub = self.hub();
            if !hub.info(deadline).await?.can(Method::GetInfo) {
                return Ok(None);
            }
            match hub.ask(Method::GetInfo, &serde_json::json!({}), deadline).await? {
                Ok(result) => {
                    let NodeInfo { network, methods, .. } = message::node_info(&result);
                    let lookup = Method::LookupInvoice.name();
                    let can_look_up = methods.is_empty() || methods.iter().any(|name| name == lookup);
                    if !can_look_up {
                        tracing::warn!("the connection may not use lookup_invoice; allow it in the wallet");
                    }
                    Ok(Some(Told { network: network.as_deref().and_then(Network::from_name), can_look_up }))
                }
                Err(_) => Ok(None),
            }
        };
        // Whoever asks first may hold the others up, but no longer than their own deadline.
        match timeout_at(deadline, self.told.get_or_try_init(ask)).await {
            Ok(told) => told.map(Option::as_ref),
            Err(_) => Err(LightningError::TimedOut),
        }
    }
}

impl Lightning for Nwc {
    fn create<'a>(&'a self, ask: &'a InvoiceRequest) -> Reply<'a, Invoice> {
        Box::pin(self.make_invoice(ask))
    }

    fn look_up(&self, hash: PaymentHash) -> Reply<'_, Lookup> {
        Box::pin(self.look_up_invoice(hash))
    }

    fn settlements(&self) -> mpsc::Receiver<Settlement> {
        self.hub().listen()
    }

    fn health(&self) -> Reply<'_, Health> {
        Box::pin(self.wallet_health())
    }

    fn calls(&self) -> Calls {
        Calls {
            kind: "NWC",
            health: "get_info",
            create: "make_invoice",
            look_up: "lookup_invoice",
            push: "payment_received",
            cancel: None,
        }
    }

    /// The wallet's info event says so.
    fn try_push(&self) -> Reply<'_, bool> {
        Box::pin(async { Ok(self.hub().info(Instant::now() + self.timeout).await?.pushes()) })
    }
}
