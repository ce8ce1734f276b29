//! Ecash that is no good: 400, why, and nobody's loss.

use std::net::TcpListener;

use serde_json::json;

use super::{PRICE_SAT, assert_refused, pay, site, token};
use crate::harness::mint::{FEES, FREE, Rig};
use crate::harness::stage::Stage;
use crate::harness::upstream::Upstream;

pub fn refused(stage: &Stage) {
    let rig = Rig::shared();
    let upstream = Upstream::start();
    let nginx = site(stage, rig).paid(&format!("proxy_pass http://{};", upstream.address())).start();
    let good = token(stage, rig, FREE, PRICE_SAT, json!({}));
    for rubbish in ["cashuB", "cashuA", "x", "cashuBo2F0", "creqApQ", &good[..good.len() - 8]] {
        assert_refused(&pay(&nginx, rubbish), "can not be read");
    }
    for (change, why) in [
        (json!({"forge": true}), "does not verify"),
        (json!({"forge": true, "dleq": false}), "does not accept"),
        (json!({"unit": "usd"}), "unit"),
        (json!({"url": "https://mint.example.com"}), "a mint that is not accepted"),
        (json!({"url": rig.urls[FEES]}), "keyset"),
        (json!({"largest": true}), "worth less"),
    ] {
        assert_refused(&pay(&nginx, &rig.reencode(&good, change)), why);
    }
    let less = token(stage, rig, FREE, PRICE_SAT - 1, json!({}));
    assert_refused(&pay(&nginx, &less), "worth less");
    let bare = token(stage, rig, FEES, PRICE_SAT, json!({}));
    assert_refused(&pay(&nginx, &bare), "worth less than the price, after the mint's fee");
    let stolen = token(stage, rig, FREE, PRICE_SAT, json!({}));
    rig.spend(&stolen);
    assert_refused(&pay(&nginx, &stolen), "spent already");
    let pending = token(stage, rig, FREE, PRICE_SAT, json!({}));
    rig.pend(&pending);
    assert_refused(&pay(&nginx, &pending), "pending");
    let key = "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2";
    let locked = token(stage, rig, FREE, PRICE_SAT, json!({"lock": key}));
    assert_refused(&pay(&nginx, &locked), "another key");
    assert_eq!(upstream.hits(), 0);
    pay(&nginx, &good).expect(200);
    assert_eq!(upstream.hits(), 1);

    let strict = site(stage, rig).env("CASHU_REQUIRE_DLEQ", "on").paid("").start();
    let bare = token(stage, rig, FREE, PRICE_SAT, json!({"dleq": false}));
    assert_refused(&pay(&strict, &bare), "DLEQ");
}

/// A token may name an address inside our network: nothing is ever sent there.
pub fn no_other_mint_is_contacted(stage: &Stage) {
    let rig = Rig::shared();
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let address = inside.local_addr().unwrap();
    let nginx = site(stage, rig).paid("").start();
    let good = token(stage, rig, FREE, PRICE_SAT, json!({}));
    for url in [
        format!("http://{address}"),
        format!("http://{address}/"),
        format!("{}@{address}", rig.urls[FREE]),
        format!("{}/../../x", rig.urls[FREE]),
        format!("{}?x=http://{address}", rig.urls[FREE]),
        "file:///etc/passwd".to_owned(),
    ] {
        for legacy in [false, true] {
            let sent = rig.reencode(&good, json!({"url": url, "legacy": legacy}));
            assert_eq!(pay(&nginx, &sent).status, 400, "{url}");
        }
    }
    // Whatever was to be sent has been by now: this token takes the way to its mint.
    pay(&nginx, &good).expect(200);
    assert!(inside.accept().is_err(), "somebody came");
}
