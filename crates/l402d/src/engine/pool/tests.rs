//! The pool by itself, in paused time.

use tokio::time::advance;

use super::*;
use crate::testing::{FAR, hash};

fn wanted(amount_msat: u64) -> Wanted {
    Wanted { amount_msat, description: "a path".into() }
}

fn invoice(n: u32) -> Ready {
    Ready {
        payment_hash: hash(n),
        bolt11: format!("lnbcrt{n}"),
        offer: None,
        nonce: [0; 28],
        expires_at: FAR,
    }
}

/// A pool that was asked for this so often.
fn asked(pool: &mut Pool, amount_msat: u64, times: usize) {
    (0..times).for_each(|_| pool.handed_out(wanted(amount_msat), Duration::ZERO, 600, Instant::now()));
}

/// Makes what the pool plans, numbered from `n` on; how many that were.
fn fill(pool: &mut Pool, n: u32) -> u32 {
    let mut made = 0;
    loop {
        let plan = pool.plan(Instant::now(), 0);
        for wanted in plan.make {
            pool.made(&wanted, invoice(n + made), Instant::now(), 0).unwrap();
            made += 1;
        }
        if !plan.more {
            return made;
        }
    }
}

fn take(pool: &mut Pool, amount_msat: u64) -> Option<PaymentHash> {
    pool.take(&wanted(amount_msat), Instant::now(), 0).map(|ready| ready.payment_hash)
}

#[tokio::test(start_paused = true)]
async fn who_is_not_asked_makes_nothing() {
    let mut pool = Pool::new(usize::MAX);
    assert_eq!((pool.due(), pool.plan(Instant::now(), 0)), (None, Plan::default()));
    assert_eq!(take(&mut pool, 1), None);
    asked(&mut pool, 1, 3);
    assert_eq!((pool.due(), fill(&mut pool, 1)), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_ready_oldest_first_and_once() {
    let mut pool = Pool::new(usize::MAX);
    asked(&mut pool, 1, 4);
    assert_eq!(pool.due(), Some(Instant::now()));
    assert_eq!(fill(&mut pool, 1), 4);
    assert_eq!(take(&mut pool, 2), None, "another price");
    let other = Wanted { description: "another path".into(), ..wanted(1) };
    assert_eq!(pool.take(&other, Instant::now(), 0), None);
    let taken: Vec<_> = (0..5).map(|_| take(&mut pool, 1)).collect();
    assert_eq!(taken, [Some(hash(1)), Some(hash(2)), Some(hash(3)), Some(hash(4)), None]);
}

#[tokio::test(start_paused = true)]
async fn an_old_one_is_not_handed_out_but_cancelled() {
    let mut pool = Pool::new(usize::MAX);
    asked(&mut pool, 1, 100);
    assert_eq!(fill(&mut pool, 1), 100);
    let life = Duration::from_secs(SHELF_LIFE_S.into());
    assert_eq!(pool.due(), Some(Instant::now() + life));
    advance(life - Duration::from_millis(1)).await;
    assert_eq!(take(&mut pool, 1), Some(hash(1)));
    advance(Duration::from_millis(1)).await;
    assert_eq!(take(&mut pool, 1), None);
    let plan = pool.plan(Instant::now(), 0);
    assert_eq!(plan.cancel, (2..=100).map(hash).collect::<Vec<_>>());
    assert_eq!((plan.make.len(), pool.len()), (8, 0), "a handful is left of the demand");
}

/// Those of a wallet that chooses a shorter life are kept until two minutes are left.
#[tokio::test(start_paused = true)]
async fn a_client_has_two_minutes_by_the_clock_of_the_invoice() {
    let mut pool = Pool::new(usize::MAX);
    asked(&mut pool, 1, 4);
    let now = Instant::now();
    let plan = pool.plan(now, 0);
    let expiring = |n, expires_at| Ready { expires_at, ..invoice(n) };
    let keep = |pool: &mut Pool, at: usize, invoice| pool.made(&plan.make[at], invoice, now, 1000);
    assert_eq!(keep(&mut pool, 1, expiring(2, 1600)), Ok(()));
    assert_eq!(keep(&mut pool, 2, expiring(3, 2300)), Ok(()));
    assert_eq!(pool.due(), Some(now + Duration::from_secs(480)));
    // The machine slept: our own clock stood still.
    let taken = pool.take(&wanted(1), now, 1481).unwrap();
    assert_eq!(taken.payment_hash, hash(3));
    assert_eq!(pool.due(), Some(now + PACE));
    assert_eq!(pool.plan(now, 1481).cancel, [hash(2)]);
}

/// What a client's own invoice shows needs no other one to be tried; what shows otherwise ends it.
#[tokio::test(start_paused = true)]
async fn a_wallet_whose_invoices_are_short_is_remembered() {
    let mut pool = Pool::new(usize::MAX);
    let handed_out = |pool: &mut Pool, life_s| {
        (0..8).for_each(|_| pool.handed_out(wanted(1), Duration::ZERO, life_s, Instant::now()));
    };
    handed_out(&mut pool, 149);
    assert_eq!((pool.due(), fill(&mut pool, 1)), (None, 0));
    handed_out(&mut pool, 150);
    assert_eq!(fill(&mut pool, 1), 16);
    let mut pool = Pool::new(usize::MAX);
    handed_out(&mut pool, 600);
    let plan = pool.plan(Instant::now(), 1000);
    let short = Ready { expires_at: 1149, ..invoice(1) };
    assert_eq!(pool.made(&plan.make[0], short, Instant::now(), 1000), Err(NotKept::TooShort));
    plan.make.iter().skip(1).for_each(|wanted| pool.not_made(wanted));
    assert_eq!(pool.plan(Instant::now(), 1000).make.len(), 0);
    advance(TOO_SHORT).await;
    assert_eq!(pool.plan(Instant::now(), 1000).make.len(), 4, "it may follow what it is asked by now");
}

#[tokio::test(start_paused = true)]
async fn a_wallet_that_wants_few_ahead_has_few() {
    let mut pool = Pool::new(4);
    asked(&mut pool, 1, 100);
    assert_eq!(fill(&mut pool, 1), 4);
}

#[tokio::test(start_paused = true)]
async fn the_second_client_of_a_slow_wallet_does_not_wait() {
    let mut pool = Pool::new(usize::MAX);
    pool.handed_out(wanted(1), Duration::from_secs(8), 600, Instant::now());
    assert_eq!(fill(&mut pool, 1), 1);
    assert_eq!(take(&mut pool, 1), Some(hash(1)));
    assert_eq!(fill(&mut pool, 2), 2, "as many as were handed out");
}

#[tokio::test(start_paused = true)]
async fn a_burst_has_its_end_before_more_is_made() {
    let mut pool = Pool::new(usize::MAX);
    asked(&mut pool, 1, 100);
    assert_eq!(fill(&mut pool, 1), 100);
    take(&mut pool, 1);
    assert_eq!(pool.due(), Some(Instant::now() + CALM));
    (0..80).for_each(|_| assert!(take(&mut pool, 1).is_some()));
    assert_eq!(pool.due(), Some(Instant::now() + PACE), "hardly any is left");
}

#[tokio::test(start_paused = true)]
async fn an_invoice_that_comes_twice_is_kept_once() {
    let mut pool = Pool::new(usize::MAX);
    asked(&mut pool, 1, 4);
    let plan = pool.plan(Instant::now(), 0);
    assert_eq!(pool.made(&plan.make[0], invoice(1), Instant::now(), 0), Ok(()));
    assert_eq!(pool.made(&plan.make[1], invoice(1), Instant::now(), 0), Err(NotKept::Twice));
    assert_eq!((take(&mut pool, 1), take(&mut pool, 1)), (Some(hash(1)), None));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_made_is_planned_again() {
    let mut pool = Pool::new(usize::MAX);
    asked(&mut pool, 1, 4);
    let plan = pool.plan(Instant::now(), 0);
    assert_eq!(pool.plan(Instant::now(), 0), Plan::default(), "these are under way");
    plan.make.iter().for_each(|wanted| pool.not_made(wanted));
    assert_eq!(pool.plan(Instant::now(), 0), plan);
    pool.forget(&wanted(1), Instant::now());
    plan.make.iter().for_each(|wanted| pool.not_made(wanted));
    assert_eq!(pool.plan(Instant::now(), 0), Plan::default());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_who_needs_thousands() {
    let mut pool = Pool::new(usize::MAX);
    asked(&mut pool, 1, 5000);
    asked(&mut pool, 2, 4);
    let plan = pool.plan(Instant::now(), 0);
    assert!(plan.more);
    assert_eq!(plan.make.iter().filter(|made| made.amount_msat == 2).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn there_is_a_most() {
    let mut pool = Pool::new(usize::MAX);
    asked(&mut pool, 1, 20_000);
    assert_eq!(fill(&mut pool, 0) as usize, MOST_OF_ONE);
    asked(&mut pool, 2, 20_000);
    assert_eq!(MOST_OF_ONE + fill(&mut pool, MOST_OF_ONE as u32) as usize, MOST);
    assert_eq!(pool.len(), MOST);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_varies_the_price_fills_nothing() {
    let mut pool = Pool::new(usize::MAX);
    asked(&mut pool, 1, 100);
    for price in 10..20_000 {
        asked(&mut pool, price, 1);
        advance(Duration::from_millis(1)).await;
    }
    assert!(pool.kinds.len() <= KINDS, "{} kinds", pool.kinds.len());
    assert_eq!(pool.kinds.values().filter(|kind| kind.worth(Instant::now()) > 0).count(), 1);
    assert!(pool.kinds.contains_key(&wanted(1)), "what is in demand is remembered");
    // Nor does one that asks for each as often as it takes get more made than it asked for.
    let mut pool = Pool::new(usize::MAX);
    for price in 0..10_000 {
        asked(&mut pool, price, 4);
    }
    assert_eq!(fill(&mut pool, 0) as usize, MOST);
    assert_eq!(pool.kinds.len(), KINDS);
    let long = Wanted { description: "x".repeat(LONGEST_DESCRIPTION + 1), ..wanted(1) };
    let mut pool = Pool::new(usize::MAX);
    pool.handed_out(long, Duration::ZERO, 600, Instant::now());
    assert!(pool.kinds.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_closed_pool_gives_and_takes_nothing() {
    let mut pool = Pool::new(usize::MAX);
    asked(&mut pool, 1, 5);
    assert_eq!(fill(&mut pool, 1), 5);
    take(&mut pool, 1);
    advance(CALM).await;
    let plan = pool.plan(Instant::now(), 0);
    assert!(!plan.make.is_empty());
    let mut left = pool.close();
    left.sort_by_key(|hash| hash.0);
    let mut expected: Vec<_> = (2..=5).map(hash).collect();
    expected.sort_by_key(|hash| hash.0);
    assert_eq!(left, expected, "all but the one that was handed out");
    assert_eq!(pool.made(&plan.make[0], invoice(9), Instant::now(), 0), Err(NotKept::Closed));
    asked(&mut pool, 1, 5);
    assert_eq!((take(&mut pool, 1), pool.due(), pool.len()), (None, None, 0));
}
