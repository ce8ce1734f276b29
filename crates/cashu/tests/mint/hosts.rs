//! Several hosts that share a ledger: what one of them took is no new payment at another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ecash::{AcceptError, Entered, Ledger, LedgerFuture, Paid, Refusal, Till, Unavailable};
use serde_json::json;
use tokio::task::JoinSet;

use crate::rig::{FREE, Rig};
use crate::support::{MINTS, PAYEE, Shop, at_rest, mints, pay, total};

/// A ledger in memory.
#[derive(Default)]
struct Book {
    notes: Mutex<HashMap<String, (String, Option<Duration>)>>,
    /// It does not answer.
    is_away: Mutex<bool>,
}

impl Book {
    fn answer<T>(
        &self,
        act: impl FnOnce(&mut HashMap<String, (String, Option<Duration>)>) -> T,
    ) -> Result<T, String> {
        if *self.is_away.lock().unwrap() {
            return Err("it is away".into());
        }
        Ok(act(&mut self.notes.lock().unwrap()))
    }

    fn set_away(&self, is_away: bool) {
        *self.is_away.lock().unwrap() = is_away;
    }

    /// What is kept for a while only has been out of it since.
    fn expire(&self) {
        self.notes.lock().unwrap().retain(|_, (_, keep)| keep.is_none());
    }

    fn len(&self) -> usize {
        self.notes.lock().unwrap().len()
    }
}

impl Ledger for Book {
    fn enter<'a>(
        &'a self,
        pieces: &'a [String],
        note: &'a str,
        keep: Option<Duration>,
    ) -> LedgerFuture<'a, Entered> {
        let answer = self.answer(|notes| {
            let known: Vec<_> =
                pieces.iter().map(|piece| notes.get(piece).map(|(note, _)| note.clone())).collect();
            match &known[0] {
                first if known.iter().any(|other| other != first) => Entered::Mixed,
                Some(note) => Entered::Known(note.clone()),
                None => {
                    notes.extend(pieces.iter().map(|piece| (piece.clone(), (note.to_owned(), keep))));
                    Entered::New
                }
            }
        });
        Box::pin(async { answer })
    }

    fn confirm<'a>(
        &'a self,
        pieces: &'a [String],
        note: &'a str,
        keep: Option<Duration>,
    ) -> LedgerFuture<'a, ()> {
        let answer = self.answer(|notes| {
            notes.extend(pieces.iter().map(|piece| (piece.clone(), (note.to_owned(), keep))));
        });
        Box::pin(async { answer })
    }

    fn withdraw<'a>(&'a self, pieces: &'a [String], note: &'a str) -> LedgerFuture<'a, ()> {
        let answer = self.answer(|notes| {
            notes.retain(|piece, (known, _)| !pieces.contains(piece) || known != note);
        });
        Box::pin(async { answer })
    }
}

/// Two hosts with this ledger and a wallet each.
async fn hosts(first: &Shop, second: &Shop) -> (Arc<Book>, [Arc<Till>; 2]) {
    let book = Arc::new(Book::default());
    let tills = [open(first, &book).await, open(second, &book).await];
    (book, tills)
}

async fn open(shop: &Shop, book: &Arc<Book>) -> Arc<Till> {
    let mut options = shop.options();
    options.ledger = Some(book.clone());
    Arc::new(Till::open(options).await.unwrap())
}

fn refused(why: Refusal) -> Result<Paid, AcceptError> {
    Err(AcceptError::Refused(why))
}

#[tokio::test(flavor = "multi_thread")]
async fn ecash_is_the_same_payment_at_every_host() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    for is_locked in [false, true] {
        let shop = if is_locked { Shop::locked(rig) } else { Shop::new(rig) };
        let (_, [here, there]) = hosts(&shop, &Shop::of_key(&shop)).await;
        let token = token(rig, &shop, is_locked, 21);
        let paid = pay(&here, &token, 21).await.unwrap();
        for till in [&there, &here, &there] {
            assert_eq!(pay(till, &token, 21).await.unwrap(), paid);
        }
        assert_eq!(
            there.accept(&token, 21_000, [8; 32], PAYEE).await,
            refused(Refusal::Spent),
            "it buys one thing"
        );
        assert_eq!(pay(&there, &token, 22).await, refused(Refusal::Amount));
        let part = rig.reencode(&token, json!({"largest": true}));
        assert_eq!(pay(&there, &part, 1).await, refused(Refusal::Spent), "its proofs pay in no other token");
        at_rest(&here).await;
        assert_eq!((total(&here).await, total(&there).await), (21, 0), "who took it has it");
    }
}

fn token(rig: &Rig, shop: &Shop, is_locked: bool, sat: u64) -> String {
    let kind = if is_locked { json!({"lock": shop.key()}) } else { json!({}) };
    rig.token(FREE, sat, kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_at_all_hosts_at_once_are_one_payment() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    for is_locked in [false, true] {
        let shop = if is_locked { Shop::locked(rig) } else { Shop::new(rig) };
        let (_, tills) = hosts(&shop, &Shop::of_key(&shop)).await;
        let token = token(rig, &shop, is_locked, 33);
        let mut copies = JoinSet::new();
        for number in 0..40 {
            let (till, token) = (tills[number % 2].clone(), token.clone());
            copies.spawn(async move { pay(&till, &token, 33).await });
        }
        let (mut paid, mut others) = (Vec::new(), Vec::new());
        for outcome in copies.join_all().await {
            match outcome {
                Ok(one) => paid.push(one),
                Err(error) => others.push(error),
            }
        }
        assert!(!paid.is_empty() && paid.iter().all(|one| *one == paid[0]));
        // Who comes while another host swaps it is told to come back.
        let come_back = AcceptError::Unavailable(Unavailable::Elsewhere);
        assert!(others.iter().all(|error| *error == come_back && !is_locked), "{others:?}");
        for till in &tills {
            assert_eq!(pay(till, &token, 33).await.unwrap(), paid[0]);
            at_rest(till).await;
        }
        assert_eq!(total(&tills[0]).await + total(&tills[1]).await, 33);
    }
}

/// A host that dies before the swap keeps the ecash from nobody for long; one that the mint refuses, not at all.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_host_was_paid_with_is_open_to_all() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = Shop::new(rig);
    let (book, [here, there]) = hosts(&shop, &Shop::of_key(&shop)).await;
    let known = rig.token(FREE, 4, json!({}));
    for till in [&here, &there] {
        pay(till, &known, 4).await.unwrap();
    }
    let token = rig.token(FREE, 8, json!({}));
    rig.control("stop", FREE);
    assert!(matches!(pay(&here, &token, 8).await, Err(AcceptError::Unavailable(Unavailable::Mint { .. }))));
    drop(here);
    rig.control("start", FREE);
    assert_eq!(pay(&there, &token, 8).await, Err(AcceptError::Unavailable(Unavailable::Elsewhere)));
    book.expire();
    pay(&there, &token, 8).await.unwrap();
    assert_eq!(total(&there).await, 8);

    let entered = book.len();
    let spent = rig.token(FREE, 2, json!({}));
    pay(&Shop::new(rig).open().await, &spent, 2).await.unwrap();
    assert_eq!(pay(&there, &spent, 2).await, refused(Refusal::Spent));
    assert_eq!(book.len(), entered);
}

/// Without the ledger nothing is taken, and nothing is lost: what was swapped meanwhile is a payment afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_ledger_is_away_nothing_is_taken() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    for is_locked in [false, true] {
        let shop = if is_locked { Shop::locked(rig) } else { Shop::new(rig) };
        let (book, [here, there]) = hosts(&shop, &Shop::of_key(&shop)).await;
        let token = token(rig, &shop, is_locked, 16);
        book.set_away(true);
        for till in [&here, &there] {
            let outcome = pay(till, &token, 16).await;
            assert!(matches!(outcome, Err(AcceptError::Unavailable(Unavailable::Ledger(_)))), "{outcome:?}");
        }
        book.set_away(false);
        let paid = pay(&there, &token, 16).await.unwrap();
        // What it has on record of it is the other's now: it sees so before it redeems it.
        drop(here);
        let here = open(&shop, &book).await;
        for till in [&here, &there] {
            at_rest(till).await;
        }
        assert_eq!((total(&here).await, total(&there).await), (0, 16));
        assert_eq!(pay(&here, &token, 16).await.unwrap(), paid);
    }
}
