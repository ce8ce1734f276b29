//! The Eclair module against peers that are no node: hanging up, silent, speaking something else.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, SHORT, is_unavailable};
use l402::{Msat, PaymentHash, Preimage};
use lightning::eclair::Eclair;
use lightning::{Lightning, LightningError, Lookup};
use lnsim::bolt11::{Draft, Network, NodeKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A peer that does `greet` with each connection, and counts them.
async fn peer<F>(greet: impl Fn(TcpStream) -> F + Send + 'static) -> (String, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(greet(stream));
        }
    });
    (address, accepted)
}

/// A peer that answers every request with `response`.
async fn saying(response: String) -> String {
    let greet = move |mut stream: TcpStream| {
        let response = response.clone();
        async move {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let _ = stream.write_all(response.as_bytes()).await;
            let _ = stream.shutdown().await;
            // Closing with something unread would be a reset, which could overtake the answer.
            let _ = stream.read_to_end(&mut head).await;
        }
    };
    peer(greet).await.0
}

async fn saying_json(json: &str) -> String {
    let length = json.len();
    saying(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{json}")).await
}

fn wallet(address: &str, timeout: Duration) -> Eclair {
    Eclair::new(address, "a password", timeout).unwrap()
}

async fn look_up(address: &str) -> Result<Lookup, LightningError> {
    wallet(address, PATIENCE).look_up(paid_preimage().payment_hash()).await
}

fn paid_preimage() -> Preimage {
    Preimage::from_bytes([3; 32])
}

fn bolt11(hash: PaymentHash) -> String {
    let draft = Draft {
        network: Network::Regtest,
        hash: hash.0,
        payment_addr: [8; 32],
        amount_msat: 5000,
        memo: "",
        description_hash: None,
        created: 1_800_000_000,
        expiry_s: 600,
        cltv_expiry: 40,
    };
    NodeKey::from_bytes(&[1; 32]).unwrap().sign(&draft).unwrap()
}

#[tokio::test]
async fn a_silent_peer_costs_one_deadline() {
    let (address, _) = peer(|mut stream| async move {
        let mut ignored = Vec::new();
        let _ = stream.read_to_end(&mut ignored).await;
    })
    .await;
    let started = Instant::now();
    let silent = wallet(&address, SHORT).look_up(PaymentHash([9; 32])).await;
    assert_eq!(silent, Err(LightningError::TimedOut));
    assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named_and_not_hammered() {
    let reserved = tokio::net::TcpSocket::new_v4().unwrap();
    reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let place = reserved.local_addr().unwrap().to_string();
    let wallet = wallet(&format!("http://{place}"), PATIENCE);
    let first = wallet.look_up(PaymentHash([9; 32])).await;
    match &first {
        Err(LightningError::Unavailable { text, .. }) => assert!(text.contains(&place), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(is_unavailable(&wallet.look_up(PaymentHash([9; 32])).await));
}

#[tokio::test]
async fn a_peer_that_speaks_no_http_is_named() {
    let address = saying("220 mail.example ESMTP\r\n".to_owned()).await;
    match look_up(&address).await {
        Err(LightningError::Unavailable { text, .. }) => {
            assert!(text.contains(address.trim_start_matches("http://")), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_page_of_another_server_is_no_answer() {
    let page = "<html>not found</html>";
    let response = format!(
        "HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
        page.len()
    );
    match look_up(&saying(response).await).await {
        Err(LightningError::Refused(text)) => assert!(text.contains("eclair.api.enabled"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let body = "x".repeat(300 * 1024);
    match look_up(&saying_json(&body).await).await {
        Err(LightningError::Wrong(text)) => assert!(text.contains("bytes"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_payment_that_does_not_fit_is_wrong() {
    let preimage = paid_preimage();
    let (own, other) = (bolt11(preimage.payment_hash()), bolt11(PaymentHash([1; 32])));
    let received = |invoice: &str, preimage: &str, status: &str| {
        format!(
            r#"{{"invoice":{{"serialized":"{invoice}"}},"paymentPreimage":"{preimage}","status":{status}}}"#
        )
    };
    let good = preimage.expose_hex();
    let answer = received(&own, &good, r#"{"type":"received","amount":5000}"#);
    assert!(matches!(look_up(&saying_json(&answer).await).await, Ok(Lookup::Settled { .. })));
    for (status, amount) in [
        (r#"{"type":"received","amount":4999}"#, Some(Msat(4999))),
        (r#"{"type":"received"}"#, None),
        (r#"{"type":"Received","amount":"much"}"#, None),
    ] {
        for (preimage, told) in [(&good, true), (&"ab".repeat(32), false)] {
            match look_up(&saying_json(&received(&own, preimage, status)).await).await {
                Ok(Lookup::Settled { preimage, received, .. }) => {
                    assert_eq!((preimage.is_some(), received), (told, amount), "{status}");
                }
                other => panic!("{status}: {other:?}"),
            }
        }
    }
    let found = look_up(&saying_json(&received(&own, &good, r#"{"type":"held"}"#)).await).await;
    assert!(matches!(&found, Ok(Lookup::Unclear(text)) if text.contains("held")), "{found:?}");
    let found = look_up(&saying_json(&received("lnbcrt1", &good, r#"{"type":"pending"}"#)).await).await;
    assert_eq!(found, Ok(Lookup::Pending { bolt11: None, expires_at: None }));
    for (answer, said) in [
        (received(&other, &good, r#"{"type":"received","amount":5000}"#), "for a look-up of"),
        ("[]".to_owned(), "can't be read"),
    ] {
        match look_up(&saying_json(&answer).await).await {
            Err(LightningError::Wrong(text)) => {
                assert!(text.contains(said), "{said}: {text}");
                assert!(!text.contains(&good), "{text}");
            }
            result => panic!("{said}: {result:?}"),
        }
    }
}
