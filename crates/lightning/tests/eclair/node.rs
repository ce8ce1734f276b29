//! The Eclair module against a simulated node: what every wallet keeps, and what it does when the node misbehaves.
use std::time::Instant;

use crate::support::{PATIENCE, SHORT, ask, is_unavailable, node, node_with, until_available};
use l402::{Msat, PaymentHash};
use lightning::{Cancelled, Lightning, LightningError, Lookup, conformance};
use lnsim::{EclairEvents, Fault, FaultKind, Method};
use tokio::time::timeout;

#[tokio::test]
async fn it_conforms() {
    let node = node();
    conformance::all(&node.wallet(), &node).await;
}

#[tokio::test]
async fn payments_are_heard_of_whatever_the_release() {
    for events in [EclairEvents::Numbers, EclairEvents::NoParts] {
        let node = node_with(events);
        conformance::a_settlement_is_pushed(&node.wallet(), &node).await;
    }
}

/// Before 0.7 nothing can be cancelled.
#[tokio::test]
async fn an_eclair_that_can_not_cancel() {
    let old = node_with(EclairEvents::Numbers);
    let wallet = old.wallet();
    let invoice = wallet.create(&ask(1000)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(wallet.cancel(invoice.payment_hash).await, Ok(Cancelled::CannotCancel));
    }
    assert!(matches!(wallet.look_up(invoice.payment_hash).await, Ok(Lookup::Pending { .. })));
    // A proxy that lets less through.
    let node = node();
    let wallet = node.wallet();
    let invoice = wallet.create(&ask(1000)).await.unwrap();
    node.sim.fault(Fault::refuse(403, "no").at(Method::CancelInvoice).times(1));
    assert_eq!(wallet.cancel(invoice.payment_hash).await, Ok(Cancelled::CannotCancel));
}

#[tokio::test]
async fn what_is_paid_is_not_cancelled() {
    let node = node();
    let wallet = node.wallet();
    let (paid, unpaid) = (wallet.create(&ask(1000)).await.unwrap(), wallet.create(&ask(1000)).await.unwrap());
    node.sim.pay(&paid.bolt11).unwrap();
    let error = wallet.cancel(paid.payment_hash).await.unwrap_err();
    assert!(matches!(&error, LightningError::Refused(text) if text.contains("is paid")), "{error}");
    assert!(matches!(wallet.look_up(paid.payment_hash).await, Ok(Lookup::Settled { .. })));
    // Refused for another reason, it is as it was.
    node.sim.fault(Fault::refuse(500, "boom").at(Method::CancelInvoice).times(1));
    let error = wallet.cancel(unpaid.payment_hash).await.unwrap_err();
    assert!(matches!(&error, LightningError::Refused(text) if text.contains("boom")), "{error}");
    node.sim.fault(Fault::refuse(503, "boom").at(Method::CancelInvoice).times(1));
    assert!(is_unavailable(&wallet.cancel(unpaid.payment_hash).await));
    assert_eq!(wallet.cancel(unpaid.payment_hash).await, Ok(Cancelled::Done));
    assert_eq!(wallet.cancel(PaymentHash([9; 32])).await, Ok(Cancelled::Done), "nobody can pay that");
}

#[tokio::test]
async fn the_network_is_asked_once() {
    let node = node();
    let wallet = node.wallet();
    for _ in 0..3 {
        wallet.create(&ask(1000)).await.unwrap();
    }
    assert_eq!(node.sim.calls(Method::GetInfo), 1);
    let health = wallet.health().await.unwrap();
    assert_eq!(health.network.as_deref(), Some("regtest"));
    assert!(health.node.starts_with("Eclair 0.14"), "{}", health.node);
}

#[tokio::test]
async fn a_wrong_invoice_never_gets_through() {
    let node = node();
    let wallet = node.wallet();
    for (kind, said) in [
        (FaultKind::WrongAmount(1), "1 msat"),
        (FaultKind::WrongHash, "payment hash"),
        (FaultKind::WrongNetwork, "mainnet"),
        (FaultKind::Expired, "invoice"),
    ] {
        node.sim.fault(Fault::new(kind.clone()).times(1));
        match wallet.create(&ask(1000)).await {
            Err(LightningError::Wrong(text)) => assert!(text.contains(said), "{kind:?}: {text}"),
            other => panic!("{kind:?}: {other:?}"),
        }
    }
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_says_what_to_do() {
    let node = node();
    let wallet = node.wallet_with("wrong", PATIENCE);
    match wallet.create(&ask(1000)).await {
        Err(LightningError::Refused(text)) => {
            assert!(text.contains("ECLAIR_PASSWORD") && !text.contains("wrong"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(node.sim.calls(Method::AddInvoice), 0);
}

#[tokio::test]
async fn statuses_become_the_right_errors() {
    let node = node();
    let wallet = node.wallet();
    wallet.create(&ask(1000)).await.unwrap();
    for (status, unavailable) in [(400, false), (405, false), (500, false), (503, true)] {
        node.sim.fault(Fault::refuse(status, "boom").at(Method::AddInvoice).times(1));
        let result = wallet.create(&ask(1000)).await;
        assert_eq!(is_unavailable(&result), unavailable, "{status}: {result:?}");
        assert_eq!(matches!(result, Err(LightningError::Refused(_))), !unavailable, "{status}: {result:?}");
    }
    node.sim.fault(Fault::refuse(408, "boom").at(Method::AddInvoice).times(1));
    assert_eq!(wallet.create(&ask(1000)).await, Err(LightningError::TimedOut));
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_deadline() {
    let node = node();
    let wallet = node.wallet_with(crate::support::PASSWORD, SHORT);
    until_available(|| wallet.health()).await;
    for method in [Method::AddInvoice, Method::LookupInvoice] {
        node.sim.fault(Fault::hang().at(method));
    }
    for _ in 0..3 {
        let started = Instant::now();
        assert_eq!(wallet.create(&ask(1000)).await, Err(LightningError::TimedOut));
        assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
        assert_eq!(wallet.look_up(PaymentHash([9; 32])).await, Err(LightningError::TimedOut));
    }
    node.sim.clear_faults();
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn a_connection_cut_during_a_call_is_made_again() {
    let node = node();
    let wallet = node.wallet();
    wallet.create(&ask(1000)).await.unwrap();
    node.sim.fault(Fault::drop_connection().at(Method::AddInvoice).times(1));
    let cut = wallet.create(&ask(1000)).await;
    assert!(is_unavailable(&cut), "{cut:?}");
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn a_node_that_is_down_fails_at_once_and_comes_back() {
    let node = node();
    let wallet = node.wallet();
    let made = wallet.create(&ask(1000)).await.unwrap();
    node.sim.fault(FaultKind::RefuseConnections);
    for _ in 0..5 {
        let down = wallet.look_up(made.payment_hash).await;
        assert!(is_unavailable(&down), "{down:?}");
    }
    node.sim.clear_faults();
    let found = until_available(|| wallet.look_up(made.payment_hash)).await;
    assert!(matches!(found, Lookup::Pending { .. }), "{found:?}");
}

#[tokio::test]
async fn paid_is_what_the_status_says() {
    let node = node();
    let wallet = node.wallet();
    node.sim.fault(Fault::new(FaultKind::SettleLater).times(1));
    let later = wallet.create(&ask(1000)).await.unwrap();
    node.sim.pay(&later.bolt11).unwrap();
    // The node tells the preimage all the while.
    let found = wallet.look_up(later.payment_hash).await.unwrap();
    assert!(matches!(found, Lookup::Pending { .. }), "{found:?}");
    node.sim.settle_now(&later.payment_hash.0).unwrap();
    let found = wallet.look_up(later.payment_hash).await.unwrap();
    assert!(
        matches!(found, Lookup::Settled { preimage: Some(_), received: Some(Msat(1000)), .. }),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_expired_invoice_dies() {
    let node = node();
    let wallet = node.wallet();
    let made = wallet.create(&ask(1000)).await.unwrap();
    node.sim.advance_clock(601);
    assert_eq!(wallet.look_up(made.payment_hash).await.unwrap(), Lookup::Dead);
}

#[tokio::test]
async fn the_websocket_is_opened_again() {
    let node = node();
    let wallet = node.wallet();
    let mut settlements = conformance::listen(&wallet, &node).await;
    node.sim.restart();
    // Payments are made until one is heard of: the connection before may not have noticed its end.
    let heard = timeout(PATIENCE, async {
        loop {
            let made = until_available(|| wallet.create(asked())).await;
            node.sim.pay(&made.bolt11).unwrap();
            let wait = timeout(SHORT, settlements.recv()).await;
            if let Ok(Some(settlement)) = wait {
                return settlement;
            }
        }
    });
    assert_eq!(heard.await.unwrap().received, Some(Msat(1000)));
    assert!(node.sim.calls(Method::SubscribeInvoices) >= 2);
}

#[tokio::test]
async fn a_websocket_that_is_refused_is_tried_again() {
    let node = node();
    node.sim.fault(Fault::refuse(503, "later").at(Method::SubscribeInvoices).times(2));
    let _heard = conformance::listen(&node.wallet(), &node).await;
    assert!(node.sim.calls(Method::SubscribeInvoices) >= 3);
}

// Waits by blocking its thread, so the wallet needs others.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_receiver_ends_the_websocket() {
    let node = node();
    let wallet = node.wallet();
    drop(wallet.settlements());
    let _heard = conformance::listen(&wallet, &node).await;
    let before = node.sim.calls(Method::SubscribeInvoices);
    node.sim.restart();
    node.sim.wait_for_calls(Method::SubscribeInvoices, before + 1).unwrap();
    until_available(|| wallet.health()).await;
    assert_eq!(node.sim.calls(Method::SubscribeInvoices), before + 1);
}

fn asked() -> &'static lightning::InvoiceRequest {
    static ASK: std::sync::OnceLock<lightning::InvoiceRequest> = std::sync::OnceLock::new();
    ASK.get_or_init(|| ask(1000))
}
