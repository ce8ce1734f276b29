//! Ecash in a request: asked about once, after every other credential, and granted like a payment.

use gate::{Answer, Failure, Gate, Issued, Outcome, Policy, Preimage, Question, Realm, Request, Step, Uses};
use l402::Macaroon;

use crate::{
    NOW, answered, asked, challenged, granted, hash, header, invoice, is_invoice_question, keys, paid,
    policy, preimage, redeem, request, reusable,
};
use gate::Proof;

const TOKEN: &str = "cashuBo2F0gaJhaUgBc";

fn with_ecash(token: &[u8]) -> Request<'_> {
    Request { ecash: Some(token), ..request(None) }
}

fn start(policy: &Policy<'_>) -> (Gate, Step) {
    Gate::start(policy, &with_ecash(TOKEN.as_bytes()), &keys(), NOW)
}

fn paid_at(paid_at: u64) -> Answer {
    Answer::Paid { payment_hash: hash(), preimage: preimage(), nonce: [9; 28], paid_at }
}

fn terms(step: Step) -> String {
    match asked(step) {
        Question::Ecash { backend, amount_msat: 10_000, path, terms, token } => {
            assert_eq!(backend, policy().backend);
            assert!(path.starts_with(b"/"));
            assert_eq!(token.expose(), TOKEN);
            terms
        }
        other => panic!("{other:?}"),
    }
}

fn refused(step: Step) -> String {
    let response = answered(step);
    assert_eq!((response.status, response.outcome), (400, Outcome::Refused), "{response:?}");
    assert_eq!(header(&response, "WWW-Authenticate"), None);
    response.body
}

#[test]
fn a_payment_is_drawn_from_and_let_through() {
    let (mut gate, step) = start(&policy());
    assert_eq!(terms(step), "origin=example.com\npath=/paid\nmethod=GET\nuses=1");
    let step = gate.resume(paid_at(NOW), &keys(), NOW);
    assert_eq!(asked(step), redeem(Proof::Preimage(preimage()), Some(1)));
    let grant = granted(gate.resume(Answer::Granted { remaining: Some(0) }, &keys(), NOW));
    assert_eq!((grant.payment_hash, grant.remaining), (hash(), Some(0)));
    assert_eq!(grant.issued, None, "nothing is left to come back for");
}

#[test]
fn what_is_used_up_or_over_is_spent() {
    let (mut gate, _) = start(&policy());
    gate.resume(paid_at(NOW), &keys(), NOW);
    assert!(refused(gate.resume(Answer::UsedUp, &keys(), NOW)).contains("spent already"));
    let hour = Policy { timeout_s: 3600, ..reusable() };
    let (mut gate, _) = start(&hour);
    assert!(refused(gate.resume(paid_at(NOW - 3601), &keys(), NOW)).contains("spent already"));
    let (mut gate, _) = start(&hour);
    granted(gate.resume(paid_at(NOW - 3600), &keys(), NOW));
}

#[test]
fn one_request_that_was_paid_for_is_served_however_late() {
    let (mut gate, _) = start(&Policy { timeout_s: 60, ..policy() });
    let step = gate.resume(paid_at(NOW - 3600), &keys(), NOW);
    assert_eq!(asked(step), redeem(Proof::Preimage(preimage()), Some(1)));
    granted(gate.resume(Answer::Granted { remaining: Some(0) }, &keys(), NOW));
}

#[test]
fn where_more_than_one_request_is_bought_a_token_goes_out() {
    let hour = Policy { timeout_s: 3600, ..reusable() };
    let thrice = Policy { uses: Uses::Limited(3), ..policy() };
    let (mut gate, _) = start(&hour);
    let unlimited = granted(gate.resume(paid_at(NOW - 60), &keys(), NOW));
    let (mut gate, _) = start(&thrice);
    gate.resume(paid_at(NOW), &keys(), NOW);
    let limited = granted(gate.resume(Answer::Granted { remaining: Some(2) }, &keys(), NOW));
    for (policy, grant) in [(hour, unlimited), (thrice, limited)] {
        let issued = grant.issued.unwrap();
        assert_eq!(format!("{issued:?}"), "Issued([redacted])");
        assert_eq!(Issued::HEADER, "Authentication-Info");
        let value = issued.header_value();
        let token = value.split('"').nth(1).unwrap();
        assert_eq!(value, format!("token=\"{token}\", preimage=\"{}\"", preimage().expose_hex()));
        let macaroon = Macaroon::from_text(token).unwrap();
        let until = format!("valid_until={}", NOW - 60 + 3600);
        assert_eq!(macaroon.first_party_texts().contains(&until.as_str()), policy.timeout_s > 0);
        // It is an L402 token like any other.
        let authorization = format!("L402 {token}:{}", preimage().expose_hex());
        let (_, step) = Gate::start(&policy, &request(Some(&authorization)), &keys(), NOW);
        match policy.uses {
            Uses::Unlimited => drop(granted(step)),
            Uses::Limited(limit) => {
                let Question::Redeem { payment_hash, limit: drawn, .. } = asked(step) else { panic!() };
                assert_eq!((payment_hash, drawn), (hash(), Some(limit)));
            }
        }
    }
}

#[test]
fn two_sales_never_have_the_same_terms() {
    let realm = Realm { name: "archive".to_owned(), shared: false };
    let shared = Realm { name: "archive".to_owned(), shared: true };
    let policies = [
        policy(),
        Policy { origin: crate::shop("other.example"), ..policy() },
        Policy { uses: Uses::Limited(2), ..policy() },
        reusable(),
        Policy { realm: Some(&realm), ..reusable() },
        Policy { realm: Some(&shared), ..reusable() },
    ];
    let mut all: Vec<String> = policies.iter().map(|policy| terms(start(policy).1)).collect();
    for (path, method) in [(&b"/other"[..], "GET"), (b"/paid", "POST"), (b"/paid\nmethod=GET", "GET")] {
        let request = Request { path, method, ..with_ecash(TOKEN.as_bytes()) };
        all.push(terms(Gate::start(&policy(), &request, &keys(), NOW).1));
    }
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "{all:?}");
    let dear = Policy { timeout_s: 60, ..policy() };
    assert_eq!(terms(start(&dear).1), terms(start(&policy()).1), "a later time-out takes nothing back");
}

#[test]
fn who_has_a_good_token_keeps_the_ecash() {
    let header = paid(&["origin=example.com", "path=/paid", "method=GET", "uses=unlimited"]);
    let request = Request { ecash: Some(TOKEN.as_bytes()), ..request(Some(&header)) };
    granted(Gate::start(&policy(), &request, &keys(), NOW).1);
    // A bad one is no reason to refuse ecash.
    let other = paid(&["origin=example.com", "path=/other", "method=GET", "uses=1"]);
    let request = Request { ecash: Some(TOKEN.as_bytes()), ..crate::request(Some(&other)) };
    terms(Gate::start(&policy(), &request, &keys(), NOW).1);
    // While nothing can be said of the token, no ecash is taken for it.
    let single = paid(&["origin=example.com", "path=/paid", "method=GET", "uses=1"]);
    let request = Request { ecash: Some(TOKEN.as_bytes()), ..crate::request(Some(&single)) };
    let (mut gate, _) = Gate::start(&policy(), &request, &keys(), NOW);
    let failed = gate.resume(Answer::Failed(Failure::Unavailable { retry_after_s: 1 }), &keys(), NOW);
    assert_eq!(answered(failed).status, 503);
}

#[test]
fn the_scheme_cashu_says_the_same() {
    for authorization in ["Cashu cashuBo2F0gaJhaUgBc", "cashu  cashuBo2F0gaJhaUgBc "] {
        terms(Gate::start(&policy(), &request(Some(authorization)), &keys(), NOW).1);
    }
}

#[test]
fn what_can_not_be_ecash_is_refused_at_once_and_not_repeated() {
    let long = vec![b'a'; 48 * 1024 + 1];
    for odd in [&b""[..], b" ", b"cashuB two", b"cashuB\xff", b"cashuB\x01", &long] {
        let (_, step) = Gate::start(&policy(), &with_ecash(odd), &keys(), NOW);
        assert!(refused(step).contains("ecash_refused"));
    }
}

#[test]
fn a_refusal_says_why_and_nothing_breaks_out_of_it() {
    let (mut gate, _) = start(&policy());
    let body =
        refused(gate.resume(Answer::EcashRefused("the ecash is not in the unit sat".into()), &keys(), NOW));
    assert_eq!(body, "{\"error\":\"ecash_refused\",\"detail\":\"the ecash is not in the unit sat\"}\n");
    let (mut gate, _) = start(&policy());
    let odd = Answer::EcashRefused(format!("\"}}\r\nX: \\{}", "y".repeat(2000)));
    let body = refused(gate.resume(odd, &keys(), NOW));
    assert!(body.len() < 600 && serde_json_like(&body), "{body}");
}

/// No quote, backslash or control character within the detail.
fn serde_json_like(body: &str) -> bool {
    body.matches('"').count() == 8 && !body.trim_end().contains(|c: char| c.is_control() || c == '\\')
}

#[test]
fn a_mint_that_is_away_is_nobodys_loss() {
    for (failure, status) in [
        (Failure::Unavailable { retry_after_s: 5 }, 503),
        (Failure::TimedOut, 504),
        (Failure::AgentGone { retry_after_s: 2 }, 503),
        (Failure::Internal, 500),
    ] {
        let (mut gate, _) = start(&policy());
        assert_eq!(answered(gate.resume(Answer::Failed(failure), &keys(), NOW)).status, status);
        let (mut gate, _) = start(&policy());
        gate.resume(paid_at(NOW), &keys(), NOW);
        assert_eq!(answered(gate.resume(Answer::Failed(failure), &keys(), NOW)).status, status);
    }
}

#[test]
fn where_none_is_taken_it_is_as_if_none_were_sent() {
    let (mut gate, _) = start(&policy());
    let step = gate.resume(Answer::NoEcash, &keys(), NOW);
    let (response, _) = challenged(gate, step);
    assert_eq!(header(&response, "X-Cashu"), None);
}

#[test]
fn a_challenge_carries_the_payment_request_beside_it() {
    let request = |ecash: &str| {
        let (mut gate, step) = crate::start(&policy(), None);
        assert!(is_invoice_question(&asked(step)));
        let mut answer = invoice();
        let Answer::Invoice { ecash: carried, .. } = &mut answer else { panic!() };
        *carried = ecash.to_owned();
        answered(gate.resume(answer, &keys(), NOW))
    };
    let response = request("creqApWF1Y3NhdA==");
    assert_eq!(header(&response, "X-Cashu"), Some("creqApWF1Y3NhdA=="));
    assert!(header(&response, "WWW-Authenticate").unwrap().starts_with("L402 macaroon="));
    for odd in ["", "creqA x", "creqA\r\nX: y"] {
        assert_eq!(header(&request(odd), "X-Cashu"), None, "{odd:?}");
    }
}

#[test]
fn no_debug_shows_a_secret() {
    let request = with_ecash(TOKEN.as_bytes());
    let (gate, step) = start(&policy());
    let all = format!("{request:?} {gate:?} {step:?} {:?}", paid_at(NOW));
    assert!(
        !all.contains(TOKEN) && !all.contains(&Preimage::from_bytes([7; 32]).expose_hex().to_string()),
        "{all}"
    );
}
