//! The two roads of most requests against another build of this project: `L402_BUILD_DIR_BEFORE=DIR make bench`.

use std::net::SocketAddr;
use std::path::Path;

use super::{PAIRS, both};
use crate::harness::http::Request;
use crate::harness::nginx::Nginx;
use crate::harness::stage::Stage;
use crate::load::{self, Amount};
use crate::pairs::{Samples, Side};
use crate::report::{Report, Row};
use crate::stand::{Stand, site};
use crate::tokens::Mint;
use crate::usage;

/// Requests of a slice.
const REQUESTS: usize = 20_000;

/// Measures both builds, if another one is named.
pub fn measure(stand: &Stand, report: &mut Report) {
    let Some(directory) = std::env::var_os("L402_BUILD_DIR_BEFORE") else { return };
    let [before, now] = [stand.stage_of(Path::new(&directory)), stand.stage()];
    for (figure, pick) in [
        ("a paid reusable token, one again and again", Road::Reusable),
        ("a challenge, from ready invoices or not", Road::Challenge),
    ] {
        let sides = [&before, &now].map(|stage| start(stage, pick));
        let (mut costs, mut ratios) = ([Side::default(), Side::default()], Samples::default());
        for _ in 0..PAIRS {
            let [base, ours] = [0, 1].map(|number| slice(&sides[number], &mut costs[number]));
            ratios.push(ours / base);
        }
        report.add(Row {
            figure: format!("worker CPU ÷ that of the build before: {figure}"),
            measured: format!("{:.2}", ratios.median()),
            spread: ratios.spread(2),
            cpu: both(costs[0].cpu_us(), costs[1].cpu_us()),
            reach: Some(("≤ 1.0".to_owned(), ratios.median() <= 1.0)),
        });
    }
}

#[derive(Clone, Copy)]
enum Road {
    Reusable,
    Challenge,
}

struct Started<'a> {
    nginx: Nginx<'a>,
    request: Vec<u8>,
    status: u16,
}

fn start(stage: &Stage, road: Road) -> Started<'_> {
    let nginx = site(stage).paid("l402_indefinite_access on;").start();
    let request = Request::get("/paid/1k");
    let (request, status) = match road {
        Road::Challenge => (request, 402),
        Road::Reusable => {
            let mut mint = Mint::like(&nginx.get("/paid/1k").challenge());
            (request.paid(mint.credential()), 200)
        }
    };
    Started { nginx, request: request.bytes(), status }
}

/// One slice; its processor time a request, in µs.
fn slice(started: &Started<'_>, side: &mut Side) -> f64 {
    let worker = started.nginx.workers()[0];
    let to: SocketAddr = started.nginx.address();
    let before = usage::cpu(worker);
    let came = load::run(to, 32, vec![started.request.clone()], Amount::Requests(REQUESTS));
    let cpu = usage::cpu(worker).saturating_sub(before);
    assert_eq!(came.other_than(started.status), 0, "{:?}", came.statuses);
    side.add(came.with(started.status), came.elapsed, cpu);
    cpu.as_secs_f64() * 1e6 / came.with(started.status) as f64
}
