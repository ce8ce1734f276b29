//! Every answer that is ever given: one total function from how a request ended to its response.

use std::borrow::Cow;

use l402::Msat;
use l402::challenge::{Challenge, error_header};

use crate::judge::{Refusal, Stale};
use crate::step::Failure;

/// As many as an answer has.
const HEADERS: usize = 3;

/// An answer to the client, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 400, 401, 402, 429 or 5xx; never a 2xx.
    pub status: u16,
    /// Besides Content-Type and Content-Length.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// One JSON object, at most 600 bytes.
    pub body: String,
    /// Of the body.
    pub content_type: &'static str,
    /// The body's `detail`, for those who can't read the body.
    pub detail: Cow<'static, str>,
    /// For `$l402_status`.
    pub outcome: Outcome,
    /// The line for the error log, if there is one; no secret is in it.
    pub log: Option<Complaint>,
}

/// One line for the error log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// A client sent something that is no good. Anyone can cause it, as often as they like.
    Client(String),
    /// The wallet, l402d or the configuration failed: the operator has to look.
    Failure(String),
}

/// How a request ended, as `$l402_status` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Paid for, let through.
    Granted,
    /// Asked to pay.
    Challenged,
    /// Reminded of an invoice that isn't paid yet.
    Unpaid,
    /// Asked for more challenges than it may have.
    Limited,
    /// Sent a credential that is no good.
    Refused,
    /// The wallet or l402d couldn't be reached, or was silent.
    Unavailable,
    /// The wallet refused, or the fault is ours.
    Error,
}

impl Outcome {
    /// One lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Granted => "granted",
            Outcome::Challenged => "challenged",
            Outcome::Unpaid => "unpaid",
            Outcome::Limited => "limited",
            Outcome::Refused => "refused",
            Outcome::Unavailable => "unavailable",
            Outcome::Error => "error",
        }
    }
}

/// How a request ended that wasn't let through.
pub(crate) enum End<'a> {
    /// With a fresh challenge, perhaps because a token had gone stale.
    Challenged { asked: Asked<'a>, amount: Msat, instead_of: Option<Stale>, ecash: Option<String> },
    /// With the challenge it had been given before; its amount is in the invoice and may be of an earlier price.
    Unpaid(Asked<'a>),
    /// With a credential refused.
    Refused(Refusal),
    /// With ecash that is no payment (NUT-24). The reason is l402d's.
    EcashRefused(&'a str),
    /// With a failure of somebody else's.
    Failed(Failure),
    /// With one that keeps ecash from being taken: the client still has it, or what it has bought.
    EcashFailed(Failure),
}

/// What the client is asked to pay.
pub(crate) struct Asked<'a> {
    pub(crate) macaroon_b64: &'a str,
    pub(crate) invoice: &'a str,
    /// The BOLT12 offer that the invoice is of. In the header only, beside the invoice: paying the offer buys nothing.
    pub(crate) offer: Option<&'a str>,
    pub(crate) expires_at: u64,
}

/// The answer to a request that ended so.
pub(crate) fn respond(end: End<'_>) -> Response {
    match end {
        End::Challenged { asked, amount, instead_of, ecash } => {
            let reason = instead_of.map(|stale| stale.to_string());
            let response = payment_required(&asked, Some(amount), reason, Outcome::Challenged);
            match ecash {
                Some(request) => response.header("X-Cashu", request),
                None => response,
            }
        }
        End::Unpaid(asked) => {
            let reason = "this token's invoice has not been paid yet".to_owned();
            payment_required(&asked, None, Some(reason), Outcome::Unpaid)
        }
        End::Refused(refusal) => {
            let detail = refusal.to_string();
            let header = error_header(&detail);
            let log = Some(Complaint::Client(format!("credential refused: {detail}")));
            let refused = answer(401, "credential_refused", detail, "", Outcome::Refused);
            Response { log, ..refused.header("WWW-Authenticate", header) }
        }
        End::EcashRefused(reason) => {
            let detail = printable(reason);
            let log = Some(Complaint::Client(format!("ecash refused: {detail}")));
            Response { log, ..answer(400, "ecash_refused", detail, "", Outcome::Refused) }
        }
        End::Failed(failure) => failed(failure),
        End::EcashFailed(failure) => ecash_failed(failure),
    }
}

/// Another process's text, fit for our JSON and our log: printable ASCII without quotes, and not endless.
fn printable(text: &str) -> String {
    let fit = |c: char| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '?' };
    text.chars().take(400).map(fit).collect()
}

fn ecash_failed(failure: Failure) -> Response {
    let (status, detail) = match failure {
        Failure::Unavailable { .. } | Failure::Refused => {
            (503, "the ecash can not be checked now; send the same token again")
        }
        Failure::TimedOut => (504, "the mint did not answer in time; send the same token again"),
        Failure::AgentGone { .. } | Failure::Limited { .. } | Failure::Internal => return failed(failure),
    };
    let mut response = answer(status, "ecash_unavailable", detail, "", Outcome::Unavailable);
    if status == 503 {
        let retry_after_s = match failure {
            Failure::Unavailable { retry_after_s } => retry_after_s.max(1),
            Failure::Refused
            | Failure::TimedOut
            | Failure::AgentGone { .. }
            | Failure::Limited { .. }
            | Failure::Internal => 1,
        };
        response = response.header("Retry-After", retry_after_s.to_string());
    }
    response.log = Some(Complaint::Failure(format!("answered {status}: {detail}")));
    response
}

/// `reason` is why the token that was presented does not serve.
fn payment_required(
    asked: &Asked<'_>,
    amount: Option<Msat>,
    reason: Option<String>,
    outcome: Outcome,
) -> Response {
    let Asked { macaroon_b64, invoice, offer, expires_at } = *asked;
    let header = Challenge { macaroon_b64, invoice, offer, error: reason.as_deref() }.header_value();
    let detail = match reason {
        Some(reason) => Cow::Owned(reason),
        None => Cow::Borrowed("pay the invoice, then send Authorization: L402 MACAROON:PREIMAGE"),
    };
    let amount = amount.map(|msat| format!(r#""amount_msat":{},"#, msat.0)).unwrap_or_default();
    let facts = format!(r#"{amount}"expires_at":{expires_at},"#);
    answer(402, "payment_required", detail, &facts, outcome).header("WWW-Authenticate", header)
}

fn failed(failure: Failure) -> Response {
    let (status, error, detail, outcome) = match failure {
        Failure::Refused => {
            (502, "wallet_refused", "the Lightning wallet refused the request", Outcome::Error)
        }
        Failure::Unavailable { .. } => {
            (503, "wallet_unavailable", "the Lightning wallet can not be reached", Outcome::Unavailable)
        }
        Failure::TimedOut => {
            (504, "wallet_silent", "the Lightning wallet did not answer in time", Outcome::Unavailable)
        }
        Failure::AgentGone { .. } => {
            (503, "agent_unavailable", "the payment agent l402d can not be reached", Outcome::Unavailable)
        }
        Failure::Limited { .. } => (
            429,
            "too_many_challenges",
            "too many unpaid requests; pay, or come back later with what you have",
            Outcome::Limited,
        ),
        Failure::Internal => {
            (500, "internal_error", "the payment gate failed; this is not the client's fault", Outcome::Error)
        }
    };
    let mut response = answer(status, error, detail, "", outcome);
    match failure {
        Failure::Unavailable { retry_after_s }
        | Failure::AgentGone { retry_after_s }
        | Failure::Limited { retry_after_s } => {
            response = response.header("Retry-After", retry_after_s.max(1).to_string());
        }
        Failure::Refused | Failure::TimedOut | Failure::Internal => {}
    }
    // A client that is limited is no news: the access log has it.
    if !matches!(failure, Failure::Limited { .. }) {
        response.log = Some(Complaint::Failure(format!("answered {status}: {detail}")));
    }
    response
}

/// `facts` are JSON members, each with a comma behind it. All texts are ours and need no escaping.
pub(crate) fn answer(
    status: u16,
    error: &str,
    detail: impl Into<Cow<'static, str>>,
    facts: &str,
    outcome: Outcome,
) -> Response {
    let detail = detail.into();
    let mut headers = Vec::with_capacity(HEADERS);
    headers.push(("Cache-Control", Cow::Borrowed("no-store")));
    Response {
        status,
        headers,
        body: format!("{{\"error\":\"{error}\",{facts}\"detail\":\"{detail}\"}}\n"),
        content_type: "application/json",
        detail,
        outcome,
        log: None,
    }
}

impl Response {
    fn header(mut self, name: &'static str, value: String) -> Response {
        self.headers.push((name, Cow::Owned(value)));
        self
    }
}
