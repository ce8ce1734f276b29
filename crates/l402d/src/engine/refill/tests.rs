//! The engine with its pool, over a wallet that does as it is told, in paused time.

use std::{collections::HashSet, sync::atomic::Ordering};

use lightning::LightningError;
use store::Model;
use tokio::{
    task::yield_now,
    time::{advance, sleep},
};

use super::*;
use crate::{
    engine::{Engine, INVOICE_EXPIRY_S},
    testing::{Act, Wallet, hash, unavailable},
};

struct Shop {
    engine: Arc<Engine>,
    wallet: Arc<Wallet>,
}

impl Shop {
    fn open() -> Self {
        let wallet = Arc::new(Wallet::new());
        let engine = Engine::start(vec![("default".into(), wallet.clone())], Arc::new(Model::new()));
        Self { engine, wallet }
    }

    async fn invoice(&self) -> Result<Ready, Failure> {
        self.engine.invoice("default", wanted(10_000)).await
    }

    /// One that was asked for so often that as many are ready.
    async fn warm(asked: usize) -> Self {
        let shop = Self::open();
        for _ in 0..asked {
            shop.invoice().await.unwrap();
        }
        shop.is_ready(asked).await;
        shop
    }

    async fn is_ready(&self, count: usize) {
        while self.ready() < count {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(self.ready(), count);
    }

    fn backend(&self) -> &Arc<Backend> {
        &self.engine.backends["default"]
    }

    fn ready(&self) -> usize {
        self.backend().pool().len()
    }
}

fn wanted(amount_msat: u64) -> Wanted {
    Wanted { amount_msat, description: "a path".into() }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_ahead_of_what_is_hardly_asked_for() {
    let shop = Shop::open();
    for _ in 0..3 {
        shop.invoice().await.unwrap();
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!((shop.wallet.creates(), shop.ready()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_costs_no_call_and_lives_as_long_as_a_new_one() {
    let shop = Shop::warm(4).await;
    shop.wallet.on_create(Act::Hang);
    let mut seen = HashSet::new();
    for _ in 0..4 {
        assert!(seen.insert(shop.invoice().await.unwrap().nonce), "a nonce for each token");
    }
    let asked = shop.wallet.asked();
    assert!(asked[..4].iter().all(|ask| ask.expiry_s == INVOICE_EXPIRY_S));
    assert!(asked[4..8].iter().all(|ask| ask.expiry_s == AHEAD_EXPIRY_S));
    assert!(asked.iter().all(|ask| ask.description == "a path" && ask.amount == Msat(10_000)));
}

#[tokio::test(start_paused = true)]
async fn a_ready_one_is_looked_up_and_pushed_like_any_other() {
    use crate::{engine::Redeemed, engine::Redemption, testing::id};
    use agent_api::Proof;
    let shop = Shop::warm(4).await;
    let ready = shop.invoice().await.unwrap();
    assert_eq!(ready.payment_hash, hash(5));
    let redeem = |request| {
        shop.engine.redeem(Redemption {
            request: id(request),
            backend: "default".into(),
            payment_hash: ready.payment_hash,
            proof: Proof::LookUp(None),
            limit: Some(1),
            draw: true,
        })
    };
    assert!(matches!(redeem(1).await, Ok(Redeemed::Unsettled { bolt11, .. }) if bolt11 == ready.bolt11));
    assert_eq!(
        shop.backend().issued().price_msat(&hash(5)),
        Some(10_000),
        "the price of a ready one is known"
    );
    shop.wallet.push(5, 10_000).await;
    assert_eq!(redeem(3).await, Ok(Redeemed::Granted { remaining: Some(0) }));
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_made_up_for_with_all_that_the_wallet_can_do() {
    let shop = Shop::open();
    for _ in 0..500 {
        shop.invoice().await.unwrap();
    }
    shop.is_ready(500).await;
    shop.wallet.on_create(Act::Later(Duration::from_secs(1), Ok(())));
    shop.wallet.most_at_once.store(0, Ordering::SeqCst);
    let start = Instant::now();
    for _ in 0..400 {
        shop.invoice().await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "none waits for the wallet");
    while shop.ready() < 500 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(shop.wallet.most_at_once.load(Ordering::SeqCst), AT_ONCE);
    assert!(start.elapsed() < Duration::from_secs(2 + 900 / AT_ONCE as u64), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn refilling_leaves_the_wallet_half_its_calls_to_clients() {
    let shop = Shop::warm(100).await;
    shop.wallet.on_create(Act::Hang);
    for _ in 0..100 {
        shop.invoice().await.unwrap();
    }
    sleep(CLOSING).await;
    shop.wallet.on_create(Act::Answer(Ok(())));
    // These hang, and a client is served all the same.
    assert_eq!(shop.ready(), 0);
    shop.invoice().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failing_wallet_is_left_alone_for_longer_and_longer() {
    let shop = Shop::warm(100).await;
    shop.wallet.on_create(Act::Answer(Err(unavailable(Duration::ZERO))));
    for _ in 0..100 {
        shop.invoice().await.unwrap();
    }
    let before = shop.wallet.creates();
    sleep(Duration::from_secs(60)).await;
    let tries = shop.wallet.creates() - before;
    assert!((5..=AT_ONCE + 8).contains(&tries), "{tries} tries in a minute");
    // Who asks is told how it is.
    assert!(matches!(shop.invoice().await.unwrap_err().fault, Fault::Unavailable { .. }));
    shop.wallet.on_create(Act::Answer(Ok(())));
    sleep(LONGEST_PAUSE + Duration::from_secs(1)).await;
    assert!(shop.ready() > 50, "{} ready", shop.ready());
}

#[tokio::test(start_paused = true)]
async fn what_the_wallet_refuses_is_not_tried_again() {
    let shop = Shop::warm(10).await;
    for error in [LightningError::Refused("no".into()), LightningError::Wrong("amount".into())] {
        shop.wallet.on_create(Act::Answer(Err(error)));
        for _ in 0..10 {
            shop.invoice().await.unwrap();
        }
        sleep(Duration::from_secs(1)).await;
        let before = shop.wallet.creates();
        sleep(Duration::from_secs(600)).await;
        assert_eq!(shop.wallet.creates(), before);
        shop.wallet.on_create(Act::Answer(Ok(())));
        for _ in 0..10 {
            shop.invoice().await.unwrap();
        }
        shop.is_ready(10).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wallet_whose_invoices_are_short_has_no_pool() {
    let shop = Shop::open();
    shop.wallet.expires_at.store(super::unix_now() + 60, Ordering::SeqCst);
    for _ in 0..8 {
        shop.invoice().await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!((shop.wallet.creates(), shop.ready(), shop.wallet.cancelled().len()), (8, 0, 0));
}

/// Few are made for nobody, however fast they are asked for, of a wallet that chooses a life of ten minutes.
#[tokio::test(start_paused = true)]
async fn a_wallet_of_ten_minutes_makes_little_more_than_is_asked_for() {
    for per_second in [1, 2, 4, 8, 12] {
        let shop = Shop::open();
        shop.wallet.life_s.store(600, Ordering::SeqCst);
        let mut late = 0;
        for _ in 0..1000 {
            let before = shop.wallet.creates();
            shop.invoice().await.unwrap();
            late +=
                usize::from(shop.wallet.asked()[before..].iter().any(|ask| ask.expiry_s == INVOICE_EXPIRY_S));
            sleep(Duration::from_secs(1) / per_second).await;
        }
        let made = shop.wallet.creates();
        assert!(made <= 1300, "{per_second} a second: {made} made for 1000");
        assert!(late <= 20, "{per_second} a second: {late} clients waited for the wallet");
    }
}

/// Asked for now and then, too: none is thrown away that a client could still pay.
#[tokio::test(start_paused = true)]
async fn little_is_wasted_of_what_is_asked_for_now_and_then() {
    let shop = Shop::open();
    shop.wallet.life_s.store(600, Ordering::SeqCst);
    for _ in 0..1000 {
        shop.invoice().await.unwrap();
        sleep(Duration::from_secs(3)).await;
    }
    assert!(shop.wallet.creates() <= 1100, "{}", shop.wallet.creates());
}

/// Eight seconds an invoice: the first client waits, the others don't.
#[tokio::test(start_paused = true)]
async fn the_pool_spares_clients_a_slow_wallet() {
    let shop = Shop::open();
    shop.wallet.on_create(Act::Later(Duration::from_secs(8), Ok(())));
    let start = Instant::now();
    shop.invoice().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(8));
    for _ in 0..20 {
        sleep(Duration::from_secs(10)).await;
        let asked = Instant::now();
        shop.invoice().await.unwrap();
        assert_eq!(asked.elapsed(), Duration::ZERO);
    }
}

/// One that refuses a life of twenty minutes is asked for ten.
#[tokio::test(start_paused = true)]
async fn a_wallet_that_refuses_a_long_life_is_asked_for_a_shorter_one() {
    let shop = Shop::open();
    shop.wallet.most_life_s.store(INVOICE_EXPIRY_S, Ordering::SeqCst);
    for _ in 0..8 {
        shop.invoice().await.unwrap();
    }
    shop.is_ready(8).await;
    let refused = shop.wallet.asked().iter().filter(|ask| ask.expiry_s == AHEAD_EXPIRY_S).count();
    assert!(refused <= 8, "{refused}");
    for _ in 0..8 {
        shop.invoice().await.unwrap();
    }
    shop.is_ready(16).await;
    let again = shop.wallet.asked().iter().filter(|ask| ask.expiry_s == AHEAD_EXPIRY_S).count();
    assert_eq!(again, refused, "it is remembered");
}

#[tokio::test(start_paused = true)]
async fn an_invoice_that_the_wallet_returns_twice_is_handed_out_once() {
    let shop = Shop::warm(8).await;
    shop.wallet.repeat_invoices.store(true, Ordering::SeqCst);
    for _ in 0..8 {
        shop.invoice().await.unwrap();
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(shop.ready(), 0, "hash 1 was handed out before");
    assert_eq!(shop.invoice().await.unwrap_err().fault, Fault::Refused);
    assert_eq!(shop.wallet.cancelled(), [], "somebody may pay it");
}

#[tokio::test(start_paused = true)]
async fn parallel_clients_never_get_the_same() {
    let shop = Arc::new(Shop::warm(200).await);
    let mut clients = JoinSet::new();
    for _ in 0..1000 {
        let shop = shop.clone();
        clients.spawn(async move { shop.invoice().await.map(|ready| ready.payment_hash) });
    }
    let hashes: HashSet<_> = clients.join_all().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(hashes.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn an_old_one_is_cancelled_and_made_anew_while_it_is_asked_for() {
    let shop = Shop::warm(100).await;
    advance(Duration::from_secs(600)).await;
    yield_now().await;
    shop.is_ready(8).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(shop.wallet.cancelled().len(), 100);
    assert!(!shop.wallet.cancelled().contains(&shop.invoice().await.unwrap().payment_hash));
    sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(shop.ready(), 0, "nobody has asked for a day");
    assert!(shop.wallet.creates() < 100 + 2 * 100, "{}", shop.wallet.creates());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_got_is_cancelled_at_the_end() {
    let shop = Shop::warm(100).await;
    let handed_out = shop.invoice().await.unwrap().payment_hash;
    // One more is being made when the end comes.
    shop.wallet.on_create(Act::Later(Duration::from_secs(1), Ok(())));
    sleep(Duration::from_millis(1500)).await;
    shop.engine.close().await;
    let cancelled: HashSet<_> = shop.wallet.cancelled().into_iter().collect();
    assert_eq!(cancelled.len(), shop.wallet.creates() - 101);
    assert!(!cancelled.contains(&handed_out));
    assert!((1..=100).all(|n| !cancelled.contains(&hash(n))), "clients have these");
    // Who asks now gets a new one, and nothing is made ahead.
    shop.wallet.on_create(Act::Answer(Ok(())));
    for _ in 0..10 {
        shop.invoice().await.unwrap();
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!((shop.ready(), shop.wallet.creates()), (0, cancelled.len() + 101 + 10));
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_the_wallet() {
    for act in
        [Act::Hang, Act::Answer(Err(LightningError::TimedOut)), Act::Answer(Ok(Cancelled::CannotCancel))]
    {
        let shop = Shop::warm(1000).await;
        shop.wallet.on_cancel(act);
        let start = Instant::now();
        shop.engine.close().await;
        assert!(start.elapsed() <= CLOSING);
        let tried = shop.wallet.cancelled().len();
        assert!(tried <= 2 * AT_ONCE, "{tried} tried");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wallet_that_panics_leaves_the_pool_in_order() {
    let shop = Shop::warm(8).await;
    shop.wallet.on_create(Act::Panic);
    for _ in 0..8 {
        shop.invoice().await.unwrap();
    }
    sleep(Duration::from_secs(5)).await;
    shop.wallet.on_create(Act::Answer(Ok(())));
    sleep(Duration::from_secs(30)).await;
    assert!(shop.ready() >= 8);
}
