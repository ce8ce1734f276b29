//! Whatever goes wrong ends in the answer of the table, and never in a grant.

use gate::Failure;

use super::*;

/// The failures, their status and what they promise about trying again.
const TABLE: [(Failure, u16, Option<&str>, Outcome); 6] = [
    (Failure::Refused, 502, None, Outcome::Error),
    (Failure::Unavailable { retry_after_s: 5 }, 503, Some("5"), Outcome::Unavailable),
    (Failure::Unavailable { retry_after_s: 0 }, 503, Some("1"), Outcome::Unavailable),
    (Failure::TimedOut, 504, None, Outcome::Unavailable),
    (Failure::AgentGone { retry_after_s: 2 }, 503, Some("2"), Outcome::Unavailable),
    (Failure::Internal, 500, None, Outcome::Error),
];

#[test]
fn failures_of_an_invoice_and_of_a_redemption() {
    let header_of_paid = paid(&SINGLE);
    for authorization in [None, Some(header_of_paid.as_str())] {
        for (failure, status, retry_after, outcome) in TABLE {
            let (mut gate, step) = start(&policy(), authorization);
            asked(step);
            let response = answered(gate.resume(Answer::Failed(failure), &keys(), NOW));
            assert_eq!((response.status, response.outcome), (status, outcome), "{failure:?}");
            assert_eq!(header(&response, "Retry-After"), retry_after, "{failure:?}");
            assert_eq!(header(&response, "WWW-Authenticate"), None);
            assert!(response.log.is_some());
        }
    }
}

#[test]
fn a_price_of_nothing_is_never_free() {
    let free = Policy { amount_msat: 0, ..reusable() };
    for authorization in [None, Some(paid(&MANY))] {
        assert_eq!(answered(start(&free, authorization.as_deref()).1).status, 500);
    }
}

#[test]
fn without_keys_nothing_is_decided() {
    let header_of_paid = paid(&MANY);
    let (_, step) = Gate::start(&reusable(), &request(Some(&header_of_paid)), &KeyRing::default(), NOW);
    let response = answered(step);
    assert_eq!((response.status, header(&response, "Retry-After")), (503, Some("1")));
    // Keys that went away while the invoice was made.
    let (mut gate, _) = start(&policy(), None);
    assert_eq!(answered(gate.resume(invoice(), &KeyRing::default(), NOW)).status, 500);
}

#[test]
fn answers_to_other_questions_are_our_fault() {
    let granted = || Answer::Granted { remaining: Some(1) };
    for answer in
        [granted(), unsettled("lnbcrt1same", NOW), Answer::UsedUp, Answer::Dead, Answer::CannotLookUp]
    {
        let (mut gate, step) = start(&policy(), None);
        asked(step);
        assert_eq!(answered(gate.resume(answer.clone(), &keys(), NOW)).status, 500, "{answer:?}");
        // And after the end nothing is granted any more.
        assert_eq!(answered(gate.resume(answer, &keys(), NOW)).status, 500);
    }
    let (mut gate, step) = start(&policy(), Some(&paid(&SINGLE)));
    asked(step);
    assert_eq!(answered(gate.resume(invoice(), &keys(), NOW)).status, 500);
    assert_eq!(answered(gate.resume(granted(), &keys(), NOW)).status, 500);
}

#[test]
fn an_invoice_that_does_not_fit_a_header_is_not_sent() {
    for bolt11 in ["", "lnbc 1", "lnbc\r\nX: y", "lnbc\"", "lnbc\u{e9}"] {
        let (mut gate, _) = start(&policy(), None);
        let odd = Answer::Invoice {
            payment_hash: hash(),
            bolt11: bolt11.to_owned(),
            nonce: [0; 28],
            expires_at: NOW,
            amount_msat: 10_000,
            ecash: String::new(),
            offer: String::new(),
        };
        assert_eq!(answered(gate.resume(odd, &keys(), NOW)).status, 500, "{bolt11:?}");
        let alone = format!("L402 {}", macaroon(&SINGLE).to_base64());
        let (mut gate, _) = start(&Policy { auto_detect: true, ..policy() }, Some(&alone));
        let odd = unsettled(bolt11, NOW);
        assert_eq!(answered(gate.resume(odd, &keys(), NOW)).status, 500, "{bolt11:?}");
    }
}

#[test]
fn a_token_too_long_to_be_read_back_is_not_sold() {
    let long = realm(&"r".repeat(5000), false);
    let (mut gate, _) = start(&Policy { realm: Some(&long), ..reusable() }, None);
    assert_eq!(answered(gate.resume(invoice(), &keys(), NOW)).status, 500);
}
