//! An unprotected location while something hangs and clients wait for it, against the same without them.

use std::net::SocketAddr;

use super::both;
use crate::harness::nginx::Nginx;
use crate::harness::process::Pid;
use crate::pairs::{Samples, Side};
use crate::report::Row;
use crate::usage;
use crate::wrk::Wrk;

/// Slices of both sides.
pub(super) struct Beside {
    address: SocketAddr,
    worker: Pid,
    theirs: Side,
    ours: Side,
    p99s: [Samples; 2],
    ratios: Samples,
}

impl Beside {
    /// Of this nginx's one worker.
    pub(super) fn new(nginx: &Nginx<'_>) -> Self {
        let (address, worker) = (nginx.address(), nginx.workers()[0]);
        let (theirs, ours, p99s, ratios) = Default::default();
        Self { address, worker, theirs, ours, p99s, ratios }
    }

    /// A slice without, and one that `hang` takes while something hangs.
    pub(super) fn pair(&mut self, hang: impl FnOnce(&mut dyn FnMut())) {
        let (address, worker) = (self.address, self.worker);
        let alone = slice(address, worker, &mut self.theirs);
        let mut beside = f64::NAN;
        hang(&mut || beside = slice(address, worker, &mut self.ours));
        self.p99s[0].push(alone);
        self.p99s[1].push(beside);
        self.ratios.push(beside / alone);
    }

    /// The row of `figure`; it is reached only if the clients `waited` as they were to.
    pub(super) fn row(&self, figure: String, waited: bool) -> Row {
        let ratio = self.ratios.median();
        let [alone, beside] = self.p99s.each_ref().map(Samples::median);
        Row {
            figure,
            measured: format!("{ratio:.2} ({beside:.0} µs ÷ {alone:.0} µs)"),
            spread: self.ratios.spread(2),
            cpu: both(self.theirs.cpu_us(), self.ours.cpu_us()),
            reach: Some(("≤ 1.2".to_owned(), ratio <= 1.2 && waited)),
        }
    }

    /// Requests/s beside and without.
    pub(super) fn rates(&self) -> String {
        let (beside, alone) = (self.ours.rates.median(), self.theirs.rates.median());
        format!("requests/s of the unprotected location {beside:.0} beside them, {alone:.0} without")
    }
}

/// The p99 in µs.
fn slice(address: SocketAddr, worker: Pid, side: &mut Side) -> f64 {
    let before = usage::cpu(worker);
    let run =
        Wrk { address, target: "/free/1k", connections: 8, seconds: 1, credentials: None, close: false };
    let seen = run.run();
    side.add(seen.requests, seen.elapsed, usage::cpu(worker).saturating_sub(before));
    seen.p99.as_secs_f64() * 1e6
}
