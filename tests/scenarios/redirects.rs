//! Inside nginx a request may change its place: one payment covers that, and nobody gets around the first.

use crate::harness::http::Request;
use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::site::content;
use crate::harness::stage::Stage;
use crate::harness::upstream::{Reply, Upstream};

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("redirects::error_page_402_named", error_page_402_named),
    Scenario::on_nodes("redirects::error_page_402_file", error_page_402_file),
    Scenario::on_nodes("redirects::error_page_402_sold", error_page_402_sold),
    Scenario::on_nodes("redirects::error_page_404", error_page_404),
    Scenario::on_nodes("redirects::index", index),
    Scenario::on_nodes("redirects::try_files", try_files),
    Scenario::on_nodes("redirects::named_location", named_location),
    Scenario::on_nodes("redirects::rewrite", rewrite),
    Scenario::on_nodes("redirects::x_accel_redirect", x_accel_redirect),
    Scenario::on_nodes("redirects::into_paid", into_paid),
    Scenario::on_nodes("redirects::mirror", mirror),
];

/// One payment, one 200 with this text, no second one, and as many invoices as challenges.
#[track_caller]
fn one_payment(stage: &Stage, nginx: &Nginx<'_>, target: &str, text: &str) {
    let unpaid = nginx.get(target);
    assert!(!unpaid.text().contains(text), "{}", unpaid.text());
    let credential = stage.buy(&unpaid.challenge());
    let answer = nginx.get_paid(target, &credential).expect(200);
    assert_eq!(answer.text(), text);
    nginx.get_paid(target, &credential).challenge();
    stage.assert_invoices(2);
}

fn error_page_402_named(stage: &Stage) {
    let nginx = stage
        .site()
        .server("l402 on; error_page 402 = @page;")
        .server("location /paid/ { } location @page { default_type text/html; return 402 '<h1>Pay</h1>'; }")
        .start();
    let answer = nginx.get("/paid/a");
    assert_eq!(answer.text(), "<h1>Pay</h1>");
    assert_eq!(answer.header("Content-Type"), Some("text/html"));
    let credential = stage.buy(&answer.challenge());
    assert_eq!(nginx.get_paid("/paid/a", &credential).expect(200).text(), content("paid/a"));
    nginx.get_paid("/paid/a", &credential).challenge();
    nginx.get_paid("/paid/a", "L402 rubbish").refusal();
    stage.assert_invoices(2);
}

fn error_page_402_file(stage: &Stage) {
    let nginx = stage.site().server("l402 on; error_page 402 /free/a; location /free/ { l402 off; }").start();
    let answer = nginx.get("/paid/a");
    assert_eq!(answer.text(), content("free/a"));
    stage.assert_invoices(1);
    let credential = stage.buy(&answer.challenge());
    nginx.get_paid("/paid/a", &credential).expect(200);
}

/// The page is sold itself: it is not given away, and there is no second invoice.
fn error_page_402_sold(stage: &Stage) {
    let nginx = stage.site().server("l402 on; error_page 402 /page.html;").start();
    let answer = nginx.get("/paid/a");
    assert!(answer.text().contains("payment_required"), "{}", answer.text());
    stage.assert_invoices(1);
    nginx.get_paid("/paid/a", &stage.buy(&answer.challenge())).expect(200);
}

fn error_page_404(stage: &Stage) {
    let nginx = stage.site().server("l402 on; error_page 404 /page.html;").start();
    let unpaid = nginx.get("/paid/missing");
    let credential = stage.buy(&unpaid.challenge());
    let answer = nginx.get_paid("/paid/missing", &credential).expect(404);
    assert_eq!(answer.text(), content("page.html"));
    nginx.get_paid("/paid/missing", &credential).challenge();
    stage.assert_invoices(2);
}

fn index(stage: &Stage) {
    let nginx = stage.site().server("l402 on;").start();
    one_payment(stage, &nginx, "/paid/", &content("paid/index.html"));
    // What was sold is the path of the client's request, not the file behind it.
    let credential = nginx.buy("/paid/");
    nginx.get_paid("/paid/index.html", &credential).stale();
}

fn try_files(stage: &Stage) {
    let nginx =
        stage.site().server("l402 on; location /nothing { try_files $uri.none /none$uri /other/a; }").start();
    one_payment(stage, &nginx, "/nothing", &content("other/a"));
}

fn named_location(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage
        .site()
        .server("l402 on; try_files $uri @app;")
        .server(&format!("location @app {{ l402 on; proxy_pass http://{}; }}", upstream.address()))
        .start();
    one_payment(stage, &nginx, "/app/x?y=1", "upstream GET /app/x?y=1");
    assert_eq!(upstream.hits(), 1);
}

fn rewrite(stage: &Stage) {
    let nginx =
        stage.site().server("rewrite ^/shop/(.*)$ /paid/$1 last;").paid("l402_indefinite_access on;").start();
    let challenge = nginx.get("/shop/a").challenge();
    assert!(challenge.macaroon().texts().contains(&"path=/shop/a".to_owned()));
    let credential = stage.buy(&challenge);
    assert_eq!(nginx.get_paid("/shop/a", &credential).expect(200).text(), content("paid/a"));
    nginx.get_paid("/shop/b", &credential).stale();
    nginx.get_paid("/paid/a", &credential).stale();
}

fn x_accel_redirect(stage: &Stage) {
    let upstream = Upstream::answering(|seen| {
        let target = match seen.target.as_str() {
            "/paid/named" => "@named",
            _ => "/internal/a",
        };
        Reply(200, vec![("X-Accel-Redirect".to_owned(), target.to_owned())], String::new())
    });
    let nginx = stage
        .site()
        .server("l402 on; location /internal/ { internal; }")
        .server("location @named { try_files /other/a =500; }")
        .server(&format!("location /paid/ {{ proxy_pass http://{}; }}", upstream.address()))
        .start();
    one_payment(stage, &nginx, "/paid/a", &content("internal/a"));
    assert_eq!(upstream.hits(), 1);
    let credential = nginx.buy("/paid/named");
    assert_eq!(nginx.get_paid("/paid/named", &credential).expect(200).text(), content("other/a"));
    nginx.get("/internal/a").expect(404);
}

/// A free place that leads into a paid one has not been paid for.
fn into_paid(stage: &Stage) {
    let upstream = Upstream::answering(|_| {
        Reply(200, vec![("X-Accel-Redirect".to_owned(), "/paid/a".to_owned())], String::new())
    });
    let nginx = stage
        .site()
        .paid("")
        .server(&format!("location /door {{ proxy_pass http://{}; }}", upstream.address()))
        .server("location /else/ { try_files /none /paid/a; } location = /missing { error_page 404 =200 /paid/a; }")
        .start();
    for target in ["/door", "/else/x", "/missing"] {
        let unpaid = nginx.get(target);
        assert_ne!(unpaid.text(), content("paid/a"), "{target}");
        let credential = stage.buy(&unpaid.challenge());
        assert_eq!(nginx.get_paid(target, &credential).expect(200).text(), content("paid/a"), "{target}");
        nginx.get_paid(target, &credential).challenge();
    }
}

/// What is mirrored is a copy of a paid request; unpaid ones are not copied.
fn mirror(stage: &Stage) {
    let (upstream, copy) = (Upstream::start(), Upstream::start());
    let nginx = stage
        .site()
        .server("l402 on;")
        .server(&format!("location /paid/ {{ mirror /copy; proxy_pass http://{}; }}", upstream.address()))
        .server(&format!("location = /copy {{ internal; proxy_pass http://{}; }}", copy.address()))
        .start();
    let challenge = nginx.send(&Request::post("/paid/a", "order")).challenge();
    assert_eq!((upstream.hits(), copy.hits()), (0, 0));
    let credential = stage.buy(&challenge);
    nginx.send(&Request::post("/paid/a", "order").paid(&credential)).expect(200);
    crate::harness::wait::until("the copy", || (copy.hits() == 1).then_some(()));
    assert_eq!(upstream.hits(), 1);
    stage.assert_invoices(1);
}
