//! Single-use tokens whose claims are in a Redis that writes each to the disk, and an unprotected location while that hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{PAIRS, both, grants, hang};
use crate::harness::http::Request;
use crate::harness::process::{self, Signal};
use crate::harness::redis::Redis;
use crate::pairs::{Samples, Side};
use crate::report::{Report, Row};
use crate::stand::{Stand, site};

/// Clients.
const AT_ONCE: usize = 32;

/// From an answer to a client's next request while Redis hangs: it was told to come back.
const PAUSE: Duration = Duration::from_millis(100);

/// Measures both.
pub fn measure(stand: &Stand, report: &mut Report) {
    let stage = stand.stage();
    let redis = Redis::start(&stage.dir().join("redis"), "");
    let nginx = site(&stage).env("REDIS_URL", &format!("redis://{}", redis.address())).paid("").start();
    let name = format!("single-use grants/s through Redis (appendfsync always), {AT_ONCE} connections");
    grants::of(&nginx, &name, AT_ONCE, 15_000.0, report);

    stage.tolerate("l402");
    let worker = nginx.workers()[0];
    let credentials: Vec<_> = (0..AT_ONCE).map(|_| nginx.buy("/paid/1k")).collect();
    let (mut theirs, mut ours) = (Side::default(), Side::default());
    let (mut p99s, mut ratios) = ([Samples::default(), Samples::default()], Samples::default());
    for _ in 0..PAIRS {
        let alone = hang::slice(nginx.address(), worker, &mut theirs);
        process::signal(redis.pid(), Signal::STOP);
        let over = AtomicBool::new(false);
        let beside = thread::scope(|scope| {
            let (over, nginx) = (&over, &nginx);
            for credential in &credentials {
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        nginx.send(&Request::get("/paid/1k").paid(credential)).expect(503);
                        thread::sleep(PAUSE);
                    }
                });
            }
            let beside = hang::slice(nginx.address(), worker, &mut ours);
            over.store(true, Ordering::Relaxed);
            beside
        });
        process::signal(redis.pid(), Signal::CONT);
        p99s[0].push(alone);
        p99s[1].push(beside);
        ratios.push(beside / alone);
    }
    report.add(Row {
        figure: format!(
            "p99 of an unprotected location, Redis hangs, {AT_ONCE} clients come with single-use tokens ÷ without them"
        ),
        measured: format!("{:.2} ({:.0} µs ÷ {:.0} µs)", ratios.median(), p99s[1].median(), p99s[0].median()),
        spread: ratios.spread(2),
        cpu: both(theirs.cpu_us(), ours.cpu_us()),
        reach: Some(("≤ 1.2".to_owned(), ratios.median() <= 1.2)),
    });
}
