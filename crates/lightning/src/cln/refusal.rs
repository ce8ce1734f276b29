//! lightningd's errors in words that say what to do.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::rpc::RpcError;
use crate::LightningError;
use crate::connector::Found;
use crate::foreign::shown;

/// The rune does not let in, or not to this method (lightningd's 1501 to 1503).
pub(super) const NOT_AUTHORIZED: i64 = 1501;

/// The rune does not let in, or not to this.
pub(super) const NOT_PERMITTED: RangeInclusive<i64> = NOT_AUTHORIZED..=1503;

/// There is no invoice of this label.
pub(super) const INVOICE_NOT_FOUND: i64 = 905;

/// The invoice is not in the status that it was to be deleted in.
pub(super) const STATUS_CHANGED: i64 = 906;

/// `waitanyinvoice` waited as long as it was asked to.
pub(super) const WAIT_TIMED_OUT: i64 = 904;

/// JSON-RPC's "method not found" and "invalid params".
const UNKNOWN_COMMAND: i64 = -32601;
const BAD_PARAMS: i64 = -32602;

/// How long until a rune that is limited to so many calls a minute lets in again, as a guess.
const RATE_LIMIT: Duration = Duration::from_secs(5);

/// How long until a node that starts or stops is worth another attempt.
const RESTART: Duration = Duration::from_secs(1);

/// A call of lightningd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Invoice,
    ListInvoices,
    WaitAnyInvoice,
    GetInfo,
    FetchInvoice,
    DelInvoice,
}

impl Method {
    /// Its name on the wire.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::ListInvoices => "listinvoices",
            Self::WaitAnyInvoice => "waitanyinvoice",
            Self::GetInfo => "getinfo",
            Self::FetchInvoice => "fetchinvoice",
            Self::DelInvoice => "delinvoice",
        }
    }
}

/// What an error in place of the list means to who looks an invoice up.
///
/// # Errors
/// The look-up is not permitted or not known, or the node is not ready: another call may fare better.
pub(super) fn lookup_error(error: &RpcError) -> Result<Found, LightningError> {
    let about_us = NOT_PERMITTED.contains(&error.code) || matches!(error.code, UNKNOWN_COMMAND | BAD_PARAMS);
    match refusal(Method::ListInvoices, error) {
        LightningError::Refused(text) if !about_us => Ok(Found::Unclear(text)),
        error => Err(error),
    }
}

/// What an error means.
pub(super) fn refusal(method: Method, error: &RpcError) -> LightningError {
    let (name, text) = (method.name(), shown(&error.message));
    let said = match error.code {
        // A plugin that ended, lightningd on its way down.
        -5 | -4 => return LightningError::unavailable(format!("{name}: {text}"), RESTART),
        UNKNOWN_COMMAND => {
            format!("{name} is not known to the node: Core Lightning 23.08 or later is needed ({text})")
        }
        BAD_PARAMS => format!("{name}: the node does not understand what is asked: {text}"),
        // A rune with `rate=`: "too soon", "too often".
        NOT_AUTHORIZED..=1503 if is_about_rate(&text) => {
            return LightningError::unavailable(
                format!(
                    "{name}: the rune lets in so many calls a minute only; make one with a higher rate ({text})"
                ),
                RATE_LIMIT,
            );
        }
        NOT_AUTHORIZED..=1503 => format!(
            "the rune does not permit {name}: make one that permits it, as the guide for this kind of backend has it \
             ({text})"
        ),
        900 => format!("{name}: the label is taken, which a label at random never is: {text}"),
        901 => format!("{name}: the preimage was used before: {text}"),
        902 => format!("{name}: none of the node's channels can be named in an invoice: {text}"),
        1002 => format!("{name}: the offer has expired: make another one ({text})"),
        1003 => {
            return LightningError::unavailable(
                format!(
                    "{name}: the node finds no way to the offer's node, which is itself: the peer that the offer's path leads \
                     through is not connected (lightning-cli decode shows it as first_node_id) ({text})"
                ),
                RESTART,
            );
        }
        1004 => format!("{name}: the offer's node refuses: {text}"),
        1005 => {
            return LightningError::unavailable(
                format!("{name}: the offer's node does not answer: {text}"),
                RESTART,
            );
        }
        0 => format!("{name}: {text}"),
        code => format!("{name}: {text} (code {code})"),
    };
    LightningError::Refused(said)
}

fn is_about_rate(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["too soon", "too often"].iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(code: i64) -> String {
        let error = RpcError { code, message: "said\nthe node".to_owned() };
        refusal(Method::Invoice, &error).to_string()
    }

    #[test]
    fn each_error_has_its_text() {
        for (code, part) in [
            (-32601, "23.08"),
            (-32602, "does not understand"),
            (1501, "the rune does not permit invoice"),
            (1502, "the rune does not permit invoice"),
            (900, "label"),
            (901, "preimage"),
            (902, "channels"),
            (1002, "the offer has expired"),
            (1003, "first_node_id"),
            (1004, "refuses"),
            (1005, "unavailable"),
            (-1, "(code -1)"),
            (-4, "unavailable"),
            (0, "invoice: said the node"),
        ] {
            assert!(text(code).contains(part), "{code}: {}", text(code));
            assert!(text(code).contains("said the node"), "{code}: {}", text(code));
        }
    }

    #[test]
    fn a_rune_with_a_rate_lets_in_again_later() {
        for said in ["Not permitted: too soon", "Too often"] {
            let error = refusal(Method::Invoice, &RpcError { code: 1502, message: said.to_owned() });
            assert!(matches!(error, LightningError::Unavailable { .. }), "{error:?}");
        }
    }

    #[test]
    fn an_error_of_its_own_tells_nothing_of_the_invoice() {
        let of = |code| lookup_error(&RpcError { code, message: "said".to_owned() });
        assert!(matches!(of(-1), Ok(Found::Unclear(_))));
        assert!(matches!(of(1502), Err(LightningError::Refused(_))));
        assert!(matches!(of(-4), Err(LightningError::Unavailable { .. })));
    }
}
