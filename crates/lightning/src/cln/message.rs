//! lightningd's messages in our types: only what is used is decoded, so that nodes of other releases are understood.

use l402::{Msat, PaymentHash, Preimage};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::http::shown;
use crate::{LightningError, Lookup, Settlement};

/// The answer of `invoice`.
#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) bolt11: String,
    #[serde(deserialize_with = "hash")]
    pub(super) payment_hash: PaymentHash,
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
    #[serde(deserialize_with = "hash")]
    payment_hash: PaymentHash,
    status: String,
    /// Whatever names it to the node.
    #[serde(default)]
    label: Value,
    expires_at: u64,
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
pub(super) struct Info {
    pub(super) id: String,
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

/// The answer to a look-up of `hash`.
pub(super) fn lookup(hash: PaymentHash, listed: Listed) -> Result<Lookup, LightningError> {
    let mut rows = listed.invoices;
    if let Some(other) = rows.iter().find(|row| row.payment_hash != hash) {
        let text = format!("the invoice {} for a look-up of {hash}", other.payment_hash);
        return Err(LightningError::Wrong(text));
    }
    // A hash has one invoice; should it have two, the paid one counts, then the one that can be paid.
    rows.sort_by_key(|row| match row.status.as_str() {
        "paid" => 0,
        "unpaid" => 1,
        _ => 2,
    });
    let Some(row) = rows.into_iter().next() else { return Ok(Lookup::Unknown) };
    match row.status.as_str() {
        "paid" => {
            let Settlement { preimage, received, .. } = settlement(row)?;
            Ok(Lookup::Settled { preimage, received })
        }
        "unpaid" => Ok(Lookup::Pending { bolt11: row.bolt11.or(row.bolt12), expires_at: row.expires_at }),
        "expired" => Ok(Lookup::Dead),
        other => {
            Err(LightningError::Wrong(format!("an invoice in status {:?}, which nobody knows", shown(other))))
        }
    }
}

/// Where an invoice that is to be cancelled stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It can still be paid.
    Unpaid {
        /// As the node names it.
        label: Value,
    },
    /// It expired, or is not there: nobody can pay it.
    Gone,
}

/// The answer to a look-up of `hash`, which is to be cancelled. What is paid is an error: the money is here.
pub(super) fn standing(hash: PaymentHash, listed: Listed) -> Result<Standing, LightningError> {
    let label = listed.invoices.iter().find(|row| row.status == "unpaid").map(|row| row.label.clone());
    match (lookup(hash, listed)?, label) {
        (Lookup::Settled { .. }, _) => {
            Err(LightningError::Refused(format!("{hash} is paid, and stays so: it can't be cancelled")))
        }
        (Lookup::Pending { .. }, Some(label)) => Ok(Standing::Unpaid { label }),
        (Lookup::Pending { .. } | Lookup::Dead | Lookup::Unknown | Lookup::CannotLookUp, _) => {
            Ok(Standing::Gone)
        }
    }
}

/// A paid invoice as a settlement.
pub(super) fn settlement(row: Row) -> Result<Settlement, LightningError> {
    let payment_hash = row.payment_hash;
    if row.status != "paid" {
        return Err(LightningError::Wrong(format!(
            "{payment_hash} as paid, in status {:?}",
            shown(&row.status)
        )));
    }
    let Some(received) = row.amount_received_msat else {
        return Err(LightningError::Wrong(format!("no amount received for {payment_hash}, which is paid")));
    };
    let preimage = match row.payment_preimage {
        None => None,
        Some(hex) => {
            let preimage = Preimage::from_hex(&hex).ok().filter(|preimage| preimage.matches(&payment_hash));
            Some(preimage.ok_or_else(|| {
                LightningError::Wrong(format!("a preimage that does not belong to {payment_hash}"))
            })?)
        }
    };
    Ok(Settlement { payment_hash, preimage, received })
}

fn hash<'de, D: Deserializer<'de>>(from: D) -> Result<PaymentHash, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// A number, or as older nodes have it, `"123msat"`.
fn msat<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Msat>, D::Error> {
    let number = match Value::deserialize(from)? {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.strip_suffix("msat").and_then(|digits| digits.parse().ok()),
        _ => None,
    };
    number.map(|msat| Some(Msat(msat))).ok_or_else(|| D::Error::custom("no amount"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
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

    fn look_up(rows: &[Value]) -> Result<Lookup, LightningError> {
        lookup(preimage().payment_hash(), decode("listinvoices", json!({ "invoices": rows }))?)
    }

    #[test]
    fn the_status_alone_decides() {
        let pending = Lookup::Pending { bolt11: Some("lnbcrt1".to_owned()), expires_at: 1600 };
        assert_eq!(look_up(&[row("unpaid")]), Ok(pending));
        assert_eq!(look_up(&[row("expired")]), Ok(Lookup::Dead));
        assert_eq!(look_up(&[]), Ok(Lookup::Unknown));
        let settled = Lookup::Settled { preimage: Some(preimage()), received: Msat(5000) };
        assert_eq!(look_up(&[row("paid")]), Ok(settled.clone()));
        assert_eq!(look_up(&[row("expired"), row("paid")]), Ok(settled.clone()));
        assert_eq!(look_up(&[changed("amount_received_msat", json!("5000msat"))]), Ok(settled));
    }

    #[test]
    fn only_what_is_unpaid_can_be_cancelled() {
        let standing = |rows: &[Value]| {
            standing(preimage().payment_hash(), decode("listinvoices", json!({ "invoices": rows })).unwrap())
        };
        let label = json!({ "of": "no interest" });
        assert_eq!(standing(&[row("unpaid")]), Ok(Standing::Unpaid { label: label.clone() }));
        assert_eq!(standing(&[row("expired"), row("unpaid")]), Ok(Standing::Unpaid { label }));
        assert_eq!(standing(&[row("expired")]), Ok(Standing::Gone));
        assert_eq!(standing(&[]), Ok(Standing::Gone));
        for paid in [vec![row("paid")], vec![row("unpaid"), row("paid")]] {
            assert!(matches!(standing(&paid), Err(LightningError::Refused(_))), "{paid:?}");
        }
        let other = changed("payment_hash", json!("00".repeat(32)));
        assert!(matches!(standing(&[other]), Err(LightningError::Wrong(_))));
    }

    #[test]
    fn what_does_not_fit_is_wrong() {
        let odd = [
            row("paying"),
            changed("payment_hash", json!("00".repeat(32))),
            changed("payment_hash", json!("00")),
            changed("payment_preimage", json!("00".repeat(32))),
            changed("payment_preimage", json!("x")),
            changed("amount_received_msat", Value::Null),
            changed("amount_received_msat", json!(-1)),
            changed("amount_received_msat", json!("5000")),
            changed("expires_at", json!("soon")),
        ];
        for odd in odd {
            assert!(matches!(look_up(std::slice::from_ref(&odd)), Err(LightningError::Wrong(_))), "{odd}");
        }
        let Err(LightningError::Wrong(text)) = decode::<Made>("invoice", json!({ "bolt11": "x" })) else {
            panic!("no payment_hash")
        };
        assert_eq!(text, "an answer to invoice without payment_hash");
    }
}
