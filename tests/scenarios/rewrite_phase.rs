//! What nginx answers in its rewrite phase is free, and `nginx -t` says so; what only looks like it is let alone.

use crate::harness::http::Request;
use crate::harness::scenario::Scenario;
use crate::harness::site::content;
use crate::harness::stage::Stage;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("rewrite_phase::is_warned_of", is_warned_of),
    Scenario::on_simulator("rewrite_phase::conditions_are_not", conditions_are_not),
    Scenario::on_simulator("rewrite_phase::server_that_refuses_some", server_that_refuses_some),
    Scenario::on_simulator("rewrite_phase::recursive_error_pages", recursive_error_pages),
];

/// The warnings about a configuration that passes.
fn warnings(stage: &Stage, server: &str) -> Vec<String> {
    let said = stage.site().server(server).check();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{server}: {text}");
    text.lines().filter(|line| line.contains("[warn]")).map(str::to_owned).collect()
}

fn is_warned_of(stage: &Stage) {
    for (server, named) in [
        ("location /gift { l402 on; return 200 secret; }", "location \"/gift\""),
        ("location = /gift { l402 on; return 204; }", "location \"/gift\""),
        ("location /gift { l402 on; return 301 /other/; }", "location \"/gift\""),
        ("location /gift { l402 on; return 404; }", "location \"/gift\""),
        ("location /gift { l402 on; if ($arg_a) { return 200 secret; } }", "location \"/gift\""),
        ("location ~ /gift { l402 on; rewrite ^ /other/ redirect; }", "location \"/gift\""),
        (
            "location /gift { l402 on; rewrite ^/(.*)$ https://other.example/$1 permanent; }",
            "location \"/gift\"",
        ),
        ("location /gift { l402 on; rewrite ^ http://other.example/; }", "location \"/gift\""),
        ("l402 on; location /gift { return 200 secret; }", "location \"/gift\""),
        (
            "location /outer { l402 on; location /outer/gift { return 200 secret; } }",
            "location \"/outer/gift\"",
        ),
        ("l402 on; return 200 secret;", "a server"),
    ] {
        let warned = warnings(stage, server);
        assert_eq!(warned.len(), 1, "{server}: {warned:#?}");
        assert!(warned[0].contains(named) && warned[0].contains("nginx.conf:"), "{server}: {warned:?}");
        let statement = if server.contains("return") { "return" } else { "rewrite" };
        assert!(warned[0].contains(statement), "{server}: {warned:?}");
    }
    // It is free, as is said.
    let nginx = stage.site().server("location /gift { l402 on; return 200 secret; }").start();
    assert_eq!(nginx.get("/gift").expect(200).text(), "secret");
}

fn conditions_are_not(stage: &Stage) {
    for server in [
        "location /a { l402 on; if ($arg_a) { return 403; } }",
        "location /a { l402 on; if ($http_x) { rewrite ^ /b redirect; } }",
        "location /a { l402 on; rewrite ^/a/(.*)$ /paid/$1 last; }",
        "location /a { l402 on; rewrite ^/a/(.*)$ /paid/$1 break; }",
        "location /a { l402 on; set $x 200; }",
        "location /a { l402 off; return 200 open; }",
        "location /a { return 200 open; }",
        "l402 on; error_page 402 = @page; location /a { } location @page { return 402 '<h1>Pay</h1>'; }",
    ] {
        let warned = warnings(stage, server);
        assert!(warned.is_empty(), "{server}: {warned:#?}");
    }
}

/// A server that says `l402 on` and leaves the prices to its locations may turn some requests away before.
fn server_that_refuses_some(stage: &Stage) {
    let server = "l402 on; if ($arg_refused) { return 403; } \
                  location /paid/ { l402_amount_msat_default 1000; if ($arg_teapot) { return 418; } }";
    let nginx = stage.site().without_price().server(server).start();
    nginx.get("/paid/a?refused=1").expect(403);
    nginx.get("/paid/a?teapot=1").expect(418);
    let credential = nginx.buy("/paid/a");
    assert_eq!(nginx.get_paid("/paid/a", &credential).expect(200).text(), content("paid/a"));
    // What no location serves has no price, and is never free.
    stage.tolerate("l402_amount_msat_default");
    nginx.get("/other/a").expect(500);
}

/// The page for a 402 is sold itself, and its own 402 has the same page.
fn recursive_error_pages(stage: &Stage) {
    let upstream = crate::harness::upstream::Upstream::start();
    for page in ["/pay.html", "/paid/pay.html", "@pay"] {
        let nginx = stage
            .site()
            .server("l402 on; recursive_error_pages on;")
            .server(&format!(
                "error_page 402 {page}; location @pay {{ proxy_pass http://{}; }}",
                upstream.address()
            ))
            .start();
        let before = upstream.hits();
        let answer = nginx.get("/paid/a");
        let challenge = answer.challenge();
        assert_eq!(upstream.hits(), before, "the page is not given away");
        nginx.get_paid("/paid/a", &stage.buy(&challenge)).expect(200);
        nginx.send(&Request::get("/paid/a").paid("L402 rubbish")).refusal();
    }
    let open = "l402 on; recursive_error_pages on; error_page 402 /free/a; location /free/ { l402 off; }";
    let nginx = stage.site().server(open).start();
    let answer = nginx.get("/paid/a");
    assert_eq!(answer.text(), content("free/a"));
    nginx.get_paid("/paid/a", &stage.buy(&answer.challenge())).expect(200);
}
