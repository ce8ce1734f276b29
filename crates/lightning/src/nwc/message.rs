//! The bodies of requests, responses and notifications (NIP-47) in our types. Whether an invoice is paid follows from
//! `state` and `settled_at` alone: some wallets report the preimage of open invoices too.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use l402::{Msat, PaymentHash, Preimage};
use lightning_invoice::Bolt11Invoice;
use serde::Deserialize;
use serde_json::{Value, json};

use super::info::Method;
use super::refusal::Refusal;
use crate::{InvoiceRequest, LightningError, Lookup, Settlement};

/// A `make_invoice`; `description` is what an invoice can hold.
pub(super) fn make_invoice(ask: &InvoiceRequest, description: &str) -> Value {
    json!({ "amount": ask.amount.0, "description": description, "expiry": ask.expiry_s })
}

/// A `lookup_invoice`.
pub(super) fn lookup_invoice(hash: PaymentHash) -> Value {
    json!({ "payment_hash": HEXLOWER.encode(&hash.0) })
}

/// The text of a request.
pub(super) fn request(method: Method, params: &Value) -> String {
    json!({ "method": method.name(), "params": params }).to_string()
}

/// What a wallet answers: its result, or its refusal. `Err` is an answer to something else, or none at all.
pub(super) fn response(method: Method, text: &str) -> Result<Result<Value, Refusal>, LightningError> {
    #[derive(Deserialize)]
    struct Response {
        result_type: Option<String>,
        error: Option<Refusal>,
        result: Option<Value>,
    }
    let name = method.name();
    let Ok(response) = serde_json::from_str::<Response>(text) else {
        return Err(LightningError::Wrong(format!("an answer to {name} that can't be read")));
    };
    if let Some(error) = response.error {
        return Ok(Err(error));
    }
    if response.result_type.as_deref() != Some(name) {
        return Err(LightningError::Wrong(format!("an answer to {name} that is about another method")));
    }
    match response.result {
        Some(result) if result.is_object() => Ok(Ok(result)),
        _ => Err(LightningError::Wrong(format!("an answer to {name} without a result"))),
    }
}

/// The invoice that `make_invoice` made, and the payment hash that the wallet says it has.
pub(super) fn made(result: Value) -> Result<(String, PaymentHash), LightningError> {
    let made = Transaction::of(result)?;
    let Some(bolt11) = made.invoice else {
        return Err(LightningError::Wrong("an answer to make_invoice without an invoice".to_owned()));
    };
    // Optional in some wallets; then the invoice's own.
    let hash = match &made.payment_hash {
        Some(hash) => hash_from(hash)?,
        None => match bolt11.parse::<Bolt11Invoice>() {
            Ok(invoice) => PaymentHash(*invoice.payment_hash().as_ref()),
            Err(error) => {
                return Err(LightningError::Wrong(format!("an invoice that can't be read: {error}")));
            }
        },
    };
    Ok((bolt11, hash))
}

/// The answer to a look-up of `hash`.
pub(super) fn lookup(hash: PaymentHash, result: Value) -> Result<Lookup, LightningError> {
    let found = Transaction::of(result)?;
    let told = found.payment_hash.as_deref().map(hash_from).transpose()?;
    if let Some(told) = told.filter(|told| *told != hash) {
        return Err(LightningError::Wrong(format!("the invoice {told} for a look-up of {hash}")));
    }
    found.must_be_incoming()?;
    match found.standing() {
        Standing::Settled => {
            let Settlement { preimage, received, .. } = found.settlement(hash)?;
            Ok(Lookup::Settled { preimage, received })
        }
        Standing::Open => {
            let expires_at = found.expires_at().ok_or_else(|| {
                LightningError::Wrong(format!("the unpaid invoice {hash} without its expiry"))
            })?;
            Ok(Lookup::Pending { bolt11: found.invoice_of(hash)?, expires_at })
        }
        Standing::Dead => Ok(Lookup::Dead),
    }
}

/// The payment that a notification tells of; `None` if it tells of something else.
pub(super) fn notification(text: &str) -> Result<Option<Settlement>, LightningError> {
    #[derive(Deserialize)]
    struct Notification {
        notification_type: String,
        #[serde(default)]
        notification: Value,
    }
    let Ok(Notification { notification_type, notification }) = serde_json::from_str(text) else {
        return Err(LightningError::Wrong("a notification that can't be read".to_owned()));
    };
    if notification_type != "payment_received" {
        return Ok(None);
    }
    let payment = Transaction::of(notification)?;
    payment.must_be_incoming()?;
    if payment.standing() != Standing::Settled {
        return Ok(None);
    }
    let hash = payment.payment_hash.as_deref().map(hash_from).transpose()?;
    let hash =
        hash.ok_or_else(|| LightningError::Wrong("a notification without a payment hash".to_owned()))?;
    payment.settlement(hash).map(Some)
}

/// What `get_info` tells: the node's name or key, its network, and the methods of this connection.
pub(super) struct NodeInfo {
    pub(super) node: String,
    pub(super) network: Option<String>,
    /// Empty where it does not say.
    pub(super) methods: Vec<String>,
}

/// The answer to `get_info`.
pub(super) fn node_info(result: &Value) -> NodeInfo {
    let text = |key: &str| {
        let text = result.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        text.map(super::refusal::shown)
    };
    let methods = result.get("methods").and_then(Value::as_array).into_iter().flatten();
    let node = [text("alias"), text("pubkey")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    NodeInfo {
        node: if node.is_empty() { "NWC wallet".to_owned() } else { format!("NWC wallet {node}") },
        network: text("network"),
        methods: methods.filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

/// An invoice as a wallet reports it.
struct Transaction {
    kind: Option<String>,
    state: Option<String>,
    invoice: Option<String>,
    preimage: Option<String>,
    payment_hash: Option<String>,
    amount: Option<u64>,
    expires_at: Option<u64>,
    settled_at: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Open,
    Settled,
    Dead,
}

impl Transaction {
    /// Wallets leave fields out, or write `null`, an empty text or 0 instead.
    fn of(mut value: Value) -> Result<Transaction, LightningError> {
        let Some(fields) = value.as_object_mut() else {
            return Err(LightningError::Wrong("an invoice that is no object".to_owned()));
        };
        let text = |fields: &mut serde_json::Map<String, Value>, key| match fields.remove(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let number = |fields: &serde_json::Map<String, Value>, key| {
            fields.get(key).and_then(whole).filter(|number| *number > 0)
        };
        Ok(Transaction {
            amount: number(fields, "amount"),
            expires_at: number(fields, "expires_at"),
            settled_at: number(fields, "settled_at"),
            kind: text(fields, "type"),
            state: text(fields, "state"),
            invoice: text(fields, "invoice"),
            preimage: text(fields, "preimage"),
            payment_hash: text(fields, "payment_hash"),
        })
    }

    /// A state that is known decides; without one, the time of the settlement.
    fn standing(&self) -> Standing {
        match self.state.as_deref() {
            Some("settled") => Standing::Settled,
            Some("pending" | "accepted") => Standing::Open,
            Some("expired" | "failed") => Standing::Dead,
            Some(_) | None if self.settled_at.is_some() => Standing::Settled,
            Some(_) | None => Standing::Open,
        }
    }

    /// What the wallet paid to others is no payment to us, whatever its hash.
    fn must_be_incoming(&self) -> Result<(), LightningError> {
        match self.kind.as_deref() {
            Some("incoming") | None => Ok(()),
            Some(_) => Err(LightningError::Wrong("an outgoing payment instead of an invoice".to_owned())),
        }
    }

    /// Who calls has seen that it is settled.
    fn settlement(&self, payment_hash: PaymentHash) -> Result<Settlement, LightningError> {
        let preimage = self.preimage.as_deref().and_then(preimage_from);
        if preimage.as_ref().is_some_and(|preimage| !preimage.matches(&payment_hash)) {
            return Err(LightningError::Wrong(format!("a preimage that does not belong to {payment_hash}")));
        }
        let Some(amount) = self.amount else {
            return Err(LightningError::Wrong(format!(
                "the settled invoice {payment_hash} without its amount"
            )));
        };
        Ok(Settlement { payment_hash, preimage, received: Msat(amount) })
    }

    fn expires_at(&self) -> Option<u64> {
        self.expires_at.or_else(|| Some(self.decoded()?.expires_at()?.as_secs()))
    }

    /// The invoice's text, which a client may be shown again: only one of this hash.
    fn invoice_of(self, hash: PaymentHash) -> Result<Option<String>, LightningError> {
        match self.decoded() {
            Some(invoice) if PaymentHash(*invoice.payment_hash().as_ref()) != hash => {
                Err(LightningError::Wrong(format!("another invoice for a look-up of {hash}")))
            }
            Some(_) => Ok(self.invoice),
            None => Ok(None),
        }
    }

    fn decoded(&self) -> Option<Bolt11Invoice> {
        self.invoice.as_deref()?.parse().ok()
    }
}

/// A number that is whole, however it is written.
fn whole(value: &Value) -> Option<u64> {
    /// Beyond it a floating-point number is no longer exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bounds checked"
        )]
        (number.fract() == 0.0 && (0.0..EXACT).contains(&number)).then_some(number as u64)
    })
}

fn hash_from(hex: &str) -> Result<PaymentHash, LightningError> {
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(PaymentHash)
        .ok_or_else(|| LightningError::Wrong("a payment hash that is not 32 bytes of hex".into()))
}

/// Some wallets tell something else than a preimage; that is as good as none.
fn preimage_from(hex: &str) -> Option<Preimage> {
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    Some(Preimage::from_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
