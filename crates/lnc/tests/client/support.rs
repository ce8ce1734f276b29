//! A simulated node with a mailbox, a client of it, and calls over the stream.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use lnc::client::{ConnectError, Connected, Credentials, Patience, Roots, Server, Stream, connect};
use lnc::{AuthData, PairingPhrase, PublicKey, SecretKey};
use lnd_rpc::channel::MacaroonInterceptor;
use lnd_rpc::lnrpc::Invoice;
use lnd_rpc::lnrpc::lightning_client::LightningClient;
use lnsim::{LncOptions, LncSession, Sim, SimOptions};
use tonic::transport::Endpoint;

pub type Client = LightningClient<lnd_rpc::channel::Authorized>;

/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn sim() -> Sim {
    Sim::start(SimOptions::default()).unwrap()
}

pub fn server(sim: &Sim, scheme: &str) -> Server {
    let certificate = std::fs::read(sim.tls_cert_path()).unwrap();
    Server::new(&format!("{scheme}{}", sim.mailbox_address()), &Roots::Pem(certificate)).unwrap()
}

pub fn session(sim: &Sim) -> LncSession {
    sim.lnc_session(LncOptions::default()).unwrap()
}

pub fn by_phrase(session: &LncSession) -> Credentials {
    Credentials::Phrase {
        phrase: PairingPhrase::parse(session.phrase()).unwrap(),
        local: SecretKey::generate().unwrap(),
    }
}

/// What comes after a pairing with `credentials`.
pub fn paired(credentials: &Credentials, remote: PublicKey) -> Credentials {
    match credentials {
        Credentials::Phrase { local, .. } | Credentials::Paired { local, .. } => {
            Credentials::Paired { local: local.clone(), remote }
        }
    }
}

pub async fn try_connect(server: &Server, credentials: &Credentials) -> Result<Connected, ConnectError> {
    connect(server, credentials, &Patience::default(), &mut |_| Ok(())).await
}

pub async fn connected(server: &Server, credentials: &Credentials) -> Connected {
    try_connect(server, credentials).await.unwrap()
}

/// LND's service over a stream, as the LND backend has it.
pub async fn lightning(stream: Stream, auth_data: &AuthData) -> Client {
    let once = Mutex::new(Some(TokioIo::new(stream)));
    let connector = tower::service_fn(move |_| {
        let stream = once.lock().unwrap().take();
        async move { stream.ok_or(std::io::Error::from(std::io::ErrorKind::NotConnected)) }
    });
    let channel = Endpoint::from_static("http://lnd").connect_with_connector(connector).await.unwrap();
    let macaroon = MacaroonInterceptor::new(auth_data.expose_macaroon().unwrap().as_bytes()).unwrap();
    LightningClient::with_interceptor(channel, macaroon)
}

pub async fn add_invoice(client: &mut Client) -> Result<String, tonic::Status> {
    let ask = Invoice { value_msat: 1000, memo: "a test".to_owned(), ..Invoice::default() };
    client.add_invoice(ask).await.map(|made| made.into_inner().payment_request)
}

/// Waits until `holds`.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
