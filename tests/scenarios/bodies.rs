//! Request bodies: those of unpaid requests go nowhere and leave the connection in step, those of paid ones arrive.

use crate::harness::http::{Connection, Request};
use crate::harness::scenario::Scenario;
use crate::harness::site::content;
use crate::harness::stage::Stage;
use crate::harness::upstream::Upstream;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("bodies::proxied", proxied),
    Scenario::on_nodes("bodies::unread_on_keep_alive", unread_on_keep_alive),
    Scenario::on_nodes("bodies::slow", slow),
    Scenario::on_nodes("bodies::chunked", chunked),
    Scenario::on_nodes("bodies::expect_continue", expect_continue),
];

/// Larger than nginx's body buffer, so that it goes through a temporary file.
fn large() -> Vec<u8> {
    (0..200_000_u32).map(|n| (n % 251) as u8).collect()
}

fn proxied(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    let post = Request::post("/paid/a", large());
    let challenge = nginx.send(&post).challenge();
    assert_eq!(upstream.hits(), 0);
    let credential = stage.buy(&challenge);
    nginx.send(&post.clone().paid(&credential)).expect(200);
    assert_eq!(upstream.hits(), 1);
    assert_eq!(upstream.seen()[0].body, large());
    nginx.send(&post.paid(&credential)).challenge();
    assert_eq!(upstream.hits(), 1);
}

fn unread_on_keep_alive(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    let mut kept = nginx.connect();
    for size in [1, 1000, 20_000, 200_000] {
        // The body looks like a request, should anybody take it for one.
        let smuggled = "GET /free/a HTTP/1.1\r\nHost: x\r\n\r\n".repeat(size / 34 + 1);
        let answer = kept.exchange(&Request::post("/paid/a", smuggled.clone()));
        answer.challenge();
        if answer.header("Connection") == Some("close") {
            assert!(kept.is_closed());
            kept = nginx.connect();
        }
        let next = kept.exchange(&Request::get("/free/a"));
        assert_eq!(next.expect(200).text(), content("free/a"));
        let refused = Request::post("/paid/a", smuggled).paid("L402 rubbish:00");
        let answer = kept.exchange(&refused);
        answer.refusal();
        if answer.header("Connection") == Some("close") {
            kept = nginx.connect();
        }
    }
    assert_eq!(upstream.hits(), 0);
}

/// The head comes, the answer follows at once; the body trickles in afterwards.
fn slow(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    let mut slow = nginx.connect();
    let post = Request::post("/paid/a", "0123456789");
    slow.write(&post.head()).unwrap();
    let challenge = slow.read("POST").unwrap().challenge();
    for byte in b"0123456789" {
        slow.write(&[*byte]).unwrap();
    }
    let after = slow.exchange(&Request::get("/free/a"));
    assert_eq!(after.expect(200).text(), content("free/a"));
    assert_eq!(upstream.hits(), 0);
    let credential = stage.buy(&challenge);
    let mut slow = nginx.connect();
    slow.write(&post.paid(&credential).head()).unwrap();
    for byte in b"0123456789" {
        slow.write(&[*byte]).unwrap();
    }
    slow.read("POST").unwrap().expect(200);
    assert_eq!(upstream.seen()[0].body, b"0123456789");
}

fn send_chunked(connection: &mut Connection, credential: Option<&str>) {
    let mut request = Request::new("POST", "/paid/a").header("Transfer-Encoding", "chunked");
    if let Some(credential) = credential {
        request = request.paid(credential);
    }
    connection.write(&request.head()).unwrap();
    connection.write(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n").unwrap();
}

fn chunked(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    let mut kept = nginx.connect();
    send_chunked(&mut kept, None);
    let challenge = kept.read("POST").unwrap().challenge();
    assert_eq!(kept.exchange(&Request::get("/free/a")).expect(200).text(), content("free/a"));
    send_chunked(&mut kept, Some(&stage.buy(&challenge)));
    kept.read("POST").unwrap().expect(200);
    assert_eq!(upstream.hits(), 1);
    assert_eq!(upstream.seen()[0].body, b"hello world");
}

/// A client that asks before it sends a large body is asked to pay first.
fn expect_continue(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    let post = Request::post("/paid/a", large()).header("Expect", "100-continue");
    let mut client = nginx.connect();
    client.write(&post.head()).unwrap();
    let challenge = client.read("POST").unwrap().challenge();
    client.leave();
    let paid = post.paid(stage.buy(&challenge));
    let mut client = nginx.connect();
    client.write(&paid.head()).unwrap();
    assert_eq!(client.read("POST").unwrap().status, 100);
    client.write(&large()).unwrap();
    client.read("POST").unwrap().expect(200);
    assert_eq!(upstream.seen()[0].body, large());
}
