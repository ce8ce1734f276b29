//! Prices and payees that are listed, over a list that does as it is told, in paused time.

use std::{
    collections::HashMap,
    sync::{Mutex, atomic::AtomicUsize},
};

use agent_api::{Fault, Proof};
use lightning::Reply;
use store::{BoxFuture, Model, StoreError};
use tokio::{
    task::JoinSet,
    time::{advance, sleep},
};

use super::*;
use crate::{
    engine::{Redeemed, Redemption},
    testing::{Act, Wallet, hash, id, unavailable},
};

#[derive(Default)]
struct List {
    listed: Mutex<HashMap<String, Listed>>,
    asked: AtomicUsize,
    is_gone: AtomicBool,
}

impl List {
    fn set(&self, path: &str, price: Option<&str>, payee: Option<&str>) {
        let listed = Listed { price: price.map(Into::into), payee: payee.map(Into::into) };
        self.listed.lock().unwrap().insert(path.into(), listed);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Prices for List {
    fn listed<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Listed, StoreError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let listed = self.listed.lock().unwrap().get(path).cloned().unwrap_or_default();
            sleep(Duration::from_millis(1)).await;
            match self.is_gone.load(Ordering::SeqCst) {
                true => Err(StoreError::NotCarriedOut("connection refused".into())),
                false => Ok(listed),
            }
        })
    }
}

struct Setup {
    engine: Arc<Engine>,
    list: Arc<List>,
    own: Arc<Wallet>,
    listed: Arc<Wallet>,
}

fn setup() -> Setup {
    setup_on(Arc::new(Model::new()))
}

/// `listed` is the wallet at every address; one at `nowhere.example` can't be opened.
fn setup_on(model: Arc<Model>) -> Setup {
    let (list, own, listed) = (Arc::new(List::default()), Arc::new(Wallet::new()), Arc::new(Wallet::new()));
    // Its invoices are not those of the other.
    listed.creates.store(1000, Ordering::SeqCst);
    let wallet = listed.clone();
    let open: Opener = Box::new(move |address, _| match address.ends_with("@nowhere.example") {
        true => Err("nowhere".into()),
        false => Ok(wallet.clone()),
    });
    let notes = Arc::new(crate::notes::Notes(model.clone()));
    let listing = Listing::new(list.clone(), notes, open);
    let engine = Engine::start_with(
        vec![("default".into(), own.clone())],
        model,
        Arc::new(store::NoIssuedInvoices),
        None,
        Some(listing),
    );
    Setup { engine, list, own, listed }
}

impl Setup {
    /// What a challenge at this path asks, where the location asks for 10 000.
    async fn price(&self, path: &str) -> u64 {
        self.engine.quote(path, 10_000).await.unwrap().amount_msat
    }

    fn price_at_once(&self, path: &str) -> Option<u64> {
        self.engine.quote_at_once(path, 10_000).map(|quote| quote.amount_msat)
    }

    async fn invoice(&self, path: &str) -> Result<Ready, Failure> {
        let wanted = Wanted { amount_msat: 10_000, description: "a path".into() };
        let quote = self.engine.quote(path, 10_000).await?;
        let wanted = quote.over(&wanted).into_owned();
        self.engine.invoice_to(&quote, "default", wanted).await
    }

    fn unusable(&self) -> u64 {
        self.engine.listing.as_ref().unwrap().unusable()
    }

    async fn look_up(&self, n: u32) -> Result<Redeemed, Failure> {
        let (request, backend, proof) = (id(n), "default".into(), Proof::LookUp(None));
        self.engine
            .redeem(Redemption { request, backend, payment_hash: hash(n), proof, limit: None, draw: true })
            .await
    }
}

#[tokio::test(start_paused = true)]
async fn a_price_counts_within_half_a_second_and_is_looked_up_once() {
    let setup = setup();
    assert_eq!(setup.price("/a").await, 10_000);
    setup.list.set("/a", Some("15000"), None);
    advance(FRESH).await;
    let mut all = JoinSet::new();
    for _ in 0..100 {
        let engine = setup.engine.clone();
        all.spawn(async move { engine.quote("/a", 10_000).await.map(|quote| quote.amount_msat) });
    }
    assert!(all.join_all().await.iter().all(|price| *price == Ok(15_000)));
    assert_eq!(setup.list.asked(), 2, "once for all who ask at once");
    assert_eq!(setup.price_at_once("/a"), Some(15_000));
    assert_eq!(setup.price("/a/").await, 10_000, "another path");
    advance(FRESH).await;
    assert_eq!(setup.price_at_once("/a"), None);
    setup.list.set("/a", None, None);
    assert_eq!(setup.price("/a").await, 10_000, "taken away again");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_path_and_a_host_without_a_list_have_the_locations_price() {
    let setup = setup();
    assert_eq!(setup.price_at_once(""), Some(10_000));
    let engine = Engine::start(vec![("default".into(), setup.own.clone())], Arc::new(Model::new()));
    assert_eq!(engine.quote_at_once("/a", 10_000).map(|quote| quote.amount_msat), Some(10_000));
    assert_eq!(setup.list.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_positive_number_is_as_if_it_were_not_there() {
    let setup = setup();
    for bad in ["0", "-1", "", "1.5", "15000 sat", "abc", "+1", "99999999999999999999", "(not a string)"] {
        setup.list.set("/a", Some(bad), None);
        advance(FRESH).await;
        assert_eq!(setup.price("/a").await, 10_000, "{bad:?}");
    }
    assert_eq!(setup.unusable(), 9);
    setup.list.set("/a", Some(" 15000\n"), Some("not an address"));
    advance(FRESH).await;
    assert_eq!(setup.price("/a").await, 15_000);
    assert_eq!(setup.unusable(), 10);
    setup.invoice("/a").await.unwrap();
    assert_eq!(
        (setup.own.creates(), setup.own.asked()[0].amount.0),
        (1, 15_000),
        "the location's own is paid"
    );
}

#[tokio::test(start_paused = true)]
async fn ecash_is_taken_at_what_was_asked_lately() {
    let setup = setup();
    let price = async || setup.engine.ecash_price("/a", 10_000).await;
    assert_eq!(price().await, 10_000);
    for (listed, lowest) in [("15000", 10_000), ("7000", 7_000), ("20000", 7_000)] {
        setup.list.set("/a", Some(listed), None);
        advance(FRESH).await;
        assert_eq!(price().await, lowest);
    }
    assert_eq!(setup.price("/a").await, 20_000, "a challenge asks for the price of now");
    advance(TAKEN).await;
    assert_eq!(price().await, 20_000);
    setup.list.set("/a", None, None);
    advance(FRESH).await;
    assert_eq!(price().await, 10_000);
    assert_eq!(setup.engine.ecash_price("", 10_000).await, 10_000);
}

#[tokio::test(start_paused = true)]
async fn while_it_can_not_be_looked_up_what_was_known_last_holds() {
    let setup = setup();
    setup.list.set("/a", Some("15000"), None);
    assert_eq!(setup.price("/a").await, 15_000);
    setup.list.is_gone.store(true, Ordering::SeqCst);
    advance(Duration::from_secs(3600)).await;
    assert_eq!(setup.price("/a").await, 15_000);
    assert_eq!(setup.price("/b").await, 10_000, "nothing was known");
    setup.list.is_gone.store(false, Ordering::SeqCst);
    setup.list.set("/a", Some("20000"), None);
    assert_eq!(setup.price("/a").await, 20_000);
}

#[tokio::test(start_paused = true)]
async fn who_is_listed_is_paid_and_nobody_in_their_place() {
    let setup = setup();
    setup.list.set("/a", Some("15000"), Some("alice@example.com"));
    assert_eq!(setup.invoice("/a").await.unwrap().payment_hash, hash(1001));
    assert_eq!((setup.listed.asked()[0].amount.0, setup.own.creates()), (15_000, 0));
    assert_eq!(setup.invoice("/b").await.unwrap().payment_hash, hash(1));
    setup.listed.on_create(Act::Answer(Err(unavailable(Duration::from_secs(1)))));
    let failure = setup.invoice("/a").await.unwrap_err();
    assert!(matches!(failure.fault, Fault::Unavailable { .. }), "{failure:?}");
    setup.list.set("/a", None, Some("alice@nowhere.example"));
    advance(FRESH).await;
    let failure = setup.invoice("/a").await.unwrap_err();
    assert!(failure.reason.contains("nowhere") && failure.reason.contains("\"/a\""), "{failure:?}");
    assert_eq!(setup.own.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_looked_up_where_it_was_made() {
    let model = Arc::new(Model::new());
    let setup = setup_on(model.clone());
    setup.list.set("/a", None, Some("alice@example.com"));
    setup.invoice("/a").await.unwrap();
    setup.listed.pay(1001, 10_000);
    setup.list.set("/a", None, None);
    advance(FRESH).await;
    assert_eq!(setup.look_up(1001).await, Ok(Redeemed::Granted { remaining: None }), "no longer listed");
    assert_eq!((setup.listed.look_ups(), setup.own.look_ups()), (1, 0));

    // Another host, which has only the note.
    let note = "payee alice@example.com 1 10000 0 https://example.com/verify".to_owned();
    store::Notes::note_put(&*model, hash(1002).0, note).await.unwrap();
    let other = setup_on(model);
    other.listed.pay(1002, 10_000);
    assert_eq!(other.look_up(1002).await, Ok(Redeemed::Granted { remaining: None }));
    assert_eq!((other.listed.look_ups(), other.own.look_ups()), (1, 0));
    let _ = other.look_up(7).await;
    assert_eq!(other.own.look_ups(), 1, "nothing is known: the location's own is asked");
}

#[tokio::test]
async fn a_note_says_whose_it_is() {
    let model: Arc<dyn lightning::Notes> = Arc::new(crate::notes::Notes(Arc::new(Model::new())));
    let (told, heard) = std::sync::mpsc::channel();
    let open: Opener = Box::new(move |_, notes| {
        told.send(notes).unwrap();
        Ok(Arc::new(Wallet::new()))
    });
    let payees = Payees::new(open, model.clone());
    let engine = Engine::start(Vec::new(), Arc::new(Model::new()));
    payees.of("alice@example.com", &engine).unwrap();
    payees.of("bob@example.com", &engine).unwrap();
    let (alice, bob) = (heard.recv().unwrap(), heard.recv().unwrap());
    let find = |notes: &Arc<dyn lightning::Notes>| -> Reply<'static, Option<String>> {
        let notes = notes.clone();
        Box::pin(async move { notes.find(hash(1)).await })
    };
    alice.keep(hash(1), "1 2 3".into()).await.unwrap();
    let note = find(&model).await.unwrap().unwrap();
    assert_eq!(payees::address_in(&note), Some("alice@example.com"));
    assert_eq!(find(&alice).await.unwrap().as_deref(), Some("1 2 3"));
    assert_eq!(find(&bob).await.unwrap(), None);
    for other in ["1 21000 5 https://example.com", "payee", "", "payees a b"] {
        assert_eq!(payees::address_in(other), None, "{other:?}");
    }
}
