//! What the dearest headers cost a worker: of a location that sells over one that is free, which nginx reads the same
//! headers for.

use super::both;
use crate::harness::h2::Http2;
use crate::harness::http::Request;
use crate::harness::nginx::Nginx;
use crate::load::{self, Amount};
use crate::pairs::{Samples, Side};
use crate::report::{Report, Row};
use crate::stand::{Stand, site};
use crate::tokens::Mint;
use crate::usage;

/// Slices of each side and header.
const SLICES: usize = 5;

/// Requests of a slice.
const REQUESTS: usize = 3_000;

/// Text that a header without any credential repeats.
const FILLERS: [&str; 5] = [" ", "a=\"\",", "L402,", "x:", "\""];

/// Measures each header, and reports the dearest of each kind.
pub fn measure(stand: &Stand, report: &mut Report) {
    let stage = stand.stage();
    for (buffers, length) in [("", 8_000), ("large_client_header_buffers 4 32k;", 16_000)] {
        let nginx = site(&stage).http(buffers).paid("l402_indefinite_access on;").start();
        let mut mint = Mint::like(&nginx.get("/paid/1k").challenge());
        let both_headers = |text: &str| {
            let half = &text[..text.len() / 2];
            Request::get("/paid/1k").header("Authorization", format!("L402 {half}")).header("Macaroon", half)
        };
        let mut requests: Vec<(String, Request)> = FILLERS
            .iter()
            .map(|filler| {
                let text = filler.repeat(length / filler.len());
                (format!("{filler:?} again and again"), both_headers(&text))
            })
            .collect();
        let heavy = mint.heavy(length);
        requests.push(("tokens full of caveats".to_owned(), Request::get("/paid/1k").paid(heavy)));
        let header = if buffers.is_empty() { "nginx's own buffers" } else { "4 buffers of 32k" };
        let dearest = requests.into_iter().map(|(name, request)| over_free(&nginx, &name, &request));
        add(report, &format!("HTTP/1.1, {header}"), dearest);
    }
    let site = site(&stage).http("large_client_header_buffers 4 32k;").with_http2();
    let nginx = site.paid("").start();
    let dearest = FILLERS.iter().map(|filler| {
        let text = filler.repeat(3_900 / filler.len());
        let turn = |target: &str, side: &mut Side| {
            let mut client = Http2::connect(nginx.second_address());
            client.remember("macaroon", &format!("x{text}x"));
            let ask = |client: &mut Http2| {
                client.get(target, 30);
            };
            slice(&nginx, side, || (0..500).for_each(|_| ask(&mut client)), 500)
        };
        interleaved(format!("{filler:?} again and again"), turn)
    });
    add(report, "HTTP/2, 30 references to a field of 3.9 kB", dearest);
}

/// A header, what it costs over the free location (µs), and both sides.
type Cost = (String, Samples, [f64; 2]);

fn over_free(nginx: &Nginx<'_>, name: &str, request: &Request) -> Cost {
    let turn = |target: &str, side: &mut Side| {
        let bytes = vec![request.clone().to(target).bytes()];
        slice(
            nginx,
            side,
            || drop(load::run(nginx.address(), 8, bytes, Amount::Requests(REQUESTS))),
            REQUESTS,
        )
    };
    interleaved(name.to_owned(), turn)
}

fn interleaved(name: String, turn: impl Fn(&str, &mut Side) -> f64) -> Cost {
    let (mut free, mut sold, mut over) = (Side::default(), Side::default(), Samples::default());
    for _ in 0..SLICES {
        let base = turn("/free/1k", &mut free);
        over.push(turn("/paid/1k", &mut sold) - base);
    }
    (name, over, [free.cpu_us(), sold.cpu_us()])
}

/// One slice; its processor time a request, in µs.
fn slice(nginx: &Nginx<'_>, side: &mut Side, act: impl FnOnce(), requests: usize) -> f64 {
    let worker = nginx.workers()[0];
    let (before, start) = (usage::cpu(worker), std::time::Instant::now());
    act();
    let cpu = usage::cpu(worker).saturating_sub(before);
    side.add(requests as u64, start.elapsed(), cpu);
    cpu.as_secs_f64() * 1e6 / requests as f64
}

fn add(report: &mut Report, what: &str, costs: impl Iterator<Item = Cost>) {
    let dearest = costs.max_by(|(_, one, _), (_, other, _)| one.median().total_cmp(&other.median()));
    let Some((name, over, [free, sold])) = dearest else { return };
    report.add(Row {
        figure: format!("worker CPU of the dearest header over the same to a free location: {what}"),
        measured: format!("{:.1} µs ({name})", over.median()),
        spread: over.spread(1),
        cpu: both(free, sold),
        reach: Some(("< 100 µs".to_owned(), over.median() < 100.0)),
    });
}
