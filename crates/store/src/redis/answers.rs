//! What the answers of the scripts mean.

use std::time::Duration;

use l402::{PaymentHash, Preimage};
use redis::Value;

use crate::{Claimed, Entered, Hash, Settled, StoreError, Taken};

/// How the answer to a claim begins that drew; what is left follows.
const GRANTED: &str = "granted ";

/// What says that pieces of ecash were entered.
const ENTERED: &str = "entered";

/// Whether something was drawn or entered, or given back (a number).
pub(super) fn has_changed(value: &Value) -> bool {
    !matches!(value, Value::Array(_)) || has_drawn(value) || word(value, 0).as_deref() == Some(ENTERED)
}

/// Whether something was drawn.
pub(super) fn has_drawn(value: &Value) -> bool {
    let Value::Array(items) = value else { return false };
    items.iter().any(|item| text_in(item).is_some_and(|text| text.starts_with(GRANTED)))
}

/// What the claim at this place came to; `None`: that is in doubt, as what another request drew may be given back.
pub(super) fn claimed(value: &Value, at: usize) -> Result<Option<Claimed>, StoreError> {
    let Value::Array(items) = value else { return Err(unexpected()) };
    let answer = items.get(at).and_then(text_in).ok_or_else(unexpected)?;
    match answer {
        "used up" => Ok(Some(Claimed::UsedUp)),
        "in doubt" => Ok(None),
        "released" => Ok(Some(Claimed::Released)),
        _ => {
            let remaining = answer.strip_prefix(GRANTED).and_then(|left| left.parse().ok());
            Ok(Some(Claimed::Granted { remaining: remaining.ok_or_else(unexpected)? }))
        }
    }
}

/// Whether something was given back.
pub(super) fn released(value: &Value) -> Result<bool, StoreError> {
    match value {
        Value::Int(given) => Ok(*given == 1),
        _ => Err(unexpected()),
    }
}

/// The number of units that were drawn. What the former module wrote names no number: such a payment is spent.
pub(super) fn used(value: &Value) -> Result<u32, StoreError> {
    let number = |text: &str| text.split(' ').next().and_then(|units| units.parse().ok());
    Ok(text(value)?.map_or(0, |text| number(&text).unwrap_or(u32::MAX)))
}

/// What the pieces of ecash were found to be.
pub(super) fn entered(value: &Value) -> Result<Entered, StoreError> {
    match word(value, 0).as_deref() {
        Some(ENTERED) => Ok(Entered::New),
        Some("known") => word(value, 1).map(Entered::Known).ok_or_else(unexpected),
        Some("mixed") => Ok(Entered::Mixed),
        _ => Err(unexpected()),
    }
}

/// Whether it is within its rate.
pub(super) fn taken(value: &Value) -> Option<Taken> {
    match word(value, 0)?.as_str() {
        "passed" => Some(Taken::Passed),
        "limited" => {
            let microseconds = word(value, 1)?.parse().ok()?;
            Some(Taken::Limited { retry_after: Duration::from_micros(microseconds) })
        }
        _ => None,
    }
}

/// The text of a note, if there is one.
pub(super) fn text(value: &Value) -> Result<Option<String>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
        _ => Err(unexpected()),
    }
}

/// The settlement. What the former module wrote has no record; its preimage must be the payment's.
pub(super) fn settled(hash: Hash, value: &Value) -> Result<Option<Settled>, StoreError> {
    let Value::Array(items) = value else { return Err(unexpected()) };
    if items.len() != 2 {
        return Err(unexpected());
    }
    let preimage = word(value, 0).and_then(|text| Preimage::from_hex(&text).ok());
    let Some(record) = word(value, 1) else {
        let preimage = preimage.filter(|preimage| preimage.matches(&PaymentHash(hash)));
        let recorded =
            |preimage: Preimage| Settled { preimage: Some(*preimage.expose()), received_msat: 0, at: 0 };
        return Ok(preimage.map(recorded));
    };
    let (received, at) = record.split_once(' ').ok_or_else(unexpected)?;
    let (Ok(received_msat), Ok(at)) = (received.parse(), at.parse()) else { return Err(unexpected()) };
    Ok(Some(Settled { preimage: preimage.map(|preimage| *preimage.expose()), received_msat, at }))
}

/// The text at this place of a list.
pub(super) fn word(value: &Value, at: usize) -> Option<String> {
    let Value::Array(items) = value else { return None };
    text_in(items.get(at)?).map(str::to_owned)
}

fn text_in(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn unexpected() -> StoreError {
    StoreError::Unavailable(
        "Redis answered what its script does not; does something else write its keys?".into(),
    )
}
