//! The former module's keys: what it has spent and seen settled counts here, and the other way round; and which hosts share.

use std::time::Duration;

use l402::Preimage;
use store::{Claim, Claimed, Settled, Store, redis::RedisOptions};
use tempfile::TempDir;

use crate::{
    server::start_cluster,
    support::{cluster, hash, hex, id, open, open_with, single, single_use, start},
};

#[tokio::test]
async fn what_was_spent_under_it_is_spent_for_good() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let store = open(single(redis.port()));
    let key = format!("l402:preimage:{}", hex(hash(1)));
    redis.ask(&["SET", &key, "used", "EX", "86400"]);
    assert_eq!(store.claim(single_use(1, 1)).await, Ok(Claimed::UsedUp));
    assert_eq!(redis.ask(&["TTL", &key]), "-1", "it does not die before its token");
    assert_eq!(store.release(hash(1), id(1)).await, Ok(false));
    assert_eq!(redis.ask(&["GET", &key]), "used");

    // It asks whether the key is there.
    store.claim(single_use(2, 2)).await.unwrap();
    let key = format!("l402:preimage:{}", hex(hash(2)));
    assert_eq!((redis.ask(&["EXISTS", &key]), redis.ask(&["TTL", &key])), ("1".into(), "-1".into()));
    store.release(hash(2), id(2)).await.unwrap();
    assert_eq!(redis.ask(&["EXISTS", &key]), "0");
}

#[tokio::test]
async fn what_it_saw_settled_is_settled() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let store = open(single(redis.port()));
    let preimage = Preimage::from_bytes([9; 32]);
    let payment = preimage.payment_hash();
    redis.ask(&["SET", &format!("l402:settled:{payment}"), &preimage.expose_hex(), "EX", "86400"]);
    let settled = store.settled_get(payment.0).await.unwrap().unwrap();
    assert_eq!(settled, Settled { preimage: Some([9; 32]), received_msat: 0, at: 0 });
    // Not the payment's own, or none at all.
    for wrong in [&preimage.expose_hex(), "", "yes", &"00".repeat(32)] {
        redis.ask(&["SET", &format!("l402:settled:{}", hex(hash(3))), wrong]);
        assert_eq!(store.settled_get(hash(3)).await, Ok(None));
    }
    // What is written here is what it reads.
    let ours = Preimage::from_bytes([8; 32]);
    let settled = Settled { preimage: Some([8; 32]), received_msat: 5, at: 6 };
    store.settled_put(ours.payment_hash().0, settled.clone()).await.unwrap();
    let key = format!("l402:settled:{}", ours.payment_hash());
    assert_eq!(redis.ask(&["GET", &key]), ours.expose_hex());
    assert_eq!(redis.ask(&["TTL", &key]), "-1");
    assert_eq!(store.settled_get(ours.payment_hash().0).await, Ok(Some(settled)));
}

#[tokio::test]
async fn a_time_to_live_concerns_settlements_and_never_what_was_drawn() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let options = RedisOptions {
        keep_settled: Some(Duration::from_secs(60)),
        ..RedisOptions::new(single(redis.port()))
    };
    let store = open_with(options);
    store.settled_put(hash(1), Settled { preimage: Some([8; 32]), received_msat: 5, at: 6 }).await.unwrap();
    for request in [1, 2] {
        store.claim(Claim { limit: 2, ..single_use(1, request) }).await.unwrap();
    }
    let ttl = |key: String| redis.ask(&["TTL", &key]).parse::<i64>().unwrap();
    let hex = hex(hash(1));
    assert!((1..=60).contains(&ttl(format!("l402:settled:{hex}"))));
    assert!((1..=60).contains(&ttl(format!("{{l402:settled:{hex}}}:record"))));
    assert_eq!(ttl(format!("l402:preimage:{hex}")), -1);
    assert!((3000..=3600).contains(&ttl(format!("{{l402:preimage:{hex}}}:{:032x}", 1))));
}

/// A client's preimage is there for other hosts with the draw; in a Cluster soon after.
#[tokio::test(flavor = "multi_thread")]
async fn a_preimage_is_told_with_the_draw() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let preimage = |n: u8| Preimage::from_bytes([n; 32]);
    let key = |n: u8| format!("l402:settled:{}", preimage(n).payment_hash());
    let claim =
        |n: u8, request| Claim { payment_hash: preimage(n).payment_hash().0, ..single_use(0, request) };
    let granted = Ok(Claimed::Granted { remaining: 0 });

    let store = open(single(redis.port()));
    assert_eq!(store.claim(claim(1, 1)).await, granted);
    assert_eq!(store.claim_proved(claim(1, 2), preimage(1)).await, Ok(Claimed::UsedUp));
    assert_eq!(redis.ask(&["EXISTS", &key(1)]), "0", "nothing was drawn");
    assert_eq!(store.claim_proved(claim(2, 3), preimage(2)).await, granted);
    assert_eq!(redis.ask(&["GET", &key(2)]), preimage(2).expose_hex());
    assert_eq!(redis.ask(&["TTL", &key(2)]), "-1");
    let told = store.settled_get(claim(2, 3).payment_hash).await.unwrap().unwrap();
    assert_eq!(told, Settled { preimage: Some([2; 32]), received_msat: 0, at: 0 });

    let keep_settled = Some(Duration::from_secs(60));
    let store = open_with(RedisOptions { keep_settled, ..RedisOptions::new(single(redis.port())) });
    assert_eq!(store.claim_proved(claim(3, 4), preimage(3)).await, granted);
    assert_eq!(redis.ask(&["GET", &key(3)]), preimage(3).expose_hex());
    assert!((1..=60).contains(&redis.ask(&["TTL", &key(3)]).parse().unwrap()));

    let nodes = start_cluster(&dir.path().join("cluster"));
    let store = open(cluster(&nodes));
    assert_eq!(store.claim_proved(claim(4, 5), preimage(4)).await, granted);
    while store.settled_get(claim(4, 5).payment_hash).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}
