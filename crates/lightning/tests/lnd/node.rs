//! The LND module against a simulated node: what every wallet keeps, and what it does when the node misbehaves.
use std::time::{Duration, Instant};

use crate::support::{
    PATIENCE, SHORT, SimWorld, ask, is_unavailable, look_up_nothing, sim, until_available, wallet,
    wallet_with,
};
use l402::Msat;
use lightning::{Lightning, LightningError, Lookup, conformance};
use lnsim::{Fault, FaultKind, Method, Permit};
use tokio::time::timeout;

#[tokio::test]
async fn it_conforms() {
    let sim = sim();
    conformance::all(&wallet(&sim), &SimWorld(&sim)).await;
}

#[tokio::test]
async fn it_conforms_with_a_macaroon_for_invoices_only() {
    let sim = sim();
    let wallet = wallet_with(&sim, Permit::Invoice, PATIENCE);
    assert_eq!(wallet.health().await.unwrap().network, None);
    conformance::all(&wallet, &SimWorld(&sim)).await;
    assert_eq!(wallet.health().await.unwrap().network.as_deref(), Some("regtest"), "that of its invoices");
}

#[tokio::test]
async fn the_network_is_asked_once() {
    let sim = sim();
    for permit in [Permit::Admin, Permit::Invoice] {
        let before = sim.calls(Method::GetInfo);
        let wallet = wallet_with(&sim, permit, PATIENCE);
        for _ in 0..3 {
            wallet.create(&ask(1000)).await.unwrap();
        }
        assert_eq!(sim.calls(Method::GetInfo) - before, 1, "{permit:?}");
    }
}

#[tokio::test]
async fn a_wrong_invoice_never_gets_through() {
    let sim = sim();
    let wallet = wallet(&sim);
    for (kind, said) in [
        (FaultKind::WrongAmount(1), "1 msat"),
        (FaultKind::WrongHash, "payment hash"),
        (FaultKind::WrongNetwork, "mainnet"),
        (FaultKind::Expired, "invoice"),
    ] {
        sim.fault(Fault::new(kind.clone()).times(1));
        match wallet.create(&ask(1000)).await {
            Err(LightningError::Wrong(text)) => assert!(text.contains(said), "{kind:?}: {text}"),
            other => panic!("{kind:?}: {other:?}"),
        }
    }
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn another_network_than_before_is_noticed_without_get_info() {
    let sim = sim();
    let wallet = wallet_with(&sim, Permit::Invoice, PATIENCE);
    wallet.create(&ask(1000)).await.unwrap();
    sim.fault(Fault::new(FaultKind::WrongNetwork).times(1));
    let wrong = wallet.create(&ask(1000)).await;
    assert!(matches!(wrong, Err(LightningError::Wrong(_))), "{wrong:?}");
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let sim = sim();
    let readonly = wallet_with(&sim, Permit::Readonly, PATIENCE);
    match readonly.create(&ask(1000)).await {
        Err(LightningError::Refused(text)) => assert!(text.contains("invoices:write"), "{text}"),
        other => panic!("{other:?}"),
    }
    let other_sim = crate::support::sim();
    let macaroon = std::fs::read(other_sim.macaroon_path(Permit::Admin)).unwrap();
    let certificate = std::fs::read(sim.tls_cert_path()).unwrap();
    let stranger =
        lnd_rpc::channel::Node::new(&sim.lnd_address(), &certificate, &macaroon, None, PATIENCE).unwrap();
    match lightning::lnd::Lnd::new(stranger, PATIENCE).create(&ask(1000)).await {
        Err(LightningError::Refused(text)) => assert!(text.contains("not one of this node's"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_of_another_node_is_refused() {
    let (sim, other) = (sim(), crate::support::sim());
    let macaroon = std::fs::read(sim.macaroon_path(Permit::Admin)).unwrap();
    let certificate = std::fs::read(other.tls_cert_path()).unwrap();
    let node =
        lnd_rpc::channel::Node::new(&sim.lnd_address(), &certificate, &macaroon, None, PATIENCE).unwrap();
    match lightning::lnd::Lnd::new(node, PATIENCE).create(&ask(1000)).await {
        Err(LightningError::Refused(text)) => assert!(text.contains("tls.cert"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(sim.calls(Method::AddInvoice), 0);
}

#[tokio::test]
async fn codes_become_the_right_errors() {
    let sim = sim();
    let wallet = wallet(&sim);
    wallet.create(&ask(1000)).await.unwrap();
    for (code, text, unavailable) in [
        (3, "bad memo", false),
        (13, "boom", false),
        (14, "not now", true),
        (2, "the RPC server is in the process of starting up, but not yet ready to accept calls", true),
    ] {
        sim.fault(Fault::refuse(code, text).at(Method::AddInvoice).times(1));
        let result = wallet.create(&ask(1000)).await;
        assert_eq!(is_unavailable(&result), unavailable, "{code} {text}: {result:?}");
        assert_eq!(
            matches!(result, Err(LightningError::Refused(_))),
            !unavailable,
            "{code} {text}: {result:?}"
        );
    }
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_deadline() {
    let sim = sim();
    let wallet = wallet_with(&sim, Permit::Admin, SHORT);
    until_available(|| wallet.health()).await;
    for method in [Method::AddInvoice, Method::LookupInvoice] {
        sim.fault(Fault::hang().at(method));
    }
    for _ in 0..3 {
        let started = Instant::now();
        assert_eq!(wallet.create(&ask(1000)).await, Err(LightningError::TimedOut));
        assert!(started.elapsed() < SHORT * 5, "{:?}", started.elapsed());
        assert_eq!(look_up_nothing(&wallet).await, Err(LightningError::TimedOut));
    }
    sim.clear_faults();
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn a_connection_cut_during_a_call_is_made_again() {
    let sim = sim();
    let wallet = wallet(&sim);
    wallet.create(&ask(1000)).await.unwrap();
    sim.fault(Fault::drop_connection().at(Method::AddInvoice).times(1));
    let cut = wallet.create(&ask(1000)).await;
    assert!(is_unavailable(&cut), "{cut:?}");
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn a_restart_of_the_node_is_survived() {
    let sim = sim();
    let wallet = wallet(&sim);
    let made = wallet.create(&ask(1000)).await.unwrap();
    sim.restart();
    let found = until_available(|| wallet.look_up(made.payment_hash)).await;
    assert!(matches!(found, Lookup::Pending { .. }), "{found:?}");
}

#[tokio::test]
async fn a_node_that_is_down_fails_at_once_and_comes_back() {
    let sim = sim();
    let wallet = wallet(&sim);
    sim.fault(FaultKind::RefuseConnections);
    assert!(is_unavailable(&wallet.create(&ask(1000)).await));
    let started = Instant::now();
    assert!(is_unavailable(&wallet.create(&ask(1000)).await));
    assert!(started.elapsed() < PATIENCE / 4);
    sim.clear_faults();
    until_available(|| wallet.health()).await;
}

#[tokio::test]
async fn paid_is_what_the_node_calls_settled() {
    let sim = sim();
    let wallet = wallet(&sim);
    sim.fault(Fault::new(FaultKind::SettleLater).times(1));
    let later = wallet.create(&ask(1000)).await.unwrap();
    sim.pay(&later.bolt11).unwrap();
    sim.fault(Fault::new(FaultKind::Hold).times(1));
    let held = wallet.create(&ask(2000)).await.unwrap();
    assert!(sim.pay(&held.bolt11).is_err());
    for (invoice, msat) in [(&later, 1000), (&held, 2000)] {
        let found = wallet.look_up(invoice.payment_hash).await.unwrap();
        assert!(matches!(found, Lookup::Pending { .. }), "{found:?}");
        sim.settle_now(&invoice.payment_hash.0).unwrap();
        let found = wallet.look_up(invoice.payment_hash).await.unwrap();
        assert!(
            matches!(found, Lookup::Settled { received: Some(Msat(got)), .. } if got == msat),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn an_expired_invoice_dies() {
    let sim = sim();
    let wallet = wallet(&sim);
    let made = wallet.create(&ask(1000)).await.unwrap();
    sim.advance_clock(601);
    assert_eq!(wallet.look_up(made.payment_hash).await.unwrap(), Lookup::Dead);
}

#[tokio::test]
async fn settlements_resume_where_the_stream_was_lost() {
    let sim = sim();
    let wallet = wallet(&sim);
    let mut settlements = conformance::listen(&wallet, &SimWorld(&sim)).await;
    let invoices = [wallet.create(&ask(1000)).await.unwrap(), wallet.create(&ask(2000)).await.unwrap()];
    sim.fault(FaultKind::RefuseConnections);
    for invoice in &invoices {
        sim.pay(&invoice.bolt11).unwrap();
    }
    sim.clear_faults();
    for invoice in &invoices {
        let heard = timeout(PATIENCE, async {
            loop {
                let settlement = settlements.recv().await.unwrap();
                if settlement.payment_hash == invoice.payment_hash {
                    return settlement;
                }
            }
        });
        assert!(heard.await.unwrap().preimage.is_some());
    }
}

#[tokio::test]
async fn a_subscription_that_is_refused_is_tried_again() {
    let sim = sim();
    let wallet = wallet(&sim);
    sim.fault(Fault::refuse(2, "permission denied").at(Method::SubscribeInvoices).times(2));
    let _heard = conformance::listen(&wallet, &SimWorld(&sim)).await;
    assert!(sim.calls(Method::SubscribeInvoices) >= 3);
}

// Waits by blocking its thread, so the wallet needs others.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_push_leaves_look_ups() {
    let sim = sim();
    let wallet = wallet(&sim);
    sim.fault(FaultKind::PushSilent);
    let mut settlements = wallet.settlements();
    sim.wait_for_calls(Method::SubscribeInvoices, 1).unwrap();
    let made = wallet.create(&ask(1000)).await.unwrap();
    sim.pay(&made.bolt11).unwrap();
    let found = wallet.look_up(made.payment_hash).await.unwrap();
    assert!(matches!(found, Lookup::Settled { .. }), "{found:?}");
    assert!(settlements.try_recv().is_err());
}

// Waits by blocking its thread, so the wallet needs others.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_receiver_ends_the_subscription() {
    let sim = sim();
    let wallet = wallet(&sim);
    drop(wallet.settlements());
    // Whatever the task did before it noticed, it does nothing more: a restart brings no new subscription.
    let mut heard = conformance::listen(&wallet, &SimWorld(&sim)).await;
    let before = sim.calls(Method::SubscribeInvoices);
    sim.restart();
    sim.wait_for_calls(Method::SubscribeInvoices, before + 1).unwrap();
    let made = until_available(|| wallet.create(ASK.get_or_init(|| ask(1000)))).await;
    sim.pay(&made.bolt11).unwrap();
    while timeout(PATIENCE, heard.recv()).await.unwrap().unwrap().payment_hash != made.payment_hash {}
    assert_eq!(sim.calls(Method::SubscribeInvoices), before + 1);
}

static ASK: std::sync::OnceLock<lightning::InvoiceRequest> = std::sync::OnceLock::new();

#[test]
fn debug_shows_no_secret() {
    let sim = sim();
    let node = crate::support::node(&sim, &sim.lnd_address(), Permit::Admin, None, Duration::from_secs(1));
    let macaroon = std::fs::read(sim.macaroon_path(Permit::Admin)).unwrap();
    let hex: String = macaroon.iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = format!("{node:?} {:?}", node.macaroon());
    assert!(!shown.contains(&hex[..64]) && !shown.contains(&hex[hex.len() - 64..]), "{shown}");
    let preimage = Some(l402::Preimage::from_bytes([0xab; 32]));
    let settled = Lookup::Settled { preimage, received: Some(Msat(1)), remarks: vec![] };
    assert!(!format!("{settled:?}").contains("abab"));
    let invoice = lnd_rpc::lnrpc::Invoice { r_preimage: vec![0xab; 32], ..Default::default() };
    assert!(!format!("{invoice:?}").contains("171"));
}
