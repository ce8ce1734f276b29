//! Mints with many keysets, ended ones, ones of a newer version; mints that are written in two ways; mints that enforce no locks.

use std::sync::Arc;

use ecash::{AcceptError, Refusal, Till};
use serde_json::{Value, json};

use crate::melted::Other;
use crate::rig::{FEES, FREE, OLD, Rig, repository};
use crate::rude_mint::{Act, Answer, RudeMint};
use crate::support::{MINTS, Shop, at_rest, mints, pay, pay_in_the_end, total};

fn refused(why: Refusal) -> Result<ecash::Paid, AcceptError> {
    Err(AcceptError::Refused(why))
}

/// From now on the mint's list of keysets is this.
fn list(proxy: &RudeMint, change: impl Fn(&mut Vec<Value>) + Send + Sync + 'static) {
    let change = Arc::new(change);
    proxy.rule(move |asked| {
        if asked.path != "/v1/keysets" {
            return Act::Pass;
        }
        let change = change.clone();
        Act::Rewrite(Box::new(move |told| change(told["keysets"].as_array_mut().unwrap())))
    });
}

/// 200 keysets that the mint has retired, in several units; nobody has their keys.
fn retired() -> Vec<Value> {
    let keyset = |number: usize| {
        let unit = ["sat", "usd", "eur", "sat"][number % 4];
        json!({"id": format!("00{number:014x}"), "unit": unit, "active": false, "input_fee_ppk": 0})
    };
    (0..200).map(keyset).collect()
}

/// Of 201 retired keysets one is ours, the last: its ecash is taken, in either mode, paid out and restored.
#[tokio::test(flavor = "multi_thread")]
async fn ecash_of_one_retired_keyset_of_many_is_good() {
    if mints().is_none() {
        return;
    }
    // Others share theirs.
    let rig = Rig::start(repository());
    let shops = [false, true].map(|locked| Shop::behind(&rig, FREE, locked));
    let sats = [100, 37];
    let tokens: Vec<Vec<String>> = shops
        .iter()
        .map(|(proxy, shop)| sats.map(|sat| shop.token(&rig, FREE, proxy, sat, json!({}))).to_vec())
        .collect();
    // One is taken before: what is in the wallet is of the keyset that is retired then.
    for ((_, shop), tokens) in shops.iter().zip(&tokens) {
        let till = shop.open().await;
        pay(&till, &tokens[0], sats[0]).await.unwrap();
        at_rest(&till).await;
    }
    rig.control("stop", FREE);
    rig.ask(&json!({"do": "start", "mint": FREE, "retire": true}));
    for ((proxy, shop), tokens) in shops.iter().zip(&tokens) {
        list(proxy, |keysets| drop(keysets.splice(0..0, retired())));
        // A wallet that has learnt nothing yet, with the words of the one that has.
        shop.lose_the_file();
        let till = Till::at_rest(shop.options()).await.unwrap();
        let told = till.restore().await.unwrap().remove(0);
        // Each of the others costs itself.
        assert_eq!((told.restored_sat, told.errors.len()), (100, 100), "{:?}", told.errors.first());
        drop(till);
        let till = shop.open().await;
        pay_in_the_end(&till, &tokens[1], sats[1]).await;
        at_rest(&till).await;
        assert_eq!(total(&till).await, 137);
        let done = till.redeem(&Default::default(), &Other { rig: &rig, number: FEES }).await.unwrap();
        assert!(done.iter().all(|done| done.error.is_none()), "{done:?}");
        assert!(done.iter().map(|done| done.paid_sat).sum::<u64>() > 120, "{done:?}");
    }
}

/// While the keys of a retired keyset can't be had its ecash is no good yet; the client is not at fault.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_had_are_not_the_clients_fault() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, shop) = Shop::behind(rig, FREE, false);
    let token = shop.token(rig, FREE, &proxy, 4, json!({}));
    proxy.answer("/v1/keys/", Answer::html(404));
    let till = shop.open().await;
    assert!(matches!(pay(&till, &token, 4).await, Err(AcceptError::Unavailable(_))));
    proxy.polite();
    pay_in_the_end(&till, &token, 4).await;
}

/// What ends: nothing is taken of it when it has ended, nothing on sight when it ends soon, and what is in the wallet leaves it.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyset_that_ends_costs_nothing() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    // Ids of version 1 do not depend on their keyset's end.
    rig.start_old();
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let ends_in = |proxy: &RudeMint, seconds: i64| {
        let end = now().saturating_add_signed(seconds);
        list(proxy, move |keysets| keysets.iter_mut().for_each(|keyset| keyset["final_expiry"] = end.into()));
    };
    for locked in [false, true] {
        let (proxy, shop) = Shop::behind(rig, OLD, locked);
        let [ended, soon, later] =
            [8, 4, 2].map(|sat| shop.token(rig, OLD, &proxy, sat, json!({"fees": true})));
        ends_in(&proxy, -10);
        let till = shop.open().await;
        assert_eq!(pay(&till, &ended, 8).await, refused(Refusal::ExpiredKeyset));
        drop(till);
        ends_in(&proxy, 600);
        shop.lose_the_file();
        let till = shop.open().await;
        let before = proxy.count("/v1/swap");
        pay(&till, &soon, 4).await.unwrap();
        assert_eq!(proxy.count("/v1/swap"), before + 1, "its mint was asked first");
        drop(till);
        ends_in(&proxy, 86_400);
        shop.lose_the_file();
        let till = shop.open().await;
        pay(&till, &later, 2).await.unwrap();
        at_rest(&till).await;
    }
}

/// The wallet's ecash is exchanged before its keyset ends, once there is another.
#[tokio::test(flavor = "multi_thread")]
async fn the_wallets_ecash_leaves_a_keyset_that_ends() {
    if mints().is_none() {
        return;
    }
    let rig = Rig::start(repository());
    rig.start_old();
    let (proxy, shop) = Shop::behind(&rig, OLD, false);
    let till = shop.open().await;
    pay(&till, &shop.token(&rig, OLD, &proxy, 100, json!({"fees": true})), 100).await.unwrap();
    let before = total(&till).await;
    drop(till);
    rig.control("stop", OLD);
    rig.ask(&json!({"do": "start", "mint": OLD, "retire": true}));
    let end = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 86_400;
    list(&proxy, move |keysets| {
        let retired = keysets.iter_mut().filter(|keyset| keyset["active"] == false);
        retired.for_each(|keyset| keyset["final_expiry"] = end.into());
    });
    let till = shop.open().await;
    let keysets = "SELECT count(DISTINCT keyset_id) + 10 * count(DISTINCT (SELECT 1 FROM keyset
                     WHERE keyset.id = proof.keyset_id AND keyset.active = 0)) FROM proof WHERE state = 'UNSPENT'";
    let left = async {
        while shop.number(keysets) != 1 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(180), left).await.expect("exchanged");
    let after = total(&till).await;
    assert!(after <= before && after + 2 >= before, "{before} sat became {after}");
    let owned = till.balance().await.unwrap().remove(0).payees;
    assert_eq!(owned.get(crate::support::PAYEE), Some(&after), "it is its payee's still");
}

/// A mint that lists its retired keysets no more, in the middle of swaps for outputs of one of them: other outputs are taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyset_that_is_listed_no_more_costs_no_payment() {
    if mints().is_none() {
        return;
    }
    let rig = Rig::start(repository());
    let shops = [false, true].map(|locked| Shop::behind(&rig, FREE, locked));
    let mut tokens = Vec::new();
    for (proxy, shop) in &shops {
        proxy.answer("/v1/swap", Answer::html(403));
        let till = shop.open().await;
        let token = shop.token(&rig, FREE, proxy, 4, json!({}));
        let outcome = pay(&till, &token, 4).await;
        assert_eq!(outcome.is_ok(), shop.lock().is_some(), "{outcome:?}");
        proxy.wait_for("/v1/swap", 1);
        tokens.push(token);
    }
    rig.control("stop", FREE);
    rig.ask(&json!({"do": "start", "mint": FREE, "retire": true}));
    for ((proxy, shop), token) in shops.iter().zip(&tokens) {
        list(proxy, |keysets| keysets.retain(|keyset| keyset["active"] == true));
        let till = shop.open().await;
        pay_in_the_end(&till, token, 4).await;
        at_rest(&till).await;
        assert_eq!((total(&till).await, shop.lost()), (4, 0));
    }
}

/// Keysets whose ids are of version 3 are refused by name, and are in nobody's way.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyset_of_a_newer_version_is_refused_by_name() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    for locked in [false, true] {
        let (proxy, shop) = Shop::behind(rig, FREE, locked);
        let newer =
            |active: bool| json!({"id": format!("02{}", "ab".repeat(32)), "unit": "sat", "active": active});
        list(&proxy, move |keysets| keysets.insert(0, newer(true)));
        let till = shop.open().await;
        let token = shop.token(rig, FREE, &proxy, 4, json!({}));
        pay(&till, &token, 4).await.unwrap();
        at_rest(&till).await;
        drop(till);
        // It is the only one that is in use.
        list(&proxy, move |keysets| {
            keysets.iter_mut().for_each(|keyset| keyset["active"] = false.into());
            keysets.insert(0, newer(true));
        });
        // A wallet that remembers no other.
        let till = Shop::of_key(&shop).open().await;
        let token = shop.token(rig, FREE, &proxy, 4, json!({}));
        assert_eq!(pay(&till, &token, 4).await, refused(Refusal::NewerKeyset));
    }
    // Of the two encodings, each with an id that says 02.
    let (proxy, shop) = Shop::behind(rig, FREE, false);
    let till = shop.open().await;
    for legacy in [false, true] {
        let token = rig.reencode(
            &rig.token(FREE, 4, json!({})),
            json!({"url": proxy.url, "legacy": legacy, "keyset": format!("02{}", "ab".repeat(7))}),
        );
        assert_eq!(pay(&till, &token, 4).await, refused(Refusal::NewerKeyset), "{token}");
    }
}

/// A mint that does not say that it enforces locks is refused where they are required, and is not named in requests.
#[tokio::test(flavor = "multi_thread")]
async fn a_mint_without_locks_is_refused_where_they_are_required() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, mut shop) = Shop::behind(rig, FREE, true);
    let without = |proxy: &RudeMint| {
        proxy.rule(|asked| match asked.path.as_str() {
            "/v1/info" => {
                Act::Rewrite(Box::new(|told| drop(told["nuts"].as_object_mut().unwrap().remove("11"))))
            }
            _ => Act::Pass,
        });
    };
    without(&proxy);
    let till = shop.open().await;
    let token = shop.token(rig, FREE, &proxy, 4, json!({}));
    assert_eq!(pay(&till, &token, 4).await, refused(Refusal::NoLocks));
    assert_eq!(till.request(4000), None, "no mint is left");
    drop(till);
    // With another mint beside it, that one is asked for.
    shop.terms.mints.push(rig.urls[FEES].parse().unwrap());
    let till = shop.open().await;
    let request: cdk::nuts::PaymentRequest = till.request(4000).unwrap().parse().unwrap();
    assert_eq!(request.mints.iter().map(ToString::to_string).collect::<Vec<_>>(), [rig.urls[FEES].as_str()]);
    drop(till);
    // It is not to be heard: what it said holds. Nothing is taken that it never said.
    proxy.answer("/v1/info", Answer::html(403));
    let till = shop.open().await;
    assert_eq!(pay(&till, &token, 4).await, refused(Refusal::NoLocks));
    let fresh = Shop::of_key(&shop).open().await;
    assert!(matches!(pay(&fresh, &token, 4).await, Err(AcceptError::Unavailable(_))));
    drop((till, fresh));
    proxy.polite();
    let till = Shop::of_key(&shop).open().await;
    pay_in_the_end(&till, &token, 4).await;
    // Plain ecash needs no locks.
    let (proxy, shop) = Shop::behind(rig, FREE, false);
    without(&proxy);
    let till = shop.open().await;
    pay(&till, &shop.token(rig, FREE, &proxy, 4, json!({})), 4).await.unwrap();
}

/// The same mint, however a token and the configuration write its address.
#[tokio::test(flavor = "multi_thread")]
async fn a_mint_is_one_however_it_is_written() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let (proxy, mut shop) = Shop::behind(rig, FREE, false);
    let loud = proxy.url.replace("http://", "HTTP://");
    shop.terms.mints = [format!("{}/", proxy.url), loud.clone()].map(|url| url.parse().unwrap()).to_vec();
    let till = shop.open().await;
    assert_eq!(till.balance().await.unwrap().len(), 1);
    for url in [format!("{}//", proxy.url), loud] {
        let token = rig.reencode(&rig.token(FREE, 4, json!({})), json!({"url": url}));
        pay(&till, &token, 4).await.unwrap();
    }
    assert_eq!(total(&till).await, 8);
}
