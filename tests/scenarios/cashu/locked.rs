//! P2PK mode: ecash that is locked to our key counts at once, with its mint or without.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::{PRICE_SAT, assert_refused, pay, site, token};
use crate::harness::mint::{FREE, Rig};
use crate::harness::site::Site;
use crate::harness::stage::Stage;
use crate::harness::wait::at_once;

/// 7, and the point that belongs to it.
pub const PRIVATE: &str = "0000000000000000000000000000000000000000000000000000000000000007";
pub const PUBLIC: &str = "025cbdf0646e5db4eaa398f365f2ea7a0e3d419b7e0330e39ce92bddedcac4f9bc";
pub const OTHER: &str = "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2";

fn locked_site<'a>(stage: &'a Stage, rig: &Rig) -> Site<'a> {
    stage.keep_secret(PRIVATE);
    site(stage, rig).env("CASHU_P2PK_MODE", "on").env("CASHU_P2PK_PRIVATE_KEY", PRIVATE)
}

pub fn in_seconds(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    now.saturating_add_signed(seconds).to_string()
}

pub fn locked(stage: &Stage) {
    let rig = Rig::shared();
    let nginx = locked_site(stage, rig).paid("").start();
    nginx.get("/paid/a").challenge();
    let day = in_seconds(86_400);
    for tags in [json!([]), json!([["locktime", day]]), json!([["locktime", day], ["refund", OTHER]])] {
        let bought = token(stage, rig, FREE, PRICE_SAT, json!({"lock": PUBLIC, "tags": tags}));
        pay(&nginx, &bought).expect(200);
        assert_refused(&pay(&nginx, &bought), "spent already");
        let again = rig.reencode(&bought, json!({"legacy": true, "reverse": true}));
        assert_refused(&pay(&nginx, &again), "spent already");
    }
}

pub fn refused(stage: &Stage) {
    let rig = Rig::shared();
    let nginx = locked_site(stage, rig).paid("").start();
    let plain = token(stage, rig, FREE, PRICE_SAT, json!({}));
    assert_refused(&pay(&nginx, &plain), "not locked");
    for (lock, tags, why) in [
        (OTHER, json!([]), "another key"),
        (PUBLIC, json!([["locktime", in_seconds(-60)]]), "ends too soon"),
        (PUBLIC, json!([["locktime", in_seconds(60)], ["refund", OTHER]]), "ends too soon"),
        (PUBLIC, json!([["pubkeys", OTHER], ["n_sigs", "2"]]), "leaves it to others"),
        (PUBLIC, json!([["pubkeys", OTHER]]), "leaves it to others"),
    ] {
        let sent = token(stage, rig, FREE, PRICE_SAT, json!({"lock": lock, "tags": tags}));
        assert_refused(&pay(&nginx, &sent), why);
    }
    let good = token(stage, rig, FREE, PRICE_SAT, json!({"lock": PUBLIC}));
    assert_refused(&pay(&nginx, &rig.reencode(&good, json!({"dleq": false}))), "DLEQ");
    assert_refused(&pay(&nginx, &rig.reencode(&good, json!({"forge": true}))), "does not verify");
    pay(&nginx, &good).expect(200);
}

/// Each host has a key of its own: what is locked to one is nothing to another.
pub fn another_host(stage: &Stage) {
    let rig = Rig::shared();
    let here = locked_site(stage, rig).paid("").start();
    let key = format!("{:064x}", 8);
    stage.keep_secret(&key);
    let there = site(stage, rig)
        .env("CASHU_P2PK_MODE", "on")
        .env("CASHU_P2PK_PRIVATE_KEY", &key)
        .workers(2)
        .paid("")
        .start();
    let bought = token(stage, rig, FREE, PRICE_SAT, json!({"lock": PUBLIC}));
    assert_refused(&pay(&there, &bought), "another key");
    pay(&here, &bought).expect(200);
    assert_refused(&pay(&there, &bought), "another key");
}

pub fn race(stage: &Stage) {
    let rig = Rig::shared();
    let nginx = locked_site(stage, rig).paid("").start();
    let one = token(stage, rig, FREE, PRICE_SAT, json!({"lock": PUBLIC}));
    let other = rig.reencode(&one, json!({"legacy": true, "reverse": true}));
    let part = rig.reencode(&one, json!({"largest": true}));
    let forms = [one, other];
    let answers = at_once(200, |number| pay(&nginx, &forms[number % 2]));
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(pay(&nginx, &part).status, 400, "its proofs pay in no other token");
}
