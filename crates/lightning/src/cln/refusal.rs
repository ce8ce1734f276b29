//! lightningd's errors in words that say what to do.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::rpc::RpcError;
use crate::LightningError;
use crate::http::shown;

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

/// What an error means.
pub(super) fn refusal(method: Method, error: &RpcError) -> LightningError {
    let (name, text) = (method.name(), shown(&error.message));
    let said = match error.code {
        // A plugin that ended, lightningd on its way down.
        -5 | -4 => return LightningError::unavailable(format!("{name}: {text}"), RESTART),
        -32601 => {
            format!("{name} is not known to the node: Core Lightning 23.08 or later is needed ({text})")
        }
        -32602 => format!("{name}: the node does not understand what is asked: {text}"),
        NOT_AUTHORIZED..=1503 => format!(
            "the rune does not permit {name}: make one that permits it, as the guide for this kind of backend has it \
             ({text})"
        ),
        900 => format!("{name}: the label is taken, which a label at random never is: {text}"),
        901 => format!("{name}: the preimage was used before: {text}"),
        902 => format!("{name}: none of the node's channels can be named in an invoice: {text}"),
        1002 => format!("{name}: the offer has expired: make another one ({text})"),
        1003 => format!("{name}: the node finds no way to the offer's node, which is to be itself: {text}"),
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
            (1003, "no way"),
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
}
