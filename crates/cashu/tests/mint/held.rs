//! P2PK mode: a token that only we can spend counts at once, and is redeemed in the background.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ecash::{AcceptError, Refusal, SecretKey, Till};
use serde_json::json;

use crate::rig::{FEES, FREE};
use crate::support::{MINTS, Shop, at_rest, mints, pay, total};

fn in_seconds(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    now.saturating_add_signed(seconds).to_string()
}

async fn redeemed(till: &Till, sat: u64) {
    let done = async {
        while till.balance().await.unwrap().iter().map(|mint| mint.wallet_sat).sum::<u64>() < sat {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), done).await.expect("redeemed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_to_us_is_taken_and_redeemed() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let shop = Shop::locked(rig);
    let till = shop.open().await;
    let (day, refund) = (in_seconds(86_400), SecretKey::generate().public_key().to_hex());
    let mut sum = 0;
    for (sat, tags) in [
        (1, json!([])),
        (20, json!([["sigflag", "SIG_INPUTS"]])),
        (300, json!([["locktime", day]])),
        (4000, json!([["locktime", day], ["refund", refund]])),
    ] {
        let token = rig.token(FREE, sat, json!({"lock": shop.key(), "tags": tags}));
        let paid = pay(&till, &token, sat).await.unwrap();
        assert_eq!(pay(&till, &token, sat).await.unwrap(), paid);
        sum += sat;
        assert_eq!(total(&till).await, sum);
    }
    let token = rig.token(FEES, 50, json!({"lock": shop.key(), "fees": true}));
    pay(&till, &token, 50).await.unwrap();
    redeemed(&till, sum + 50).await;
    assert_eq!(total(&till).await, sum + 50);
}

/// While the mint is away payments come in; when it is back they are redeemed in one swap, which costs less than their own.
#[tokio::test(flavor = "multi_thread")]
async fn many_are_redeemed_together() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = Shop::locked(rig);
    let till = shop.open().await;
    let kind = json!({"lock": shop.key(), "fees": true});
    let tokens: Vec<_> = (0..7).map(|_| rig.token(FEES, 4, kind.clone())).collect();
    // Its keysets are known from then on.
    pay(&till, &tokens[6], 4).await.unwrap();
    redeemed(&till, 4).await;
    rig.control("stop", FEES);
    for token in &tokens[..6] {
        pay(&till, token, 4).await.unwrap();
    }
    rig.control("start", FEES);
    at_rest(&till).await;
    let wallet = total(&till).await;
    // One or more proofs each, a fee of at least 1 sat each if alone; together it is a tenth of a sat for each.
    assert!(wallet > 7 * 4 + 3, "{wallet}");
}

/// One whose ecash is gone, of those that are redeemed together: the others are redeemed, and it is told.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_gone_costs_no_other() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = Shop::locked(rig);
    let till = shop.open().await;
    let tokens: Vec<_> = (0..4).map(|_| rig.token(FREE, 4, json!({"lock": shop.key()}))).collect();
    // A wallet with the same key and other words has had it.
    let other = Shop::of_key(&shop);
    let thief = other.open().await;
    pay(&thief, &tokens[0], 4).await.unwrap();
    redeemed(&thief, 4).await;
    rig.control("stop", FREE);
    for token in &tokens {
        pay(&till, token, 4).await.unwrap();
    }
    rig.control("start", FREE);
    at_rest(&till).await;
    assert_eq!(total(&till).await, 12);
    assert_eq!(total(&thief).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_could_spend_is_refused() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let shop = Shop::locked(rig);
    let till = shop.open().await;
    let other = SecretKey::generate().public_key().to_hex();
    let key = shop.key();
    for (lock, tags, why) in [
        (&other, json!([]), Refusal::LockedToOther),
        (&key, json!([["locktime", in_seconds(-10)]]), Refusal::Locktime),
        (&key, json!([["locktime", in_seconds(600)]]), Refusal::Locktime),
        (&key, json!([["locktime", in_seconds(600)], ["refund", other]]), Refusal::Locktime),
        (&key, json!([["pubkeys", other], ["n_sigs", "2"]]), Refusal::LockTerms),
        (&key, json!([["pubkeys", other]]), Refusal::LockTerms),
        (&key, json!([["sigflag", "SIG_ALL"]]), Refusal::LockTerms),
    ] {
        let token = rig.token(FREE, 4, json!({"lock": lock, "tags": tags}));
        assert_eq!(pay(&till, &token, 4).await, Err(AcceptError::Refused(why)), "{tags}");
    }
    let plain = rig.token(FREE, 4, json!({}));
    assert_eq!(pay(&till, &plain, 4).await, Err(AcceptError::Refused(Refusal::NotLocked)));
    let good = rig.token(FREE, 4, json!({"lock": key}));
    let bare = rig.reencode(&good, json!({"dleq": false}));
    assert_eq!(pay(&till, &bare, 4).await, Err(AcceptError::Refused(Refusal::NoDleq)));
    let forged = rig.reencode(&good, json!({"forge": true}));
    assert_eq!(pay(&till, &forged, 4).await, Err(AcceptError::Refused(Refusal::WrongDleq)));
    assert_eq!(total(&till).await, 0);
}
