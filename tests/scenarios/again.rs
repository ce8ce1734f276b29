//! Whether a client is asked to buy again: where that helps it is, with the reason, and where it does not it never is. The
//! other half, what gets 401 without an invoice, is `refusals.rs`.

use crate::harness::challenge::Challenge;
use crate::harness::http::Request;
use crate::harness::scenario::Scenario;
use crate::harness::site::content;
use crate::harness::stage::Stage;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("again::where_it_helps", where_it_helps),
    Scenario::on_simulator("again::spoiled_preimages", spoiled_preimages),
    Scenario::on_simulator("again::one_of_several", one_of_several),
    Scenario::on_simulator("again::two_authorization_lines", two_authorization_lines),
];

/// Each of these is genuine and was paid, and gets one new invoice for what was asked for, and the reason.
fn where_it_helps(stage: &Stage) {
    let directives = "l402_max_uses 1; l402_amount_msat_default $arg_price; \
                      location /paid/open/ { l402_indefinite_access on; l402_realm club; }";
    let nginx = stage
        .site()
        .http("map $arg_price $price { default 1000; ~. $arg_price; }")
        .paid(&directives.replace("$arg_price", "$price"))
        .start();
    let bought = |request: &Request| {
        let challenge = nginx.send(request).challenge();
        let preimage = stage.pay(&challenge);
        (challenge, preimage)
    };
    let again = |request: &Request, credential: String, price: u64| {
        let answer = nginx.send(&request.clone().paid(credential));
        let challenge = answer.challenge();
        assert_eq!(challenge.amount_msat(), price);
        let reason = answer.stale();
        // What is bought then is served.
        let paid = stage.buy(&challenge);
        nginx.send(&request.clone().paid(paid)).expect(200);
        reason
    };
    let get = Request::get("/paid/a");
    let (challenge, preimage) = bought(&get);
    let credential = challenge.paid_with(&preimage);
    let narrowed = |text: &str| format!("L402 {}:{preimage}", challenge.macaroon().with(text).base64());
    let place = |what: &str| format!("the token is for another {what}; this buys one for this request");
    assert_eq!(again(&get.clone().host("other.example"), credential.clone(), 1000), place("origin"));
    assert_eq!(again(&Request::get("/paid/b"), credential.clone(), 1000), place("path"));
    assert_eq!(again(&Request::get("/paid/open/a"), credential.clone(), 1000), place("realm"));
    let dearer = again(&Request::get("/paid/a?price=5000"), credential.clone(), 5000);
    assert_eq!(dearer, "the token paid for less than this request costs; this buys another");
    let expired = again(&get, narrowed("valid_until=1"), 1000);
    assert_eq!(expired, "the token has expired; this buys a new one");
    let (of_realm, paid) = bought(&Request::get("/paid/open/a"));
    assert_eq!(again(&get, of_realm.paid_with(&paid), 1000), place("realm"));
    nginx.get_paid("/paid/a", &credential).expect(200);
    assert_eq!(again(&get, credential, 1000), "the token is used up; this buys a new one");
    // Of a root key that is not in use any more, or of another software's.
    let root = l402::RootKey::from_bytes([9; 32]);
    let preimage = l402::Preimage::from_bytes([8; 32]);
    let id = l402::TokenId::new(root.id(), [7; 28]);
    let foreign =
        l402::Macaroon::mint(&root, &l402::Identifier::new(preimage.payment_hash(), id), "l402", ["uses=1"]);
    let unknown = again(&get, format!("L402 {}:{}", foreign.to_base64(), preimage.expose_hex()), 1000);
    assert_eq!(unknown, "the token was signed with a key that is not in use here; this buys a new one");
}

/// A wallet or library that returns something else in a preimage's place: where payments are looked up it is as if there
/// were none, and elsewhere it is told and not asked to pay again.
fn spoiled_preimages(stage: &Stage) {
    let spoiled = ["00".repeat(32), "ab".repeat(48), "not-a-preimage".to_owned()];
    let nginx = stage.paid_site("");
    for preimage in &spoiled {
        let challenge = nginx.get("/paid/a").challenge();
        stage.pay(&challenge);
        nginx.get_paid("/paid/a", &challenge.paid_with(preimage)).refusal();
    }
    let nginx = stage.paid_site("l402_auto_detect_payment on; l402_invoice_rate_limit 100r/s;");
    for preimage in &spoiled {
        let challenge = nginx.get("/paid/a").challenge();
        let same = nginx.get_paid("/paid/a", &challenge.paid_with(preimage)).challenge();
        assert_eq!(same.invoice, challenge.invoice);
        stage.pay(&challenge);
        stage.wait_until_settled(&challenge);
        let answer = nginx.get_paid("/paid/a", &challenge.paid_with(preimage)).expect(200);
        assert_eq!(answer.text(), content("paid/a"));
        assert!(nginx.get_paid("/paid/a", &challenge.paid_with(preimage)).stale().contains("used up"));
    }
}

/// Of several the one that can still be paid decides, then one that buying replaces, then one that is refused.
fn one_of_several(stage: &Stage) {
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    let of_b = stage.buy(&nginx.get("/paid/b").challenge());
    let unpaid: Challenge = nginx.get("/paid/a").challenge();
    let bare = |credential: &str| credential.trim_start_matches("L402 ").to_owned();
    let ask = |tokens: &[String]| nginx.get_paid("/paid/a", &format!("L402 {}", tokens.join(",")));
    let rubbish = "AAAA:00".to_owned();
    let answer = ask(&[rubbish.clone(), bare(&of_b), unpaid.token.clone()]);
    assert_eq!(answer.challenge().invoice, unpaid.invoice);
    assert!(ask(&[rubbish.clone(), bare(&of_b)]).stale().contains("another path"));
    ask(std::slice::from_ref(&rubbish)).refusal();
    let good = bare(&nginx.buy("/paid/a"));
    ask(&[rubbish, bare(&of_b), unpaid.token, good]).expect(200);
}

/// nginx refuses them before any module is asked: what the page on compatibility says.
fn two_authorization_lines(stage: &Stage) {
    let nginx = stage.paid_site("l402_indefinite_access on;");
    let credential = nginx.buy("/paid/a");
    // nginx writes both into its log, so these hold no secret.
    let unpaid = nginx.get("/paid/a").challenge().paid_with(&"00".repeat(32));
    let lsat = |credential: &str| credential.replacen("L402", "LSAT", 1);
    nginx.send(&Request::get("/paid/a").paid(lsat(&unpaid)).paid(&unpaid)).expect(400);
    nginx.wait_for_error("client sent duplicate header line", 0);
    nginx.get_paid("/paid/a", &lsat(&credential)).expect(200);
}
