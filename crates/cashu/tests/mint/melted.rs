//! Paying out over Lightning: the sums, what is left behind when it fails, and a kill at each step.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ecash::{
    Balance, InvoiceFuture, Invoices, MeltError, MeltTerms, Options, Redeemed, SeedSource, Terms, Till,
};
use serde_json::json;

use crate::rig::{FEES, FREE, Rig};
use crate::steps::{self, Step};
use crate::support::{BOUGHT, MINTS, PAYEE, Shop, mints, pay};

/// Invoices of the other mint's wallet.
pub struct Other<'a> {
    pub rig: &'a Rig,
    pub number: usize,
}

impl Invoices for Other<'_> {
    fn invoice<'a>(&'a self, _: &'a str, amount_msat: u64) -> InvoiceFuture<'a> {
        let ask = json!({"do": "invoice", "mint": self.number, "amount": amount_msat / 1000});
        Box::pin(async move { Ok(self.rig.ask(&ask)["invoice"].as_str().unwrap().to_owned()) })
    }
}

/// Invoices written down beforehand, for the process that is killed: one for each amount.
struct Written(Vec<(u64, String)>);

impl Invoices for Written {
    fn invoice<'a>(&'a self, _: &'a str, amount_msat: u64) -> InvoiceFuture<'a> {
        let found = self.0.iter().find(|(amount, _)| *amount == amount_msat).map(|(_, text)| text.clone());
        Box::pin(async move { found.ok_or_else(|| format!("none over {amount_msat} msat")) })
    }
}

fn only(rig: &Rig, number: usize) -> Shop {
    let mut shop = Shop::new(rig);
    shop.terms.mints = [rig.urls[number].parse().unwrap()].into_iter().collect();
    shop
}

/// Pays out what is [`PAYEE`]'s of the one mint.
async fn redeem(till: &Till, terms: &MeltTerms, invoices: &dyn Invoices) -> Redeemed {
    let nothing =
        Redeemed { mint: String::new(), payee: PAYEE.into(), paid_sat: 0, fees_sat: 0, error: None };
    let mut done = till.redeem(terms, invoices).await.unwrap();
    assert!(done.len() < 2 && done.iter().all(|done| done.payee == PAYEE), "{done:?}");
    done.pop().unwrap_or(nothing)
}

async fn balance(till: &Till) -> Balance {
    till.balance().await.unwrap().pop().unwrap()
}

/// Redeems until nothing is under way, and says what was paid out, in sat. A mint that comes up looks at what is pending
/// itself, and what is asked of it meanwhile may fail; it may also still be at the request of a process that died.
async fn until_done(till: &Till, other: &Other<'_>) -> u64 {
    let end = Instant::now() + Duration::from_secs(120);
    let mut paid = 0;
    loop {
        let done = redeem(till, &MeltTerms::default(), other).await;
        paid += done.paid_sat;
        match done.error {
            None => return paid,
            Some(MeltError::UnderWay { .. } | MeltError::Unavailable(_)) if Instant::now() < end => {
                tokio::task::yield_now().await;
            }
            Some(error) => panic!("{error}"),
        }
    }
}

/// What the mint has paid, by its own books: how many invoices, and over how much.
pub fn paid_out(rig: &Rig, number: usize) -> (u64, u64) {
    let found = rig.ask(&json!({"do": "paid_out", "mint": number}));
    (found["count"].as_u64().unwrap(), found["amount"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paid_out_what_it_costs_and_what_is_left_add_up() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    for (number, other) in [(FREE, FEES), (FEES, FREE)] {
        let shop = only(rig, number);
        let till = shop.open().await;
        let mut paid_in = 0;
        for sat in [100, 37, 64] {
            pay(&till, &rig.token(number, sat, json!({"fees": true})), sat).await.unwrap();
            paid_in += sat;
        }
        let before = balance(&till).await;
        assert!(before.wallet_sat >= paid_in);
        let (count, amount) = paid_out(rig, number);
        let done = redeem(&till, &MeltTerms::default(), &Other { rig, number: other }).await;
        assert_eq!(done.error, None);
        let after = balance(&till).await;
        assert_eq!(after.redeemed_sat, done.paid_sat);
        assert_eq!(after.wallet_sat + done.paid_sat + done.fees_sat, before.wallet_sat);
        assert_eq!(paid_out(rig, number), (count + 1, amount + done.paid_sat));
        assert!(after.wallet_sat < 10, "the change is less than what is worth paying out");
        // Too little is left for another.
        let again = redeem(&till, &MeltTerms::default(), &Other { rig, number: other }).await;
        assert_eq!((again.paid_sat, again.error), (0, None));
        // The change is good ecash of the wallet's: with more it is paid out too.
        pay(&till, &rig.token(number, 50, json!({"fees": true})), 50).await.unwrap();
        let again = redeem(&till, &MeltTerms::default(), &Other { rig, number: other }).await;
        assert!(again.error.is_none() && again.paid_sat > 40, "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_are_paid_out_in_several_melts_if_one_may_take_only_so_many() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = only(rig, FREE);
    let till = shop.open().await;
    pay(&till, &rig.token(FREE, 255, json!({})), 255).await.unwrap();
    let (count, _) = paid_out(rig, FREE);
    let terms = MeltTerms { max_proofs: 2, ..MeltTerms::default() };
    let done = redeem(&till, &terms, &Other { rig, number: FEES }).await;
    assert_eq!(done.error, None);
    assert!(paid_out(rig, FREE).0 > count + 1);
    assert_eq!(balance(&till).await.wallet_sat + done.paid_sat + done.fees_sat, 255);
}

/// Makes invoices, and writes down whose.
struct Noted<'a> {
    rig: &'a Rig,
    asked: Mutex<Vec<(String, u64)>>,
    /// Whose wallet is away.
    away: &'static str,
}

impl<'a> Noted<'a> {
    fn new(rig: &'a Rig, away: &'static str) -> Self {
        Self { rig, asked: Mutex::default(), away }
    }

    /// The last amount asked for in sat, by payee.
    fn asked(&self) -> BTreeMap<String, u64> {
        self.asked.lock().unwrap().iter().cloned().collect()
    }
}

impl Invoices for Noted<'_> {
    fn invoice<'a>(&'a self, payee: &'a str, amount_msat: u64) -> InvoiceFuture<'a> {
        if payee == self.away {
            return Box::pin(async { Err("the wallet is away".to_owned()) });
        }
        self.asked.lock().unwrap().push((payee.to_owned(), amount_msat / 1000));
        let other = Other { rig: self.rig, number: FEES };
        Box::pin(async move { other.invoice(payee, amount_msat).await })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_payee_gets_what_is_theirs_and_waits_for_no_other() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = only(rig, FREE);
    let till = shop.open().await;
    for (payee, sat) in [("alice", 64), ("bob", 50), ("alice", 36), ("bob", 10), ("carol", 5)] {
        let token = rig.token(FREE, sat, json!({}));
        till.accept(&token, sat * 1000, BOUGHT, payee).await.unwrap();
    }
    let owed = |till: Balance, payee: &str| till.payees.get(payee).copied().unwrap_or(0);
    let before = balance(&till).await;
    assert_eq!((owed(before.clone(), "alice"), owed(before.clone(), "bob")), (100, 60));
    // While one's wallet is away the others are paid, and nobody gets the other's.
    let noted = Noted::new(rig, "alice");
    let done = till.redeem(&MeltTerms::default(), &noted).await.unwrap();
    let of = |payee: &str| done.iter().find(|done| done.payee == payee).unwrap().clone();
    assert!(matches!(of("alice").error, Some(MeltError::Invoice(_))), "{done:?}");
    assert_eq!((of("bob").error, of("carol").paid_sat), (None, 0));
    assert_eq!(noted.asked(), [("bob".to_owned(), of("bob").paid_sat)].into());
    let after = balance(&till).await;
    assert_eq!((owed(after.clone(), "alice"), owed(after.clone(), "carol")), (100, 5));
    assert_eq!(owed(after, "bob") + of("bob").paid_sat + of("bob").fees_sat, 60);
    drop(till);
    // Who is owed what outlasts a restart; the change is its payee's.
    let till = shop.open().await;
    let noted = Noted::new(rig, "nobody");
    let done = till.redeem(&MeltTerms::default(), &noted).await.unwrap();
    let alice = done.iter().find(|done| done.payee == "alice").unwrap();
    assert_eq!(noted.asked(), [("alice".to_owned(), alice.paid_sat)].into());
    let last = balance(&till).await;
    assert_eq!(owed(last.clone(), "alice") + alice.paid_sat + alice.fees_sat, 100);
    assert_eq!(last.wallet_sat + last.redeemed_sat + last.redemption_fees_sat, 165);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_under_way_holds_up_its_payee_alone() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = only(rig, FREE);
    let till = shop.open().await;
    let token = rig.token(FREE, 90, json!({}));
    till.accept(&token, 90_000, BOUGHT, "alice").await.unwrap();
    restart(rig, json!({"FAKEWALLET_PAY_INVOICE_STATE": "PENDING", "FAKEWALLET_PAYMENT_STATE": "PENDING"}));
    let done = till.redeem(&MeltTerms::default(), &Noted::new(rig, "")).await.unwrap();
    assert!(matches!(done[0].error, Some(MeltError::UnderWay { .. })), "{done:?}");
    let token = rig.token(FREE, 60, json!({}));
    till.accept(&token, 60_000, BOUGHT, "bob").await.unwrap();
    let noted = Noted::new(rig, "");
    let done = till.redeem(&MeltTerms::default(), &noted).await.unwrap();
    assert!(done.len() == 2 && noted.asked().contains_key("bob"), "{done:?}");
    assert_eq!(noted.asked().len(), 1, "alice's is not asked for twice");
    restart(rig, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_payment_leaves_the_ecash_where_it_was() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = only(rig, FREE);
    let till = shop.open().await;
    pay(&till, &rig.token(FREE, 90, json!({})), 90).await.unwrap();
    restart(rig, json!({"FAKEWALLET_PAY_INVOICE_STATE": "FAILED", "FAKEWALLET_PAYMENT_STATE": "FAILED"}));
    let other = Other { rig, number: FEES };
    for _ in 0..2 {
        let done = redeem(&till, &MeltTerms::default(), &other).await;
        assert!(matches!(done.error, Some(MeltError::Refused { .. })), "{done:?}");
        assert_eq!(balance(&till).await.wallet_sat, 90);
    }
    restart(rig, json!({}));
    let done = redeem(&till, &MeltTerms::default(), &other).await;
    assert_eq!(done.error, None);
    assert_eq!(balance(&till).await.wallet_sat + done.paid_sat + done.fees_sat, 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_payment_is_waited_for_and_never_made_twice() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = only(rig, FREE);
    let till = shop.open().await;
    pay(&till, &rig.token(FREE, 90, json!({})), 90).await.unwrap();
    restart(rig, json!({"FAKEWALLET_PAY_INVOICE_STATE": "PENDING", "FAKEWALLET_PAYMENT_STATE": "PENDING"}));
    let (count, amount) = paid_out(rig, FREE);
    let other = Other { rig, number: FEES };
    for _ in 0..2 {
        let done = redeem(&till, &MeltTerms::default(), &other).await;
        assert!(matches!(done.error, Some(MeltError::UnderWay { .. })), "{done:?}");
    }
    drop(till);
    let till = shop.open().await;
    let done = redeem(&till, &MeltTerms::default(), &other).await;
    assert!(matches!(done.error, Some(MeltError::UnderWay { .. })), "{done:?}");
    restart(rig, json!({}));
    let paid = until_done(&till, &other).await;
    assert_eq!(paid_out(rig, FREE), (count + 1, amount + paid));
    let after = balance(&till).await;
    assert_eq!(after.redeemed_sat, paid);
    assert_eq!(after.wallet_sat + after.redeemed_sat + after.redemption_fees_sat, 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_over_another_amount_is_not_paid() {
    struct Wrong<'a>(Other<'a>);
    impl Invoices for Wrong<'_> {
        fn invoice<'a>(&'a self, payee: &'a str, amount_msat: u64) -> InvoiceFuture<'a> {
            self.0.invoice(payee, amount_msat + 1000)
        }
    }
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = only(rig, FREE);
    let till = shop.open().await;
    pay(&till, &rig.token(FREE, 90, json!({})), 90).await.unwrap();
    let done = redeem(&till, &MeltTerms::default(), &Wrong(Other { rig, number: FEES })).await;
    assert!(matches!(done.error, Some(MeltError::Invoice(_))), "{done:?}");
    assert_eq!(balance(&till).await.wallet_sat, 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_copy_of_the_wallet_has_spent_leaves_it_and_is_not_counted_as_paid_out() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    let shop = only(rig, FREE);
    let till = shop.open().await;
    pay(&till, &rig.token(FREE, 90, json!({})), 90).await.unwrap();
    drop(till);
    let copy = shop.copy();
    let other = Other { rig, number: FEES };
    let till = shop.open().await;
    assert_eq!(redeem(&till, &MeltTerms::default(), &other).await.error, None);
    drop(till);
    let (count, amount) = paid_out(rig, FREE);
    let till = copy.open().await;
    let done = redeem(&till, &MeltTerms::default(), &other).await;
    assert!(matches!(done.error, Some(MeltError::Refused { .. })), "{done:?}");
    let after = balance(&till).await;
    assert_eq!((after.wallet_sat, after.redeemed_sat), (0, 0));
    assert_eq!(paid_out(rig, FREE), (count, amount));
    let again = redeem(&till, &MeltTerms::default(), &other).await;
    assert_eq!((again.paid_sat, again.error), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_it_neither_loses_nor_pays_twice() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.write().await;
    for step in Step::ALL {
        let shop = only(rig, FREE);
        let till = shop.open().await;
        pay(&till, &rig.token(FREE, 90, json!({})), 90).await.unwrap();
        drop(till);
        let (count, amount) = paid_out(rig, FREE);
        let other = Other { rig, number: FEES };
        let invoice = other.invoice(PAYEE, 86_000).await.unwrap();
        let options = shop.options();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "melted::the_process_that_is_killed", "--ignored"])
            .env(CHILD, json!([options.database, rig.urls[FREE], invoice, step.message()]).to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let status = child.wait().unwrap();
        assert!(steps::was_killed(status), "{step:?}: {status}");

        let till = shop.open().await;
        let before = balance(&till).await.redeemed_sat;
        let paid = before + until_done(&till, &other).await;
        let after = balance(&till).await;
        assert_eq!(after.redeemed_sat, paid, "{step:?}");
        assert_eq!(after.wallet_sat + after.redeemed_sat + after.redemption_fees_sat, 90, "{step:?}");
        assert_eq!(paid_out(rig, FREE), (count + 1, amount + paid), "{step:?}");
    }
}

const CHILD: &str = "ECASH_TEST_MELT";

/// No test by itself: the other half of the one above.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above, in a process of its own"]
async fn the_process_that_is_killed() {
    let Ok(asked) = std::env::var(CHILD) else { return };
    let (database, mint, invoice, step): (std::path::PathBuf, String, String, String) =
        serde_json::from_str(&asked).unwrap();
    steps::kill_at(step);
    let till = Till::open(Options {
        seed: SeedSource::Kept(database.with_extension("mnemonic")),
        database,
        terms: Terms {
            mints: [mint.parse().unwrap()].into_iter().collect(),
            lock: ecash::Lock::None,
            require_dleq: false,
            format: ecash::RequestFormat::A,
        },
        key: None,
        deadline: Duration::from_secs(120),
        keep_s: 0,
        max_held_sat: 0,
        ledger: None,
    })
    .await
    .unwrap();
    till.redeem(&MeltTerms::default(), &Written(vec![(86_000, invoice)])).await.unwrap();
}

fn restart(rig: &Rig, env: serde_json::Value) {
    rig.control("stop", FREE);
    rig.ask(&json!({"do": "start", "mint": FREE, "env": env}));
}
