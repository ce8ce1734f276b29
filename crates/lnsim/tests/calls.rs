//! Each call over TLS and gRPC, with the answers that LND v0.20 gives.
#![allow(clippy::unwrap_used)]

mod common;

use common::{LONG, client, client_with, hash32, wait};
use lnd_rpc::invoicesrpc::CancelInvoiceMsg;
use lnd_rpc::lnrpc::invoice::InvoiceState;
use lnd_rpc::lnrpc::payment::PaymentStatus;
use lnd_rpc::lnrpc::{self, PaymentFailureReason};
use lnd_rpc::routerrpc::{SendPaymentRequest, TrackPaymentRequest};
use lnsim::{InvoiceSpec, Method, Permit, Sim, SimOptions, State};
use sha2::{Digest, Sha256};
use tonic::Code;

fn start() -> Sim {
    Sim::start(SimOptions::default()).unwrap()
}

#[tokio::test]
async fn an_invoice_is_made_looked_up_paid_and_settled() {
    let sim = start();
    let mut client = client(&sim, Permit::Admin);
    let made = client.add(10_000).await.unwrap();
    assert!(made.payment_request.starts_with("lnbcrt100n1"), "{}", made.payment_request);
    assert_eq!(made.add_index, 1);

    let seen = client.look_up(&made.r_hash).await.unwrap();
    assert_eq!(seen.state(), InvoiceState::Open);
    assert_eq!((seen.value, seen.value_msat, seen.expiry, seen.cltv_expiry), (10, 10_000, 86_400, 80));
    assert_eq!(seen.payment_request, made.payment_request);
    assert_eq!(
        Sha256::digest(&seen.r_preimage).as_slice(),
        made.r_hash,
        "LND shows it before it is paid, too"
    );

    let updates = client.pay(&made.payment_request).await.unwrap();
    let statuses: Vec<_> = updates.iter().map(lnrpc::Payment::status).collect();
    assert_eq!(statuses, [PaymentStatus::InFlight, PaymentStatus::Succeeded]);
    assert_eq!(updates[0].payment_preimage, "0".repeat(64));
    assert_eq!(updates[1].payment_preimage, data_encoding::HEXLOWER.encode(&seen.r_preimage));

    let seen = client.look_up(&made.r_hash).await.unwrap();
    assert_eq!((seen.state(), seen.settled, seen.settle_index), (InvoiceState::Settled, true, 1));
    assert_eq!((seen.amt_paid_msat, seen.amt_paid_sat), (10_000, 10));
    assert_eq!(sim.received_msat(), 10_000);
    assert_eq!(sim.balance_msat(), SimOptions::default().balance_msat - 10_000);
    assert_eq!(sim.calls(Method::LookupInvoice), 2);
}

#[tokio::test]
async fn what_add_invoice_refuses() {
    let sim = start();
    let mut lightning = client(&sim, Permit::Admin).lightning;
    let base = lnrpc::Invoice::default;
    let cases = [
        (
            lnrpc::Invoice { value: 1, value_msat: 1, ..base() },
            "sat and msat arguments are mutually exclusive",
        ),
        (lnrpc::Invoice { value: -1, ..base() }, "amount cannot be negative"),
        (lnrpc::Invoice { value_msat: -1, ..base() }, "amount cannot be negative"),
        (lnrpc::Invoice { memo: "x".repeat(1025), ..base() }, "memo too large: 1025 bytes (maxsize=1024)"),
        (lnrpc::Invoice { r_preimage: vec![1; 31], ..base() }, "invalid preimage length of 31, want 32"),
        (
            lnrpc::Invoice { description_hash: vec![1; 31], ..base() },
            "description hash is 31 bytes, must be 32",
        ),
    ];
    for (ask, text) in cases {
        let refused = lightning.add_invoice(ask).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::Unknown, text));
    }
    let twice = lnrpc::Invoice { r_preimage: vec![1; 32], value: 1, ..base() };
    let made = lightning.add_invoice(twice.clone()).await.unwrap().into_inner();
    assert_eq!(made.r_hash, Sha256::digest([1; 32]).as_slice());
    let refused = lightning.add_invoice(twice).await.unwrap_err();
    assert_eq!(refused.message(), "invoice with payment hash already exists");
}

#[tokio::test]
async fn what_look_up_does_not_find() {
    let sim = start();
    let mut client = client(&sim, Permit::Readonly);
    let missing = client.look_up(&[1; 32]).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "there are no existing invoices"));
    sim.create(InvoiceSpec::default()).unwrap();
    let missing = client.look_up(&[1; 32]).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "unable to locate invoice"));
    let short = client.look_up(&[1; 31]).await.unwrap_err();
    assert_eq!(short.message(), "payment hash must be exactly 32 bytes, is instead 31");
    let hash = sim.create(InvoiceSpec::default()).unwrap().hash;
    let by_text =
        lnrpc::PaymentHash { r_hash_str: data_encoding::HEXLOWER.encode(&hash), ..Default::default() };
    assert_eq!(client.lightning.lookup_invoice(by_text).await.unwrap().into_inner().r_hash, hash);
}

#[tokio::test]
async fn macaroons_are_asked_for() {
    let sim = start();
    let refused = client(&sim, Permit::Readonly).add(1).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "permission denied"));
    assert!(client(&sim, Permit::Invoice).add(1).await.is_ok());
    let refused =
        client(&sim, Permit::Invoice).lightning.get_info(lnrpc::GetInfoRequest {}).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "permission denied"));
    let other = start();
    let foreign = std::fs::read(other.macaroon_path(Permit::Admin)).unwrap();
    let refused = client_with(&sim, &foreign).add(1).await.unwrap_err();
    let text = "verification failed: signature mismatch after caveat verification";
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, text));
    let bare = common::node(&sim, &foreign).channel();
    let mut bare = lnd_rpc::lnrpc::lightning_client::LightningClient::new(bare);
    let refused = bare.get_info(lnrpc::GetInfoRequest {}).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "expected 1 macaroon, got 0"));
}

#[tokio::test]
async fn the_state_of_the_node() {
    let sim = start();
    let mut lightning = client(&sim, Permit::Readonly).lightning;
    let info = lightning.get_info(lnrpc::GetInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.chains[0].network, "regtest");
    assert!(info.synced_to_chain && info.identity_pubkey.len() == 66);
    let made =
        sim.create(InvoiceSpec { amount_msat: 1_500, memo: "m".to_owned(), ..Default::default() }).unwrap();
    let decoded =
        lightning.decode_pay_req(lnrpc::PayReqString { pay_req: made.bolt11 }).await.unwrap().into_inner();
    assert_eq!(decoded.destination, info.identity_pubkey);
    assert_eq!((decoded.num_msat, decoded.num_satoshis, decoded.description.as_str()), (1_500, 1, "m"));
    let channels = lightning.list_channels(lnrpc::ListChannelsRequest::default()).await.unwrap().into_inner();
    assert_eq!(channels.channels[0].remote_balance, 1_000_000_000);
    lightning.wallet_balance(lnrpc::WalletBalanceRequest::default()).await.unwrap();
}

#[tokio::test]
async fn payments_that_do_not_start_or_do_not_succeed() {
    let sim = Sim::start(SimOptions { balance_msat: 10_000, fee_msat: 3, ..Default::default() }).unwrap();
    let mut client = client(&sim, Permit::Admin);
    let spec = |amount_msat, expiry_s| InvoiceSpec { amount_msat, expiry_s, ..Default::default() };
    let ask = |bolt11: &str, fee_limit_msat| SendPaymentRequest {
        payment_request: bolt11.to_owned(),
        fee_limit_msat,
        no_inflight_updates: true,
        ..Default::default()
    };
    let failure = |updates: Vec<lnrpc::Payment>| {
        assert_eq!(updates.len(), 1, "only the end is told");
        assert_eq!(updates[0].status(), PaymentStatus::Failed);
        updates[0].failure_reason()
    };

    let dear = sim.create(spec(10_001, 0)).unwrap();
    assert_eq!(
        failure(client.send(ask(&dear.bolt11, 3)).await.unwrap()),
        PaymentFailureReason::InsufficientBalance
    );
    let good = sim.create(spec(1_000, 0)).unwrap();
    assert_eq!(failure(client.send(ask(&good.bolt11, 2)).await.unwrap()), PaymentFailureReason::NoRoute);
    let paid = client.send(ask(&good.bolt11, 3)).await.unwrap();
    assert_eq!((paid[0].status(), paid[0].fee_msat), (PaymentStatus::Succeeded, 3));
    assert_eq!(sim.balance_msat(), 10_000 - 1_003);
    let again = client.send(ask(&good.bolt11, 3)).await.unwrap_err();
    assert_eq!((again.code(), again.message()), (Code::AlreadyExists, "invoice is already paid"));

    let dead = sim.create(spec(1_000, 0)).unwrap();
    sim.cancel(&dead.hash).unwrap();
    let reason = failure(client.send(ask(&dead.bolt11, 3)).await.unwrap());
    assert_eq!(reason, PaymentFailureReason::IncorrectPaymentDetails);
    let brief = sim.create(spec(1_000, 5)).unwrap();
    sim.advance_clock(6);
    let expired = client.send(ask(&brief.bolt11, 3)).await.unwrap_err();
    assert!(expired.message().starts_with("invoice expired. Valid until "), "{}", expired.message());
    assert_eq!(sim.invoice(&brief.hash).unwrap().state, State::Canceled);

    let any = sim.create(spec(0, 0)).unwrap();
    assert!(
        client.send(ask(&any.bolt11, 3)).await.unwrap_err().message().starts_with("amount must be specified")
    );
    let chosen = SendPaymentRequest { amt_msat: 700, ..ask(&any.bolt11, 3) };
    assert_eq!(client.send(chosen).await.unwrap()[0].status(), PaymentStatus::Succeeded);
    assert_eq!(sim.invoice(&any.hash).unwrap().amt_paid_msat, 700);

    let track = TrackPaymentRequest { payment_hash: any.hash.to_vec(), no_inflight_updates: false };
    let mut updates = client.router.track_payment_v2(track).await.unwrap().into_inner();
    assert_eq!(updates.message().await.unwrap().unwrap().status(), PaymentStatus::Succeeded);
    assert!(updates.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_cancelled_invoice() {
    let sim = start();
    let mut client = client(&sim, Permit::Invoice);
    let made = client.add(1_000).await.unwrap();
    let cancel = |hash: &[u8]| CancelInvoiceMsg { payment_hash: hash.to_vec() };
    client.invoices.cancel_invoice(cancel(&made.r_hash)).await.unwrap();
    client.invoices.cancel_invoice(cancel(&made.r_hash)).await.unwrap();
    assert_eq!(client.look_up(&made.r_hash).await.unwrap().state(), InvoiceState::Canceled);
    let missing = client.invoices.cancel_invoice(cancel(&[1; 32])).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::Unknown, "unable to locate invoice"));
    let paid = sim.create(InvoiceSpec { amount_msat: 1, ..Default::default() }).unwrap();
    sim.pay(&paid.bolt11).unwrap();
    let late = client.invoices.cancel_invoice(cancel(&paid.hash)).await.unwrap_err();
    assert_eq!(late.message(), "invoice already settled");
}

#[tokio::test]
async fn a_subscriber_hears_of_adds_and_settlements_in_order() {
    let sim = start();
    let mut lightning = client(&sim, Permit::Invoice).lightning;
    let subscription = tokio::spawn(async move {
        let mut events =
            lightning.subscribe_invoices(lnrpc::InvoiceSubscription::default()).await.unwrap().into_inner();
        let mut heard = Vec::new();
        while heard.len() < 4 {
            let event = events.message().await.unwrap().unwrap();
            heard.push((event.state(), event.add_index, event.settle_index, event.r_preimage));
        }
        heard
    });
    wait(&sim, Method::SubscribeInvoices, 1).await;
    let make = || sim.create(InvoiceSpec { amount_msat: 5, ..Default::default() }).unwrap();
    let (first, second) = (make(), make());
    sim.pay(&second.bolt11).unwrap();
    sim.pay(&first.bolt11).unwrap();
    let heard = tokio::time::timeout(LONG, subscription).await.unwrap().unwrap();
    let expected = [
        (InvoiceState::Open, 1, 0, first.preimage.to_vec()),
        (InvoiceState::Open, 2, 0, second.preimage.to_vec()),
        (InvoiceState::Settled, 2, 1, second.preimage.to_vec()),
        (InvoiceState::Settled, 1, 2, first.preimage.to_vec()),
    ];
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_subscriber_gets_the_backlog_it_names() {
    let sim = start();
    let invoices: Vec<_> =
        (0..4).map(|_| sim.create(InvoiceSpec { amount_msat: 5, ..Default::default() }).unwrap()).collect();
    for invoice in &invoices[..3] {
        sim.pay(&invoice.bolt11).unwrap();
    }
    let mut lightning = client(&sim, Permit::Invoice).lightning;
    let from = lnrpc::InvoiceSubscription { add_index: 3, settle_index: 1 };
    let mut events = lightning.subscribe_invoices(from).await.unwrap().into_inner();
    let mut heard = Vec::new();
    for _ in 0..3 {
        let event = events.message().await.unwrap().unwrap();
        heard.push((hash32(&event.r_hash), event.state()));
    }
    let expected = [
        (invoices[3].hash, InvoiceState::Open),
        (invoices[1].hash, InvoiceState::Settled),
        (invoices[2].hash, InvoiceState::Settled),
    ];
    assert_eq!(heard, expected);
}
