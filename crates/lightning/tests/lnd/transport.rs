//! The LND module against peers that are no node: silent, hanging up, speaking something else; and through SOCKS5.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, SHORT, ask, is_unavailable, look_up_nothing, node, sim, until_available};
use lightning::lnd::Lnd;
use lightning::{Lightning, LightningError};
use lnsim::{Permit, Sim};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A peer that does `greet` with each connection, and counts them.
struct Peer {
    address: String,
    accepted: Arc<AtomicUsize>,
}

impl Peer {
    async fn start<F>(greet: impl Fn(TcpStream) -> F + Send + 'static) -> Peer
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(greet(stream));
            }
        });
        Peer { address, accepted }
    }

    /// Takes what is sent and says nothing.
    async fn silent() -> Peer {
        Peer::start(|mut stream| async move {
            let mut ignored = Vec::new();
            let _ = stream.read_to_end(&mut ignored).await;
        })
        .await
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    fn wallet(&self, sim: &Sim, timeout: Duration) -> Lnd {
        Lnd::new(node(sim, &self.address, Permit::Admin, None, timeout), timeout)
    }
}

#[tokio::test]
async fn a_silent_peer_costs_one_deadline_and_one_connection() {
    let (sim, peer) = (sim(), Peer::silent().await);
    let wallet = Arc::new(peer.wallet(&sim, SHORT));
    let started = Instant::now();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let wallet = Arc::clone(&wallet);
            tokio::spawn(async move { wallet.create(&ask(1000)).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Err(LightningError::TimedOut));
    }
    assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn after_a_time_out_calls_fail_at_once_for_a_while() {
    let (sim, peer) = (sim(), Peer::silent().await);
    let wallet = peer.wallet(&sim, SHORT);
    assert_eq!(look_up_nothing(&wallet).await, Err(LightningError::TimedOut));
    let paused = tokio::time::timeout(PATIENCE, async {
        loop {
            let result = look_up_nothing(&wallet).await;
            if is_unavailable(&result) {
                return result;
            }
        }
    });
    match paused.await.unwrap() {
        Err(LightningError::Unavailable { text, retry_after }) => {
            assert!(text.contains("did not answer"), "{text}");
            assert!(!retry_after.is_zero());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_not_hammered() {
    let (sim, peer) = (sim(), Peer::start(|stream| async move { drop(stream) }).await);
    let wallet = peer.wallet(&sim, PATIENCE);
    let started = Instant::now();
    let mut calls = 0;
    while started.elapsed() < Duration::from_secs(1) {
        let result = look_up_nothing(&wallet).await;
        assert!(is_unavailable(&result), "{result:?}");
        calls += 1;
        tokio::task::yield_now().await;
    }
    // Attempts at 0, 0.25 and 0.75 s; a slow machine makes fewer.
    assert!(calls > 10, "{calls} calls");
    assert!(peer.accepted() <= 3, "{} connections", peer.accepted());
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_named() {
    let peer = Peer::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let mut ignored = Vec::new();
        let _ = stream.read_to_end(&mut ignored).await;
    });
    let (sim, peer) = (sim(), peer.await);
    match look_up_nothing(&peer.wallet(&sim, PATIENCE)).await {
        Err(LightningError::Unavailable { text, .. }) => {
            assert!(text.contains("no TLS connection") && text.contains(&peer.address), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named() {
    let sim = sim();
    let reserved = tokio::net::TcpSocket::new_v4().unwrap();
    reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = reserved.local_addr().unwrap().to_string();
    let wallet = Lnd::new(node(&sim, &address, Permit::Admin, None, PATIENCE), PATIENCE);
    match look_up_nothing(&wallet).await {
        Err(LightningError::Unavailable { text, .. }) => assert!(text.contains(&address), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_stop_the_attempt_of_others() {
    let sim = sim();
    let wallet = crate::support::wallet(&sim);
    {
        let call = look_up_nothing(&wallet);
        tokio::pin!(call);
        // Polled once: the attempt is under way; then its caller leaves.
        std::future::poll_fn(|context| {
            let _ = call.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    look_up_nothing(&wallet).await.unwrap();
}

#[tokio::test]
async fn through_a_proxy_that_resolves_the_name() {
    let sim = sim();
    let target = sim.lnd_address();
    let port = target.rsplit(':').next().unwrap().to_owned();
    let proxy = Peer::start(move |stream| socks5(stream, target.clone())).await;
    let name = format!("node.invalid:{port}");
    let behind = node(&sim, &name, Permit::Admin, Some(&proxy.address), PATIENCE);
    let wallet = Lnd::new(behind, PATIENCE);
    until_available(|| wallet.health()).await;
    wallet.create(&ask(1000)).await.unwrap();
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn a_proxy_that_fails_is_named() {
    let (sim, proxy) = (sim(), Peer::start(|stream| async move { drop(stream) }).await);
    let behind = node(&sim, "node.invalid", Permit::Admin, Some(&proxy.address), PATIENCE);
    match look_up_nothing(&Lnd::new(behind, PATIENCE)).await {
        Err(LightningError::Unavailable { text, .. }) => {
            assert!(text.contains("SOCKS5") && text.contains(&proxy.address), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

/// RFC 1928 with no authentication and CONNECT to a domain name; the tunnel goes to `target`.
async fn socks5(mut client: TcpStream, target: String) {
    let mut head = [0; 2];
    client.read_exact(&mut head).await.unwrap();
    let mut methods = vec![0; head[1].into()];
    client.read_exact(&mut methods).await.unwrap();
    client.write_all(&[5, 0]).await.unwrap();
    let mut request = [0; 5];
    client.read_exact(&mut request).await.unwrap();
    assert_eq!(request[..4], [5, 1, 0, 3], "CONNECT to a domain name");
    let mut name_and_port = vec![0; usize::from(request[4]) + 2];
    client.read_exact(&mut name_and_port).await.unwrap();
    assert!(name_and_port.starts_with(b"node.invalid"));
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await.unwrap();
    let mut node = TcpStream::connect(target).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut node).await;
}
