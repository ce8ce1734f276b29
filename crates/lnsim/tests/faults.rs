//! Each scripted fault, as a client sees it.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{Client, LONG, client, hash32, wait};
use lnd_rpc::lnrpc::invoice::InvoiceState;
use lnd_rpc::lnrpc::payment::PaymentStatus;
use lnd_rpc::lnrpc::{self, PaymentFailureReason};
use lnsim::{FailureReason, Fault, FaultKind, InvoiceSpec, Method, PayError, Permit, Sim, SimOptions, State};
use tokio::time::timeout;
use tonic::Code;

/// Long enough to tell "no answer" from "slow machine" in a test that must see nothing happen.
const QUIET: Duration = Duration::from_millis(300);

fn start() -> (Sim, Client) {
    let sim = Sim::start(SimOptions::default()).unwrap();
    let client = client(&sim, Permit::Admin);
    (sim, client)
}

#[tokio::test]
async fn delay() {
    let (sim, mut client) = start();
    client.add(1_000).await.unwrap();
    sim.fault(Fault::delay(200).at(Method::AddInvoice).times(1));
    let start = Instant::now();
    client.add(1_000).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn hang() {
    let (sim, mut client) = start();
    sim.fault(Fault::hang().times(1));
    assert!(timeout(QUIET, client.add(1_000)).await.is_err());
    assert_eq!(sim.calls(Method::AddInvoice), 1);
    assert_eq!(client.add(1_000).await.unwrap().add_index, 1, "the call that hung had no effect");
}

#[tokio::test]
async fn refuse() {
    let (sim, mut client) = start();
    sim.fault(Fault::refuse(8, "too busy").at(Method::AddInvoice));
    let refused = client.add(1_000).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "too busy"));
    client.lightning.get_info(lnrpc::GetInfoRequest {}).await.unwrap();
    sim.clear_faults();
    client.add(1_000).await.unwrap();
}

#[tokio::test]
async fn drop_the_connection() {
    let (sim, mut client) = start();
    sim.fault(Fault::drop_connection().at(Method::AddInvoice).times(1));
    let lost = timeout(LONG, client.add(1_000)).await.unwrap().unwrap_err();
    assert!(lnd_rpc::channel::is_transport(&lost), "{lost:?}");
    assert_eq!(
        client.add(1_000).await.unwrap().add_index,
        2,
        "the call took effect, only its answer was lost"
    );
}

#[tokio::test]
async fn refuse_connections_and_open_the_same_port_again() {
    let (sim, mut client) = start();
    let address = sim.lnd_address();
    client.add(1_000).await.unwrap();
    sim.fault(FaultKind::RefuseConnections);
    for _ in 0..2 {
        let refused = tokio::net::TcpStream::connect(&address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(timeout(LONG, client.add(1_000)).await.unwrap().is_err());
    }
    sim.clear_faults();
    assert_eq!(sim.lnd_address(), address);
    timeout(LONG, client.add(1_000)).await.unwrap().unwrap();
}

#[tokio::test]
async fn hang_connections() {
    let (sim, _) = start();
    sim.fault(FaultKind::HangConnections);
    let mut late = client(&sim, Permit::Admin);
    assert!(timeout(QUIET, late.add(1_000)).await.is_err());
    assert_eq!(sim.calls(Method::AddInvoice), 0);
    sim.clear_faults();
    timeout(LONG, client(&sim, Permit::Admin).add(1_000)).await.unwrap().unwrap();
}

#[tokio::test]
async fn wrong_amount() {
    let (sim, mut client) = start();
    sim.fault(Fault::new(FaultKind::WrongAmount(9_000)).times(1));
    let made = client.add(10_000).await.unwrap();
    assert_eq!(lnsim::bolt11::decode(&made.payment_request).unwrap().amount_msat, Some(9_000));
    let made = client.add(10_000).await.unwrap();
    assert_eq!(lnsim::bolt11::decode(&made.payment_request).unwrap().amount_msat, Some(10_000));
}

#[tokio::test]
async fn wrong_hash() {
    let (sim, mut client) = start();
    sim.fault(FaultKind::WrongHash);
    let made = client.add(10_000).await.unwrap();
    assert_ne!(lnsim::bolt11::decode(&made.payment_request).unwrap().hash, hash32(&made.r_hash));
}

#[tokio::test]
async fn wrong_network() {
    let (sim, mut client) = start();
    sim.fault(FaultKind::WrongNetwork);
    let made = client.add(10_000).await.unwrap();
    assert!(made.payment_request.starts_with("lnbc100n1"));
    let refused = client.pay(&made.payment_request).await.unwrap_err();
    assert_eq!(refused.message(), "invoice not for current active network 'regtest'");
}

#[tokio::test]
async fn expired() {
    let (sim, mut client) = start();
    sim.fault(FaultKind::Expired);
    let made = client.add(10_000).await.unwrap();
    assert!(matches!(sim.pay(&made.payment_request), Err(PayError::Refused(_))));
    assert_eq!(client.look_up(&made.r_hash).await.unwrap().state(), InvoiceState::Canceled);
}

#[tokio::test]
async fn settle_later() {
    let (sim, mut client) = start();
    sim.fault(FaultKind::SettleLater);
    let made = client.add(10_000).await.unwrap();
    let updates = client.pay(&made.payment_request).await.unwrap();
    assert_eq!(updates[1].status(), PaymentStatus::Succeeded);
    assert_eq!(client.look_up(&made.r_hash).await.unwrap().state(), InvoiceState::Open);
    sim.settle_now(&hash32(&made.r_hash)).unwrap();
    let seen = client.look_up(&made.r_hash).await.unwrap();
    assert_eq!((seen.state(), seen.amt_paid_msat), (InvoiceState::Settled, 10_000));
}

#[tokio::test]
async fn hold_then_settle_and_hold_then_cancel() {
    let (sim, mut client) = start();
    sim.fault(FaultKind::Hold);
    for settle in [true, false] {
        let made = client.add(10_000).await.unwrap();
        let hash = hash32(&made.r_hash);
        let balance = sim.balance_msat();
        let ask = lnd_rpc::routerrpc::SendPaymentRequest {
            payment_request: made.payment_request,
            ..Default::default()
        };
        let mut updates = client.router.send_payment_v2(ask).await.unwrap().into_inner();
        assert_eq!(updates.message().await.unwrap().unwrap().status(), PaymentStatus::InFlight);
        assert_eq!(sim.invoice(&hash).unwrap().state, State::Accepted);
        assert_eq!(sim.balance_msat(), balance - 10_000);
        if settle {
            sim.settle_now(&hash).unwrap();
        } else {
            sim.cancel(&hash).unwrap();
        }
        let last = timeout(LONG, updates.message()).await.unwrap().unwrap().unwrap();
        let (expected, left) = if settle {
            (PaymentStatus::Succeeded, balance - 10_000)
        } else {
            (PaymentStatus::Failed, balance)
        };
        assert_eq!((last.status(), sim.balance_msat()), (expected, left));
    }
}

#[tokio::test]
async fn fail_payment() {
    let (sim, mut client) = start();
    sim.fault(Fault::new(FaultKind::FailPayment(FailureReason::Timeout)).times(1));
    let made = client.add(10_000).await.unwrap();
    let updates = client.pay(&made.payment_request).await.unwrap();
    assert_eq!(updates[1].failure_reason(), PaymentFailureReason::Timeout);
    let updates = client.pay(&made.payment_request).await.unwrap();
    assert_eq!(updates[1].status(), PaymentStatus::Succeeded, "a failed payment may be tried again");
}

#[tokio::test]
async fn push_silent() {
    let (sim, client) = start();
    let mut lightning = client.lightning.clone();
    let subscription = tokio::spawn(async move {
        let mut events =
            lightning.subscribe_invoices(lnrpc::InvoiceSubscription::default()).await.unwrap().into_inner();
        events.message().await.unwrap().unwrap().add_index
    });
    wait(&sim, Method::SubscribeInvoices, 1).await;
    sim.fault(FaultKind::PushSilent);
    let unheard = sim.create(InvoiceSpec { amount_msat: 5, ..Default::default() }).unwrap();
    sim.pay(&unheard.bolt11).unwrap();
    assert_eq!(sim.invoice(&unheard.hash).unwrap().state, State::Settled);
    sim.clear_faults();
    sim.create(InvoiceSpec::default()).unwrap();
    let first_heard = timeout(LONG, subscription).await.unwrap().unwrap();
    assert_eq!(first_heard, 2);
}

#[tokio::test]
async fn restart() {
    let (sim, mut client) = start();
    let made = client.add(10_000).await.unwrap();
    let mut lightning = client.lightning.clone();
    let subscription = tokio::spawn(async move {
        lightning.subscribe_invoices(lnrpc::InvoiceSubscription::default()).await.err()
    });
    wait(&sim, Method::SubscribeInvoices, 1).await;
    sim.restart();
    let lost = timeout(LONG, subscription).await.unwrap().unwrap().unwrap();
    assert!(lnd_rpc::channel::is_transport(&lost), "{lost:?}");
    let mut fresh = common::client(&sim, Permit::Admin);
    assert_eq!(fresh.look_up(&made.r_hash).await.unwrap().state(), InvoiceState::Open);
}

#[test]
fn a_simulator_needs_no_runtime_and_leaves_nothing_behind() {
    let sim = Sim::start(SimOptions { faults: vec![Fault::hang()], ..Default::default() }).unwrap();
    let (dir, address) = (sim.dir().to_owned(), sim.lnd_address());
    assert!(sim.macaroon_path(Permit::Invoice).exists());
    sim.restart();
    sim.clear_faults();
    drop(sim);
    assert!(!dir.exists());
    // The port is given up by the runtime's threads, which nobody waits for.
    while std::net::TcpStream::connect(&address).is_ok() {
        std::thread::yield_now();
    }
}
