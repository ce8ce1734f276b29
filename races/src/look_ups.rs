//! The question whether a payment arrived: asked by many, answered late, overtaken by the payment itself.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use l402::PaymentHash;
use shuttle::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::task::yield_now;

use crate::schedules::{all, many};
use crate::turns::Turns;

const PAYMENT: PaymentHash = PaymentHash([7; 32]);

/// A wallet, and what is asked of it. An answer is whether it is paid.
#[derive(Default)]
struct Wallet {
    turns: Turns<bool>,
    /// What the node knows.
    is_paid: AtomicBool,
    /// What was pushed and recorded.
    is_recorded: AtomicBool,
    under_way: AtomicU32,
}

impl Wallet {
    async fn look_up(&self) -> bool {
        assert_eq!(self.under_way.fetch_add(1, Ordering::SeqCst), 0, "two look-ups of one payment at once");
        let _over = Over(&self.under_way);
        yield_now().await;
        let is_paid = self.is_paid.load(Ordering::SeqCst);
        yield_now().await;
        is_paid
    }

    async fn ask(&self) -> bool {
        let recorded = || self.is_recorded.load(Ordering::SeqCst);
        let answer = self.turns.ask(PAYMENT, recorded, admitted(), self.look_up()).await;
        answer.is_none_or(|answer| answer.unwrap_or_else(|never| match never {}))
    }

    fn push(&self) {
        self.is_paid.store(true, Ordering::SeqCst);
        self.is_recorded.store(true, Ordering::SeqCst);
        self.turns.wake(&PAYMENT);
    }
}

async fn admitted() -> Result<(), Infallible> {
    Ok(())
}

/// A look-up may be given up.
struct Over<'a>(&'a AtomicU32);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The node never answers: whoever waits would wait for ever if the push passed by unseen.
#[test]
fn no_push_is_missed() {
    all(|| async {
        let wallet = Arc::new(Wallet::default());
        let waits = tokio::spawn({
            let wallet = wallet.clone();
            async move {
                let recorded = || wallet.is_recorded.load(Ordering::SeqCst);
                wallet.turns.ask(PAYMENT, recorded, admitted(), pending()).await
            }
        });
        wallet.push();
        assert_eq!(waits.await.unwrap(), None);
    });
}

/// Who has paid before it asks is never told "unpaid" by an answer that is older.
#[test]
fn no_answer_is_older_than_its_question() {
    many(|| async {
        let wallet = Arc::new(Wallet::default());
        let pays = wallet.clone();
        let payer = tokio::spawn(async move { pays.is_paid.store(true, Ordering::SeqCst) });
        let asks = |_| {
            let wallet = wallet.clone();
            tokio::spawn(async move {
                let was_paid = wallet.is_paid.load(Ordering::SeqCst);
                let answer = wallet.ask().await;
                assert!(answer || !was_paid, "an answer from before its question");
            })
        };
        for asker in (0..3).map(asks).collect::<Vec<_>>() {
            asker.await.unwrap();
        }
        payer.await.unwrap();
        assert!(wallet.ask().await);
    });
}

/// Those who give up, holding the turn or waiting for it, hold up nobody.
#[test]
fn who_gives_up_holds_up_nobody() {
    many(|| async {
        let wallet = Arc::new(Wallet::default());
        let ask = || {
            let wallet = wallet.clone();
            tokio::spawn(async move { wallet.ask().await })
        };
        let (leaves, stays, late) = (ask(), ask(), ask());
        leaves.abort();
        let pushes = wallet.clone();
        let pusher = tokio::spawn(async move { pushes.push() });
        let _ = leaves.await;
        stays.await.unwrap();
        late.await.unwrap();
        pusher.await.unwrap();
        assert!(wallet.ask().await);
    });
}
