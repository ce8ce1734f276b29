//! clnrest's own: runes and its certificate.

use lightning::{Cancelled, Lightning, LightningError, Lookup};
use lnsim::Method;
use settings::{ClnSettings, Secret};

use crate::support::{METHODS, Node, ask, wallet};

fn text(error: &LightningError) -> String {
    assert!(matches!(error, LightningError::Refused(_)), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_rune_that_is_not_accepted() {
    let node = Node::start();
    let other = Node::start();
    for rune in [other.sim.cln_rune(&[]), "A".repeat(60)] {
        let error = text(&wallet(&node.rest(&rune)).health().await.unwrap_err());
        assert!(error.contains("the rune does not permit") && !error.contains(&rune), "{error}");
    }
}

/// Without `getinfo`, invoices are made all the same, and the first one's network is held on to.
#[tokio::test]
async fn a_rune_for_less() {
    let node = Node::start();
    let selling = wallet(&node.rest(&node.sim.cln_rune(&METHODS[..3])));
    let health = selling.health().await.unwrap();
    assert_eq!((health.node.as_str(), health.network), ("CLN", None));
    selling.create(&ask(1000)).await.unwrap();
    node.sim.fault(lnsim::Fault::new(lnsim::FaultKind::WrongNetwork).times(1));
    assert!(matches!(selling.create(&ask(1000)).await, Err(LightningError::Wrong(_))));

    let looking = wallet(&node.rest(&node.sim.cln_rune(&["listinvoices"])));
    let error = text(&looking.create(&ask(1000)).await.unwrap_err());
    assert!(error.contains("does not permit invoice"), "{error}");
}

/// With a rune of before, invoices are left to expire: nothing else is amiss.
#[tokio::test]
async fn a_rune_that_does_not_permit_to_cancel() {
    let node = Node::start();
    let wallet = wallet(&node.rest(&node.sim.cln_rune(&METHODS)));
    let invoice = wallet.create(&ask(1000)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(wallet.cancel(invoice.payment_hash).await, Ok(Cancelled::CannotCancel));
    }
    assert!(matches!(wallet.look_up(invoice.payment_hash).await, Ok(Lookup::Pending { .. })));
    assert_eq!(node.sim.calls(Method::CancelInvoice), 0);
}

/// Nobody who shows another certificate is told the rune.
#[tokio::test]
async fn another_certificate() {
    let (node, other) = (Node::start(), Node::start());
    let ClnSettings::Rest { certificate, .. } = other.rest("x") else { panic!("clnrest") };
    let rune = Secret::new(node.sim.cln_rune(&[]));
    let settings = ClnSettings::Rest { address: node.address.clone(), rune, certificate };
    let error = wallet(&settings).health().await.unwrap_err();
    assert!(matches!(error, LightningError::Unavailable { .. }), "{error}");
    assert_eq!(node.sim.calls(Method::GetInfo), 0);
}

/// The certificate's names hold: `localhost` is one, another name of the same host is none.
#[tokio::test]
async fn names_of_the_certificate() {
    let node = Node::start();
    let ClnSettings::Rest { rune, certificate, .. } = node.rest(&node.sim.cln_rune(&[])) else {
        panic!("clnrest")
    };
    let at = |host: &str| {
        let address = node.address.replace("127.0.0.1", host);
        wallet(&ClnSettings::Rest { address, rune: rune.clone(), certificate: certificate.clone() })
    };
    at("localhost").health().await.unwrap();
    assert!(at("127.0.0.2").health().await.is_err());
}

#[test]
fn a_certificate_that_is_none() {
    let certificate = Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec());
    let rune = Secret::new("x".to_owned());
    let settings = ClnSettings::Rest { address: "127.0.0.1:1".to_owned(), rune, certificate };
    let error = lightning::cln::Cln::new(&settings, crate::support::SHORT).err().unwrap();
    assert!(error.contains("certificate"), "{error}");
}
