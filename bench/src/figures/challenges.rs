//! Challenges with the simulator behind, against nginx's own `return 402`: bursts that a pool of ready invoices can hold.

use std::thread;
use std::time::{Duration, Instant};

use lnsim::Method;

use super::{PAIRS, both};
use crate::harness::http::Request;
use crate::harness::process::Pid;
use crate::load::{self, Amount, Came};
use crate::pairs::{Samples, Side};
use crate::plain::Plain;
use crate::profile;
use crate::report::{Report, Row};
use crate::stand::{Stand, site};
use crate::usage;

/// Requests of a burst.
const BURST: usize = 5_000;

/// Longer than the refill of a pool for such a burst takes.
const REFILL: Duration = Duration::from_secs(30);

/// A pool that made nothing for so long is as full as it gets.
const QUIET: Duration = Duration::from_secs(2);

/// How long the profile takes, and the bursts in that time.
const PROFILED: (u64, usize) = (12, 4);

/// Measures it, and profiles the worker.
pub fn measure(stand: &Stand, report: &mut Report) {
    let stage = stand.stage();
    let plain_site = site(&stage);
    let plain = Plain::start(&stage, &plain_site);
    let nginx = site(&stage).paid("").start();
    let made = || stage.sim().calls(Method::AddInvoice);
    let (worker, agent) = (nginx.workers()[0], nginx.agent(None));
    let ask = vec![Request::get("/paid/1k").bytes()];
    let plain_ask = vec![Request::get("/402").bytes()];

    // The first burst teaches a pool, if there is one, how much is asked for.
    load::run(nginx.address(), 32, ask.clone(), Amount::Requests(BURST));
    refilled(&made);
    let (mut theirs, mut ours, mut helper) = (Side::default(), Side::default(), Side::default());
    let (mut ratios, mut others) = (Samples::default(), 0);
    let mut made_meanwhile = 0;
    for _ in 0..PAIRS {
        let came = slice(&plain_ask, plain.address(), plain.worker(), &mut theirs);
        let base = came.with(402) as f64 / came.elapsed.as_secs_f64();
        let (made_before, agent_before) = (made(), usage::cpu(agent));
        let came = slice(&ask, nginx.address(), worker, &mut ours);
        made_meanwhile += made() - made_before;
        helper.add(came.with(402), came.elapsed, usage::cpu(agent).saturating_sub(agent_before));
        others += came.other_than(402);
        ratios.push(came.with(402) as f64 / came.elapsed.as_secs_f64() / base);
        refilled(&made);
    }
    let all = (PAIRS * BURST) as u64;
    let from_pool = 100.0 * (1.0 - made_meanwhile.min(all) as f64 / all as f64);
    let source = if from_pool > 1.0 { "a pool of ready invoices" } else { "no pool: each asks the node" };
    report.add(Row {
        figure: format!("challenges/s, lnsim behind ÷ nginx `return 402`, bursts of {BURST} ({source})"),
        measured: format!(
            "{:.2} ({:.0}/s ÷ {:.0}/s)",
            ratios.median(),
            ours.rates.median(),
            theirs.rates.median()
        ),
        spread: ratios.spread(2),
        cpu: format!("{}, l402d {:.1}", both(theirs.cpu_us(), ours.cpu_us()), helper.cpu_us()),
        reach: Some(("≥ 0.65".to_owned(), ratios.median() >= 0.65 && others == 0)),
    });
    report.note(format!(
        "challenges: of {all} in bursts, {from_pool:.0} % did not need an invoice made during the burst; answers that were no 402: {others}."
    ));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..PROFILED.1 {
                load::run(nginx.address(), 32, ask.clone(), Amount::Requests(BURST));
                refilled(&made);
            }
        });
        profile::add("the worker, challenges from the pool", worker, PROFILED.0, nginx.dir(), report);
    });
}

/// Waits until no more invoices are made.
fn refilled(made: &dyn Fn() -> u64) {
    let end = Instant::now() + REFILL;
    let mut before = made();
    while Instant::now() < end {
        thread::sleep(QUIET);
        let now = made();
        if now == before {
            return;
        }
        before = now;
    }
}

fn slice(ask: &[Vec<u8>], to: std::net::SocketAddr, worker: Pid, side: &mut Side) -> Came {
    let before = usage::cpu(worker);
    let came = load::run(to, 32, ask.to_vec(), Amount::Requests(BURST));
    side.add(came.with(402), came.elapsed, usage::cpu(worker).saturating_sub(before));
    came
}
