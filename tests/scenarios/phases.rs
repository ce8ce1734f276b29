//! Beside nginx's own access control: who is denied is not asked to pay, and who is asked pays once.

use data_encoding::BASE64;

use crate::harness::http::Request;
use crate::harness::scenario::Scenario;
use crate::harness::site::content;
use crate::harness::stage::Stage;
use crate::harness::upstream::{Reply, Upstream};

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("phases::deny", deny),
    Scenario::on_nodes("phases::auth_basic", auth_basic),
    Scenario::on_nodes("phases::auth_request", auth_request),
    Scenario::on_nodes("phases::satisfy_any", satisfy_any),
    Scenario::on_nodes("phases::limit_except", limit_except),
    Scenario::on_nodes("phases::subrequests_are_free", subrequests_are_free),
];

fn deny(stage: &Stage) {
    let nginx = stage.paid_site("deny all; location /paid/open/ { allow 127.0.0.1; deny all; }");
    let answer = nginx.get("/paid/a").expect(403);
    assert_eq!(answer.header("WWW-Authenticate"), None);
    let credential = nginx.buy("/paid/open/a");
    stage.assert_invoices(1);
    nginx.get_paid("/paid/a", &credential).expect(403);
    nginx.get_paid("/paid/open/a", &credential).expect(200);
}

fn auth_basic(stage: &Stage) {
    let users = stage.dir().join("users");
    std::fs::write(&users, "user:{PLAIN}password\n").unwrap();
    let directives = format!("auth_basic members; auth_basic_user_file {};", users.display());
    let nginx = stage.paid_site(&directives);
    let basic = format!("Basic {}", BASE64.encode(b"user:password"));
    for wrong in ["", "Basic dXNlcjp3cm9uZw==", "L402 abc:def"] {
        let answer = nginx.get_paid("/paid/a", wrong).expect(401);
        assert_eq!(answer.all("WWW-Authenticate").collect::<Vec<_>>(), ["Basic realm=\"members\""]);
    }
    stage.assert_invoices(0);
    let challenge = nginx.get_paid("/paid/a", &basic).challenge();
    let preimage = stage.pay(&challenge);
    let token = challenge.macaroon().with(&format!("preimage={preimage}")).hex();
    let request = Request::get("/paid/a").header("Macaroon", &token);
    nginx.send(&request).expect(401);
    nginx.send(&request.paid(&basic)).expect(200);
    stage.assert_invoices(1);
}

fn auth_request(stage: &Stage) {
    let upstream = Upstream::answering(|seen| match seen.header("X-User") {
        Some("member") => Reply::ok(""),
        Some(_) => Reply::status(403),
        None => Reply::status(401),
    });
    let nginx = stage
        .site()
        .paid("auth_request /auth;")
        .server(&format!(
            "location = /auth {{ internal; proxy_pass http://{}; proxy_pass_request_body off; \
             proxy_set_header Content-Length ''; }}",
            upstream.address()
        ))
        .start();
    assert_eq!(nginx.get("/paid/a").expect(401).header("WWW-Authenticate"), None);
    let denied = nginx.send(&Request::get("/paid/a").header("X-User", "stranger")).expect(403);
    assert_eq!(denied.header("WWW-Authenticate"), None);
    stage.assert_invoices(0);
    let member = Request::get("/paid/a").header("X-User", "member");
    let challenge = nginx.send(&member).challenge();
    let credential = stage.buy(&challenge);
    nginx.get_paid("/paid/a", &credential).expect(401);
    let answer = nginx.send(&member.clone().paid(&credential)).expect(200);
    assert_eq!(answer.text(), content("paid/a"));
    nginx.send(&member.paid(&credential)).challenge();
    stage.assert_invoices(2);
}

fn satisfy_any(stage: &Stage) {
    let nginx = stage
        .site()
        .paid("satisfy any; allow 127.0.0.1; deny all;")
        .server("location /other/ { l402 on; satisfy any; deny all; }")
        .start();
    // An allowed address is one way in, a payment the other.
    assert_eq!(nginx.get("/paid/a").expect(200).text(), content("paid/a"));
    stage.assert_invoices(0);
    let credential = nginx.buy("/other/a");
    nginx.get_paid("/other/a", &credential).expect(200);
    nginx.get_paid("/other/a", &credential).challenge();
    nginx.get_paid("/other/a", &credential.replace("L402 ", "L402 AAAA")).refusal();
}

fn limit_except(stage: &Stage) {
    let upstream = Upstream::start();
    let directives = format!("limit_except GET {{ deny all; }} proxy_pass http://{};", upstream.address());
    let nginx = stage.paid_site(&directives);
    nginx.send(&Request::post("/paid/a", "x")).expect(403);
    stage.assert_invoices(0);
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &credential).expect(200);
}

/// With everything sold, what a paid page includes costs nothing more; asked for by itself it is sold.
fn subrequests_are_free(stage: &Stage) {
    let site = stage.site();
    let html = site.dir().join("html");
    std::fs::write(html.join("paid/page.shtml"), "[<!--#include virtual=\"/other/a\" -->]").unwrap();
    let nginx = site.server("l402 on; location /paid/ { ssi on; ssi_types *; } location /other/ { }").start();
    let answer = nginx.get("/paid/page.shtml");
    assert!(!answer.text().contains("file other/a"));
    let credential = stage.buy(&answer.challenge());
    let page = nginx.get_paid("/paid/page.shtml", &credential).expect(200);
    assert_eq!(page.text(), format!("[{}]", content("other/a")));
    nginx.get_paid("/paid/page.shtml", &credential).challenge();
    nginx.get("/other/a").challenge();
    stage.assert_invoices(3);
}
