//! A mint that misbehaves, or something before it that speaks in its place: nothing is lost, nobody is blamed who is not at fault.

use std::time::Duration;

use ecash::{AcceptError, Paid, Till, Unavailable};
use serde_json::json;

use crate::rig::{FREE, Rig};
use crate::rude_mint::{Act, Answer, RudeMint};
use crate::support::{MINTS, Shop, at_rest, mints, pay, total};

/// A shop that knows the free mint by the proxy's address only.
fn behind(rig: &Rig, locked: bool) -> (RudeMint, Shop) {
    let proxy = RudeMint::start(&rig.urls[FREE]);
    let mut shop = if locked { Shop::locked(rig) } else { Shop::new(rig) };
    shop.terms.mints = vec![proxy.url.parse().unwrap()];
    (proxy, shop)
}

/// A token of the mint behind the proxy, over so much.
fn token(rig: &Rig, proxy: &RudeMint, shop: &Shop, sat: u64) -> String {
    let kind = shop.lock().map_or_else(|| json!({}), |key| json!({"lock": key}));
    rig.reencode(&rig.token(FREE, sat, kind), json!({"url": proxy.url}))
}

/// The payment, by a client that comes back as it is told.
async fn pay_in_the_end(till: &Till, token: &str, sat: u64) -> Paid {
    let paid = async {
        loop {
            match pay(till, token, sat).await {
                Ok(paid) => return paid,
                Err(AcceptError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(180), paid).await.expect("the payment")
}

/// What firewalls, deploys and rate limits answer.
fn rude_answers() -> Vec<Answer> {
    let html = [403, 404, 405, 408, 413, 429, 500, 502, 503].map(Answer::html);
    let api = [
        Answer::json(404, &json!({"detail": "Not Found"})),
        Answer::json(405, &json!({"detail": "Method Not Allowed"})),
        Answer::json(403, &json!({"code": "forbidden", "detail": "blocked"})),
        Answer::json(403, &json!({"code": 403, "detail": "blocked"})),
        Answer::json(429, &json!({"code": 11001, "detail": "slow down"})),
        Answer::json(200, &json!({"status": "maintenance"})),
        Answer::text(301, "moved"),
        Answer::text(403, forged_lines()),
        Answer::json(400, &json!({"code": 0, "detail": forged_lines()})),
    ];
    html.into_iter().chain(api).collect()
}

/// 3 MB that would like to be lines of a log.
fn forged_lines() -> String {
    "\n2030-01-01T00:00:00Z  INFO forged \u{1b}[31m".repeat(70_000)
}

/// What the wallet's file says is lost, in sat.
fn lost(shop: &Shop) -> u64 {
    let open = rusqlite::Connection::open(shop.database()).unwrap();
    let lost = "SELECT coalesce(sum(net), 0) FROM l402_payment WHERE state = 3";
    open.query_row(lost, [], |row| row.get(0)).unwrap()
}

/// Payments that were granted survive whatever is answered to their swap, and are redeemed when the mint speaks again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_outlives_every_answer_that_is_not_the_mints() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, shop) = behind(rig, true);
    let till = shop.open().await;
    let mut paid = 0;
    for sat in [8, 5] {
        // The mint's keysets have to be known.
        pay(&till, &token(rig, &proxy, &shop, sat), sat).await.unwrap();
        paid += sat;
    }
    at_rest(&till).await;
    for answer in rude_answers() {
        proxy.answer("/v1/swap", answer);
        let before = proxy.count("/v1/swap");
        pay(&till, &token(rig, &proxy, &shop, 3), 3).await.unwrap();
        proxy.wait_for("/v1/swap", before + 1);
        paid += 3;
    }
    assert_eq!((total(&till).await, lost(&shop)), (paid, 0));
    proxy.polite();
    at_rest(&till).await;
    assert_eq!((total(&till).await, lost(&shop)), (paid, 0));
}

/// In plain mode the client is told to come back with the same token.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_blamed_for_an_answer_that_is_not_the_mints() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, shop) = behind(rig, false);
    let till = shop.open().await;
    let mut paid = 0;
    for answer in rude_answers() {
        let token = token(rig, &proxy, &shop, 4);
        for act in [false, true] {
            let answer = answer.clone();
            proxy.rule(move |asked| match asked.path.as_str() {
                "/v1/swap" if act => Act::Replace(answer.clone()),
                "/v1/swap" => Act::Answer(answer.clone()),
                _ => Act::Pass,
            });
            let outcome = pay(&till, &token, 4).await;
            let is_unavailable = matches!(outcome, Err(AcceptError::Unavailable(Unavailable::Mint { .. })));
            assert!(is_unavailable, "{outcome:?}");
        }
        proxy.polite();
        pay_in_the_end(&till, &token, 4).await;
        paid += 4;
        assert_eq!((total(&till).await, lost(&shop)), (paid, 0));
    }
}
