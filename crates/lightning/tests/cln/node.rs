//! The CLN module against a simulated node: what every wallet keeps, and what it does when the node misbehaves.

use lightning::{Cancelled, Lightning, LightningError, Lookup, conformance};
use lnsim::{Fault, FaultKind, Method};
use settings::ClnSettings;
use tokio::time::timeout;

use crate::support::{Node, PATIENCE, SHORT, ask, until_available, wallet, wallet_with};

/// How long a call is held up while something else happens.
const LATE: std::time::Duration = std::time::Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_over_the_socket() {
    let node = Node::start();
    conformance::all(&wallet(&node.socket), &node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_over_clnrest() {
    let node = Node::start();
    conformance::all(&wallet(&node.ways()[1]), &node).await;
}

#[tokio::test]
async fn health_tells_what_the_node_is() {
    let node = Node::start();
    for way in node.ways() {
        let health = wallet(&way).health().await.unwrap();
        assert!(health.node.starts_with("CLN v26.06 0"), "{health:?}");
        assert_eq!((health.network.as_deref(), health.synced), (Some("regtest"), Some(true)));
    }
}

#[tokio::test]
async fn the_network_is_asked_once() {
    let node = Node::start();
    let wallet = wallet(&node.socket);
    for _ in 0..3 {
        wallet.create(&ask(1000)).await.unwrap();
    }
    assert_eq!(node.sim.calls(Method::GetInfo), 1);
}

#[tokio::test]
async fn a_wrong_invoice_never_gets_through() {
    let node = Node::start();
    for way in node.ways() {
        let wallet = wallet(&way);
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
}

#[tokio::test]
async fn a_refusal_is_the_operators() {
    let node = Node::start();
    for way in node.ways() {
        let wallet = wallet(&way);
        node.sim.fault(Fault::refuse(902, "no hints").at(Method::AddInvoice).times(1));
        let error = wallet.create(&ask(1000)).await.unwrap_err();
        assert!(matches!(&error, LightningError::Refused(text) if text.contains("no hints")), "{error}");
        wallet.create(&ask(1000)).await.unwrap();
    }
}

#[tokio::test]
async fn a_hung_call_ends_at_its_deadline() {
    let node = Node::start();
    for way in node.ways() {
        let wallet = wallet_with(&way, SHORT);
        wallet.health().await.unwrap();
        node.sim.fault(Fault::hang().at(Method::AddInvoice).times(1));
        assert_eq!(wallet.create(&ask(1000)).await, Err(LightningError::TimedOut));
        wallet_with(&way, PATIENCE).create(&ask(1000)).await.unwrap();
    }
}

#[tokio::test]
async fn a_silent_node_is_given_up_on() {
    let node = Node::start();
    for way in node.ways() {
        node.sim.fault(FaultKind::HangConnections);
        let wallet = wallet_with(&way, SHORT);
        assert_eq!(wallet.create(&ask(1000)).await, Err(LightningError::TimedOut));
        node.sim.clear_faults();
        until_available(|| async { wallet_with(&way, PATIENCE).create(&ask(1000)).await }).await;
    }
}

#[tokio::test]
async fn a_lost_connection_is_unavailable_and_comes_back() {
    let node = Node::start();
    for way in node.ways() {
        let wallet = wallet(&way);
        node.sim.fault(Fault::drop_connection().at(Method::AddInvoice).times(1));
        let lost = wallet.create(&ask(1000)).await;
        assert!(matches!(lost, Err(LightningError::Unavailable { .. })), "{lost:?}");
        until_available(|| wallet.health()).await;
        node.sim.fault(FaultKind::RefuseConnections);
        for _ in 0..2 {
            let gone = wallet.health().await;
            assert!(matches!(gone, Err(LightningError::Unavailable { .. })), "{gone:?}");
        }
        node.sim.clear_faults();
        until_available(|| wallet.health()).await;
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there() {
    let path = std::path::PathBuf::from("/nowhere/lightning-rpc");
    let error = wallet(&ClnSettings::Socket { path }).health().await.unwrap_err().to_string();
    assert!(error.contains("there is no /nowhere/lightning-rpc"), "{error}");
}

/// Whoever pays between the question and the deletion has paid.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_beats_a_cancel() {
    let node = Node::start();
    for way in node.ways() {
        let wallet = std::sync::Arc::new(wallet(&way));
        let invoice = wallet.create(&ask(1000)).await.unwrap();
        let before = node.sim.calls(Method::CancelInvoice);
        node.sim.fault(Fault::new(FaultKind::Delay(LATE)).at(Method::CancelInvoice).times(1));
        let cancelling = tokio::spawn({
            let (wallet, hash) = (wallet.clone(), invoice.payment_hash);
            async move { wallet.cancel(hash).await }
        });
        tokio::task::block_in_place(|| node.sim.wait_for_calls(Method::CancelInvoice, before + 1)).unwrap();
        node.sim.pay(&invoice.bolt11).unwrap();
        let error = cancelling.await.unwrap().unwrap_err();
        assert!(matches!(&error, LightningError::Refused(text) if text.contains("is paid")), "{error}");
        match wallet.look_up(invoice.payment_hash).await.unwrap() {
            Lookup::Settled { received, .. } => assert_eq!(received, Some(l402::Msat(1000))),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_gone_is_cancelled() {
    let node = Node::start();
    for way in node.ways() {
        let wallet = wallet(&way);
        let invoice = wallet.create(&ask(1000)).await.unwrap();
        for code in [905, 906] {
            node.sim.fault(Fault::refuse(code, "changed").at(Method::CancelInvoice).times(1));
            let cancelled = wallet.cancel(invoice.payment_hash).await;
            match code {
                // Not there any more.
                905 => assert_eq!(cancelled, Ok(Cancelled::Done)),
                // Said to have changed, and found as it was.
                _ => assert!(matches!(cancelled, Err(LightningError::Refused(_))), "{cancelled:?}"),
            }
        }
        assert_eq!(wallet.cancel(l402::PaymentHash([9; 32])).await, Ok(Cancelled::Done));
        node.sim.fault(Fault::refuse(-1, "no").at(Method::CancelInvoice).times(1));
        assert!(wallet.cancel(invoice.payment_hash).await.is_err());
        assert_eq!(wallet.cancel(invoice.payment_hash).await, Ok(Cancelled::Done));
    }
}

/// Payments of before are not told, those during an outage are.
#[tokio::test(flavor = "multi_thread")]
async fn settlements_begin_now_and_miss_nothing() {
    let node = Node::start();
    for way in node.ways() {
        let wallet = wallet(&way);
        for _ in 0..5 {
            let old = wallet.create(&ask(1000)).await.unwrap();
            node.sim.pay(&old.bolt11).unwrap();
        }
        let before = node.sim.calls(Method::SubscribeInvoices);
        let mut settlements = wallet.settlements();
        node.sim.wait_for_calls(Method::SubscribeInvoices, before + 1).unwrap();
        let away = wallet.create(&ask(2000)).await.unwrap();
        node.sim.fault(FaultKind::RefuseConnections);
        node.sim.pay(&away.bolt11).unwrap();
        node.sim.clear_faults();
        let told = timeout(PATIENCE, settlements.recv()).await.unwrap().unwrap();
        assert_eq!(told.payment_hash, away.payment_hash);
        assert!(told.preimage.is_some_and(|preimage| preimage.matches(&away.payment_hash)));
    }
}

#[tokio::test]
async fn an_expired_invoice_is_dead() {
    let node = Node::start();
    let wallet = wallet(&node.socket);
    let invoice = wallet.create(&ask(1000)).await.unwrap();
    node.sim.advance_clock(601);
    assert_eq!(wallet.look_up(invoice.payment_hash).await, Ok(Lookup::Dead));
}
