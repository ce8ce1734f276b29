//! The conformance suite of wallets, run by the code that l402d uses against the very node that the scenarios use.

use std::pin::Pin;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use l402::PaymentHash;
use lightning::conformance::{self, World};

use crate::harness::node::Node;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;

pub const ALL: &[Scenario] = &[Scenario::on_nodes("conformance::lightning", lightning)];

type Done<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Who pays: the node's other half, whose calls block.
struct Outside<'a>(&'a dyn Node);

impl World for Outside<'_> {
    fn pay<'a>(&'a self, bolt11: &'a str) -> Done<'a> {
        Box::pin(async move {
            tokio::task::block_in_place(|| self.0.pay(bolt11)).expect("a payment");
        })
    }

    fn cancel(&self, hash: PaymentHash) -> Done<'_> {
        Box::pin(async move {
            tokio::task::block_in_place(|| self.0.cancel(&HEXLOWER.encode(&hash.0))).expect("cancelled");
        })
    }
}

/// An LND has nothing to note down.
struct NoNotes;

impl lightning::Notes for NoNotes {
    fn keep(&self, _: PaymentHash, _: String) -> lightning::Reply<'_, ()> {
        unreachable!("an LND has nothing to note down")
    }

    fn find(&self, _: PaymentHash) -> lightning::Reply<'_, Option<String>> {
        unreachable!("an LND has nothing to find again")
    }
}

fn lightning(stage: &Stage) {
    let node = stage.node();
    let (address, text) = (node.address().to_string(), |path: std::path::PathBuf| path.display().to_string());
    let pairs = [
        ("type", "lnd".to_owned()),
        ("address", address),
        ("macaroon", text(node.macaroon("invoice"))),
        ("cert", text(node.certificate())),
    ];
    let backend = settings::named_backend("node", &pairs, &|path| std::fs::read(path)).expect("settings");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let notes: Arc<dyn lightning::Notes> = Arc::new(NoNotes);
    runtime.block_on(async {
        let wallet = lightning::open(&backend, &notes, stage.dir()).expect("a wallet");
        conformance::all(wallet.as_ref(), &Outside(node)).await;
    });
}
