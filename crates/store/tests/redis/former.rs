//! The former module's keys: what it has spent and seen settled counts here, and the other way round.

use std::time::Duration;

use l402::Preimage;
use store::{Claim, Claimed, Settled, Store, redis::RedisOptions};
use tempfile::TempDir;

use crate::support::{hash, hex, id, open, open_with, single, single_use, start};

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
