//! Challenges with a real LND behind, against what its AddInvoice gives alone, 32 at once on both sides: each at a price
//! of its own, so that the node makes one for each; and bursts at one price, which a pool of ready invoices serves.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lnd_rpc::channel::Node as Channel;
use lnd_rpc::lnrpc::Invoice;
use tokio::task::JoinSet;

use crate::harness::http::Request;
use crate::harness::node::Node;
use crate::harness::site::PRICE_MSAT;
use crate::load::{self, Amount};
use crate::pairs::{Samples, Side};
use crate::profile;
use crate::report::{Report, Row};
use crate::stand::{Stand, site};
use crate::usage;

/// Clients on both sides.
const AT_ONCE: usize = 32;

/// Pairs of slices: each costs the node thousands of invoices.
const PAIRS: usize = 7;

/// One slice.
const SLICE: Duration = Duration::from_millis(1500);

/// Prices of a slice: more than LND makes invoices in that time.
const PRICES: usize = 20_000;

/// Requests of a burst at one price.
const BURST: usize = 2_000;

/// l402d makes more ahead when a burst is over for so long.
const CALM: Duration = Duration::from_millis(1200);

/// How long l402d is profiled.
const PROFILED: Duration = Duration::from_secs(3);

/// Longer than l402d works on after a slice.
const REST: Duration = Duration::from_secs(30);

/// Measures it, if there is a real pair, and profiles l402d.
pub fn measure(stand: &Stand, report: &mut Report) {
    let pair = match stand.pair() {
        Ok(pair) => pair,
        Err(reason) => {
            report.note(format!("challenges/s with a real LND: {reason}."));
            return;
        }
    };
    let node = Arc::clone(&pair);
    let stage = stand.stage_on(pair);
    let nginx = site(&stage)
        .http("map $arg_price $price { default $arg_price; '' 10000; }")
        .paid("l402_amount_msat_default $price;")
        .start();
    nginx.get("/paid/1k").expect(402);
    let (worker, agent) = (nginx.workers()[0], nginx.agent(None));
    let at_one_price = vec![Request::get("/paid/1k").bytes()];
    let (mut theirs, mut ours, mut helper) = (Side::default(), Side::default(), Side::default());
    let (mut ratios, mut others, mut refused) = (Samples::default(), 0, 0);
    let (mut ready, mut bursts) = (Samples::default(), Side::default());
    // Teaches the pool how much is asked for.
    load::run(nginx.address(), AT_ONCE, at_one_price.clone(), Amount::Requests(BURST));
    for pair in 0..PAIRS {
        thread::sleep(CALM);
        usage::settle(agent, REST);
        let price = |n| format!("/paid/1k?price={}", (pair + 1) * 100_000 + n);
        let ask = (0..PRICES).map(|n| Request::get(&price(n)).bytes()).collect();
        let (made, failed, elapsed) = invoices_alone(node.as_ref());
        refused += failed;
        let base = theirs.add(made, elapsed, Duration::ZERO);
        let before = (usage::cpu(worker), usage::cpu(agent));
        let came = load::run(nginx.address(), AT_ONCE, ask, Amount::Time(SLICE));
        let good = came.with(402);
        let rate = ours.add(good, came.elapsed, usage::cpu(worker).saturating_sub(before.0));
        helper.add(good, came.elapsed, usage::cpu(agent).saturating_sub(before.1));
        others += came.other_than(402);
        ratios.push(rate / base);
        let before = usage::cpu(worker);
        let came = load::run(nginx.address(), AT_ONCE, at_one_price.clone(), Amount::Requests(BURST));
        let spent = usage::cpu(worker).saturating_sub(before);
        ready.push(bursts.add(came.with(402), came.elapsed, spent) / base);
        others += came.other_than(402);
    }
    report.add(Row {
        figure: "challenges/s with a real LND, 32 clients, each at a price of its own ÷ its AddInvoice alone"
            .to_owned(),
        measured: format!(
            "{:.2} ({:.0}/s ÷ {:.0}/s), {others} errors",
            ratios.median(),
            ours.rates.median(),
            theirs.rates.median()
        ),
        spread: ratios.spread(2),
        cpu: format!("– → {:.1}, l402d {:.1}", ours.cpu_us(), helper.cpu_us()),
        reach: Some(("≥ 0.80, no errors".to_owned(), ratios.median() >= 0.8 && others == 0)),
    });
    report.add(Row {
        figure: format!("the same, bursts of {BURST} at one price (a pool of ready invoices)"),
        measured: format!("{:.2} ({:.0}/s)", ready.median(), bursts.rates.median()),
        spread: ready.spread(2),
        cpu: format!("– → {:.1}", bursts.cpu_us()),
        reach: None,
    });
    thread::scope(|scope| {
        let ask = (0..PRICES)
            .map(|n| Request::get(&format!("/paid/1k?price={}", 10_000_000 + n)).bytes())
            .collect();
        scope.spawn(|| load::run(nginx.address(), AT_ONCE, ask, Amount::Time(PROFILED)));
        profile::add(
            "l402d, with a real LND, each price its own",
            agent,
            PROFILED.as_secs(),
            nginx.dir(),
            report,
        );
    });
    if refused > 0 {
        report.note(format!("challenges/s with a real LND: {refused} calls of AddInvoice alone failed."));
    }
}

/// Invoices made, calls failed, and the time, with [`AT_ONCE`] calls in flight.
fn invoices_alone(node: &dyn Node) -> (u64, u64, Duration) {
    let certificate = fs::read(node.certificate()).expect("the node's certificate");
    let macaroon = fs::read(node.macaroon("invoice")).expect("the node's macaroon");
    let address = node.address().to_string();
    let to = Channel::new(&address, &certificate, &macaroon, None, Duration::from_secs(5)).expect("a node");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let channel = to.connect().await.expect("the node accepts");
        let start = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let mut client = to.lightning(channel.clone());
            callers.spawn(async move {
                let (mut made, mut failed) = (0, 0);
                while start.elapsed() < SLICE {
                    let invoice = Invoice {
                        memo: "measured alone".to_owned(),
                        value_msat: PRICE_MSAT as i64,
                        expiry: 600,
                        ..Invoice::default()
                    };
                    match client.add_invoice(invoice).await {
                        Ok(_) => made += 1,
                        Err(_) => failed += 1,
                    }
                }
                (made, failed)
            });
        }
        let sums = callers.join_all().await;
        let (made, failed) = sums.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (made, failed, start.elapsed())
    })
}
