//! The errors that a wallet can answer (NIP-47), and what the operator can do about each.

use std::time::Duration;

use serde::Deserialize;

use super::info::Method;
use crate::LightningError;

/// When to come back to a wallet that is asked too often, or that failed inside.
const PAUSE: Duration = Duration::from_secs(2);

/// Longest part of another party's text that is passed on.
const LONGEST_TEXT: usize = 200;

/// The `error` of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    /// Whether the wallet says that there is no such invoice.
    pub(super) fn is_not_found(&self) -> bool {
        self.code == "NOT_FOUND"
    }

    /// Whether the wallet does not have the method.
    pub(super) fn is_not_implemented(&self) -> bool {
        self.code == "NOT_IMPLEMENTED"
    }

    /// The error for the caller of `method`.
    pub(super) fn of(&self, method: Method) -> LightningError {
        let (name, text) = (method.name(), shown(&self.message));
        let refused = LightningError::Refused;
        match self.code.as_str() {
            "RATE_LIMITED" => {
                LightningError::unavailable(format!("the wallet is asked too often ({name}: {text})"), PAUSE)
            }
            "INTERNAL" => LightningError::unavailable(
                format!("the wallet failed at {name} ({text}); see its log"),
                PAUSE,
            ),
            "NOT_IMPLEMENTED" => refused(format!(
                "the wallet does not have {name} ({text}); use one that has make_invoice and lookup_invoice"
            )),
            "RESTRICTED" => refused(format!(
                "the connection may not use {name} ({text}); allow it in the wallet, or make a new connection that may"
            )),
            "UNAUTHORIZED" => refused(format!(
                "the wallet does not know this connection ({text}); it was removed or has run out: make a new one \
                 and put its URI into NWC_URI"
            )),
            "QUOTA_EXCEEDED" => refused(format!(
                "the connection's quota is used up ({text}); raise it in the wallet, or make a new connection"
            )),
            "UNSUPPORTED_ENCRYPTION" => refused(format!(
                "the wallet does not take the encryption that its info event names ({text}); publish the event anew by \
                 restarting the wallet, or update it"
            )),
            "NOT_FOUND" => refused(format!("the wallet did not find what {name} is about ({text})")),
            "OTHER" | "" => refused(format!("{name}: {text}")),
            code => refused(format!("{name}: {}: {text}", shown(code))),
        }
    }
}

/// A relay that did not take an event, or ended a subscription; the text begins with a machine-readable word (NIP-01).
pub(super) fn of_relay(relay: &str, reason: &str) -> LightningError {
    let text = format!("the relay {relay} does not pass requests on: {}", shown(reason));
    match reason.split(':').next().unwrap_or_default() {
        "blocked" | "restricted" | "pow" | "invalid" | "unsupported" => {
            LightningError::Refused(format!("{text}; use a connection over another relay"))
        }
        _ => LightningError::unavailable(text, PAUSE),
    }
}

/// Another party's text, fit for a log: short, on one line.
pub(super) fn shown(message: &str) -> String {
    let text: String =
        message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_TEXT).collect();
    if text.trim().is_empty() { "no reason given".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    fn refusal(code: &str) -> Refusal {
        Refusal { code: code.to_owned(), message: "too\nbad".to_owned() }
    }

    #[test]
    fn every_code_says_what_to_do() {
        for (code, said) in [
            ("NOT_IMPLEMENTED", "does not have make_invoice"),
            ("QUOTA_EXCEEDED", "quota"),
            ("RESTRICTED", "may not use make_invoice"),
            ("UNAUTHORIZED", "NWC_URI"),
            ("UNSUPPORTED_ENCRYPTION", "encryption"),
            ("NOT_FOUND", "did not find"),
            ("OTHER", "make_invoice: too bad"),
            ("", "make_invoice: too bad"),
            ("PAYMENT_FAILED", "make_invoice: PAYMENT_FAILED: too bad"),
        ] {
            match refusal(code).of(Method::MakeInvoice) {
                LightningError::Refused(text) => {
                    assert!(text.contains(said) && text.contains("too bad"), "{code}: {text}");
                }
                other => panic!("{code}: {other:?}"),
            }
        }
        for (code, said) in [("RATE_LIMITED", "too often"), ("INTERNAL", "its log")] {
            match refusal(code).of(Method::LookupInvoice) {
                LightningError::Unavailable { text, retry_after } => {
                    assert!(text.contains(said) && !retry_after.is_zero(), "{code}: {text}");
                }
                other => panic!("{code}: {other:?}"),
            }
        }
    }

    #[test]
    fn relays_have_their_say() {
        let refused = of_relay("wss://relay", "blocked: not\nhere");
        assert!(
            matches!(&refused, LightningError::Refused(text) if text.contains("not here")),
            "{refused:?}"
        );
        for reason in ["rate-limited: slow down", "error: disk full", "", "what"] {
            let error = of_relay("wss://relay", reason);
            assert!(matches!(error, LightningError::Unavailable { .. }), "{reason}: {error:?}");
        }
    }

    #[test]
    fn texts_are_bounded() {
        assert!(shown(&"x".repeat(10_000)).len() <= LONGEST_TEXT);
        assert_eq!(shown(" \n"), "no reason given");
    }
}
