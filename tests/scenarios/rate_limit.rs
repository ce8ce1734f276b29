//! `l402_invoice_rate_limit`: so many challenges for one client, counted before any invoice is made.

use crate::harness::http::{Request, Response};
use crate::harness::nginx::Nginx;
use crate::harness::redis::Redis;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("rate::by_address_and_location", by_address_and_location),
    Scenario::on_simulator("rate::who_has_paid_is_not_counted", who_has_paid_is_not_counted),
    Scenario::on_simulator("rate::merging_and_mistakes", merging_and_mistakes),
    Scenario::on_simulator("rate::one_over_two_hosts", one_over_two_hosts),
    Scenario::on_simulator("rate::without_its_redis", without_its_redis),
];

/// Addresses come from whom nginx trusts.
const REAL_IP: &str = "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;";

fn from(path: &str, address: &str) -> Request {
    Request::get(path).header("X-Real-IP", address)
}

#[track_caller]
fn limited(answer: &Response, most_s: u32) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    let retry_after: u32 = answer.header("Retry-After").and_then(|text| text.parse().ok()).expect("a time");
    assert!((1..=most_s).contains(&retry_after), "{retry_after}");
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert_eq!(answer.header("WWW-Authenticate"), None);
}

#[track_caller]
fn challenged(nginx: &Nginx<'_>, request: &Request, times: usize) {
    for _ in 0..times {
        nginx.send(request).challenge();
    }
}

fn by_address_and_location(stage: &Stage) {
    let nginx =
        stage.site().http(REAL_IP).paid("l402_invoice_rate_limit 3r/h; location /paid/open/ { }").start();
    challenged(&nginx, &from("/paid/a", "192.0.2.1"), 2);
    challenged(&nginx, &from("/paid/b", "192.0.2.1"), 1);
    for path in ["/paid/a", "/paid/b", "/paid/other"] {
        limited(&nginx.send(&from(path, "192.0.2.1")), 1200);
    }
    challenged(&nginx, &from("/paid/a", "192.0.2.2"), 1);
    challenged(&nginx, &from("/paid/open/a", "192.0.2.1"), 1);
    // Whoever has one address of these has all of them.
    for last in 1..=3 {
        challenged(&nginx, &from("/paid/a", &format!("2001:db8::{last}")), 1);
    }
    limited(&nginx.send(&from("/paid/a", "2001:db8::4")), 1200);
    challenged(&nginx, &from("/paid/a", "2001:db8:0:1::4"), 1);
    nginx.send(&from("/free/a", "192.0.2.1")).expect(200);
}

/// Paid requests pass, whatever the client has asked for before; what is refused costs no challenge.
fn who_has_paid_is_not_counted(stage: &Stage) {
    let nginx = stage.paid_site("l402_invoice_rate_limit 2r/h; l402_max_uses 5;");
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", "L402 nonsense").refusal();
    challenged(&nginx, &Request::get("/paid/a"), 1);
    for _ in 0..5 {
        limited(&nginx.get("/paid/a"), 1800);
        nginx.get_paid("/paid/a", &credential).expect(200);
    }
    // Used up: the next one would be a challenge.
    limited(&nginx.get_paid("/paid/a", &credential), 1800);
}

fn merging_and_mistakes(stage: &Stage) {
    let nginx = stage
        .site()
        .http("l402_invoice_rate_limit 1r/h;")
        .paid("location /paid/open/ { l402_invoice_rate_limit off; } location /paid/b { l402_invoice_rate_limit 2; }")
        .start();
    challenged(&nginx, &Request::get("/paid/a"), 1);
    limited(&nginx.get("/paid/a"), 3600);
    challenged(&nginx, &Request::get("/paid/open/a"), 3);
    challenged(&nginx, &Request::get("/paid/b"), 2);
    for wrong in ["0r/m", "5r/d", "many", "5 r/m"] {
        let said = stage.site().paid(&format!("l402_invoice_rate_limit {wrong};")).check();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && text.contains("l402_invoice_rate_limit"), "{text}");
    }
}

fn two_hosts<'a>(stage: &'a Stage, redis: &Redis) -> [Nginx<'a>; 2] {
    let url = format!("redis://{}", redis.address());
    [(); 2].map(|()| {
        let site =
            stage.site().env("REDIS_URL", &url).env("ROOT_KEY", "the root key that both of the hosts share");
        site.paid("l402_invoice_rate_limit 4r/h;").start()
    })
}

fn one_over_two_hosts(stage: &Stage) {
    let redis = Redis::start(&stage.dir().join("redis"), "");
    let hosts = two_hosts(stage, &redis);
    for nginx in &hosts {
        challenged(nginx, &Request::get("/paid/a"), 2);
    }
    for nginx in &hosts {
        limited(&nginx.get("/paid/a"), 900);
    }
}

/// A host that can't reach Redis counts for itself: it sells, and no flood reaches the node.
fn without_its_redis(stage: &Stage) {
    let mut redis = Redis::start(&stage.dir().join("redis"), "");
    let hosts = two_hosts(stage, &redis);
    redis.kill();
    for nginx in &hosts {
        challenged(nginx, &Request::get("/paid/a"), 4);
        limited(&nginx.get("/paid/a"), 900);
    }
}
