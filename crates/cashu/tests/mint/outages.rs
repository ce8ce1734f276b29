//! A mint that is away: nothing is lost, the same token may be tried again.

use std::time::Duration;

use ecash::AcceptError;
use serde_json::json;

use crate::rig::{FREE, Rig, repository};
use crate::support::{MINTS, Shop, at_rest, mints, pay, total};

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_is_down_or_hangs_costs_nobody_anything() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let mut shop = Shop::new(rig);
    let till = shop.open().await;
    let first = rig.token(FREE, 3, json!({}));
    pay(&till, &first, 3).await.unwrap();

    let (down, hangs) = (rig.token(FREE, 4, json!({})), rig.token(FREE, 5, json!({})));
    rig.control("stop", FREE);
    assert!(matches!(pay(&till, &down, 4).await, Err(AcceptError::Unavailable(_))));
    assert!(pay(&till, &first, 3).await.is_ok(), "what is paid stays paid");
    rig.control("start", FREE);
    assert!(pay(&till, &down, 4).await.is_ok());
    drop(till);

    let patient = shop.deadline;
    shop.deadline = Duration::from_secs(1);
    rig.control("pause", FREE);
    let till = shop.open().await;
    assert!(matches!(pay(&till, &hangs, 5).await, Err(AcceptError::Unavailable(_))));
    // What was sent is still in the mint's queue, and is swapped when it wakes up.
    drop(till);
    rig.control("resume", FREE);
    shop.deadline = patient;
    let till = shop.open().await;
    assert!(pay(&till, &hangs, 5).await.is_ok());
    assert_eq!(total(&till).await, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn ecash_that_is_locked_to_us_is_taken_while_its_mint_is_down() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = Shop::locked(rig);
    let lock = json!({"lock": shop.key()});
    let (known, unknown) = (rig.token(FREE, 6, lock.clone()), rig.token(FREE, 7, lock));
    let till = shop.open().await;
    pay(&till, &known, 6).await.unwrap();
    drop(till);
    rig.control("stop", FREE);
    // Its keysets are known from before.
    let till = shop.open().await;
    pay(&till, &unknown, 7).await.unwrap();
    assert_eq!(total(&till).await, 13);
    rig.control("start", FREE);
}

/// The mint comes back with other keys than those that are known, while payments are held: both are swapped for ecash of the new ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyset_that_is_retired_costs_no_payment() {
    if mints().is_none() {
        return;
    }
    // Others share theirs.
    let rig = Rig::start(repository());
    let (locked, plain) = (Shop::locked(&rig), Shop::new(&rig));
    let lock = json!({"lock": locked.key()});
    let tokens: Vec<_> = (0..3).map(|_| rig.token(FREE, 6, lock.clone())).collect();
    let [one, other] = [(); 2].map(|()| rig.token(FREE, 7, json!({})));
    let (till_of_locked, till_of_plain) = (locked.open().await, plain.open().await);
    pay(&till_of_plain, &one, 7).await.unwrap();
    pay(&till_of_locked, &tokens[0], 6).await.unwrap();
    at_rest(&till_of_locked).await;
    rig.control("stop", FREE);
    for token in &tokens[1..] {
        pay(&till_of_locked, token, 6).await.unwrap();
    }
    rig.ask(&json!({"do": "start", "mint": FREE, "retire": true}));
    // Whoever is told to come back comes back.
    let paid = async {
        while pay(&till_of_plain, &other, 7).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), paid).await.expect("the payment counts");
    assert_eq!(total(&till_of_plain).await, 14);
    at_rest(&till_of_locked).await;
    assert_eq!(total(&till_of_locked).await, 18);
}
