//! What every wallet has to keep, as code. A wallet's own tests call [`all`] with a node behind it and a [`World`] that
//! pays; each check panics with what is wrong.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use l402::{Msat, PaymentHash};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{Cancelled, Invoice, InvoiceRequest, Lightning, Lookup, Settlement};

/// Anything on a test network comes sooner than this; if not, it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many invoices are made at once.
const PARALLEL: usize = 16;

/// The network around the wallet: who pays its invoices.
pub trait World: Sync {
    /// Pays an invoice of the wallet; returns when the payer knows that it is paid.
    fn pay<'a>(&'a self, bolt11: &'a str) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    /// Cancels an unpaid invoice of the wallet, behind its back.
    fn cancel(&self, hash: PaymentHash) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Every check below, one after the other.
pub async fn all(wallet: &dyn Lightning, world: &dyn World) {
    all_without_push(wallet, world).await;
    a_settlement_is_pushed(wallet, world).await;
    two_listeners_hear_the_same(wallet, world).await;
}

/// As [`all`], for a wallet that can't push.
pub async fn all_without_push(wallet: &dyn Lightning, world: &dyn World) {
    is_healthy(wallet).await;
    makes_what_is_asked(wallet).await;
    makes_many_at_once(wallet).await;
    knows_nothing_of_others(wallet).await;
    an_unpaid_invoice_is_pending(wallet).await;
    a_paid_invoice_is_settled(wallet, world).await;
    a_cancelled_invoice_is_dead(wallet, world).await;
    it_cancels_what_is_unpaid_or_says_that_it_cannot(wallet).await;
    a_paid_invoice_is_not_cancelled(wallet, world).await;
}

/// A running node is healthy.
pub async fn is_healthy(wallet: &dyn Lightning) {
    wallet.health().await.expect("a running node is healthy");
}

/// Amounts from 1 msat, descriptions of all kinds, expiries of all lengths.
pub async fn makes_what_is_asked(wallet: &dyn Lightning) {
    let asks = [
        (1, String::new(), 90),
        (999, "weather".to_owned(), 600),
        (10_001, "caf\u{e9} \u{26a1} \"quoted\", with a comma\nand a line".to_owned(), 3600),
        (2_100_000, "\u{20ac}".repeat(400), 86_400),
    ];
    for (msat, description, expiry_s) in asks {
        let ask = InvoiceRequest { amount: Msat(msat), description, expiry_s };
        let made = wallet.create(&ask).await;
        assert!(made.is_ok(), "{ask:?}: {made:?}");
    }
}

/// Invoices made at the same time are all different.
pub async fn makes_many_at_once(wallet: &dyn Lightning) {
    let ask = request(1000);
    let mut pending: Vec<_> = (0..PARALLEL).map(|_| wallet.create(&ask)).collect();
    let mut made = Vec::new();
    // All are polled together: the first poll of the last one precedes the end of the first.
    std::future::poll_fn(|context| {
        pending.retain_mut(|reply| match reply.as_mut().poll(context) {
            std::task::Poll::Ready(invoice) => {
                made.push(invoice.expect("an invoice"));
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    let hashes: HashSet<PaymentHash> = made.iter().map(|invoice| invoice.payment_hash).collect();
    assert_eq!(hashes.len(), PARALLEL, "each invoice has a payment hash of its own");
}

/// A hash that the wallet never made is unknown, which is not an error.
pub async fn knows_nothing_of_others(wallet: &dyn Lightning) {
    let found = wallet.look_up(PaymentHash([0x5a; 32])).await.expect("a look-up");
    assert!(matches!(found, Lookup::Unknown | Lookup::CannotLookUp), "{found:?}");
}

/// Before it is paid, an invoice is pending, with its expiry and, where told, its text.
pub async fn an_unpaid_invoice_is_pending(wallet: &dyn Lightning) {
    let invoice = make(wallet, 2000).await;
    match wallet.look_up(invoice.payment_hash).await.expect("a look-up") {
        Lookup::Pending { bolt11, expires_at } => {
            assert!(expires_at.is_none_or(|at| at == invoice.expires_at), "{expires_at:?}");
            assert!(bolt11.is_none_or(|text| text == invoice.bolt11), "another invoice for the same hash");
        }
        Lookup::CannotLookUp => {}
        found => panic!("an unpaid invoice is {found:?}"),
    }
}

/// After it is paid, an invoice is settled, over the amount asked, and stays so.
pub async fn a_paid_invoice_is_settled(wallet: &dyn Lightning, world: &dyn World) {
    let invoice = make(wallet, 3000).await;
    world.pay(&invoice.bolt11).await;
    for _ in 0..2 {
        match wallet.look_up(invoice.payment_hash).await.expect("a look-up") {
            Lookup::Settled { preimage, received, .. } => {
                assert!(received.is_none_or(|received| received >= Msat(3000)), "received {received:?}");
                assert!(preimage.is_none_or(|preimage| preimage.matches(&invoice.payment_hash)));
            }
            Lookup::CannotLookUp => {}
            found => panic!("a paid invoice is {found:?}"),
        }
    }
}

/// A cancelled invoice is dead, or gone where cancelling is deleting.
pub async fn a_cancelled_invoice_is_dead(wallet: &dyn Lightning, world: &dyn World) {
    let invoice = make(wallet, 4000).await;
    world.cancel(invoice.payment_hash).await;
    let found = wallet.look_up(invoice.payment_hash).await.expect("a look-up");
    assert!(
        matches!(found, Lookup::Dead | Lookup::Unknown | Lookup::CannotLookUp),
        "a cancelled invoice is {found:?}"
    );
}

/// What the wallet says it cancelled is dead; cancelling it again changes nothing.
pub async fn it_cancels_what_is_unpaid_or_says_that_it_cannot(wallet: &dyn Lightning) {
    let invoice = make(wallet, 4500).await;
    let first = wallet.cancel(invoice.payment_hash).await.expect("an answer");
    let found = wallet.look_up(invoice.payment_hash).await.expect("a look-up");
    match first {
        Cancelled::Done => {
            assert!(
                matches!(found, Lookup::Dead | Lookup::Unknown | Lookup::CannotLookUp),
                "an invoice that the wallet cancelled is {found:?}"
            );
        }
        Cancelled::CannotCancel => {
            assert_eq!(wallet.calls().cancel, None, "a kind that can cancel does not");
            assert!(
                matches!(found, Lookup::Pending { .. } | Lookup::CannotLookUp),
                "an invoice that was not cancelled is {found:?}"
            );
        }
    }
    assert_eq!(wallet.cancel(invoice.payment_hash).await, Ok(first), "the second time");
}

/// What is paid stays paid.
pub async fn a_paid_invoice_is_not_cancelled(wallet: &dyn Lightning, world: &dyn World) {
    let invoice = make(wallet, 4600).await;
    world.pay(&invoice.bolt11).await;
    let cancelled = wallet.cancel(invoice.payment_hash).await;
    assert_ne!(cancelled, Ok(Cancelled::Done), "a paid invoice was cancelled");
    let found = wallet.look_up(invoice.payment_hash).await.expect("a look-up");
    assert!(matches!(found, Lookup::Settled { .. } | Lookup::CannotLookUp), "a paid invoice is {found:?}");
}

/// A payment is pushed; an invoice that is only made is not.
pub async fn a_settlement_is_pushed(wallet: &dyn Lightning, world: &dyn World) {
    let mut settlements = listen(wallet, world).await;
    let unpaid = make(wallet, 5000).await;
    let paid = make(wallet, 6000).await;
    world.pay(&paid.bolt11).await;
    let settlement = settlement_of(&mut settlements, &paid, &unpaid).await;
    let received = settlement.received;
    assert!(received.is_none_or(|received| received >= Msat(6000)), "received {received:?}");
    assert!(settlement.preimage.is_none_or(|preimage| preimage.matches(&paid.payment_hash)));
}

/// Each subscription hears every settlement.
pub async fn two_listeners_hear_the_same(wallet: &dyn Lightning, world: &dyn World) {
    let mut one = listen(wallet, world).await;
    let mut other = listen(wallet, world).await;
    let unpaid = make(wallet, 7000).await;
    let paid = make(wallet, 8000).await;
    world.pay(&paid.bolt11).await;
    settlement_of(&mut one, &paid, &unpaid).await;
    settlement_of(&mut other, &paid, &unpaid).await;
}

/// A subscription that is known to be live: payments are made until one is heard of.
pub async fn listen(wallet: &dyn Lightning, world: &dyn World) -> mpsc::Receiver<Settlement> {
    let mut settlements = wallet.settlements();
    let heard = timeout(PATIENCE, async {
        loop {
            let probe = make(wallet, 1000).await;
            world.pay(&probe.bolt11).await;
            if let Ok(Some(_)) = timeout(Duration::from_millis(500), settlements.recv()).await {
                break;
            }
        }
    });
    heard.await.expect("the wallet pushes settlements");
    settlements
}

/// Waits for the settlement of `paid`; panics on one of `unpaid`.
async fn settlement_of(
    settlements: &mut mpsc::Receiver<Settlement>,
    paid: &Invoice,
    unpaid: &Invoice,
) -> Settlement {
    let found = timeout(PATIENCE, async {
        loop {
            let settlement = settlements.recv().await.expect("the subscription goes on");
            assert_ne!(
                settlement.payment_hash, unpaid.payment_hash,
                "an unpaid invoice was pushed as settled"
            );
            if settlement.payment_hash == paid.payment_hash {
                return settlement;
            }
        }
    });
    found.await.expect("the settlement is pushed")
}

async fn make(wallet: &dyn Lightning, msat: u64) -> Invoice {
    wallet.create(&request(msat)).await.expect("an invoice")
}

fn request(msat: u64) -> InvoiceRequest {
    InvoiceRequest { amount: Msat(msat), description: "conformance".to_owned(), expiry_s: 600 }
}
