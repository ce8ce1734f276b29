//! The errors that a wallet can answer (NIP-47), and what the operator can do about each.

use std::time::Duration;

use serde_json::Value;

use super::info::Method;
use crate::LightningError;
use crate::connector::Found;
use crate::foreign::shown;

/// When to come back to a wallet that is asked too often, or that failed inside.
const PAUSE: Duration = Duration::from_secs(2);

/// The `error` of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    /// Reads what stands in an error's place; `None` for `null`.
    pub(super) fn of_value(error: &Value) -> Option<Refusal> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        };
        match error {
            Value::Null => None,
            Value::Object(_) => {
                Some(Refusal { code: text(&error["code"]), message: text(&error["message"]) })
            }
            other => Some(Refusal { code: String::new(), message: text(other) }),
        }
    }

    /// Whether it is empty.
    pub(super) fn says_nothing(&self) -> bool {
        self.code.is_empty() && self.message.is_empty()
    }

    /// Whether the wallet did not read the request's encryption.
    pub(super) fn is_about_encryption(&self) -> bool {
        self.code == "UNSUPPORTED_ENCRYPTION"
    }

    /// What it means to who looked an invoice up.
    ///
    /// # Errors
    /// The look-up is not permitted, or the wallet is asked too often: another call may fare better.
    pub(super) fn of_look_up(&self) -> Result<Found, LightningError> {
        match self.code.as_str() {
            "NOT_FOUND" => Ok(Found::Unknown),
            "RATE_LIMITED" | "RESTRICTED" | "UNAUTHORIZED" | "QUOTA_EXCEEDED" | "UNSUPPORTED_ENCRYPTION" => {
                Err(self.of(Method::LookupInvoice))
            }
            // Many wallets have no code for it, and INTERNAL or OTHER for everything.
            code => Ok(Found::Unclear(format!("lookup_invoice: {}: {}", shown(code), shown(&self.message)))),
        }
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
    if is_about_time(reason) {
        return LightningError::Refused(format!("{text}; set this host's clock by NTP"));
    }
    match reason.split(':').next().unwrap_or_default() {
        "blocked" | "restricted" | "pow" | "invalid" | "unsupported" | "auth-required" => {
            LightningError::Refused(format!("{text}; use a connection over another relay"))
        }
        _ => LightningError::unavailable(text, PAUSE),
    }
}

/// Whether a relay's reason is about the time of an event.
fn is_about_time(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    [
        "created_at",
        "timestamp",
        "too old",
        "too far",
        "future",
        "in the past",
        "too early",
        "too late",
        "clock",
    ]
    .iter()
    .any(|words| reason.contains(words))
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
    fn a_relay_that_dislikes_the_time_means_the_clock() {
        for reason in ["invalid: created_at too far in the future", "error: timestamp out of range"] {
            let error = of_relay("wss://relay", reason);
            assert!(matches!(&error, LightningError::Refused(text) if text.contains("clock")), "{error:?}");
        }
    }

    #[test]
    fn a_look_up_that_fails_tells_nothing_of_the_invoice() {
        let of = |code: &str| refusal(code).of_look_up();
        assert!(matches!(of("NOT_FOUND"), Ok(Found::Unknown)));
        for code in ["INTERNAL", "OTHER", "", "SOMETHING_NEW"] {
            assert!(matches!(of(code), Ok(Found::Unclear(_))), "{code}");
        }
        for code in ["RATE_LIMITED", "RESTRICTED", "UNAUTHORIZED"] {
            assert!(of(code).is_err(), "{code}");
        }
    }
}
