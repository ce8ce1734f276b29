//! The HTTP front doors, asked by hand: what Eclair and an LNURL server say, word for word.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use data_encoding::{BASE64, HEXLOWER};
use lnsim::{EclairEvents, EclairOptions, Fault, FaultKind, LnurlOptions, Method, Sim, SimOptions};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn sim() -> Sim {
    Sim::start(SimOptions::default()).unwrap()
}

/// Status and body of one exchange.
async fn exchange(address: SocketAddr, head: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request =
        format!("{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

struct Eclair {
    sim: Sim,
    address: SocketAddr,
}

impl Eclair {
    fn start() -> Self {
        let sim = sim();
        let options = EclairOptions { password: "secret".to_owned(), events: EclairEvents::default() };
        let address = sim.open_eclair(ANY, options).unwrap();
        Self { sim, address }
    }

    async fn post(&self, call: &str, form: &str) -> (u16, Value) {
        self.post_as("secret", call, form).await
    }

    async fn post_as(&self, password: &str, call: &str, form: &str) -> (u16, Value) {
        let basic = BASE64.encode(format!(":{password}").as_bytes());
        let head = format!("POST /{call} HTTP/1.1\r\nauthorization: Basic {basic}");
        exchange(self.address, &head, form).await
    }
}

#[tokio::test]
async fn eclair_shows_the_preimage_of_an_unpaid_invoice() {
    let eclair = Eclair::start();
    let (status, made) =
        eclair.post("createinvoice", "description=two+words&amountMsat=5000&expireIn=600").await;
    assert_eq!((status, &made["amount"], &made["description"]), (200, &5000.into(), &"two words".into()));
    let hash = made["paymentHash"].as_str().unwrap();
    let of = format!("paymentHash={hash}");
    let (_, pending) = eclair.post("getreceivedinfo", &of).await;
    assert_eq!(pending["status"]["type"], "pending");
    let preimage = HEXLOWER.decode(pending["paymentPreimage"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(HEXLOWER.encode(&Sha256::digest(preimage)), hash);
    eclair.sim.pay(made["serialized"].as_str().unwrap()).unwrap();
    let (_, received) = eclair.post("getreceivedinfo", &of).await;
    assert_eq!(received["status"]["type"], "received");
    assert_eq!(received["status"]["amount"], 5000);
}

#[tokio::test]
async fn eclair_answers_a_wrong_password_late() {
    let eclair = Eclair::start();
    let started = Instant::now();
    let (status, answer) = eclair.post_as("guess", "getinfo", "").await;
    assert_eq!((status, answer["error"].is_string()), (401, true));
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(eclair.sim.calls(Method::GetInfo), 0);
}

#[tokio::test]
async fn eclair_refuses_in_its_own_words() {
    let eclair = Eclair::start();
    for (call, form, status) in [
        ("createinvoice", "amountMsat=5000", 400),
        ("createinvoice", "description=x&amountMsat=lots", 400),
        ("getreceivedinfo", "paymentHash=00", 400),
        ("getreceivedinfo", &format!("paymentHash={}", "00".repeat(32)), 404),
        ("payinvoice", "", 404),
        ("ws", "", 405),
    ] {
        let (got, answer) = eclair.post(call, form).await;
        assert_eq!((got, answer["error"].is_string()), (status, true), "{call} {form}: {answer}");
    }
    eclair.sim.fault(Fault::refuse(500, "boom").at(Method::GetInfo).times(1));
    assert_eq!(eclair.post("getinfo", "").await, (500, serde_json::json!({ "error": "boom" })));
    assert_eq!(eclair.post("getinfo", "").await.1["network"], "regtest");
}

async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    exchange(address, &format!("GET {path} HTTP/1.1"), "").await
}

#[tokio::test]
async fn an_address_sells_and_tells() {
    let sim = sim();
    let address = sim.open_lnurl(ANY, LnurlOptions::default()).unwrap();
    let (_, offer) = get(address, "/.well-known/lnurlp/alice").await;
    assert_eq!(offer["tag"], "payRequest");
    let callback = offer["callback"].as_str().unwrap().strip_prefix(&format!("http://{address}")).unwrap();
    let (_, made) = get(address, &format!("{callback}&amount=5000")).await;
    let invoice = lnsim::bolt11::decode(made["pr"].as_str().unwrap()).unwrap();
    assert_eq!(invoice.amount_msat, Some(5000));
    let metadata = offer["metadata"].as_str().unwrap();
    assert_eq!(invoice.description_hash, Some(Sha256::digest(metadata).into()));
    let verify = made["verify"].as_str().unwrap().strip_prefix(&format!("http://{address}")).unwrap();
    assert_eq!(get(address, verify).await.1["settled"], false);
    sim.pay(made["pr"].as_str().unwrap()).unwrap();
    let (_, settled) = get(address, verify).await;
    assert_eq!((&settled["status"], &settled["settled"]), (&"OK".into(), &true.into()));
}

#[tokio::test]
async fn an_address_errs_within_a_200() {
    let sim = sim();
    let whole = LnurlOptions { whole_sats: true, min_sendable: 1000, ..LnurlOptions::default() };
    let address = sim.open_lnurl(ANY, whole).unwrap();
    let (status, few) = get(address, "/pay/callback?user=alice&amount=999").await;
    assert_eq!((status, &few["status"]), (200, &"ERROR".into()));
    let (_, made) = get(address, "/pay/callback?user=alice&amount=1999").await;
    let invoice = lnsim::bolt11::decode(made["pr"].as_str().unwrap()).unwrap();
    assert_eq!(invoice.amount_msat, Some(1000), "rounded");
    let nothing = format!("/pay/verify/{}", "00".repeat(32));
    assert_eq!(get(address, &nothing).await.1["status"], "ERROR");
    assert_eq!(get(address, "/.well-known/lnurlp/bob").await.0, 404);
    sim.fault(FaultKind::RefuseConnections);
    assert!(TcpStream::connect(address).await.is_err());
    sim.clear_faults();
    assert_eq!(get(address, "/.well-known/lnurlp/alice").await.0, 200);
}
