//! Tokens of every wallet that is at hand, of every kind, on keyset ids of both versions: what each answers in either mode.

use serde_json::{Value, json};

use super::locked::{OTHER, PRIVATE, PUBLIC, in_seconds};
use super::{PRICE_SAT, assert_refused, pay, site};
use crate::harness::cashu_ts::CashuTs;
use crate::harness::cdk_wallet::CdkWallet;
use crate::harness::mint::{FEES, FREE, OLD, Rig};
use crate::harness::nginx::Nginx;
use crate::harness::stage::Stage;
use crate::harness::wait;

/// In a row: it is served.
const SERVED: &str = "";

/// A kind of token, and its answers: served, or 400 with these words.
struct Row {
    kind: Value,
    plain: &'static str,
    locked: &'static str,
}

fn table() -> Vec<Row> {
    let day = in_seconds(86_400);
    let row = |kind, plain, locked| Row { kind, plain, locked };
    let lock = |tags: Value| json!({"fees": true, "lock": PUBLIC, "tags": tags});
    vec![
        row(json!({"fees": true}), SERVED, "not locked"),
        row(json!({"fees": true, "legacy": true}), SERVED, "not locked"),
        row(json!({"fees": true, "dleq": false}), SERVED, "DLEQ"),
        row(lock(json!([])), "another key", SERVED),
        row(json!({"fees": true, "lock": PUBLIC, "legacy": true}), "another key", SERVED),
        row(json!({"fees": true, "lock": PUBLIC, "dleq": false}), "another key", "DLEQ"),
        row(json!({"fees": true, "lock": OTHER}), "another key", "another key"),
        row(lock(json!([["locktime", day]])), "another key", SERVED),
        row(lock(json!([["locktime", day], ["refund", OTHER]])), "another key", SERVED),
        row(lock(json!([["locktime", in_seconds(-60)]])), "another key", "ends too soon"),
        row(lock(json!([["locktime", in_seconds(-60)], ["refund", OTHER]])), "another key", "ends too soon"),
        row(lock(json!([["pubkeys", OTHER], ["n_sigs", "2"]])), "another key", "leaves it to others"),
    ]
}

pub fn of_nutshell(stage: &Stage) {
    let rig = Rig::shared();
    check(stage, rig, |mint, sat, kind| rig.token_with_secrets(mint, sat, kind.clone()));
}

pub fn of_cashu_ts(stage: &Stage) {
    let rig = Rig::shared();
    let wallet = match CashuTs::start() {
        Ok(wallet) => wallet,
        Err(why) => return stage.skip(why),
    };
    check(stage, rig, |mint, sat, kind| wallet.token(url(rig, mint), sat, kind));
}

pub fn of_cdk(stage: &Stage) {
    let rig = Rig::shared();
    rig.start_old();
    let wallets = [FREE, FEES, OLD].map(|mint| CdkWallet::start(url(rig, mint)));
    check(stage, rig, |mint, sat, kind| wallets[mint].token(sat, kind));
}

fn url(rig: &Rig, mint: usize) -> &str {
    if mint == OLD { &rig.old } else { &rig.urls[mint] }
}

/// Every row of the table, with the ecash of every mint, in both modes; `make` makes a token and tells its secrets.
fn check(stage: &Stage, rig: &Rig, make: impl Fn(usize, u64, &Value) -> (String, Vec<String>)) {
    rig.start_old();
    stage.keep_secret(PRIVATE);
    let mints = [&rig.urls[FREE], &rig.urls[FEES], &rig.old].map(String::as_str).join(",");
    let site = || site(stage, rig).env("CASHU_WHITELISTED_MINTS", &mints).paid("");
    let plain = site().start();
    let locked = site().env("CASHU_P2PK_MODE", "on").env("CASHU_P2PK_PRIVATE_KEY", PRIVATE).start();
    let made = |mint: usize, kind: &Value| {
        let (token, secrets) = make(mint, PRICE_SAT, kind);
        secrets.iter().chain([&token]).for_each(|secret| stage.keep_secret(secret));
        token
    };
    let mut taken = 0;
    for mint in [FREE, FEES, OLD] {
        for Row { kind, plain: in_plain, locked: in_locked } in table() {
            for (nginx, expected) in [(&plain, in_plain), (&locked, in_locked)] {
                let token = made(mint, &kind);
                let answer = pay(nginx, &token);
                if expected != SERVED {
                    assert_refused(&answer, expected);
                    continue;
                }
                assert_eq!(answer.status, 200, "{kind} of mint {mint}: {}", answer.text());
                assert_refused(&pay(nginx, &token), "spent already");
                taken += 1;
            }
        }
        let bare = made(mint, &json!({}));
        if mint == FREE {
            pay(&plain, &bare).expect(200);
            taken += 1;
        } else {
            assert_refused(&pay(&plain, &bare), "worth less than the price, after the mint's fee");
        }
    }
    // What was taken on a signature alone was good at the mint too.
    wait::until("every payment in the wallets", || {
        (in_wallet(&plain) + in_wallet(&locked) == taken).then_some(())
    });
}

/// Payments that were taken and whose ecash the mint has swapped.
fn in_wallet(nginx: &Nginx<'_>) -> i64 {
    let open = rusqlite::Connection::open(nginx.dir().join("state/cashu.db")).unwrap();
    open.query_row("SELECT count(*) FROM l402_payment WHERE state = 2", [], |row| row.get(0)).unwrap()
}
