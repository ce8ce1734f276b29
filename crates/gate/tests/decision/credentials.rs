//! What each credential gets: the rows of the table "what bad input gets", and the good ones.

use l402::RootKey;

use super::*;

const NEEDS: &str = "a preimage is needed: send L402 MACAROON:PREIMAGE, 32 bytes of hex";

#[test]
fn a_reusable_token_is_granted_at_once() {
    let (_, step) = start(&reusable(), Some(&paid(&MANY)));
    let token_id = identifier().token_id;
    let expected =
        Grant { payment_hash: hash(), token_id, amount_msat: 10_000, remaining: None, issued: None };
    assert_eq!(granted(step), expected);
}

#[test]
fn a_counted_token_draws_a_use() {
    let five = ["origin=example.com", "path=/paid", "method=GET", "uses=5"];
    for (caveats, limit) in [(SINGLE, 1), (five, 5)] {
        let (mut gate, step) = start(&policy(), Some(&paid(&caveats)));
        assert_eq!(asked(step), redeem(Proof::Preimage(preimage()), Some(limit)));
        let grant = granted(gate.resume(Answer::Granted { remaining: Some(limit - 1) }, &keys(), NOW));
        assert_eq!((grant.payment_hash, grant.remaining), (hash(), Some(limit - 1)));
    }
}

#[test]
fn what_the_token_bought_counts_not_what_is_sold_by_now() {
    let (_, step) = start(&reusable(), Some(&paid(&SINGLE)));
    assert_eq!(asked(step), redeem(Proof::Preimage(preimage()), Some(1)));
    granted(start(&policy(), Some(&paid(&MANY))).1);
}

#[test]
fn a_get_token_serves_head_and_no_other_method() {
    let header = paid(&MANY);
    let with = |method| Request { method, ..request(Some(&header)) };
    for method in ["GET", "HEAD"] {
        granted(Gate::start(&reusable(), &with(method), &keys(), NOW).1);
    }
    for method in ["POST", "PUT", "DELETE", "get", "OPTIONS", ""] {
        let (gate, step) = Gate::start(&reusable(), &with(method), &keys(), NOW);
        let reason = stale_in(&challenged(gate, step).0);
        assert_eq!(reason, "the token is for another method; this buys one for this request");
    }
}

#[test]
fn a_head_needs_a_use_and_draws_none() {
    let header = paid(&SINGLE);
    let head = Request { method: "HEAD", ..request(Some(&header)) };
    let (mut gate, step) = Gate::start(&policy(), &head, &keys(), NOW);
    assert!(matches!(asked(step), Question::Redeem { draw: false, limit: Some(1), .. }));
    assert_eq!(granted(gate.resume(Answer::Granted { remaining: Some(1) }, &keys(), NOW)).remaining, Some(1));
    let (mut gate, _) = Gate::start(&policy(), &head, &keys(), NOW);
    let step = gate.resume(Answer::UsedUp, &keys(), NOW);
    assert!(stale_in(&challenged(gate, step).0).contains("used up"));
}

#[test]
fn what_a_rewrite_leads_to_is_sold_by_itself() {
    let single = paid(&SINGLE);
    let route = Some(&b"/full/paid"[..]);
    let led = Request { route, ..request(Some(&single)) };
    let (gate, step) = Gate::start(&policy(), &led, &keys(), NOW);
    let (response, token) = challenged(gate, step);
    assert_eq!(stale_in(&response), "the token is for another route; this buys one for this request");
    let sold =
        ["origin=example.com", "path=/paid", "method=GET", "route=/full/paid", "uses=1", "amount_msat=10000"];
    assert_eq!(token.first_party_texts(), sold);
    let of_route = paid(&sold);
    let (_, step) = Gate::start(&policy(), &Request { route, ..request(Some(&of_route)) }, &keys(), NOW);
    asked(step);
    assert!(stale(&policy(), &of_route).contains("another route"));
    // The price of what it leads to may have risen since.
    let dear = Policy { amount_msat: 10_001, ..policy() };
    let (gate, step) = Gate::start(&dear, &Request { route, ..request(Some(&of_route)) }, &keys(), NOW);
    assert!(stale_in(&challenged(gate, step).0).contains("paid for less"));
}

#[test]
fn tokens_of_other_paths_origins_and_realms_buy_another() {
    let gold = realm("gold", false);
    let shared = realm("gold", true);
    let silver = realm("silver", false);
    let at = |realm| Policy { realm, ..reusable() };
    let of_gold = paid(&["origin=example.com", "realm=gold", "uses=unlimited"]);
    let of_all = paid(&["realm=gold", "uses=unlimited"]);
    granted(start(&at(Some(&gold)), Some(&of_gold)).1);
    granted(start(&at(Some(&shared)), Some(&of_all)).1);
    for (policy, header, key) in [
        (reusable(), paid(&["origin=example.com", "path=/PAID", "method=GET", "uses=unlimited"]), "path"),
        (reusable(), paid(&["origin=example.com", "path=/paid/", "method=GET", "uses=unlimited"]), "path"),
        (reusable(), paid(&["origin=other.com", "path=/paid", "method=GET", "uses=unlimited"]), "origin"),
        (reusable(), of_gold.clone(), "realm"),
        (at(Some(&silver)), of_gold.clone(), "realm"),
        (at(Some(&gold)), paid(&MANY), "realm"),
        (at(Some(&gold)), of_all.clone(), "origin"),
        (Policy { origin: shop("other.com"), ..at(Some(&gold)) }, of_gold.clone(), "origin"),
    ] {
        let expected = format!("the token is for another {key}; this buys one for this request");
        assert_eq!(stale(&policy, &header), expected);
    }
    let elsewhere = Policy { origin: shop("other.com"), ..at(Some(&shared)) };
    granted(start(&elsewhere, Some(&of_all)).1);
}

#[test]
fn malformed_forged_and_foreign_credentials_are_refused() {
    let forged = {
        let mut token = macaroon(&MANY);
        token.signature[31] ^= 1;
        format!("L402 {}:{}", token.to_base64(), preimage().expose_hex())
    };
    let silently_widened = {
        let mut token = macaroon(&SINGLE);
        token.caveats.pop();
        format!("L402 {}:{}", token.to_base64(), preimage().expose_hex())
    };
    let other_key = {
        let token = Macaroon::mint(&RootKey::from_bytes([2; 32]), &identifier(), "l402", MANY);
        format!("L402 {}:{}", token.to_base64(), preimage().expose_hex())
    };
    let third_party = {
        let mut token = macaroon(&MANY);
        token.add(l402::Caveat::ThirdParty {
            location: "https://third.example".to_owned(),
            id: b"ask them".to_vec(),
            verification_id: vec![1; 72],
        });
        format!("L402 {}:{}", token.to_base64(), preimage().expose_hex())
    };
    let unverifiable = "the token's signature does not verify";
    for (header, text) in [
        ("L402", "the credential has no macaroon"),
        ("L402 !", "the macaroon is neither base64 nor hex"),
        ("L402 AgEE", "the macaroon is damaged or incomplete"),
        ("L402 token=\"", "the credential can't be read: expected L402 MACAROON:PREIMAGE"),
        (&forged, unverifiable),
        (&silently_widened, unverifiable),
        (&other_key, unverifiable),
        (&third_party, "third-party caveats are not accepted"),
        (&paid(&single_and("services=a:0")), "the token has a caveat that is not known here"),
        (&paid(&single_and("uses=2")), "the token's uses caveats contradict each other"),
        (&paid(&single_and("uses=x")), "the token's uses caveat can't be read"),
    ] {
        assert_eq!(refused(&policy(), header), text, "{header}");
    }
}

#[test]
fn odd_preimages_say_what_is_needed() {
    let mac = macaroon(&SINGLE).to_base64();
    let (hash, other) = (hash().to_string(), "00".repeat(32));
    let wrong = "the preimage is not the one of this token's payment";
    let wallet = "a preimage is 32 bytes of hex; this wallet returned 48";
    for (pre, text) in [
        ("ab".repeat(48).as_str(), wallet),
        ("abcd", "a preimage is 32 bytes of hex; this wallet returned 2"),
        ("settled", "a preimage is 32 bytes of hex; what this wallet returned is not hex"),
        (&other, wrong),
        // A payment hash is public and proves nothing.
        (&hash, wrong),
    ] {
        let header = format!("L402 {mac}:{pre}");
        assert_eq!(refused(&policy(), &header), text);
        // With auto-detect the wallet's word counts, and such a preimage is none.
        let auto = Policy { auto_detect: true, ..policy() };
        let (mut gate, step) = start(&auto, Some(&header));
        assert_eq!(asked(step), redeem(look_up(), Some(1)));
        granted(gate.resume(Answer::Granted { remaining: Some(0) }, &keys(), NOW));
        let (mut gate, _) = start(&auto, Some(&header));
        let same = answered(gate.resume(unsettled("lnbcrt1same", NOW + 33), &keys(), NOW));
        let challenge = challenge::parse(super::header(&same, "WWW-Authenticate").unwrap()).unwrap();
        assert_eq!((challenge.invoice.as_str(), challenge.token.as_str()), ("lnbcrt1same", mac.as_str()));
    }
    let odd_caveat = format!("preimage={}", "ab".repeat(48));
    let header = format!("L402 {}", macaroon(&single_and(&odd_caveat)).to_base64());
    assert_eq!(refused(&policy(), &header), wallet);
    let two = format!("L402 {mac}:{}, {mac}:{other}", preimage().expose_hex());
    assert_eq!(refused(&policy(), &two), "the credential has two different preimages");
}

#[test]
fn credentials_are_bounded() {
    let caveats = [&SINGLE[..], &["uses=1"; 27]].concat();
    let token = |number: u8| {
        let preimage = Preimage::from_bytes([number; 32]);
        let id = Identifier::new(preimage.payment_hash(), TokenId::new(key().id(), [number; 28]));
        format!("{}:{}", Macaroon::mint(&key(), &id, "", caveats.clone()).to_base64(), preimage.expose_hex())
    };
    // The fifth has more caveats than are left.
    let five = format!("L402 {}", (0..5).map(token).collect::<Vec<_>>().join(","));
    let (mut gate, mut step) = start(&policy(), Some(&five));
    for _ in 0..4 {
        asked(step);
        step = gate.resume(Answer::UsedUp, &keys(), NOW);
    }
    challenged(gate, step);
    // Eight tokens in all, whichever header they come in.
    let pairs: Vec<String> =
        (0..8).map(|more| paid(&[&SINGLE[..], &vec!["uses=1"; more]].concat())[5..].to_owned()).collect();
    let (authorization, metadata) = (format!("L402 {}", pairs.join(",")), second().1);
    let both = Request { metadata_macaroon: Some(metadata.as_bytes()), ..request(Some(&authorization)) };
    let (mut gate, mut step) = Gate::start(&policy(), &both, &keys(), NOW);
    for _ in 0..8 {
        assert!(matches!(asked(step), Question::Redeem { payment_hash, .. } if payment_hash == hash()));
        step = gate.resume(Answer::UsedUp, &keys(), NOW);
    }
    challenged(gate, step);
    // Longer headers are not read, unless they are none of ours.
    let long = format!("L402 {}", "x".repeat(16 * 1024));
    assert_eq!(refused(&policy(), &long), "the credential is too long to be read");
    let bearer = format!("Bearer {}", "x".repeat(16 * 1024));
    let (gate, step) = start(&policy(), Some(&bearer));
    challenged(gate, step);
}

#[test]
fn one_request_has_the_wallet_asked_about_one_payment() {
    let (second_hash, second) = second();
    let alone = [macaroon(&SINGLE).to_base64(), second.split(':').next().unwrap().to_owned()];
    let header = format!("L402 {}", alone.join(", "));
    let auto = Policy { auto_detect: true, ..policy() };
    let known = |step: Step| match asked(step) {
        Question::Redeem { payment_hash, proof, .. } => (payment_hash, proof),
        other => panic!("{other:?}"),
    };
    let (mut gate, step) = start(&auto, Some(&header));
    assert_eq!(known(step), (hash(), look_up()));
    // What l402d knows of the other one costs nobody anything.
    let step = gate.resume(unsettled("lnbcrt1same", NOW + 33), &keys(), NOW);
    assert_eq!(known(step), (second_hash, Proof::Known));
    assert_eq!(
        granted(gate.resume(Answer::Granted { remaining: Some(0) }, &keys(), NOW)).payment_hash,
        second_hash
    );
    let (mut gate, _) = start(&auto, Some(&header));
    gate.resume(unsettled("lnbcrt1same", NOW + 33), &keys(), NOW);
    let response = answered(gate.resume(Answer::CannotLookUp, &keys(), NOW));
    assert_eq!(response.outcome, Outcome::Unpaid);
}

#[test]
fn look_ups_are_counted_apart_from_challenges() {
    let header = format!("L402 {}", macaroon(&SINGLE).to_base64());
    let rate = Some(Rate { limit: 5, window_s: 60 });
    let (mut gate, step) = start(&Policy { auto_detect: true, rate, ..policy() }, Some(&header));
    let Question::Redeem { proof: Proof::LookUp(asked), .. } = asked(step) else { panic!("no look-up") };
    let key = "look-up example.com/paid 192.0.2.1".to_owned();
    assert_eq!(asked, ClientRate { key, limit: 50, window_s: 60 });
    let limited = Answer::Failed(Failure::Limited { retry_after_s: 3 });
    let response = answered(gate.resume(limited, &keys(), NOW));
    assert_eq!((response.status, response.outcome), (429, Outcome::Limited));
    assert_eq!(super::header(&response, "Retry-After"), Some("3"));
}

#[test]
fn a_macaroon_alone_needs_auto_detect() {
    let header = format!("L402 {}", macaroon(&SINGLE).to_base64());
    assert_eq!(refused(&policy(), &header), NEEDS);
    let auto = Policy { auto_detect: true, ..policy() };
    let (mut gate, step) = start(&auto, Some(&header));
    assert_eq!(asked(step), redeem(look_up(), Some(1)));
    granted(gate.resume(Answer::Granted { remaining: Some(0) }, &keys(), NOW));
    let many = format!("L402 {}", macaroon(&MANY).to_base64());
    let (mut gate, step) = start(&auto, Some(&many));
    assert_eq!(asked(step), redeem(look_up(), None));
    assert_eq!(granted(gate.resume(Answer::Granted { remaining: None }, &keys(), NOW)).remaining, None);
}

#[test]
fn auto_detect_not_yet_paid_gets_the_same_invoice_and_token() {
    let presented = macaroon(&SINGLE);
    let url_safe = presented.to_base64().replace('+', "-").replace('/', "_");
    let header = format!("LSAT {}", url_safe.trim_end_matches('='));
    let (mut gate, _) = start(&Policy { auto_detect: true, ..policy() }, Some(&header));
    let same = unsettled("lnbcrt1same", NOW + 33);
    let response = answered(gate.resume(same, &keys(), NOW));
    assert_eq!((response.status, response.outcome), (402, Outcome::Unpaid));
    let challenge = challenge::parse(super::header(&response, "WWW-Authenticate").unwrap()).unwrap();
    assert_eq!((challenge.token, challenge.invoice.as_str()), (presented.to_base64(), "lnbcrt1same"));
    let body: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(body["expires_at"], NOW + 33);
    // The invoice may be of another day's price.
    assert_eq!(body.get("amount_msat"), None);
}

#[test]
fn not_yet_paid_gets_the_offer_too() {
    let header = format!("L402 {}", macaroon(&SINGLE).to_base64());
    let (mut gate, _) = start(&Policy { auto_detect: true, ..policy() }, Some(&header));
    let of_offer =
        Answer::Unsettled { bolt11: "lni1same".to_owned(), expires_at: NOW, offer: "lno1same".to_owned() };
    let response = answered(gate.resume(of_offer, &keys(), NOW));
    let challenge = challenge::parse(super::header(&response, "WWW-Authenticate").unwrap()).unwrap();
    assert_eq!((challenge.invoice.as_str(), challenge.offer.as_deref()), ("lni1same", Some("lno1same")));
}

#[test]
fn a_preimage_caveat_is_not_sent_back_with_the_invoice() {
    let caveat = format!("preimage={}", preimage().expose_hex());
    let header = format!("L402 {}", macaroon(&single_and(&caveat)).to_base64());
    let (mut gate, step) = start(&policy(), Some(&header));
    assert_eq!(asked(step), redeem(Proof::Preimage(preimage()), Some(1)));
    let unsettled = unsettled("lnbcrt1same", NOW);
    let response = answered(gate.resume(unsettled, &keys(), NOW));
    let challenge = challenge::parse(super::header(&response, "WWW-Authenticate").unwrap()).unwrap();
    assert_eq!(challenge.token, macaroon(&SINGLE).to_base64());
}

#[test]
fn auto_detect_without_means_says_so() {
    let header = format!("L402 {}", macaroon(&SINGLE).to_base64());
    let (mut gate, _) = start(&Policy { auto_detect: true, ..policy() }, Some(&header));
    let text = refusal(answered(gate.resume(Answer::CannotLookUp, &keys(), NOW)));
    assert!(text.contains("can not look payments up"));
}

#[test]
fn good_but_stale_gets_a_fresh_challenge() {
    let former = paid(&["server=example.com", "path=/paid", "method=GET", "uses=1"]);
    let expired =
        paid(&["origin=example.com", "path=/paid", "method=GET", "valid_until=1799999999", "uses=1"]);
    let rotated_away = {
        let old = RootKey::from_bytes([3; 32]);
        let id = Identifier::new(hash(), TokenId::new(old.id(), [0; 28]));
        format!("L402 {}:{}", Macaroon::mint(&old, &id, "l402", SINGLE).to_base64(), preimage().expose_hex())
    };
    for (header, detail) in [
        (expired, "has expired"),
        (former, "not of the kind that is sold here"),
        (paid(&["uses=1"]), "not of the kind that is sold here"),
        (rotated_away, "a key that is not in use"),
        (paid(&single_and("amount_msat=9999")), "paid for less"),
    ] {
        assert!(stale(&policy(), &header).contains(detail), "{detail}");
    }
    for (answer, detail) in [(Answer::UsedUp, "used up"), (Answer::Dead, "was not paid in time")] {
        let (mut gate, _) = start(&policy(), Some(&paid(&SINGLE)));
        let step = gate.resume(answer, &keys(), NOW);
        assert!(stale_in(&challenged(gate, step).0).contains(detail), "{detail}");
    }
}

#[test]
fn the_last_second_is_still_good() {
    let header =
        paid(&["origin=example.com", "path=/paid", "method=GET", "valid_until=1800000000", "uses=unlimited"]);
    granted(start(&reusable(), Some(&header)).1);
    let (gate, step) = Gate::start(&reusable(), &request(Some(&header)), &keys(), NOW + 1);
    challenged(gate, step);
}

#[test]
fn a_computed_price_may_not_pass_what_was_paid() {
    let header = paid(&[&MANY[..], &["amount_msat=10000"]].concat());
    let costing = |amount_msat| Policy { amount_msat, computed_price: true, ..reusable() };
    granted(start(&costing(9_999), Some(&header)).1);
    assert_eq!(granted(start(&costing(10_000), Some(&header)).1).amount_msat, 10_000);
    let (gate, step) = start(&costing(10_001), Some(&header));
    challenged(gate, step);
    // A constant price may rise without taking back what was sold.
    granted(start(&Policy { amount_msat: 20_000, ..reusable() }, Some(&paid(&MANY))).1);
}

#[test]
fn metadata_counts_like_a_header_and_foreign_macaroons_do_not() {
    let caveat = format!("preimage={}", preimage().expose_hex());
    let hex = |token: &Macaroon| token.encode_v2().iter().map(|b| format!("{b:02x}")).collect::<String>();
    let ours = hex(&macaroon(&[&MANY[..], &[&caveat]].concat()));
    let with = |value| Request { metadata_macaroon: Some(value), ..request(None) };
    granted(Gate::start(&reusable(), &with(ours.as_bytes()), &keys(), NOW).1);
    let mut foreign = macaroon(&MANY);
    foreign.identifier = b"lnd".to_vec();
    let (gate, step) = Gate::start(&reusable(), &with(hex(&foreign).as_bytes()), &keys(), NOW);
    challenged(gate, step);
}

/// A paid single-use token of another payment, and its header item.
fn second() -> (PaymentHash, String) {
    let preimage = Preimage::from_bytes([8; 32]);
    let id = Identifier::new(preimage.payment_hash(), TokenId::new(key().id(), [1; 28]));
    let token = Macaroon::mint(&key(), &id, "l402", SINGLE);
    (preimage.payment_hash(), format!("{}:{}", token.to_base64(), preimage.expose_hex()))
}

#[test]
fn of_several_tokens_the_first_that_admits_wins() {
    let (second_hash, second) = second();
    let (mut gate, _) = start(&policy(), Some(&format!("L402 garbage, {}, {second}", &paid(&SINGLE)[5..])));
    let step = gate.resume(Answer::UsedUp, &keys(), NOW);
    assert!(matches!(asked(step), Question::Redeem { payment_hash, .. } if payment_hash == second_hash));
    let grant = granted(gate.resume(Answer::Granted { remaining: Some(0) }, &keys(), NOW));
    assert_eq!(grant.payment_hash, second_hash);
}

#[test]
fn of_several_tokens_stale_beats_refused_and_unpaid_beats_stale() {
    let (_, second) = second();
    let (mut gate, step) = start(&policy(), Some(&format!("L402 garbage, {second}")));
    asked(step);
    let step = gate.resume(Answer::UsedUp, &keys(), NOW);
    challenged(gate, step);

    let alone = macaroon(&SINGLE).to_base64();
    let auto = Policy { auto_detect: true, ..policy() };
    let (mut gate, _) = start(&auto, Some(&format!("L402 {alone}, {second}")));
    let unsettled = unsettled("lnbcrt1same", NOW);
    asked(gate.resume(unsettled, &keys(), NOW));
    let response = answered(gate.resume(Answer::UsedUp, &keys(), NOW));
    assert_eq!(response.outcome, Outcome::Unpaid);
}

#[test]
fn after_a_failure_only_what_needs_no_asking_is_tried() {
    let (_, second) = second();
    let single = paid(&SINGLE);
    let failed = Answer::Failed(gate::Failure::TimedOut);
    let (mut gate, _) = start(&policy(), Some(&format!("{single}, {second}")));
    assert_eq!(answered(gate.resume(failed.clone(), &keys(), NOW)).status, 504);
    // The payment may be good: stale ones beside it ask for no second one.
    let expired = paid(&["origin=example.com", "path=/paid", "method=GET", "valid_until=1", "uses=1"]);
    let (mut gate, _) = start(&policy(), Some(&format!("{expired}, {second}")));
    assert_eq!(answered(gate.resume(failed.clone(), &keys(), NOW)).status, 504);
    // A reusable one behind it still admits.
    let many = paid(&MANY);
    let (mut gate, _) = start(&policy(), Some(&format!("L402 {second}, {}", &many[5..])));
    granted(gate.resume(failed, &keys(), NOW));
}

#[test]
fn tokens_of_an_older_key_in_the_ring_still_serve() {
    let ring = KeyRing::new(vec![RootKey::from_bytes([2; 32]), key()]);
    let header = paid(&MANY);
    granted(Gate::start(&reusable(), &request(Some(&header)), &ring, NOW).1);
}
