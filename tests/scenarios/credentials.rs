//! Every form in which clients present what they bought; and that none of them makes a payment count twice.

use crate::harness::challenge::Challenge;
use crate::harness::http::Request;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("credentials::all_forms", all_forms),
    Scenario::on_nodes("credentials::no_form_replays", no_form_replays),
    Scenario::on_nodes("credentials::several", several),
    Scenario::on_nodes("credentials::narrowed_by_the_holder", narrowed_by_the_holder),
    Scenario::on_nodes("credentials::of_other_schemes", of_other_schemes),
];

/// Every form that `docs/reference/credentials.md` lists, as header name and value.
fn forms(challenge: &Challenge, preimage: &str) -> Vec<(&'static str, String)> {
    let token = &challenge.token;
    let bare = token.trim_end_matches('=');
    let url_safe = token.replace('+', "-").replace('/', "_");
    let with_preimage = challenge.macaroon().with(&format!("preimage={preimage}"));
    let narrowed = challenge.macaroon().with("uses=1");
    let authorization = [
        format!("L402 {token}:{preimage}"),
        format!("LSAT {token}:{preimage}"),
        format!("l402 {token}:{preimage}"),
        format!("lSaT {token}:{preimage}"),
        format!("L402   {token}:{preimage}  "),
        format!("L402 L402 {token}:{preimage}"),
        format!("L402 {token}:{}", preimage.to_uppercase()),
        format!("L402 {bare}:{preimage}"),
        format!("L402 {url_safe}:{preimage}"),
        format!("L402 {}:{preimage}", url_safe.trim_end_matches('=')),
        format!("L402 token=\"{token}\", preimage=\"{preimage}\""),
        format!("L402 macaroon=\"{token}\", preimage=\"{preimage}\""),
        format!("LSAT macaroon=\"{token}\", preimage=\"{preimage}\""),
        format!("L402 {}", with_preimage.base64()),
        format!("L402 {}:{preimage}", narrowed.base64()),
    ];
    let metadata = [
        ("Macaroon", with_preimage.hex()),
        ("Grpc-Metadata-Macaroon", with_preimage.hex()),
        ("macaroon", with_preimage.hex().to_uppercase()),
    ];
    authorization.into_iter().map(|value| ("Authorization", value)).chain(metadata).collect()
}

fn all_forms(stage: &Stage) {
    let nginx = stage.paid_site("l402_indefinite_access on;");
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = stage.pay(&challenge);
    for (name, value) in forms(&challenge, &preimage) {
        if value.contains(&challenge.macaroon().with("uses=1").base64()) {
            continue; // it narrows an unlimited token to one use: see narrowed_by_the_holder
        }
        let answer = nginx.send(&Request::get("/paid/a").header(name, &value));
        assert_eq!(answer.status, 200, "{name}: {value}\n{}", answer.text());
    }
    stage.assert_invoices(1);
}

fn no_form_replays(stage: &Stage) {
    let nginx = stage.paid_site("");
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = stage.pay(&challenge);
    let forms = forms(&challenge, &preimage);
    nginx.send(&Request::get("/paid/a").header(forms[0].0, &forms[0].1)).expect(200);
    for (name, value) in forms {
        let answer = nginx.send(&Request::get("/paid/a").header(name, &value));
        assert_eq!(answer.status, 402, "{name}: {value}\n{}", answer.text());
        answer.challenge();
    }
}

fn several(stage: &Stage) {
    let nginx = stage.paid_site("");
    let pairs = [(); 2].map(|()| {
        let challenge = nginx.get("/paid/a").challenge();
        format!("{}:{}", challenge.token, stage.pay(&challenge))
    });
    let both = format!("L402 {}, {}", pairs[0], pairs[1]);
    nginx.get_paid("/paid/a", &both).expect(200);
    nginx.get_paid("/paid/a", &both).expect(200);
    nginx.get_paid("/paid/a", &both).challenge();
    let third = nginx.get("/paid/a").challenge();
    let third = format!("{}:{}", third.token, stage.pay(&third));
    nginx.get_paid("/paid/a", &format!("L402 rubbish:00,L402 {},{third}", pairs[0])).expect(200);
}

fn narrowed_by_the_holder(stage: &Stage) {
    let nginx = stage.paid_site("l402_indefinite_access on;");
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = stage.pay(&challenge);
    let lent = format!("L402 {}:{preimage}", challenge.macaroon().with("uses=1").base64());
    nginx.get_paid("/paid/a", &lent).expect(200);
    nginx.get_paid("/paid/a", &lent).challenge();
    let short = challenge.macaroon().with("valid_until=1000000000");
    nginx.get_paid("/paid/a", &format!("L402 {}:{preimage}", short.base64())).challenge();
    nginx.get_paid("/paid/a", &challenge.paid_with(&preimage)).expect(200);
}

/// Credentials for somebody else are none for us: the client is asked to pay, not refused.
fn of_other_schemes(stage: &Stage) {
    let nginx = stage.paid_site("");
    for value in ["Basic dXNlcjpwYXNz", "Bearer abc.def", "L402x abc", "Digest username=\"a\""] {
        nginx.get_paid("/paid/a", value).challenge();
    }
}
