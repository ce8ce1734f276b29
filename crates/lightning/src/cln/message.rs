//! lightningd's messages in our types: only what is used is decoded, so that nodes of other releases are understood.

use l402::{Msat, PaymentHash};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::LightningError;
use crate::connector::{Found, Payment, preimage_bytes};
use crate::foreign::shown;

/// The answer of `invoice`.
#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) bolt11: String,
    #[serde(default, deserialize_with = "hash")]
    pub(super) payment_hash: Option<PaymentHash>,
    /// What the node has to say beside it, such as that nobody could pay it.
    #[serde(flatten)]
    pub(super) more: serde_json::Map<String, Value>,
}

/// The answer of `fetchinvoice`.
#[derive(Deserialize)]
pub(super) struct Fetched {
    pub(super) invoice: String,
}

/// The answer of `listinvoices`.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) invoices: Vec<Row>,
}

/// An invoice as `listinvoices` and `waitanyinvoice` show it. Its status alone says whether it is paid.
#[derive(Deserialize)]
pub(super) struct Row {
    #[serde(default, deserialize_with = "hash")]
    payment_hash: Option<PaymentHash>,
    status: String,
    /// Whatever names it to the node.
    #[serde(default)]
    label: Value,
    #[serde(default, deserialize_with = "number")]
    expires_at: Option<u64>,
    bolt11: Option<String>,
    bolt12: Option<String>,
    #[serde(default, deserialize_with = "msat")]
    amount_received_msat: Option<Msat>,
    /// Secret: this type has no `Debug`.
    payment_preimage: Option<String>,
    pub(super) pay_index: Option<u64>,
}

/// The answer of `getinfo`.
#[derive(Deserialize)]
pub(crate) struct Info {
    pub(crate) id: String,
    pub(super) version: String,
    pub(super) network: String,
    warning_bitcoind_sync: Option<Value>,
    warning_lightningd_sync: Option<Value>,
}

impl Info {
    /// Whether the node has caught up with the chain.
    pub(super) fn synced(&self) -> bool {
        self.warning_bitcoind_sync.is_none() && self.warning_lightningd_sync.is_none()
    }
}

impl Made {
    /// The warnings in it, a line each.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let warnings = self.more.iter().filter(|(name, _)| name.starts_with("warning_"));
        warnings.filter_map(|(_, text)| text.as_str().map(shown))
    }
}

/// Decodes an answer.
pub(super) fn decode<T: DeserializeOwned>(method: &str, value: Value) -> Result<T, LightningError> {
    // The error names a field; its text may hold a value.
    T::deserialize(value).map_err(|error| {
        let text = error.to_string();
        let field = text.split('`').nth(1).filter(|_| text.starts_with("missing field"));
        LightningError::Wrong(match field {
            Some(field) => format!("an answer to {method} without {field}"),
            None => format!("an answer to {method} that can't be read"),
        })
    })
}

/// The answer to a look-up. A hash has one invoice; should it have two, the paid one counts, then the one that can be paid.
pub(super) fn found(listed: Listed) -> Found {
    let mut rows = listed.invoices;
    rows.sort_by_key(|row| match row.standing() {
        Standing::Paid => 0,
        Standing::Unpaid => 1,
        Standing::Expired | Standing::Other => 2,
    });
    let Some(row) = rows.into_iter().next() else { return Found::Unknown };
    match row.standing() {
        Standing::Paid => Found::Paid(payment(row)),
        Standing::Unpaid => Found::Open {
            about: row.payment_hash,
            invoice: row.bolt11.or(row.bolt12),
            expires_at: row.expires_at,
        },
        Standing::Expired => Found::Dead { about: row.payment_hash },
        Standing::Other => {
            Found::Unclear(format!("an invoice in status {:?}, which is not known", shown(&row.status)))
        }
    }
}

/// What a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Paid,
    Unpaid,
    Expired,
    Other,
}

impl Row {
    /// Whether the node calls it paid.
    pub(super) fn is_paid(&self) -> bool {
        self.standing() == Standing::Paid
    }

    fn standing(&self) -> Standing {
        match self.status.to_ascii_lowercase().as_str() {
            "paid" => Standing::Paid,
            "unpaid" => Standing::Unpaid,
            "expired" => Standing::Expired,
            _ => Standing::Other,
        }
    }
}

/// The label of the invoice that can be cancelled, in the answer to a look-up of `hash`; `None`: it expired, or is not there.
///
/// # Errors
/// It is paid: the money is here.
pub(super) fn to_cancel(hash: PaymentHash, listed: &Listed) -> Result<Option<Value>, LightningError> {
    let of = |standing| listed.invoices.iter().find(|row| row.standing() == standing);
    if of(Standing::Paid).is_some() {
        return Err(LightningError::Refused(format!("{hash} is paid, and stays so: it can't be cancelled")));
    }
    Ok(of(Standing::Unpaid).map(|row| row.label.clone()))
}

/// A paid invoice. Who calls has seen that it is paid.
pub(super) fn payment(row: Row) -> Payment {
    Payment {
        about: row.payment_hash,
        invoice: row.bolt11.or(row.bolt12),
        preimage: row.payment_preimage.as_deref().map(preimage_bytes),
        received: row.amount_received_msat,
        outgoing: false,
    }
}

/// A hash, if it is one.
fn hash<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PaymentHash>, D::Error> {
    Ok(Value::deserialize(from)?.as_str().and_then(|text| text.parse().ok()))
}

/// A whole number, if it is one.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(from)?.as_u64())
}

/// A number, or as older nodes have it, `"123msat"`.
fn msat<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Msat>, D::Error> {
    let number = match Value::deserialize(from)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.strip_suffix("msat").unwrap_or(&text).parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    Ok(number.map(Msat))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use l402::Preimage;
    use serde_json::json;

    use super::*;

    fn preimage() -> Preimage {
        Preimage::from_bytes([3; 32])
    }

    /// The preimage is there whatever the status.
    fn row(status: &str) -> Value {
        json!({
            "payment_hash": preimage().payment_hash().to_string(),
            "status": status,
            "expires_at": 1600,
            "bolt11": "lnbcrt1",
            "amount_received_msat": 5000,
            "payment_preimage": preimage().expose_hex(),
            "label": { "of": "no interest" },
        })
    }

    fn changed(name: &str, value: Value) -> Value {
        let mut row = row("paid");
        row[name] = value;
        row
    }

    fn listed(rows: &[Value]) -> Listed {
        decode("listinvoices", json!({ "invoices": rows })).unwrap()
    }

    fn paid(rows: &[Value]) -> Payment {
        match found(listed(rows)) {
            Found::Paid(payment) => payment,
            _ => panic!("not paid: {rows:?}"),
        }
    }

    #[test]
    fn the_status_alone_decides() {
        let Found::Open { about, invoice, expires_at } = found(listed(&[row("unpaid")])) else {
            panic!("not open")
        };
        assert_eq!(
            (about, invoice.as_deref(), expires_at),
            (Some(preimage().payment_hash()), Some("lnbcrt1"), Some(1600))
        );
        assert!(matches!(found(listed(&[row("expired")])), Found::Dead { about: Some(_) }));
        assert!(matches!(found(listed(&[])), Found::Unknown));
        assert!(matches!(found(listed(&[row("settled")])), Found::Unclear(_)));
        let whole = paid(&[row("paid")]);
        assert_eq!((whole.about, whole.received), (Some(preimage().payment_hash()), Some(Msat(5000))));
        assert_eq!(whole.preimage.as_deref(), Some(&preimage().expose()[..]));
        assert_eq!(paid(&[row("expired"), row("paid")]), whole);
        assert_eq!(paid(&[row("Paid")]), whole);
        let old = changed("amount_received_msat", json!("5000msat"));
        assert_eq!(paid(&[old]), whole);
    }

    #[test]
    fn what_is_missing_or_odd_is_none() {
        for odd in [Value::Null, json!(-1), json!({}), json!("much")] {
            assert_eq!(paid(&[changed("amount_received_msat", odd.clone())]).received, None);
            assert!(matches!(found(listed(&[changed("expires_at", odd.clone())])), Found::Paid(_)));
            assert_eq!(paid(&[changed("payment_hash", odd)]).about, None);
        }
    }

    #[test]
    fn what_there_is_to_cancel() {
        let of = |rows: &[Value]| to_cancel(preimage().payment_hash(), &listed(rows));
        assert_eq!(of(&[row("unpaid")]), Ok(Some(json!({ "of": "no interest" }))));
        assert!(of(&[row("unpaid"), row("paid")]).is_err());
        assert_eq!(of(&[row("expired")]), Ok(None));
        assert_eq!(of(&[]), Ok(None));
    }

    #[test]
    fn warnings_are_found() {
        let made: Made =
            decode("invoice", json!({ "bolt11": "x", "warning_capacity": "too\nlittle", "a": "b" })).unwrap();
        assert_eq!(made.warnings().collect::<Vec<_>>(), ["too little"]);
        assert_eq!(made.payment_hash, None);
    }

    #[test]
    fn an_error_names_a_field_and_no_value() {
        let error = decode::<Fetched>("fetchinvoice", json!({ "x": "abab" })).err().unwrap().to_string();
        assert!(error.contains("without invoice") && !error.contains("abab"), "{error}");
        let error = decode::<Fetched>("fetchinvoice", json!({ "invoice": 7 })).err().unwrap().to_string();
        assert!(error.contains("can't be read"), "{error}");
    }
}
