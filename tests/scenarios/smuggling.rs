//! Requests whose length can be read in two ways: nginx and what is behind it never see different requests, and
//! nothing that is inside a body is answered.

use crate::harness::http::Request;
use crate::harness::scenario::Scenario;
use crate::harness::site::content;
use crate::harness::stage::Stage;
use crate::harness::upstream::Upstream;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("smuggling::two_lengths", two_lengths),
    Scenario::on_nodes("smuggling::after_a_refusal", after_a_refusal),
];

/// What would be answered if it were taken for a request.
const INNER: &str = "GET /free/a HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Header lines and body of requests that say their length twice, or in a way of their own.
fn ambiguous() -> Vec<(String, String)> {
    let chunked = format!("0\r\n\r\n{INNER}");
    let sized = format!("{:x}\r\n{INNER}\r\n0\r\n\r\n", INNER.len());
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    let encoding = "Transfer-Encoding: chunked\r\n";
    vec![
        (length(chunked.len()) + encoding, chunked.clone()),
        (encoding.to_owned() + &length(4), sized.clone()),
        (encoding.to_owned() + encoding, chunked.clone()),
        ("Transfer-Encoding: xchunked\r\n".to_owned(), chunked.clone()),
        ("Transfer-Encoding: chunked, identity\r\n".to_owned(), chunked.clone()),
        ("Transfer-Encoding: \u{b}chunked\r\n".to_owned(), chunked),
        (length(0) + &length(INNER.len()), INNER.to_owned()),
        (length(INNER.len()) + &length(0), INNER.to_owned()),
        ("Content-Length: +0\r\n".to_owned(), INNER.to_owned()),
        ("Content-Length: 0, 41\r\n".to_owned(), INNER.to_owned()),
        ("Content-Length : 0\r\n".to_owned(), INNER.to_owned()),
    ]
}

/// Paid or not, they are refused and the connection ends: no invoice, nothing drawn, nothing upstream.
fn two_lengths(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    let post = Request::post("/paid/a", "x");
    let credential = stage.buy(&nginx.send(&post).challenge());
    for (lines, body) in ambiguous() {
        for paid in [String::new(), format!("Authorization: {credential}\r\n")] {
            let mut client = nginx.connect();
            let text = format!("POST /paid/a HTTP/1.1\r\nHost: localhost\r\n{paid}{lines}\r\n{body}");
            client.write(text.as_bytes()).expect("nginx reads");
            let answer = client.read("POST").expect("an answer");
            assert!(matches!(answer.status, 400 | 501), "{lines:?}: {}", answer.status);
            assert!(client.is_closed(), "{lines:?}: the connection goes on");
        }
    }
    assert_eq!(upstream.hits(), 0);
    stage.assert_invoices(1);
    nginx.send(&post.paid(&credential)).expect(200);
    assert_eq!(upstream.hits(), 1);
}

/// A 402 or 401 is the answer to one request: the next bytes after its body are the next request, whatever the body
/// looks like and however it arrives.
fn after_a_refusal(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    for credential in [None, Some("L402 rubbish:00")] {
        for chunked in [false, true] {
            let body = INNER.repeat(3);
            let authorization = credential.map(|it| format!("Authorization: {it}\r\n")).unwrap_or_default();
            let (line, body) = if chunked {
                let body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
                ("Transfer-Encoding: chunked\r\n".to_owned(), body)
            } else {
                (format!("Content-Length: {}\r\n", body.len()), body)
            };
            let head = format!("POST /paid/a HTTP/1.1\r\nHost: localhost\r\n{authorization}{line}\r\n");
            // The body comes with the head, in pieces after it, and after the answer.
            for pieces in [1, 7] {
                let mut client = nginx.connect();
                client.write(head.as_bytes()).expect("nginx reads");
                for piece in body.as_bytes().chunks(body.len() / pieces + 1) {
                    client.write(piece).expect("nginx reads");
                }
                let answer = client.read("POST").expect("an answer");
                assert_eq!(answer.status, if credential.is_some() { 401 } else { 402 });
                let next = client.exchange(&Request::get("/page.html")).expect(200);
                assert_eq!(next.text(), content("page.html"), "the answer to something else");
            }
        }
    }
    assert_eq!(upstream.hits(), 0);
}
