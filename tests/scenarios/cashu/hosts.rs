//! Two hosts, each with a wallet of its own, and one Redis: ecash that one of them took is the same payment at the other.

use serde_json::json;

use super::locked::{PRIVATE, PUBLIC};
use super::{PRICE_SAT, assert_refused, pay, site, token};
use crate::harness::mint::{FREE, Rig};
use crate::harness::nginx::Nginx;
use crate::harness::redis::Redis;
use crate::harness::stage::Stage;
use crate::harness::wait::{self, at_once};

const ROOT_KEY: &str = "the root key that both of the hosts share";

fn two_hosts<'a>(
    stage: &'a Stage,
    rig: &Rig,
    redis: &Redis,
    key: Option<&str>,
    directives: &str,
) -> [Nginx<'a>; 2] {
    stage.keep_secret(ROOT_KEY);
    let url = format!("redis://{}", redis.address());
    [(); 2].map(|()| {
        let site = site(stage, rig).env("REDIS_URL", &url).env("ROOT_KEY", ROOT_KEY).workers(2);
        let site = site.server("l402_origin shop.example;");
        let site = match key {
            Some(key) => site.env("CASHU_P2PK_MODE", "on").env("CASHU_P2PK_PRIVATE_KEY", key),
            None => site,
        };
        site.paid(directives).start()
    })
}

fn redis(stage: &Stage) -> Redis {
    Redis::start(&stage.dir().join("redis"), "")
}

/// 200 copies over both hosts, in both encodings: one 200, with the mint's help or without.
pub fn race(stage: &Stage) {
    let (rig, redis) = (Rig::shared(), redis(stage));
    stage.keep_secret(PRIVATE);
    for (key, kind) in [(None, json!({})), (Some(PRIVATE), json!({"lock": PUBLIC}))] {
        let hosts = two_hosts(stage, rig, &redis, key, "");
        let one = token(stage, rig, FREE, PRICE_SAT, kind);
        let other = rig.reencode(&one, json!({"legacy": true, "reverse": true}));
        let forms = [one, other];
        let answers = at_once(200, |number| pay(&hosts[number % 2], &forms[number / 2 % 2]));
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for answer in answers {
            // Who comes while the other host swaps it is told to come back.
            assert!(matches!(answer.status, 200 | 400 | 503), "{}: {}", answer.status, answer.text());
        }
        for nginx in &hosts {
            assert_refused(&pay(nginx, &forms[0]), "spent already");
            assert_eq!(pay(nginx, &rig.reencode(&forms[0], json!({"largest": true}))).status, 400);
        }
    }
}

/// The rest of what was bought is there at the other host, for the ecash itself too: its answer may have been lost.
pub fn comes_back_at_the_other(stage: &Stage) {
    let (rig, redis) = (Rig::shared(), redis(stage));
    stage.keep_secret(PRIVATE);
    for (key, kind) in [(None, json!({})), (Some(PRIVATE), json!({"lock": PUBLIC}))] {
        let [here, there] = two_hosts(stage, rig, &redis, key, "l402_max_uses 3;");
        let bought = token(stage, rig, FREE, PRICE_SAT, kind);
        let credential = super::credential(stage, &pay(&here, &bought).expect(200));
        pay(&there, &bought).expect(200);
        there.get_paid("/paid/a", &credential).expect(200);
        assert_refused(&pay(&here, &bought), "spent already");
        assert_refused(&pay(&there, &bought), "spent already");
        here.get_paid("/paid/a", &credential).expect(402);
    }
}

/// Without Redis no ecash is taken, and with it again it is good.
pub fn without_redis(stage: &Stage) {
    stage.tolerate("l402");
    let (rig, mut redis) = (Rig::shared(), redis(stage));
    stage.keep_secret(PRIVATE);
    let [here, there] = two_hosts(stage, rig, &redis, Some(PRIVATE), "");
    here.get("/paid/a").challenge();
    let bought = token(stage, rig, FREE, PRICE_SAT, json!({"lock": PUBLIC}));
    redis.kill();
    for nginx in [&here, &there] {
        let answer = pay(nginx, &bought).expect(503);
        assert!(answer.header("Retry-After").is_some());
    }
    redis.restart();
    // Each finds out for itself that Redis is back.
    let answered = |nginx: &Nginx<'_>| {
        wait::until("an answer of a host with Redis", || {
            Some(pay(nginx, &bought)).filter(|answer| answer.status != 503)
        })
    };
    answered(&there).expect(200);
    assert_refused(&answered(&here), "spent already");
}
