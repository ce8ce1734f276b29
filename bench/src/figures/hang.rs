//! An unprotected location while the node hangs and 64 clients wait on paid ones, against the same without them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use lnsim::{Fault, Method};

use super::beside::{Beside, PAIRS};
use crate::harness::backends;
use crate::harness::http::Request;
use crate::harness::stage::Stage;
use crate::report::Report;
use crate::stand::{Stand, site};

/// Clients that wait.
const WAITING: usize = 64;

/// Time for an answer to come that does not need the node.
const AT_ONCE: Duration = Duration::from_millis(150);

/// Rounds of asking until a pool has nothing left.
const ROUNDS: usize = 60;

/// Measures it with LND.
pub fn measure(stand: &Stand, report: &mut Report) {
    beside(&stand.stage(), "node", report);
}

/// Measures it with every other kind of wallet.
pub fn measure_others(stand: &Stand, report: &mut Report) {
    for kind in ["cln", "clnrest", "bolt12", "eclair", "lnurl", "nwc", "lnc"] {
        let backend = backends::ALL.iter().find(|backend| backend.name == kind).expect("a kind of backend");
        beside(&stand.stage_on((backend.start)()), kind, report);
    }
}

fn beside(stage: &Stage, kind: &str, report: &mut Report) {
    let nginx = site(stage).paid("").start();
    nginx.get("/paid/1k").expect(402);
    stage.tolerate("l402");
    let mut figure = Beside::new(&nginx);
    let mut least_waiting = WAITING;
    for _ in 0..PAIRS {
        figure.pair(|slice| {
            stage.sim().fault(Fault::hang().at(Method::AddInvoice));
            let ask = || Request::get("/paid/1k").bytes();
            let mut waiting = wait_for_paid(nginx.address(), WAITING, &mut || Some(ask()));
            slice();
            still_waiting(&mut waiting);
            least_waiting = least_waiting.min(waiting.len());
            drop(waiting);
            stage.sim().clear_faults();
        });
    }
    let name = format!(
        "p99 of an unprotected location, {kind} hangs, {WAITING} clients wait on paid ones ÷ without them"
    );
    report.add(figure.row(name, least_waiting == WAITING));
    report.note(format!(
        "hang, {kind}: {least_waiting} of {WAITING} clients were still waiting at the end of each slice (the fewest of any slice); {}.",
        figure.rates()
    ));
}

/// So many connections that asked and get no answer; in place of those that are answered meanwhile others ask, as long as
/// there is something to ask for.
pub(super) fn wait_for_paid(
    address: SocketAddr,
    count: usize,
    ask: &mut dyn FnMut() -> Option<Vec<u8>>,
) -> Vec<TcpStream> {
    let mut waiting = Vec::new();
    for _ in 0..ROUNDS {
        while waiting.len() < count
            && let Some(request) = ask()
        {
            let mut stream = TcpStream::connect(address).expect("nginx accepts");
            stream.write_all(&request).expect("nginx reads");
            stream.set_nonblocking(true).expect("a socket");
            waiting.push(stream);
        }
        thread::sleep(AT_ONCE);
        still_waiting(&mut waiting);
        if waiting.len() == count {
            break;
        }
    }
    waiting
}

/// Keeps those that have no answer.
pub(super) fn still_waiting(waiting: &mut Vec<TcpStream>) {
    waiting.retain_mut(
        |stream| matches!(stream.read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock),
    );
}
