//! Relays that go, come back, hang, or are none: one that works is enough, and nothing is hammered.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lightning::{Lightning, LightningError, Lookup, conformance};
use lnsim::{Fault, FaultKind, Method, NwcOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{
    PATIENCE, SHORT, SimWorld, ask, look_up_nothing, set, until_available, wallet, wallet_over,
};

/// A peer that does `greet` with each connection, and counts them.
struct Peer {
    url: String,
    accepted: Arc<AtomicUsize>,
}

impl Peer {
    async fn start<F>(greet: impl Fn(TcpStream) -> F + Send + 'static) -> Peer
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(greet(stream));
            }
        });
        Peer { url, accepted }
    }

    /// Takes what is sent and says nothing.
    async fn silent() -> Peer {
        Peer::start(|mut stream| async move {
            let mut ignored = Vec::new();
            let _ = stream.read_to_end(&mut ignored).await;
        })
        .await
    }

    async fn hanging_up() -> Peer {
        Peer::start(|stream| async move { drop(stream) }).await
    }

    async fn of_another_kind() -> Peer {
        Peer::start(|mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
            let mut ignored = Vec::new();
            let _ = stream.read_to_end(&mut ignored).await;
        })
        .await
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn one_relay_that_works_is_enough() {
    let (sim, door, _) = set(NwcOptions::default());
    let (silent, gone) = (Peer::silent().await, Peer::hanging_up().await);
    let relays = [vec![silent.url.clone(), gone.url.clone()], door.relay_urls()].concat();
    let wallet = wallet_over(&door, &relays, PATIENCE);
    let made = wallet.create(&ask(1000)).await.unwrap();
    sim.pay(&made.bolt11).unwrap();
    assert!(matches!(wallet.look_up(made.payment_hash).await, Ok(Lookup::Settled { .. })));
    assert_eq!(sim.calls(Method::AddInvoice), 1, "the copies of several relays are one request");
}

#[tokio::test]
async fn a_silent_relay_costs_one_deadline() {
    let (_sim, door, _) = set(NwcOptions::default());
    let silent = Peer::silent().await;
    let wallet = Arc::new(wallet_over(&door, std::slice::from_ref(&silent.url), SHORT));
    let started = Instant::now();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let wallet = Arc::clone(&wallet);
            tokio::spawn(async move { wallet.create(&ask(1000)).await })
        })
        .collect();
    for call in calls {
        match call.await.unwrap() {
            Err(LightningError::TimedOut | LightningError::Unavailable { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
}

#[tokio::test]
async fn while_no_relay_can_be_reached_calls_fail_at_once() {
    let (_sim, door, _) = set(NwcOptions::default());
    for (peer, said) in
        [(Peer::hanging_up().await, "no connection"), (Peer::of_another_kind().await, "HTTP 404")]
    {
        let wallet = wallet_over(&door, std::slice::from_ref(&peer.url), PATIENCE);
        let started = Instant::now();
        let mut calls = 0;
        while started.elapsed() < Duration::from_secs(1) {
            match look_up_nothing(&wallet).await {
                Err(LightningError::Unavailable { text, .. }) => {
                    assert!(text.contains(&peer.url) && text.contains(said), "{text}");
                }
                other => panic!("{other:?}"),
            }
            calls += 1;
            tokio::task::yield_now().await;
        }
        // Attempts at 0, 0.25 and 0.75 s; a slow machine makes fewer.
        assert!(calls > 10, "{calls} calls");
        assert!(peer.accepted() <= 3, "{} connections", peer.accepted());
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named() {
    let (_sim, door, _) = set(NwcOptions::default());
    let reserved = tokio::net::TcpSocket::new_v4().unwrap();
    reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("ws://{}", reserved.local_addr().unwrap());
    match look_up_nothing(&wallet_over(&door, std::slice::from_ref(&url), PATIENCE)).await {
        Err(LightningError::Unavailable { text, .. }) => assert!(text.contains(&url), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_named() {
    let (sim, door, _) = set(NwcOptions { tls: true, ..NwcOptions::default() });
    let (key, secret) = (door.wallet_key(), door.client_secret());
    let wallet = lightning::nwc::Nwc::new(&key, &secret, &door.relay_urls(), None, PATIENCE).unwrap();
    match look_up_nothing(&wallet).await {
        Err(LightningError::Unavailable { text, .. }) => assert!(text.contains("TLS"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(sim.calls(Method::LookupInvoice), 0);
}

#[tokio::test]
async fn relays_that_come_back_are_used_again() {
    let (sim, _door, wallet) = set(NwcOptions { relays: 2, ..NwcOptions::default() });
    wallet.create(&ask(1000)).await.unwrap();
    sim.fault(FaultKind::RefuseConnections);
    let gone = timeout(PATIENCE, async {
        loop {
            if let Err(LightningError::Unavailable { text, .. }) = look_up_nothing(&wallet).await {
                return text;
            }
        }
    });
    assert!(gone.await.unwrap().contains("ws://127.0.0.1"));
    sim.clear_faults();
    until_available(|| look_up_nothing(&wallet)).await;
}

/// The request took effect and the connection is cut instead of an answer: the caller hears of it before its deadline.
#[tokio::test]
async fn a_connection_cut_during_a_call_ends_the_call() {
    let (sim, _door, wallet) = set(NwcOptions::default());
    wallet.create(&ask(1000)).await.unwrap();
    sim.fault(Fault::drop_connection().at(Method::AddInvoice).times(1));
    let cut = wallet.create(&ask(1000)).await;
    assert!(matches!(cut, Err(LightningError::Unavailable { .. })), "{cut:?}");
    until_available(|| look_up_nothing(&wallet)).await;
}

#[tokio::test]
async fn settlements_are_pushed_again_after_a_loss() {
    let (sim, _door, wallet) = set(NwcOptions { relays: 2, ..NwcOptions::default() });
    let mut settlements = conformance::listen(&wallet, &SimWorld(&sim)).await;
    sim.restart();
    let heard = timeout(PATIENCE * 2, async {
        loop {
            let made = until_available(|| wallet.create(ASK.get_or_init(|| ask(1000)))).await;
            sim.pay(&made.bolt11).unwrap();
            if let Ok(Some(_)) = timeout(SHORT, settlements.recv()).await {
                return;
            }
        }
    });
    heard.await.unwrap();
}

/// A relay that keeps notifications tells of what was paid while nobody listened.
#[tokio::test]
async fn what_a_relay_kept_is_heard_of_later() {
    let (sim, _door, wallet) = set(NwcOptions { kept: true, ..NwcOptions::default() });
    let mut settlements = conformance::listen(&wallet, &SimWorld(&sim)).await;
    let made = wallet.create(&ask(1000)).await.unwrap();
    sim.fault(FaultKind::RefuseConnections);
    sim.pay(&made.bolt11).unwrap();
    sim.clear_faults();
    let heard = timeout(PATIENCE * 2, async {
        while settlements.recv().await.unwrap().payment_hash != made.payment_hash {}
    });
    heard.await.unwrap();
}

/// Connections stand, but nothing comes any more: after two silent calls the relay is reached anew.
#[tokio::test]
async fn a_relay_that_fell_silent_is_given_up() {
    let (sim, door, _) = set(NwcOptions::default());
    let target = door.relay_addresses()[0];
    let silence = Arc::new(tokio::sync::watch::Sender::new(false));
    let quiet = Arc::clone(&silence);
    let tap = Peer::start(move |client| pass(client, target, quiet.subscribe())).await;
    let wallet = wallet_over(&door, std::slice::from_ref(&tap.url), Duration::from_secs(1));
    until_available(|| wallet.create(ASK.get_or_init(|| ask(1000)))).await;
    silence.send_replace(true);
    for _ in 0..2 {
        assert_eq!(look_up_nothing(&wallet).await, Err(LightningError::TimedOut));
    }
    silence.send_replace(false);
    until_available(|| look_up_nothing(&wallet)).await;
    assert!(tap.accepted() >= 2, "a new connection");
    drop(sim);
}

/// Passes bytes on in both directions; a connection that was ever silent stays so.
async fn pass(
    mut client: TcpStream,
    to: std::net::SocketAddr,
    mut silence: tokio::sync::watch::Receiver<bool>,
) {
    let mut relay = TcpStream::connect(to).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut relay) => return,
        _ = silence.wait_for(|silent| *silent) => {}
    }
    let mut ignored = Vec::new();
    let _ = client.read_to_end(&mut ignored).await;
}

#[tokio::test]
async fn a_wallet_that_is_dropped_leaves_its_relays() {
    let (sim, door, _) = set(NwcOptions::default());
    let wallet = wallet(&door, PATIENCE);
    let mut settlements = wallet.settlements();
    wallet.create(&ask(1000)).await.unwrap();
    drop(wallet);
    assert_eq!(timeout(PATIENCE, settlements.recv()).await.unwrap(), None);
    drop(sim);
}

static ASK: std::sync::OnceLock<lightning::InvoiceRequest> = std::sync::OnceLock::new();
