//! Targets that an upstream may read as another path than nginx does: no request reaches what is dearer than it paid for.

use crate::harness::http::Request;
use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::upstream::{Reply, Seen, Upstream};

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("targets::no_upstream_reads_what_is_dearer", no_upstream_reads_what_is_dearer),
    Scenario::on_simulator("targets::encoded_names_are_served", encoded_names_are_served),
    Scenario::on_simulator("targets::are_refused_without_an_echo", are_refused_without_an_echo),
    Scenario::on_simulator("targets::free_servers_are_left_alone", free_servers_are_left_alone),
];

/// Ways from what is cheap or free to what is dear, as one reader or another takes them.
const WAYS: [&str; 48] = [
    "/cheap/../dear/x",
    "/cheap/./../dear/x",
    "/cheap/x/../../dear/x",
    "/cheap/%2e%2e/dear/x",
    "/cheap/%2E%2E/dear/x",
    "/cheap/.%2e/dear/x",
    "/cheap/%2e./dear/x",
    "/cheap/..%2fdear/x",
    "/cheap/..%2Fdear/x",
    "/cheap%2f..%2fdear%2fx",
    "/cheap%2f%2e%2e%2fdear/x",
    "/cheap/..;/dear/x",
    "/cheap/..;a=b/dear/x",
    "/cheap/.;/../dear/x",
    "/cheap/..%3b/dear/x",
    "/cheap/%2e%2e;/dear/x",
    "/cheap/..\\dear/x",
    "/cheap\\..\\dear\\x",
    "/cheap/%2e%2e%5cdear/x",
    "/cheap/..%5Cdear/x",
    "/cheap/\\..\\dear/x",
    "\\cheap\\..\\dear\\x",
    "/dear/../cheap/x",
    "/dear/%2e%2e/cheap/x",
    "/dear/..%2fcheap/x",
    "/dear/..;/cheap/x",
    "/dear/..\\cheap\\x",
    "/free/../dear/x",
    "/free/%2e%2e/dear/x",
    "/free/..%2fdear/x",
    "/free/..;/dear/x",
    "/free/..\\dear\\x",
    "/free/x/../../dear/x",
    "/dear/../free/x",
    "/./dear/x",
    "/%2e/dear/x",
    "/.;/dear/x",
    "//cheap/dear/x",
    "//free/dear/x",
    "///free/dear/x",
    "//free//dear/x",
    "/cheap#/../dear/x",
    "/cheap/x?y=1#/../../dear/x",
    "http://localhost/cheap/../dear/x",
    "http://localhost//free/dear/x",
    "http://localhost/free/%2e%2e/dear/x",
    "/cheap/x/..",
    "/cheap/x/../../../../dear/x",
];

/// An upstream's way to make a path of a target.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// As it stands, but for the query.
    Raw,
    /// RFC 3986: a network-path reference has an authority, and dot segments are removed; percent codes are decoded first.
    Rfc3986,
    /// The WHATWG URL standard: a backslash is a slash, and what follows two of them is a host.
    Whatwg,
    /// As servlet containers do: what follows `;` in a segment is cut off before dot segments are removed.
    Parameters,
}

const READERS: [Reader; 4] = [Reader::Raw, Reader::Rfc3986, Reader::Whatwg, Reader::Parameters];

impl Reader {
    fn path(self, target: &str) -> String {
        let target = target.split(['?', '#']).next().unwrap_or_default();
        let decoded = || percent_decoded(target);
        match self {
            Reader::Raw => target.to_owned(),
            Reader::Rfc3986 => without_dots(&without_authority(&decoded())),
            Reader::Whatwg => without_dots(&without_authority(&decoded().replace('\\', "/"))),
            Reader::Parameters => {
                let plain = decoded();
                let cut = plain.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
                without_dots(&cut.collect::<Vec<_>>().join("/"))
            }
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code =
            tail.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => (out, rest) = ([out, vec![byte]].concat(), &tail[2..]),
            _ => (out, rest) = ([out, vec![*first]].concat(), tail),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn without_authority(path: &str) -> String {
    match path.strip_prefix("//") {
        Some(rest) => {
            format!("/{}", rest.trim_start_matches('/').split_once('/').map_or("", |(_, path)| path))
        }
        None => path.to_owned(),
    }
}

fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// An upstream that serves by the path that it reads.
fn upstream(reader: Reader) -> Upstream {
    Upstream::answering(move |seen: &Seen| {
        let path = reader.path(&seen.target);
        // The first segment that is not empty, as most routers do.
        let section = path.split('/').find(|segment| !segment.is_empty()).unwrap_or_default().to_owned();
        Reply::ok(format!("section {section}"))
    })
}

fn shop<'a>(stage: &'a Stage, upstream: &Upstream) -> Nginx<'a> {
    let pass = format!("proxy_pass http://{};", upstream.address());
    let sold = "l402 on; l402_indefinite_access on;";
    stage
        .site()
        .server(&format!("location /cheap/ {{ {sold} l402_amount_msat_default 1000; {pass} }}"))
        .server(&format!("location /dear/ {{ {sold} l402_amount_msat_default 9000000; {pass} }}"))
        .server(&format!("location / {{ {pass} }}"))
        .start()
}

fn no_upstream_reads_what_is_dearer(stage: &Stage) {
    for reader in READERS {
        let upstream = upstream(reader);
        let nginx = shop(stage, &upstream);
        let cheap = |target: &str| {
            // What a client could buy there for the cheap price, if it can.
            let answer = nginx.get(target);
            match answer.status {
                402 if answer.challenge().amount_msat() == 1000 => Some(stage.buy(&answer.challenge())),
                _ => None,
            }
        };
        let general = nginx.buy("/cheap/x");
        for way in WAYS {
            let mut tries = vec![Request::get(way), Request::get(way).paid(&general)];
            tries.extend(cheap(way).map(|credential| Request::get(way).paid(credential)));
            for request in tries {
                let answer = nginx.send(&request);
                assert_ne!(answer.text(), "section dear", "{way} to an upstream that reads {reader:?}");
                assert!(matches!(answer.status, 200 | 400 | 402 | 404), "{way}: {}", answer.status);
            }
        }
        // Who pays for what is dear gets it.
        let dear = nginx.buy("/dear/x");
        assert_eq!(nginx.get_paid("/dear/x", &dear).expect(200).text(), "section dear");
        assert_eq!(nginx.get_paid("/cheap/x", &general).expect(200).text(), "section cheap");
    }
}

fn encoded_names_are_served(stage: &Stage) {
    let upstream = Upstream::start();
    let pass = format!("proxy_pass http://{};", upstream.address());
    let nginx = stage.site().server(&format!("location /npm/ {{ l402 on; {pass} }}")).start();
    for target in [
        "/npm/@scope%2fname",
        "/npm/@scope%2Fname/-/name-1.0.0.tgz",
        "/npm/caf%C3%A9/%E2%9A%A1",
        "/npm/a%20b+c",
        "/npm/a;version=2/b",
        "/npm/...",
        "/npm/..hidden/.config/a.",
        "/npm/100%25",
        "/npm/%23tag/%3fquery",
        "/npm/a%252e%252e/b",
        "/npm/x?path=../..&back=\\",
    ] {
        let credential = nginx.buy(target);
        let answer = nginx.get_paid(target, &credential).expect(200);
        assert_eq!(answer.text(), format!("upstream GET {target}"), "as the client wrote it");
    }
    // Slashes at the beginning are one to nginx, and so to the upstream.
    for target in ["//npm//a", "///npm//a"] {
        let credential = nginx.buy(target);
        assert_eq!(nginx.get_paid(target, &credential).expect(200).text(), "upstream GET /npm//a");
    }
}

fn are_refused_without_an_echo(stage: &Stage) {
    let nginx = stage.site().with_http2().paid("").start();
    let before = nginx.error_log().len();
    let answer = nginx.get("/free/..;secret-word/a").expect(400);
    assert!(!answer.text().contains("secret-word"), "{}", answer.text());
    let line = nginx.wait_for_error("l402: ", before);
    assert!(line.contains("[info]") && line.contains("client: 127.0.0.1"), "{line}");
    let log = nginx.error_log();
    assert_eq!(log[before..].matches("l402: ").count(), 1, "{log}");
    let answer = crate::harness::curl::http2_as_is(nginx.second_address(), "/free/../paid/a", &[]);
    assert_eq!(answer.status, 400);
    stage.assert_invoices(0);
}

/// A server that sells nothing serves as without the module.
fn free_servers_are_left_alone(stage: &Stage) {
    let upstream = Upstream::start();
    let free = format!("server_name free; location / {{ proxy_pass http://{}; }}", upstream.address());
    let nginx = stage.site().paid("").another_server(&free).start();
    for target in ["/a/../b", "/a/..;/b", "/a\\b", "//a/b"] {
        let answer = nginx.send(&Request::get(target).host("free")).expect(200);
        assert_eq!(answer.text(), format!("upstream GET {target}"));
        if !target.starts_with("//") {
            nginx.get(target).expect(400);
        }
    }
}
