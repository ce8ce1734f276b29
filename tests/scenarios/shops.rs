//! Origins and routes: a token opens what it was sold for, in the shop that sold it, whatever the configuration is called.

use std::net::SocketAddr;

use crate::harness::http::{Request, Response};
use crate::harness::process;
use crate::harness::scenario::Scenario;
use crate::harness::site::content;
use crate::harness::stage::Stage;
use crate::harness::upstream::Upstream;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("origin::of_each_port", of_each_port),
    Scenario::on_simulator("origin::of_hosts_that_no_server_names", of_hosts_that_no_server_names),
    Scenario::on_simulator("origin::of_host_roots", of_host_roots),
    Scenario::on_simulator("origin::names_in_any_order", names_in_any_order),
    Scenario::on_simulator("origin::said_by_hand", said_by_hand),
    Scenario::on_simulator("origin::of_http2_and_absolute_targets", of_http2_and_absolute_targets),
    Scenario::on_simulator("origin::two_servers_of_one", two_servers_of_one),
    Scenario::on_simulator("origin::former_tokens_buy_another", former_tokens_buy_another),
    Scenario::on_simulator("route::by_argument_cookie_and_header", by_argument_cookie_and_header),
    Scenario::on_simulator("route::to_named_locations", to_named_locations),
    Scenario::on_simulator("route::is_sold_and_served", is_sold_and_served),
];

const SOLD: &str = "l402 on; l402_indefinite_access on;";

/// Another port of this machine.
fn another_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], process::free_port()))
}

fn ask(to: SocketAddr, host: &str, credential: Option<&str>) -> Response {
    let request = Request::get("/paid/a").host(host);
    credential.map_or(request.clone(), |credential| request.paid(credential)).send(to)
}

/// Two servers of one port each: a token of one opens nothing of the other, whatever they are called.
fn of_each_port(stage: &Stage) {
    for names in [
        "",
        "server_name _;",
        "server_name shop.example;",
        "server_name *.example;",
        "server_name ~^(?<x>.+)$;",
    ] {
        let dear = another_port();
        let site = stage.site();
        let html = site.dir().join("html");
        let cheap = another_port();
        let server = |listen: SocketAddr, price: u64| {
            format!(
                "server {{ listen {listen}; {names} root {}; location /paid/ {{ {SOLD} l402_amount_msat_default {price}; }} }}",
                html.display()
            )
        };
        let nginx = site.http(&server(cheap, 1000)).http(&server(dear, 9_000_000)).start();
        for host in ["shop.example", "127.0.0.1", "other.example:81"] {
            let challenge = ask(cheap, host, None).challenge();
            let credential = stage.buy(&challenge);
            ask(cheap, host, Some(&credential)).expect(200);
            let there = ask(dear, host, Some(&credential));
            assert_eq!(
                there.stale(),
                "the token is for another origin; this buys one for this request",
                "{names}"
            );
            assert_eq!(there.challenge().amount_msat(), 9_000_000);
        }
        drop(nginx);
    }
}

/// A host that no server names ends at the default server, and is a shop of its own there.
fn of_hosts_that_no_server_names(stage: &Stage) {
    let nginx = stage.site().paid("l402_indefinite_access on;").start();
    let port = nginx.address().port();
    let bought = |host: &str| {
        let challenge = ask(nginx.address(), host, None).challenge();
        (challenge.macaroon().texts()[0].clone(), stage.buy(&challenge))
    };
    let (named, of_named) = bought("localhost");
    let (one, of_one) = bought("One.Example.");
    let (_, of_other) = bought("other.example");
    assert_eq!((named, one), (format!("origin=localhost:{port}"), format!("origin=one.example:{port}")));
    let open = |host: &str, credential: &str| ask(nginx.address(), host, Some(credential)).status;
    for (host, credential) in
        [("localhost", &of_named), ("one.example", &of_one), ("other.example:99", &of_other)]
    {
        assert_eq!(open(host, credential), 200, "{host}");
    }
    for (host, credential) in [
        ("localhost", &of_one),
        ("one.example", &of_named),
        ("one.example", &of_other),
        ("other.example", &of_one),
    ] {
        assert_eq!(open(host, credential), 402, "{host}");
    }
    // Without a host it is the server's own name.
    let hostless = "GET /paid/a HTTP/1.0\r\n\r\n";
    let mut connection = nginx.connect();
    connection.write(hostless.as_bytes()).unwrap();
    let challenge = connection.read("GET").unwrap().challenge();
    assert_eq!(challenge.macaroon().texts()[0], format!("origin=localhost:{port}"));
}

/// With a root or an upstream by `$host` each host has goods of its own.
fn of_host_roots(stage: &Stage) {
    let upstream = Upstream::answering(|seen| {
        crate::harness::upstream::Reply::ok(format!("of {}", seen.header("Host").unwrap_or_default()))
    });
    let pass = format!(
        "location /paid/ {{ {SOLD} proxy_set_header Host $host; proxy_pass http://{}; }}",
        upstream.address()
    );
    for names in ["server_name *.shop;", "server_name ~^(?<user>.+)\\.shop$;"] {
        let nginx = stage.site().another_server(&format!("{names} {pass}")).start();
        let challenge = ask(nginx.address(), "alice.shop", None).challenge();
        let alice = stage.buy(&challenge);
        assert_eq!(ask(nginx.address(), "alice.shop", Some(&alice)).expect(200).text(), "of alice.shop");
        ask(nginx.address(), "bob.shop", Some(&alice)).stale();
    }
}

/// A server's first name may change: its exact names are one shop.
fn names_in_any_order(stage: &Stage) {
    let state = stage.dir().join("state");
    let site = |names: &str| {
        let server = format!("server_name {names}; location / {{ {SOLD} }}");
        stage.site().state_in(&state).another_server(&server)
    };
    let nginx = site("old.example new.example").start();
    let port = nginx.address().port();
    let challenge = ask(nginx.address(), "new.example", None).challenge();
    assert_eq!(challenge.macaroon().texts()[0], format!("origin=old.example:{port}"));
    let credential = stage.buy(&challenge);
    ask(nginx.address(), "old.example", Some(&credential)).expect(200);
    drop(nginx);
    for (names, status) in [("new.example old.example", 200), ("new.example", 402)] {
        let nginx = site(names).on_port(port).start();
        let answer = ask(nginx.address(), "new.example", Some(&credential));
        assert_eq!(answer.status, status, "{names}");
    }
}

fn said_by_hand(stage: &Stage) {
    let (second, site) = (another_port(), stage.site());
    let html = site.dir().join("html");
    let other = format!(
        "server {{ listen {second}; server_name b.example; l402_origin shop.example; root {}; location /paid/ {{ {SOLD} }} }}",
        html.display()
    );
    let nginx =
        site.server("l402_origin Shop.Example;").paid("l402_indefinite_access on;").http(&other).start();
    let challenge = nginx.get("/paid/a").challenge();
    assert_eq!(challenge.macaroon().texts()[0], "origin=shop.example");
    let credential = stage.buy(&challenge);
    for (to, host) in
        [(nginx.address(), "localhost"), (nginx.address(), "any"), (second, "b.example"), (second, "c")]
    {
        ask(to, host, Some(&credential)).expect(200);
    }
    drop(nginx);
    for (bad, complaint) in
        [("https://shop", "expected a host"), ("*.shop", "expected a host"), ("a b", "invalid number")]
    {
        let said = stage.site().server(&format!("l402_origin {bad};")).paid("").check();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && text.contains(complaint) && text.contains("nginx.conf:"), "{text}");
    }
}

fn of_http2_and_absolute_targets(stage: &Stage) {
    let nginx = stage.site().with_http2().paid("l402_indefinite_access on;").start();
    let (first, second) = (nginx.address(), nginx.second_address());
    let authority = |host: &str, credential: Option<&str>| {
        let host = format!("Host: {host}");
        let paid = credential.map(|credential| format!("Authorization: {credential}"));
        let headers: Vec<&str> = [Some(host.as_str()), paid.as_deref()].into_iter().flatten().collect();
        crate::harness::curl::http2(second, "/paid/a", &headers)
    };
    let challenge = authority("other.example", None).challenge();
    assert_eq!(challenge.macaroon().texts()[0], format!("origin=other.example:{}", second.port()));
    let credential = stage.buy(&challenge);
    authority("other.example", Some(&credential)).expect(200);
    authority("localhost", Some(&credential)).stale();
    // An absolute target names the host, whatever `Host` says.
    let absolute = Request::get("http://third.example/paid/a").host("localhost");
    let challenge = absolute.send(first).challenge();
    assert_eq!(challenge.macaroon().texts()[0], format!("origin=third.example:{}", first.port()));
    let credential = stage.buy(&challenge);
    ask(first, "third.example", Some(&credential)).expect(200);
    ask(first, "localhost", Some(&credential)).stale();
}

/// `nginx -t` refuses two servers that sell and can have one origin, unless both say theirs.
fn two_servers_of_one(stage: &Stage) {
    // The ports need not be free: nothing is started.
    let check = |one: &str, other: &str, sells: &str| {
        let server = |text: &str, sells: &str| format!("server {{ {text} location /x/ {{ {sells} }} }}");
        let site = stage.site().http(&server(one, "l402 on;")).http(&server(other, sells));
        let said = site.check();
        (said.status.success(), String::from_utf8_lossy(&said.stderr).into_owned())
    };
    let address = |last: u8, port: u16| format!("listen 127.0.0.{last}:{port};");
    let (a80, b443) = (address(2, 80), address(3, 443));
    for (one, other) in [
        (format!("{a80} server_name shop.example;"), format!("{b443} server_name shop.example;")),
        (a80.clone(), b443.clone()),
        (format!("{} server_name a.example;", address(2, 8080)), address(3, 8080)),
        (
            format!("{} server_name a.example;", address(2, 80)),
            format!("{} server_name *.example;", address(3, 80)),
        ),
        (
            format!("{a80} server_name shop.example; l402_origin shop.example;"),
            format!("{b443} server_name shop.example;"),
        ),
    ] {
        let (good, text) = check(&one, &other, "l402 on;");
        assert!(
            !good && text.contains("both sell") && text.matches("nginx.conf:").count() >= 2,
            "{one} {other}: {text}"
        );
        let (good, text) = check(&one, &other, "");
        assert!(good, "{one} {other}: {text}");
    }
    for (one, other) in [
        (format!("{a80} server_name a; l402_origin a;"), format!("{b443} server_name a; l402_origin a;")),
        (address(2, 8080), address(2, 8081)),
        (format!("{a80} server_name a.example;"), format!("{a80} server_name b.example;")),
        (format!("{a80} server_name a.example;"), format!("{a80} server_name *.example;")),
    ] {
        let (good, text) = check(&one, &other, "l402 on;");
        assert!(good, "{one} {other}: {text}");
    }
}

/// A genuine token of a kind that is sold no more is no reason to turn its holder away.
fn former_tokens_buy_another(stage: &Stage) {
    let key = "a root key that only this test and nginx know";
    stage.keep_secret(key);
    let nginx = stage.site().env("ROOT_KEY", key).paid("l402_indefinite_access on;").start();
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = stage.pay(&challenge);
    let root = l402::RootKey::from_material(key.as_bytes()).unwrap();
    let identifier = l402::Identifier::decode(&challenge.macaroon().identifier).unwrap();
    let texts = ["server=localhost", "path=/paid/a", "method=GET", "uses=unlimited"];
    let former = l402::Macaroon::mint(&root, &identifier, "l402", texts).to_base64();
    let reason = nginx.get_paid("/paid/a", &format!("L402 {former}:{preimage}")).stale();
    assert!(reason.contains("not of the kind that is sold here"), "{reason}");
    nginx.get_paid("/paid/a", &challenge.paid_with(&preimage)).expect(200);
}

/// Whatever makes a rewrite lead elsewhere: the token of the cheap place does not open the dear one.
fn by_argument_cookie_and_header(stage: &Stage) {
    for (condition, target, headers) in [
        ("$arg_full", "/a.txt?full=1", &[][..]),
        ("$cookie_full", "/a.txt", &[("Cookie", "full=1")]),
        ("$http_x_full", "/a.txt", &[("X-Full", "1")]),
    ] {
        let site = stage.site();
        let html = site.dir().join("html");
        std::fs::create_dir_all(html.join("full")).unwrap();
        std::fs::write(html.join("a.txt"), "cheap").unwrap();
        std::fs::write(html.join("full/a.txt"), "dear").unwrap();
        let nginx = site
            .server(&format!(
                "location / {{ if ({condition}) {{ rewrite ^ /full$uri last; }} {SOLD} l402_amount_msat_default 1000; }} \
                 location /full/ {{ internal; {SOLD} l402_amount_msat_default 5000000; }}"
            ))
            .start();
        let dear = |credential: &str| {
            let request = headers
                .iter()
                .fold(Request::get(target), |request, (name, value)| request.header(name, *value));
            nginx.send(&request.paid(credential))
        };
        let cheap = nginx.buy("/a.txt");
        assert_eq!(nginx.get_paid("/a.txt", &cheap).expect(200).text(), "cheap");
        let answer = dear(&cheap);
        assert_eq!(
            answer.stale(),
            "the token is for another route; this buys one for this request",
            "{condition}"
        );
        let challenge = answer.challenge();
        assert_eq!(challenge.amount_msat(), 5_000_000);
        let texts = challenge.macaroon().texts();
        assert!(texts.contains(&"route=/full/a.txt".to_owned()), "{texts:?}");
        assert!(texts.contains(&"amount_msat=5000000".to_owned()), "{texts:?}");
        // Nothing that a holder appends makes the one the other.
        for more in [&["route=/full/a.txt"][..], &["route=/full/a.txt", "amount_msat=5000000"]] {
            let token = cheap.strip_prefix("L402 ").unwrap().split_once(':').unwrap();
            let widened = more
                .iter()
                .fold(crate::harness::macaroon::Macaroon::from_base64(token.0), |it, text| it.with(text));
            dear(&format!("L402 {}:{}", widened.base64(), token.1)).refusal();
        }
        let paid = stage.buy(&challenge);
        assert_eq!(dear(&paid).expect(200).text(), "dear");
        nginx.get_paid("/a.txt", &paid).stale();
    }
}

/// A named location has no path of its own: its name is bound.
fn to_named_locations(stage: &Stage) {
    let nginx = stage
        .site()
        .server(&format!(
            "error_page 418 = @dear; recursive_error_pages on; \
             location /paid/ {{ if ($arg_full) {{ return 418; }} {SOLD} l402_amount_msat_default 1000; }} \
             location @dear {{ {SOLD} l402_amount_msat_default 5000000; try_files /other/a =404; }}"
        ))
        .start();
    let cheap = nginx.buy("/paid/a");
    assert_eq!(nginx.get_paid("/paid/a", &cheap).expect(200).text(), content("paid/a"));
    let answer = nginx.get_paid("/paid/a?full=1", &cheap);
    assert!(answer.stale().contains("another route"));
    assert!(answer.challenge().macaroon().texts().contains(&"route=@dear".to_owned()));
    let dear = stage.buy(&answer.challenge());
    assert_eq!(nginx.get_paid("/paid/a?full=1", &dear).expect(200).text(), content("other/a"));
}

/// What is reached by one way is sold and served by it, also as a realm, for which the way does not matter.
fn is_sold_and_served(stage: &Stage) {
    let nginx = stage
        .site()
        .server(
            "rewrite ^/short/(.*)$ /paid/$1 last; location /realm/ { rewrite ^/realm(.*)$ /other$1 last; }",
        )
        .paid("")
        .server(&format!("location /other/ {{ {SOLD} l402_realm all; }}"))
        .start();
    let credential = nginx.buy("/short/a");
    assert_eq!(nginx.get_paid("/short/a", &credential).expect(200).text(), content("paid/a"));
    nginx.get_paid("/short/a", &credential).challenge();
    let of_realm = nginx.buy("/realm/a");
    for target in ["/realm/a", "/other/a"] {
        assert_eq!(nginx.get_paid(target, &of_realm).expect(200).text(), content("other/a"));
    }
}
