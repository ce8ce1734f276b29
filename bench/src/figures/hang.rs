//! An unprotected location while the node hangs and 64 clients wait on paid ones, against the same without them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use lnsim::{Fault, Method};

use super::PAIRS;
use crate::harness::backends;
use crate::harness::http::Request;
use crate::harness::stage::Stage;
use crate::pairs::{Samples, Side};
use crate::report::{Report, Row};
use crate::stand::{Stand, site};
use crate::usage;
use crate::wrk::Wrk;

/// Clients that wait.
const WAITING: usize = 64;

/// Time for an answer to come that does not need the node.
const AT_ONCE: Duration = Duration::from_millis(150);

/// Rounds of asking until a pool has nothing left.
const ROUNDS: usize = 60;

/// Pairs of slices of each of the others.
const FEWER_PAIRS: usize = 5;

/// Measures it with LND.
pub fn measure(stand: &Stand, report: &mut Report) {
    beside(&stand.stage(), "node", PAIRS, report);
}

/// Measures it with every other kind of wallet.
pub fn measure_others(stand: &Stand, report: &mut Report) {
    for kind in ["cln", "clnrest", "bolt12", "eclair", "lnurl", "nwc", "lnc"] {
        let backend = backends::ALL.iter().find(|backend| backend.name == kind).expect("a kind of backend");
        beside(&stand.stage_on((backend.start)()), kind, FEWER_PAIRS, report);
    }
}

fn beside(stage: &Stage, kind: &str, pairs: usize, report: &mut Report) {
    let nginx = site(stage).paid("").start();
    nginx.get("/paid/1k").expect(402);
    stage.tolerate("l402");
    let worker = nginx.workers()[0];
    let (mut theirs, mut ours) = (Side::default(), Side::default());
    let (mut p99s, mut ratios) = ([Samples::default(), Samples::default()], Samples::default());
    let mut least_waiting = WAITING;
    for _ in 0..pairs {
        let alone = slice(nginx.address(), worker, &mut theirs);
        stage.sim().fault(Fault::hang().at(Method::AddInvoice));
        let mut waiting = wait_for_paid(nginx.address());
        let beside = slice(nginx.address(), worker, &mut ours);
        still_waiting(&mut waiting);
        least_waiting = least_waiting.min(waiting.len());
        drop(waiting);
        stage.sim().clear_faults();
        p99s[0].push(alone);
        p99s[1].push(beside);
        ratios.push(beside / alone);
    }
    report.add(Row {
        figure: format!(
            "p99 of an unprotected location, {kind} hangs, {WAITING} clients wait on paid ones ÷ without them"
        ),
        measured: format!("{:.2} ({:.0} µs ÷ {:.0} µs)", ratios.median(), p99s[1].median(), p99s[0].median()),
        spread: ratios.spread(2),
        cpu: super::both(theirs.cpu_us(), ours.cpu_us()),
        reach: Some(("≤ 1.2".to_owned(), ratios.median() <= 1.2 && least_waiting == WAITING)),
    });
    report.note(format!(
        "hang, {kind}: {least_waiting} of {WAITING} clients were still waiting at the end of each slice (the fewest of any slice); requests/s of the unprotected location {:.0} beside them, {:.0} without.",
        ours.rates.median(),
        theirs.rates.median()
    ));
}

/// The p99 in µs.
pub(super) fn slice(address: SocketAddr, worker: u32, side: &mut Side) -> f64 {
    let before = usage::cpu(worker);
    let run =
        Wrk { address, target: "/free/1k", connections: 8, seconds: 1, credentials: None, close: false };
    let seen = run.run();
    side.add(seen.requests, seen.elapsed, usage::cpu(worker).saturating_sub(before));
    seen.p99.as_secs_f64() * 1e6
}

/// Connections that asked for a challenge and don't get one; those that are answered meanwhile ask again.
fn wait_for_paid(address: SocketAddr) -> Vec<TcpStream> {
    let mut waiting = Vec::new();
    for _ in 0..ROUNDS {
        while waiting.len() < WAITING {
            let mut stream = TcpStream::connect(address).expect("nginx accepts");
            stream.write_all(&Request::get("/paid/1k").bytes()).expect("nginx reads");
            stream.set_nonblocking(true).expect("a socket");
            waiting.push(stream);
        }
        thread::sleep(AT_ONCE);
        still_waiting(&mut waiting);
        if waiting.len() == WAITING {
            break;
        }
    }
    waiting
}

/// Keeps those that have no answer.
fn still_waiting(waiting: &mut Vec<TcpStream>) {
    waiting.retain_mut(
        |stream| matches!(stream.read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock),
    );
}
