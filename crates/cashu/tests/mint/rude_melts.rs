//! Paying out through a mint that misbehaves: nothing is paid twice, nothing is lost, and what can be paid is paid.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ecash::{Balance, MeltError, MeltTerms, Redeemed, Till, Unavailable};
use serde_json::{Value, json};

use crate::melted::{Other, paid_out};
use crate::rig::{FEES, FREE, Rig};
use crate::rude_mint::{Act, Answer, RudeMint};
use crate::support::{MINTS, PAYEE, Shop, mints, pay, pay_in_the_end};

async fn redeem(till: &Till, rig: &Rig) -> Redeemed {
    let done = till.redeem(&MeltTerms::default(), &Other { rig, number: FEES }).await.unwrap();
    let mine = done.into_iter().find(|done| done.payee == PAYEE);
    mine.expect("something is owed")
}

async fn balance(till: &Till) -> Balance {
    till.balance().await.unwrap().remove(0)
}

fn sums_up(balance: &Balance) -> u64 {
    balance.wallet_sat + balance.redeemed_sat + balance.redemption_fees_sat
}

/// How a mint refuses requests of more than `at_most` proofs.
fn takes(proxy: &RudeMint, at_most: usize, answer: Answer) {
    proxy.rule(move |asked| if asked.inputs() > at_most { Act::Answer(answer.clone()) } else { Act::Pass });
}

/// The wallet has more proofs than the mint takes at once: they are swapped for fewer and paid out in one payment.
#[tokio::test(flavor = "multi_thread")]
async fn more_proofs_than_the_mint_takes_are_paid_out() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    for answer in [
        Answer::error(11014, "Maximum inputs exceeded"),
        Answer::html(413),
        Answer::error(0, "ensure this value has at most 1000 items"),
    ] {
        let (proxy, shop) = Shop::behind(rig, FREE, false);
        let till = shop.open().await;
        let mut paid_in = 0;
        for _ in 0..45 {
            // Three proofs each: 4, 2, 1.
            pay_in_the_end(&till, &shop.token(rig, FREE, &proxy, 7, json!({})), 7).await;
            paid_in += 7;
        }
        let proofs = "SELECT count(*) FROM proof WHERE state = 'UNSPENT'";
        assert_eq!(shop.number(proofs), 135);
        takes(&proxy, 90, answer);
        let (count, amount) = paid_out(rig, FREE);
        let done = redeem(&till, rig).await;
        assert_eq!(done.error, None);
        let after = balance(&till).await;
        assert_eq!(sums_up(&after), paid_in);
        assert!(after.wallet_sat < 10, "{after:?}");
        let (melts, sum) = paid_out(rig, FREE);
        assert_eq!((melts, sum), (count + 1, amount + done.paid_sat), "one payment");
    }
}

/// The first request to pay is not answered, the next is refused for its size: the first would be, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_too_large_does_not_wait_for_its_quotes_end() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let (proxy, shop) = Shop::behind(rig, FREE, false);
    let till = shop.open().await;
    for _ in 0..8 {
        pay_in_the_end(&till, &shop.token(rig, FREE, &proxy, 7, json!({})), 7).await;
    }
    proxy.answer("/v1/melt/bolt11", Answer::html(502));
    let done = redeem(&till, rig).await;
    assert!(matches!(done.error, Some(MeltError::Unavailable(_))), "{done:?}");
    takes(&proxy, 12, Answer::error(11014, "Maximum inputs exceeded"));
    let done = redeem(&till, rig).await;
    assert!(done.error.is_none() && done.paid_sat > 40, "{done:?}");
    assert_eq!(sums_up(&balance(&till).await), 56);
}

/// Whatever is answered in the mint's place, in whatever step: the ecash is where it was, or paid out once.
#[tokio::test(flavor = "multi_thread")]
async fn a_payout_outlives_every_answer_that_is_not_the_mints() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let (proxy, shop) = Shop::behind(rig, FREE, false);
    let till = shop.open().await;
    let mut paid_in = 0;
    for path in ["/v1/melt/quote/bolt11", "/v1/melt/bolt11", "/v1/checkstate", "/v1/restore", "/v1/"] {
        for (status, acts) in [(403, false), (404, true), (429, false), (405, true), (200, true), (500, true)]
        {
            let token = shop.token(rig, FREE, &proxy, 40, json!({}));
            pay_in_the_end(&till, &token, 40).await;
            paid_in += 40;
            let answer = Answer::html(status);
            proxy.rule(move |asked| match asked.path.starts_with(path) {
                true if acts => Act::Replace(answer.clone()),
                true => Act::Answer(answer.clone()),
                false => Act::Pass,
            });
            let done = redeem(&till, rig).await;
            assert!(!matches!(done.error, Some(MeltError::Refused { .. })), "{path} {status}: {done:?}");
            proxy.polite();
            // What is under way ends, and the rest is paid out.
            let end = async {
                while let Some(error) = redeem(&till, rig).await.error {
                    let waits = matches!(
                        error,
                        MeltError::UnderWay { .. } | MeltError::Unavailable(Unavailable::Mint { .. })
                    );
                    assert!(waits, "{path} {status}: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(180), end).await.expect("an end");
            let after = balance(&till).await;
            assert_eq!(sums_up(&after), paid_in, "{path} {status}: {after:?}");
            assert!(after.wallet_sat < 20, "{path} {status}: {after:?}");
        }
    }
    let open = "SELECT count(*) FROM l402_melt WHERE open = 1";
    assert_eq!(shop.number(open), 0);
}

/// A mint of which nothing is heard is asked once for all payees; one whose melts alone fail keeps no payee from another's turn.
#[tokio::test(flavor = "multi_thread")]
async fn one_payee_waits_for_no_other() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let (proxy, mut shop) = Shop::behind(rig, FREE, false);
    let till = shop.open().await;
    for payee in ["alice", "bob", "carol"] {
        let token = shop.token(rig, FREE, &proxy, 50, json!({}));
        till.accept(&token, 50_000, crate::support::BOUGHT, payee).await.unwrap();
    }
    drop(till);
    shop.deadline = Duration::from_secs(1);
    let till = Till::at_rest(shop.options()).await.unwrap();
    let quotes = Arc::new(AtomicUsize::new(0));
    let asked_for = quotes.clone();
    proxy.rule(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        // The first quote only.
        ("POST", "/v1/melt/quote/bolt11") if asked_for.fetch_add(1, Ordering::SeqCst) == 0 => {
            Act::Answer(Answer::html(403))
        }
        _ => Act::Pass,
    });
    let other = Other { rig, number: FEES };
    let done = till.redeem(&MeltTerms::default(), &other).await.unwrap();
    let of = |payee: &str| done.iter().find(|done| done.payee == payee).unwrap();
    assert!(
        of("alice").error.is_some() && of("bob").error.is_none() && of("carol").error.is_none(),
        "{done:?}"
    );
    let token = shop.token(rig, FREE, &proxy, 50, json!({}));
    till.accept(&token, 50_000, crate::support::BOUGHT, "bob").await.unwrap();
    proxy.rule(|_| Act::Hang);
    let before = proxy.count("/");
    let done = till.redeem(&MeltTerms::default(), &other).await.unwrap();
    let failed = done.iter().filter(|done| done.error.is_some()).count();
    assert!(failed >= 2 && proxy.count("/") <= before + 2, "{done:?}");
}

/// Somebody who has a copy of the wallet spends some of the small proofs that are swapped for fewer: the others are paid out.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_proofs_that_are_gone_ends() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let (proxy, shop) = Shop::behind(rig, FREE, false);
    let till = shop.open().await;
    for _ in 0..8 {
        pay(&till, &shop.token(rig, FREE, &proxy, 7, json!({})), 7).await.unwrap();
    }
    drop(till);
    let thief = shop.copy();
    let stolen = Till::at_rest(thief.options()).await.unwrap();
    let few = MeltTerms { max_proofs: 4, ..MeltTerms::default() };
    // The four largest proofs, once.
    let once = AtomicUsize::new(0);
    struct Once<'a>(Other<'a>, &'a AtomicUsize);
    impl ecash::Invoices for Once<'_> {
        fn invoice<'a>(&'a self, payee: &'a str, amount_msat: u64) -> ecash::InvoiceFuture<'a> {
            if self.1.fetch_add(1, Ordering::SeqCst) > 0 {
                return Box::pin(async { Err("no more".to_owned()) });
            }
            self.0.invoice(payee, amount_msat)
        }
    }
    let done = stolen.redeem(&few, &Once(Other { rig, number: FEES }, &once)).await.unwrap();
    assert!(done[0].paid_sat > 0, "{done:?}");
    takes(&proxy, 12, Answer::error(11014, "Maximum inputs exceeded"));
    let till = Till::at_rest(shop.options()).await.unwrap();
    let end = async {
        loop {
            let done = redeem(&till, rig).await;
            if done.error.is_none() {
                return;
            }
            assert!(!matches!(done.error, Some(MeltError::Unavailable(_))), "{done:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(180), end).await.expect("an end");
    let after = balance(&till).await;
    assert!(after.wallet_sat < 10 && after.redeemed_sat > 30, "{after:?}");
    let open: Value = json!([
        shop.number("SELECT count(*) FROM l402_exchange WHERE open = 1"),
        shop.number("SELECT count(*) FROM l402_melt WHERE open = 1")
    ]);
    assert_eq!(open, json!([0, 0]));
}
