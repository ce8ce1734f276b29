//! Clients that are killed: no FIN, and a node that takes them for alive.
#![allow(clippy::unwrap_used)]

use lnsim::LncSession;
use tokio::runtime::Runtime;

use super::support::{add_invoice, by_phrase, connected, lightning, paired, server, session, sim, until};

/// The node's window.
const WINDOW: u64 = 20;

/// Has the node send until its window is full, which nobody empties.
async fn fill_window(session: &LncSession) {
    let before = session.packets().to_client;
    session.fill_window();
    until("the window is full", || session.packets().to_client >= before + WINDOW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_a_killed_client_for_alive_takes_the_next_one() {
    let sim = sim();
    let (session, server) = (session(&sim), server(&sim, ""));
    let phrase = by_phrase(&session);
    let doomed = Runtime::new().unwrap();
    let (here, credentials) = (server.clone(), phrase.clone());
    let first = doomed.spawn(async move { connected(&here, &credentials).await }).await.unwrap();
    doomed.shutdown_background();
    fill_window(&session).await;

    let before = session.packets().syns;
    let again = connected(&server, &paired(&phrase, first.remote)).await;
    let mut client = lightning(again.stream, &again.auth_data).await;
    add_invoice(&mut client).await.unwrap();
    assert_eq!(session.handshakes(), [1, 2]);
    assert!(session.packets().syns >= before + 2, "the first one ends the old connection without a word");
}
