//! Standard mode: a token counts once its mint has swapped it.

use ecash::{AcceptError, OpenError, Refusal, SeedSource, Till};
use serde_json::json;

use crate::rig::{FEES, FREE};
use crate::support::{BOUGHT, MINTS, PAYEE, Shop, mints, pay, total};

fn refused(why: Refusal) -> Result<ecash::Paid, AcceptError> {
    Err(AcceptError::Refused(why))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_one_payment_however_it_is_written() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let shop = Shop::new(rig);
    let till = shop.open().await;
    for more in [json!({}), json!({"legacy": true}), json!({"dleq": false})] {
        let before = total(&till).await;
        let token = rig.token(FREE, 21, more);
        let paid = pay(&till, &token, 21).await.unwrap();
        assert_eq!(total(&till).await, before + 21);
        for change in [json!({"legacy": true, "reverse": true}), json!({"memo": "again", "dleq": false})] {
            let again = rig.reencode(&token, change);
            assert_eq!(pay(&till, &again, 21).await.unwrap(), paid);
        }
        assert_eq!(total(&till).await, before + 21);
    }
    // A restart forgets nothing.
    let token = rig.token(FREE, 5, json!({}));
    let paid = pay(&till, &token, 5).await.unwrap();
    drop(till);
    let till = shop.open().await;
    assert_eq!(pay(&till, &token, 5).await.unwrap(), paid);
    assert_eq!(
        till.accept(&token, 5000, [8; 32], PAYEE).await,
        refused(Refusal::Spent),
        "it has bought something else"
    );
    assert_eq!(pay(&till, &token, 6).await, refused(Refusal::Amount));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_copies_at_once_are_one_payment() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let till = std::sync::Arc::new(Shop::new(rig).open().await);
    let token = rig.token(FREE, 33, json!({}));
    let mut copies = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (till, token) = (till.clone(), token.clone());
        copies.spawn(async move { pay(&till, &token, 33).await.unwrap() });
    }
    let paid = copies.join_all().await;
    assert!(paid.iter().all(|one| *one == paid[0]));
    assert_eq!(total(&till).await, 33);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_wallet_make_one_payment() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let shop = Shop::new(rig);
    let (one, other) = (shop.open().await, shop.open().await);
    for _ in 0..5 {
        let token = rig.token(FREE, 7, json!({}));
        let (a, b) = tokio::join!(pay(&one, &token, 7), pay(&other, &token, 7));
        assert_eq!(a.unwrap(), b.unwrap());
    }
    assert_eq!(total(&one).await, 35);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mints_fee_is_the_payers() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let till = Shop::new(rig).open().await;
    let bare = rig.token(FEES, 16, json!({}));
    assert_eq!(pay(&till, &bare, 16).await, refused(Refusal::Amount));
    assert!(pay(&till, &bare, 15).await.is_ok());
    let full = rig.token(FEES, 100, json!({"fees": true}));
    assert!(pay(&till, &full, 100).await.is_ok());
    assert_eq!(total(&till).await, 115);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_is_refused_and_costs_nobody_anything() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let mut shop = Shop::new(rig);
    let till = shop.open().await;
    let good = rig.token(FREE, 8, json!({}));
    let forged = rig.reencode(&good, json!({"forge": true}));
    assert_eq!(pay(&till, &forged, 8).await, refused(Refusal::WrongDleq));
    let forged = rig.reencode(&good, json!({"forge": true, "dleq": false}));
    assert_eq!(pay(&till, &forged, 8).await, refused(Refusal::Invalid));
    let foreign = rig.reencode(&good, json!({"unit": "usd"}));
    assert_eq!(pay(&till, &foreign, 8).await, refused(Refusal::Unit));
    let elsewhere = rig.reencode(&good, json!({"url": "http://127.0.0.1:9/"}));
    assert_eq!(pay(&till, &elsewhere, 8).await, refused(Refusal::Mint));
    let other_keysets = rig.reencode(&good, json!({"url": rig.urls[FEES]}));
    assert_eq!(pay(&till, &other_keysets, 8).await, refused(Refusal::Keyset));
    assert_eq!(pay(&till, &good, 9).await, refused(Refusal::Amount));
    for rubbish in ["", "cashuB", "cashuA", "cashuBo2F0", "lnbc1", &good[..good.len() - 10]] {
        assert_eq!(pay(&till, rubbish, 8).await, refused(Refusal::Malformed), "{rubbish:?}");
    }
    assert!(pay(&till, &good, 8).await.is_ok(), "a refused copy has not hurt it");

    let stolen = rig.token(FREE, 8, json!({}));
    rig.spend(&stolen);
    assert_eq!(pay(&till, &stolen, 8).await, refused(Refusal::Spent));
    let pending = rig.token(FREE, 8, json!({}));
    rig.pend(&pending);
    assert_eq!(pay(&till, &pending, 8).await, refused(Refusal::Pending));
    let locked = rig.token(FREE, 8, json!({"lock": ecash::SecretKey::generate().public_key().to_hex()}));
    assert_eq!(pay(&till, &locked, 8).await, refused(Refusal::LockedToOther));
    assert_eq!(total(&till).await, 8);

    shop.terms.require_dleq = true;
    let strict = shop.open().await;
    let bare = rig.token(FREE, 8, json!({"dleq": false}));
    assert_eq!(pay(&strict, &bare, 8).await, refused(Refusal::NoDleq));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_pays_in_one_token_only() {
    let Some(rig) = mints() else { return };
    let _mints = MINTS.read().await;
    let shop = Shop::locked(rig);
    let till = shop.open().await;
    let lock = json!({"lock": shop.key()});
    let token = rig.token(FREE, 12, lock);
    pay(&till, &token, 12).await.unwrap();
    // 8 of its 12 in another token.
    let part = rig.ask(&json!({"do": "reencode", "token": token, "largest": true}));
    let part = part["token"].as_str().unwrap();
    assert_eq!(pay(&till, part, 8).await, refused(Refusal::Spent));
    assert_eq!(total(&till).await, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_keeps_to_its_mnemonic_and_its_files_to_their_owner() {
    use std::os::unix::fs::MetadataExt;

    let Some(rig) = mints() else { return };
    let shop = Shop::new(rig);
    drop(shop.open().await);
    let SeedSource::Kept(kept) = shop.options().seed else { panic!("{:?}", shop.options().seed) };
    for file in [&kept, &shop.database()] {
        assert_eq!(std::fs::metadata(file).unwrap().mode() & 0o777, 0o600, "{}", file.display());
    }
    let words =
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    let seed = SeedSource::Words(words.to_owned().into());
    assert!(!format!("{seed:?}").contains("abandon"));
    let other = Till::open(ecash::Options { seed, ..shop.options() }).await;
    assert!(matches!(other, Err(OpenError::OtherSeed { .. })));
    let paid = format!("{:?}", ecash::Offered::parse(&rig.token(FREE, 1, json!({}))).unwrap());
    assert!(!paid.contains("secret"), "{paid}");
    let _ = BOUGHT;
}
