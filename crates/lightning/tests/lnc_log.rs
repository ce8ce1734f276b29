//! What the wallet behind a mailbox logs in an orderly life. In a program of its own: who listens to the log of one thread
//! misses lines while other tests log.
#![allow(clippy::unwrap_used)]

#[path = "lnc/support.rs"]
mod support;

use std::sync::{Arc, Mutex};

use l402::Msat;
use lightning::InvoiceRequest;
use lnsim::{Method, Permit};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use support::{session, sim, until, wallet};

/// What this crate and `lnc` log, without the fields.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = ["lightning", "lnc"].contains(&metadata.target().split("::").next().unwrap_or_default());
        ours && *metadata.level() <= tracing::Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        struct Message(Option<String>);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = Some(format!("{value:?}"));
                }
            }
        }
        let mut message = Message(None);
        event.record(&mut message);
        self.0.lock().unwrap().extend(message.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

// On one thread: what was logged is known when everything else has had its turn.
#[tokio::test]
async fn an_orderly_life_is_no_cause_for_complaint() {
    let (sim, state, log) = (sim(), tempfile::tempdir().unwrap(), Log::default());
    let _guard = tracing::subscriber::set_default(log.clone());
    let session = session(&sim, Permit::Invoice);
    let wallet = wallet(&sim, session.phrase(), state.path());
    let mut settlements = wallet.settlements();
    let ask = InvoiceRequest { amount: Msat(1000), description: "a test".to_owned(), expiry_s: 600 };
    let made = wallet.create(&ask).await.unwrap();
    until("the node is subscribed to", || sim.calls(Method::SubscribeInvoices) == 1).await;
    sim.pay(&made.bolt11).unwrap();
    settlements.recv().await.unwrap();
    wallet.close().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let lines = log.lines();
    let [connected, permission] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(connected, "connected to the node");
    // What this macaroon does not allow is said once.
    assert!(permission.contains("offchain:read"), "{permission}");
}
