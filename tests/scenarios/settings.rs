//! Directives: their words, their merging, their variables, and backends by name.

use crate::harness::http::Request;
use crate::harness::node::Node;
use crate::harness::scenario::Scenario;
use crate::harness::sim::Simulated;
use crate::harness::site::content;
use crate::harness::stage::Stage;
use crate::harness::wallet::Wallet;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("settings::merging", merging),
    Scenario::on_nodes("settings::boolean_words", boolean_words),
    Scenario::on_nodes("settings::map", map),
    Scenario::on_nodes("settings::geo", geo),
    Scenario::on_nodes("settings::bad_values_are_never_free", bad_values_are_never_free),
    Scenario::on_nodes("settings::backends", backends),
    Scenario::on_nodes("settings::backend_called_default", backend_called_default),
];

fn merging(stage: &Stage) {
    let nginx = stage
        .site()
        .without_price()
        .http("l402 on; l402_amount_msat_default 1000; l402_max_uses 2; l402_macaroon_timeout 1h;")
        .server("location /free/ { l402 off; }")
        .server(
            "location /paid/ { l402_amount_msat_default 2000; location /paid/open/ { l402_max_uses 1; } }",
        )
        .server("location /other/ { l402_macaroon_timeout 0; l402_indefinite_access on; }")
        .another_server("server_name dear; l402_amount_msat_default 3000; location /free/ { l402 off; }")
        .another_server(
            "server_name open; l402 off; location /paid/ { l402 on; l402_amount_msat_default 4000; }",
        )
        .start();
    let ask = |host: &str, path: &str| nginx.send(&Request::get(path).host(host));
    let has = |host: &str, path: &str, price: u64, uses: &str, expires: bool| {
        let challenge = ask(host, path).challenge();
        let texts = challenge.macaroon().texts();
        assert_eq!(challenge.amount_msat(), price, "{host}{path}");
        assert!(texts.contains(&format!("uses={uses}")), "{host}{path}: {texts:?}");
        let expiring = texts.iter().any(|text| text.starts_with("valid_until="));
        assert_eq!(expiring, expires, "{host}{path}: {texts:?}");
    };
    has("localhost", "/page.html", 1000, "2", true);
    has("localhost", "/paid/a", 2000, "2", true);
    has("localhost", "/paid/open/a", 2000, "1", true);
    has("localhost", "/other/a", 1000, "unlimited", false);
    has("dear", "/paid/a", 3000, "2", true);
    has("open", "/paid/a", 4000, "2", true);
    for (host, path) in [("localhost", "/free/a"), ("dear", "/free/a"), ("open", "/other/a")] {
        ask(host, path).expect(200);
    }
    stage.assert_invoices(6);
}

fn boolean_words(stage: &Stage) {
    let (on, off) = (["on", "true", "1", "yes", "ON", "True"], ["off", "false", "0", "no", "OFF", "No"]);
    let mut site = stage.site();
    for (number, word) in on.into_iter().chain(off).enumerate() {
        site = site.server(&format!("location /{number}/ {{ l402 {word}; alias html/free/; }}"));
    }
    let nginx = site.start();
    for number in 0..on.len() {
        nginx.get(&format!("/{number}/a")).challenge();
    }
    for number in on.len()..on.len() + off.len() {
        nginx.get(&format!("/{number}/a")).expect(200);
    }
}

fn map(stage: &Stage) {
    let nginx = stage
        .site()
        .http("map $http_x_plan $sold { default on; gold off; }")
        .http("map $uri $price { default 1000; ~/b$ 2000; }")
        .server("location /paid/ { l402 $sold; l402_amount_msat_default $price; }")
        .start();
    assert_eq!(nginx.get("/paid/a").challenge().amount_msat(), 1000);
    assert_eq!(nginx.get("/paid/b").challenge().amount_msat(), 2000);
    nginx.send(&Request::get("/paid/a").header("X-Plan", "gold")).expect(200);
    stage.assert_invoices(2);
    nginx.get_paid("/paid/b", &nginx.buy("/paid/b")).expect(200);
}

fn geo(stage: &Stage) {
    let nginx = stage
        .site()
        .http("geo $arg_from $sold { default on; 10.0.0.0/8 off; }")
        .server("location /paid/ { l402 $sold; }")
        .start();
    nginx.get("/paid/a?from=192.0.2.1").challenge();
    nginx.get("/paid/a?from=10.1.2.3").expect(200);
}

/// A value that is no boolean or no price is an error, and never makes anything free.
fn bad_values_are_never_free(stage: &Stage) {
    let nginx = stage
        .site()
        .server("location /paid/ { l402 $arg_sold; l402_amount_msat_default $arg_price; }")
        .server("location /other/ { l402 on; l402_amount_msat_default $arg_price; }")
        .start();
    for (query, setting) in [
        ("sold=maybe&price=1000", "l402 "),
        ("sold=&price=1000", "l402 "),
        ("price=1000", "l402 "),
        ("sold=of&price=1000", "l402 "),
        ("sold=on", "l402_amount_msat_default"),
        ("sold=on&price=", "l402_amount_msat_default"),
        ("sold=on&price=0", "l402_amount_msat_default"),
        ("sold=on&price=-1", "l402_amount_msat_default"),
        ("sold=on&price=1e3", "l402_amount_msat_default"),
        ("sold=on&price=99999999999999999999999", "l402_amount_msat_default"),
        ("sold=on&price=%0a", "l402_amount_msat_default"),
    ] {
        let before = nginx.error_log().len();
        let answer = nginx.get(&format!("/paid/a?{query}"));
        assert_eq!(answer.status, 500, "{query}");
        assert_ne!(answer.text(), content("paid/a"));
        let line = nginx.wait_for_error(setting, before);
        assert!(line.contains("[error]") && line.contains("expected"), "{line}");
        let log = nginx.error_log();
        assert_eq!(log[before..].lines().filter(|line| line.contains("[error]")).count(), 1, "{query}");
    }
    nginx.get("/other/a?price=x").expect(500);
    nginx.get("/paid/a?sold=off").expect(200);
    nginx.get("/paid/a?sold=on&price=1000").challenge();
    stage.assert_invoices(1);
}

/// The lines of an `l402_backend` block for a node.
fn block(name: &str, node: &dyn Node) -> String {
    format!(
        "l402_backend {name} {{ type lnd; address {}; macaroon {}; cert {}; timeout 5s; }}",
        node.address(),
        node.macaroon("invoice").display(),
        node.certificate().display()
    )
}

fn backends(stage: &Stage) {
    let (second, third) = (Simulated::start(), Simulated::start());
    let nginx = stage
        .site()
        .http(&block("second", &second))
        .http(&block("third-one", &third))
        .server("l402 on;")
        .server("location /paid/ { l402_backend second; location /paid/open/ { l402_backend third-one; } }")
        .start();
    let made = |node: &Simulated| node.sim().map(|sim| sim.calls(lnsim::Method::AddInvoice));
    let first = nginx.get("/other/a").challenge();
    nginx.get_paid("/other/a", &stage.buy(&first)).expect(200);
    for (path, node) in [("/paid/a", &second), ("/paid/open/a", &third)] {
        assert_eq!(made(node), Some(0));
        let challenge = nginx.get(path).challenge();
        assert_eq!(made(node), Some(1));
        let preimage = node.pay(&challenge.invoice).unwrap();
        nginx.get_paid(path, &challenge.paid_with(&preimage)).expect(200);
    }
    stage.assert_invoices(1);
}

fn backend_called_default(stage: &Stage) {
    let nginx =
        stage.site().without_env("LN_CLIENT_TYPE").http(&block("default", stage.node())).paid("").start();
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
    stage.assert_invoices(1);
}
