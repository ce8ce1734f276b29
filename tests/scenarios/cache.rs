//! With `proxy_cache`: who has not paid never gets what others paid for, and no challenge is ever kept.

use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::upstream::{Reply, Upstream};
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("cache::hits_cost_too", hits_cost_too),
    Scenario::on_nodes("cache::of_a_proxy_in_front", of_a_proxy_in_front),
];

fn hits_cost_too(stage: &Stage) {
    let upstream = Upstream::start();
    let site = stage.site();
    let zone = format!("proxy_cache_path {}/cache keys_zone=paid:1m;", site.dir().display());
    let nginx = site
        .http(&zone)
        .paid(&format!(
            "l402_indefinite_access on; proxy_cache paid; proxy_cache_valid any 1h; add_header X-Cache $upstream_cache_status; \
             proxy_pass http://{};",
            upstream.address()
        ))
        .start();
    let first = nginx.get("/paid/a").challenge();
    let answer = nginx.get_paid("/paid/a", &stage.buy(&first)).expect(200);
    assert_eq!(answer.header("X-Cache"), Some("MISS"));
    let second = nginx.get("/paid/a").challenge();
    assert_ne!(first.token, second.token, "a challenge is nobody else's");
    let credential = stage.buy(&second);
    // nginx answers first and keeps the answer then.
    let hit = wait::until("the answer to be kept", || {
        let answer = nginx.get_paid("/paid/a", &credential).expect(200);
        (answer.header("X-Cache") == Some("HIT")).then_some(answer)
    });
    assert_eq!(hit.header("Cache-Control"), Some("private"));
    let third = nginx.get("/paid/a").challenge();
    assert!(![first.token, second.token].contains(&third.token));
    nginx.get_paid("/paid/a", "L402 rubbish").refusal();
}

/// A second nginx caches whatever it may: neither challenges nor paid answers are among it.
fn of_a_proxy_in_front(stage: &Stage) {
    let upstream = Upstream::answering(|_| Reply::ok("for who pays"));
    let seller = stage.paid_site(&format!("l402_max_uses 3; proxy_pass http://{};", upstream.address()));
    let front = stage.site();
    let zone = format!("proxy_cache_path {}/cache keys_zone=front:1m;", front.dir().display());
    let front = front
        .http(&zone)
        .server(&format!(
            "location / {{ proxy_cache front; proxy_cache_valid any 1h; proxy_set_header Host localhost; \
             add_header X-Cache $upstream_cache_status; proxy_pass http://{}; }}",
            seller.address()
        ))
        .start();
    let first = front.get("/paid/a").challenge();
    assert_ne!(first.token, front.get("/paid/a").challenge().token);
    let credential = stage.buy(&first);
    for _ in 0..2 {
        let answer = front.get_paid("/paid/a", &credential).expect(200);
        assert_eq!((answer.text().as_str(), answer.header("X-Cache")), ("for who pays", Some("MISS")));
    }
    front.get("/paid/a").challenge();
    front.get_paid("/paid/a", "L402 rubbish").refusal();
    front.get_paid("/paid/a", &credential).expect(200);
}
