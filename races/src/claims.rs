//! Draws on one payment: by many at once, given back while others want it, from a store that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use shuttle::rand::Rng;
use tokio::task::yield_now;

use crate::draws::{Draw, Draws, Undrawn};
use crate::schedules::{all, many};
use crate::{BoxFuture, Claim, Claimed, Hash, Model, Rate, RequestId, Settled, Store, StoreError, Taken};

const PAYMENT: Hash = [7; 32];

/// The reference store, between whose steps others go on; it may fail.
#[derive(Default)]
struct Slow {
    model: Model,
    /// Calls that fail before it works, each before or after it was carried out.
    failures: AtomicU32,
}

impl Slow {
    fn fails(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }

    async fn call<T>(&self, carry_out: impl AsyncFnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        yield_now().await;
        let lost = || Err(StoreError::Unavailable("no answer".into()));
        match self.fails() {
            true if shuttle::rand::thread_rng().r#gen() => return lost(),
            true => {
                let _ = carry_out().await;
                return lost();
            }
            false => {}
        }
        carry_out().await
    }
}

impl Store for Slow {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Claimed, StoreError>> {
        Box::pin(self.call(async move || self.model.claim(claim).await))
    }

    fn release(&self, payment_hash: Hash, request: RequestId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.call(async move || self.model.release(payment_hash, request).await))
    }

    fn used(&self, payment_hash: Hash) -> BoxFuture<'_, Result<u32, StoreError>> {
        self.model.used(payment_hash)
    }

    fn settled_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<Settled>, StoreError>> {
        self.model.settled_get(payment_hash)
    }

    fn settled_put(&self, payment_hash: Hash, settled: Settled) -> BoxFuture<'_, Result<(), StoreError>> {
        self.model.settled_put(payment_hash, settled)
    }

    fn rate_take<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Taken> {
        self.model.rate_take(key, rate)
    }

    fn rate_give_back<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, ()> {
        self.model.rate_give_back(key, rate)
    }
}

fn open(failures: u32) -> Arc<Draws> {
    Arc::new(Draws::start(Arc::new(Slow { failures: failures.into(), ..Slow::default() })))
}

fn claim(request: u8, limit: u32) -> Claim {
    Claim { payment_hash: PAYMENT, request: [request; 16], limit, units: 1 }
}

fn undo(draws: &Draws, request: u8) {
    draws.release(Draw { payment_hash: PAYMENT, request: [request; 16] });
}

async fn is_granted(draws: &Draws, request: u8, limit: u32) -> bool {
    matches!(draws.draw(claim(request, limit), None).await, Ok(Claimed::Granted { .. }))
}

/// What comes of so many at once.
async fn at_once(draws: &Arc<Draws>, requests: std::ops::Range<u8>, limit: u32) -> usize {
    let each = |request| {
        let draws = draws.clone();
        tokio::spawn(async move { is_granted(&draws, request, limit).await })
    };
    let mut granted = 0;
    for task in requests.map(each).collect::<Vec<_>>() {
        granted += usize::from(task.await.unwrap());
    }
    granted
}

#[test]
fn copies_at_once_draw_what_was_paid_and_no_more() {
    many(|| async {
        assert_eq!(at_once(&open(0), 0..5, 2).await, 2);
    });
}

#[test]
fn two_copies_in_every_order() {
    all(|| async {
        assert_eq!(at_once(&open(0), 0..2, 1).await, 1);
    });
}

/// A client leaves and comes back at once, on another connection.
#[test]
fn what_is_given_back_is_there_for_who_comes_back() {
    many(|| async {
        let draws = open(0);
        assert!(is_granted(&draws, 1, 1).await);
        undo(&draws, 1);
        assert!(is_granted(&draws, 2, 1).await, "it is told that its payment is used up");
    });
}

/// The client's leaving may be known before its claim is carried out, during that, or after.
#[test]
fn a_client_that_leaves_at_any_moment_loses_nothing() {
    many(|| async {
        let draws = open(0);
        let leaves = draws.clone();
        let drawing = tokio::spawn({
            let draws = draws.clone();
            async move { draws.draw(claim(1, 1), None).await }
        });
        tokio::spawn(async move { undo(&leaves, 1) }).await.unwrap();
        let _ = drawing.await.unwrap();
        draws.settled().await;
        assert!(is_granted(&draws, 2, 1).await, "what was drawn for nobody is lost");
        assert!(!is_granted(&draws, 3, 1).await, "it was given back twice");
    });
}

/// A store whose answers get lost: no answer is no grant, and the next try finds the payment as it was.
#[test]
fn claims_whose_end_is_not_known_are_given_back() {
    many(|| async {
        let draws = open(3);
        let mut granted = 0;
        for request in 0..5 {
            match draws.draw(claim(request, 1), None).await {
                Ok(Claimed::Granted { .. }) => granted += 1,
                Ok(Claimed::UsedUp) => assert_eq!(granted, 1, "used up, and nobody was served"),
                Ok(Claimed::Released) => panic!("a request that was never taken back"),
                Err(Undrawn::Store(StoreError::Unavailable(_))) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(granted, 1);
    });
}

/// The same with others that want it too, some of whom leave.
#[test]
fn a_crowd_a_failing_store_and_clients_that_leave() {
    many(|| async {
        let draws = open(2);
        let crowd = at_once(&draws, 0..3, 2);
        let leaver = tokio::spawn({
            let draws = draws.clone();
            async move {
                let granted = is_granted(&draws, 9, 2).await;
                undo(&draws, 9);
                granted
            }
        });
        let granted = crowd.await;
        leaver.await.unwrap();
        draws.settled().await;
        assert!(granted <= 2);
        let mut left = 0;
        for request in 20..24 {
            left += usize::from(is_granted(&draws, request, 2).await);
        }
        assert_eq!(granted + left, 2, "a unit is lost, or served twice");
    });
}
