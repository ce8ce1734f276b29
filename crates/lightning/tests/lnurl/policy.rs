//! The LNURL module against servers that name what they should not: other hosts, other hashes, endless redirects.
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{PATIENCE, ask, wallet};
use lightning::{Fact, Invoice, Lightning, LightningError};
use lnsim::bolt11::{Draft, Network, NodeKey};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const METADATA: &str = r#"[["text/plain","for alice"]]"#;

/// Answers to a path: status line and headers, and body.
type Answers = Box<dyn Fn(&str, &str) -> (String, String) + Send + Sync>;

/// A server with these answers (to a path, given its own address); and the paths that were asked.
async fn serve(answers: Answers) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (own, seen) = (address.clone(), asked.clone());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let (start, body) = answers(&path, &own);
            seen.lock().unwrap().push(path);
            let answer = format!(
                "HTTP/1.1 {start}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (format!("http://alice@{address}"), asked)
}

fn offer(callback: &str) -> String {
    let metadata = METADATA.replace('"', "\\\"");
    format!(
        r#"{{"tag":"payRequest","callback":"{callback}","minSendable":1,"maxSendable":1000000,"metadata":"{metadata}"}}"#
    )
}

fn bolt11(metadata: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let draft = Draft {
        network: Network::Regtest,
        hash: [7; 32],
        payment_addr: [8; 32],
        amount_msat: 1000,
        memo: "",
        description_hash: Some(Sha256::digest(metadata).into()),
        created: now,
        expiry_s: 600,
        cltv_expiry: 40,
    };
    NodeKey::from_bytes(&[1; 32]).unwrap().sign(&draft).unwrap()
}

async fn create(address: &str) -> Result<Invoice, LightningError> {
    wallet(address, &Arc::default(), PATIENCE).create(&ask(1000)).await
}

fn ok(body: String) -> (String, String) {
    ("200 OK".to_owned(), body)
}

/// A server whose callback is at `callback`, and whose invoice has this `verify`.
async fn pointing(
    callback: &'static str,
    verify: &'static str,
) -> (Result<Invoice, LightningError>, Vec<String>) {
    let answers = Box::new(move |path: &str, own: &str| match path {
        "/.well-known/lnurlp/alice" => ok(offer(&callback.replace("OWN", own))),
        _ => ok(format!(r#"{{"pr":"{}","verify":"{}"}}"#, bolt11(METADATA), verify.replace("OWN", own))),
    });
    let (address, asked) = serve(answers).await;
    let made = create(&address).await;
    let asked = asked.lock().unwrap().clone();
    (made, asked)
}

#[tokio::test]
async fn its_own_place_is_fine() {
    let (made, asked) = pointing("http://OWN/cb?x=1", "http://OWN/verify/1").await;
    made.unwrap();
    assert_eq!(asked, ["/.well-known/lnurlp/alice", "/cb?x=1&amount=1000"]);
}

#[tokio::test]
async fn a_callback_that_points_inside_is_not_asked() {
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let callback: &'static str =
        Box::leak(format!("http://{}/admin", inside.local_addr().unwrap()).into_boxed_str());
    for callback in [
        callback,
        "https://127.0.0.1/cb",
        "https://10.0.0.1/cb",
        "https://169.254.169.254/latest",
        "https://localhost/cb",
        "https://user:pass@OWN/cb",
    ] {
        let (made, asked) = pointing(callback, "http://OWN/verify").await;
        let refused = matches!(made, Err(LightningError::Refused(_) | LightningError::Unavailable { .. }));
        assert!(refused, "{callback}: {made:?}");
        assert_eq!(asked.len(), 1, "{callback}");
    }
    let connected = tokio::time::timeout(std::time::Duration::ZERO, inside.accept()).await;
    assert!(connected.is_err(), "nobody connected");
}

#[tokio::test]
async fn a_verify_that_points_inside_costs_the_look_up_only() {
    for verify in ["https://192.168.0.1/v", "http://OWN1/v", "http://wallet.example/v", "nowhere", "/v", ""] {
        let (made, asked) = pointing("http://OWN/cb", verify).await;
        let made = made.unwrap();
        assert_eq!(
            made.remarks.iter().map(|remark| remark.fact).collect::<Vec<_>>(),
            [Fact::VerifyAddress],
            "{verify}"
        );
        assert_eq!(asked.len(), 2, "{verify}");
    }
}

#[tokio::test]
async fn another_description_hash_is_sold_and_said() {
    let answers = Box::new(|path: &str, own: &str| match path {
        "/.well-known/lnurlp/alice" => ok(offer(&format!("http://{own}/cb"))),
        _ => ok(format!(r#"{{"pr":"{}"}}"#, bolt11("somebody else's"))),
    });
    let made = create(&serve(answers).await.0).await.unwrap();
    assert!(made.remarks.iter().any(|remark| remark.fact == Fact::Description), "{made:?}");
}

#[tokio::test]
async fn redirects_are_followed_within_the_rules() {
    let answers = |to: &'static str| -> Answers {
        Box::new(move |path: &str, own: &str| match path {
            "/.well-known/lnurlp/alice" => {
                (format!("302 Found\r\nlocation: {}", to.replace("OWN", own)), String::new())
            }
            "/moved" => ok(offer(&format!("http://{own}/cb"))),
            _ => ok(format!(r#"{{"pr":"{}"}}"#, bolt11(METADATA))),
        })
    };
    create(&serve(answers("/moved")).await.0).await.unwrap();
    for bad in ["http://127.0.0.1:1/", "https://10.0.0.1/", "/.well-known/lnurlp/alice", "file:///etc/passwd"]
    {
        let made = create(&serve(answers(bad)).await.0).await;
        assert!(matches!(made, Err(LightningError::Refused(_))), "{bad}: {made:?}");
    }
}

#[tokio::test]
async fn what_is_no_lightning_address_is_named() {
    for (status, body, said) in [
        (
            "200 OK",
            r#"{"tag":"withdrawRequest","callback":"","minSendable":1,"maxSendable":2,"metadata":""}"#,
            "LUD-06",
        ),
        ("404 Not Found", "<html>", "status 404"),
        ("400 Bad Request", r#"{"status":"ERROR","reason":"no such user"}"#, "no such user"),
    ] {
        let answers = Box::new(move |_: &str, _: &str| (status.to_owned(), body.to_owned()));
        match create(&serve(answers).await.0).await {
            Err(LightningError::Refused(text)) => assert!(text.contains(said), "{text}"),
            other => panic!("{said}: {other:?}"),
        }
    }
    let answers = Box::new(|_: &str, _: &str| ok("<html>".to_owned()));
    let made = create(&serve(answers).await.0).await;
    assert!(matches!(made, Err(LightningError::Wrong(_))), "{made:?}");
}
