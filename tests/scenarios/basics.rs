//! Buying: the challenge, the payment, the grant, and how long and how often it serves.

use crate::harness::http::Request;
use crate::harness::scenario::Scenario;
use crate::harness::site::{PRICE_MSAT, content};
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("classic", classic),
    Scenario::on_nodes("challenge_form", challenge_form),
    Scenario::on_nodes("expiry", expiry),
    Scenario::on_nodes("expiry_of_single_use", expiry_of_single_use),
    Scenario::on_nodes("uses", uses),
    Scenario::on_nodes("indefinite", indefinite),
    Scenario::on_nodes("head", head),
    Scenario::on_nodes("post_is_sold_too", post_is_sold_too),
    Scenario::on_nodes("free_beside_paid", free_beside_paid),
    Scenario::on_nodes("paid_answers_are_private", paid_answers_are_private),
];

fn classic(stage: &Stage) {
    let nginx = stage.paid_site("");
    let challenge = nginx.get("/paid/a").challenge();
    let credential = stage.buy(&challenge);
    let answer = nginx.get_paid("/paid/a", &credential).expect(200);
    assert_eq!(answer.text(), content("paid/a"));
    let again = nginx.get_paid("/paid/a", &credential).challenge();
    assert_ne!(again.invoice, challenge.invoice);
    stage.assert_invoices(2);
}

fn challenge_form(stage: &Stage) {
    let nginx = stage.paid_site("l402_macaroon_timeout 1h;");
    let answer = nginx.get("/paid/a");
    let challenge = answer.challenge();
    assert_eq!(challenge.amount_msat(), PRICE_MSAT);
    let macaroon = challenge.macaroon();
    assert_eq!((macaroon.identifier.len(), &macaroon.identifier[..2]), (66, &[0, 0][..]));
    let texts = macaroon.texts();
    let origin = format!("origin=localhost:{}", nginx.address().port());
    assert_eq!(texts[..3], [&origin, "path=/paid/a", "method=GET"]);
    let until: u64 = texts[3].strip_prefix("valid_until=").expect("valid_until").parse().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(until.abs_diff(now + 3600) < 60, "{texts:?} at {now}");
    assert_eq!(texts[4..], ["uses=1"]);
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["error"], "payment_required");
    assert_eq!(body["amount_msat"], PRICE_MSAT);
    assert!(answer.body.len() <= 600);
}

fn expiry(stage: &Stage) {
    let nginx = stage.paid_site("l402_indefinite_access on; l402_macaroon_timeout 5s;");
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &credential).expect(200);
    let refused = wait::until("the token to expire", || {
        let answer = nginx.get_paid("/paid/a", &credential);
        (answer.status != 200).then_some(answer)
    });
    refused.challenge();
}

fn expiry_of_single_use(stage: &Stage) {
    let nginx = stage.paid_site("l402_macaroon_timeout 1s;");
    let challenge = nginx.get("/paid/a").challenge();
    let credential = stage.buy(&challenge);
    let texts = challenge.macaroon().texts();
    let until = texts.iter().find_map(|text| text.strip_prefix("valid_until=")).expect("valid_until");
    let until: u64 = until.parse().unwrap();
    wait::until("the clock to pass valid_until", || {
        (std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() > until).then_some(())
    });
    nginx.get_paid("/paid/a", &credential).challenge();
}

fn uses(stage: &Stage) {
    let nginx = stage.paid_site("l402_max_uses 3;");
    let credential = nginx.buy("/paid/a");
    for _ in 0..3 {
        nginx.get_paid("/paid/a", &credential).expect(200);
    }
    nginx.get_paid("/paid/a", &credential).challenge();
}

fn indefinite(stage: &Stage) {
    let nginx = stage.paid_site("l402_indefinite_access on; l402_max_uses 2;");
    let credential = nginx.buy("/paid/a");
    for _ in 0..20 {
        let answer = nginx.get_paid("/paid/a", &credential).expect(200);
        assert_eq!(answer.text(), content("paid/a"));
    }
    stage.assert_invoices(1);
}

fn head(stage: &Stage) {
    let nginx = stage.paid_site("l402_max_uses 2;");
    let ask = Request::new("HEAD", "/paid/a");
    let challenge = nginx.send(&ask).challenge();
    let credential = stage.buy(&challenge);
    let answer = nginx.send(&ask.clone().paid(&credential)).expect(200);
    assert_eq!(answer.header("Content-Length"), Some(content("paid/a").len().to_string().as_str()));
    // It draws nothing, however often, and needs a use that is left.
    for _ in 0..2 {
        nginx.send(&ask.clone().paid(&credential)).expect(200);
        nginx.get_paid("/paid/a", &credential).expect(200);
    }
    let reason = nginx.send(&ask.paid(&credential)).challenge().error;
    assert_eq!(reason.as_deref(), Some("the token is used up; this buys a new one"));
    nginx.get_paid("/paid/a", &credential).stale();
}

fn post_is_sold_too(stage: &Stage) {
    let upstream = crate::harness::upstream::Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    let post = Request::post("/paid/a", "order");
    let challenge = nginx.send(&post).challenge();
    assert!(challenge.macaroon().texts().contains(&"method=POST".to_owned()));
    let credential = stage.buy(&challenge);
    nginx.get_paid("/paid/a", &credential).stale();
    assert_eq!(upstream.hits(), 0);
    nginx.send(&post.paid(&credential)).expect(200);
    assert_eq!(upstream.hits(), 1);
}

fn free_beside_paid(stage: &Stage) {
    let nginx = stage.paid_site("location /paid/open/ { l402 off; }");
    for name in ["free/a", "other/a", "paid/open/a"] {
        let answer = nginx.get(&format!("/{name}")).expect(200);
        assert_eq!(answer.text(), content(name));
        assert_eq!(answer.header("WWW-Authenticate"), None);
    }
    nginx.get("/paid/b").challenge();
    stage.assert_invoices(1);
}

fn paid_answers_are_private(stage: &Stage) {
    let directives =
        "l402_indefinite_access on; location /paid/open/ { add_header Cache-Control max-age=5; }";
    let nginx = stage.paid_site(directives);
    let answer = nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
    assert_eq!(answer.all("Cache-Control").collect::<Vec<_>>(), ["private"]);
    let free = nginx.get("/free/a").expect(200);
    assert_eq!(free.header("Cache-Control"), None);
    let chosen = nginx.get_paid("/paid/open/a", &nginx.buy("/paid/open/a")).expect(200);
    assert_eq!(chosen.all("Cache-Control").collect::<Vec<_>>(), ["private, max-age=5"]);
}
