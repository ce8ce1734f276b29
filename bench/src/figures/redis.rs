//! Single-use tokens whose claims are in a Redis that writes each to the disk, and an unprotected location while that hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::beside::{Beside, PAIRS};
use super::grants;
use crate::harness::http::Request;
use crate::harness::process::{self, Signal};
use crate::harness::redis::Redis;
use crate::report::Report;
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
    let credentials: Vec<_> = (0..AT_ONCE).map(|_| nginx.buy("/paid/1k")).collect();
    let mut figure = Beside::new(&nginx);
    for _ in 0..PAIRS {
        figure.pair(|slice| {
            process::stop(redis.pid());
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                let (over, nginx) = (&over, &nginx);
                for credential in &credentials {
                    scope.spawn(move || {
                        while !over.load(Ordering::Relaxed) {
                            nginx.send(&Request::get("/paid/1k").paid(credential)).expect(503);
                            thread::sleep(PAUSE);
                        }
                    });
                }
                slice();
                over.store(true, Ordering::Relaxed);
            });
            process::signal(redis.pid(), Signal::CONT);
        });
    }
    let name = format!(
        "p99 of an unprotected location, Redis hangs, {AT_ONCE} clients come with single-use tokens ÷ without them"
    );
    report.add(figure.row(name, true));
}
