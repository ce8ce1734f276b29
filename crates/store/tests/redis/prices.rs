//! What an operator lists for a path.

use store::{Listed, Prices, StoreError};
use tempfile::TempDir;

use crate::{
    server::{Redis, start_cluster},
    support::{cluster, open, single, start},
};

fn listed(price: Option<&str>, payee: Option<&str>) -> Result<Listed, StoreError> {
    Ok(Listed { price: price.map(Into::into), payee: payee.map(Into::into) })
}

#[tokio::test]
async fn it_is_read_as_it_is_now() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let store = open(single(redis.port()));
    assert_eq!(store.listed("/a").await, listed(None, None));
    redis.ask(&["SET", "/a", "15000"]);
    assert_eq!(store.listed("/a").await, listed(Some("15000"), None));
    redis.ask(&["SET", "lnurl:/a", "alice@example.com"]);
    assert_eq!(store.listed("/a").await, listed(Some("15000"), Some("alice@example.com")));
    assert_eq!(store.listed("/a/").await, listed(None, None), "another path");
    redis.ask(&["DEL", "/a"]);
    assert_eq!(store.listed("/a").await, listed(None, Some("alice@example.com")));
    // Something else of the operator's.
    redis.ask(&["RPUSH", "/list", "1"]);
    assert_eq!(store.listed("/list").await, listed(Some("(not a string)"), None));
    assert_eq!(store.listed("/a").await, listed(None, Some("alice@example.com")), "it goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_asked_wherever_the_keys_are() {
    let dir = TempDir::new().unwrap();
    let nodes = start_cluster(dir.path());
    let store = open(cluster(&nodes));
    let set = |key: &str, value: &str| {
        let set = |node: &Redis| node.ask(&["SET", key, value]) == "OK";
        assert_eq!(nodes.iter().filter(|node| set(node)).count(), 1, "{key}");
    };
    for n in 0..10 {
        let path = format!("/{n}");
        set(&path, "7");
        set(&format!("lnurl:{path}"), "bob@example.com");
        assert_eq!(store.listed(&path).await, listed(Some("7"), Some("bob@example.com")));
    }
}

#[tokio::test]
async fn a_redis_that_is_gone_is_an_error() {
    let dir = TempDir::new().unwrap();
    let mut redis = start(dir.path());
    let store = open(single(redis.port()));
    assert_eq!(store.listed("/a").await, listed(None, None));
    redis.kill();
    store.listed("/a").await.unwrap_err();
}
