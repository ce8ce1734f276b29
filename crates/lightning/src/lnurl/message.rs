//! The messages of LNURL-pay in our types, and what its errors mean: they come with status 400 and with 200.

use std::time::Duration;

use l402::{Msat, PaymentHash, Preimage};
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::note::Note;
use crate::http::{Answer, shown};
use crate::invoice::{self, Told};
use crate::{LightningError, Lookup};

/// When to come back to a server that says it is busy or broken.
const NOT_READY_PAUSE: Duration = Duration::from_secs(2);

/// What an address offers (LUD-06, step 2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PayRequest {
    tag: String,
    callback: String,
    /// Millisatoshi.
    min_sendable: u64,
    /// Millisatoshi.
    max_sendable: u64,
    metadata: String,
}

/// An invoice (LUD-06, step 6; LUD-21).
#[derive(Deserialize)]
pub(super) struct Callback {
    pub(super) pr: String,
    pub(super) verify: Option<String>,
}

/// Whether it is paid (LUD-21). `settled` alone decides.
#[derive(Deserialize)]
pub(super) struct Verify {
    settled: bool,
    preimage: Option<String>,
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
        if (self.min_sendable..=self.max_sendable).contains(&amount.0) {
            return Ok(());
        }
        Err(LightningError::Refused(format!(
            "it takes {} to {} only, and the price is {amount}",
            Msat(self.min_sendable),
            Msat(self.max_sendable)
        )))
    }

    /// The least that can be paid in whole satoshis, from one on.
    pub(super) fn least(&self) -> Msat {
        Msat(self.min_sendable.max(1).div_ceil(1000).saturating_mul(1000))
    }

    /// Where an invoice over this much is to be had.
    pub(super) fn callback(&self, amount: Msat) -> Result<Url, LightningError> {
        let mut url: Url = self
            .callback
            .parse()
            .map_err(|_| LightningError::Wrong("a callback that is no URL".to_owned()))?;
        url.query_pairs_mut().append_pair("amount", &amount.0.to_string());
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

/// Whether a look-up found nothing, as opposed to having failed.
pub(super) fn is_not_found(answer: &Answer) -> bool {
    let said = || error_text(&answer.body).is_some_and(|text| text.to_lowercase().contains("not found"));
    matches!(answer.status, 200 | 400 | 404) && (answer.status == 404 || said())
}

/// The answer to a look-up of `hash`, at `now` (Unix seconds).
pub(super) fn lookup(
    hash: PaymentHash,
    note: &Note,
    found: Verify,
    now: u64,
) -> Result<Lookup, LightningError> {
    if let Some(pr) = &found.pr {
        let Told { payment_hash, .. } = invoice::told(pr)?;
        if payment_hash != hash {
            return Err(LightningError::Wrong(format!("the invoice {payment_hash} for a look-up of {hash}")));
        }
    }
    if !found.settled {
        let dead = note.expires_at <= now;
        let pending = Lookup::Pending { bolt11: found.pr, expires_at: note.expires_at };
        return Ok(if dead { Lookup::Dead } else { pending });
    }
    // Some wallets tell no preimage, or something of another length in its place.
    let preimage = found.preimage.and_then(|hex| Preimage::from_hex(&hex).ok());
    if preimage.as_ref().is_some_and(|preimage| !preimage.matches(&hash)) {
        return Err(LightningError::Wrong(format!("a preimage that does not belong to {hash}")));
    }
    // LUD-21 tells no amount. An invoice over an amount is settled by no less than it (BOLT 4).
    Ok(Lookup::Settled { preimage, received: note.amount })
}

fn error_text(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Failed {
        status: String,
        reason: Option<String>,
    }
    let failed: Failed = serde_json::from_slice(body).ok()?;
    failed.status.eq_ignore_ascii_case("ERROR").then(|| shown(&failed.reason.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec() }
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
    fn only_not_found_is_not_found() {
        assert!(is_not_found(&answer(404, "")));
        assert!(is_not_found(&answer(200, r#"{"status":"ERROR","reason":"Not found"}"#)));
        assert!(!is_not_found(&answer(200, r#"{"status":"ERROR","reason":"try later"}"#)));
        assert!(!is_not_found(&answer(503, r#"{"status":"ERROR","reason":"upstream not found"}"#)));
        assert!(!is_not_found(&answer(200, r#"{"status":"OK","settled":false}"#)));
    }

    #[test]
    fn settled_alone_decides() {
        let preimage = Preimage::from_bytes([3; 32]);
        let hash = preimage.payment_hash();
        let url = "https://wallet.example/".parse().unwrap();
        let note = Note { amount: Msat(5000), expires_at: 1000, url };
        let of = |settled, preimage: Option<&str>| Verify {
            settled,
            preimage: preimage.map(str::to_owned),
            pr: None,
        };
        let hex = preimage.expose_hex();
        let pending = Lookup::Pending { bolt11: None, expires_at: 1000 };
        assert_eq!(lookup(hash, &note, of(false, Some(&hex)), 999), Ok(pending));
        assert_eq!(lookup(hash, &note, of(false, None), 1000), Ok(Lookup::Dead));
        let settled = |preimage| Ok(Lookup::Settled { preimage, received: Msat(5000) });
        assert_eq!(lookup(hash, &note, of(true, Some(&hex)), 2000), settled(Some(preimage)));
        for none in [None, Some(""), Some("not hex"), Some(&*"ab".repeat(48))] {
            assert_eq!(lookup(hash, &note, of(true, none), 999), settled(None));
        }
        let wrong = lookup(hash, &note, of(true, Some(&"ab".repeat(32))), 999);
        assert!(matches!(wrong, Err(LightningError::Wrong(_))), "{wrong:?}");
    }

    #[test]
    fn a_callback_may_have_a_query() {
        let offer = |callback: &str| PayRequest {
            tag: "payRequest".to_owned(),
            callback: callback.to_owned(),
            min_sendable: 1000,
            max_sendable: 2000,
            metadata: String::new(),
        };
        for (callback, url) in [
            ("https://a.example/cb", "https://a.example/cb?amount=1500"),
            ("https://a.example/cb?u=1", "https://a.example/cb?u=1&amount=1500"),
        ] {
            assert_eq!(offer(callback).callback(Msat(1500)).unwrap().as_str(), url);
        }
        assert!(offer("nowhere").callback(Msat(1500)).is_err());
        for (amount, taken) in [(999, false), (1000, true), (2000, true), (2001, false)] {
            assert_eq!(offer("").takes(Msat(amount)).is_ok(), taken, "{amount}");
        }
    }
}
