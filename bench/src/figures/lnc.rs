//! Lightning Node Connect over a mailbox on this machine: how long connecting takes, and how many calls it carries.
//!
//! A pairing stretches the phrase at both ends, by a scrypt that is slow on purpose. That share is measured by itself,
//! and so is all that comes before and after it, because only that can be made faster. The difference of the two totals
//! would be lost in scrypt's own spread.

use std::time::{Duration, Instant};

use lnc::client::{Connected, Credentials, Patience, Roots, Server, connect};
use lnc::noise::Mask;
use lnc::{PairingPhrase, PublicKey, SecretKey};
use lnd_rpc::channel::{Authorized, MacaroonInterceptor, over_stream};
use lnd_rpc::lnrpc::Invoice;
use lnd_rpc::lnrpc::lightning_client::LightningClient;
use lnsim::{LncOptions, LncSession, Sim, SimOptions};
use tokio::task::JoinSet;

use crate::harness::site::PRICE_MSAT;
use crate::pairs::Samples;
use crate::report::{Report, Row};
use crate::stand::Stand;

/// Sessions that are paired with, and rounds of calls.
const ROUNDS: usize = 7;

/// One round of calls.
const SLICE: Duration = Duration::from_millis(1500);

/// Measures it.
pub fn measure(_: &Stand, report: &mut Report) {
    let sim = Sim::start(SimOptions::default()).expect("a simulator");
    let certificate = std::fs::read(sim.tls_cert_path()).expect("a certificate");
    let server = Server::new(&sim.mailbox_address(), &Roots::Pem(certificate)).expect("a mailbox");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (mut pairing, mut scrypt) = (Samples::default(), Samples::default());
        let (mut rest, mut again) = (Samples::default(), Samples::default());
        let (mut serial, mut at_once) = (Samples::default(), Samples::default());
        for _ in 0..ROUNDS {
            let session = sim.lnc_session(LncOptions::default()).expect("a session");
            let stretching = stretch_twice(&session).await;
            let phrase = by_phrase(&session);
            let start = Instant::now();
            let (first, answered) = first_connected(&server, &phrase).await;
            let after_scrypt = ms(answered);
            pairing.push(ms(start));
            scrypt.push(stretching);
            let keys = paired(phrase, &first);
            first.session.close().await;

            let start = Instant::now();
            let second = connected(&server, &keys).await;
            let opening = ms(start);
            again.push(opening);
            // Boxes are opened before a pairing as they are here.
            rest.push(opening + after_scrypt);
            let session = second.session.clone();
            let client = client(second).await;
            serial.push(calls(&client, 1).await);
            at_once.push(calls(&client, 16).await);
            session.close().await;
        }
        let row = |figure: &str, samples: &Samples, unit: &str, reach: Option<(&str, bool)>| Row {
            figure: figure.to_owned(),
            measured: format!("{:.0} {unit}", samples.median()),
            spread: samples.spread(0),
            cpu: String::new(),
            reach: reach.map(|(text, reached)| (text.to_owned(), reached)),
        };
        let rest_reached = Some(("≤ 50 ms", rest.median() <= 50.0));
        let again_reached = Some(("< 50 ms", again.median() < 50.0));
        let serial_reached = Some(("≥ 300/s", serial.median() >= 300.0));
        let at_once_reached = Some(("≥ 900/s", at_once.median() >= 900.0));
        report.add(row("LNC, first pairing", &pairing, "ms", None));
        report.add(row("LNC, first pairing: scrypt, at both ends at once", &scrypt, "ms", None));
        report.add(row("LNC, first pairing: the rest", &rest, "ms", rest_reached));
        report.add(row("LNC, connecting again", &again, "ms", again_reached));
        report.add(row("LNC, AddInvoice/s one by one", &serial, "/s", serial_reached));
        report.add(row("LNC, AddInvoice/s 16 at once", &at_once, "/s", at_once_reached));
    });
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// How long it takes, in ms, to stretch the phrase twice at once, as the client and the node do.
async fn stretch_twice(session: &LncSession) -> f64 {
    let phrase = PairingPhrase::parse(session.phrase()).expect("a phrase");
    let start = Instant::now();
    let mut both = JoinSet::new();
    for phrase in [phrase.clone(), phrase] {
        both.spawn_blocking(move || drop(Mask::new(&phrase)));
    }
    both.join_all().await;
    ms(start)
}

fn by_phrase(session: &LncSession) -> Credentials {
    let phrase = PairingPhrase::parse(session.phrase()).expect("a phrase");
    Credentials::Phrase { phrase, local: SecretKey::generate().expect("a key") }
}

fn paired(credentials: Credentials, connected: &Connected) -> Credentials {
    match credentials {
        Credentials::Phrase { local, .. } | Credentials::Paired { local, .. } => {
            Credentials::Paired { local, remote: connected.remote }
        }
    }
}

/// Pairs with the node. Returns the session, and when the node's answer was there, which needs both stretchings.
async fn first_connected(server: &Server, phrase: &Credentials) -> (Connected, Instant) {
    let mut answered = None;
    let mut keep = |_: &PublicKey| {
        answered = Some(Instant::now());
        Ok(())
    };
    let connected = connect(server, phrase, &Patience::default(), &mut keep).await.expect("a session");
    (connected, answered.expect("the node's key"))
}

async fn connected(server: &Server, credentials: &Credentials) -> Connected {
    connect(server, credentials, &Patience::default(), &mut |_| Ok(())).await.expect("a session")
}

async fn client(connected: Connected) -> LightningClient<Authorized> {
    let macaroon =
        connected.auth_data.expose_macaroon().and_then(|hex| MacaroonInterceptor::new(hex.as_bytes()));
    let channel = over_stream(connected.stream).await.expect("HTTP/2");
    LightningClient::with_interceptor(channel, macaroon.expect("a macaroon"))
}

/// Calls of AddInvoice in a second, so many at once.
async fn calls(client: &LightningClient<Authorized>, at_once: usize) -> f64 {
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..at_once {
        let mut client = client.clone();
        callers.spawn(async move {
            let mut made = 0_u32;
            while start.elapsed() < SLICE {
                let ask = Invoice { value_msat: PRICE_MSAT as i64, expiry: 600, ..Invoice::default() };
                client.add_invoice(ask).await.expect("an invoice");
                made += 1;
            }
            made
        });
    }
    let made: u32 = callers.join_all().await.into_iter().sum();
    f64::from(made) / start.elapsed().as_secs_f64()
}
