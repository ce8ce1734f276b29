//! A mint that misbehaves, or something before it that speaks in its place: nothing is lost, nobody is blamed who is not at fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ecash::{AcceptError, Refusal, Till, Unavailable};
use serde_json::json;

use crate::rig::FREE;
use crate::rude_mint::{Act, Answer, Asked};
use crate::support::{MINTS, Shop, at_rest, mints, pay, pay_in_the_end, total};

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

/// Waits until nothing is held, or what is held was tried and is to be tried later.
async fn until_tried(shop: &Shop) {
    let waiting = "SELECT count(*) FROM l402_payment WHERE state = 1 AND tries = 0";
    let tried = async {
        while shop.number(waiting) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), tried).await.expect("tried");
}

/// Payments that were granted survive whatever is answered to their swap, and are redeemed when the mint speaks again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_outlives_every_answer_that_is_not_the_mints() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, shop) = Shop::behind(rig, FREE, true);
    let till = shop.open().await;
    let mut paid = 0;
    for sat in [8, 5] {
        // The mint's keysets have to be known.
        pay(&till, &shop.token(rig, FREE, &proxy, sat, json!({})), sat).await.unwrap();
        paid += sat;
    }
    at_rest(&till).await;
    for answer in rude_answers() {
        proxy.answer("/v1/swap", answer);
        let before = proxy.count("/v1/swap");
        pay(&till, &shop.token(rig, FREE, &proxy, 3, json!({})), 3).await.unwrap();
        proxy.wait_for("/v1/swap", before + 1);
        paid += 3;
    }
    assert_eq!((total(&till).await, shop.lost()), (paid, 0));
    proxy.polite();
    at_rest(&till).await;
    assert_eq!((total(&till).await, shop.lost()), (paid, 0));
}

/// In plain mode the client is told to come back with the same token.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_blamed_for_an_answer_that_is_not_the_mints() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, shop) = Shop::behind(rig, FREE, false);
    let till = shop.open().await;
    let mut paid = 0;
    for answer in rude_answers() {
        let token = shop.token(rig, FREE, &proxy, 4, json!({}));
        for act in [false, true] {
            let answer = answer.clone();
            proxy.rule(move |asked| match asked.path.as_str() {
                "/v1/swap" if act => Act::Replace(answer.clone()),
                "/v1/swap" => Act::Answer(answer.clone()),
                _ => Act::Pass,
            });
            let outcome = pay(&till, &token, 4).await;
            let Err(AcceptError::Unavailable(Unavailable::Mint { reason, .. })) = outcome else {
                panic!("{outcome:?}")
            };
            assert!(reason.len() < 1000 && !reason.contains(['\n', '\u{1b}']), "{reason}");
        }
        proxy.polite();
        pay_in_the_end(&till, &token, 4).await;
        paid += 4;
        assert_eq!((total(&till).await, shop.lost()), (paid, 0));
    }
}

/// Whatever is answered in the mint's place to everything: clients are told to come back, and what is held stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_mint_of_which_nothing_can_be_heard_costs_nothing() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    for locked in [false, true] {
        let (proxy, shop) = Shop::behind(rig, FREE, locked);
        let token = shop.token(rig, FREE, &proxy, 4, json!({}));
        for answer in [Answer::html(403), Answer::text(200, forged_lines()), Answer::html(429)] {
            proxy.answer("/", answer);
            let till = shop.open().await;
            let outcome = pay(&till, &token, 4).await;
            assert!(
                matches!(outcome, Err(AcceptError::Unavailable(Unavailable::Mint { .. }))),
                "{outcome:?}"
            );
        }
        proxy.polite();
        let till = shop.open().await;
        pay_in_the_end(&till, &token, 4).await;
        at_rest(&till).await;
        assert_eq!((total(&till).await, shop.lost()), (4, 0));
    }
}

/// Something before the mint dislikes one payment: it costs no other, and is redeemed when it is let through.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_never_gets_through_is_in_nobodys_way() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, shop) = Shop::behind(rig, FREE, true);
    let till = shop.open().await;
    let (disliked, secrets) = rig.token_with_secrets(FREE, 16, json!({"lock": shop.key()}));
    let disliked = rig.reencode(&disliked, json!({"url": proxy.url}));
    let blocks = move |asked: &Asked| {
        let text = asked.body["inputs"].to_string();
        asked.path == "/v1/swap" && secrets.iter().any(|secret| text.contains(&json!(secret).to_string()))
    };
    proxy.rule(move |asked| if blocks(asked) { Act::Answer(Answer::html(403)) } else { Act::Pass });
    pay(&till, &disliked, 16).await.unwrap();
    for _ in 0..3 {
        pay(&till, &shop.token(rig, FREE, &proxy, 4, json!({})), 4).await.unwrap();
    }
    let others = async {
        while till.balance().await.unwrap()[0].held_sat > 16 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), others).await.expect("the others are redeemed");
    until_tried(&shop).await;
    let balance = till.balance().await.unwrap().remove(0);
    assert_eq!((balance.wallet_sat, balance.held_sat, balance.lost_sat), (12, 16, 0));
    proxy.polite();
    // Its next try is some time away: another process does not wait for it.
    shop.try_again_now();
    drop(till);
    let till = shop.open().await;
    at_rest(&till).await;
    assert_eq!(total(&till).await, 28);
}

/// The mint refuses with a code of its own what it calls unspent: it is held, and tried again.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_mint_calls_unspent_is_never_lost() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    for code in [10001, 11005, 12001, 20008, 30001, 50000, 0] {
        let (proxy, shop) = Shop::behind(rig, FREE, true);
        let till = shop.open().await;
        proxy.answer("/v1/swap", Answer::error(code, "no"));
        for sat in [4, 2] {
            pay(&till, &shop.token(rig, FREE, &proxy, sat, json!({})), sat).await.unwrap();
        }
        until_tried(&shop).await;
        let balance = till.balance().await.unwrap().remove(0);
        assert_eq!((balance.held_sat, balance.lost_sat), (6, 0), "{code}");
        drop(till);
        proxy.polite();
        shop.try_again_now();
        let till = shop.open().await;
        at_rest(&till).await;
        assert_eq!((total(&till).await, shop.lost()), (6, 0), "{code}");
    }
}

/// A swap that went through and whose answer was replaced by a refusal is found, also after its payments were tried alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_swapped_behind_a_refusal_is_found() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    for answer in [Answer::error(10001, "no"), Answer::error(0, "no"), Answer::html(403), Answer::html(413)] {
        let (proxy, shop) = Shop::behind(rig, FREE, true);
        let till = shop.open().await;
        proxy.rule(
            move |asked| {
                if asked.path == "/v1/swap" { Act::Replace(answer.clone()) } else { Act::Pass }
            },
        );
        for sat in [4, 2, 1] {
            pay(&till, &shop.token(rig, FREE, &proxy, sat, json!({})), sat).await.unwrap();
        }
        at_rest(&till).await;
        assert_eq!((total(&till).await, shop.lost()), (7, 0));
        let gone = "SELECT count(*) FROM l402_payment WHERE state <> 2";
        assert_eq!(shop.number(gone), 0);
    }
}

/// What an earlier version took for lost, and what somebody else has spent: the balance says so, and a retry tells them apart.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_shown_and_tried_again() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, shop) = Shop::behind(rig, FREE, true);
    let till = shop.open().await;
    proxy.answer("/v1/swap", Answer::html(403));
    let tokens = [8, 4].map(|sat| (shop.token(rig, FREE, &proxy, sat, json!({})), sat));
    for (token, sat) in &tokens {
        pay(&till, token, *sat).await.unwrap();
    }
    // Both bundled, and recorded as the earlier version would have.
    proxy.wait_for("/v1/swap", 1);
    drop(till);
    shop.change("UPDATE l402_payment SET state = 3, bundle = 0; DELETE FROM l402_bundle");
    assert_eq!(shop.lost(), 12);
    let at_rest_till = Till::at_rest(shop.options()).await.unwrap();
    // The mint is not to be heard: nothing changes.
    proxy.answer("/v1/checkstate", Answer::html(403));
    let told = at_rest_till.retry().await.unwrap().remove(0);
    assert!(told.error.is_some() && told.lost_sat == 12, "{told:?}");
    // It answers, and does not swap: they are held again, and paid for as ever.
    proxy.answer("/v1/swap", Answer::html(403));
    let told = at_rest_till.retry().await.unwrap().remove(0);
    assert!(told.recovered_sat + told.lost_sat == 4 || told.held_sat > 0, "{told:?}");
    assert_eq!(told.lost_sat + told.held_sat, 12, "{told:?}");
    // Somebody else has one of them, with our key.
    let thief = Shop::of_key(&shop).open().await;
    proxy.polite();
    pay(&thief, &tokens[1].0, 4).await.unwrap();
    at_rest(&thief).await;
    shop.change("UPDATE l402_payment SET state = 3");
    let told = at_rest_till.retry().await.unwrap().remove(0);
    assert_eq!((told.recovered_sat, told.lost_sat, &told.error), (8, 4, &None), "{told:?}");
    let again = at_rest_till.retry().await.unwrap().remove(0);
    assert_eq!((again.recovered_sat, again.lost_sat), (0, 4), "{again:?}");
    let balance = at_rest_till.balance().await.unwrap().remove(0);
    assert_eq!((balance.wallet_sat, balance.held_sat, balance.lost_sat), (8, 0, 4));
}

/// Somebody else has spent one of a payment's proofs: the others are redeemed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_payment_is_redeemed() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, shop) = Shop::behind(rig, FREE, true);
    let till = shop.open().await;
    let token = shop.token(rig, FREE, &proxy, 13, json!({}));
    let largest = rig.reencode(&token, json!({"largest": true}));
    let thief = Shop::of_key(&shop).open().await;
    pay(&thief, &largest, 8).await.unwrap();
    at_rest(&thief).await;
    pay(&till, &token, 13).await.unwrap();
    at_rest(&till).await;
    let balance = till.balance().await.unwrap().remove(0);
    assert_eq!((balance.wallet_sat, balance.lost_sat), (5, 8));
}

/// A mint that limits how often it is asked is left alone for as long as it says, and clients are told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_is_asked_too_often_is_left_alone() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, shop) = Shop::behind(rig, FREE, false);
    let till = shop.open().await;
    pay_in_the_end(&till, &shop.token(rig, FREE, &proxy, 1, json!({})), 1).await;
    proxy.answer("/v1/swap", Answer::html(429).retry_after(100));
    let tokens = [2, 4].map(|sat| (shop.token(rig, FREE, &proxy, sat, json!({})), sat));
    let before = proxy.count("/");
    for (token, sat) in &tokens {
        let outcome = pay(&till, token, *sat).await;
        let Err(AcceptError::Unavailable(Unavailable::Mint { retry_after_s, .. })) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(retry_after_s.is_some_and(|seconds| (90..=100).contains(&seconds)), "{retry_after_s:?}");
    }
    assert_eq!(proxy.count("/"), before + 1, "the second payment asks nothing");
    proxy.polite();
    drop(till);
    let till = shop.open().await;
    for (token, sat) in &tokens {
        pay_in_the_end(&till, token, *sat).await;
    }
    assert_eq!(total(&till).await, 7);
}

/// A mint whose swaps hang: each is given up at the deadline, everything else goes on, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_mint_whose_swaps_hang_costs_nothing() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    for locked in [false, true] {
        let (proxy, mut shop) = Shop::behind(rig, FREE, locked);
        shop.deadline = Duration::from_secs(1);
        let token = shop.token(rig, FREE, &proxy, 4, json!({}));
        proxy.rule(|asked| if asked.path == "/v1/swap" { Act::Hang } else { Act::Pass });
        let till = shop.open().await;
        let outcome = pay(&till, &token, 4).await;
        assert_eq!(outcome.is_ok(), locked, "{outcome:?}");
        proxy.wait_for("/v1/swap", 1);
        if locked {
            until_tried(&shop).await;
        }
        drop(till);
        proxy.polite();
        shop.try_again_now();
        shop.deadline = Duration::from_secs(120);
        let till = shop.open().await;
        pay_in_the_end(&till, &token, 4).await;
        at_rest(&till).await;
        assert_eq!((total(&till).await, shop.lost()), (4, 0));
    }
}

/// As much is held as may be: more is refused, until some is redeemed.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_held_than_may_be() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, mut shop) = Shop::behind(rig, FREE, true);
    shop.max_held_sat = 20;
    let is_away = Arc::new(AtomicBool::new(true));
    let away = is_away.clone();
    proxy.rule(move |asked| {
        let refuse = asked.path == "/v1/swap" && away.load(Ordering::SeqCst);
        if refuse { Act::Answer(Answer::html(503)) } else { Act::Pass }
    });
    let till = shop.open().await;
    let tokens = [12, 8, 1].map(|sat| (shop.token(rig, FREE, &proxy, sat, json!({})), sat));
    for (token, sat) in &tokens[..2] {
        pay(&till, token, *sat).await.unwrap();
    }
    let (more, sat) = &tokens[2];
    assert_eq!(pay(&till, more, *sat).await, Err(AcceptError::Refused(Refusal::TooMuchHeld)));
    pay(&till, &tokens[0].0, 12).await.expect("what was taken is a payment still");
    is_away.store(false, Ordering::SeqCst);
    at_rest(&till).await;
    pay(&till, more, *sat).await.unwrap();
    at_rest(&till).await;
    assert_eq!(total(&till).await, 21);
}
