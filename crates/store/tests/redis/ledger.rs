//! Of which payment a piece of ecash is.

use std::time::Duration;

use store::{Entered, Ledger, RedisStore, StoreError};
use tempfile::TempDir;

use crate::{
    server::start_cluster,
    support::{cluster, open, single, start},
};

fn pieces(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

async fn enters_once(one: &RedisStore, other: &RedisStore) {
    let known = |note: &str| Ok::<_, StoreError>(Entered::Known(note.to_owned()));
    let (ab, bc, c) = (pieces(&["a", "b"]), pieces(&["b", "c"]), pieces(&["c"]));
    assert_eq!(one.enter(&ab, "first", None).await, Ok(Entered::New));
    for store in [one, other] {
        assert_eq!(store.enter(&ab, "second", None).await, known("first"));
        assert_eq!(store.enter(&bc, "second", None).await, Ok(Entered::Mixed));
        assert_eq!(store.enter(&pieces(&["b"]), "second", None).await, known("first"));
    }
    assert_eq!(other.enter(&c, "third", None).await, Ok(Entered::New), "nothing of a refused one is entered");
    other.withdraw(&c, "another's").await.unwrap();
    assert_eq!(one.enter(&c, "fourth", None).await, known("third"));
    one.confirm(&c, "third, paid", None).await.unwrap();
    assert_eq!(one.enter(&c, "fourth", None).await, known("third, paid"));
    other.withdraw(&c, "third, paid").await.unwrap();
    assert_eq!(one.enter(&c, "fourth", None).await, Ok(Entered::New));
}

#[tokio::test]
async fn hosts_enter_each_piece_once() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    enters_once(&open(single(redis.port())), &open(single(redis.port()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_of_a_cluster_do_too() {
    let dir = TempDir::new().unwrap();
    let nodes = start_cluster(dir.path());
    enters_once(&open(cluster(&nodes)), &open(cluster(&nodes))).await;
}

#[tokio::test]
async fn what_is_entered_for_a_while_is_out_after_it_unless_it_is_confirmed() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let store = open(single(redis.port()));
    let (kept, left) = (pieces(&["kept"]), pieces(&["left"]));
    for pieces in [&kept, &left] {
        assert_eq!(store.enter(pieces, "a", Some(Duration::from_secs(60))).await, Ok(Entered::New));
    }
    store.confirm(&kept, "a", None).await.unwrap();
    assert_eq!(redis.ask(&["PTTL", "{l402:ecash}:kept"]), "-1");
    assert_ne!(redis.ask(&["PTTL", "{l402:ecash}:left"]), "-1");
    redis.ask(&["PEXPIRE", "{l402:ecash}:left", "0"]);
    assert_eq!(store.enter(&left, "b", None).await, Ok(Entered::New));
}
