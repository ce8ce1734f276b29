//! Two hosts, each with an nginx and an l402d of its own, and one Redis: one truth, whatever happens to Redis.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use lnsim::{Fault, FaultKind, Method};

use crate::harness::figures::Figures;
use crate::harness::http::{Request, Response};
use crate::harness::nginx::Nginx;
use crate::harness::process::{self, Signal};
use crate::harness::redis::{Redis, Watched, free_port};
use crate::harness::scenario::Scenario;
use crate::harness::site::Site;
use crate::harness::stage::Stage;
use crate::harness::upstream::Upstream;
use crate::harness::wait::{self, at_once};

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("redis::one_payment_two_hosts", one_payment_two_hosts),
    Scenario::on_simulator("redis::bought_here_served_there", bought_here_served_there),
    Scenario::on_simulator("redis::settled_here_known_there", settled_here_known_there),
    Scenario::on_simulator("redis::spent_under_the_former_module", spent_under_the_former_module),
    Scenario::on_simulator("redis::settled_under_the_former_module", settled_under_the_former_module),
    Scenario::on_simulator("redis::replay_after_restarts", replay_after_restarts),
    Scenario::on_simulator("redis::not_there_at_the_start", not_there_at_the_start),
    Scenario::on_simulator("redis::gone_and_back", gone_and_back),
    Scenario::on_simulator("redis::killed_under_load", killed_under_load),
    Scenario::on_simulator("redis::paused_under_load", paused_under_load),
    Scenario::on_simulator("redis::failed_over_under_load", failed_over_under_load),
    Scenario::on_simulator("redis::full", full),
    Scenario::on_simulator("redis::read_only", read_only),
    Scenario::on_simulator("redis::mistakes", mistakes),
    Scenario::on_simulator("redis::warnings", warnings),
];

const ROOT_KEY: &str = "the root key that both of the hosts share";
const PASSWORD: &str = "hunter2hunter2";

fn dir(stage: &Stage) -> PathBuf {
    stage.dir().join("redis")
}

fn start(stage: &Stage) -> Redis {
    stage.keep_secret(PASSWORD);
    let mut redis = Redis::start(&dir(stage), &format!("requirepass {PASSWORD}"));
    redis.log_in(&format!("AUTH {PASSWORD}"));
    redis
}

fn url(redis: &Redis) -> String {
    format!("redis://:{PASSWORD}@{}", redis.address())
}

fn site<'a>(stage: &'a Stage, url: &str) -> Site<'a> {
    stage.keep_secret(ROOT_KEY);
    stage.site().server("l402_origin shop.example;").env("REDIS_URL", url).env("ROOT_KEY", ROOT_KEY)
}

fn two_hosts<'a>(stage: &'a Stage, url: &str, directives: &str) -> [Nginx<'a>; 2] {
    [(); 2].map(|()| site(stage, url).workers(2).paid(directives).start())
}

#[track_caller]
fn come_back(answer: &Response) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("Retry-After").is_some());
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
}

/// Says it once the payment serves at this host; whoever is told to come back comes back.
#[track_caller]
fn serves_once(nginx: &Nginx<'_>, credential: &str) {
    wait::until("the payment to serve", || {
        let answer = nginx.get_paid("/paid/a", credential);
        assert!(matches!(answer.status, 200 | 503), "{}: {}", answer.status, answer.text());
        (answer.status == 200).then_some(())
    });
    nginx.get_paid("/paid/a", credential).challenge();
}

/// 500 copies over both hosts: one 200, and everybody else is asked to pay.
fn one_payment_two_hosts(stage: &Stage) {
    let redis = start(stage);
    let upstream = Upstream::start();
    let hosts = two_hosts(stage, &url(&redis), &format!("proxy_pass http://{};", upstream.address()));
    let request = Request::get("/paid/a").paid(hosts[0].buy("/paid/a"));
    let answers = at_once(500, |number| hosts[number % 2].send(&request));
    for answer in &answers {
        assert!(matches!(answer.status, 200 | 402), "{}: {}", answer.status, answer.text());
    }
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(upstream.hits(), 1);
}

fn bought_here_served_there(stage: &Stage) {
    let redis = start(stage);
    let directives = "l402_auto_detect_payment on; location /paid/open/ { l402_indefinite_access on; } \
                      location /paid/b { l402_max_uses 3; }";
    let [here, there] = two_hosts(stage, &url(&redis), directives);
    serves_once(&there, &here.buy("/paid/a"));
    let reusable = here.buy("/paid/open/a");
    for nginx in [&there, &here, &there] {
        nginx.get_paid("/paid/open/a", &reusable).expect(200);
    }
    let three = here.buy("/paid/b");
    for nginx in [&there, &here, &there] {
        nginx.get_paid("/paid/b", &three).expect(200);
    }
    here.get_paid("/paid/b", &three).challenge();
    // Looked up by a host that has never seen the invoice.
    let challenge = here.get("/paid/a").challenge();
    stage.pay(&challenge);
    serves_once(&there, &challenge.alone());
    here.get_paid("/paid/a", &challenge.alone()).challenge();
}

/// Once one host knows that it is paid, no host asks the node: the settlement was looked up, or shown by a preimage.
fn settled_here_known_there(stage: &Stage) {
    let redis = start(stage);
    let sim = stage.sim();
    sim.fault(FaultKind::PushSilent);
    let [here, there] = two_hosts(stage, &url(&redis), "l402_auto_detect_payment on; l402_max_uses 2;");
    let looked_up = here.get("/paid/a").challenge();
    let preimage = stage.pay(&looked_up);
    here.get_paid("/paid/a", &looked_up.alone()).expect(200);
    let key = |hash: &str| format!("l402:settled:{hash}");
    assert_eq!(redis.ask(&["GET", &key(&looked_up.macaroon().payment_hash())]), preimage);

    let shown = here.get("/paid/a").challenge();
    let preimage = stage.pay(&shown);
    here.get_paid("/paid/a", &shown.paid_with(&preimage)).expect(200);
    redis.wait_for(&["GET", &key(&shown.macaroon().payment_hash())], &preimage);

    // Who asked the node now would wait for ever.
    sim.fault(Fault::hang().at(Method::LookupInvoice));
    for challenge in [looked_up, shown] {
        there.get_paid("/paid/a", &challenge.alone()).expect(200);
        there.get_paid("/paid/a", &challenge.alone()).challenge();
    }
}

/// The operator's Redis of the former module: a payment that it has marked is spent.
fn spent_under_the_former_module(stage: &Stage) {
    let redis = start(stage);
    let nginx = site(stage, &url(&redis)).paid("").start();
    let challenge = nginx.get("/paid/a").challenge();
    let credential = stage.buy(&challenge);
    let key = format!("l402:preimage:{}", challenge.macaroon().payment_hash());
    redis.ask(&["SET", &key, "used", "EX", "86400"]);
    nginx.get_paid("/paid/a", &credential).challenge();
    assert_eq!(redis.ask(&["TTL", &key]), "-1");
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
}

/// And one that it has seen settled is settled, for who brings the macaroon alone; no node is asked.
fn settled_under_the_former_module(stage: &Stage) {
    let redis = start(stage);
    let sim = stage.sim();
    sim.fault(FaultKind::PushSilent);
    let nginx = site(stage, &url(&redis)).paid("l402_auto_detect_payment on;").start();
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = stage.pay(&challenge);
    let key = format!("l402:settled:{}", challenge.macaroon().payment_hash());
    redis.ask(&["SET", &key, &preimage, "EX", "86400"]);
    sim.fault(Fault::hang().at(Method::LookupInvoice));
    nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
}

fn replay_after_restarts(stage: &Stage) {
    let mut redis = start(stage);
    let mut nginx = site(stage, &url(&redis)).paid("").start();
    let (used, unused) = (nginx.buy("/paid/a"), nginx.buy("/paid/a"));
    nginx.get_paid("/paid/a", &used).expect(200);
    redis.restart();
    wait::until("Redis to be used again", || {
        let answer = nginx.get_paid("/paid/a", &used);
        assert_ne!(answer.status, 200);
        (answer.status == 402).then_some(())
    });
    nginx.restart();
    nginx.get_paid("/paid/a", &used).challenge();
    serves_once(&nginx, &unused);
}

/// nginx and l402d start all the same, sell, and serve when Redis is there.
fn not_there_at_the_start(stage: &Stage) {
    let port = free_port();
    let nginx = site(stage, &format!("redis://127.0.0.1:{port}")).paid("").start();
    let credential = nginx.buy("/paid/a");
    come_back(&nginx.get_paid("/paid/a", &credential));
    let _redis = Redis::start_on(&dir(stage), port, "");
    serves_once(&nginx, &credential);
}

/// Reusable tokens verify as before, challenges are sold, what is drawn gets 503 at once; it goes on by itself.
fn gone_and_back(stage: &Stage) {
    let mut redis = start(stage);
    let hosts = two_hosts(stage, &url(&redis), "location /paid/open/ { l402_indefinite_access on; }");
    let (single, reusable) = (hosts[0].buy("/paid/a"), hosts[0].buy("/paid/open/a"));
    redis.kill();
    for nginx in &hosts {
        for _ in 0..20 {
            nginx.get_paid("/paid/open/a", &reusable).expect(200);
            come_back(&nginx.get_paid("/paid/a", &single));
            nginx.get("/paid/a").challenge();
            nginx.get("/free/a").expect(200);
        }
    }
    redis.restart();
    serves_once(&hosts[1], &single);
}

/// Both hosts sell and serve while `events` happen: each payment serves once, and is never called used before.
fn under_load(fault: &'static str, hosts: &[Nginx<'_>; 2], events: impl FnOnce()) {
    let reusable = hosts[0].buy("/paid/open/a");
    let payments: Vec<_> = (0..24).map(|number| hosts[number % 2].buy("/paid/a")).collect();
    let over = AtomicBool::new(false);
    let figures = std::thread::scope(|scope| {
        let (over, reusable) = (&over, &reusable);
        let clients: Vec<_> = payments
            .chunks(4)
            .map(|payments| scope.spawn(move || come_and_come_again(hosts, payments, reusable, over)))
            .collect();
        {
            let _at_the_end = wait::Flagged(over);
            events();
        }
        let joined = clients.into_iter().map(|client| client.join());
        let all = joined.map(|figures| figures.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        all.fold(Figures::default(), Figures::plus)
    });
    figures.settle(fault);
}

/// A client with several payments, until it is over and each has come to its end.
fn come_and_come_again(
    hosts: &[Nginx<'_>; 2],
    payments: &[String],
    reusable: &str,
    over: &AtomicBool,
) -> Figures {
    let mut served = vec![0; payments.len()];
    let mut lost = vec![false; payments.len()];
    let mut figures = Figures { payments: payments.len(), ..Figures::default() };
    for round in 0.. {
        let ended = (0..payments.len()).all(|at| served[at] > 0 || lost[at]);
        if over.load(Ordering::SeqCst) && ended {
            break;
        }
        // Some only come when the trouble has begun.
        for (at, payment) in payments.iter().enumerate().take(round + 1) {
            let nginx = &hosts[(round + at) % 2];
            let answer = nginx.get_paid("/paid/a", payment);
            match answer.status {
                200 => served[at] += 1,
                402 => {
                    figures.refusals += 1;
                    lost[at] |= served[at] == 0;
                }
                _ => {
                    come_back(&answer);
                    figures.come_backs += 1;
                }
            }
            nginx.get_paid("/paid/open/a", reusable).expect(200);
            figures.reusable += 1;
        }
    }
    figures.grants = served.iter().sum();
    figures.doubles = served.iter().filter(|count| **count > 1).count();
    figures.losses = lost.iter().filter(|lost| **lost).count();
    figures
}

const OPEN: &str = "location /paid/open/ { l402_indefinite_access on; }";

fn killed_under_load(stage: &Stage) {
    let mut redis = start(stage);
    let hosts = two_hosts(stage, &url(&redis), OPEN);
    under_load("killed and restarted, four times", &hosts, || {
        for _ in 0..4 {
            redis.restart();
        }
    });
}

/// Claims lie in the socket of a Redis that hangs: who was sent away meanwhile has not paid for nothing.
fn paused_under_load(stage: &Stage) {
    let redis = start(stage);
    let hosts = two_hosts(stage, &url(&redis), OPEN);
    under_load("paused, twice", &hosts, || {
        for _ in 0..2 {
            process::stop(redis.pid());
            let used = hosts[0].buy("/paid/a");
            come_back(&hosts[0].get_paid("/paid/a", &used));
            process::signal(redis.pid(), Signal::CONT);
            serves_once(&hosts[1], &used);
        }
    });
}

/// The master dies, its replica takes over, and what was the master comes back as its replica.
fn failed_over_under_load(stage: &Stage) {
    let mut watched = Watched::start(&dir(stage));
    let url = format!("redis+sentinel://{}/mymaster?wait_replicas=1", watched.sentinel.address());
    let hosts = two_hosts(stage, &url, OPEN);
    let used = hosts[0].buy("/paid/a");
    serves_once(&hosts[0], &used);
    under_load("failed over by a Sentinel", &hosts, || {
        watched.master.kill();
        watched.wait_for_failover();
        watched.master.restart();
    });
    hosts[1].get_paid("/paid/a", &used).challenge();
}

/// Its memory is full and nothing may be dropped: nothing is drawn.
fn full(stage: &Stage) {
    let redis = start(stage);
    let hosts = two_hosts(stage, &url(&redis), OPEN);
    let used = hosts[0].buy("/paid/a");
    hosts[0].get_paid("/paid/a", &used).expect(200);
    under_load("out of memory", &hosts, || {
        let single = hosts[0].buy("/paid/a");
        redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
        for _ in 0..5 {
            hosts.iter().for_each(|nginx| come_back(&nginx.get_paid("/paid/a", &single)));
        }
        redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
        serves_once(&hosts[0], &single);
    });
    hosts[1].get_paid("/paid/a", &used).challenge();
}

fn read_only(stage: &Stage) {
    let redis = start(stage);
    let hosts = two_hosts(stage, &url(&redis), OPEN);
    under_load("a read-only replica", &hosts, || {
        let single = hosts[0].buy("/paid/a");
        redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
        for _ in 0..5 {
            hosts.iter().for_each(|nginx| come_back(&nginx.get_paid("/paid/a", &single)));
        }
        redis.ask(&["REPLICAOF", "NO", "ONE"]);
        serves_once(&hosts[1], &single);
    });
}

/// What can be known without asking Redis is refused by `nginx -t`, without the password.
fn mistakes(stage: &Stage) {
    stage.keep_secret(PASSWORD);
    let said = |site: Site<'_>| {
        let output = site.check();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !text.contains(PASSWORD), "{text}");
        text
    };
    let url = format!("redis://:{PASSWORD}@127.0.0.1");
    let no_key = said(stage.site().env("REDIS_URL", &url).paid(""));
    assert!(no_key.contains("ROOT_KEY is missing, and with REDIS_URL all hosts must share one"), "{no_key}");
    let no_url = said(site(stage, &format!("redis:/:{PASSWORD}@127.0.0.1")).paid(""));
    assert!(no_url.contains("REDIS_URL is not valid; expected redis://"), "{no_url}");
}

/// A Redis that could forget what was spent: the operator is told when l402d starts, and it serves.
fn warnings(stage: &Stage) {
    let redis = Redis::start(&dir(stage), "appendonly no\nmaxmemory-policy allkeys-lru");
    let site = site(stage, &format!("redis://{}", redis.address())).paid("");
    let log = site.state_dir().join("l402d.log");
    let nginx = site.start();
    serves_once(&nginx, &nginx.buy("/paid/a"));
    for words in ["`maxmemory-policy` is `allkeys-lru`", "`appendonly no`"] {
        has_line(&log, words);
    }
}

fn has_line(log: &Path, words: &str) {
    let text = std::fs::read_to_string(log).expect("a log");
    assert!(text.lines().any(|line| line.contains("WARN") && line.contains(words)), "{words}: {text}");
}
