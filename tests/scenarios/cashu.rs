//! Ecash through nginx, with real mints: what buys, what is refused and why, and that nothing is bought twice.

mod client;
mod hosts;
mod locked;
mod long_headers;
mod operator;
mod outages;
mod payout;
mod refusals;
mod requests;
mod rude;
mod settings;
mod tokens;

use serde_json::json;

use crate::harness::http::{Request, Response};
use crate::harness::mint::{FEES, FREE, Rig};
use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::site::{Site, content};
use crate::harness::stage::Stage;
use crate::harness::wait::at_once;

pub const ALL: &[Scenario] = &[
    Scenario::on_mint("cashu::plain", plain),
    Scenario::on_mint("cashu::race", race),
    Scenario::on_mint("cashu::race_of_two_hosts", race_of_two_hosts),
    Scenario::on_mint("cashu::reuse", reuse),
    Scenario::on_mint("cashu::bound", bound),
    Scenario::on_mint("cashu::restarts", restarts),
    Scenario::on_mint("cashu::long_header", long_headers::ecash),
    Scenario::on_mint("cashu::long_header_of_another_kind", long_headers::another),
    Scenario::on_mint("cashu::refused", refusals::refused),
    Scenario::on_mint("cashu::no_other_mint_is_contacted", refusals::no_other_mint_is_contacted),
    Scenario::on_mint("cashu::locked", locked::locked),
    Scenario::on_mint("cashu::locked_refusals", locked::refused),
    Scenario::on_mint("cashu::locked_race", locked::race),
    Scenario::on_mint("cashu::locked_to_another_host", locked::another_host),
    Scenario::on_mint("cashu::race_of_hosts_with_redis", hosts::race),
    Scenario::on_mint("cashu::comes_back_at_another_host", hosts::comes_back_at_the_other),
    Scenario::on_mint("cashu::hosts_without_redis", hosts::without_redis),
    Scenario::on_mint("cashu::client_pays", client::pays),
    Scenario::on_mint("cashu::client_locks", client::locks),
    Scenario::on_mint("cashu::client_reuses", client::reuses),
    Scenario::on_mint("cashu::client_not_served", client::not_served),
    Scenario::on_mint("cashu::client_killed", client::killed),
    Scenario::on_mint("cashu::requests", requests::requests),
    Scenario::on_mint("cashu::too_many_mints", requests::too_many_mints),
    Scenario::on_mint("cashu::tokens_of_nutshell", tokens::of_nutshell),
    Scenario::on_mint("cashu::tokens_of_cdk", tokens::of_cdk),
    Scenario::on_mint("cashu::tokens_of_cashu_ts", tokens::of_cashu_ts),
    Scenario::on_mint("cashu::mint_down", outages::mint_down),
    Scenario::on_mint("cashu::killed_during_the_swap", outages::killed_during_the_swap),
    Scenario::on_mint("cashu::payout_to_two_payees", payout::two_payees),
    Scenario::on_mint("cashu::payout_through_outages", payout::outages),
    Scenario::on_mint("cashu::killed_during_a_melt", payout::killed_during_a_melt),
    Scenario::on_mint("cashu::operator_sees_and_redeems", operator::sees_and_redeems),
    Scenario::on_mint("cashu::operator_redeems_beside_l402d", operator::redeems_beside_l402d),
    Scenario::on_mint("cashu::operator_restores", operator::restores),
    Scenario::on_mint("cashu::rude_answers_to_plain_ecash", rude::plain),
    Scenario::on_mint("cashu::rude_answers_to_locked_ecash", rude::locked),
    Scenario::on_mint("cashu::rude_mint_and_the_operator", rude::operator),
    Scenario::on_mint("cashu::mint_without_locks", rude::without_locks),
    Scenario::on_mint("cashu::bound_on_what_is_held", rude::bound),
    Scenario::on_simulator("cashu::off", settings::off),
    Scenario::on_simulator("cashu::mistakes", settings::mistakes),
];

/// A token over the price of a site, 10 sat.
const PRICE_SAT: u64 = 10;

/// A site that takes ecash of both mints.
fn site<'a>(stage: &'a Stage, rig: &Rig) -> Site<'a> {
    stage.site().env("CASHU_ECASH_SUPPORT", "on").env("CASHU_WHITELISTED_MINTS", &rig.urls.join(","))
}

/// GET with ecash.
fn with(token: &str) -> Request {
    Request::get("/paid/a").header("X-Cashu", token)
}

fn pay(nginx: &Nginx<'_>, token: &str) -> Response {
    nginx.send(&with(token))
}

/// A token that no log may ever hold a secret of.
fn token(stage: &Stage, rig: &Rig, mint: usize, sat: u64, more: serde_json::Value) -> String {
    let (token, secrets) = rig.token_with_secrets(mint, sat, more);
    stage.keep_secret(&token);
    secrets.iter().for_each(|secret| stage.keep_secret(secret));
    token
}

/// Asserts a 400 with this in its detail.
#[track_caller]
fn assert_refused(answer: &Response, why: &str) {
    assert_eq!(answer.status, 400, "{why}: {}", answer.text());
    let body: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(body["error"], "ecash_refused");
    assert!(body["detail"].as_str().unwrap().contains(why), "{why}: {body}");
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
}

/// A 402 asks for either, one retry with ecash is served, and no form of it is served again.
fn plain(stage: &Stage) {
    let rig = Rig::shared();
    let nginx = site(stage, rig).paid("").start();
    let asked = nginx.get("/paid/a");
    let challenge = asked.challenge();
    let request = asked.header("X-Cashu").unwrap();
    assert!(request.starts_with("creqA"), "{request}");
    let bytes: usize = asked.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    assert!(bytes <= 2048, "{bytes} bytes of headers");

    for (number, more) in [json!({}), json!({"legacy": true}), json!({"dleq": false})].into_iter().enumerate()
    {
        let bought = token(stage, rig, FREE, PRICE_SAT, more);
        let served = pay(&nginx, &bought).expect(200);
        assert_eq!(served.text(), content("paid/a"));
        assert_eq!(served.header("Cache-Control"), Some("private"));
        assert_eq!(served.header("Authentication-Info"), None, "it has bought one request");
        assert_refused(&pay(&nginx, &bought), "spent already");
        let again = rig.reencode(&bought, json!({"legacy": number != 1, "reverse": true, "memo": "another"}));
        assert_refused(&pay(&nginx, &again), "spent already");
    }
    let scheme = token(stage, rig, FEES, PRICE_SAT, json!({"fees": true}));
    let request = Request::get("/paid/a").header("Authorization", format!("Cashu {scheme}"));
    nginx.send(&request).expect(200);
    assert_refused(&nginx.send(&request), "spent already");
    // And the invoice is as good as ever.
    nginx.get_paid("/paid/a", &stage.buy(&challenge)).expect(200);
}

/// 200 copies over four workers, in both encodings: one 200.
fn race(stage: &Stage) {
    let rig = Rig::shared();
    let nginx = site(stage, rig).paid("").start();
    let one = token(stage, rig, FREE, PRICE_SAT, json!({}));
    let other = rig.reencode(&one, json!({"legacy": true, "reverse": true}));
    let forms = [one, other];
    let answers = at_once(200, |number| pay(&nginx, &forms[number % 2]));
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_refused(answer, "spent already");
    }
}

/// 100 copies over two hosts, each with a wallet of its own: the mint sees to it that there is one 200.
fn race_of_two_hosts(stage: &Stage) {
    let rig = Rig::shared();
    let hosts = [(); 2].map(|()| site(stage, rig).workers(2).paid("").start());
    let one = token(stage, rig, FREE, PRICE_SAT, json!({}));
    let other = rig.reencode(&one, json!({"legacy": true, "reverse": true}));
    let forms = [one, other];
    let answers = at_once(100, |number| pay(&hosts[number % 2], &forms[number / 2 % 2]));
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    for nginx in &hosts {
        assert_refused(&pay(nginx, &forms[0]), "spent already");
    }
}

/// Where a payment buys more than one request, the answer carries an L402 token for the rest.
fn reuse(stage: &Stage) {
    let rig = Rig::shared();
    let nginx = site(stage, rig)
        .paid("l402_max_uses 3;")
        .server("location /other/ { l402 on; l402_indefinite_access on; l402_macaroon_timeout 1h; }")
        .start();
    let bought = token(stage, rig, FREE, PRICE_SAT, json!({}));
    let credential = credential(stage, &pay(&nginx, &bought).expect(200));
    nginx.get_paid("/paid/a", &credential).expect(200);
    // The ecash itself is the same payment, and draws from the same three.
    pay(&nginx, &bought).expect(200);
    nginx.get_paid("/paid/a", &credential).expect(402);
    assert_refused(&pay(&nginx, &bought), "spent already");

    let bought = token(stage, rig, FREE, PRICE_SAT, json!({}));
    let request = Request::get("/other/a").header("X-Cashu", bought.as_str());
    let credential = self::credential(stage, &nginx.send(&request).expect(200));
    for _ in 0..5 {
        nginx.get_paid("/other/a", &credential).expect(200);
    }
    assert!(nginx.get_paid("/paid/a", &credential).stale().contains("another path"));
}

/// What `Authentication-Info` lets the client come back with.
fn credential(stage: &Stage, answer: &Response) -> String {
    let value = answer.header("Authentication-Info").expect("a token");
    let parts: Vec<&str> = value.split('"').collect();
    let ["token=", token, ", preimage=", preimage, ""] = parts[..] else { panic!("{value}") };
    stage.keep_secret(preimage);
    format!("L402 {token}:{preimage}")
}

/// Ecash that has bought one thing buys no other, also where more requests are left of it.
fn bound(stage: &Stage) {
    let rig = Rig::shared();
    let nginx = site(stage, rig)
        .paid("l402_max_uses 5;")
        .server("location /other/ { l402 on; l402_max_uses 5; l402_amount_msat_default 20000; }")
        .start();
    let bought = token(stage, rig, FREE, 30, json!({}));
    pay(&nginx, &bought).expect(200);
    for (method, path) in [("GET", "/paid/b"), ("POST", "/paid/a"), ("GET", "/other/a")] {
        let request = Request::new(method, path).header("X-Cashu", bought.as_str());
        assert_refused(&nginx.send(&request), "spent already");
    }
    nginx.send(&Request::new("HEAD", "/paid/a").header("X-Cashu", bought.as_str())).expect(200);
}

/// A restart of nginx, a reload and a killed l402d: what was spent stays spent, what was not is served.
fn restarts(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    let rig = Rig::shared();
    let mut nginx = site(stage, rig).paid("").start();
    let spent: Vec<String> = (0..2).map(|_| token(stage, rig, FREE, PRICE_SAT, json!({}))).collect();
    for token in &spent {
        pay(&nginx, token).expect(200);
    }
    let check = |nginx: &Nginx<'_>| {
        for token in &spent {
            assert_refused(&pay(nginx, token), "spent already");
        }
        pay(nginx, &token(stage, rig, FREE, PRICE_SAT, json!({}))).expect(200);
    };
    check(&nginx);
    nginx.restart();
    check(&nginx);
    nginx.reload();
    check(&nginx);
    let agent = nginx.agent(None);
    crate::harness::process::signal(agent, crate::harness::process::Signal::KILL);
    nginx.agent(Some(agent));
    check(&nginx);
}
