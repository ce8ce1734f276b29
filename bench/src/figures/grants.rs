//! Single-use tokens: each grant a claim that is on the disk before the client is served.

use super::{PAIRS, both};
use crate::harness::http::Request;
use crate::harness::nginx::Nginx;
use crate::load::{self, Amount};
use crate::pairs::{Samples, Side};
use crate::report::{Report, Row};
use crate::stand::{Stand, site};
use crate::tokens::Mint;
use crate::usage;

/// Grants of a slice.
const SLICE: usize = 10_000;

/// Connections: as many claims can share one commit.
const AT_ONCE: usize = 64;

/// Measures it, with the free file in between.
pub fn measure(stand: &Stand, report: &mut Report) {
    let stage = stand.stage();
    let nginx = site(&stage).paid("").start();
    let name = format!("single-use grants/s, a durable claim each, {AT_ONCE} connections");
    of(&nginx, &name, AT_ONCE, 10_000.0, report);
}

/// Measures it on this site with so many connections at once, and how many grants/s are to be reached.
pub(super) fn of(nginx: &Nginx<'_>, name: &str, at_once: usize, reach: f64, report: &mut Report) {
    let mut mint = Mint::like(&nginx.get("/paid/1k").challenge());
    of_requests(nginx, (name, at_once, reach), report, &mut || mint.requests("/paid/1k", SLICE));
}

/// The same for requests of any kind, of which there are as many as are asked for at a time, each with a payment of its own.
pub(super) fn of_requests(
    nginx: &Nginx<'_>,
    (name, at_once, reach): (&str, usize, f64),
    report: &mut Report,
    slice: &mut dyn FnMut() -> Vec<Vec<u8>>,
) {
    let (worker, agent) = (nginx.workers()[0], nginx.agent(None));
    let (mut theirs, mut ours, mut helper) = (Side::default(), Side::default(), Side::default());
    let (mut ratios, mut others) = (Samples::default(), 0);
    for _ in 0..PAIRS {
        let free = vec![Request::get("/free/1k").bytes()];
        let before = usage::cpu(worker);
        let came = load::run(nginx.address(), at_once, free, Amount::Requests(SLICE));
        let base = theirs.add(came.with(200), came.elapsed, usage::cpu(worker).saturating_sub(before));
        let paid = slice();
        let count = Amount::Requests(paid.len());
        let before = (usage::cpu(worker), usage::cpu(agent));
        let came = load::run(nginx.address(), at_once, paid, count);
        let good = came.with(200);
        let rate = ours.add(good, came.elapsed, usage::cpu(worker).saturating_sub(before.0));
        helper.add(good, came.elapsed, usage::cpu(agent).saturating_sub(before.1));
        others += came.other_than(200);
        ratios.push(rate / base);
    }
    let rate = ours.rates.median();
    report.add(Row {
        figure: name.to_owned(),
        measured: format!("{rate:.0}/s ({:.2} of a free file)", ratios.median()),
        spread: ours.rates.spread(0),
        cpu: format!("{}, l402d {:.1}", both(theirs.cpu_us(), ours.cpu_us()), helper.cpu_us()),
        reach: Some((format!("≥ {reach:.0}"), rate >= reach && others == 0)),
    });
    if others > 0 {
        report.note(format!("{name}: {others} requests were not granted."));
    }
}
