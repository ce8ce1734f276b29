//! Two wallets for one location, in paused time.

use std::sync::atomic::Ordering;

use agent_api::Proof;
use lightning::{LightningError, Lookup};
use store::{Model, Store};
use tokio::time::sleep;

use super::*;
use crate::{
    engine::{Redeemed, Redemption},
    testing::{Act, FAR, Wallet, hash, id, unavailable},
};

/// The second one's invoices are numbered from here on.
const SPARE: u32 = 100;

struct Pair {
    engine: Arc<Engine>,
    first: Arc<Wallet>,
    spare: Arc<Wallet>,
    store: Arc<dyn Store>,
    asked: Mutex<u64>,
}

fn pair() -> Pair {
    on(Arc::new(Model::new()))
}

fn on(store: Arc<dyn Store>) -> Pair {
    let (first, spare) = (Arc::new(Wallet::new()), Arc::new(Wallet::new()));
    spare.creates.store(SPARE as usize - 1, Ordering::SeqCst);
    let engine = Engine::start(vec![("a".into(), first.clone()), ("b".into(), spare.clone())], store.clone());
    Pair { engine, first, spare, store, asked: Mutex::new(0) }
}

impl Pair {
    /// Whether the first one made the next invoice; each has another price, so that none is made ahead.
    async fn first_sells(&self) -> Result<bool, Failure> {
        let amount_msat = {
            let mut asked = self.asked.lock().unwrap();
            *asked += 1;
            1000 * *asked
        };
        let wanted = Wanted { amount_msat, description: "a path".into() };
        let made = self.engine.invoice("a b", wanted).await?;
        Ok((1..SPARE).any(|n| made.payment_hash == hash(n)))
    }

    async fn look_up(&self, n: u32) -> Result<Redeemed, Failure> {
        self.engine
            .redeem(Redemption {
                request: id(n),
                backend: "a b".into(),
                payment_hash: hash(n),
                proof: Proof::LookUp(None),
                limit: None,
                draw: true,
            })
            .await
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_sells_while_it_can() {
    let pair = pair();
    for _ in 0..5 {
        assert_eq!(pair.first_sells().await, Ok(true));
    }
    assert_eq!(pair.spare.asked(), []);
}

#[tokio::test(start_paused = true)]
async fn the_second_takes_over_from_one_that_fails() {
    for error in [
        LightningError::Refused("no".into()),
        LightningError::Wrong("another amount".into()),
        LightningError::TimedOut,
        unavailable(Duration::from_secs(1)),
    ] {
        let pair = pair();
        pair.first.on_create(Act::Answer(Err(error)));
        assert_eq!(pair.first_sells().await, Ok(false));
        assert_eq!(pair.first_sells().await, Ok(false));
        assert_eq!(pair.first.creates(), 1, "it is left alone for a while");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_one_costs_one_request_a_part_of_the_deadline() {
    let pair = pair();
    pair.first.on_create(Act::Hang);
    let start = Instant::now();
    assert_eq!(pair.first_sells().await, Ok(false));
    assert_eq!(start.elapsed(), EACH);
    for _ in 0..5 {
        assert_eq!(pair.first_sells().await, Ok(false));
    }
    assert_eq!(start.elapsed(), EACH, "the others don't wait");
    sleep(COOLING).await;
    let (trial, other) = tokio::join!(async { (pair.first_sells().await, start.elapsed()) }, async {
        (pair.first_sells().await, start.elapsed())
    });
    assert_eq!((trial.0, trial.1), (Ok(false), EACH + COOLING + EACH));
    assert_eq!((other.0, other.1), (Ok(false), EACH + COOLING), "one tries it for all");
}

/// Who holds an unpaid token can't move the sales to another wallet.
#[tokio::test(start_paused = true)]
async fn a_look_up_that_fails_leaves_the_sales_where_they_are() {
    for act in
        [Act::Answer(Err(unavailable(Duration::from_secs(1)))), Act::Answer(Err(LightningError::TimedOut))]
    {
        let pair = pair();
        assert_eq!(pair.first_sells().await, Ok(true));
        pair.first.on_look_up(act);
        for _ in 0..3 {
            pair.look_up(1).await.unwrap_err();
            assert_eq!(pair.first_sells().await, Ok(true));
        }
        pair.first.on_cancel(Act::Answer(Err(LightningError::TimedOut)));
        pair.engine.close().await;
        assert_eq!(pair.first_sells().await, Ok(true), "nor does a cancelling");
        assert_eq!(pair.spare.asked(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_is_used_again_when_it_is_back() {
    let pair = pair();
    pair.first.on_create(Act::Answer(Err(unavailable(Duration::from_secs(1)))));
    assert_eq!(pair.first_sells().await, Ok(false));
    pair.first.on_create(Act::Answer(Ok(())));
    assert_eq!(pair.first_sells().await, Ok(false), "not yet");
    sleep(COOLING).await;
    for _ in 0..3 {
        assert_eq!(pair.first_sells().await, Ok(true));
    }
}

#[tokio::test(start_paused = true)]
async fn the_one_that_failed_is_still_the_last_resort() {
    let pair = pair();
    pair.first.on_create(Act::Answer(Err(LightningError::TimedOut)));
    assert_eq!(pair.first_sells().await, Ok(false));
    pair.first.on_create(Act::Answer(Ok(())));
    pair.spare.on_create(Act::Answer(Err(LightningError::TimedOut)));
    assert_eq!(pair.first_sells().await, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn all_of_them_have_one_deadline() {
    let pair = pair();
    pair.first.on_create(Act::Hang);
    pair.spare.on_create(Act::Hang);
    for _ in 0..2 {
        let start = Instant::now();
        assert_eq!(pair.first_sells().await.unwrap_err().fault, Fault::TimedOut);
        assert_eq!(start.elapsed(), ALL);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_made_ahead_by_a_failing_one_waits() {
    let pair = pair();
    let wanted = || Wanted { amount_msat: 999, description: "a path".into() };
    let ask = || pair.engine.invoice("a b", wanted());
    for _ in 0..8 {
        ask().await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(2)).await;
    assert!(pair.engine.ready_invoice("a b", &wanted()).is_some(), "some are made ahead");
    pair.first.on_create(Act::Answer(Err(LightningError::TimedOut)));
    assert_eq!(pair.first_sells().await, Ok(false));
    let taken = ask().await.unwrap();
    assert!((SPARE..).take(9).any(|n| taken.payment_hash == hash(n)), "of the one that works");
}

#[tokio::test(start_paused = true)]
async fn the_maker_alone_is_asked_of_a_payment() {
    let pair = pair();
    assert_eq!(pair.first_sells().await, Ok(true));
    pair.first.on_create(Act::Answer(Err(LightningError::TimedOut)));
    assert_eq!(pair.first_sells().await, Ok(false));
    pair.first.on_look_up(Act::Hang);
    pair.spare.pay(SPARE, 2000);
    assert_eq!(pair.look_up(SPARE).await, Ok(Redeemed::Granted { remaining: None }));
    pair.first.pay(1, 1000);
    assert_eq!(pair.look_up(1).await, Ok(Redeemed::Granted { remaining: None }));
    assert_eq!((pair.first.look_ups(), pair.spare.look_ups()), (1, 1));
}

/// After a restart nobody knows who made it.
#[tokio::test(start_paused = true)]
async fn an_invoice_of_before_is_looked_up_until_it_is_known() {
    let fresh = || {
        let pair = pair();
        pair.first.on_look_up(Act::Answer(Ok(Lookup::Unknown)));
        pair.spare.on_look_up(Act::Answer(Ok(Lookup::Unknown)));
        pair
    };
    let pending =
        || Act::Answer(Ok(Lookup::Pending { bolt11: Some("lnbcrt1".into()), expires_at: Some(FAR) }));
    let pair = fresh();
    assert_eq!(pair.look_up(1).await, Ok(Redeemed::Dead));
    for spare in [false, true] {
        let pair = fresh();
        let (maker, other) = if spare { (&pair.spare, &pair.first) } else { (&pair.first, &pair.spare) };
        maker.on_look_up(pending());
        let shown = Ok(Redeemed::Unsettled { bolt11: "lnbcrt1".into(), expires_at: FAR, offer: None });
        assert_eq!(pair.look_up(1).await, shown);
        other.on_look_up(Act::Hang);
        sleep(Duration::from_secs(1)).await;
        maker.pay(1, 1000);
        assert_eq!(pair.look_up(1).await, Ok(Redeemed::Granted { remaining: None }));
        assert!(pair.store.settled_get(hash(1).0).await.unwrap().is_some());
    }
}

/// The one that made it may be the one that doesn't answer: nobody is sent to pay twice.
#[tokio::test(start_paused = true)]
async fn what_nobody_knows_is_not_dead_while_one_is_away() {
    let pair = pair();
    pair.first.on_look_up(Act::Answer(Err(unavailable(Duration::from_secs(1)))));
    pair.spare.on_look_up(Act::Answer(Ok(Lookup::Unknown)));
    let failure = pair.look_up(1).await.unwrap_err();
    assert_eq!(failure.fault, Fault::Unavailable { retry_after_s: 1 });
    pair.first.on_look_up(Act::Answer(Ok(Lookup::CannotLookUp)));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(pair.look_up(1).await, Ok(Redeemed::CannotLookUp));
}

#[tokio::test(start_paused = true)]
async fn both_push() {
    let pair = pair();
    assert_eq!(pair.first_sells().await, Ok(true));
    pair.first.on_create(Act::Answer(Err(LightningError::TimedOut)));
    assert_eq!(pair.first_sells().await, Ok(false));
    pair.first.push(1, 1000).await;
    pair.spare.push(SPARE, 2000).await;
    sleep(Duration::from_millis(1)).await;
    for n in [1, SPARE] {
        assert_eq!(pair.look_up(n).await, Ok(Redeemed::Granted { remaining: None }));
    }
    assert_eq!((pair.first.look_ups(), pair.spare.look_ups()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_in_the_list_is_named() {
    let pair = pair();
    let wanted = Wanted { amount_msat: 1, description: "a path".into() };
    let failure = pair.engine.invoice("a c", wanted).await.unwrap_err();
    assert!(failure.fault == Fault::Internal && failure.reason.contains("\"c\""), "{}", failure.reason);
}

/// The offer that is told is that of the wallet whose invoice it is, whether made when asked for or ahead, and later too.
#[tokio::test(start_paused = true)]
async fn the_offer_is_of_the_wallet_that_made_the_invoice() {
    let pair = pair();
    *pair.spare.offer.lock().unwrap() = Some("lno1b".into());
    let wanted = || Wanted { amount_msat: 1000, description: "a path".into() };
    assert_eq!(pair.engine.invoice("a b", wanted()).await.unwrap().offer, None);
    pair.first.on_create(Act::Answer(Err(LightningError::TimedOut)));
    let mut made_ahead = 0;
    for _ in 0..20 {
        let made = pair.engine.invoice("a b", wanted()).await.unwrap();
        if made.offer.is_none() {
            // The first one had made some ahead.
            continue;
        }
        assert_eq!(made.offer.as_deref(), Some("lno1b"));
        sleep(Duration::from_secs(1)).await;
        made_ahead += usize::from(pair.engine.ready_invoice("b", &wanted()).is_some_and(|ready| {
            assert_eq!(ready.offer.as_deref(), Some("lno1b"));
            true
        }));
    }
    assert!(made_ahead > 0);
    let shown = |offer| Ok(Redeemed::Unsettled { bolt11: format!("lnbcrt{SPARE}"), expires_at: FAR, offer });
    assert_eq!(pair.look_up(SPARE).await, shown(Some("lno1b".into())));
    assert!(matches!(pair.look_up(1).await, Ok(Redeemed::Unsettled { offer: None, .. })));
}
