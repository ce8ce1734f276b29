//! Stores, claims and servers.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use store::{
    Claim, Hash, RedisStore, Store,
    redis::{Host, RedisOptions, Servers, Topology},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::server::Redis;

pub fn single(port: u16) -> Servers {
    Servers { hosts: vec![Host::Tcp("127.0.0.1".into(), port)], ..Servers::default() }
}

pub fn sentinel(port: u16) -> Servers {
    Servers { topology: Topology::Sentinel { master: "mymaster".into() }, ..single(port) }
}

pub fn cluster(nodes: &[Redis]) -> Servers {
    let hosts = nodes.iter().map(|node| Host::Tcp("127.0.0.1".into(), node.port())).collect();
    Servers { topology: Topology::Cluster, hosts, ..Servers::default() }
}

pub fn open(servers: Servers) -> Arc<RedisStore> {
    open_with(RedisOptions::new(servers))
}

/// As on a busy machine: with a longer deadline.
pub fn open_with(options: RedisOptions) -> Arc<RedisStore> {
    let patience = Duration::from_secs(10);
    let options = RedisOptions { deadline: patience, deadline_of_lost: patience, ..options };
    Arc::new(RedisStore::open(options).unwrap())
}

/// The suite, each check on a database that was emptied.
pub async fn passes(servers: &Servers, nodes: &[&Redis]) {
    store::conformance::check(|| async {
        for node in nodes {
            assert_eq!(node.ask(&["FLUSHALL"]), "OK");
        }
        open(servers.clone()) as Arc<dyn Store>
    })
    .await;
    store::conformance::check_notes(&*open(servers.clone())).await;
}

/// A way to Redis that can be made to swallow the answers.
pub struct Wire {
    pub port: u16,
    muted: Arc<AtomicBool>,
}

impl Wire {
    pub async fn start(redis: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, muted) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let is_muted = muted.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", redis)).await.unwrap();
                let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let is_muted = is_muted.clone();
                tokio::spawn(async move {
                    let mut answer = vec![0; 64 * 1024];
                    while let Ok(length @ 1..) = from_server.read(&mut answer).await {
                        if !is_muted.load(Ordering::SeqCst) {
                            to_client.write_all(&answer[..length]).await.unwrap();
                        }
                    }
                });
            }
        });
        Self { port, muted }
    }

    pub fn mute(&self, muted: bool) {
        self.muted.store(muted, Ordering::SeqCst);
    }
}

pub fn start(dir: &Path) -> Redis {
    Redis::start(&dir.join("redis"), "")
}

pub fn hash(n: u32) -> Hash {
    let mut hash = [0x17; 32];
    hash[..4].copy_from_slice(&n.to_le_bytes());
    hash
}

pub fn id(n: u32) -> [u8; 16] {
    u128::from(n).to_be_bytes()
}

pub fn single_use(payment: u32, request: u32) -> Claim {
    Claim { payment_hash: hash(payment), request: id(request), limit: 1, units: 1 }
}

pub fn hex(hash: Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
