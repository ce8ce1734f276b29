//! Who gets a challenge, and what it sells.

use super::*;

fn caveats_for(policy: &Policy<'_>, request: &Request<'_>) -> Vec<String> {
    let (gate, step) = Gate::start(policy, request, &keys(), NOW);
    let (_, macaroon) = challenged(gate, step);
    assert!(macaroon.verify_signature(&key()));
    assert_eq!(macaroon.identifier, identifier().encode());
    macaroon.first_party_texts().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_request_without_a_credential_is_challenged() {
    for authorization in [None, Some(""), Some("Basic dXNlcjpwYXNz"), Some("Bearer abc")] {
        let (gate, step) = start(&policy(), authorization);
        let (response, _) = challenged(gate, step);
        assert_eq!(header(&response, "Cache-Control"), Some("no-store"));
        let body: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(body["error"], "payment_required");
        assert_eq!(body["amount_msat"], 10_000);
        assert_eq!(body["expires_at"], NOW + 600);
        assert_eq!(response.log, None);
    }
}

#[test]
fn the_invoice_is_for_what_is_sold() {
    let (_, step) = start(&policy(), None);
    assert_eq!(
        asked(step),
        Question::Invoice {
            backend: "default".to_owned(),
            amount_msat: 10_000,
            description: "a page".to_owned(),
            path: b"/paid".to_vec(),
            rate: None,
        }
    );
}

/// Another price may be listed for the path: the challenge says what the invoice is over. The token says what is bought,
/// and with a computed price that is what costs no more by the location's own.
#[test]
fn a_challenge_says_what_its_invoice_is_over() {
    let challenge = |policy: &Policy<'_>, listed| {
        let (mut gate, _) = start(policy, None);
        let mut answer = invoice();
        let Answer::Invoice { amount_msat, .. } = &mut answer else { panic!() };
        *amount_msat = listed;
        answered(gate.resume(answer, &keys(), NOW))
    };
    let computed = Policy { computed_price: true, ..policy() };
    for listed in [1, 15_000] {
        let response = challenge(&computed, listed);
        let body: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(body["amount_msat"], listed);
        let parsed = challenge::parse(header(&response, "WWW-Authenticate").unwrap()).unwrap();
        let macaroon = Macaroon::from_text(&parsed.token).unwrap();
        assert_eq!(macaroon.first_party_texts().last(), Some(&"amount_msat=10000"));
    }
    assert_eq!(challenge(&policy(), 0).status, 500, "never free");
}

#[test]
fn challenges_are_counted_by_location_and_address() {
    let policy = Policy { location: "/a", rate: Some(Rate { limit: 5, window_s: 60 }), ..policy() };
    for (address, key) in [
        ("192.0.2.1", "/a 192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "/a 2001:db8:1:2::"),
        ("2001:db8:1:2::", "/a 2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "/a ::ffff:192.0.2.1"),
        ("unix:", "/a unix:"),
    ] {
        let request = Request { client: address.as_bytes(), ..request(None) };
        let (_, step) = Gate::start(&policy, &request, &keys(), NOW);
        let Question::Invoice { rate: Some(asked), .. } = asked(step) else { panic!("no rate") };
        assert_eq!(asked, ClientRate { key: key.to_owned(), limit: 5, window_s: 60 });
    }
}

#[test]
fn whoever_asks_too_often_is_told_when_to_come_back() {
    let rate = Some(Rate { limit: 5, window_s: 60 });
    let (mut gate, _) = start(&Policy { rate, ..policy() }, None);
    let limited = Answer::Failed(Failure::Limited { retry_after_s: 12 });
    let response = answered(gate.resume(limited, &keys(), NOW));
    assert_eq!((response.status, response.outcome, &response.log), (429, Outcome::Limited, &None));
    assert_eq!(header(&response, "Retry-After"), Some("12"));
    assert_eq!(header(&response, "WWW-Authenticate"), None);
}

#[test]
fn the_challenge_is_in_the_one_form_every_client_parses() {
    let (gate, step) = start(&policy(), None);
    let (response, macaroon) = challenged(gate, step);
    let mac = macaroon.to_base64();
    assert_eq!(
        header(&response, "WWW-Authenticate").unwrap(),
        format!(r#"L402 macaroon="{mac}", invoice="{INVOICE}", version="0", token="{mac}""#)
    );
}

#[test]
fn an_offer_is_advertised_beside_its_invoice() {
    let (mut gate, _) = start(&policy(), None);
    let response = answered(gate.resume(invoice_of("lno1pg257enxv4ezqcneype82um50ynhxgrw"), &keys(), NOW));
    let value = header(&response, "WWW-Authenticate").unwrap();
    assert!(value.ends_with(r#"", offer="lno1pg257enxv4ezqcneype82um50ynhxgrw""#), "{value}");
    let parsed = challenge::parse(value).unwrap();
    assert_eq!(parsed.invoice, INVOICE);
    assert_eq!(parsed.offer.as_deref(), Some("lno1pg257enxv4ezqcneype82um50ynhxgrw"));
    assert!(Macaroon::from_text(&parsed.token).unwrap().verify_signature(&key()));
}

/// The invoice can be paid without it.
#[test]
fn an_offer_that_does_not_fit_a_header_is_left_out() {
    for offer in ["", "lno1\r\nX: y", "lno1\", invoice=\"lnbc1", "lno1 q", "lno1\u{e9}"] {
        let (mut gate, _) = start(&policy(), None);
        let response = answered(gate.resume(invoice_of(offer), &keys(), NOW));
        assert_eq!(response.status, 402, "{offer:?}");
        let value = header(&response, "WWW-Authenticate").unwrap();
        assert!(!value.contains("offer"), "{offer:?}: {value}");
    }
}

#[test]
fn the_token_binds_what_is_sold() {
    let gold = realm("gold", false);
    let everywhere = realm("gold", true);
    let get = request(None);
    for (policy, request, expected) in [
        (policy(), get.clone(), &SINGLE[..]),
        (reusable(), get.clone(), &MANY),
        (policy(), Request { method: "HEAD", ..get.clone() }, &SINGLE),
        (
            policy(),
            Request { method: "POST", path: b"/a b", ..get.clone() },
            &["origin=example.com", "path=/a%20b", "method=POST", "uses=1"],
        ),
        (
            Policy { timeout_s: 60, uses: Uses::Limited(5), computed_price: true, ..policy() },
            get.clone(),
            &[
                "origin=example.com",
                "path=/paid",
                "method=GET",
                "valid_until=1800000060",
                "uses=5",
                "amount_msat=10000",
            ],
        ),
        (
            Policy { realm: Some(&gold), ..reusable() },
            get.clone(),
            &["origin=example.com", "realm=gold", "uses=unlimited"],
        ),
        (Policy { realm: Some(&everywhere), ..reusable() }, get.clone(), &["realm=gold", "uses=unlimited"]),
    ] {
        assert_eq!(caveats_for(&policy, &request), expected);
    }
}

#[test]
fn a_time_out_past_the_end_of_time_is_none() {
    let forever = Policy { timeout_s: u64::MAX, ..policy() };
    assert_eq!(caveats_for(&forever, &request(None)), SINGLE);
}

#[test]
fn the_token_s_life_begins_with_the_invoice() {
    let (mut gate, _) = start(&Policy { timeout_s: 10, ..policy() }, None);
    let response = answered(gate.resume(invoice(), &keys(), NOW + 7));
    let parsed = challenge::parse(header(&response, "WWW-Authenticate").unwrap()).unwrap();
    let token = Macaroon::from_text(&parsed.token).unwrap();
    assert!(token.first_party_texts().contains(&"valid_until=1800000017"));
}

#[test]
fn the_newest_key_signs() {
    let newer = RootKey::from_bytes([2; 32]);
    let ring = KeyRing::new(vec![newer.clone(), key()]);
    let (mut gate, _) = Gate::start(&policy(), &request(None), &ring, NOW);
    let response = answered(gate.resume(invoice(), &ring, NOW));
    let parsed = challenge::parse(header(&response, "WWW-Authenticate").unwrap()).unwrap();
    assert!(Macaroon::from_text(&parsed.token).unwrap().verify_signature(&newer));
}

#[test]
fn nothing_of_the_request_is_in_the_answer_but_inside_the_token() {
    let nasty = Request { method: "G\"\r\nX: y", path: b"/\r\nSet-Cookie: a=b\"", ..request(None) };
    let (gate, step) = Gate::start(&policy(), &nasty, &keys(), NOW);
    let (response, token) = challenged(gate, step);
    for text in response.headers.iter().map(|(_, value)| &**value).chain([response.body.as_str()]) {
        assert!(!text.contains("Set-Cookie") && !text.trim_end().contains(['\r', '\n']));
    }
    assert!(token.first_party_texts().iter().all(|text| text.bytes().all(|b| b.is_ascii_graphic())));
}

#[test]
fn the_longest_path_still_makes_a_token_that_is_read_back() {
    let path = vec![0xff; 8000];
    let long = Request { path: &path, ..request(None) };
    let (gate, step) = Gate::start(&reusable(), &long, &keys(), NOW);
    let (_, token) = challenged(gate, step);
    let header = format!("L402 {}:{}", token.to_base64(), preimage().expose_hex());
    let back = Request { authorization: Some(header.as_bytes()), ..long };
    granted(Gate::start(&reusable(), &back, &keys(), NOW).1);
}
