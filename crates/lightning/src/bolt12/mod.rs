//! BOLT12 through Core Lightning: each challenge is an invoice that `fetchinvoice` brings for the operator's own offer.
//!
//! The node makes and keeps these invoices as any others, so that look-ups and payments are as in [`cln`](crate::cln).

mod invoice;
mod pace;

use std::sync::Arc;
use std::time::Duration;

use l402::PaymentHash;
use serde_json::json;
use settings::Bolt12Settings;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::Instant;

use crate::cln::ClnNode;
use crate::connector::{Bounds, Connector, Found, Made, Push, Wish};
use crate::foreign::Secrets;
use crate::judgement::{Fact, Remark};
use crate::{Calls, Cancelled, Health, InvoiceRequest, Lightning, LightningError, Network, Reply, Wallet};
use invoice::Offer;
use pace::Pace;

/// How much earlier than we the node gives up, so that its own word arrives.
const EARLIER: Duration = Duration::from_secs(1);

/// Invoices made ahead at most of an offer that leads through a peer: each is a message that a client's may have to wait
/// for.
const FEW: usize = 4;

/// Opens the wallet that `settings` describes. The one time-out bounds connecting too.
pub(crate) fn open(settings: &Bolt12Settings, timeout: Duration) -> Result<Arc<dyn Lightning>, String> {
    Ok(Arc::new(Bolt12::new(settings, timeout)?))
}

/// When a BOLT12 invoice was made, Unix seconds.
pub(crate) fn made_at(invoice: &str) -> Option<u64> {
    invoice::made_at(invoice)
}

/// The payment hash of a BOLT12 invoice.
pub(crate) fn payment_hash(invoice: &str) -> Option<PaymentHash> {
    invoice::payment_hash(invoice)
}

/// A wallet that is an offer of a CLN.
pub type Bolt12 = Wallet<OfferNode>;

/// An offer of a CLN, as the node speaks.
pub struct OfferNode {
    cln: ClnNode,
    offer: Offer,
    pace: Pace,
    /// The node's id; `None` within if it may not say.
    node_id: OnceCell<Option<String>>,
}

impl Bolt12 {
    /// A wallet on this offer; every call takes at most `timeout`. Nothing is connected before the first call.
    ///
    /// # Errors
    /// The operator's: an offer or a certificate that can't be used.
    pub fn new(settings: &Bolt12Settings, timeout: Duration) -> Result<Bolt12, String> {
        let offer = Offer::parse(&settings.offer)?;
        let cln = ClnNode::new(&settings.cln, timeout)?;
        let node = OfferNode { cln, offer, pace: Pace::default(), node_id: OnceCell::new() };
        Ok(Wallet::of(node, timeout))
    }
}

impl OfferNode {
    async fn fetch(&self, ask: &InvoiceRequest, deadline: Instant) -> Result<Made, LightningError> {
        if let Some(remark) = self.of_another(deadline).await? {
            return Err(LightningError::Wrong(remark.text));
        }
        let mut params = json!({ "offer": &*self.offer.text });
        match self.offer.amount {
            // An offer for any amount wants one, and one for an amount none.
            None => params["amount_msat"] = ask.amount.0.into(),
            Some(amount) if amount == ask.amount => {}
            Some(amount) => {
                return Err(LightningError::Refused(format!(
                    "the offer asks for {amount}, the price is {}: make an offer for any amount (lightning-cli \
                     offer any …)",
                    ask.amount
                )));
            }
        }
        if self.offer.path_through.is_some() {
            self.pace.wait(deadline).await?;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        params["timeout"] = left.saturating_sub(EARLIER).as_secs().max(1).into();
        let text =
            self.cln.fetch_invoice(&params, deadline).await.map_err(|error| self.name_the_peer(error))?;
        let (terms, mut findings) = match self.offer.read(&text) {
            Ok((terms, findings)) => (Ok(terms), findings),
            Err(reason) => (Err(reason), Vec::new()),
        };
        findings.extend(self.blinded());
        Ok(Made { text, terms, payment_hash: None, wish: Wish::default(), findings })
    }

    /// The offer is another node's, which would get the money.
    async fn of_another(&self, deadline: Instant) -> Result<Option<Remark>, LightningError> {
        let ask = || async {
            match self.cln.info(deadline).await {
                Ok(info) => Ok(Some(info.id)),
                // Whoever may not ask is not told.
                Err(LightningError::Refused(_)) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let own = self.node_id.get_or_try_init(ask).await?;
        let (Some(own), Some(issuer)) = (own, &self.offer.issuer) else { return Ok(None) };
        Ok((!own.eq_ignore_ascii_case(issuer)).then(|| {
            let text = format!(
                "BOLT12_OFFER is an offer of the node {issuer}, which would get the money; this node is {own}: make an \
                 offer on it (lightning-cli offer any …)"
            );
            Remark::new(Fact::OfferOwner, text)
        }))
    }

    fn blinded(&self) -> Option<Remark> {
        let peer = self.offer.path_through.as_deref()?;
        let text = format!(
            "the offer has a blinded path through the peer {peer}, over which lightningd passes on about three messages a \
             second, and none while that peer is away: make an offer without a path (docs/guides/bolt12.md)"
        );
        Some(Remark::new(Fact::BlindedPath, text))
    }

    /// An error on the way over the path says whose way it is.
    fn name_the_peer(&self, error: LightningError) -> LightningError {
        match (&error, self.offer.path_through.as_deref()) {
            (LightningError::Unavailable { .. } | LightningError::TimedOut, Some(peer)) => {
                let retry_after = match &error {
                    LightningError::Unavailable { retry_after, .. } => *retry_after,
                    LightningError::TimedOut | LightningError::Refused(_) | LightningError::Wrong(_) => {
                        EARLIER
                    }
                };
                let text =
                    format!("{error}; the offer's path leads through the peer {peer}: is it connected?");
                LightningError::unavailable(text, retry_after)
            }
            _ => error,
        }
    }
}

impl Connector for OfferNode {
    /// The description is the offer's, and the life of the invoice the node's.
    fn make<'a>(&'a self, ask: &'a InvoiceRequest, deadline: Instant) -> Reply<'a, Made> {
        Box::pin(self.fetch(ask, deadline))
    }

    fn find(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Found> {
        self.cln.find(hash, deadline)
    }

    /// lightningd deletes the invoice of an offer as any other; the offer stays.
    fn cancel(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Cancelled> {
        self.cln.cancel(hash, deadline)
    }

    fn pushes(&self) -> mpsc::Receiver<Push> {
        self.cln.pushes()
    }

    fn health(&self, deadline: Instant) -> Reply<'_, Health> {
        Box::pin(async move {
            let mut health = self.cln.node_health(deadline).await?;
            health.remarks.extend(self.of_another(deadline).await?);
            health.remarks.extend(self.blinded());
            Ok(health)
        })
    }

    fn network(&self, deadline: Instant) -> Reply<'_, Option<Network>> {
        self.cln.network(deadline)
    }

    fn calls(&self) -> Calls {
        Calls { kind: "BOLT12", create: "fetchinvoice", ..crate::cln::CALLS }
    }

    fn offer(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.offer.text))
    }

    /// An offer for an amount is for no other.
    fn bounds(&self, _: Instant) -> Reply<'_, Bounds> {
        Box::pin(async { Ok(Bounds { least: self.offer.amount, most: self.offer.amount }) })
    }

    fn describes(&self) -> bool {
        false
    }

    fn most_ahead(&self) -> usize {
        if self.offer.path_through.is_some() { FEW } else { usize::MAX }
    }

    fn try_push(&self, deadline: Instant) -> Reply<'_, bool> {
        self.cln.try_push(deadline)
    }

    fn secrets(&self) -> Secrets {
        self.cln.secrets()
    }
}
