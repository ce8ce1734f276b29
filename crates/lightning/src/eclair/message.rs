//! Eclair's messages in our types. `status.type` alone says whether an invoice is paid: `paymentPreimage` is there from the
//! start.

use l402::{Msat, PaymentHash, Preimage};
use serde::Deserialize;
use serde_json::Value;

use crate::invoice::{self, Told};
use crate::{LightningError, Lookup, Settlement};

/// The answer to `createinvoice`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    pub(super) serialized: String,
    pub(super) payment_hash: String,
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
    invoice: InvoiceText,
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
    amount: Option<u64>,
}

/// A payment hash in hex.
pub(super) fn payment_hash(hex: &str) -> Result<PaymentHash, LightningError> {
    hex.parse().map_err(|_| LightningError::Wrong("a payment hash that is not 32 bytes in hex".to_owned()))
}

/// The answer to a look-up of `hash`.
pub(super) fn lookup(hash: PaymentHash, found: Received) -> Result<Lookup, LightningError> {
    let Told { payment_hash, amount, expires_at, .. } = invoice::told(&found.invoice.serialized)?;
    if payment_hash != hash {
        return Err(LightningError::Wrong(format!("the invoice {payment_hash} for a look-up of {hash}")));
    }
    match found.status.kind.as_str() {
        "received" => {
            let received = found.status.amount.map(Msat).ok_or_else(|| {
                LightningError::Wrong(format!("a payment of {hash} without the amount received"))
            })?;
            if amount.is_some_and(|asked| received < asked) {
                return Err(LightningError::Wrong(format!(
                    "{received} received for {hash}, less than asked"
                )));
            }
            Ok(Lookup::Settled { preimage: preimage(hash, found.payment_preimage)?, received })
        }
        "pending" => Ok(Lookup::Pending { bolt11: Some(found.invoice.serialized), expires_at }),
        "expired" => Ok(Lookup::Dead),
        other => {
            Err(LightningError::Wrong(format!("an invoice in state {:?}, which nobody knows", short(other))))
        }
    }
}

/// The payment that an event of the websocket tells of; `None` if it tells of something else.
///
/// What else the parts say is called differently from release to release; each has had its `amount`. Releases before 0.3.2
/// had no parts and the amount beside the hash.
pub(super) fn event(text: &str) -> Result<Option<Settlement>, LightningError> {
    let unreadable = || LightningError::Wrong("an event that can't be read".to_owned());
    let event: Value = serde_json::from_str(text).map_err(|_| unreadable())?;
    if event["type"] != "payment-received" {
        return Ok(None);
    }
    let payment_hash = payment_hash(event["paymentHash"].as_str().unwrap_or_default())?;
    let received = match event["parts"].as_array() {
        Some(parts) => parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part["amount"].as_u64()?)),
        None => event["amount"].as_u64(),
    };
    let received = received.map(Msat).ok_or_else(unreadable)?;
    Ok(Some(Settlement { payment_hash, preimage: None, received }))
}

fn preimage(hash: PaymentHash, hex: Option<String>) -> Result<Option<Preimage>, LightningError> {
    let Some(hex) = hex else { return Ok(None) };
    let found = Preimage::from_hex(&hex).ok().filter(|preimage| preimage.matches(&hash));
    let wrong = || LightningError::Wrong(format!("a preimage that does not belong to {hash}"));
    found.ok_or_else(wrong).map(Some)
}

fn short(text: &str) -> String {
    text.chars().take(30).collect()
}
