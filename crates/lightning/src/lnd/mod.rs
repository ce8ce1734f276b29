//! LND, by gRPC: `AddInvoice`, `LookupInvoice`, `SubscribeInvoices`, `CancelInvoice`, `GetInfo`.
//!
//! A macaroon with `invoices:read` and `invoices:write` is enough; with `info:read` as well the node tells its network, with
//! `offchain:read` its channels.

mod door;
mod hints;
mod link;
mod message;
mod settlements;
mod status;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use l402::PaymentHash;
use lnd_rpc::channel::{Authorized, Node, innermost, is_transport, never_sent};
use lnd_rpc::invoicesrpc::CancelInvoiceMsg;
use lnd_rpc::lnrpc::{self, lightning_client::LightningClient};
use settings::{LndSettings, RouteHints};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Response, Status};

pub(crate) use crate::Pending;
use crate::connector::{Connector, Found, Made, Push};
use crate::foreign::Secrets;
use crate::{Calls, Cancelled, Health, InvoiceRequest, Lightning, LightningError, Network, Reply, Wallet};
pub(crate) use door::{Access, Door, Way};
use hints::Hints;
use link::{Line, Link};
use status::{Method, is_unknown_invoice, lookup_error, refusal};

/// Opens the wallet that `settings` describes. The one time-out bounds connecting too.
pub(crate) fn open(
    settings: &LndSettings,
    hints: RouteHints,
    timeout: Duration,
) -> Result<Arc<dyn Lightning>, String> {
    let node = Node::new(
        &settings.address,
        &settings.certificate,
        settings.macaroon.expose(),
        settings.socks5_proxy.as_deref(),
        timeout,
    );
    Ok(Arc::new(Lnd::new(node.map_err(|error| error.to_string())?, timeout).with_hints(hints)))
}

/// A wallet that is an LND.
pub type Lnd = Wallet<LndNode>;

/// An LND as it speaks.
pub struct LndNode {
    link: Arc<Link>,
    hints: Hints,
}

impl Lnd {
    /// A wallet on `node`; every call takes at most `timeout`. Nothing is connected before the first call.
    pub fn new(node: Node, timeout: Duration) -> Lnd {
        Lnd::behind(Box::new(node), timeout)
    }

    /// A wallet behind `door`.
    pub(crate) fn behind(door: Box<dyn Door>, timeout: Duration) -> Lnd {
        Wallet::of(LndNode { link: Link::new(door), hints: Hints::new(RouteHints::Auto) }, timeout)
    }

    /// The same, whose invoices name private channels as `hints` says.
    #[must_use]
    pub fn with_hints(mut self, hints: RouteHints) -> Lnd {
        self.connector_mut().hints = Hints::new(hints);
        self
    }
}

impl LndNode {
    async fn add_invoice(&self, ask: &InvoiceRequest, deadline: Instant) -> Result<Made, LightningError> {
        let (private, remark) = self.hints.wanted(self, deadline).await;
        let wanted = lnrpc::Invoice {
            memo: ask.description.clone(),
            value_msat: i64::try_from(ask.amount.0)
                .map_err(|_| LightningError::Refused(format!("{} is more than there is", ask.amount)))?,
            expiry: ask.expiry_s.into(),
            private,
            ..lnrpc::Invoice::default()
        };
        let made = self
            .call(deadline, |mut client| {
                let wanted = wanted.clone();
                async move { client.add_invoice(wanted).await }
            })
            .await
            .map_err(|failure| failure.of(Method::AddInvoice, self.link.access()))?;
        let mut made = Made::as_asked(made.payment_request, message::payment_hash(&made.r_hash), ask);
        made.findings.extend(remark);
        Ok(made)
    }

    async fn look_up_invoice(&self, hash: PaymentHash, deadline: Instant) -> Result<Found, LightningError> {
        let found = self
            .call(deadline, |mut client| async move {
                let which = lnrpc::PaymentHash { r_hash: hash.0.to_vec(), ..Default::default() };
                client.lookup_invoice(which).await
            })
            .await;
        match found {
            Ok(invoice) => Ok(message::found(invoice)),
            Err(Failure::Answer(status)) => lookup_error(self.link.access(), &status),
            Err(Failure::NoAnswer(error)) => Err(error),
        }
    }

    async fn cancel_invoice(
        &self,
        hash: PaymentHash,
        deadline: Instant,
    ) -> Result<Cancelled, LightningError> {
        let cancelled = self
            .call_on(deadline, |line| {
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

    async fn node_health(&self, deadline: Instant) -> Result<Health, LightningError> {
        let mut health = match self.info(deadline).await {
            Ok(info) => Health {
                // LND appends its commit to the version.
                node: format!(
                    "LND {} {}",
                    info.version.split(' ').next().unwrap_or_default(),
                    info.identity_pubkey
                ),
                network: info.chains.first().map(|chain| chain.network.clone()),
                synced: Some(info.synced_to_chain),
                remarks: Vec::new(),
            },
            // A macaroon for invoices only may not ask; a look-up shows as well that the node answers it.
            Err(LightningError::Refused(_)) => {
                self.look_up_invoice(PaymentHash([0; 32]), deadline).await?;
                Health::of("LND")
            }
            Err(error) => return Err(error),
        };
        health.remarks.extend(self.hints.remark(self, deadline).await);
        Ok(health)
    }

    async fn info(&self, deadline: Instant) -> Result<lnrpc::GetInfoResponse, LightningError> {
        self.call(deadline, |mut client| async move { client.get_info(lnrpc::GetInfoRequest {}).await })
            .await
            .map_err(|failure| failure.of(Method::GetInfo, self.link.access()))
    }

    async fn channels(&self, deadline: Instant) -> Result<Vec<lnrpc::Channel>, LightningError> {
        let list = |mut client: LightningClient<Authorized>| async move {
            client.list_channels(lnrpc::ListChannelsRequest::default()).await
        };
        let listed = self.call(deadline, list).await;
        listed
            .map(|listed| listed.channels)
            .map_err(|failure| failure.of(Method::ListChannels, self.link.access()))
    }

    /// A call of the main service: see [`LndNode::call_on`].
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

impl Connector for LndNode {
    fn make<'a>(&'a self, ask: &'a InvoiceRequest, deadline: Instant) -> Reply<'a, Made> {
        Box::pin(self.add_invoice(ask, deadline))
    }

    fn find(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Found> {
        Box::pin(self.look_up_invoice(hash, deadline))
    }

    fn cancel(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Cancelled> {
        Box::pin(self.cancel_invoice(hash, deadline))
    }

    fn pushes(&self) -> mpsc::Receiver<Push> {
        settlements::follow(Arc::clone(&self.link))
    }

    fn health(&self, deadline: Instant) -> Reply<'_, Health> {
        Box::pin(self.node_health(deadline))
    }

    fn network(&self, deadline: Instant) -> Reply<'_, Option<Network>> {
        Box::pin(async move {
            match self.info(deadline).await {
                Ok(info) => Ok(info.chains.first().and_then(|chain| Network::from_name(&chain.network))),
                // Whoever may not ask is not told, and does not ask again.
                Err(LightningError::Refused(_)) => Ok(None),
                Err(error) => Err(error),
            }
        })
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

    fn try_push(&self, deadline: Instant) -> Reply<'_, bool> {
        Box::pin(async move {
            match timeout_at(deadline, settlements::try_once(&self.link)).await {
                Ok(tried) => tried.map(|()| true),
                Err(_) => Err(LightningError::TimedOut),
            }
        })
    }

    fn secrets(&self) -> Secrets {
        self.link.secrets()
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(self.link.close())
    }
}
