//! Eclair, by its HTTP interface: `createinvoice`, `getreceivedinfo`, `deleteinvoice`, `getinfo`, and the websocket that
//! tells of payments.
//!
//! There is one password, and it permits everything; see `docs/guides/eclair.md`.

mod api;
mod hints;
mod message;
mod push;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use l402::PaymentHash;
use settings::{EclairSettings, RouteHints};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::connector::{Connector, Found, Made, Push};
use crate::foreign::Secrets;
use crate::{Calls, Cancelled, Health, InvoiceRequest, Lightning, LightningError, Network, Reply, Wallet};
use api::{Api, Call};
use hints::Hints;
use message::{Created, Info, Received};

/// Opens the wallet that `settings` describes.
pub(crate) fn open(
    settings: &EclairSettings,
    hints: RouteHints,
    timeout: Duration,
) -> Result<Arc<dyn Lightning>, String> {
    Ok(Arc::new(Eclair::new(&settings.address, settings.password.expose(), timeout)?.with_hints(hints)))
}

/// A wallet that is an Eclair.
pub type Eclair = Wallet<EclairNode>;

/// An Eclair as it speaks.
pub struct EclairNode {
    api: Arc<Api>,
    timeout: Duration,
    hints: Hints,
    /// Whether it was told that nothing can be cancelled.
    told_that_it_cannot_cancel: AtomicBool,
}

impl Eclair {
    /// A wallet on the node at `address`, such as `http://127.0.0.1:8080`; every call takes at most `timeout`. Nothing is
    /// connected before the first call.
    ///
    /// # Errors
    /// The operator's: an address that is none, or TLS without certificate authorities.
    pub fn new(address: &str, password: &str, timeout: Duration) -> Result<Eclair, String> {
        let api = Arc::new(Api::new(address, password)?);
        let told_that_it_cannot_cancel = AtomicBool::new(false);
        let hints = Hints::new(RouteHints::Auto);
        Ok(Wallet::of(EclairNode { api, timeout, hints, told_that_it_cannot_cancel }, timeout))
    }

    /// The same, whose invoices name private channels as `hints` says.
    #[must_use]
    pub fn with_hints(mut self, hints: RouteHints) -> Eclair {
        self.connector_mut().hints = Hints::new(hints);
        self
    }
}

impl EclairNode {
    async fn create_invoice(&self, ask: &InvoiceRequest, deadline: Instant) -> Result<Made, LightningError> {
        let (amount, expiry) = (ask.amount.0.to_string(), ask.expiry_s.to_string());
        let (channels, remark) = self.hints.wanted(&self.api, deadline).await;
        let mut form =
            vec![("description", ask.description.as_str()), ("amountMsat", &amount), ("expireIn", &expiry)];
        if !channels.is_empty() {
            form.push(("privateChannelIds", &channels));
        }
        let made: Created = self.api.call(Call::CreateInvoice, &form, deadline).await?;
        let mut made = Made::as_asked(made.serialized, made.payment_hash, ask);
        made.findings.extend(remark);
        Ok(made)
    }

    async fn received_info(&self, hash: PaymentHash, deadline: Instant) -> Result<Found, LightningError> {
        let hex = hash.to_string();
        let found =
            self.api.find::<Received>(Call::GetReceivedInfo, &[("paymentHash", &hex)], deadline).await?;
        Ok(match found {
            Ok(received) => message::found(received),
            Err(nothing) => nothing,
        })
    }

    /// Eclair deletes what is not paid, says so too of what it does not have, and refuses what is paid.
    ///
    /// It looks and deletes in two steps, so that a payment in the very moment between them would be kept and not be
    /// found any more. Only invoices that nobody has seen are cancelled: nobody can pay them then.
    async fn delete_invoice(
        &self,
        hash: PaymentHash,
        deadline: Instant,
    ) -> Result<Cancelled, LightningError> {
        let hex = hash.to_string();
        match self.api.tell(Call::DeleteInvoice, &[("paymentHash", &hex)], deadline).await {
            Ok(true) => Ok(Cancelled::Done),
            Ok(false) => {
                if !self.told_that_it_cannot_cancel.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "invoices that nobody got stay in Eclair until they expire: it does not know deleteinvoice, \
                         which came with 0.7.0, or what stands before it does not let the call through"
                    );
                }
                Ok(Cancelled::CannotCancel)
            }
            // It does not say why it refuses, but in its log.
            Err(LightningError::Refused(said)) => match self.received_info(hash, deadline).await? {
                Found::Paid(_) => Err(LightningError::Refused(format!(
                    "{hash} is paid, and stays so: it can't be cancelled"
                ))),
                Found::Open { .. }
                | Found::Dead { .. }
                | Found::Unknown
                | Found::Unclear(_)
                | Found::CannotLookUp => Err(LightningError::Refused(said)),
            },
            Err(error) => Err(error),
        }
    }

    async fn info(&self, deadline: Instant) -> Result<Info, LightningError> {
        self.api.call(Call::GetInfo, &[], deadline).await
    }

    async fn node_health(&self, deadline: Instant) -> Result<Health, LightningError> {
        let info = self.info(deadline).await?;
        let node = format!("Eclair {} {}", info.version, info.node_id);
        let remarks = self.hints.remark(&self.api, deadline).await.into_iter().collect();
        Ok(Health { node, network: Some(info.network), synced: None, remarks })
    }
}

impl Connector for EclairNode {
    fn make<'a>(&'a self, ask: &'a InvoiceRequest, deadline: Instant) -> Reply<'a, Made> {
        Box::pin(self.create_invoice(ask, deadline))
    }

    fn find(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Found> {
        Box::pin(self.received_info(hash, deadline))
    }

    fn cancel(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Cancelled> {
        Box::pin(self.delete_invoice(hash, deadline))
    }

    /// Eclair keeps no events for who was away: what settles during an outage is found by a look-up only.
    fn pushes(&self) -> mpsc::Receiver<Push> {
        push::follow(Arc::clone(&self.api), self.timeout)
    }

    fn health(&self, deadline: Instant) -> Reply<'_, Health> {
        Box::pin(self.node_health(deadline))
    }

    fn network(&self, deadline: Instant) -> Reply<'_, Option<Network>> {
        Box::pin(async move { Ok(Network::from_name(&self.info(deadline).await?.network)) })
    }

    fn calls(&self) -> Calls {
        Calls {
            kind: "ECLAIR",
            health: "getinfo",
            create: "createinvoice",
            look_up: "getreceivedinfo",
            push: "ws",
            cancel: Some("deleteinvoice"),
        }
    }

    fn try_push(&self, deadline: Instant) -> Reply<'_, bool> {
        Box::pin(async move { push::try_once(&self.api, deadline).await.map(|()| true) })
    }

    fn secrets(&self) -> Secrets {
        self.api.secrets()
    }
}
