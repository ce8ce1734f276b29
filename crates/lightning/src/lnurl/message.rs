//! The messages of LNURL-pay in our types, and what its errors mean: they come with status 400 and with 200.

use std::time::Duration;

use l402::Msat;
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::note::Note;
use crate::LightningError;
use crate::connector::{Bounds, Found, Payment, preimage_bytes};
use crate::foreign::shown;
use crate::http::Answer;

/// When to come back to a server that says it is busy or broken.
const NOT_READY_PAUSE: Duration = Duration::from_secs(2);

/// What an address offers (LUD-06, step 2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PayRequest {
    tag: String,
    callback: String,
    /// Millisatoshi; `None` where it is no number.
    #[serde(default, deserialize_with = "least")]
    min_sendable: Option<u64>,
    /// Millisatoshi; `None` where it is no number.
    #[serde(default, deserialize_with = "most")]
    max_sendable: Option<u64>,
    #[serde(default)]
    metadata: String,
}

/// An invoice (LUD-06, step 6; LUD-21).
#[derive(Deserialize)]
pub(super) struct Callback {
    pub(super) pr: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) verify: Option<String>,
}

/// Whether it is paid (LUD-21). `settled` alone decides.
#[derive(Deserialize)]
struct Verify {
    #[serde(default)]
    settled: Value,
    #[serde(default, deserialize_with = "text")]
    preimage: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pr: Option<String>,
}

impl PayRequest {
    /// Whether it is what an address has to offer.
    pub(super) fn is_one(&self) -> Result<(), LightningError> {
        if self.tag == "payRequest" {
            return Ok(());
        }
        Err(LightningError::Refused("it is no Lightning address that can be paid (LUD-06)".to_owned()))
    }

    /// Whether this much can be paid.
    pub(super) fn takes(&self, amount: Msat) -> Result<(), LightningError> {
        let Bounds { least, most } = self.bounds();
        let (low, high) = (least.unwrap_or(Msat(0)), most.unwrap_or(Msat(u64::MAX)));
        if (low.0..=high.0).contains(&amount.0) {
            return Ok(());
        }
        Err(LightningError::Refused(match most {
            Some(most) => format!("it takes {low} to {most} only, and the price is {amount}"),
            None => format!("it takes {low} at least, and the price is {amount}"),
        }))
    }

    /// The least and the most that can be paid.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { least: self.min_sendable.map(Msat), most: self.max_sendable.map(Msat) }
    }

    /// Where an invoice over this much is to be had. What the callback says of an amount itself is replaced.
    pub(super) fn callback(&self, amount: Msat) -> Result<Url, LightningError> {
        let mut url: Url = self
            .callback
            .trim()
            .parse()
            .map_err(|_| LightningError::Wrong("a callback that is no URL".to_owned()))?;
        let others: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(name, _)| name != "amount").collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair("amount", &amount.0.to_string());
        Ok(url)
    }

    /// What its invoices have to say (LUD-06, step 7).
    pub(super) fn description_hash(&self) -> [u8; 32] {
        Sha256::digest(self.metadata.as_bytes()).into()
    }
}

/// Reads an answer to `what`.
pub(super) fn read<T: DeserializeOwned>(what: &str, answer: &Answer) -> Result<T, LightningError> {
    let said = error_text(&answer.body);
    match (answer.status, said) {
        (429 | 500..=599, said) => {
            let text = said.unwrap_or_else(|| format!("status {}", answer.status));
            Err(LightningError::unavailable(format!("{what}: {text}"), NOT_READY_PAUSE))
        }
        (_, Some(text)) => Err(LightningError::Refused(format!("{what}: {text}"))),
        (200, None) => serde_json::from_slice(&answer.body).map_err(|error| {
            // Without serde's excerpt of the answer, which could be a preimage.
            LightningError::Wrong(format!(
                "{what}: an answer that can't be read (line {}, column {})",
                error.line(),
                error.column()
            ))
        }),
        (404, None) => Err(LightningError::Refused(format!("{what}: there is none (status 404)"))),
        (status, None) => Err(LightningError::Refused(format!("{what}: status {status}"))),
    }
}

/// The answer to a look-up, at `now` (Unix seconds).
///
/// # Errors
/// The server is busy: another call may fare better.
pub(super) fn found(note: &Note, answer: &Answer, now: u64) -> Result<Found, LightningError> {
    let unclear = |text: String| Ok(Found::Unclear(format!("verify: {text}")));
    match (answer.status, error_text(&answer.body)) {
        (404 | 410, _) => return Ok(Found::Unknown),
        (status @ (429 | 502..=504), said) => {
            let text = said.unwrap_or_else(|| format!("status {status}"));
            return Err(LightningError::unavailable(format!("verify: {text}"), NOT_READY_PAUSE));
        }
        (_, Some(text)) if means_not_found(&text) => return Ok(Found::Unknown),
        (_, Some(text)) => return unclear(text),
        (200, None) => {}
        (status, None) => return unclear(format!("status {status}")),
    }
    let Ok(Verify { settled, preimage, pr }) = serde_json::from_slice(&answer.body) else {
        return unclear("an answer that can't be read".to_owned());
    };
    match truth(&settled) {
        Some(true) => Ok(Found::Paid(Payment {
            about: None,
            invoice: pr,
            preimage: preimage.as_deref().map(preimage_bytes),
            // LUD-21 tells no amount. An invoice over an amount is settled by no less than it (BOLT 4).
            received: Some(note.amount),
            outgoing: false,
        })),
        Some(false) if note.expires_at <= now => Ok(Found::Dead { about: None }),
        Some(false) => Ok(Found::Open { about: None, invoice: pr, expires_at: Some(note.expires_at) }),
        None => unclear("an answer without `settled`".to_owned()),
    }
}

/// A truth as servers write it.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => match number.as_u64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a reason says that there is no such invoice.
fn means_not_found(text: &str) -> bool {
    let text = text.to_lowercase();
    ["not found", "not exist", "no such", "unknown"].iter().any(|words| text.contains(words))
}

fn error_text(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Failed {
        status: String,
        #[serde(default, deserialize_with = "text")]
        reason: Option<String>,
    }
    let failed: Failed = serde_json::from_slice(body).ok()?;
    failed.status.eq_ignore_ascii_case("ERROR").then(|| shown(&failed.reason.unwrap_or_default()))
}

/// A text, if it is one.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(from)? {
        Value::String(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

/// The least, rounded up to whole millisatoshi.
fn least<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(whole(&Value::deserialize(from)?, f64::ceil))
}

/// The most, rounded down to whole millisatoshi.
fn most<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(whole(&Value::deserialize(from)?, f64::floor))
}

/// A number however it is written: also as a text, with a fraction, or beyond what we count to.
fn whole(value: &Value, round: fn(f64) -> f64) -> Option<u64> {
    let number = match value {
        Value::Number(number) => {
            number.as_u64().map_or_else(|| number.as_f64().map(Err), |whole| Some(Ok(whole)))
        }
        Value::String(text) => {
            let text = text.trim();
            text.parse().map(Ok).ok().or_else(|| text.parse().map(Err).ok())
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match number? {
        Ok(whole) => Some(whole),
        Err(number) if number.is_nan() || number < 0.0 => None,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, and is not negative"
        )]
        Err(number) => Some(round(number) as u64),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec() }
    }

    fn note() -> Note {
        Note { amount: Msat(5000), expires_at: 1000, url: "https://wallet.example/".parse().unwrap() }
    }

    fn look_up(status: u16, body: &str) -> Result<Found, LightningError> {
        found(&note(), &answer(status, body), 999)
    }

    #[test]
    fn errors_come_with_any_status() {
        let error = r#"{"status":"ERROR","reason":"no\nroute"}"#;
        for status in [200, 400, 404] {
            match read::<Callback>("callback", &answer(status, error)) {
                Err(LightningError::Refused(text)) => assert_eq!(text, "callback: no route"),
                other => panic!("{status}: {:?}", other.err()),
            }
        }
        for status in [429, 500, 503] {
            match read::<Callback>("callback", &answer(status, error)) {
                Err(LightningError::Unavailable { text, .. }) => assert_eq!(text, "callback: no route"),
                other => panic!("{status}: {:?}", other.err()),
            }
        }
    }

    #[test]
    fn not_found_is_said_in_many_ways() {
        for (status, body) in [
            (404, ""),
            (410, "<html>"),
            (200, r#"{"status":"ERROR","reason":"Not found"}"#),
            (400, r#"{"status":"ERROR","reason":"invoice does not exist"}"#),
        ] {
            assert!(matches!(look_up(status, body), Ok(Found::Unknown)), "{status} {body}");
        }
    }

    #[test]
    fn an_error_of_its_own_tells_nothing_of_the_invoice() {
        for (status, body) in [
            (200, r#"{"status":"ERROR","reason":"try later"}"#),
            (200, "does not exist"),
            (200, r#"{"status":"OK"}"#),
            (200, r#"{"status":"OK","settled":"maybe"}"#),
            (401, ""),
            (500, "<html>"),
        ] {
            assert!(matches!(look_up(status, body), Ok(Found::Unclear(_))), "{status} {body}");
        }
        for status in [429, 502, 503, 504] {
            assert!(matches!(look_up(status, ""), Err(LightningError::Unavailable { .. })), "{status}");
        }
    }

    #[test]
    fn settled_alone_decides() {
        for settled in ["true", "1", "\"true\"", "\"TRUE\"", "\"1\""] {
            let body = format!(r#"{{"status":"OK","settled":{settled},"preimage":null}}"#);
            let Ok(Found::Paid(payment)) = look_up(200, &body) else { panic!("{settled}") };
            assert_eq!((payment.received, payment.preimage), (Some(Msat(5000)), None));
        }
        for settled in ["false", "0", "\"false\""] {
            let body = format!(r#"{{"status":"OK","settled":{settled},"preimage":"{}"}}"#, "ab".repeat(32));
            assert!(
                matches!(look_up(200, &body), Ok(Found::Open { expires_at: Some(1000), .. })),
                "{settled}"
            );
            let later = found(&note(), &answer(200, &body), 1000);
            assert!(matches!(later, Ok(Found::Dead { .. })), "{settled}");
        }
    }

    fn offer(callback: &str, least: &str, most: &str) -> PayRequest {
        let text = format!(
            r#"{{"tag":"payRequest","callback":"{callback}","minSendable":{least},"maxSendable":{most},"metadata":""}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_callback_may_have_a_query() {
        for (callback, url) in [
            ("https://a.example/cb", "https://a.example/cb?amount=1500"),
            ("https://a.example/cb?u=1", "https://a.example/cb?u=1&amount=1500"),
            ("https://a.example/cb?amount=7&u=1", "https://a.example/cb?u=1&amount=1500"),
            ("https://a.example/cb?amount=", "https://a.example/cb?amount=1500"),
        ] {
            assert_eq!(offer(callback, "1", "2").callback(Msat(1500)).unwrap().as_str(), url);
        }
        assert!(offer("nowhere", "1", "2").callback(Msat(1500)).is_err());
    }

    #[test]
    fn bounds_are_numbers_however_they_are_written() {
        for (least, most) in [
            ("1000", "2000"),
            ("\"1000\"", "\"2000\""),
            ("1000.0", "2000.9"),
            ("999.5", "\"2000.5\""),
            ("1e3", "2e3"),
        ] {
            let offer = offer("", least, most);
            for (amount, taken) in [(999, false), (1000, true), (2000, true), (2001, false)] {
                assert_eq!(offer.takes(Msat(amount)).is_ok(), taken, "{least} {most} {amount}");
            }
        }
        for most in ["36893488147419103232", "1e40", "null", "\"all\""] {
            assert!(offer("", "1", most).takes(Msat(u64::MAX)).is_ok(), "{most}");
        }
        let text = offer("", "1000", "2000").takes(Msat(1)).unwrap_err().to_string();
        assert!(text.contains("1000 msat to 2000 msat"), "{text}");
    }
}
