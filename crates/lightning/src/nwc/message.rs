//! The bodies of requests, responses and notifications (NIP-47) in our types. Whether an invoice is paid follows from
//! `state` and `settled_at` alone: some wallets report the preimage of open invoices too.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use l402::{Msat, PaymentHash};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::info::Method;
use super::refusal::Refusal;
use crate::connector::{Found, Made, Payment, preimage_bytes};
use crate::foreign::shown;
use crate::judgement::Terms;
use crate::{InvoiceRequest, LightningError};

/// A `make_invoice`.
pub(super) fn make_invoice(ask: &InvoiceRequest) -> Value {
    json!({ "amount": ask.amount.0, "description": ask.description, "expiry": ask.expiry_s })
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
        #[serde(default)]
        error: Value,
        result: Option<Value>,
    }
    let name = method.name();
    let Ok(response) = serde_json::from_str::<Response>(text) else {
        return Err(LightningError::Wrong(format!("an answer to {name} that can't be read")));
    };
    let result = response.result.filter(Value::is_object);
    // Some wallets write an empty error beside each result.
    if let Some(refusal) = Refusal::of_value(&response.error)
        && !(refusal.says_nothing() && result.is_some())
    {
        return Ok(Err(refusal));
    }
    if response.result_type.is_some_and(|about| about != name) {
        return Err(LightningError::Wrong(format!("an answer to {name} that is about another method")));
    }
    result.map(Ok).ok_or_else(|| LightningError::Wrong(format!("an answer to {name} without a result")))
}

/// The invoice that `make_invoice` made.
pub(super) fn made(result: Value, ask: &InvoiceRequest) -> Result<Made, LightningError> {
    let Transaction { invoice, payment_hash, .. } = Transaction::of(result)?;
    let invoice = invoice
        .ok_or_else(|| LightningError::Wrong("an answer to make_invoice without an invoice".to_owned()))?;
    Ok(Made::as_asked(invoice, payment_hash, ask))
}

/// The answer to a look-up.
pub(super) fn found(result: Value) -> Result<Found, LightningError> {
    let found = Transaction::of(result)?;
    Ok(match found.standing() {
        Standing::Settled => Found::Paid(found.payment()),
        Standing::Open | Standing::Unsaid => {
            Found::Open { about: found.payment_hash, expires_at: found.expires_at(), invoice: found.invoice }
        }
        Standing::Dead => Found::Dead { about: found.payment_hash },
    })
}

/// The payment that a notification tells of; `None` if it tells of something else.
pub(super) fn notification(text: &str) -> Result<Option<Payment>, LightningError> {
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
    Ok(match payment.standing() {
        // Its type says it where nothing else does.
        Standing::Settled | Standing::Unsaid => Some(payment.payment()),
        Standing::Open | Standing::Dead => None,
    })
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
        text.map(shown)
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
    /// `settled` or `paid`, which are not of NIP-47.
    is_settled: Option<bool>,
    invoice: Option<String>,
    preimage: Option<String>,
    payment_hash: Option<PaymentHash>,
    amount: Option<u64>,
    expires_at: Option<u64>,
    settled_at: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Open,
    Settled,
    Dead,
    /// The wallet does not say.
    Unsaid,
}

impl Transaction {
    /// Wallets leave fields out, or write `null`, an empty text or 0 instead.
    fn of(mut value: Value) -> Result<Transaction, LightningError> {
        let Some(fields) = value.as_object_mut() else {
            return Err(LightningError::Wrong("an invoice that is no object".to_owned()));
        };
        let hash = |hex: String| {
            let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
            bytes.try_into().ok().map(PaymentHash)
        };
        Ok(Transaction {
            amount: number(fields, "amount"),
            expires_at: number(fields, "expires_at"),
            settled_at: number(fields, "settled_at"),
            is_settled: ["settled", "paid"].iter().find_map(|key| fields.get(*key)?.as_bool()),
            kind: text(fields, "type").map(|kind| kind.to_ascii_lowercase()),
            state: text(fields, "state").map(|state| state.to_ascii_lowercase()),
            invoice: text(fields, "invoice"),
            preimage: text(fields, "preimage"),
            payment_hash: text(fields, "payment_hash").and_then(hash),
        })
    }

    /// A state that is known decides; without one, the time of the settlement.
    fn standing(&self) -> Standing {
        match self.state.as_deref() {
            Some("settled") => Standing::Settled,
            Some("pending" | "accepted") => Standing::Open,
            Some("expired" | "failed") => Standing::Dead,
            Some(_) | None if self.settled_at.is_some() || self.is_settled == Some(true) => Standing::Settled,
            Some(_) => Standing::Open,
            None if self.is_settled == Some(false) => Standing::Open,
            None => Standing::Unsaid,
        }
    }

    fn payment(&self) -> Payment {
        Payment {
            about: self.payment_hash,
            invoice: self.invoice.clone(),
            preimage: self.preimage.as_deref().map(preimage_bytes),
            received: self.amount.map(Msat),
            outgoing: self.kind.as_deref().is_some_and(|kind| kind != "incoming"),
        }
    }

    fn expires_at(&self) -> Option<u64> {
        self.expires_at.or_else(|| Some(Terms::read(self.invoice.as_deref()?).ok()?.expires_at()))
    }
}

/// A text that is not empty.
fn text(fields: &mut Map<String, Value>, key: &str) -> Option<String> {
    match fields.remove(key) {
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        _ => None,
    }
}

/// A whole number above 0, however it is written.
fn number(fields: &Map<String, Value>, key: &str) -> Option<u64> {
    /// Beyond it a floating-point number is no longer exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let value = fields.get(key)?;
    let text = || value.as_str()?.trim().parse().ok();
    let float = || {
        let number = value.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bounds checked"
        )]
        (number.fract() == 0.0 && (0.0..EXACT).contains(&number)).then_some(number as u64)
    };
    value.as_u64().or_else(text).or_else(float).filter(|number| *number > 0)
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
