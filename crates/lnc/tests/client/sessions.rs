//! Pairing, coming back, and leaving.
#![allow(clippy::unwrap_used)]

use std::io;

use lnc::PublicKey;
use lnc::client::{ConnectError, Ended, Patience, connect};
use lnc::noise::Version;
use lnsim::{LncOptions, Method};

use super::support::{add_invoice, by_phrase, connected, lightning, paired, server, session, sim};

#[tokio::test(flavor = "multi_thread")]
async fn pairs_once_and_comes_back_by_key() {
    let sim = sim();
    let (session, server) = (session(&sim), server(&sim, ""));
    let phrase = by_phrase(&session);
    let mut kept: Vec<PublicKey> = Vec::new();
    let mut keep = |key: &PublicKey| -> io::Result<()> {
        kept.push(*key);
        Ok(())
    };
    let first = connect(&server, &phrase, &Patience::default(), &mut keep).await.unwrap();
    assert_eq!(kept, [first.remote], "kept before the node hears of it, and once");
    assert_eq!(first.version, Version::V2);
    let mut client = lightning(first.stream, &first.auth_data).await;
    assert!(add_invoice(&mut client).await.unwrap().starts_with("lnbcrt"));
    drop(client);
    assert_eq!(session.handshakes(), [1, 1], "paired, and at once connected to by key");
    first.session.close().await;
    assert_eq!(first.session.ended(), Some(&Ended::Here));

    let keys = paired(&phrase, first.remote);
    for round in 2..=4 {
        let again = connected(&server, &keys).await;
        let mut client = lightning(again.stream, &again.auth_data).await;
        add_invoice(&mut client).await.unwrap();
        assert_eq!(session.handshakes(), [1, round]);
        again.session.close().await;
    }
    assert_eq!(sim.calls(Method::AddInvoice), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn older_nodes_are_paired_with_every_time() {
    let sim = sim();
    let server = server(&sim, "wss://");
    for (version, known) in [(0, Version::V0), (1, Version::V1)] {
        let session = sim.lnc_session(LncOptions { version, ..LncOptions::default() }).unwrap();
        let phrase = by_phrase(&session);
        for round in 1..=2 {
            let mut keep = |_: &PublicKey| -> io::Result<()> { panic!("there is nothing to keep") };
            let connected = connect(&server, &phrase, &Patience::default(), &mut keep).await.unwrap();
            assert_eq!(connected.version, known);
            let mut client = lightning(connected.stream, &connected.auth_data).await;
            add_invoice(&mut client).await.unwrap();
            connected.session.close().await;
            assert_eq!(session.handshakes(), [round, 0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_mailbox_that_speaks_grpc() {
    let sim = sim();
    let (session, server) = (session(&sim), server(&sim, "grpcs://"));
    let phrase = by_phrase(&session);
    let first = connected(&server, &phrase).await;
    let mut client = lightning(first.stream, &first.auth_data).await;
    add_invoice(&mut client).await.unwrap();
    first.session.close().await;

    let keys = paired(&phrase, first.remote);
    let again = connected(&server, &keys).await;
    let mut client = lightning(again.stream, &again.auth_data).await;
    add_invoice(&mut client).await.unwrap();
    sim.cut_mailbox();
    add_invoice(&mut client).await.unwrap();
    sim.restart_mailbox();
    add_invoice(&mut client).await.unwrap();
    assert_eq!(session.handshakes(), [1, 2], "the same session goes on");
    again.session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_kept_is_not_given_to_the_node() {
    let sim = sim();
    let (session, server) = (session(&sim), server(&sim, ""));
    let phrase = by_phrase(&session);
    let mut refuse = |_: &PublicKey| Err(io::Error::from(io::ErrorKind::StorageFull));
    let error = connect(&server, &phrase, &Patience::default(), &mut refuse).await.err().unwrap();
    assert!(matches!(error, ConnectError::Keep(_)), "{error}");
    assert_eq!(session.handshakes(), [0, 0]);
    // The phrase is good for another attempt.
    let connected = connected(&server, &phrase).await;
    let mut client = lightning(connected.stream, &connected.auth_data).await;
    add_invoice(&mut client).await.unwrap();
    assert_eq!(session.handshakes(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_says_goodbye() {
    let sim = sim();
    let (session, server) = (session(&sim), server(&sim, ""));
    let phrase = by_phrase(&session);
    let first = connected(&server, &phrase).await;
    drop(first.stream);
    let again = connected(&server, &paired(&phrase, first.remote)).await;
    assert_eq!(first.session.ended(), Some(&Ended::Here));
    let mut client = lightning(again.stream, &again.auth_data).await;
    add_invoice(&mut client).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_and_long_answers() {
    let sim = sim();
    let (session, server) = (session(&sim), server(&sim, ""));
    let connected = connected(&server, &by_phrase(&session)).await;
    let client = lightning(connected.stream, &connected.auth_data).await;
    let calls: Vec<_> = (0..64)
        .map(|number: usize| {
            let mut client = client.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let memo = "m".repeat(number * 9 % 600);
                    let ask = lnd_rpc::lnrpc::Invoice { value_msat: 1, memo, ..Default::default() };
                    client.add_invoice(ask).await.unwrap();
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(sim.calls(Method::AddInvoice), 64 * 20);
}
