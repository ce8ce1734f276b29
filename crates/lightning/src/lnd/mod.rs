//! LND, by gRPC: `AddInvoice`, `LookupInvoice`, `SubscribeInvoices`, `CancelInvoice`, `GetInfo`.
//!
//! A macaroon with `invoices:read` and `invoices:write` is enough; with `info:read` as well the node tells its network,
//! else the network of the first invoice is held on to.

mod door;
mod link;
mod message;
mod settlements;
mod status;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use l402::PaymentHash;
use lnd_rpc::channel::{Authorized, Node, innermost, is_transport, never_sent};
use lnd_rpc::invoicesrpc::CancelInvoiceMsg;
use lnd_rpc::lnrpc::{self, lightning_client::LightningClient};
use settings::LndSettings;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Response, Status};

use crate::{
    Asked, Calls, Cancelled, Health, Invoice, InvoiceRequest, Lightning, LightningError, Lookup, Network,
    Reply, Settlement, check_invoice, fit_description, unix_now,
};
pub(crate) use door::{Access, Door, Pending, Way};
use link::{Line, Link};
use status::{Method, is_unknown_invoice, refusal};

/// Opens the wallet that `settings` describes. The one time-out bounds connecting too.
pub(crate) fn open(settings: &LndSettings, timeout: Duration) -> Result<Arc<dyn Lightning>, String> {
    let node = Node::new(
        &settings.address,
        &settings.certificate,
        settings.macaroon.expose(),
        settings.socks5_proxy.as_deref(),
        timeout,
    );
    Ok(Arc::new(Lnd::new(node.map_err(|error| error.to_string())?, timeout)))
}

/// A wallet that is an LND.
pub struct Lnd {
    link: Arc<Link>,
    timeout: Duration,
    /// What the node said its network is; `None` within if it may not say.
    told: OnceCell<Option<Network>>,
    /// The network of the first good invoice.
    seen: OnceLock<Network>,
}

impl Lnd {
    /// A wallet on `node`; every call takes at most `timeout`. Nothing is connected before the first call.
    pub fn new(node: Node, timeout: Duration) -> Lnd {
        Lnd::behind(Box::new(node), timeout)
    }

    /// A wallet behind `door`.
    pub(crate) fn behind(door: Box<dyn Door>, timeout: Duration) -> Lnd {
        Lnd { link: Link::new(door), timeout, told: OnceCell::new(), seen: OnceLock::new() }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    async fn add_invoice(&self, ask: &InvoiceRequest) -> Result<Invoice, LightningError> {
        let deadline = self.deadline();
        let network = self.network(deadline).await?;
        let description = fit_description(&ask.description);
        let wanted = lnrpc::Invoice {
            memo: description.to_owned(),
            value_msat: i64::try_from(ask.amount.0)
                .map_err(|_| LightningError::Refused(format!("{} is more than there is", ask.amount)))?,
            expiry: ask.expiry_s.into(),
            private: false,
            ..lnrpc::Invoice::default()
        };
        let made = self
            .call(deadline, |mut client| {
                let wanted = wanted.clone();
                async move { client.add_invoice(wanted).await }
            })
            .await
            .map_err(|failure| failure.of(Method::AddInvoice, self.link.access()))?;
        let payment_hash = message::payment_hash(&made.r_hash)?;
        let asked = Asked { amount: ask.amount, payment_hash, description, expiry_s: ask.expiry_s, network };
        let checked = check_invoice(&made.payment_request, &asked, unix_now())?;
        let first = *self.seen.get_or_init(|| checked.network);
        if first != checked.network {
            return Err(LightningError::Wrong(format!(
                "an invoice on {}, but earlier ones were on {}",
                checked.network.name(),
                first.name()
            )));
        }
        Ok(Invoice { payment_hash, bolt11: made.payment_request, expires_at: checked.expires_at })
    }

    async fn look_up_invoice(&self, hash: PaymentHash) -> Result<Lookup, LightningError> {
        let found = self
            .call(self.deadline(), |mut client| async move {
                let which = lnrpc::PaymentHash { r_hash: hash.0.to_vec(), ..Default::default() };
                client.lookup_invoice(which).await
            })
            .await;
        match found {
            Ok(invoice) => message::lookup(hash, &invoice),
            Err(Failure::Answer(status)) if is_unknown_invoice(&status) => Ok(Lookup::Unknown),
            Err(failure) => Err(failure.of(Method::LookupInvoice, self.link.access())),
        }
    }

    async fn cancel_invoice(&self, hash: PaymentHash) -> Result<Cancelled, LightningError> {
        let cancelled = self
            .call_on(self.deadline(), |line| {
                let (mut client, which) =
                    (Link::invoices(line), CancelInvoiceMsg { payment_hash: hash.0.to_vec() });
                async move { client.cancel_invoice(which).await }
            })
            .await;
        match cancelled {
            Ok(_) => Ok(Cancelled::Done),
            // Expired and swept away by the node, or never there: nobody can pay it.
            Err(Failure::Answer(status)) if is_unknown_invoice(&status) => Ok(Cancelled::Done),
            // An LND that was built without this service.
            Err(Failure::Answer(status)) if status.code() == Code::Unimplemented => {
                Ok(Cancelled::CannotCancel)
            }
            Err(failure) => Err(failure.of(Method::CancelInvoice, self.link.access())),
        }
    }

    async fn node_health(&self) -> Result<Health, LightningError> {
        match self.info(self.deadline()).await {
            Ok(info) => Ok(Health {
                // LND appends its commit to the version.
                node: format!(
                    "LND {} {}",
                    info.version.split(' ').next().unwrap_or_default(),
                    info.identity_pubkey
                ),
                network: info.chains.first().map(|chain| chain.network.clone()),
                synced: Some(info.synced_to_chain),
            }),
            // A macaroon for invoices only may not ask; a look-up shows as well that the node answers it.
            Err(LightningError::Refused(_)) => {
                self.look_up_invoice(PaymentHash([0; 32])).await?;
                Ok(Health { node: "LND".to_owned(), network: None, synced: None })
            }
            Err(error) => Err(error),
        }
    }

    /// The network that invoices must be on, as far as it is known. Asked once; a node that may not say is not asked
    /// again.
    async fn network(&self, deadline: Instant) -> Result<Option<Network>, LightningError> {
        let ask = || async {
            match self.info(deadline).await {
                Ok(info) => {
                    let name = info.chains.first().map_or("", |chain| chain.network.as_str());
                    let known = Network::from_name(name);
                    known
                        .map(Some)
                        .ok_or_else(|| LightningError::Wrong(format!("an unknown network, {name:?}")))
                }
                Err(LightningError::Refused(_)) => Ok(None),
                Err(error) => Err(error),
            }
        };
        // Whoever asks first may hold the others up, but no longer than their own deadline.
        match timeout_at(deadline, self.told.get_or_try_init(ask)).await {
            Ok(told) => Ok(told?.or_else(|| self.seen.get().copied())),
            Err(_) => Err(LightningError::TimedOut),
        }
    }

    async fn info(&self, deadline: Instant) -> Result<lnrpc::GetInfoResponse, LightningError> {
        self.call(deadline, |mut client| async move { client.get_info(lnrpc::GetInfoRequest {}).await })
            .await
            .map_err(|failure| failure.of(Method::GetInfo, self.link.access()))
    }

    /// A call of the main service: see [`Lnd::call_on`].
    async fn call<T, F>(
        &self,
        deadline: Instant,
        call: impl Fn(LightningClient<Authorized>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.call_on(deadline, |line| call(Link::client(line))).await
    }

    /// One call within the deadline, connecting included. A call that found its connection gone, and so never left, is
    /// made once more on a new one.
    async fn call_on<T, F>(&self, deadline: Instant, call: impl Fn(&Line) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut fresh = false;
        loop {
            let line = match timeout_at(deadline, self.link.line()).await {
                Ok(line) => line.map_err(Failure::NoAnswer)?,
                Err(_) => return Err(Failure::NoAnswer(LightningError::TimedOut)),
            };
            let status = match timeout_at(deadline, call(&line)).await {
                Ok(Ok(response)) => {
                    self.link.answered(&line);
                    return Ok(response.into_inner());
                }
                Ok(Err(status)) => status,
                Err(_) => {
                    self.link.silent(&line);
                    return Err(Failure::NoAnswer(LightningError::TimedOut));
                }
            };
            if !is_transport(&status) {
                self.link.answered(&line);
                return Err(Failure::Answer(status));
            }
            let lost = self.link.lost(&line, &innermost(&status));
            if fresh || !never_sent(&status) {
                return Err(Failure::NoAnswer(lost));
            }
            fresh = true;
        }
    }
}

/// Why a call has no result.
enum Failure {
    /// The node answered with an error.
    Answer(Status),
    /// There was no answer.
    NoAnswer(LightningError),
}

impl Failure {
    fn of(self, method: Method, access: Access) -> LightningError {
        match self {
            Failure::Answer(status) => refusal(method, access, &status),
            Failure::NoAnswer(error) => error,
        }
    }
}

impl Lightning for Lnd {
    fn create<'a>(&'a self, ask: &'a InvoiceRequest) -> Reply<'a, Invoice> {
        Box::pin(self.add_invoice(ask))
    }

    fn look_up(&self, hash: PaymentHash) -> Reply<'_, Lookup> {
        Box::pin(self.look_up_invoice(hash))
    }

    fn cancel(&self, hash: PaymentHash) -> Reply<'_, Cancelled> {
        Box::pin(self.cancel_invoice(hash))
    }

    fn settlements(&self) -> mpsc::Receiver<Settlement> {
        settlements::follow(Arc::clone(&self.link))
    }

    fn health(&self) -> Reply<'_, Health> {
        Box::pin(self.node_health())
    }

    fn calls(&self) -> Calls {
        Calls {
            kind: match self.link.access() {
                Access::File => "LND",
                Access::Session => "LNC",
            },
            health: "GetInfo",
            create: "AddInvoice",
            look_up: "LookupInvoice",
            push: "SubscribeInvoices",
            cancel: Some("CancelInvoice"),
        }
    }

    fn try_push(&self) -> Reply<'_, bool> {
        Box::pin(async { settlements::try_once(&self.link).await.map(|()| true) })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(self.link.close())
    }
}
