//! Prices and payees that an operator writes into Redis while everything runs.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use data_encoding::HEXLOWER;
use lnsim::{LnurlOptions, Sim, SimOptions};
use serde_json::json;

use crate::harness::challenge::Challenge;
use crate::harness::http::{Request, Response};
use crate::harness::mint::{FREE, Rig};
use crate::harness::nginx::Nginx;
use crate::harness::process::{self, Signal};
use crate::harness::redis::Redis;
use crate::harness::scenario::Scenario;
use crate::harness::site::{PRICE_MSAT, Site};
use crate::harness::stage::Stage;
use crate::harness::wait::{self, at_once};

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("prices::at_the_next_request", at_the_next_request),
    Scenario::on_simulator("prices::computed", computed),
    Scenario::on_simulator("prices::looked_up_once_for_all", looked_up_once_for_all),
    Scenario::on_simulator("prices::of_no_use", of_no_use),
    Scenario::on_simulator("prices::payee", payee),
    Scenario::on_simulator("prices::without_its_redis", without_its_redis),
    Scenario::on_mint("prices::in_ecash", in_ecash),
    Scenario::on_mint("prices::ecash_is_paid_out_to_who_is_listed", ecash_is_paid_out_to_who_is_listed),
];

fn start(stage: &Stage) -> Redis {
    Redis::start(&stage.dir().join("redis"), "")
}

fn site<'a>(stage: &'a Stage, redis: &Redis) -> Site<'a> {
    let root_key = "the root key that all of the hosts share";
    stage.keep_secret(root_key);
    let url = format!("redis://{}", redis.address());
    stage.site().server("l402_origin shop.example;").env("REDIS_URL", &url).env("ROOT_KEY", root_key)
}

/// What a 402 asks for: its body says the same as its invoice.
#[track_caller]
fn price_in(answer: &Response) -> u64 {
    let price = answer.challenge().amount_msat();
    let body: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(body["amount_msat"], price);
    price
}

#[track_caller]
fn price(nginx: &Nginx<'_>, path: &str) -> u64 {
    price_in(&nginx.get(path))
}

/// Waits until the price is this one; until then it is the one before.
#[track_caller]
fn changes(nginx: &Nginx<'_>, path: &str, before: u64, after: u64) {
    wait::until("the price to count", || match price(nginx, path) {
        price if price == after => Some(()),
        price => {
            assert_eq!(price, before);
            None
        }
    });
}

/// A price counts at every host, for its path alone, and takes back nothing that was sold.
fn at_the_next_request(stage: &Stage) {
    let redis = start(stage);
    let hosts = [(); 2].map(|()| {
        site(stage, &redis)
            .http("log_format price '$uri $status $l402_amount_msat'; access_log prices.log price;")
            .paid("")
            .start()
    });
    let cheap = hosts[0].get("/paid/a").challenge();
    redis.ask(&["SET", "/paid/a", "15000"]);
    for nginx in &hosts {
        changes(nginx, "/paid/a", PRICE_MSAT, 15_000);
        for same in ["/paid/a?x=1", "/paid/%61", "/paid//a"] {
            assert_eq!(price(nginx, same), 15_000, "{same}");
        }
        assert_eq!(price(nginx, "/paid/b"), PRICE_MSAT);
    }
    let log = fs::read_to_string(hosts[0].dir().join("prices.log")).expect("a log");
    assert!(log.lines().any(|line| line == "/paid/a 402 15000"), "{log}");
    hosts[1].get_paid("/paid/a", &stage.buy(&cheap)).expect(200);
    let dear = hosts[0].buy("/paid/a");
    redis.ask(&["SET", "/paid/a", "20000"]);
    changes(&hosts[0], "/paid/a", 15_000, 20_000);
    hosts[1].get_paid("/paid/a", &dear).expect(200);
    redis.ask(&["DEL", "/paid/a"]);
    changes(&hosts[0], "/paid/a", 20_000, PRICE_MSAT);
}

/// Where the location computes its price, a token bought at a listed one serves what costs no more by the location's own.
fn computed(stage: &Stage) {
    let redis = start(stage);
    redis.ask(&["SET", "/paid/a", "500"]);
    let nginx = site(stage, &redis)
        .http("map $arg_size $price { default 1000; large 25000; }")
        .paid("l402_amount_msat_default $price; l402_indefinite_access on;")
        .start();
    let small = nginx.get("/paid/a").challenge();
    assert_eq!(small.amount_msat(), 500);
    let small = stage.buy(&small);
    nginx.get_paid("/paid/a", &small).expect(200);
    assert_eq!(price_in(&nginx.get_paid("/paid/a?size=large", &small)), 500, "another is needed");
    let large = nginx.get("/paid/a?size=large").challenge();
    let large = stage.buy(&large);
    for target in ["/paid/a?size=large", "/paid/a"] {
        nginx.get_paid(target, &large).expect(200);
    }
}

/// However many ask at once, Redis is asked twice a second at most for a path, and not at all for who has paid.
fn looked_up_once_for_all(stage: &Stage) {
    let redis = start(stage);
    let nginx = site(stage, &redis).paid("location /paid/open/ { l402_indefinite_access on; }").start();
    redis.ask(&["SET", "/paid/a", "15000"]);
    let reusable = nginx.buy("/paid/open/a");
    redis.ask(&["CONFIG", "RESETSTAT"]);
    let began = Instant::now();
    for prices in at_once(50, |_| [(); 20].map(|()| price(&nginx, "/paid/a"))) {
        assert_eq!(prices, [15_000; 20]);
    }
    let most = began.elapsed().as_millis() / 500 + 1;
    let stats = redis.ask(&["INFO", "commandstats"]);
    let gets = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls=")).expect("some");
    let gets: u128 = gets.split(',').next().and_then(|count| count.parse().ok()).expect("a number");
    // One for the price and one for the payee.
    assert!((2..=2 * most).contains(&gets), "{gets} in {most} half seconds");
    redis.ask(&["CONFIG", "RESETSTAT"]);
    for _ in 0..10 {
        nginx.get_paid("/paid/open/a", &reusable).expect(200);
    }
    assert!(!redis.ask(&["INFO", "commandstats"]).contains("cmdstat_get"));
}

/// The location's own price is asked, never nothing, and the log says so once for each value.
fn of_no_use(stage: &Stage) {
    let redis = start(stage);
    let site = site(stage, &redis).paid("");
    let log = site.state_dir().join("l402d.log");
    let nginx = site.start();
    let lines = |words: &str| said(&log, words);
    for (number, bad) in (1..).zip(["0", "-5", "free", "1e3", "2100000000000000001"]) {
        redis.ask(&["SET", "/paid/a", bad]);
        wait::until("the value to be read", || {
            assert_eq!(price(&nginx, "/paid/a"), PRICE_MSAT);
            (lines("is no positive number of millisatoshi").len() == number).then_some(())
        });
    }
    for key in ["/paid/a", "lnurl:/paid/a"] {
        redis.ask(&["DEL", key]);
        redis.ask(&["RPUSH", key, "15000"]);
    }
    wait::until("the lists to be read", || {
        assert_eq!(price(&nginx, "/paid/a"), PRICE_MSAT);
        (lines("is no Lightning address").len() == 1).then_some(())
    });
    let told = lines("is no positive number of millisatoshi");
    assert_eq!(told.len(), 6, "{told:?}");
    assert!(told[2].contains("\"/paid/a\"") && told[2].contains("free"), "{}", told[2]);
    redis.ask(&["DEL", "/paid/a"]);
    redis.ask(&["SET", "/paid/a", "15000"]);
    changes(&nginx, "/paid/a", PRICE_MSAT, 15_000);
}

fn said(log: &PathBuf, words: &str) -> Vec<String> {
    let text = fs::read_to_string(log).expect("a log");
    text.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
}

/// Who is listed is paid, at the listed price; the payment is good at both hosts, with its preimage or looked up.
fn payee(stage: &Stage) {
    let redis = start(stage);
    let sim = Sim::start(SimOptions::default()).expect("a simulator");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let address =
        sim.open_lnurl(any, LnurlOptions { verify: true, ..LnurlOptions::default() }).expect("a port");
    let pay = |challenge: &Challenge| {
        assert!(stage.sim().pay(&challenge.invoice).is_err(), "it is not the node's invoice");
        let preimage = HEXLOWER.encode(&sim.pay(&challenge.invoice).expect("an invoice of who is listed"));
        stage.keep_secret(&preimage);
        preimage
    };
    redis.ask(&["SET", "lnurl:/paid/a", &format!("http://alice@{address}")]);
    redis.ask(&["SET", "/paid/a", "15000"]);
    let [here, there] = [(); 2].map(|()| site(stage, &redis).paid("l402_auto_detect_payment on;").start());
    let shown = here.get("/paid/a").challenge();
    assert_eq!(shown.amount_msat(), 15_000);
    let preimage = pay(&shown);
    here.get_paid("/paid/a", &shown.paid_with(&preimage)).expect(200);
    here.get_paid("/paid/a", &shown.paid_with(&preimage)).challenge();

    let [one, two] = [(); 2].map(|()| here.get("/paid/a").challenge());
    assert_eq!(here.get_paid("/paid/a", &one.alone()).challenge().invoice, one.invoice, "not paid yet");
    pay(&one);
    pay(&two);
    serves_once(&here, &one);
    // Also where it was not made, and when nobody is listed any more.
    redis.ask(&["DEL", "lnurl:/paid/a"]);
    serves_once(&there, &two);
    wait::until("the node to be paid again", || {
        stage.sim().pay(&here.get("/paid/a").challenge().invoice).is_ok().then_some(())
    });
}

#[track_caller]
fn serves_once(nginx: &Nginx<'_>, challenge: &Challenge) {
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/paid/a", &challenge.alone()).status == 200).then_some(())
    });
    assert_ne!(nginx.get_paid("/paid/a", &challenge.alone()).challenge().invoice, challenge.invoice);
}

/// Killed or hanging: the last price that was known holds, and the location's own where none was. It sells.
fn without_its_redis(stage: &Stage) {
    let mut redis = start(stage);
    let nginx = site(stage, &redis).paid("").start();
    redis.ask(&["SET", "/paid/a", "15000"]);
    changes(&nginx, "/paid/a", PRICE_MSAT, 15_000);
    let sells = || {
        for _ in 0..20 {
            assert_eq!(price(&nginx, "/paid/a"), 15_000);
            assert_eq!(price(&nginx, "/paid/b"), PRICE_MSAT);
        }
    };
    process::stop(redis.pid());
    sells();
    process::signal(redis.pid(), Signal::CONT);
    redis.kill();
    sells();
    redis.restart();
    redis.ask(&["SET", "/paid/a", "20000"]);
    changes(&nginx, "/paid/a", 15_000, 20_000);
}

/// A listed price is that of ecash, too.
fn in_ecash(stage: &Stage) {
    let redis = start(stage);
    let rig = Rig::shared();
    redis.ask(&["SET", "/paid/a", "15000"]);
    let site = site(stage, &redis).env("CASHU_ECASH_SUPPORT", "on");
    let nginx = site.env("CASHU_WHITELISTED_MINTS", &rig.urls.join(",")).paid("").start();
    let token = |sat| {
        let (token, secrets) = rig.token_with_secrets(FREE, sat, json!({}));
        secrets.iter().chain([&token]).for_each(|secret| stage.keep_secret(secret));
        token
    };
    let pay = |token: &str| nginx.send(&Request::get("/paid/a").header("X-Cashu", token));
    assert_eq!(price(&nginx, "/paid/a"), 15_000);
    let (too_little, enough) = (token(PRICE_MSAT / 1000), token(15));
    assert_eq!(pay(&too_little).status, 400);
    pay(&enough).expect(200);
    assert_eq!(pay(&enough).status, 400);
    redis.ask(&["DEL", "/paid/a"]);
    changes(&nginx, "/paid/a", 15_000, PRICE_MSAT);
    pay(&too_little).expect(200);
    // Who was asked for less a moment ago has it on the way.
    let on_its_way = token(PRICE_MSAT / 1000);
    redis.ask(&["SET", "/paid/a", "20000"]);
    changes(&nginx, "/paid/a", PRICE_MSAT, 20_000);
    pay(&on_its_way).expect(200);
}

/// Also by the next l402d, and when nobody is listed any more.
fn ecash_is_paid_out_to_who_is_listed(stage: &Stage) {
    let redis = start(stage);
    let rig = Rig::shared();
    let sim = Sim::start(SimOptions::default()).expect("a simulator");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = sim.open_lnurl(any, LnurlOptions::default()).expect("a port");
    redis.ask(&["SET", "lnurl:/paid/a", &format!("http://alice@{address}")]);
    let site = site(stage, &redis).env("CASHU_ECASH_SUPPORT", "on");
    let site = site.env("CASHU_WHITELISTED_MINTS", &rig.urls.join(",")).state_in(&stage.dir().join("state"));
    let taking = site.paid("").start();
    let (token, secrets) = rig.token_with_secrets(FREE, 300, json!({}));
    secrets.iter().chain([&token]).for_each(|secret| stage.keep_secret(secret));
    taking.send(&Request::get("/paid/a").header("X-Cashu", &token)).expect(200);
    drop(taking);
    redis.ask(&["DEL", "lnurl:/paid/a"]);
    let site =
        self::site(stage, &redis).env("CASHU_ECASH_SUPPORT", "on").env("CASHU_REDEEM_ON_LIGHTNING", "on");
    let site = site.env("CASHU_WHITELISTED_MINTS", &rig.urls.join(",")).state_in(&stage.dir().join("state"));
    let _paying = site.env("CASHU_REDEMPTION_INTERVAL_SECS", "1").paid("").start();
    wait::until("it to be paid out", || {
        let paid = rig.ask(&json!({"do": "paid_out", "mint": FREE}));
        let invoices = paid["invoices"].as_array().expect("a list").iter();
        for invoice in invoices.filter_map(serde_json::Value::as_str) {
            assert!(stage.sim().pay(invoice).is_err(), "it is not the node's invoice");
            // Of each once.
            let _ = sim.pay(invoice);
        }
        (sim.received_msat() > 280_000).then_some(())
    });
}
