//! What holds for every answer: its size, its form, what is never in it.

use gate::{Failure, GrpcStatus};

use super::*;

/// Every kind of answer there is.
fn all() -> Vec<Response> {
    let resume = |authorization: Option<&str>, auto_detect: bool, answer: Answer| {
        let (mut gate, _) = start(&Policy { auto_detect, ..policy() }, authorization);
        match gate.resume(answer, &keys(), NOW) {
            Step::Ask(_) => answered(gate.resume(invoice(), &keys(), NOW)),
            step => answered(step),
        }
    };
    let alone = format!("L402 {}", macaroon(&SINGLE).to_base64());
    let header = paid(&SINGLE);
    let dear = Policy { amount_msat: u64::MAX, ..policy() };
    let mut dearest = start(&dear, None).0;
    let last = Answer::Invoice {
        payment_hash: hash(),
        bolt11: INVOICE.to_owned(),
        nonce: [0; 28],
        expires_at: u64::MAX,
        amount_msat: u64::MAX,
        ecash: "creqA".repeat(200),
        offer: "lno1".repeat(1000),
    };
    let mut all = vec![
        resume(None, false, invoice()),
        answered(dearest.resume(last, &keys(), NOW)),
        resume(Some(&alone), true, unsettled(INVOICE, u64::MAX)),
        resume(Some(&alone), true, Answer::CannotLookUp),
        resume(Some(&header), false, Answer::UsedUp),
        resume(Some(&header), false, Answer::Dead),
        answered(start(&policy(), Some("L402 garbage")).1),
        answered(start(&policy(), Some(&alone)).1),
        answered(start(&policy(), Some(&format!("{header}ab"))).1),
    ];
    for failure in [
        Failure::Refused,
        Failure::Unavailable { retry_after_s: u32::MAX },
        Failure::TimedOut,
        Failure::AgentGone { retry_after_s: 1 },
        Failure::Internal,
    ] {
        all.push(resume(None, false, Answer::Failed(failure)));
    }
    all
}

#[test]
fn every_answer_is_small_json_uncached_and_no_success() {
    for response in all() {
        assert!(matches!(response.status, 401 | 402 | 500 | 502 | 503 | 504), "{response:?}");
        assert_ne!(response.outcome, Outcome::Granted);
        assert_eq!(header(&response, "Cache-Control"), Some("no-store"));
        assert_eq!(response.content_type, "application/json");
        assert!(response.body.len() <= 600, "{}", response.body.len());
        let body: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        assert!(body["error"].is_string() && body["detail"].is_string(), "{body}");
        assert_eq!(header(&response, "WWW-Authenticate").is_some(), matches!(response.status, 401 | 402));
        assert_eq!(header(&response, "Retry-After").is_some(), response.status == 503);
        assert_eq!(response.log.is_some(), response.status != 402);
        let log = response.log.as_ref().map(|log| match log {
            Complaint::Client(line) | Complaint::Failure(line) => line.as_str(),
        });
        for line in response.headers.iter().map(|(_, value)| &**value).chain(log) {
            assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line}");
        }
    }
}

#[test]
fn grpc_clients_read_a_status_and_a_message() {
    for response in all() {
        let GrpcStatus { code, message } = GrpcStatus::of(&response);
        let expected = match response.status {
            401 => 16,
            402 | 500 => 13,
            502 | 503 => 14,
            504 => 4,
            other => panic!("{other}"),
        };
        assert_eq!(code, expected, "{response:?}");
        assert!(!message.is_empty() && message.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{message}");
        assert_eq!(message == "payment required", response.status == 402, "{message}");
    }
}

#[test]
fn no_secret_is_in_an_answer_a_question_or_a_debug() {
    let secret = preimage().expose_hex();
    for response in all() {
        assert!(!format!("{response:?}").contains(&secret));
    }
    let header_of_paid = paid(&SINGLE);
    let request = request(Some(&header_of_paid));
    let (gate, step) = Gate::start(&policy(), &request, &keys(), NOW);
    let shown = format!("{request:?} {gate:?} {step:?}");
    let mac = macaroon(&SINGLE).to_base64();
    assert!(!shown.contains(&secret) && !shown.contains(&mac) && !shown.contains("7, 7, 7, 7"), "{shown}");
}

#[test]
fn outcomes_are_words() {
    let all = [
        Outcome::Granted,
        Outcome::Challenged,
        Outcome::Unpaid,
        Outcome::Refused,
        Outcome::Unavailable,
        Outcome::Error,
    ];
    let words: Vec<_> = all.iter().map(|outcome| outcome.as_str()).collect();
    assert_eq!(words, ["granted", "challenged", "unpaid", "refused", "unavailable", "error"]);
}
