//! What a token is bound to: path, method, virtual server, realm, price; and the tricks that try to stretch it.

use crate::harness::http::{Request, Response};
use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::site::content;
use crate::harness::stage::Stage;
use crate::harness::upstream::Upstream;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("realm", realm),
    Scenario::on_nodes("realm::shared", shared_realm),
    Scenario::on_nodes("realm::off_inside", realm_off_inside),
    Scenario::on_nodes("bound::virtual_server", virtual_server),
    Scenario::on_nodes("bound::query_is_free", query_is_free),
    Scenario::on_nodes("bound::computed_price", computed_price),
    Scenario::on_nodes("bound::constant_price_may_rise", constant_price_may_rise),
    Scenario::on_nodes("bound::odd_paths", odd_paths),
    Scenario::on_nodes("tricks::unpaid", unpaid_tricks),
    Scenario::on_nodes("tricks::paid", paid_tricks),
    Scenario::on_nodes("tricks::proxied", proxied_tricks),
    Scenario::on_nodes("tricks::proxied_as_written", proxied_as_written),
    Scenario::on_simulator("tricks::merge_slashes", merge_slashes),
    Scenario::on_nodes("tricks::cheap_and_dear", cheap_and_dear),
    Scenario::on_nodes("tricks::injection", injection),
    Scenario::on_simulator("tricks::injection_by_the_operator", injection_by_the_operator),
];

fn realm(stage: &Stage) {
    let directives = "l402 on; l402_indefinite_access on;";
    let nginx = stage
        .site()
        .server(&format!("location /paid/ {{ {directives} l402_realm \"the archive\"; }}"))
        .server(&format!("location /free/ {{ {directives} l402_realm \"the archive\"; }}"))
        .server(&format!("location /other/ {{ {directives} l402_realm another; }}"))
        .server(&format!("location /internal/ {{ {directives} }}"))
        .start();
    let challenge = nginx.get("/paid/a").challenge();
    let texts = challenge.macaroon().texts();
    assert!(texts.iter().any(|text| text.starts_with("realm=")), "{texts:?}");
    assert!(!texts.iter().any(|text| text.starts_with("path=") || text.starts_with("method=")), "{texts:?}");
    let credential = stage.buy(&challenge);
    for path in ["/paid/a", "/paid/b", "/paid/", "/free/a"] {
        nginx.get_paid(path, &credential).expect(200);
    }
    assert!(nginx.get_paid("/other/a", &credential).stale().contains("realm"));
    nginx.get_paid("/internal/a", &credential).stale();
    let plain = nginx.buy("/internal/a");
    nginx.get_paid("/paid/a", &plain).stale();
    stage.assert_invoices(5);
}

/// A second virtual server called `elsewhere` that sells `/paid/` in a realm.
fn two_servers<'a>(stage: &'a Stage, first: &str, second: &str) -> Nginx<'a> {
    let location = |realm: &str| format!("location /paid/ {{ l402 on; l402_indefinite_access on; {realm} }}");
    let other = format!("server_name elsewhere alias; {}", location(second));
    stage.site().server(&location(first)).another_server(&other).start()
}

fn ask_elsewhere(nginx: &Nginx<'_>, credential: &str) -> Response {
    nginx.send(&Request::get("/paid/a").host("elsewhere").paid(credential))
}

fn shared_realm(stage: &Stage) {
    let nginx = two_servers(stage, "l402_realm all shared;", "l402_realm all shared;");
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/b", &credential).expect(200);
    ask_elsewhere(&nginx, &credential).expect(200);
    drop(nginx);
    let nginx = two_servers(stage, "l402_realm all;", "l402_realm all;");
    let credential = nginx.buy("/paid/a");
    ask_elsewhere(&nginx, &credential).stale();
    nginx.get_paid("/paid/b", &credential).expect(200);
}

fn realm_off_inside(stage: &Stage) {
    let inner = "location /paid/open/ { l402_realm off; }";
    let nginx = stage.paid_site(&format!("l402_indefinite_access on; l402_realm all; {inner}"));
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/b", &credential).expect(200);
    nginx.get_paid("/paid/open/a", &credential).stale();
}

fn virtual_server(stage: &Stage) {
    let nginx = two_servers(stage, "", "");
    let credential = nginx.buy("/paid/a");
    assert!(ask_elsewhere(&nginx, &credential).stale().contains("origin"));
    let absolute = Request::get("http://elsewhere/paid/a").paid(&credential);
    nginx.send(&absolute).stale();
    // The origin is the server's first name, by whichever the client calls it.
    let there = nginx.send(&Request::get("/paid/a").host("alias")).challenge();
    let origin = format!("origin=elsewhere:{}", nginx.address().port());
    assert!(there.macaroon().texts().contains(&origin));
    let there = stage.buy(&there);
    ask_elsewhere(&nginx, &there).expect(200);
    nginx.get_paid("/paid/a", &there).stale();
    // An unknown host ends at the default server, which is the first, and is another origin.
    nginx.send(&Request::get("/paid/a").host("nobody.example").paid(&credential)).stale();
}

fn query_is_free(stage: &Stage) {
    let nginx = stage.paid_site("l402_indefinite_access on;");
    let challenge = nginx.get("/paid/a?x=1").challenge();
    assert!(challenge.macaroon().texts().contains(&"path=/paid/a".to_owned()));
    nginx.get_paid("/paid/a?y=2", &stage.buy(&challenge)).expect(200);
}

fn computed_price(stage: &Stage) {
    let nginx = stage
        .site()
        .http("map $arg_size $price { default 1000; large 25000; }")
        .paid("l402_amount_msat_default $price; l402_indefinite_access on;")
        .start();
    let small = nginx.get("/paid/a").challenge();
    assert_eq!(small.amount_msat(), 1000);
    assert!(small.macaroon().texts().contains(&"amount_msat=1000".to_owned()));
    let small = stage.buy(&small);
    nginx.get_paid("/paid/a?size=small", &small).expect(200);
    let large = nginx.get_paid("/paid/a?size=large", &small).challenge();
    assert_eq!(large.amount_msat(), 25_000);
    let large = stage.buy(&large);
    nginx.get_paid("/paid/a?size=large", &large).expect(200);
    nginx.get_paid("/paid/a", &large).expect(200);
}

fn constant_price_may_rise(stage: &Stage) {
    let state = stage.dir().join("state");
    let site = |price: u64| {
        let directives = format!("l402_indefinite_access on; l402_amount_msat_default {price};");
        stage.site().state_in(&state).server("l402_origin shop.example;").paid(&directives).start()
    };
    let nginx = site(1000);
    let credential = nginx.buy("/paid/a");
    drop(nginx);
    let nginx = site(50_000);
    nginx.get_paid("/paid/a", &credential).expect(200);
    assert_eq!(nginx.get("/paid/a").challenge().amount_msat(), 50_000);
}

/// Paths of any bytes and lengths are sold, each by itself.
fn odd_paths(stage: &Stage) {
    let site = stage.site();
    let html = site.dir().join("html");
    let long = "l/".repeat(100) + &"o".repeat(200);
    let names = ["a b", "caf\u{e9}", "100%", "a;b", "quo\"te", "plus+", "x=y,z", long.as_str()];
    for name in names {
        let path = html.join("paid").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    let nginx = site.paid("l402_indefinite_access on;").start();
    let escape = |byte: u8| match byte {
        b'/' | b'0'..=b'9' | b'a'..=b'z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let targets = names.map(|name| format!("/paid/{}", name.bytes().map(escape).collect::<String>()));
    let tokens = targets.each_ref().map(|target| nginx.buy(target));
    for (at, target) in targets.iter().enumerate() {
        assert_eq!(nginx.get_paid(target, &tokens[at]).expect(200).text(), names[at]);
        nginx.get_paid(target, &tokens[(at + 1) % tokens.len()]).stale();
    }
}

/// Other ways to write a path, and what nginx takes them for.
const TRICKS: [&str; 24] = [
    "//paid/b",
    "/paid//b",
    "/./paid/b",
    "/paid/./b",
    "/free/../paid/b",
    "/paid/x/../b",
    "/paid/a/../b",
    "/paid/a/..%2fb",
    "/%70aid/b",
    "/paid/%62",
    "/paid%2fb",
    "/paid%2Fb",
    "/paid/%2e/b",
    "/paid/a/%2e%2e/b",
    "/free/%2e%2e/paid/b",
    "/paid/b#x",
    "/paid/b?x",
    "http://localhost/paid/b",
    "/paid/b;x",
    "/paid/b%00",
    "/paid/b%",
    "/paid/b%c0",
    "/PAID/b",
    "/free/a/../../paid/b",
];

/// However the path is written, the file of `/paid/b` costs money.
fn unpaid_tricks(stage: &Stage) {
    let nginx = stage.paid_site("");
    for target in TRICKS {
        let answer = nginx.send(&Request::get(target));
        assert_ne!(answer.text(), content("paid/b"), "{target}");
        assert_ne!(answer.status, 200, "{target}");
        assert!(matches!(answer.status, 400 | 402 | 404), "{target}: {}", answer.status);
    }
}

/// A token for `/paid/a` never opens `/paid/b`; a token for `/paid/b` opens it however it is written.
fn paid_tricks(stage: &Stage) {
    let nginx = stage.paid_site("l402_indefinite_access on;");
    let (for_a, for_b) = (nginx.buy("/paid/a"), nginx.buy("/paid/b"));
    for target in TRICKS {
        let answer = nginx.get_paid(target, &for_a);
        assert_ne!(answer.text(), content("paid/b"), "{target}");
        assert_ne!(answer.status, 200, "{target}");
        let answer = nginx.get_paid(target, &for_b);
        if answer.status == 200 {
            assert_eq!(answer.text(), content("paid/b"), "{target}");
        }
    }
    for same in ["//paid/b", "/%70aid/b", "/paid%2fb", "/paid/b?x", "http://localhost/paid/b"] {
        nginx.get_paid(same, &for_b).expect(200);
    }
}

/// The upstream sees the path that was paid, in the spelling that reaches it when nginx rewrites it, and never
/// one that names another resource.
fn proxied_tricks(stage: &Stage) {
    let upstream = Upstream::start();
    let directives = format!("l402_indefinite_access on; proxy_pass http://{}/paid/;", upstream.address());
    let nginx = stage.paid_site(&directives);
    let for_a = nginx.buy("/paid/a");
    let mut served = 0;
    for target in TRICKS.iter().map(|target| target.replace("/b", "/a")) {
        let before = upstream.hits();
        let answer = nginx.get_paid(&target, &for_a);
        assert_eq!(answer.status == 200, upstream.hits() == before + 1, "{target}");
        if answer.status == 200 {
            served += 1;
            let path = upstream.seen()[before].target.clone();
            assert_eq!(path.split('?').next(), Some("/paid/a"), "{target}");
        }
    }
    assert!(served >= 5, "{served} spellings served");
}

/// What an upstream that decodes and resolves as RFC 3986 and nginx do makes of a target.
fn resolved(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut bytes = path.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        let hex =
            [bytes.clone().next(), bytes.clone().nth(1)].map(|digit| digit.map(char::from)?.to_digit(16));
        plain.push(match (byte, hex) {
            (b'%', [Some(high), Some(low)]) => {
                bytes.nth(1);
                (high * 16 + low) as u8
            }
            _ => byte,
        });
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in plain.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", String::from_utf8_lossy(&parts.join(&b'/')))
}

/// Without a path in `proxy_pass` the upstream gets the client's own spelling: it is one of the path that was paid.
fn proxied_as_written(stage: &Stage) {
    let upstream = Upstream::start();
    let directives = format!("l402_indefinite_access on; proxy_pass http://{};", upstream.address());
    let nginx = stage.paid_site(&directives);
    let for_a = nginx.buy("/paid/a");
    let mut served = 0;
    for target in TRICKS.iter().flat_map(|target| [target.to_string(), target.replace("/b", "/a")]) {
        let before = upstream.hits();
        let answer = nginx.get_paid(&target, &for_a);
        assert_eq!(answer.status == 200, upstream.hits() == before + 1, "{target}");
        if answer.status == 200 {
            served += 1;
            let seen = upstream.seen()[before].target.clone();
            assert_eq!(resolved(&seen), "/paid/a", "{target} reached the upstream as {seen}");
        }
    }
    assert!(served >= 5, "{served} spellings served");
}

/// Without `merge_slashes` one resource has many paths: each is sold by itself, and the operator is told.
fn merge_slashes(stage: &Stage) {
    let site = stage.site().server("merge_slashes off; l402 on;");
    let said = String::from_utf8_lossy(&site.check().stderr).into_owned();
    assert!(said.contains("[warn]") && said.contains("merge_slashes is off"), "{said}");
    let nginx = site.start();
    let credential = nginx.buy("/paid/a");
    for target in ["//paid/a", "/paid//a", "//paid//a"] {
        nginx.get_paid(target, &credential).stale();
        nginx.get(target).challenge();
    }
    nginx.get_paid("/paid/a", &credential).expect(200);
}

/// A token of the cheap place opens nothing of the dear one, of another realm or server; also when it is newer.
fn cheap_and_dear(stage: &Stage) {
    let nginx = stage
        .site()
        .server("l402_indefinite_access on;")
        .server("location /paid/ { l402 on; l402_amount_msat_default 1000000; }")
        .server("location /other/ { l402 on; l402_amount_msat_default 1000; }")
        .server("location /free/ { l402 on; l402_amount_msat_default 1000; l402_realm cheap; }")
        .another_server("server_name elsewhere; location / { l402 on; l402_amount_msat_default 1000; }")
        .start();
    let elsewhere = nginx.send(&Request::get("/paid/a").host("elsewhere")).challenge();
    let cheap = [nginx.buy("/other/a"), nginx.buy("/free/a"), stage.buy(&elsewhere)];
    for credential in &cheap {
        nginx.get_paid("/paid/a", credential).stale();
        for target in ["/other/../paid/a", "/free/../paid/a", "/other/..%2fpaid/a", "/free/%2e%2e/paid/a"] {
            nginx.get_paid(target, credential).expect(400);
        }
    }
    let all = format!("L402 {}", cheap.each_ref().map(|it| it.trim_start_matches("L402 ")).join(","));
    nginx.get_paid("/paid/a", &all).stale();
    assert_eq!(nginx.get("/paid/a").challenge().amount_msat(), 1_000_000);
}

/// Control characters of the configuration: refused; those of a client's path are not in the invoice's description.
fn injection_by_the_operator(stage: &Stage) {
    for realm in ["a\\r\\nSet-Cookie: x=1", "a\\nb", "a\\tb", "a\u{7f}b"] {
        let said = stage.site().paid(&format!("l402_indefinite_access on; l402_realm \"{realm}\";")).check();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success(), "{realm:?} is a realm");
        assert!(text.contains("l402_realm") && text.contains("expected a name"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("Set-Cookie") || line.starts_with('b')), "{text}");
    }
    let nginx = stage.site().server("l402 on;").start();
    for target in ["/paid/%0d%0aSet-Cookie:%20x=1", "/paid/%22%1b[31m", "/paid/<script>"] {
        let challenge = nginx.get(target).challenge();
        let hash = crate::harness::sim::hash_from(&challenge.macaroon().payment_hash());
        let memo = stage.sim().invoice(&hash).expect("our invoice").memo;
        assert!(!memo.contains(char::is_control), "{memo:?}");
    }
}

fn injection(stage: &Stage) {
    let nginx = stage
        .site()
        .paid("l402_indefinite_access on; l402_realm 'quo\"te, back\\\\slash é';")
        .server("location /other/ { l402 on; }")
        .start();
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/b", &credential).expect(200);
    for target in [
        "/other/%0d%0aSet-Cookie:%20x=1",
        "/other/\"%22",
        "/other/%22,%20invoice=%22lnbc1",
        "/other/%c3%a9%ff%00x",
        "/other/<script>",
        "/other/%0d%0a%0d%0aHTTP/1.1%20200",
    ] {
        let answer = nginx.get(target);
        assert_eq!(answer.header("Set-Cookie"), None, "{target}");
        assert!(!answer.text().contains("<script>") || answer.status == 400, "{target}");
        if answer.status != 400 {
            let challenge = answer.challenge();
            let texts = challenge.macaroon().texts();
            let path = texts.iter().find(|text| text.starts_with("path=")).expect("a path");
            assert!(path.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{path:?}");
            let refused = nginx.get_paid(target, &credential);
            refused.stale();
            assert_eq!(refused.header("Set-Cookie"), None);
        }
    }
    let refused = Request::get("/other/a").paid("L402 \"\u{1}\"x\t<script>:zz");
    let answer = nginx.send(&refused);
    assert!(matches!(answer.status, 400 | 401), "{}", answer.status);
    assert!(!answer.text().contains("<script>"), "{}", answer.text());
    for line in nginx.error_log().lines().chain(nginx.access_log().lines()) {
        assert!(!line.starts_with("Set-Cookie") && !line.starts_with("HTTP/1.1 200"), "{line}");
        assert!(line.bytes().all(|byte| byte >= 0x20 || byte == b'\t'), "{line:?}");
    }
}
