//! A paid reusable token against plain nginx: the same requests for the same 1 KiB file, one worker, `wrk -t1 -c32`.
//!
//! Plain nginx gets the credentials, too: it doesn't look at them, but reads them like any header, and wrk takes longer
//! over a request that it hasn't sent before, which costs a worker that waits for it.

use std::path::Path;
use std::time::Duration;

use super::{PAIRS, both};
use crate::harness::nginx::Nginx;
use crate::harness::process::Pid;
use crate::pairs::{Samples, Side};
use crate::plain::Plain;
use crate::profile;
use crate::report::{Report, Row};
use crate::stand::{Stand, site};
use crate::tokens::Mint;
use crate::usage;
use crate::wrk::Wrk;

/// Different tokens of the second run.
const MANY: usize = 10_000;

/// Measures both, and profiles the worker.
pub fn measure(stand: &Stand, report: &mut Report) {
    let stage = stand.stage();
    let plain_site = site(&stage);
    let plain = Plain::start(&stage, &plain_site);
    let nginx = site(&stage).paid("l402_indefinite_access on;").start();
    let mut mint = Mint::like(&nginx.get("/paid/1k").challenge());
    let (one, many) = (stage.dir().join("one"), stage.dir().join("many"));
    mint.write(1, &one);
    mint.write(MANY, &many);
    let worker = nginx.workers()[0];

    let mut theirs = [Side::default(), Side::default()];
    let mut ours = [Side::default(), Side::default()];
    let mut ratios = [Samples::default(), Samples::default()];
    for _ in 0..PAIRS {
        for (number, credentials) in [&one, &many].into_iter().enumerate() {
            let base = slice(&plain_run(&plain, credentials), plain.worker(), &mut theirs[number]);
            let rate = slice(&paid_run(&nginx, credentials, 1), worker, &mut ours[number]);
            ratios[number].push(rate / base);
        }
    }
    for (number, (text, reach)) in
        [("one token again and again", 0.95), ("10 000 different tokens", 0.85)].into_iter().enumerate()
    {
        let ratio = ratios[number].median();
        report.add(Row {
            figure: format!("requests/s of a paid reusable token ÷ plain nginx, same requests: {text}"),
            measured: format!(
                "{ratio:.2} ({:.0}/s ÷ {:.0}/s)",
                ours[number].rates.median(),
                theirs[number].rates.median()
            ),
            spread: ratios[number].spread(2),
            cpu: both(theirs[number].cpu_us(), ours[number].cpu_us()),
            reach: Some((format!("≥ {reach}"), ratio >= reach)),
        });
    }
    profiles(&plain, &nginx, &one, &many, report);
}

fn plain_run<'a>(plain: &Plain, credentials: &'a Path) -> Wrk<'a> {
    let (address, credentials) = (plain.address(), Some(credentials));
    Wrk { address, target: "/free/1k", connections: 32, seconds: 1, credentials, close: false }
}

fn paid_run<'a>(nginx: &Nginx<'_>, credentials: &'a Path, seconds: u32) -> Wrk<'a> {
    let (address, credentials) = (nginx.address(), Some(credentials));
    Wrk { address, target: "/paid/1k", connections: 32, seconds, credentials, close: false }
}

/// One run; its requests a second.
fn slice(wrk: &Wrk<'_>, worker: Pid, side: &mut Side) -> f64 {
    let before = usage::cpu(worker);
    let seen = wrk.run();
    assert_eq!((seen.refused, seen.broken), (0, 0), "refused, broken requests of {}", wrk.target);
    side.add(seen.requests, seen.elapsed, usage::cpu(worker).saturating_sub(before))
}

fn profiles(plain: &Plain, nginx: &Nginx<'_>, one: &Path, many: &Path, report: &mut Report) {
    let plain_load = Wrk { seconds: 3, ..plain_run(plain, one) };
    let worker = nginx.workers()[0];
    let loads = [
        ("plain nginx", plain_load, plain.worker()),
        ("one token", paid_run(nginx, one, 3), worker),
        ("10 000 tokens", paid_run(nginx, many, 3), worker),
    ];
    for (name, load, pid) in loads {
        let running = load.start();
        std::thread::sleep(Duration::from_millis(400));
        profile::add(&format!("the worker, {name}"), pid, 2, nginx.dir(), report);
        running.finish();
    }
}
