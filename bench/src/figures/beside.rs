//! An unprotected location while something hangs and clients wait for it, against the same without them.

use std::net::SocketAddr;

use super::both;
use crate::harness::http::Request;
use crate::harness::nginx::Nginx;
use crate::harness::process::Pid;
use crate::load::{self, Amount};
use crate::pairs::{Samples, Side};
use crate::report::Row;
use crate::usage;

/// Slices of each side: many, and short, since a p99 is a matter of what disturbs the machine now and then. What disturbs
/// one of them decides nothing.
pub(super) const PAIRS: usize = 31;
/// Requests of a slice, and how many are under way.
const SLICE: usize = 5_000;
const CONNECTIONS: usize = 8;

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
    let requests = vec![Request::get("/free/1k").bytes()];
    let came = load::run(address, CONNECTIONS, requests, Amount::Requests(SLICE));
    side.add(came.with(200), came.elapsed, usage::cpu(worker).saturating_sub(before));
    came.p99().as_secs_f64() * 1e6
}
