//! The mailbox and the node go and come back.
#![allow(clippy::unwrap_used)]

use lnc::client::Ended;
use lnsim::Method;

use super::support::{add_invoice, by_phrase, connected, lightning, paired, server, session, sim, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_hangs_up_or_restarts_is_not_noticed_above() {
    let sim = sim();
    let (session, server) = (session(&sim), server(&sim, ""));
    let connected = connected(&server, &by_phrase(&session)).await;
    let mut client = lightning(connected.stream, &connected.auth_data).await;
    for _ in 0..3 {
        add_invoice(&mut client).await.unwrap();
        sim.cut_mailbox();
        add_invoice(&mut client).await.unwrap();
        sim.restart_mailbox();
        add_invoice(&mut client).await.unwrap();
    }
    assert_eq!(session.handshakes(), [1, 1], "the session is the same");
    assert_eq!(sim.calls(Method::AddInvoice), 9, "each call was made once");
    assert_eq!(connected.session.ended(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_restarts_ends_the_session_and_takes_the_next() {
    let sim = sim();
    let (session, server) = (session(&sim), server(&sim, ""));
    let phrase = by_phrase(&session);
    let first = connected(&server, &phrase).await;
    let mut client = lightning(first.stream, &first.auth_data).await;
    add_invoice(&mut client).await.unwrap();
    sim.restart();
    until("the session ends", || first.session.ended().is_some()).await;
    assert_eq!(first.session.ended(), Some(&Ended::There));
    let again = connected(&server, &paired(&phrase, first.remote)).await;
    let mut client = lightning(again.stream, &again.auth_data).await;
    add_invoice(&mut client).await.unwrap();
}
