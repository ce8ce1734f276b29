//! A mint that is away: nothing is lost, the same token may be tried again.

use std::time::Duration;

use ecash::AcceptError;
use serde_json::json;

use crate::rig::FREE;
use crate::support::{MINTS, Shop, mints, pay, total};

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
