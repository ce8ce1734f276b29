//! Eclair, by its HTTP interface: `createinvoice`, `getreceivedinfo`, `deleteinvoice`, `getinfo`, and the websocket that
//! tells of payments.
//!
//! There is one password, and it permits everything; see `docs/guides/eclair.md`.

mod api;
mod message;
mod push;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use l402::PaymentHash;
use settings::EclairSettings;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::http::deadline;
use crate::{
    Asked, Calls, Cancelled, Health, Invoice, InvoiceRequest, Lightning, LightningError, Lookup, Network,
    Reply, Settlement, check_invoice, fit_description, unix_now,
};
use api::{Api, Call};
use message::{Created, Info, Received};

/// Opens the wallet that `settings` describes.
pub(crate) fn open(settings: &EclairSettings, timeout: Duration) -> Result<Arc<dyn Lightning>, String> {
    Ok(Arc::new(Eclair::new(&settings.address, settings.password.expose(), timeout)?))
}

/// A wallet that is an Eclair.
pub struct Eclair {
    api: Arc<Api>,
    timeout: Duration,
    /// What the node said its network is.
    told: OnceCell<Network>,
    /// The network of the first good invoice.
    seen: OnceLock<Network>,
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
        Ok(Eclair { api, timeout, told: OnceCell::new(), seen: OnceLock::new(), told_that_it_cannot_cancel })
    }

    async fn create_invoice(&self, ask: &InvoiceRequest) -> Result<Invoice, LightningError> {
        let deadline = deadline(self.timeout);
        let network = self.network(deadline).await?;
        let description = fit_description(&ask.description);
        let (amount, expiry) = (ask.amount.0.to_string(), ask.expiry_s.to_string());
        let form = [("description", description), ("amountMsat", &amount), ("expireIn", &expiry)];
        let made: Created = self.api.call(Call::CreateInvoice, &form, deadline).await?;
        let payment_hash = message::payment_hash(&made.payment_hash)?;
        let network = Some(*self.seen.get().unwrap_or(&network));
        let asked = Asked { amount: ask.amount, payment_hash, description, expiry_s: ask.expiry_s, network };
        let checked = check_invoice(&made.serialized, &asked, unix_now())?;
        let _ = self.seen.set(checked.network);
        Ok(Invoice { payment_hash, bolt11: made.serialized, expires_at: checked.expires_at })
    }

    async fn received_info(&self, hash: PaymentHash, deadline: Instant) -> Result<Lookup, LightningError> {
        let hex = hash.to_string();
        let found: Option<Received> =
            self.api.find(Call::GetReceivedInfo, &[("paymentHash", &hex)], deadline).await?;
        found.map_or(Ok(Lookup::Unknown), |received| message::lookup(hash, received))
    }

    /// Eclair deletes what is not paid, says so too of what it does not have, and refuses what is paid.
    ///
    /// It looks and deletes in two steps, so that a payment in the very moment between them would be kept and not be
    /// found any more. Only invoices that nobody has seen are cancelled: nobody can pay them then.
    async fn delete_invoice(&self, hash: PaymentHash) -> Result<Cancelled, LightningError> {
        let (hex, deadline) = (hash.to_string(), deadline(self.timeout));
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
                Lookup::Settled { .. } => Err(LightningError::Refused(format!(
                    "{hash} is paid, and stays so: it can't be cancelled"
                ))),
                _ => Err(LightningError::Refused(said)),
            },
            Err(error) => Err(error),
        }
    }

    /// The network that invoices must be on. Asked once.
    async fn network(&self, deadline: Instant) -> Result<Network, LightningError> {
        let ask = || async {
            let info = self.info(deadline).await?;
            Network::from_name(&info.network)
                .ok_or_else(|| LightningError::Wrong(format!("an unknown network, {:?}", info.network)))
        };
        // Whoever asks first may hold the others up, but no longer than their own deadline.
        match timeout_at(deadline, self.told.get_or_try_init(ask)).await {
            Ok(told) => told.copied(),
            Err(_) => Err(LightningError::TimedOut),
        }
    }

    async fn info(&self, deadline: Instant) -> Result<Info, LightningError> {
        self.api.call(Call::GetInfo, &[], deadline).await
    }

    async fn node_health(&self) -> Result<Health, LightningError> {
        let info = self.info(deadline(self.timeout)).await?;
        let node = format!("Eclair {} {}", info.version, info.node_id);
        Ok(Health { node, network: Some(info.network), synced: None })
    }
}

impl Lightning for Eclair {
    fn create<'a>(&'a self, ask: &'a InvoiceRequest) -> Reply<'a, Invoice> {
        Box::pin(self.create_invoice(ask))
    }

    fn look_up(&self, hash: PaymentHash) -> Reply<'_, Lookup> {
        Box::pin(self.received_info(hash, deadline(self.timeout)))
    }

    fn cancel(&self, hash: PaymentHash) -> Reply<'_, Cancelled> {
        Box::pin(self.delete_invoice(hash))
    }

    /// Eclair keeps no events for who was away: what settles during an outage is found by a look-up only.
    fn settlements(&self) -> mpsc::Receiver<Settlement> {
        push::follow(Arc::clone(&self.api), self.timeout)
    }

    fn health(&self) -> Reply<'_, Health> {
        Box::pin(self.node_health())
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

    fn try_push(&self) -> Reply<'_, bool> {
        Box::pin(async { push::try_once(&self.api, self.timeout).await.map(|()| true) })
    }
}
