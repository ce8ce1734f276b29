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

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use l402::PaymentHash;
use serde_json::{Value, json};
use settings::{ClnSettings, RouteHints};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::connector::{Connector, Found, Made, Push};
use crate::foreign::Secrets;
use crate::judgement::{Fact, Remark};
use crate::{Calls, Cancelled, Health, InvoiceRequest, Lightning, LightningError, Network, Reply, Wallet};
use link::{Failure, Link, Socket};
use message::{Fetched, Info, Listed};
use refusal::{Method, lookup_error};
use rest::Rest;

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
pub(crate) fn open(
    settings: &ClnSettings,
    hints: RouteHints,
    timeout: Duration,
) -> Result<Arc<dyn Lightning>, String> {
    Ok(Arc::new(Cln::new(settings, timeout)?.with_hints(hints)))
}

/// A wallet that is a CLN.
pub type Cln = Wallet<ClnNode>;

/// A CLN as it speaks.
pub struct ClnNode {
    link: Arc<Link>,
    /// The deadline of a call that does not wait.
    timeout: Duration,
    hints: RouteHints,
    secrets: Secrets,
    /// Whether it was told that nothing can be cancelled.
    told_that_it_cannot_cancel: AtomicBool,
}

impl Cln {
    /// A wallet on this node; every call takes at most `timeout`. Nothing is connected before the first call.
    ///
    /// # Errors
    /// The operator's: a certificate that can't be used, or TLS without certificate authorities.
    pub fn new(settings: &ClnSettings, timeout: Duration) -> Result<Cln, String> {
        Ok(Wallet::of(ClnNode::new(settings, timeout)?, timeout))
    }

    /// The same, whose invoices name private channels as `hints` says.
    #[must_use]
    pub fn with_hints(mut self, hints: RouteHints) -> Cln {
        self.connector_mut().hints = hints;
        self
    }
}

impl ClnNode {
    pub(crate) fn new(settings: &ClnSettings, timeout: Duration) -> Result<ClnNode, String> {
        let (link, secrets) = match settings {
            ClnSettings::Socket { path } => (Link::Socket(Socket::new(path)), Secrets::none()),
            ClnSettings::Rest { address, rune, certificate } => {
                let rest = Rest::new(address, rune.expose(), certificate.as_deref())?;
                (Link::Rest(rest), Secrets::none().text(rune.expose()))
            }
        };
        let told_that_it_cannot_cancel = AtomicBool::new(false);
        let (link, hints) = (Arc::new(link), RouteHints::Auto);
        Ok(ClnNode { link, timeout, hints, secrets, told_that_it_cannot_cancel })
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

    /// The node's id, version and network.
    pub(crate) async fn info(&self, deadline: Instant) -> Result<Info, LightningError> {
        self.call(Method::GetInfo, &json!({}), deadline).await
    }

    async fn create_invoice(&self, ask: &InvoiceRequest, deadline: Instant) -> Result<Made, LightningError> {
        let mut params = json!({
            "amount_msat": ask.amount.0,
            "label": label()?,
            "description": ask.description,
            "expiry": ask.expiry_s,
        });
        // Left to itself, lightningd names private channels where it has no public one.
        match self.hints {
            RouteHints::Auto => {}
            RouteHints::On => params["exposeprivatechannels"] = true.into(),
            RouteHints::Off => params["exposeprivatechannels"] = false.into(),
        }
        let made: message::Made = self.call(Method::Invoice, &params, deadline).await?;
        let warnings: Vec<_> = made.warnings().collect();
        let mut offered = Made::as_asked(made.bolt11, made.payment_hash, ask);
        let remark = |text| Remark::new(Fact::NodeWarning, format!("the node warns: {text}"));
        offered.findings.extend(warnings.into_iter().map(remark));
        Ok(offered)
    }

    async fn find_invoice(&self, hash: PaymentHash, deadline: Instant) -> Result<Found, LightningError> {
        let params = json!({ "payment_hash": hash.to_string() });
        match self.link.call(Method::ListInvoices, &params, deadline).await {
            Ok(listed) => message::decode::<Listed>("listinvoices", listed).map(message::found),
            Err(Failure::Answer(error)) => lookup_error(&error),
            Err(Failure::NoAnswer(error)) => Err(error),
        }
    }

    async fn list_invoices(&self, hash: PaymentHash, deadline: Instant) -> Result<Listed, LightningError> {
        self.call(Method::ListInvoices, &json!({ "payment_hash": hash.to_string() }), deadline).await
    }

    pub(crate) async fn node_health(&self, deadline: Instant) -> Result<Health, LightningError> {
        match self.info(deadline).await {
            Ok(info) => Ok(Health {
                node: format!("CLN {} {}", info.version, info.id),
                synced: Some(info.synced()),
                network: Some(info.network),
                remarks: Vec::new(),
            }),
            // A rune may not permit to ask; a look-up shows as well that the node answers.
            Err(refused @ LightningError::Refused(_)) => {
                match self.find_invoice(PaymentHash([0; 32]), deadline).await {
                    Ok(_) => Ok(Health::of("CLN")),
                    // Neither is permitted: what was asked first is named.
                    Err(LightningError::Refused(_)) => Err(refused),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
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
}

impl Connector for ClnNode {
    fn make<'a>(&'a self, ask: &'a InvoiceRequest, deadline: Instant) -> Reply<'a, Made> {
        Box::pin(self.create_invoice(ask, deadline))
    }

    fn find(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Found> {
        Box::pin(self.find_invoice(hash, deadline))
    }

    fn cancel(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Cancelled> {
        Box::pin(self.delete_invoice(hash, deadline))
    }

    /// lightningd keeps the order of payments, so that after an outage all of them are told.
    fn pushes(&self) -> mpsc::Receiver<Push> {
        settlements::follow(Arc::clone(&self.link), self.timeout)
    }

    fn health(&self, deadline: Instant) -> Reply<'_, Health> {
        Box::pin(self.node_health(deadline))
    }

    fn network(&self, deadline: Instant) -> Reply<'_, Option<Network>> {
        Box::pin(async move {
            match self.info(deadline).await {
                Ok(info) => Ok(Network::from_name(&info.network)),
                // Whoever may not ask is not told, and does not ask again.
                Err(LightningError::Refused(_)) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn calls(&self) -> Calls {
        CALLS
    }

    fn try_push(&self, deadline: Instant) -> Reply<'_, bool> {
        Box::pin(async move { settlements::try_once(&self.link, deadline).await.map(|()| true) })
    }

    fn secrets(&self) -> Secrets {
        self.secrets.clone()
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
