//! The suite that every [`Store`] passes: call [`check`] with a way to make an empty store.
//!
//! ```
//! # use std::sync::Arc;
//! # use store::{Model, Store, conformance};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::check(|| async { Arc::new(Model::new()) as Arc<dyn Store> }).await;
//! # }
//! ```

use std::{future::Future, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use crate::{Claim, Claimed, Hash, Notes, Rate, RequestId, Settled, Store, StoreError, Taken};

/// Runs every check, each on a store of its own.
///
/// # Panics
/// When a check fails: that is how it says so.
pub async fn check<F: Future<Output = Arc<dyn Store>>>(fresh: impl Fn() -> F) {
    draws_up_to_the_limit(&*fresh().await).await;
    counts_by_payment_whatever_the_token(&*fresh().await).await;
    draws_several_units_or_none(&*fresh().await).await;
    a_resend_is_the_same_draw(&*fresh().await).await;
    an_id_serves_one_payment(&*fresh().await).await;
    a_release_gives_back_once(&*fresh().await).await;
    a_released_id_never_draws_again(&*fresh().await).await;
    a_release_may_come_first(&*fresh().await).await;
    used_units_are_told(&*fresh().await).await;
    settlements_stay(&*fresh().await).await;
    parallel_copies_get_one_grant(fresh().await).await;
    parallel_resends_draw_once(fresh().await).await;
    a_dropped_call_is_carried_out_or_not_but_counted(&*fresh().await).await;
    rates_are_kept_by_name(&*fresh().await).await;
}

/// What every [`Notes`] keeps.
///
/// # Panics
/// When a check fails: that is how it says so.
pub async fn check_notes(notes: &dyn Notes) {
    let get = async |n| notes.note_get(hash(n)).await.expect("the store answers");
    let put =
        async |n, text: &str| notes.note_put(hash(n), text.to_owned()).await.expect("the store answers");
    assert_eq!(get(1).await, None);
    put(1, "one, \u{e9}\n\"").await;
    put(2, "").await;
    put(1, "another").await;
    assert_eq!(get(1).await.as_deref(), Some("one, \u{e9}\n\""), "the first one stays");
    assert_eq!(get(2).await.as_deref(), Some(""));
    assert_eq!(get(3).await, None);
}

fn hash(n: u8) -> Hash {
    [n; 32]
}

fn id(n: u32) -> RequestId {
    let mut id = [0x5a; 16];
    id[..4].copy_from_slice(&n.to_le_bytes());
    id
}

fn one(payment: u8, request: u32, limit: u32) -> Claim {
    Claim { payment_hash: hash(payment), request: id(request), limit, units: 1 }
}

async fn claim(store: &dyn Store, claim: Claim) -> Claimed {
    store.claim(claim).await.expect("the store answers")
}

async fn release(store: &dyn Store, payment: u8, request: u32) -> bool {
    store.release(hash(payment), id(request)).await.expect("the store answers")
}

async fn draws_up_to_the_limit(store: &dyn Store) {
    for left in (0..3).rev() {
        assert_eq!(claim(store, one(1, left, 3)).await, Claimed::Granted { remaining: left });
    }
    assert_eq!(claim(store, one(1, 9, 3)).await, Claimed::UsedUp);
    assert_eq!(claim(store, one(2, 10, 1)).await, Claimed::Granted { remaining: 0 }, "another payment");
    assert_eq!(claim(store, one(3, 11, 0)).await, Claimed::UsedUp, "a limit of nothing");
}

async fn counts_by_payment_whatever_the_token(store: &dyn Store) {
    assert_eq!(claim(store, one(1, 1, 5)).await, Claimed::Granted { remaining: 4 });
    assert_eq!(claim(store, one(1, 2, 1)).await, Claimed::UsedUp, "a narrowed copy of the token");
    assert_eq!(claim(store, one(1, 3, 2)).await, Claimed::Granted { remaining: 0 });
    assert_eq!(claim(store, one(1, 4, 5)).await, Claimed::Granted { remaining: 2 });
}

async fn draws_several_units_or_none(store: &dyn Store) {
    let draw = |request, units| Claim { units, ..one(1, request, 5) };
    assert_eq!(claim(store, draw(1, 3)).await, Claimed::Granted { remaining: 2 });
    assert_eq!(claim(store, draw(2, 3)).await, Claimed::UsedUp);
    assert_eq!(claim(store, draw(3, u32::MAX)).await, Claimed::UsedUp);
    assert_eq!(claim(store, draw(4, 2)).await, Claimed::Granted { remaining: 0 });
    assert!(release(store, 1, 1).await);
    assert_eq!(claim(store, draw(5, 3)).await, Claimed::Granted { remaining: 0 });
}

async fn a_resend_is_the_same_draw(store: &dyn Store) {
    assert_eq!(claim(store, one(1, 1, 2)).await, Claimed::Granted { remaining: 1 });
    assert_eq!(claim(store, one(1, 2, 2)).await, Claimed::Granted { remaining: 0 });
    for _ in 0..3 {
        assert_eq!(claim(store, one(1, 1, 2)).await, Claimed::Granted { remaining: 1 });
    }
    assert_eq!(claim(store, one(1, 3, 2)).await, Claimed::UsedUp);
}

/// The same id at another payment is either noticed, or a draw of its own: never a grant that nothing paid for.
async fn an_id_serves_one_payment(store: &dyn Store) {
    claim(store, one(1, 1, 1)).await;
    let drawn = match store.claim(one(2, 1, 2)).await {
        Err(StoreError::RequestReused) => 0,
        Ok(Claimed::Granted { remaining: 1 }) => 1,
        other => panic!("{other:?}"),
    };
    assert_eq!(claim(store, one(2, 2, 2)).await, Claimed::Granted { remaining: 1 - drawn });
    assert_eq!(claim(store, one(1, 3, 1)).await, Claimed::UsedUp);
}

async fn a_release_gives_back_once(store: &dyn Store) {
    claim(store, one(1, 1, 1)).await;
    assert!(release(store, 1, 1).await);
    assert!(!release(store, 1, 1).await, "only once");
    assert_eq!(claim(store, one(1, 2, 1)).await, Claimed::Granted { remaining: 0 });
    assert!(!release(store, 1, 1).await, "another's draw is not given back");
    assert_eq!(claim(store, one(1, 3, 1)).await, Claimed::UsedUp);
    assert!(!release(store, 1, 3).await, "it drew nothing");
    assert_eq!(claim(store, one(1, 4, 1)).await, Claimed::UsedUp);
}

async fn a_released_id_never_draws_again(store: &dyn Store) {
    claim(store, one(1, 1, 1)).await;
    release(store, 1, 1).await;
    assert_eq!(claim(store, one(1, 1, 1)).await, Claimed::Released);
    assert_eq!(claim(store, one(1, 2, 1)).await, Claimed::Granted { remaining: 0 });
}

async fn a_release_may_come_first(store: &dyn Store) {
    assert!(!release(store, 1, 1).await);
    assert_eq!(claim(store, one(1, 1, 1)).await, Claimed::Released);
    assert_eq!(claim(store, one(1, 2, 1)).await, Claimed::Granted { remaining: 0 });
}

async fn used_units_are_told(store: &dyn Store) {
    let used = async |n| store.used(hash(n)).await.expect("the store answers");
    assert_eq!(used(1).await, 0);
    claim(store, one(1, 1, 3)).await;
    claim(store, one(1, 2, 3)).await;
    assert_eq!((used(1).await, used(2).await), (2, 0));
    release(store, 1, 1).await;
    assert_eq!(used(1).await, 1);
    assert_eq!(claim(store, one(1, 3, 3)).await, Claimed::Granted { remaining: 1 }, "asking draws nothing");
}

async fn settlements_stay(store: &dyn Store) {
    let get = async |n| store.settled_get(hash(n)).await.expect("the store answers");
    let put = async |n, preimage, received_msat, at| {
        let settled = Settled { preimage, received_msat, at };
        store.settled_put(hash(n), settled).await.expect("the store answers");
    };
    assert_eq!(get(1).await, None);
    put(1, None, 10_000, 100).await;
    put(2, Some([3; 32]), u64::MAX >> 1, 100).await;
    put(1, Some([2; 32]), 1, 200).await;
    put(1, Some([9; 32]), 2, 300).await;
    put(1, None, 3, 400).await;
    assert_eq!(get(1).await, Some(Settled { preimage: Some([2; 32]), received_msat: 10_000, at: 100 }));
    let second = Settled { preimage: Some([3; 32]), received_msat: u64::MAX >> 1, at: 100 };
    assert_eq!(get(2).await, Some(second));
    assert_eq!(get(3).await, None);
}

async fn parallel_copies_get_one_grant(store: Arc<dyn Store>) {
    let mut copies = JoinSet::new();
    for n in 0..200 {
        let store = store.clone();
        copies.spawn(async move { claim(&*store, one(1, n, 1)).await });
    }
    let answers = copies.join_all().await;
    assert_eq!(answers.iter().filter(|a| matches!(a, Claimed::Granted { .. })).count(), 1);
    assert_eq!(answers.iter().filter(|a| **a == Claimed::UsedUp).count(), 199);
}

async fn parallel_resends_draw_once(store: Arc<dyn Store>) {
    let mut copies = JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        copies.spawn(async move { claim(&*store, one(1, 7, 2)).await });
    }
    for answer in copies.join_all().await {
        assert_eq!(answer, Claimed::Granted { remaining: 1 });
    }
    assert_eq!(claim(&*store, one(1, 8, 2)).await, Claimed::Granted { remaining: 0 });
}

async fn a_dropped_call_is_carried_out_or_not_but_counted(store: &dyn Store) {
    drop(store.claim(one(1, 1, 1)));
    release(store, 1, 1).await;
    assert_eq!(claim(store, one(1, 2, 1)).await, Claimed::Granted { remaining: 0 });
}

async fn rates_are_kept_by_name(store: &dyn Store) {
    // A window that no test outlives, so that none of it comes back meanwhile.
    let (rate, other) = (Rate { limit: 3, window: Duration::from_secs(36_000) }, "/a 192.0.2.2");
    for _ in 0..3 {
        assert_eq!(store.rate_take("/a 192.0.2.1", rate).await, Taken::Passed);
    }
    for _ in 0..2 {
        let Taken::Limited { retry_after } = store.rate_take("/a 192.0.2.1", rate).await else {
            panic!("beyond the rate")
        };
        assert!((11_000..=12_000).contains(&retry_after.as_secs()), "{retry_after:?}");
    }
    assert_eq!(store.rate_take(other, rate).await, Taken::Passed);
    // What is given back can be taken once more.
    store.rate_give_back("/a 192.0.2.1", rate).await;
    assert_eq!(store.rate_take("/a 192.0.2.1", rate).await, Taken::Passed);
    assert!(matches!(store.rate_take("/a 192.0.2.1", rate).await, Taken::Limited { .. }));
    store.rate_give_back("/nobody", rate).await;
    // A short one is soon over.
    let short = Rate { limit: 1, window: Duration::from_millis(20) };
    assert_eq!(store.rate_take("/b 192.0.2.1", short).await, Taken::Passed);
    while store.rate_take("/b 192.0.2.1", short).await != Taken::Passed {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
