//! Credentials that are longer than nginx's room for a header line: the answer says what to raise, and that helps.

use serde_json::json;

use super::{assert_refused, pay, site, token, with};
use crate::harness::http::{Request, Response};
use crate::harness::mint::{FREE, Rig};
use crate::harness::stage::Stage;

const DIRECTIVE: &str = "large_client_header_buffers 4 32k;";

/// Asserts our own 400 to a header line without room.
#[track_caller]
fn assert_told(answer: &Response, what: &str) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let body: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    let detail = body["detail"].as_str().unwrap();
    assert_eq!(body["error"], "header_too_long");
    assert!(detail.contains(DIRECTIVE) && detail.contains(what), "{body}");
}

/// nginx's 8 KiB for a header are enough for some thirty proofs.
pub fn ecash(stage: &Stage) {
    let rig = Rig::shared();
    let small = site(stage, rig).paid("").start();
    let bought = token(stage, rig, FREE, 0, json!({"pieces": 45}));
    assert!(bought.len() > 8 * 1024 && bought.len() < 32 * 1024, "{}", bought.len());
    assert_told(&pay(&small, &bought), "fewer and larger proofs");
    let scheme = Request::get("/paid/a").header("Authorization", format!("Cashu {bought}"));
    assert_told(&small.send(&scheme), "fewer and larger proofs");
    small.wait_for_error(DIRECTIVE, 0);
    let page =
        "error_page 494 =400 /too_long; location = /too_long { internal; return 400 \"our own page\"; }";
    let told = site(stage, rig).paid("").server(page).start();
    assert_eq!(pay(&told, &bought).expect(400).text(), "our own page");
    let large = site(stage, rig).http(DIRECTIVE).paid("").start();
    pay(&large, &bought).expect(200);
    assert_refused(&pay(&large, &bought), "spent already");
}

/// What is too long, of what kind, in which form of a request; and what stays nginx's own.
pub fn another(stage: &Stage) {
    let rig = Rig::shared();
    let nginx = site(stage, rig).paid("").start();
    let long = |len: usize| "a".repeat(len);
    for len in [9_000, 20_000, 200_000] {
        assert_told(&nginx.send(&with(&long(len))), "fewer and larger proofs");
        let token = format!("L402 {}", long(len));
        assert_told(&nginx.send(&Request::get("/free/a").header("Authorization", token)), "L402 token");
    }
    // On a connection that has served; the answer ends it, as nginx's own does.
    let mut connection = nginx.connect();
    connection.write(&Request::get("/free/a").bytes()).unwrap();
    connection.read("GET").unwrap().expect(200);
    connection.write(&with(&long(9_000)).bytes()).unwrap();
    assert_told(&connection.read("GET").unwrap(), "fewer and larger proofs");
    let head = nginx.send(&Request::new("HEAD", "/paid/a").header("x-cashu", long(9_000)));
    assert_eq!((head.status, head.text().as_str()), (400, ""));
    assert_told(&nginx.send(&Request::new("POST", "/paid/a").header("x-CASHU", long(9_000))), "proofs");
    let mut old = nginx.connect();
    old.write(format!("GET /paid/a HTTP/1.0\r\nX-Cashu: {}\r\n\r\n", long(9_000)).as_bytes()).unwrap();
    assert_told(&old.read("GET").unwrap(), "proofs");
    // Not ours to answer.
    for (name, value) in [("Cookie", long(9_000)), ("Authorization", format!("Bearer {}", long(9_000)))] {
        let answer = nginx.send(&Request::get("/paid/a").header(name, value.as_str())).expect(400);
        assert!(answer.text().contains("Request Header Or Cookie Too Large"), "{}", answer.text());
    }
    let without = stage.paid_site("");
    let answer = without.send(&with(&long(9_000))).expect(400);
    assert!(answer.text().contains("Request Header Or Cookie Too Large"), "{}", answer.text());
    // All that was answered is over: what comes next is as ever.
    nginx.get("/free/a").expect(200);
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
}
