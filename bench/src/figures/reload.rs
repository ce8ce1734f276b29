//! A reload every second under load: failed requests, and claims lost or doubled.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::http::Request;
use crate::harness::process::{self, Signal};
use crate::report::{Report, Row};
use crate::stand::{Stand, site};
use crate::tokens::Mint;
use crate::wrk::Wrk;

/// How long, in seconds and reloads.
const RELOADS: u32 = 30;

/// Clients with single-use tokens.
const CLIENTS: usize = 4;

/// What the clients with single-use tokens saw.
#[derive(Default)]
struct Counts {
    granted: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
    doubled: AtomicU64,
}

/// Measures it: wrk with a reusable token, and clients that use each single-use token twice.
pub fn measure(stand: &Stand, report: &mut Report) {
    let stage = stand.stage();
    let paid = "location /paid/open/ { l402 on; l402_indefinite_access on; }";
    let nginx = site(&stage).paid("").server(paid).start();
    let reusable = stage.dir().join("reusable");
    Mint::like(&nginx.get("/paid/open/a").challenge()).write(1, &reusable);
    let mint = Mutex::new(Mint::like(&nginx.get("/paid/1k").challenge()));
    let (counts, over) = (Counts::default(), AtomicBool::new(false));
    // A connection for each request: nginx closes idle ones at a reload, which a client then has to ask again over.
    let load = Wrk {
        address: nginx.address(),
        target: "/paid/open/a",
        connections: 8,
        seconds: RELOADS,
        credentials: Some(&reusable),
        close: true,
    };
    let running = load.start();
    let seen = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let token = mint.lock().expect("no panic").credential();
                    use_twice(&Request::get("/paid/1k").paid(token), nginx.address(), &counts);
                }
            });
        }
        let start = Instant::now();
        for second in 1..=RELOADS {
            thread::sleep((Duration::from_secs(1) * second).saturating_sub(start.elapsed()));
            process::signal(nginx.master(), Signal::HUP);
        }
        let seen = running.finish();
        over.store(true, Ordering::Relaxed);
        seen
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (failed, lost, doubled) = (count(&counts.failed), count(&counts.lost), count(&counts.doubled));
    let all = seen.refused + seen.broken + failed;
    report.add(Row {
        figure: format!("reload every second for {RELOADS} s: failed requests; lost; doubled claims"),
        measured: format!("{all}; {lost}; {doubled}"),
        spread: format!("of {} reusable, {} single-use", seen.requests, count(&counts.granted)),
        cpu: "–".to_owned(),
        reach: Some(("0; 0; 0".to_owned(), all + lost + doubled == 0)),
    });
    if all > 0 {
        report.note(format!(
            "reload: {} answers ≥ 400 and {} broken connections of wrk; {failed} failed requests with single-use tokens.",
            seen.refused, seen.broken
        ));
    }
}

/// A single-use token must be granted once, and once only.
fn use_twice(request: &Request, to: std::net::SocketAddr, counts: &Counts) {
    let add = |counter: &AtomicU64| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    match request.try_send(to).map(|answer| answer.status) {
        Ok(200) => add(&counts.granted),
        Ok(402) => return add(&counts.lost),
        _ => return add(&counts.failed),
    }
    match request.try_send(to).map(|answer| answer.status) {
        Ok(402) => {}
        Ok(200) => add(&counts.doubled),
        _ => add(&counts.failed),
    }
}
