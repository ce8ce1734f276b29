//! What LND's refusals mean, and what the operator can do about them.
//!
//! LND answers many of them with code `Unknown` and a text, those of its macaroon check among them; the texts below are
//! those of v0.20 and have been stable since v0.13.

use std::time::Duration;

use tonic::{Code, Status};

use super::door::Access;
use crate::LightningError;
use crate::connector::Found;
use crate::foreign::shown;

/// When to come back to a node that says it is not ready.
const NOT_READY_PAUSE: Duration = Duration::from_secs(2);

/// A call, by its name in LND's interface and the permission that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    AddInvoice,
    LookupInvoice,
    SubscribeInvoices,
    CancelInvoice,
    GetInfo,
    ListChannels,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::AddInvoice => "AddInvoice",
            Method::LookupInvoice => "LookupInvoice",
            Method::SubscribeInvoices => "SubscribeInvoices",
            Method::CancelInvoice => "CancelInvoice",
            Method::GetInfo => "GetInfo",
            Method::ListChannels => "ListChannels",
        }
    }

    fn permission(self) -> &'static str {
        match self {
            Method::AddInvoice | Method::CancelInvoice => "invoices:write",
            Method::LookupInvoice | Method::SubscribeInvoices => "invoices:read",
            Method::GetInfo => "info:read",
            Method::ListChannels => "offchain:read",
        }
    }
}

/// Turns an answer that is an error into ours. Not for transport failures, which are no answer.
pub(super) fn refusal(method: Method, access: Access, status: &Status) -> LightningError {
    let text = shown(status.message());
    let name = method.name();
    match status.code() {
        Code::DeadlineExceeded => LightningError::TimedOut,
        Code::Unavailable | Code::Cancelled | Code::ResourceExhausted | Code::Aborted => {
            LightningError::unavailable(format!("{name}: {text}"), NOT_READY_PAUSE)
        }
        _ if is_not_ready(status.message()) => LightningError::unavailable(text, NOT_READY_PAUSE),
        _ if is_permission(status) => LightningError::Refused(match access {
            Access::File => format!(
                "the macaroon lacks {}, which {name} needs; bake one that has it, or use invoice.macaroon",
                method.permission()
            ),
            Access::Session => format!(
                "the session may not call {name} ({}); make one on the node that may, and give its pairing phrase",
                method.permission()
            ),
        }),
        _ if is_bad_macaroon(status) => LightningError::Refused(match access {
            Access::File => format!(
                "the macaroon is not one of this node's ({text}); copy it again from the node's data directory"
            ),
            Access::Session => format!(
                "the node does not accept the session's macaroon ({text}): it was revoked or has expired; make a new \
                 session and give its pairing phrase"
            ),
        }),
        Code::Unimplemented => {
            LightningError::Refused(format!("it does not know {name}; is it an LND? ({text})"))
        }
        _ => LightningError::Refused(format!("{name}: {text}")),
    }
}

/// What an error in place of an invoice means to who looks one up.
///
/// # Errors
/// The look-up is not permitted, or the node is not ready: another call may fare better.
pub(super) fn lookup_error(access: Access, status: &Status) -> Result<Found, LightningError> {
    if is_unknown_invoice(status) {
        return Ok(Found::Unknown);
    }
    let about_us = is_permission(status) || is_bad_macaroon(status) || status.code() == Code::Unimplemented;
    match refusal(Method::LookupInvoice, access, status) {
        LightningError::Refused(text) if !about_us => Ok(Found::Unclear(text)),
        error => Err(error),
    }
}

/// Whether the node says that it has no such invoice.
pub(super) fn is_unknown_invoice(status: &Status) -> bool {
    status.code() == Code::NotFound
        || (status.code() == Code::Unknown
            && ["unable to locate invoice", "there are no existing invoices"]
                .iter()
                .any(|text| status.message().contains(text)))
}

/// What a node says while it starts, catches up or stops (LND v0.13 to v0.20).
fn is_not_ready(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "starting up",
        "process of starting",
        "still starting",
        "wallet locked",
        "waiting to start",
        "wallet not created",
        "server is not active",
        "still syncing",
        "not synced",
        "not fully synced",
        "shutting down",
        "is stopping",
        "server is still",
    ]
    .iter()
    .any(|text| message.contains(text))
}

fn is_permission(status: &Status) -> bool {
    status.code() == Code::PermissionDenied || status.message().contains("permission denied")
}

fn is_bad_macaroon(status: &Status) -> bool {
    status.code() == Code::Unauthenticated
        || ["verification failed", "macaroon", "unmarshal v"]
            .iter()
            .any(|text| status.message().contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: Code, message: &str) -> LightningError {
        refusal(Method::AddInvoice, Access::File, &Status::new(code, message))
    }

    #[test]
    fn a_session_is_mended_on_the_node() {
        for (message, want) in
            [("permission denied", "may not call AddInvoice"), ("verification failed", "revoked")]
        {
            match refusal(Method::AddInvoice, Access::Session, &Status::unknown(message)) {
                LightningError::Refused(text) => assert!(text.contains(want), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn whose_fault() {
        for (code, message, want) in [
            (Code::Unknown, "permission denied", "invoices:write"),
            (Code::PermissionDenied, "", "invoices:write"),
            (Code::Unauthenticated, "no", "not one of this node's"),
            (
                Code::Unknown,
                "verification failed: signature mismatch after caveat verification",
                "copy it again",
            ),
            (Code::InvalidArgument, "too\nlong", "AddInvoice: too long"),
            (Code::Unimplemented, "", "is it an LND?"),
            (Code::Internal, "", "no reason given"),
        ] {
            match refused(code, message) {
                LightningError::Refused(text) => assert!(text.contains(want), "{code:?}: {text}"),
                other => panic!("{code:?} {message}: {other:?}"),
            }
        }
        for (code, message) in [
            (Code::Unavailable, ""),
            (Code::ResourceExhausted, ""),
            (
                Code::Unknown,
                "the RPC server is in the process of starting up, but not yet ready to accept calls",
            ),
            (Code::Unknown, "wallet locked, unlock it to enable full RPC access"),
            (Code::Unknown, "waiting to start, RPC services not available"),
            (Code::Unknown, "the RPC server is still in the process of starting"),
            (Code::Unknown, "chain backend is still syncing, server not active yet"),
            (Code::Unknown, "server is shutting down"),
        ] {
            let error = refused(code, message);
            assert!(matches!(error, LightningError::Unavailable { .. }), "{code:?} {message}: {error:?}");
        }
        assert_eq!(refused(Code::DeadlineExceeded, ""), LightningError::TimedOut);
    }

    #[test]
    fn texts_are_bounded() {
        match refused(Code::Internal, &"x".repeat(10_000)) {
            LightningError::Refused(text) => assert!(text.len() < 300),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_error_of_its_own_tells_nothing_of_the_invoice() {
        let of = |status| lookup_error(Access::File, &status);
        assert!(matches!(of(Status::unknown("unable to locate invoice")), Ok(Found::Unknown)));
        assert!(matches!(of(Status::internal("bucket not found")), Ok(Found::Unclear(_))));
        assert!(matches!(of(Status::unknown("permission denied")), Err(LightningError::Refused(_))));
        assert!(matches!(of(Status::unavailable("")), Err(LightningError::Unavailable { .. })));
    }

    #[test]
    fn unknown_invoices() {
        assert!(is_unknown_invoice(&Status::not_found("")));
        assert!(is_unknown_invoice(&Status::unknown("unable to locate invoice")));
        assert!(!is_unknown_invoice(&Status::unknown("permission denied")));
    }
}
