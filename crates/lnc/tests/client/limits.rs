//! The reference mailbox takes one packet each 20 ms for a box: what counts is how many a call takes.
#![allow(clippy::unwrap_used)]

use lnsim::{Limits, LncOptions};

use super::support::{add_invoice, by_phrase, connected, lightning, server, sim};

/// What the reference client takes for such a call under these limits, each way.
const REFERENCE: f64 = 5.5;

/// Calls that are counted.
const CALLS: u32 = 40;

// On one thread, as l402d is.
#[tokio::test]
async fn a_call_takes_half_the_packets_of_the_reference_client() {
    let sim = sim();
    let limits = Some(Limits { burst: 0, ..Limits::REFERENCE });
    let session = sim.lnc_session(LncOptions { limits, ..LncOptions::default() }).unwrap();
    let connected = connected(&server(&sim, ""), &by_phrase(&session)).await;
    let mut client = lightning(connected.stream, &connected.auth_data).await;
    add_invoice(&mut client).await.unwrap();
    let before = session.packets();
    for _ in 0..CALLS {
        add_invoice(&mut client).await.unwrap();
    }
    let after = session.packets();
    let a_call = |before: u64, after: u64| (after - before) as f64 / f64::from(CALLS);
    let (to_node, to_client) =
        (a_call(before.to_node, after.to_node), a_call(before.to_client, after.to_client));
    println!(
        "packets a call: {to_node:.2} to the node, {to_client:.2} to the client; {:.2} and {:.2} of the reference client's",
        to_node / REFERENCE,
        to_client / REFERENCE
    );
    assert!(to_node <= REFERENCE / 2.0, "{to_node}");
    assert!(to_client <= REFERENCE * 0.75, "{to_client}");
}
