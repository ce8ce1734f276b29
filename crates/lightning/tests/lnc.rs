//! The LND wallet through a simulated mailbox: the conformance suite, coming back by key, taking turns, and what is said
//! when it works and when it doesn't.
#![allow(clippy::unwrap_used)]

#[path = "lnc/support.rs"]
mod support;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use l402::{Msat, PaymentHash};
use lightning::conformance::{self, World};
use lightning::{InvoiceRequest, Lightning, LightningError};
use lnsim::{LncOptions, Permit, Sim};
use settings::{BackendConfig, BackendSettings, LncSettings, RouteHints, Secret};
use tokio::runtime::Runtime;

use support::{PATIENCE, notes, session, sim, until, wallet};

/// The node's window.
const WINDOW: u64 = 20;

struct Payer<'a>(&'a Sim);

impl World for Payer<'_> {
    fn pay<'a>(&'a self, bolt11: &'a str) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            self.0.pay(bolt11).unwrap();
        })
    }

    fn cancel(&self, hash: PaymentHash) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.0.cancel(&hash.0).unwrap();
        })
    }
}

/// Tries until it works.
async fn until_ok<F: Future<Output = Result<(), LightningError>>>(mut attempt: impl FnMut() -> F) {
    let start = Instant::now();
    while let Err(error) = attempt().await {
        assert!(start.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn invoice(wallet: &dyn Lightning) -> Result<(), LightningError> {
    let ask = InvoiceRequest { amount: Msat(1000), description: "a test".to_owned(), expiry_s: 600 };
    wallet.create(&ask).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn is_a_wallet_like_any_other() {
    let (sim, state) = (sim(), tempfile::tempdir().unwrap());
    let session = session(&sim, Permit::Invoice);
    let wallet = wallet(&sim, session.phrase(), state.path());
    conformance::all(wallet.as_ref(), &Payer(&sim)).await;
    wallet.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_by_key_after_a_restart() {
    let (sim, state) = (sim(), tempfile::tempdir().unwrap());
    let session = session(&sim, Permit::Invoice);
    for round in 1..=3 {
        let wallet = wallet(&sim, session.phrase(), state.path());
        invoice(wallet.as_ref()).await.unwrap();
        wallet.close().await;
        assert_eq!(session.handshakes(), [1, round]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_to_a_node_that_takes_the_client_of_the_pairing_for_alive() {
    let (sim, state) = (sim(), tempfile::tempdir().unwrap());
    let options = LncOptions { hangs_when_paired: true, ..LncOptions::default() };
    let session = sim.lnc_session(options).unwrap();
    let (doomed, first) = (Runtime::new().unwrap(), wallet(&sim, session.phrase(), state.path()));
    doomed.spawn(async move { invoice(first.as_ref()).await });
    until("it is paired", || session.handshakes() == [1, 0]).await;
    // Killed before it could move to the boxes of the keys.
    doomed.shutdown_background();
    let before = session.packets().to_client;
    session.fill_window();
    until("the window is full", || session.packets().to_client >= before + WINDOW).await;
    session.go_on();

    let next = wallet(&sim, session.phrase(), state.path());
    until_ok(|| invoice(next.as_ref())).await;
    assert_eq!(session.handshakes(), [1, 1]);
    next.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_process_gets_the_session_and_the_older_one_does_not_fight_for_it() {
    let (sim, state) = (sim(), tempfile::tempdir().unwrap());
    let session = session(&sim, Permit::Invoice);
    let old = wallet(&sim, session.phrase(), state.path());
    invoice(old.as_ref()).await.unwrap();
    let new = wallet(&sim, session.phrase(), state.path());
    invoice(new.as_ref()).await.unwrap();
    let error = invoice(old.as_ref()).await.unwrap_err();
    assert!(matches!(error, LightningError::Unavailable { .. }), "{error}");
    invoice(new.as_ref()).await.unwrap();
    assert_eq!(session.handshakes(), [1, 2]);
    new.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_is_wrong() {
    let (sim, state) = (sim(), tempfile::tempdir().unwrap());
    let unknown = "letter advice cage absurd amount doctor acoustic avoid letter zoo";
    let error = invoice(wallet(&sim, unknown, state.path()).as_ref()).await.unwrap_err().to_string();
    assert!(error.contains("knows no session of this pairing phrase"), "{error}");
    assert!(!error.contains("letter"), "{error}");

    let limited = session(&sim, Permit::Readonly);
    let error = invoice(wallet(&sim, limited.phrase(), state.path()).as_ref()).await.unwrap_err().to_string();
    assert!(error.contains("the session may not call AddInvoice"), "{error}");

    let revoked = session(&sim, Permit::Invoice);
    let wallet = wallet(&sim, revoked.phrase(), state.path());
    invoice(wallet.as_ref()).await.unwrap();
    revoked.revoke();
    let text = loop {
        match invoice(wallet.as_ref()).await {
            Err(error) if error.to_string().contains("knows no such session") => break error.to_string(),
            Err(_) | Ok(()) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert!(text.contains("has expired or was revoked"), "{text}");
}

#[test]
fn a_word_that_is_none_is_told_at_the_start_by_its_place() {
    let (sim, state) = (sim(), tempfile::tempdir().unwrap());
    let config = BackendConfig::Lnc(LncSettings {
        phrase: Secret::new("letter advice cagee absurd amount doctor acoustic avoid letter zoo".to_owned()),
        mailbox: sim.mailbox_address(),
        certificate: Some(std::fs::read(sim.tls_cert_path()).unwrap()),
    });
    let settings = BackendSettings {
        name: "remote".to_owned(),
        timeout_ms: 10_000,
        route_hints: RouteHints::Auto,
        config,
    };
    let error = lightning::open(&settings, &notes(), state.path()).err().unwrap().to_string();
    assert!(error.contains("word 3") && !error.contains("cagee"), "{error}");
}
