//! The wallet's file is lost, its words are not: the mints give back what is not spent.

use ecash::{Balance, MeltTerms, Restored, SeedSource, Till};
use serde_json::json;

use crate::melted::Other;
use crate::rig::{FEES, FREE};
use crate::support::{MINTS, Shop, mints, pay, total};

async fn restored(till: &Till) -> Vec<Restored> {
    let all = till.restore().await.unwrap();
    assert!(all.iter().all(|mint| mint.errors.is_empty()), "{all:?}");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_there_comes_back_once_and_the_wallet_goes_on() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let shop = Shop::new(rig);
    let till = shop.open().await;
    // More than one lot of outputs, at two mints; and some that is spent, of the first alone.
    for sat in (0..30).map(|number| 31 + number) {
        pay(&till, &rig.token(FREE, sat, json!({})), sat).await.unwrap();
    }
    for sat in [40, 37] {
        pay(&till, &rig.token(FEES, sat, json!({"fees": true})), sat).await.unwrap();
    }
    let terms = MeltTerms { max_proofs: 3, min_balance_sat: 90, ..MeltTerms::default() };
    let paid = till.redeem(&terms, &Other { rig, number: FEES }).await.unwrap();
    assert!(paid.iter().all(|done| done.error.is_none()) && paid[0].paid_sat > 0, "{paid:?}");
    let before = total(&till).await;
    let by_mint = |mut all: Vec<Balance>| {
        all.sort_by(|one, other| one.mint.cmp(&other.mint));
        all
    };
    let read = Balance::read(&shop.database()).unwrap();
    assert_eq!(by_mint(read), by_mint(till.balance().await.unwrap()));
    drop(till);

    shop.lose_the_file();
    let till = Till::at_rest(shop.options()).await.unwrap();
    assert_eq!(total(&till).await, 0);
    let found = restored(&till).await;
    assert_eq!(found.iter().map(|mint| mint.restored_sat).sum::<u64>(), before, "{found:?}");
    assert_eq!(total(&till).await, before);
    let again = restored(&till).await;
    assert!(again.iter().all(|mint| mint.restored_sat == 0), "{again:?}");
    assert_eq!(again.iter().map(|mint| mint.known_sat).sum::<u64>(), before);
    assert_eq!(total(&till).await, before);
    // New payments get outputs that were never signed, and what came back is good.
    pay(&till, &rig.token(FREE, 40, json!({})), 40).await.unwrap();
    assert_eq!(total(&till).await, before + 40);
    // The first mint's alone, of what nobody is on record for: the other's is too little.
    let terms = MeltTerms { min_balance_sat: 75, ..terms };
    let done = till.redeem(&terms, &Other { rig, number: FEES }).await.unwrap();
    assert!(
        done.iter().all(|done| done.error.is_none()) && done.iter().any(|done| done.paid_sat > 0),
        "{done:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_that_are_taken_meanwhile_keep_their_payee() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let shop = Shop::new(rig);
    let till = shop.open().await;
    pay(&till, &rig.token(FREE, 64, json!({})), 64).await.unwrap();
    drop(till);
    shop.lose_the_file();
    // It runs on an empty wallet: what is lost is not in its way.
    let till = shop.open().await;
    let tokens: Vec<_> = (0..12).map(|_| rig.token(FREE, 21, json!({}))).collect();
    let other = Till::at_rest(shop.options()).await.unwrap();
    let paying = async {
        let mut taken = 0;
        for token in &tokens {
            // Outputs that were signed before may be too many in a row.
            taken += if pay(&till, token, 21).await.is_ok() { 21 } else { 0 };
        }
        taken
    };
    let (taken, _) = tokio::join!(paying, restored(&other));
    restored(&other).await;
    let found = Balance::read(&shop.database()).unwrap().remove(0);
    assert_eq!(found.payees.get(crate::support::PAYEE), (taken > 0).then_some(&taken));
    assert_eq!((found.wallet_sat, found.payees.get("")), (64 + taken, Some(&64)));
}

#[tokio::test]
async fn words_that_are_not_there_are_not_made_up() {
    let dir = tempfile::tempdir().unwrap();
    let Some(rig) = mints() else { return };
    let mut options = Shop::new(rig).options();
    let words = dir.path().join("cashu.mnemonic");
    options.seed = SeedSource::Kept(words.clone());
    options.database = dir.path().join("cashu.db");
    let error = Till::at_rest(options.clone()).await.err().unwrap().to_string();
    assert!(error.contains("no ecash mnemonic") && !words.exists() && !options.database.exists(), "{error}");
    let error = Balance::read(&options.database).unwrap_err().to_string();
    assert!(error.contains("there is no ecash wallet"), "{error}");
}
