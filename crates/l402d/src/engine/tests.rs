//! The engine over a wallet and a store that do as they are told, in paused time.

use std::sync::atomic::Ordering;

use agent_api::Proof;
use lightning::{LightningError, Lookup};
use store::{Claim, Claimed, Model};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};

use super::*;
use crate::testing::{Act, FAR, Flaky, Wallet, hash, id, preimage, unavailable};

struct Setup {
    engine: Arc<Engine>,
    wallet: Arc<Wallet>,
}

fn setup() -> Setup {
    with_store(Arc::new(Model::new()))
}

fn with_store(store: Arc<dyn Store>) -> Setup {
    let wallet = Arc::new(Wallet::new());
    let engine = Engine::start(vec![("default".into(), wallet.clone())], store);
    Setup { engine, wallet }
}

impl Setup {
    async fn invoice(&self) -> Result<Ready, Failure> {
        self.engine.invoice("default", wanted(10_000)).await
    }

    async fn look_up(&self, n: u32, request: u32) -> Result<Redeemed, Failure> {
        self.engine.redeem(redemption(n, request, Proof::LookUp(None), Some(1))).await
    }

    async fn prove(&self, n: u32, request: u32) -> Result<Redeemed, Failure> {
        let proof = Proof::Preimage((*preimage(n).expose()).into());
        self.engine.redeem(redemption(n, request, proof, Some(1))).await
    }
}

fn wanted(amount_msat: u64) -> Wanted {
    Wanted { amount_msat, description: "a path".into() }
}

fn redemption(n: u32, request: u32, proof: Proof, limit: Option<u32>) -> Redemption {
    Redemption {
        request: id(request),
        backend: "default".into(),
        payment_hash: hash(n),
        proof,
        limit,
        draw: true,
    }
}

fn unsettled(n: u32) -> Result<Redeemed, Failure> {
    Ok(Redeemed::Unsettled { bolt11: format!("lnbcrt{n}"), expires_at: FAR, offer: None })
}

const GRANTED: Result<Redeemed, Failure> = Ok(Redeemed::Granted { remaining: Some(0) });

#[tokio::test(start_paused = true)]
async fn an_invoice_has_a_nonce_of_its_own() {
    let setup = setup();
    let (one, two) = (setup.invoice().await.unwrap(), setup.invoice().await.unwrap());
    assert_eq!((one.payment_hash, one.bolt11.as_str(), one.expires_at), (hash(1), "lnbcrt1", FAR));
    assert_ne!(one.nonce, two.nonce);
}

#[tokio::test(start_paused = true)]
async fn an_invoice_is_handed_out_once() {
    let setup = setup();
    setup.wallet.repeat_invoices.store(true, Ordering::SeqCst);
    setup.invoice().await.unwrap();
    let failure = setup.invoice().await.unwrap_err();
    assert_eq!(failure.fault, Fault::Refused);
    assert!(failure.reason.contains("twice"), "{}", failure.reason);
}

#[tokio::test(start_paused = true)]
async fn each_error_of_the_wallet_has_its_fault() {
    let setup = setup();
    let cases = [
        (LightningError::Refused("no".into()), Fault::Refused),
        (LightningError::Wrong("another amount".into()), Fault::Refused),
        (LightningError::TimedOut, Fault::TimedOut),
        (unavailable(Duration::from_millis(2500)), Fault::Unavailable { retry_after_s: 3 }),
        (unavailable(Duration::ZERO), Fault::Unavailable { retry_after_s: 1 }),
    ];
    for (n, (error, fault)) in (1..).zip(cases) {
        setup.wallet.on_create(Act::Answer(Err(error.clone())));
        setup.wallet.on_look_up(Act::Answer(Err(error)));
        assert_eq!(setup.invoice().await.unwrap_err().fault, fault);
        assert_eq!(setup.look_up(n, n).await.unwrap_err().fault, fault);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_backend_is_named() {
    let setup = setup();
    let failure = setup.engine.invoice("other", wanted(1)).await.unwrap_err();
    assert_eq!(failure.fault, Fault::Internal);
    assert!(failure.reason.contains("\"other\"") && failure.reason.contains("default"), "{}", failure.reason);
}

#[tokio::test(start_paused = true)]
async fn a_preimage_is_proof_and_draws_once() {
    let setup = setup();
    assert_eq!(setup.prove(1, 1).await, GRANTED);
    assert_eq!(setup.prove(1, 1).await, GRANTED, "a resend");
    assert_eq!(setup.prove(1, 2).await, Ok(Redeemed::UsedUp));
    assert_eq!(setup.wallet.look_ups(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_preimage_of_another_payment_is_none() {
    let setup = setup();
    let proof = || Proof::Preimage((*preimage(2).expose()).into());
    for limit in [Some(1), None] {
        let failure = setup.engine.redeem(redemption(1, 1, proof(), limit)).await.unwrap_err();
        assert_eq!(failure.fault, Fault::Internal);
    }
    assert_eq!(setup.prove(1, 2).await, GRANTED, "nothing was drawn");
}

#[tokio::test(start_paused = true)]
async fn what_is_unlimited_draws_nothing() {
    let setup = setup();
    setup.wallet.pay(1, 10_000);
    for request in 0..3 {
        let ask = redemption(1, request, Proof::LookUp(None), None);
        assert_eq!(setup.engine.redeem(ask).await, Ok(Redeemed::Granted { remaining: None }));
    }
    assert_eq!(setup.look_up(1, 9).await, GRANTED);
    assert_eq!(setup.wallet.look_ups(), 1, "paid stays paid");
}

#[tokio::test(start_paused = true)]
async fn an_unpaid_invoice_is_shown_again_until_it_is_dead() {
    let setup = setup();
    setup.invoice().await.unwrap();
    assert_eq!(setup.look_up(1, 1).await, unsettled(1), "the text is remembered");
    let cases = [
        (Lookup::Pending { bolt11: Some("lnbcrt1".into()), expires_at: Some(FAR) }, unsettled(1)),
        (Lookup::Pending { bolt11: None, expires_at: Some(1) }, unsettled(1)),
        (Lookup::Pending { bolt11: None, expires_at: None }, unsettled(1)),
        (Lookup::Unknown, unsettled(1)),
        (Lookup::Unclear("broken".into()), unsettled(1)),
        (Lookup::Dead, Ok(Redeemed::Dead)),
        (Lookup::CannotLookUp, Ok(Redeemed::CannotLookUp)),
    ];
    for (answer, expected) in cases {
        setup.wallet.on_look_up(Act::Answer(Ok(answer)));
        assert_eq!(setup.look_up(1, 1).await, expected);
    }
    // Not one of ours, and the node does not tell its text, or does not know it.
    for answer in [Lookup::Pending { bolt11: None, expires_at: Some(FAR) }, Lookup::Unknown] {
        setup.wallet.on_look_up(Act::Answer(Ok(answer)));
        assert_eq!(setup.look_up(77, 1).await, Ok(Redeemed::Dead));
        sleep(Duration::from_secs(1)).await;
    }
}

/// Who was told "not found" of a live invoice is not sent to pay twice, and who let it expire gets another one.
#[tokio::test(start_paused = true)]
async fn an_invoice_that_the_wallet_does_not_find_is_dead_once_it_has_expired() {
    for answer in [Lookup::Unknown, Lookup::Unclear("INTERNAL".into())] {
        let setup = setup();
        setup.wallet.expires_at.store(unix_now() - 1, Ordering::SeqCst);
        setup.invoice().await.unwrap();
        setup.wallet.on_look_up(Act::Answer(Ok(answer)));
        assert_eq!(setup.look_up(1, 1).await, Ok(Redeemed::Dead));
    }
}

/// What an earlier process handed out is known: the same invoice, its price, and whose it is.
#[tokio::test(start_paused = true)]
async fn a_later_process_knows_what_was_handed_out() {
    let (store, record) = (Arc::new(Model::new()), Arc::new(Record::default()));
    let start = || {
        let wallet = Arc::new(Wallet::new());
        let wallets = vec![("default".into(), wallet.clone() as Arc<dyn Lightning>)];
        let engine = Engine::start_with(wallets, store.clone(), record.clone(), None, None);
        Setup { engine, wallet }
    };
    let before = start();
    for _ in 0..3 {
        before.invoice().await.unwrap();
    }
    let after = start();
    after.wallet.on_look_up(Act::Answer(Ok(Lookup::Unknown)));
    assert_eq!(after.look_up(1, 1).await, unsettled(1), "the wallet does not know it");
    after.wallet.push(2, 10_000).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(after.look_up(2, 2).await, GRANTED, "a push for an invoice of before");
    assert!(store.settled_get(hash(2).0).await.unwrap().is_some());
    assert_eq!(after.look_up(77, 3).await, Ok(Redeemed::Dead), "nobody's");
    assert_eq!(after.engine.backends["default"].issued().price_msat(&hash(1)), Some(10_000));
}

/// A record in memory.
#[derive(Default)]
struct Record(Mutex<HashMap<store::Hash, store::IssuedInvoice>>);

impl IssuedInvoices for Record {
    fn note(&self, invoice: store::IssuedInvoice) {
        self.0.lock().unwrap().insert(invoice.payment_hash, invoice);
    }

    fn find(&self, hash: store::Hash) -> store::BoxFuture<'_, Option<store::IssuedInvoice>> {
        let found = self.0.lock().unwrap().get(&hash).cloned();
        Box::pin(async { found })
    }
}

#[tokio::test(start_paused = true)]
async fn paid_is_recorded_then_drawn() {
    let store = Arc::new(Model::new());
    let setup = with_store(store.clone());
    setup.invoice().await.unwrap();
    setup.wallet.pay(1, 10_001);
    assert_eq!(setup.look_up(1, 1).await, GRANTED);
    let settled = store.settled_get(hash(1).0).await.unwrap().unwrap();
    assert_eq!((settled.received_msat, settled.preimage), (10_001, Some(*preimage(1).expose())));
    assert_eq!(setup.look_up(1, 2).await, Ok(Redeemed::UsedUp));
    assert_eq!(setup.prove(1, 3).await, Ok(Redeemed::UsedUp), "one payment, however it is proved");

    // After a restart, with the node down.
    let again = with_store(store);
    again.wallet.on_look_up(Act::Answer(Err(unavailable(Duration::ZERO))));
    assert_eq!(again.look_up(1, 1).await, GRANTED, "a resend");
    assert_eq!(again.look_up(1, 4).await, Ok(Redeemed::UsedUp));
    assert_eq!(again.wallet.look_ups(), 0);
}

#[tokio::test(start_paused = true)]
async fn settled_is_paid_whatever_was_received() {
    let store = Arc::new(Model::new());
    let setup = with_store(store.clone());
    for _ in 0..3 {
        setup.invoice().await.unwrap();
    }
    setup.wallet.push(1, 9_000).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(setup.look_up(1, 1).await, GRANTED, "a fee was taken from it");
    assert_eq!(store.settled_get(hash(1).0).await.unwrap().unwrap().received_msat, 9_000);
    setup.wallet.pay(2, 1);
    assert_eq!(setup.look_up(2, 2).await, GRANTED);
    let bare = Lookup::Settled { preimage: None, received: None, remarks: Vec::new() };
    setup.wallet.on_look_up(Act::Answer(Ok(bare.clone())));
    assert_eq!(setup.look_up(3, 3).await, GRANTED);
    let settled = store.settled_get(hash(3).0).await.unwrap().unwrap();
    assert_eq!((settled.preimage, settled.received_msat), (None, 10_000), "its price, where it is not told");
    assert_eq!(setup.look_up(5, 4).await, GRANTED, "one of before a restart alike");
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_share_the_next_look_up() {
    let setup = Arc::new(setup());
    setup.invoice().await.unwrap();
    let mut askers = JoinSet::new();
    for request in 0..500 {
        let setup = setup.clone();
        askers.spawn(async move { setup.look_up(1, request).await });
    }
    let start = Instant::now();
    assert!(askers.join_all().await.iter().all(|answer| *answer == unsettled(1)));
    assert_eq!(setup.wallet.look_ups(), 2, "one for the first, one for the 499 that came after it began");
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn one_payment_is_looked_up_once_a_second() {
    let setup = setup();
    setup.invoice().await.unwrap();
    let start = Instant::now();
    for request in 0..10 {
        assert_eq!(setup.look_up(1, request).await, unsettled(1));
        assert_eq!(start.elapsed(), Duration::from_secs(u64::from(request)), "the first one at once");
    }
    assert_eq!(setup.wallet.look_ups(), 10);
    assert_eq!(setup.look_up(2, 99).await, Ok(Redeemed::Dead));
    assert_eq!(start.elapsed(), Duration::from_secs(9), "another payment does not wait");
}

#[tokio::test(start_paused = true)]
async fn who_has_paid_is_never_told_an_older_answer() {
    let setup = setup();
    setup.invoice().await.unwrap();
    assert_eq!(setup.look_up(1, 1).await, unsettled(1));
    sleep(Duration::from_millis(1)).await;
    setup.wallet.pay(1, 10_000);
    assert_eq!(setup.look_up(1, 2).await, GRANTED);
}

#[tokio::test(start_paused = true)]
async fn a_push_wakes_who_waits() {
    let setup = setup();
    setup.invoice().await.unwrap();
    assert_eq!(setup.look_up(1, 1).await, unsettled(1));
    let start = Instant::now();
    let (first, second, ()) = tokio::join!(setup.look_up(1, 2), setup.look_up(1, 3), async {
        sleep(Duration::from_millis(300)).await;
        setup.wallet.push(1, 10_000).await;
    });
    assert_eq!(start.elapsed(), Duration::from_millis(300));
    assert!([(&first, &second), (&second, &first)].contains(&(&GRANTED, &Ok(Redeemed::UsedUp))));
    assert_eq!(setup.wallet.look_ups(), 1);

    // Also while the node hangs on a look-up.
    setup.invoice().await.unwrap();
    setup.wallet.on_look_up(Act::Hang);
    let (answer, ()) = tokio::join!(setup.look_up(2, 4), async {
        yield_now().await;
        setup.wallet.push(2, 10_000).await;
    });
    assert_eq!(answer, GRANTED);
}

#[tokio::test(start_paused = true)]
async fn a_push_for_someone_else_is_left_alone() {
    let store = Arc::new(Model::new());
    let setup = with_store(store.clone());
    setup.invoice().await.unwrap();
    assert_eq!(setup.look_up(1, 1).await, unsettled(1));
    setup.wallet.push(50, 10_000).await;
    setup.wallet.push(1, 10_000).await;
    assert_eq!(setup.look_up(1, 2).await, GRANTED, "by the second push, behind the first one");
    assert_eq!(setup.wallet.look_ups(), 1);
    assert_eq!(store.settled_get(hash(50).0).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_does_not_hold_up_the_others() {
    let setup = setup();
    setup.invoice().await.unwrap();
    setup.wallet.on_look_up(Act::Hang);
    let left = tokio::time::timeout(Duration::from_millis(10), setup.look_up(1, 1)).await;
    assert!(left.is_err());
    setup.wallet.pay(1, 10_000);
    assert_eq!(setup.look_up(1, 2).await, GRANTED);
    assert_eq!(setup.wallet.look_ups(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_store_grants_nothing_and_the_payment_stays_good() {
    let store = Arc::new(Flaky::default());
    let setup = with_store(store.clone());
    store.broken.store(true, Ordering::SeqCst);
    let failure = setup.prove(1, 1).await.unwrap_err();
    assert_eq!(failure.fault, Fault::Unavailable { retry_after_s: 1 });
    assert!(failure.reason.contains("disk full"), "{}", failure.reason);
    store.broken.store(false, Ordering::SeqCst);
    setup.engine.settle_undos().await;
    assert_eq!(setup.prove(1, 2).await, GRANTED);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_waits_for_what_is_being_given_back() {
    let store = Arc::new(Flaky::default());
    let setup = with_store(store.clone());
    store.broken.store(true, Ordering::SeqCst);
    setup.prove(1, 1).await.unwrap_err();
    assert_eq!(setup.prove(1, 2).await.unwrap_err().fault, Fault::Unavailable { retry_after_s: 1 });
    assert_eq!(setup.prove(2, 3).await.unwrap_err().reason, "the store is unavailable: disk full");
    store.broken.store(false, Ordering::SeqCst);
    assert_eq!(setup.prove(1, 4).await, GRANTED, "and not: used up");
}

#[tokio::test(start_paused = true)]
async fn hosts_that_share_the_store_hear_of_a_preimage() {
    let store = Arc::new(Flaky::default());
    let setup = with_store(store.clone());
    setup.invoice().await.unwrap();
    assert_eq!(setup.prove(1, 1).await, GRANTED);
    assert_eq!(setup.prove(7, 2).await, GRANTED, "another host's invoice");
    for n in [1, 7] {
        let settled = store.settled_get(hash(n).0).await.unwrap().unwrap();
        assert_eq!(settled.preimage, Some(*preimage(n).expose()));
    }
    // Any of them answers from it.
    let another = with_store(store.clone());
    assert_eq!(another.look_up(1, 9).await, Ok(Redeemed::UsedUp));
    assert_eq!(another.wallet.look_ups(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_undone_is_given_back_and_never_drawn_again() {
    let setup = setup();
    assert_eq!(setup.prove(1, 1).await, GRANTED);
    setup.engine.undo(Draw { payment_hash: hash(1).0, request: id(1) });
    // Comes before its claim.
    setup.engine.undo(Draw { payment_hash: hash(1).0, request: id(2) });
    setup.engine.settle_undos().await;
    assert_eq!(setup.prove(1, 1).await.unwrap_err().fault, Fault::Internal);
    assert_eq!(setup.prove(1, 2).await.unwrap_err().fault, Fault::Internal);
    assert_eq!(setup.prove(1, 3).await, GRANTED);
}

#[tokio::test(start_paused = true)]
async fn a_flood_does_not_reach_the_node() {
    let setup = Arc::new(setup());
    // The probe of the start.
    yield_now().await;
    setup.wallet.on_create(Act::Hang);
    let mut clients = JoinSet::new();
    for _ in 0..2000 {
        let setup = setup.clone();
        clients.spawn(async move { setup.invoice().await });
    }
    let start = Instant::now();
    let mut at_once = 0;
    // 64 hang for as long as the wallet lets them, 1024 wait 5 s for their turn, the rest hear it at once.
    for n in 0..1936 {
        let failure = clients.join_next().await.unwrap().unwrap().unwrap_err();
        assert_eq!(failure.fault, Fault::Unavailable { retry_after_s: 1 });
        at_once += usize::from(start.elapsed() == Duration::ZERO);
        assert!(start.elapsed() <= Duration::from_secs(5), "client {n}");
    }
    assert_eq!(at_once, 2000 - 64 - 1024);
    assert_eq!(setup.wallet.most_at_once.load(Ordering::SeqCst), 64);
    clients.shutdown().await;
    setup.wallet.on_create(Act::Answer(Ok(())));
    setup.invoice().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn memory_of_look_ups_stays_bounded() {
    let setup = setup();
    for n in 0..5000 {
        let _ = setup.look_up(n, n).await;
        sleep(Duration::from_millis(10)).await;
    }
    assert!(setup.engine.backends["default"].look_ups.len() <= 1024);
}

#[tokio::test(start_paused = true)]
async fn many_in_parallel_draw_what_was_bought() {
    let setup = Arc::new(setup());
    let mut copies = JoinSet::new();
    for request in 0..200 {
        let engine = setup.engine.clone();
        let proof = Proof::Preimage((*preimage(1).expose()).into());
        copies.spawn(async move { engine.redeem(redemption(1, request, proof, Some(3))).await });
    }
    let answers = copies.join_all().await;
    assert_eq!(answers.iter().filter(|a| matches!(a, Ok(Redeemed::Granted { .. }))).count(), 3);
    let over = Claim { payment_hash: hash(1).0, request: id(999), limit: 3, units: 1 };
    assert_eq!(setup.engine.store.claim(over).await, Ok(Claimed::UsedUp));
}
