//! HTTP/2 without TLS, by the program `curl`.

use std::net::SocketAddr;
use std::process::Command;

use super::http::Response;

/// GET over HTTP/2 with prior knowledge, and these header lines.
pub fn http2(to: SocketAddr, target: &str, headers: &[&str]) -> Response {
    http2_with(to, target, headers, &[])
}

/// The same with the target as it is written, dot segments included.
pub fn http2_as_is(to: SocketAddr, target: &str, headers: &[&str]) -> Response {
    http2_with(to, target, headers, &["--path-as-is"])
}

fn http2_with(to: SocketAddr, target: &str, headers: &[&str], options: &[&str]) -> Response {
    let mut command = Command::new("curl");
    command.args(["--silent", "--include", "--http2-prior-knowledge", "--max-time", "20"]).args(options);
    for header in headers {
        command.args(["--header", header]);
    }
    let output = command.arg(format!("http://{to}{target}")).output().expect("curl can be run");
    assert!(output.status.success(), "curl: {:?}", output.status);
    let split = output.stdout.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&output.stdout[..split]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let fields = lines.filter_map(|line| line.split_once(": "));
    Response {
        status: status.expect("a status"),
        headers: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: output.stdout[split + 4..].to_vec(),
    }
}
