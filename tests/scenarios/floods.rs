//! Many who pay nothing: the node gets a bounded number of calls, l402d keeps a bounded memory, and whoever is too
//! much is told so at once.

use std::fs;

use lnsim::{Fault, Method};

use crate::harness::http::Request;
use crate::harness::process::Pid;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("flood::of_challenges", of_challenges),
    Scenario::on_simulator("flood::on_a_hanging_node", on_a_hanging_node),
    Scenario::on_simulator("flood::limit_req_comes_first", limit_req_comes_first),
];

/// Above every bound on calls at once that a wallet of ours has.
const CALLS_AT_ONCE: u64 = 128;

/// What l402d may have taken at most, in KiB: twice what it may have at rest.
const MEMORY_KIB: u64 = 80 * 1024;

/// The most memory a process has ever had, in KiB.
fn most_memory(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim_end_matches("kB").trim().parse().expect("a number")
}

/// 10 000 challenges for one address: each is an invoice or a 503, nothing hangs, nothing grows without bound.
fn of_challenges(stage: &Stage) {
    const CLIENTS: usize = 16;
    let nginx = stage.site().env("RUST_LOG", "info").paid("").start();
    let before = stage.sim().calls(Method::AddInvoice);
    let challenged = wait::at_once(CLIENTS, |_| {
        let mut kept = nginx.connect();
        let mut challenged = 0;
        for _ in 0..10_000 / CLIENTS {
            let answer = kept.exchange(&Request::get("/paid/a"));
            match answer.status {
                402 => challenged += 1,
                503 => assert!(answer.header("Retry-After").is_some()),
                other => panic!("{other}: {}", answer.text()),
            }
            if answer.header("Connection") == Some("close") {
                kept = nginx.connect();
            }
        }
        challenged
    });
    let challenged: u64 = challenged.into_iter().sum();
    assert!(challenged > 1000, "{challenged} challenges");
    let invoices = stage.sim().calls(Method::AddInvoice) - before;
    // As many again may be made ahead, in case the flood goes on.
    let most = 2 * challenged + 2 * CALLS_AT_ONCE;
    assert!(invoices < most, "{invoices} invoices for {challenged} challenges");
    let memory = most_memory(nginx.agent(None));
    assert!(memory < MEMORY_KIB, "l402d took {memory} KiB");
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
}

/// The node takes calls and answers none while 1 800 clients come at once.
fn on_a_hanging_node(stage: &Stage) {
    const CLIENTS: usize = 1800;
    let (node, sim) = (stage.node(), stage.sim());
    let site = stage.site();
    let log = site.dir().join("times.log");
    let nginx = site
        .env("RUST_LOG", "info")
        .http(&format!(
            "l402_backend slow {{ type lnd; address {}; macaroon {}; cert {}; timeout 2s; }}",
            node.address(),
            node.macaroon("invoice").display(),
            node.certificate().display()
        ))
        .http("log_format times '$status $request_time';")
        .server(&format!("access_log {} times;", log.display()))
        .paid("l402_backend slow;")
        .start();
    let credential = nginx.buy("/paid/a");
    sim.fault(Fault::hang().at(Method::AddInvoice));
    let before = sim.calls(Method::AddInvoice);
    let request = Request::get("/paid/a").bytes();
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = nginx.connect();
            client.write(&request).expect("nginx reads");
            client
        })
        .collect();
    // Whoever is too much learns it before anything can have timed out.
    let refused = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let times = text.lines().filter_map(|line| line.strip_prefix("503 ")?.parse().ok());
        times.collect::<Vec<f64>>()
    };
    let times = wait::until("the first 503", || Some(refused()).filter(|times| !times.is_empty()));
    assert!(times[0] < 2.0, "{times:?}");
    let in_flight = sim.calls(Method::AddInvoice) - before;
    assert!((1..=CALLS_AT_ONCE).contains(&in_flight), "{in_flight} calls at once");
    // Meanwhile who has paid is served, and what is free is free.
    nginx.get_paid("/paid/a", &credential).expect(200);
    nginx.get("/free/a").expect(200);
    sim.clear_faults();
    for client in &mut clients {
        let answer = client.read("GET").expect("an answer");
        assert!(matches!(answer.status, 402 | 503 | 504), "{}", answer.status);
        assert!(answer.status != 503 || answer.header("Retry-After").is_some());
    }
    wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
    let memory = most_memory(nginx.agent(None));
    assert!(memory < MEMORY_KIB, "l402d took {memory} KiB");
}

/// nginx's own limit of requests from one address stands before anything of ours.
fn limit_req_comes_first(stage: &Stage) {
    let nginx = stage
        .site()
        .http("limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;")
        .paid("limit_req zone=one burst=2 nodelay; limit_req_status 429;")
        .start();
    let answers = wait::at_once(50, |_| nginx.get("/paid/a").status);
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!((count(402), count(429)), (3, 47), "{answers:?}");
    assert!(stage.sim().calls(Method::AddInvoice) <= 3 + CALLS_AT_ONCE);
}
