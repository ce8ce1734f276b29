//! Eclair's messages in our types. `status.type` alone says whether an invoice is paid: `paymentPreimage` is there from the
//! start.

use l402::{Msat, PaymentHash};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::LightningError;
use crate::connector::{Found, Payment, preimage_bytes};
use crate::foreign::shown;
use crate::judgement::{Terms, payment_hash_of};

/// The answer to `createinvoice`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    pub(super) serialized: String,
    #[serde(default, deserialize_with = "hash")]
    pub(super) payment_hash: Option<PaymentHash>,
}

/// The answer to `getinfo`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Info {
    pub(super) version: String,
    pub(super) node_id: String,
    pub(super) network: String,
}

/// The answer to `getreceivedinfo`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Received {
    /// Called `paymentRequest` before 0.8.
    #[serde(alias = "paymentRequest")]
    invoice: Option<InvoiceText>,
    payment_preimage: Option<String>,
    status: Status,
}

#[derive(Deserialize)]
struct InvoiceText {
    serialized: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "type")]
    kind: String,
    /// What arrived, msat.
    #[serde(default)]
    amount: Value,
}

/// The answer to a look-up. The invoice in it says when it expires.
pub(super) fn found(received: Received) -> Found {
    let Received { invoice, payment_preimage, status } = received;
    let invoice = invoice.map(|invoice| invoice.serialized);
    match status.kind.to_ascii_lowercase().as_str() {
        "received" => Found::Paid(Payment {
            about: None,
            invoice,
            preimage: payment_preimage.as_deref().map(preimage_bytes),
            received: status.amount.as_u64().map(Msat),
            outgoing: false,
        }),
        "pending" => {
            let expires_at = invoice.as_deref().and_then(expiry_of);
            Found::Open { about: None, invoice, expires_at }
        }
        "expired" => Found::Dead { about: invoice.as_deref().and_then(payment_hash_of) },
        other => Found::Unclear(format!("an invoice in state {:?}, which is not known", shown(other))),
    }
}

fn expiry_of(invoice: &str) -> Option<u64> {
    Terms::read(invoice).ok().map(|terms| terms.expires_at())
}

/// The payment that an event of the websocket tells of; `None` if it tells of something else.
///
/// What else the parts say is called differently from release to release; each has had its `amount`. Releases before 0.3.2
/// had no parts and the amount beside the hash.
pub(super) fn event(text: &str) -> Result<Option<Payment>, LightningError> {
    let unreadable = || LightningError::Wrong("an event that can't be read".to_owned());
    let event: Value = serde_json::from_str(text).map_err(|_| unreadable())?;
    if event["type"] != "payment-received" {
        return Ok(None);
    }
    let received = match event["parts"].as_array() {
        Some(parts) => parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part["amount"].as_u64()?)),
        None => event["amount"].as_u64(),
    };
    let about = event["paymentHash"].as_str().and_then(|hex| hex.parse().ok()).ok_or_else(unreadable)?;
    Ok(Some(Payment { about: Some(about), received: received.map(Msat), ..Payment::default() }))
}

/// A hash, if it is one.
fn hash<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PaymentHash>, D::Error> {
    Ok(Value::deserialize(from)?.as_str().and_then(|text| text.parse().ok()))
}
