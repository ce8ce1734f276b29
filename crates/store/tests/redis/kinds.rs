//! The conformance suite on each kind of server, and who may not come in.

use std::fs;

use store::{
    Claimed, Listed, Prices, Store, StoreError,
    redis::{Host, Servers, Topology},
};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::{
    server::{Redis, Watched, start_cluster},
    support::{cluster, open, passes, sentinel, single, single_use, start},
};

#[tokio::test(flavor = "multi_thread")]
async fn one_server_passes() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    passes(&single(redis.port()), &[&redis]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_and_another_database_pass() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("redis.sock");
    let redis = Redis::start(&dir.path().join("redis"), &format!("unixsocket {}", path.display()));
    passes(&Servers { hosts: vec![Host::Unix(path)], db: 3, ..Servers::default() }, &[&redis]).await;
    redis.wait_for(&["INFO", "keyspace"], "db3:keys=");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acl_user_passes_with_what_it_needs_and_nobody_without_the_password() {
    let dir = TempDir::new().unwrap();
    let guide = include_str!("../../../../docs/guides/redis.md");
    let user = guide.lines().find(|line| line.starts_with("user l402 ")).expect("the guide gives the user");
    let acl = format!("{user}\nuser default on >other ~* +@all");
    let mut redis = Redis::start(&dir.path().join("redis"), &acl);
    redis.log_in("AUTH default other");
    let login = |password: &str| Servers {
        user: Some("l402".into()),
        password: Some(Zeroizing::new(password.into())),
        ..single(redis.port())
    };
    passes(&login("hunter2"), &[&redis]).await;
    assert_eq!(open(login("hunter2")).listed("/a").await, Ok(Listed::default()));
    for wrong in [login("hunter3"), single(redis.port())] {
        let refused = open(wrong).claim(single_use(1, 1)).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotCarriedOut(_)), "{refused}");
        assert!(!refused.to_string().contains("hunter"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_passes_and_a_stranger_is_not_trusted() {
    let dir = TempDir::new().unwrap();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert_path, key_path) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    fs::write(&cert_path, cert.pem()).unwrap();
    fs::write(&key_path, signing_key.serialize_pem()).unwrap();
    let port = crate::server::free_port();
    let more = format!(
        "tls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-auth-clients no\ntls-ca-cert-file {}",
        cert_path.display(),
        key_path.display(),
        cert_path.display()
    );
    let redis = Redis::start(&dir.path().join("redis"), &more);
    let servers = |ca: Option<String>| Servers {
        hosts: vec![Host::Tcp("localhost".into(), port)],
        tls: true,
        ca: ca.map(String::into_bytes),
        ..Servers::default()
    };
    passes(&servers(Some(cert.pem())), &[&redis]).await;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    for ca in [Some(other), None] {
        let refused = open(servers(ca)).claim(single_use(1, 1)).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotCarriedOut(_)), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_passes() {
    let dir = TempDir::new().unwrap();
    let nodes = start_cluster(dir.path());
    passes(&cluster(&nodes), &nodes.iter().collect::<Vec<_>>()).await;
    // Payments are spread over all of it.
    let store = open(cluster(&nodes));
    for n in 0..30 {
        assert_eq!(store.claim(single_use(n, n)).await, Ok(Claimed::Granted { remaining: 0 }));
    }
    for node in &nodes {
        assert_ne!(node.ask(&["DBSIZE"]), "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sentinels_watch_passes() {
    let dir = TempDir::new().unwrap();
    let watched = Watched::start(dir.path());
    let servers = sentinel(watched.sentinel.port());
    passes(&Servers { wait_replicas: 1, ..servers.clone() }, &[&watched.master]).await;
    let nobody = Servers { topology: Topology::Sentinel { master: "nobody".into() }, ..servers };
    let refused = open(nobody).claim(single_use(1, 1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotCarriedOut(_)), "{refused}");
}
