//! Tests of the decision through its public API, a file a topic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod challenges;
mod credentials;
mod ecash;
mod failures;
mod memory;
mod properties;
mod responses;

use gate::{
    Answer, ClientRate, Complaint, Failure, Gate, Grant, Origin, Outcome, Policy, Proof, Question, Rate,
    Realm, Request, Response, Step, Uses,
};
use l402::{Identifier, KeyRing, Macaroon, PaymentHash, Preimage, RootKey, TokenId, challenge};

/// Now, in Unix seconds, unless a test says otherwise.
const NOW: u64 = 1_800_000_000;
const INVOICE: &str = "lnbcrt100n1fresh";

fn key() -> RootKey {
    RootKey::from_bytes([1; 32])
}

fn keys() -> KeyRing {
    KeyRing::new(vec![key()])
}

fn preimage() -> Preimage {
    Preimage::from_bytes([7; 32])
}

fn hash() -> PaymentHash {
    preimage().payment_hash()
}

/// 10 sat, one request a payment, no expiry, a preimage needed.
fn policy() -> Policy<'static> {
    Policy {
        origin: shop("example.com"),
        realm: None,
        amount_msat: 10_000,
        computed_price: false,
        timeout_s: 0,
        auto_detect: false,
        uses: Uses::Limited(1),
        backend: "default",
        description: "a page",
        location: "example.com/paid",
        rate: None,
    }
}

fn shop(name: &str) -> Origin<'_> {
    Origin { name: name.as_bytes(), names: None, port: None }
}

fn reusable() -> Policy<'static> {
    Policy { uses: Uses::Unlimited, ..policy() }
}

fn request(authorization: Option<&str>) -> Request<'_> {
    Request {
        method: "GET",
        path: b"/paid",
        route: None,
        client: b"192.0.2.1",
        authorization: authorization.map(str::as_bytes),
        metadata_macaroon: None,
        ecash: None,
    }
}

fn invoice() -> Answer {
    invoice_of("")
}

/// An invoice of this offer.
fn invoice_of(offer: &str) -> Answer {
    Answer::Invoice {
        payment_hash: hash(),
        bolt11: INVOICE.to_owned(),
        nonce: [9; 28],
        expires_at: NOW + 600,
        amount_msat: 10_000,
        ecash: String::new(),
        offer: offer.to_owned(),
    }
}

/// Not paid yet.
fn unsettled(bolt11: &str, expires_at: u64) -> Answer {
    Answer::Unsettled { bolt11: bolt11.to_owned(), expires_at, offer: String::new() }
}

fn start(policy: &Policy<'_>, authorization: Option<&str>) -> (Gate, Step) {
    Gate::start(policy, &request(authorization), &keys(), NOW)
}

fn identifier() -> Identifier {
    Identifier::new(hash(), TokenId::new(key().id(), [9; 28]))
}

/// A macaroon of our key with these caveats, of the payment that [`preimage`] proves.
fn macaroon(caveats: &[&str]) -> Macaroon {
    Macaroon::mint(&key(), &identifier(), "l402", caveats.iter().copied())
}

/// The header of a paid token with these caveats.
fn paid(caveats: &[&str]) -> String {
    format!("L402 {}:{}", macaroon(caveats).to_base64(), preimage().expose_hex())
}

/// The caveats of a single-use token of `/paid`.
const SINGLE: [&str; 4] = ["origin=example.com", "path=/paid", "method=GET", "uses=1"];
/// The same, reusable.
const MANY: [&str; 4] = ["origin=example.com", "path=/paid", "method=GET", "uses=unlimited"];

/// [`SINGLE`] with more behind it.
fn single_and(more: &str) -> Vec<&str> {
    [&SINGLE[..], &[more]].concat()
}

fn asked(step: Step) -> Question {
    match step {
        Step::Ask(question) => question,
        other => panic!("asked nothing: {other:?}"),
    }
}

fn answered(step: Step) -> Response {
    match step {
        Step::Respond(response) => response,
        other => panic!("answered nothing: {other:?}"),
    }
}

fn granted(step: Step) -> Grant {
    match step {
        Step::Grant(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    let mut found = response.headers.iter().filter(|(key, _)| *key == name);
    let value = found.next().map(|(_, value)| &**value);
    assert!(found.next().is_none(), "{name} twice");
    value
}

fn is_invoice_question(question: &Question) -> bool {
    matches!(question, Question::Invoice { .. })
}

/// Goes through a fresh challenge to its 402 and gives the macaroon in it.
fn challenged(mut gate: Gate, step: Step) -> (Response, Macaroon) {
    assert!(is_invoice_question(&asked(step)));
    let response = answered(gate.resume(invoice(), &keys(), NOW));
    assert_eq!((response.status, response.outcome), (402, Outcome::Challenged));
    let parsed = challenge::parse(header(&response, "WWW-Authenticate").unwrap()).unwrap();
    assert_eq!(parsed.invoice, INVOICE);
    (response, Macaroon::from_text(&parsed.token).unwrap())
}

/// As often as a client may have payments looked up where challenges are not limited.
fn look_up() -> Proof {
    Proof::LookUp(ClientRate { key: "look-up 192.0.2.1".to_owned(), limit: 2, window_s: 1 })
}

fn redeem(proof: Proof, limit: Option<u32>) -> Question {
    Question::Redeem {
        backend: "default".to_owned(),
        payment_hash: hash(),
        token_id: identifier().token_id,
        proof,
        limit,
        draw: true,
    }
}

fn refused(policy: &Policy<'_>, authorization: &str) -> String {
    let (_, step) = start(policy, Some(authorization));
    refusal(answered(step))
}

/// Checks that a response is a 401 as it should be, and gives its text.
fn refusal(response: Response) -> String {
    assert_eq!((response.status, response.outcome), (401, Outcome::Refused), "{response:?}");
    match challenge::parse(header(&response, "WWW-Authenticate").unwrap()) {
        Err(challenge::ChallengeError::Refused(text)) => {
            assert_eq!(response.log, Some(Complaint::Client(format!("credential refused: {text}"))));
            text
        }
        other => panic!("{other:?}"),
    }
}

/// Goes through a fresh challenge to its 402 and gives the reason why the token that was presented does not serve: the
/// same text in the header and in the body.
fn stale(policy: &Policy<'_>, authorization: &str) -> String {
    let (gate, step) = start(policy, Some(authorization));
    stale_in(&challenged(gate, step).0)
}

fn stale_in(response: &Response) -> String {
    let parsed = challenge::parse(header(response, "WWW-Authenticate").unwrap()).unwrap();
    let reason = parsed.error.expect("a reason");
    let body: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(body["detail"], reason);
    reason
}

fn realm(name: &str, shared: bool) -> Realm {
    Realm { name: name.to_owned(), shared }
}
