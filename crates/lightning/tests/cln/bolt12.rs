//! Offers: each invoice is one of the node's own offer.

use l402::Msat;
use lightning::bolt12::Bolt12;
use lightning::{Lightning, LightningError, Lookup, conformance};
use lnsim::{Fault, FaultKind, Method};
use settings::Bolt12Settings;

use crate::support::{Node, PATIENCE, SHORT, ask};

fn settings(node: &Node) -> Bolt12Settings {
    Bolt12Settings { cln: node.socket.clone(), offer: node.sim.offer("news") }
}

fn wallet(node: &Node) -> Bolt12 {
    Bolt12::new(&settings(node), PATIENCE).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    let node = Node::start();
    conformance::all(&wallet(&node), &node).await;
}

#[tokio::test]
async fn the_invoice_is_one_of_the_offer() {
    let node = Node::start();
    let wallet = wallet(&node);
    let invoice = wallet.create(&ask(10_001)).await.unwrap();
    assert!(invoice.bolt11.starts_with("lni1"), "{}", invoice.bolt11);
    let read = lnsim::bolt12::decode(&invoice.bolt11).unwrap();
    assert_eq!((read.hash, read.amount_msat), (invoice.payment_hash.0, Some(10_001)));
    let pending =
        Lookup::Pending { bolt11: Some(invoice.bolt11.clone()), expires_at: Some(invoice.expires_at) };
    assert_eq!(wallet.look_up(invoice.payment_hash).await, Ok(pending));
    node.sim.pay(&invoice.bolt11).unwrap();
    match wallet.look_up(invoice.payment_hash).await.unwrap() {
        Lookup::Settled { received, .. } => assert_eq!(received, Some(Msat(10_001))),
        other => panic!("{other:?}"),
    }
}

/// Over clnrest, with the rune of the guide.
#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_over_clnrest() {
    let node = Node::start();
    let [_, cln] = node.ways();
    let wallet = Bolt12::new(&Bolt12Settings { cln, ..settings(&node) }, PATIENCE).unwrap();
    assert_eq!(wallet.offer().as_deref(), Some(&*node.sim.offer("news")));
    conformance::all(&wallet, &node).await;
}

#[tokio::test]
async fn a_wrong_invoice_never_gets_through() {
    let node = Node::start();
    let wallet = wallet(&node);
    for (kind, said) in [
        (FaultKind::WrongAmount(1), "over 1 msat"),
        (FaultKind::WrongNetwork, "on mainnet"),
        (FaultKind::Expired, "expired or about to"),
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
async fn an_offer_of_another_node() {
    let (node, other) = (Node::start(), Node::start());
    let settings = Bolt12Settings { offer: other.sim.offer("news"), ..settings(&node) };
    let error = Bolt12::new(&settings, PATIENCE).unwrap().create(&ask(1000)).await.unwrap_err();
    assert!(matches!(&error, LightningError::Wrong(text) if text.contains("would get the money")), "{error}");
    assert_eq!((node.sim.calls(Method::AddInvoice), other.sim.calls(Method::AddInvoice)), (0, 0));
}

#[tokio::test]
async fn an_offer_that_nobody_answers() {
    let node = Node::start();
    node.sim.fault(Fault::refuse(1005, "timed out").at(Method::AddInvoice).times(1));
    let error = wallet(&node).create(&ask(1000)).await.unwrap_err();
    assert!(matches!(error, LightningError::Unavailable { .. }), "{error}");
    node.sim.fault(Fault::hang().at(Method::AddInvoice).times(1));
    let slow = Bolt12::new(&settings(&node), SHORT).unwrap();
    assert_eq!(slow.create(&ask(1000)).await, Err(LightningError::TimedOut));
}

#[test]
fn an_offer_that_is_none() {
    let node = Node::start();
    let settings = Bolt12Settings { offer: "lno1qqqqqqqqq".to_owned(), ..settings(&node) };
    let error = Bolt12::new(&settings, PATIENCE).err().unwrap();
    assert!(error.contains("BOLT12_OFFER is no offer"), "{error}");
}
