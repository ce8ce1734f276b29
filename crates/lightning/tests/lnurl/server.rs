//! The LNURL module against a simulated server: what every wallet keeps, and what it does when the server misbehaves.
use std::sync::Arc;
use std::time::Instant;

use crate::support::{Memory, PATIENCE, SHORT, ask, is_unavailable, server, wallet};
use l402::{Msat, PaymentHash};
use lightning::{Lightning, LightningError, Lookup, conformance};
use lnsim::{Fault, FaultKind, LnurlOptions, Method, Told};

#[tokio::test]
async fn it_conforms() {
    for preimage in [Told::Always, Told::Settled, Told::Never] {
        let server = server(LnurlOptions { preimage, ..LnurlOptions::default() });
        conformance::all_without_push(&server.wallet(), &server).await;
    }
}

#[tokio::test]
async fn without_verify_it_sells_and_says_that_it_cannot_look_up() {
    let server = server(LnurlOptions { verify: false, ..LnurlOptions::default() });
    let wallet = server.wallet();
    conformance::all_without_push(&wallet, &server).await;
    let made = wallet.create(&ask(1000)).await.unwrap();
    server.sim.pay(&made.bolt11).unwrap();
    assert_eq!(wallet.look_up(made.payment_hash).await.unwrap(), Lookup::CannotLookUp);
    assert_eq!(server.notes.len(), 0);
}

#[tokio::test]
async fn what_was_noted_down_is_found_after_a_restart() {
    let server = server(LnurlOptions::default());
    let made = server.wallet().create(&ask(1000)).await.unwrap();
    server.sim.pay(&made.bolt11).unwrap();
    let found = server.wallet().look_up(made.payment_hash).await.unwrap();
    assert!(
        matches!(found, Lookup::Settled { preimage: Some(_), received: Some(Msat(1000)), .. }),
        "{found:?}"
    );
    // Without the note nobody can tell.
    let forgetful = wallet(&server.address, &Arc::default(), PATIENCE);
    assert_eq!(forgetful.look_up(made.payment_hash).await.unwrap(), Lookup::CannotLookUp);
}

#[tokio::test]
async fn an_invoice_that_cannot_be_noted_down_is_not_sold() {
    let server = server(LnurlOptions::default());
    let full = Arc::new(Memory::full());
    let made = wallet(&server.address, &full, PATIENCE).create(&ask(1000)).await;
    assert!(is_unavailable(&made), "{made:?}");
}

#[tokio::test]
async fn what_the_address_offers_is_asked_once_in_a_while() {
    let server = server(LnurlOptions::default());
    let wallet = server.wallet();
    for _ in 0..3 {
        wallet.create(&ask(1000)).await.unwrap();
    }
    assert_eq!(server.sim.calls(Method::GetInfo), 1);
    let health = wallet.health().await.unwrap();
    assert_eq!(health.network.as_deref(), Some("regtest"));
    assert!(health.node.starts_with("LNURL alice@"), "{}", health.node);
}

#[tokio::test]
async fn a_wrong_invoice_never_gets_through() {
    let server = server(LnurlOptions::default());
    let wallet = server.wallet();
    wallet.create(&ask(1000)).await.unwrap();
    for (kind, said) in [
        (FaultKind::WrongAmount(1), "1 msat"),
        (FaultKind::WrongNetwork, "mainnet"),
        (FaultKind::Expired, "expired or about to"),
    ] {
        server.sim.fault(Fault::new(kind.clone()).times(1));
        match wallet.create(&ask(1000)).await {
            Err(LightningError::Wrong(text)) => assert!(text.contains(said), "{kind:?}: {text}"),
            other => panic!("{kind:?}: {other:?}"),
        }
    }
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn a_wallet_of_whole_satoshis_is_named() {
    let server = server(LnurlOptions { whole_sats: true, ..LnurlOptions::default() });
    let wallet = server.wallet();
    wallet.create(&ask(2000)).await.unwrap();
    match wallet.create(&ask(2500)).await {
        Err(LightningError::Wrong(text)) => assert!(text.contains("multiple of 1000 msat"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_price_out_of_bounds_is_refused_before_it_is_asked() {
    let server = server(LnurlOptions { min_sendable: 1000, ..LnurlOptions::default() });
    match server.wallet().create(&ask(999)).await {
        Err(LightningError::Refused(text)) => assert!(text.contains("1000 msat"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.sim.calls(Method::AddInvoice), 0);
}

#[tokio::test]
async fn an_error_in_a_200_is_an_error() {
    let server = server(LnurlOptions::default());
    let wallet = server.wallet();
    let made = wallet.create(&ask(1000)).await.unwrap();
    for (status, unavailable) in [(200, false), (400, false), (500, true), (429, true)] {
        for method in [Method::AddInvoice, Method::LookupInvoice] {
            server.sim.fault(Fault::refuse(status, "not now").at(method).times(1));
        }
        let (again, found) = (wallet.create(&ask(1000)).await, wallet.look_up(made.payment_hash).await);
        assert_eq!(is_unavailable(&again), unavailable, "{status}");
        match again {
            Err(LightningError::Refused(text)) if !unavailable => assert!(text.contains("not now"), "{text}"),
            other => assert!(unavailable, "{status}: {other:?}"),
        }
        // An error of its own tells nothing of the invoice; a busy server is asked again.
        match found {
            Ok(Lookup::Unclear(text)) => assert!(status != 429 && text.contains("not now"), "{text}"),
            other => assert!(status == 429 && is_unavailable(&other), "{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_user_that_nobody_knows_is_refused() {
    let server = server(LnurlOptions { user: "bob".to_owned(), ..LnurlOptions::default() });
    match server.wallet().create(&ask(1000)).await {
        Err(LightningError::Refused(text)) => assert!(text.contains("find that user"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_deadline() {
    let server = server(LnurlOptions::default());
    let wallet = server.wallet_with(SHORT);
    let made = server.wallet().create(&ask(1000)).await.unwrap();
    for method in [Method::GetInfo, Method::AddInvoice, Method::LookupInvoice] {
        server.sim.fault(Fault::hang().at(method));
    }
    let started = Instant::now();
    assert_eq!(wallet.create(&ask(1000)).await, Err(LightningError::TimedOut));
    assert_eq!(wallet.look_up(made.payment_hash).await, Err(LightningError::TimedOut));
    assert!(started.elapsed() < SHORT * 10, "{:?}", started.elapsed());
    server.sim.clear_faults();
    server.wallet().create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn settled_alone_counts() {
    let server = server(LnurlOptions::default());
    let wallet = server.wallet();
    server.sim.fault(Fault::new(FaultKind::SettleLater).times(1));
    let made = wallet.create(&ask(1000)).await.unwrap();
    server.sim.pay(&made.bolt11).unwrap();
    // The server tells the preimage all the while.
    let found = wallet.look_up(made.payment_hash).await.unwrap();
    assert!(matches!(found, Lookup::Pending { .. }), "{found:?}");
    server.sim.settle_now(&made.payment_hash.0).unwrap();
    let found = wallet.look_up(made.payment_hash).await.unwrap();
    assert!(matches!(found, Lookup::Settled { preimage: Some(_), .. }), "{found:?}");
}

#[tokio::test]
async fn nothing_is_pushed_and_the_subscription_stays() {
    let server = server(LnurlOptions::default());
    let wallet = server.wallet();
    let mut settlements = wallet.settlements();
    let made = wallet.create(&ask(1000)).await.unwrap();
    server.sim.pay(&made.bolt11).unwrap();
    assert!(matches!(wallet.look_up(made.payment_hash).await, Ok(Lookup::Settled { .. })));
    assert_eq!(settlements.try_recv(), Err(tokio::sync::mpsc::error::TryRecvError::Empty));
    assert_eq!(wallet.look_up(PaymentHash([9; 32])).await, Ok(Lookup::CannotLookUp));
}
