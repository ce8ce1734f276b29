//! Core Lightning, over lightningd's socket or over clnrest: `invoice`, `listinvoices`, `waitanyinvoice`, `getinfo`,
//! `delinvoice`.
//!
//! A rune for these methods is enough, for the last one only where an invoice is unpaid; see `docs/guides/cln.md`.

mod cancel;
mod link;
mod message;
mod refusal;
mod rest;
pub mod rpc;
mod settlements;

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use l402::PaymentHash;
use serde_json::{Value, json};
use settings::ClnSettings;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::http::deadline;
use crate::{
    Asked, Calls, Cancelled, Health, Invoice, InvoiceRequest, Lightning, LightningError, Lookup, Network,
    Reply, Settlement, check_invoice, fit_description, unix_now,
};
use link::{Link, Socket};
use message::{Fetched, Info, Listed, Made};
use refusal::Method;
use rest::Rest;

/// How many different warnings of the node are logged.
const WARNINGS: usize = 16;

/// What lightningd calls what is asked of it.
pub(crate) const CALLS: Calls = Calls {
    kind: "CLN",
    health: "getinfo",
    create: "invoice",
    look_up: "listinvoices",
    push: "waitanyinvoice",
    cancel: Some("delinvoice"),
};

/// Opens the wallet that `settings` describes. The one time-out bounds connecting too.
pub(crate) fn open(settings: &ClnSettings, timeout: Duration) -> Result<Arc<dyn Lightning>, String> {
    Ok(Arc::new(Cln::new(settings, timeout)?))
}

/// A wallet that is a CLN.
pub struct Cln {
    link: Arc<Link>,
    timeout: Duration,
    /// What the node said its network is; `None` within if it may not say.
    told: OnceCell<Option<Network>>,
    /// The network of the first good invoice.
    seen: OnceLock<Network>,
    /// The warnings that were logged.
    warned: Mutex<HashSet<String>>,
    /// Whether it was told that nothing can be cancelled.
    told_that_it_cannot_cancel: AtomicBool,
}

impl Cln {
    /// A wallet on this node; every call takes at most `timeout`. Nothing is connected before the first call.
    ///
    /// # Errors
    /// The operator's: a certificate that can't be used, or TLS without certificate authorities.
    pub fn new(settings: &ClnSettings, timeout: Duration) -> Result<Cln, String> {
        let link = match settings {
            ClnSettings::Socket { path } => Link::Socket(Socket::new(path)),
            ClnSettings::Rest { address, rune, certificate } => {
                Link::Rest(Rest::new(address, rune.expose(), certificate.as_deref())?)
            }
        };
        let (told, seen) = (OnceCell::new(), OnceLock::new());
        let told_that_it_cannot_cancel = AtomicBool::new(false);
        Ok(Cln {
            link: Arc::new(link),
            timeout,
            told,
            seen,
            warned: Mutex::default(),
            told_that_it_cannot_cancel,
        })
    }

    /// The longest that a call takes.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// `fetchinvoice`: the text of the invoice, as the node has it.
    pub(crate) async fn fetch_invoice(
        &self,
        params: &Value,
        deadline: Instant,
    ) -> Result<String, LightningError> {
        let fetched: Fetched = self.call(Method::FetchInvoice, params, deadline).await?;
        Ok(fetched.invoice)
    }

    async fn create_invoice(&self, ask: &InvoiceRequest) -> Result<Invoice, LightningError> {
        let deadline = deadline(self.timeout);
        let network = self.network(deadline).await?;
        let description = fit_description(&ask.description);
        let params = json!({
            "amount_msat": ask.amount.0,
            "label": label()?,
            "description": description,
            "expiry": ask.expiry_s,
        });
        let made: Made = self.call(Method::Invoice, &params, deadline).await?;
        self.warn(&made);
        let network = network.or_else(|| self.seen.get().copied());
        let payment_hash = made.payment_hash;
        let asked = Asked { amount: ask.amount, payment_hash, description, expiry_s: ask.expiry_s, network };
        let checked = check_invoice(&made.bolt11, &asked, unix_now())?;
        let _ = self.seen.set(checked.network);
        Ok(Invoice { payment_hash, bolt11: made.bolt11, expires_at: checked.expires_at })
    }

    async fn find_invoice(&self, hash: PaymentHash) -> Result<Lookup, LightningError> {
        message::lookup(hash, self.list_invoices(hash, deadline(self.timeout)).await?)
    }

    async fn list_invoices(&self, hash: PaymentHash, deadline: Instant) -> Result<Listed, LightningError> {
        self.call(Method::ListInvoices, &json!({ "payment_hash": hash.to_string() }), deadline).await
    }

    async fn node_health(&self) -> Result<Health, LightningError> {
        match self.info(deadline(self.timeout)).await {
            Ok(info) => Ok(Health {
                node: format!("CLN {} {}", info.version, info.id),
                synced: Some(info.synced()),
                network: Some(info.network),
            }),
            // A rune may not permit to ask; a look-up shows as well that the node answers.
            Err(LightningError::Refused(_)) => {
                self.find_invoice(PaymentHash([0; 32])).await?;
                Ok(Health { node: "CLN".to_owned(), network: None, synced: None })
            }
            Err(error) => Err(error),
        }
    }

    /// The network that invoices must be on, as far as it is known. Asked once; a node that may not say is not asked
    /// again.
    pub(crate) async fn network(&self, deadline: Instant) -> Result<Option<Network>, LightningError> {
        let ask = || async {
            match self.info(deadline).await {
                Ok(info) => Network::from_name(&info.network)
                    .map(Some)
                    .ok_or_else(|| LightningError::Wrong(format!("an unknown network, {:?}", info.network))),
                Err(LightningError::Refused(_)) => Ok(None),
                Err(error) => Err(error),
            }
        };
        // Whoever asks first may hold the others up, but no longer than their own deadline.
        match timeout_at(deadline, self.told.get_or_try_init(ask)).await {
            Ok(told) => told.copied(),
            Err(_) => Err(LightningError::TimedOut),
        }
    }

    async fn info(&self, deadline: Instant) -> Result<Info, LightningError> {
        self.call(Method::GetInfo, &json!({}), deadline).await
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        params: &Value,
        deadline: Instant,
    ) -> Result<T, LightningError> {
        let answer = self.link.call(method, params, deadline).await.map_err(|failure| failure.of(method))?;
        message::decode(method.name(), answer)
    }

    /// Passes the node's warnings on, each once: that it has no channel to receive by, say.
    fn warn(&self, made: &Made) {
        for warning in made.warnings() {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.len() < WARNINGS && warned.insert(warning.clone()) {
                tracing::warn!("the Lightning node warns: {warning}");
            }
        }
    }
}

impl Lightning for Cln {
    fn create<'a>(&'a self, ask: &'a InvoiceRequest) -> Reply<'a, Invoice> {
        Box::pin(self.create_invoice(ask))
    }

    fn look_up(&self, hash: PaymentHash) -> Reply<'_, Lookup> {
        Box::pin(self.find_invoice(hash))
    }

    fn cancel(&self, hash: PaymentHash) -> Reply<'_, Cancelled> {
        Box::pin(self.delete_invoice(hash))
    }

    /// lightningd keeps the order of payments, so that after an outage all of them are told.
    fn settlements(&self) -> mpsc::Receiver<Settlement> {
        settlements::follow(Arc::clone(&self.link), self.timeout)
    }

    fn health(&self) -> Reply<'_, Health> {
        Box::pin(self.node_health())
    }

    fn calls(&self) -> Calls {
        CALLS
    }

    fn try_push(&self) -> Reply<'_, bool> {
        Box::pin(async { settlements::try_once(&self.link, self.timeout).await.map(|()| true) })
    }
}

/// A label that no invoice has: lightningd wants one for each.
fn label() -> Result<String, LightningError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        LightningError::unavailable(
            format!("the system gives no random bytes: {error}"),
            Duration::from_secs(1),
        )
    })?;
    Ok(format!("l402-{}", data_encoding::HEXLOWER.encode(&bytes)))
}
