//! A mint that misbehaves, through nginx: what clients are told, what stands in the log, what the operator sees and can do.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::locked::{PRIVATE, PUBLIC};
use super::operator::{command_of, of_mint, told};
use super::payout::{number, paid_by};
use super::{PRICE_SAT, assert_refused, pay, site, token};
use crate::harness::http::Response;
use crate::harness::mint::{FREE, Rig, repository};
use crate::harness::nginx::Nginx;
use crate::harness::rude_mint::{Act, Answer, Asked, RudeMint};
use crate::harness::site::Site;
use crate::harness::stage::Stage;
use crate::harness::wait;

/// A site that knows the mint by the proxy's address.
fn behind<'a>(stage: &'a Stage, rig: &Rig, proxy: &RudeMint) -> Site<'a> {
    site(stage, rig).env("CASHU_WHITELISTED_MINTS", &proxy.url)
}

fn locked_behind<'a>(stage: &'a Stage, rig: &Rig, proxy: &RudeMint) -> Site<'a> {
    stage.keep_secret(PRIVATE);
    behind(stage, rig, proxy).env("CASHU_P2PK_MODE", "on").env("CASHU_P2PK_PRIVATE_KEY", PRIVATE)
}

/// A token of the mint behind the proxy.
fn token_of(stage: &Stage, rig: &Rig, proxy: &RudeMint, sat: u64, kind: Value) -> String {
    let token = rig.reencode(&token(stage, rig, FREE, sat, kind), json!({"url": proxy.url}));
    stage.keep_secret(&token);
    token
}

/// What a firewall, a deploy, a rate limit and a mint of ill will answer.
fn rude_answers() -> Vec<Answer> {
    let forged = "\n2030-01-01T00:00:00.000000Z  INFO forged \u{1b}[2J".repeat(70_000);
    let html = [403, 404, 405, 413, 502].map(Answer::html);
    let more = [
        Answer::html(429).retry_after(1),
        Answer::text(403, forged.clone()),
        Answer::json(400, &json!({"code": 0, "detail": forged})),
    ];
    html.into_iter().chain(more).collect()
}

/// No line of a log was written by the mint, and none is long.
#[track_caller]
fn assert_plain_logs(stage: &Stage) {
    for (name, text) in stage.logs() {
        for line in text.lines() {
            assert!(!line.starts_with("2030"), "{name}: {line}");
            assert!(!line.contains('\u{1b}') && line.len() < 4096, "{name}: {}", line.len());
        }
    }
}

#[track_caller]
fn assert_come_back(answer: &Response) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("Retry-After").is_some() && answer.text().contains("send the same token again"));
}

/// The token that nobody could swap is good when the mint speaks again, once; meanwhile all else is sold.
pub fn plain(stage: &Stage) {
    let rig = Rig::shared();
    let proxy = RudeMint::start(&rig.urls[FREE]);
    let nginx = behind(stage, rig, &proxy).paid("").start();
    pay(&nginx, &token_of(stage, rig, &proxy, PRICE_SAT, json!({}))).expect(200);
    for answer in rude_answers() {
        let bought = token_of(stage, rig, &proxy, PRICE_SAT, json!({}));
        proxy.answer("/v1/swap", answer);
        assert_come_back(&pay(&nginx, &bought));
        nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
        proxy.polite();
        let served = wait::until("the token's grant", || {
            Some(pay(&nginx, &bought)).filter(|answer| answer.status != 503)
        });
        served.expect(200);
        assert_refused(&pay(&nginx, &bought), "spent already");
    }
    // What it is sent comes back as its text: no secret stands in the log.
    let bought = token_of(stage, rig, &proxy, PRICE_SAT, json!({}));
    proxy.rule(|asked| match asked.path.as_str() {
        "/v1/swap" => Act::Answer(Answer::text(403, format!("blocked: {}", asked.body))),
        _ => Act::Pass,
    });
    assert_come_back(&pay(&nginx, &bought));
    assert_plain_logs(stage);
}

/// Locked ecash is sold for throughout, stays held, and is redeemed when the mint speaks again.
pub fn locked(stage: &Stage) {
    let rig = Rig::shared();
    let proxy = RudeMint::start(&rig.urls[FREE]);
    let nginx = locked_behind(stage, rig, &proxy).paid("").start();
    let mut sold = 0;
    for answer in rude_answers() {
        let before = proxy.count("/v1/swap");
        proxy.answer("/v1/swap", answer);
        let bought = token_of(stage, rig, &proxy, PRICE_SAT, json!({"lock": PUBLIC}));
        pay(&nginx, &bought).expect(200);
        assert_refused(&pay(&nginx, &bought), "spent already");
        sold += PRICE_SAT;
        proxy.wait_for("/v1/swap", before + 1);
    }
    let (code, report) = told(command_of(stage, &nginx, &proxy.url, "balance"));
    let mint = of_mint(&report, &proxy.url);
    let held = mint["held_sat"].as_u64().unwrap();
    assert_eq!((code, held + mint["wallet_sat"].as_u64().unwrap(), &mint["lost_sat"]), (0, sold, &json!(0)));
    assert!(held > 0, "{report}");
    assert_plain_logs(stage);
    proxy.polite();
    wait::until("all of it in the wallet", || {
        // What was put off is due now.
        change(&nginx, "UPDATE l402_payment SET again = 0");
        (number(&nginx, "SELECT count(*) FROM l402_payment WHERE state <> 2") == 0).then_some(())
    });
    let (_, report) = told(command_of(stage, &nginx, &proxy.url, "balance"));
    assert_eq!(of_mint(&report, &proxy.url)["wallet_sat"], sold);
}

/// Changes the wallet's file.
fn change(nginx: &Nginx<'_>, statement: &str) {
    let open = rusqlite::Connection::open(nginx.dir().join("state/cashu.db")).unwrap();
    open.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    open.execute_batch(statement).unwrap();
}

/// A command with the key that ecash is locked to.
fn with_key(mut command: Command) -> Command {
    command.env("CASHU_P2PK_MODE", "on").env("CASHU_P2PK_PRIVATE_KEY", PRIVATE);
    command
}

/// A mint that lists 200 keysets of which nobody has the keys, limits how often it is asked, and takes few proofs.
fn with_limits() -> impl Fn(&Asked) -> Act + Send + Sync {
    let limit = AtomicBool::new(true);
    move |asked| match asked.path.as_str() {
        "/v1/keysets" => Act::Rewrite(Box::new(|told| {
            let retired =
                |number: usize| json!({"id": format!("00{number:014x}"), "unit": "usd", "active": false});
            drop(told["keysets"].as_array_mut().unwrap().splice(0..0, (0..200).map(retired)));
        })),
        "/v1/restore" if limit.fetch_xor(true, Ordering::SeqCst) => {
            Act::Answer(Answer::html(429).retry_after(1))
        }
        _ if asked.inputs() > 5 => Act::Answer(Answer::error(11014, "Maximum inputs exceeded")),
        _ => Act::Pass,
    }
}

/// `l402 cashu` while the mint misbehaves: each command says what is true, and when the mint speaks again all is there.
pub fn operator(stage: &Stage) {
    // Its books are compared.
    let rig = Rig::start(repository());
    let proxy = RudeMint::start(&rig.urls[FREE]);
    let nginx = locked_behind(stage, &rig, &proxy).paid("").start();
    let run = |what: &str| told(with_key(command_of(stage, &nginx, &proxy.url, what)));
    let balance = |name: &str| {
        let (code, report) = run("balance");
        assert_eq!(code, 0, "{report}");
        of_mint(&report, &proxy.url)[name].as_u64().unwrap()
    };
    pay(&nginx, &token_of(stage, &rig, &proxy, 100, json!({"lock": PUBLIC}))).expect(200);
    wait::until("it to be redeemed", || (balance("wallet_sat") == 100).then_some(()));
    // A payment that an earlier version took for lost.
    proxy.answer("/v1/swap", Answer::html(503));
    pay(&nginx, &token_of(stage, &rig, &proxy, 30, json!({"lock": PUBLIC}))).expect(200);
    change(&nginx, "UPDATE l402_payment SET state = 3 WHERE state = 1");
    assert_eq!((balance("held_sat"), balance("lost_sat")), (0, 30));
    for answer in
        [Answer::html(403), Answer::html(404), Answer::html(405), Answer::html(413), Answer::html(429)]
    {
        proxy.answer("/v1/", answer);
        for what in ["redeem", "retry"] {
            let (code, report) = run(what);
            assert!(code == 1 && report["ok"] == false, "{what}: {report}");
        }
        assert_eq!((balance("wallet_sat"), balance("lost_sat")), (100, 30));
    }
    proxy.rule(with_limits());
    let (code, report) = run("restore");
    assert_eq!((code, &of_mint(&report, &proxy.url)["known_sat"]), (0, &json!(100)), "{report}");
    let (code, report) = run("retry");
    assert_eq!((code, &of_mint(&report, &proxy.url)["recovered_sat"]), (0, &json!(30)), "{report}");
    assert_eq!((balance("wallet_sat"), balance("lost_sat")), (130, 0));
    proxy.rule(|asked| match asked.inputs() {
        4.. => Act::Answer(Answer::html(413)),
        _ => Act::Pass,
    });
    let (code, report) = run("redeem");
    assert_eq!(code, 0, "{report}");
    for invoice in paid_by(&rig, FREE) {
        stage.sim().pay(&invoice).expect("each invoice is paid once");
    }
    let paid = stage.sim().received_msat() / 1000;
    assert!(paid > 100, "{report}");
    assert_eq!(balance("paid_out_sat"), paid);
    assert_eq!(balance("wallet_sat") + balance("fees_sat") + paid, 130);
    assert_plain_logs(stage);
}

/// A mint that does not say that it enforces locks: it is not asked for, its ecash is refused, and invoices are sold for.
pub fn without_locks(stage: &Stage) {
    let rig = Rig::shared();
    let proxy = RudeMint::start(&rig.urls[FREE]);
    proxy.rule(|asked| match asked.path.as_str() {
        "/v1/info" => Act::Rewrite(Box::new(|told| told["nuts"]["11"]["supported"] = false.into())),
        _ => Act::Pass,
    });
    let nginx = locked_behind(stage, rig, &proxy).paid("").start();
    let bought = token_of(stage, rig, &proxy, PRICE_SAT, json!({"lock": PUBLIC}));
    assert_refused(&pay(&nginx, &bought), "does not enforce locks");
    let asked = nginx.get("/paid/a");
    let challenge = asked.challenge();
    assert_eq!(asked.header("X-Cashu"), None);
    nginx.get_paid("/paid/a", &stage.buy(&challenge)).expect(200);
}

/// As much is held as may be: more is refused with the reason, invoices are sold for, and the token is good later.
pub fn bound(stage: &Stage) {
    let rig = Rig::shared();
    let proxy = RudeMint::start(&rig.urls[FREE]);
    let nginx = locked_behind(stage, rig, &proxy).env("CASHU_MAX_HELD_SATS", "25").paid("").start();
    pay(&nginx, &token_of(stage, rig, &proxy, PRICE_SAT, json!({"lock": PUBLIC}))).expect(200);
    let is_redeemed = "SELECT count(*) FROM l402_payment WHERE state <> 2";
    wait::until("it to be redeemed", || (number(&nginx, is_redeemed) == 0).then_some(()));
    proxy.answer("/v1/swap", Answer::html(503));
    for _ in 0..2 {
        pay(&nginx, &token_of(stage, rig, &proxy, PRICE_SAT, json!({"lock": PUBLIC}))).expect(200);
    }
    let more = token_of(stage, rig, &proxy, PRICE_SAT, json!({"lock": PUBLIC}));
    assert_refused(&pay(&nginx, &more), "so much ecash waits to be redeemed");
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
    proxy.polite();
    let served = wait::until("room for more", || {
        change(&nginx, "UPDATE l402_payment SET again = 0");
        Some(pay(&nginx, &more)).filter(|answer| answer.status != 400)
    });
    served.expect(200);
}
