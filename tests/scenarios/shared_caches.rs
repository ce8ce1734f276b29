//! Caches in front of nginx and behind it: nobody who has not paid is served from one, whatever the upstream, `expires`,
//! `add_header` and the credential's form say.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::harness::http::{Request, Response};
use crate::harness::mint::{FREE, Rig};
use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::upstream::{Reply, Upstream};

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("cache::no_unpaid_hit", no_unpaid_hit),
    Scenario::on_simulator("cache::headers_of_paid_answers", headers_of_paid_answers),
    Scenario::on_simulator("cache::challenges_are_never_kept", challenges_are_never_kept),
    Scenario::on_simulator("cache::free_by_a_variable", free_by_a_variable),
    Scenario::on_simulator("cache::shared_by_name", shared_by_name),
    Scenario::on_mint("cashu::shared_caches", of_ecash),
];

/// Headers with which an upstream speaks to caches.
const SAYINGS: [&[(&str, &str)]; 9] = [
    &[],
    &[("Cache-Control", "public, max-age=3600")],
    &[("Cache-Control", "max-age=60, s-maxage=3600")],
    &[("Cache-Control", "public"), ("Cache-Control", "s-maxage=3600, stale-while-revalidate=60")],
    &[("Cache-Control", "private=\"set-cookie\", max-age=3600")],
    &[("Expires", "Thu, 31 Dec 2037 23:55:55 GMT")],
    &[("Cache-Control", "public, max-age=3600"), ("Vary", "Accept-Encoding")],
    &[("CDN-Cache-Control", "max-age=3600"), ("Surrogate-Control", "max-age=3600")],
    &[("X-Accel-Expires", "3600"), ("Cloudflare-CDN-Cache-Control", "public, max-age=3600")],
];

/// Directives with which a location speaks to caches.
const DIRECTIVES: [&str; 5] = [
    "",
    "expires 30d;",
    "expires max;",
    "add_header Cache-Control \"public, max-age=3600\" always;",
    "proxy_pass_header X-Accel-Expires; expires 1h; add_header Cache-Control public always;",
];

/// An upstream that says this to caches.
fn upstream(saying: usize) -> Upstream {
    Upstream::answering(move |_| {
        let headers = SAYINGS[saying].iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Reply(200, headers.collect(), "for who pays".to_owned())
    })
}

/// A cache that keeps whatever it may, in front of a shop.
fn in_front_of<'a>(stage: &'a Stage, shop: SocketAddr) -> Nginx<'a> {
    let site = stage.site();
    let zone = format!("proxy_cache_path {}/cache keys_zone=front:1m;", site.dir().display());
    site.http(&zone)
        .server(&format!(
            "location / {{ proxy_cache front; proxy_set_header Host localhost; proxy_set_header X-Cashu $http_x_cashu; \
             add_header X-Cache $upstream_cache_status; proxy_pass http://{shop}; }}"
        ))
        .start()
}

/// Every form in which a token may come: the header's name and value.
fn forms(stage: &Stage, nginx: &Nginx<'_>, target: &str) -> Vec<(&'static str, String)> {
    let challenge = nginx.get(target).challenge();
    let preimage = stage.pay(&challenge);
    let with_preimage = challenge.macaroon().with(&format!("preimage={preimage}"));
    vec![
        ("Authorization", challenge.paid_with(&preimage)),
        ("Authorization", challenge.alone()),
        ("Macaroon", with_preimage.hex()),
        ("Grpc-Metadata-Macaroon", with_preimage.hex()),
    ]
}

fn no_unpaid_hit(stage: &Stage) {
    for (at, _) in SAYINGS.iter().enumerate() {
        let upstream = upstream(at);
        let mut locations = String::new();
        for (number, directives) in DIRECTIVES.iter().enumerate() {
            let _ = write!(
                locations,
                "location /{number}/ {{ l402 on; l402_indefinite_access on; l402_auto_detect_payment on; {directives} \
                 proxy_pass http://{}; }}",
                upstream.address()
            );
        }
        let shop = stage.site().server(&locations).start();
        let front = in_front_of(stage, shop.address());
        for (number, directives) in DIRECTIVES.iter().enumerate() {
            for (form, (name, value)) in forms(stage, &shop, &format!("/{number}/x")).into_iter().enumerate()
            {
                // Each asks for what nobody asked for before: the query is no part of what is sold.
                let target = format!("/{number}/x?form={form}");
                let paid = front.send(&Request::get(&target).header(name, &value)).expect(200);
                assert_eq!(paid.text(), "for who pays");
                let context = format!("{:?} {directives} {name}", SAYINGS[at]);
                for _ in 0..2 {
                    let unpaid = front.get(&target);
                    assert_eq!(unpaid.status, 402, "{context}: {:?}", unpaid.headers);
                    assert_ne!(unpaid.header("X-Cache"), Some("HIT"), "{context}");
                }
            }
        }
    }
}

fn cache_control(answer: &Response) -> Vec<&str> {
    answer.all("Cache-Control").collect()
}

fn headers_of_paid_answers(stage: &Stage) {
    let expected = [
        "private",
        "private, max-age=3600",
        "private, max-age=60",
        "private, stale-while-revalidate=60",
        "private, max-age=3600",
        "private",
        "private, max-age=3600",
        "private",
        "private",
    ];
    for (at, expected) in expected.into_iter().enumerate() {
        let upstream = upstream(at);
        let directives = format!(
            "l402_indefinite_access on; proxy_pass_header X-Accel-Expires; proxy_pass http://{};",
            upstream.address()
        );
        let nginx = stage.paid_site(&directives);
        let credential = nginx.buy("/paid/a");
        for request in [Request::get("/paid/a"), Request::new("HEAD", "/paid/a")] {
            let answer = nginx.send(&request.paid(&credential)).expect(200);
            assert_eq!(cache_control(&answer), [expected], "{:?}", SAYINGS[at]);
            for name in
                ["CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires"]
            {
                assert_eq!(answer.header(name), None, "{name}");
            }
            let vary: Vec<&str> = answer.all("Vary").collect();
            let names = "Authorization, Macaroon, Grpc-Metadata-Macaroon, X-Cashu, Cookie, Accept";
            assert!(vary.contains(&names), "{vary:?}");
        }
    }
    // Files, errors, ranges and redirects of what was paid for are the payer's own, too.
    let nginx = stage.site().paid("l402_indefinite_access on; expires 30d; autoindex off;").start();
    let credential = nginx.buy("/paid/a");
    let of = |request: Request| nginx.send(&request.paid(&credential));
    let whole = of(Request::get("/paid/a")).expect(200);
    assert_eq!(cache_control(&whole), ["private, max-age=2592000"]);
    let part = of(Request::get("/paid/a").header("Range", "bytes=0-2")).expect(206);
    assert_eq!(cache_control(&part), ["private, max-age=2592000"]);
    let none = of(Request::get("/paid/a").header("Range", "bytes=1000-")).expect(416);
    assert_eq!(cache_control(&none), ["private, max-age=2592000"], "{:?}", none.headers);
    let etag = whole.header("ETag").unwrap().to_owned();
    let same = of(Request::get("/paid/a").header("If-None-Match", etag)).expect(304);
    assert_eq!(cache_control(&same), ["private, max-age=2592000"]);
    let changed = of(Request::get("/paid/a").header("If-Match", "\"other\"")).expect(412);
    assert_eq!(cache_control(&changed), ["private"]);
}

/// Whatever the location says of its answers, a challenge and a refusal are nobody else's.
fn challenges_are_never_kept(stage: &Stage) {
    let upstream = upstream(1);
    for directives in DIRECTIVES {
        for page in ["", "error_page 402 /free/a;", "error_page 402 =200 /free/a;"] {
            let nginx = stage
                .site()
                .server(page)
                .paid(&format!("{directives} proxy_pass http://{};", upstream.address()))
                .start();
            let front = in_front_of(stage, nginx.address());
            for request in [Request::get("/paid/a"), Request::get("/paid/a").paid("L402 rubbish")] {
                let answer = nginx.send(&request);
                assert_eq!(cache_control(&answer), ["no-store"], "{directives} {page}: {}", answer.status);
                assert!(
                    answer.header("Vary").is_some_and(|vary| vary.starts_with("Authorization")),
                    "{page}"
                );
                let first = front.send(&request);
                let second = front.send(&request);
                if first.status == 402 {
                    assert_ne!(
                        first.header("WWW-Authenticate"),
                        second.header("WWW-Authenticate"),
                        "{directives}"
                    );
                }
            }
        }
    }
}

/// An answer that is free for some is not kept for all.
fn free_by_a_variable(stage: &Stage) {
    let upstream = upstream(1);
    let nginx = stage
        .site()
        .http("map $http_x_member $sold { default on; yes off; }")
        .server(&format!(
            "location /club/ {{ l402 $sold; proxy_pass http://{0}; }} location /open/ {{ proxy_pass http://{0}; }}",
            upstream.address()
        ))
        .start();
    let front = in_front_of(stage, nginx.address());
    let member = |target: &str| front.send(&Request::get(target).header("X-Member", "yes")).expect(200);
    assert_eq!(cache_control(&member("/club/a")), ["private, max-age=3600"]);
    front.get("/club/a").challenge();
    // What is free for all is left as it is.
    let open = front.get("/open/a").expect(200);
    assert_eq!((cache_control(&open), open.header("Vary")), (vec!["public, max-age=3600"], None));
}

fn shared_by_name(stage: &Stage) {
    let upstream = upstream(2);
    let nginx = stage.paid_site(&format!(
        "l402_indefinite_access on; l402_shared_cache on; proxy_pass http://{};",
        upstream.address()
    ));
    let answer = nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
    assert_eq!(cache_control(&answer), ["max-age=60, s-maxage=3600"]);
    assert_eq!(answer.header("Vary"), None);
    assert_eq!(cache_control(&nginx.get("/paid/a")), ["no-store"]);
}

/// Ecash in a header: what it bought is no cache's, and an answer with a token in it is kept by nobody.
fn of_ecash(stage: &Stage) {
    let (rig, upstream) = (Rig::shared(), upstream(1));
    for (uses, expected) in [("", "private, max-age=3600"), ("l402_max_uses 3;", "no-store")] {
        let site = stage.site().env("CASHU_ECASH_SUPPORT", "on");
        let site = site.env("CASHU_WHITELISTED_MINTS", &rig.urls.join(","));
        let shop = site.paid(&format!("{uses} proxy_pass http://{};", upstream.address())).start();
        let front = in_front_of(stage, shop.address());
        let (token, secrets) = rig.token_with_secrets(FREE, 10, serde_json::json!({}));
        stage.keep_secret(&token);
        secrets.iter().for_each(|secret| stage.keep_secret(secret));
        let paid = front.send(&Request::get("/paid/a").header("X-Cashu", token)).expect(200);
        assert_eq!((paid.text().as_str(), cache_control(&paid)), ("for who pays", vec![expected]));
        front.get("/paid/a").challenge();
    }
}
