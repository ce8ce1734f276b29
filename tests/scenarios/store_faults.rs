//! The store fails or l402d dies at the worst moment: what was paid is still good once, and nothing is free.

use std::sync::atomic::{AtomicBool, Ordering};

use lnsim::{Fault, FaultKind, Method};
use rusqlite::Connection;

use crate::harness::http::{Request, Response};
use crate::harness::nginx::Nginx;
use crate::harness::process::{self, Signal};
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("store::busy", busy),
    Scenario::on_simulator("store::killed_before_the_claim", killed_before_the_claim),
    Scenario::on_simulator("store::killed_between_check_and_claim", killed_between_check_and_claim),
    Scenario::on_simulator("store::killed_mid_run", killed_mid_run),
    Scenario::on_simulator("store::many_years_later", many_years_later),
];

/// Says it once the payment serves; whoever is told to come back comes back.
#[track_caller]
fn serves_once(nginx: &Nginx<'_>, credential: &str) {
    wait::until("the payment to serve", || {
        let answer = nginx.get_paid("/paid/a", credential);
        assert!(matches!(answer.status, 200 | 503), "{}: {}", answer.status, answer.text());
        (answer.status == 200).then_some(())
    });
    nginx.get_paid("/paid/a", credential).challenge();
}

#[track_caller]
fn come_back(answer: &Response) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("Retry-After").is_some());
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
}

/// Somebody else holds the database's lock for longer than l402d waits: between check and claim, in other words.
fn busy(stage: &Stage) {
    let site = stage.site().paid("location /paid/open/ { l402_indefinite_access on; }");
    let database = site.state_dir().join("l402.db");
    let nginx = site.start();
    let (single, reusable) = (nginx.buy("/paid/a"), nginx.buy("/paid/open/a"));
    let other = Connection::open(database).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("its lock");
    let request = Request::get("/paid/a").paid(&single);
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..4).map(|_| scope.spawn(|| nginx.send(&request))).collect();
        for _ in 0..50 {
            nginx.get_paid("/paid/open/a", &reusable).expect(200);
            nginx.get("/free/a").expect(200);
        }
        for answer in waiting {
            come_back(&answer.join().expect("an answer"));
        }
    });
    other.execute_batch("ROLLBACK").expect("no lock any more");
    serves_once(&nginx, &single);
}

/// l402d has been asked to redeem and dies before it does.
fn killed_before_the_claim(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    let nginx = stage.paid_site("");
    let credential = nginx.buy("/paid/a");
    stage.wait_for_connections(4);
    let agent = nginx.agent(None);
    process::stop(agent);
    let request = Request::get("/paid/a").paid(&credential);
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| nginx.send(&request))).collect();
        for _ in 0..20 {
            nginx.get("/free/a").expect(200);
        }
        process::signal(agent, Signal::KILL);
        let answers = asked.into_iter().map(|thread| thread.join().expect("an answer").status);
        let answers: Vec<_> = answers.collect();
        assert!(answers.iter().all(|status| matches!(status, 200 | 402 | 503)), "{answers:?}");
        match answers.iter().filter(|status| **status == 200).count() {
            0 => serves_once(&nginx, &credential),
            1 => drop(nginx.get_paid("/paid/a", &credential).challenge()),
            more => panic!("{more} of one payment: {answers:?}"),
        }
    });
}

/// The node is just being asked whether it was paid; l402d dies before it can draw.
fn killed_between_check_and_claim(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    let sim = stage.sim();
    sim.fault(FaultKind::PushSilent);
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    let challenge = nginx.get("/paid/a").challenge();
    stage.pay(&challenge);
    sim.fault(Fault::hang().at(Method::LookupInvoice).times(1));
    let mut client = nginx.connect();
    client.write(&Request::get("/paid/a").paid(challenge.alone()).bytes()).expect("nginx reads");
    sim.wait_for_calls(Method::LookupInvoice, 1).expect("a look-up");
    process::signal(nginx.agent(None), Signal::KILL);
    match client.read("GET").expect("an answer").status {
        200 => drop(nginx.get_paid("/paid/a", &challenge.alone()).challenge()),
        // The look-up that hangs may also be that of the next l402d, up to its deadline.
        503 | 504 => serves_once(&nginx, &challenge.alone()),
        other => panic!("{other}"),
    }
}

/// l402d is killed again and again under load: no unpaid 200, reusable tokens served, a clear 503 for the rest, and
/// each payment good for one request.
fn killed_mid_run(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    let nginx = stage.paid_site("location /paid/open/ { l402_indefinite_access on; }");
    let reusable = nginx.buy("/paid/open/a");
    let payments: Vec<_> = (0..12).map(|_| nginx.buy("/paid/a")).collect();
    stage.wait_for_connections(4);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (nginx, over, reusable) = (&nginx, &over, &reusable);
        let clients: Vec<_> = payments
            .chunks(4)
            .map(|payments| {
                scope.spawn(move || {
                    let mut served = vec![0; payments.len()];
                    while !over.load(Ordering::SeqCst) || served.contains(&0) {
                        for (at, payment) in payments.iter().enumerate() {
                            let answer = nginx.get_paid("/paid/a", payment);
                            match answer.status {
                                200 => served[at] += 1,
                                402 => assert_eq!(served[at], 1, "a payment was lost"),
                                _ => come_back(&answer),
                            }
                            let unpaid = nginx.get("/paid/a").status;
                            assert!(matches!(unpaid, 402 | 503), "{unpaid}");
                            nginx.get_paid("/paid/open/a", reusable).expect(200);
                        }
                    }
                    served
                })
            })
            .collect();
        {
            let _at_the_end = wait::Flagged(over);
            let mut last = nginx.agent(None);
            for _ in 0..2 {
                process::signal(last, Signal::KILL);
                last = nginx.agent(Some(last));
            }
        }
        for client in clients {
            let served = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            assert!(served.iter().all(|count| *count == 1), "{served:?}");
        }
    });
}

/// Whatever has a lifetime has passed it, in the store and at the node: what was used stays used.
fn many_years_later(stage: &Stage) {
    let site = stage.site().paid("l402_macaroon_timeout 0; l402_auto_detect_payment on;");
    let database = site.state_dir().join("l402.db");
    let mut nginx = site.start();
    let challenge = nginx.get("/paid/a").challenge();
    let credential = stage.buy(&challenge);
    let unused = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &credential).expect(200);
    let old = "UPDATE request SET at = 1; UPDATE settled SET at = 1;";
    Connection::open(database).and_then(|database| database.execute_batch(old)).expect("older entries");
    for round in 0..4 {
        // Each claim clears old entries away.
        nginx.get_paid("/paid/b", &nginx.buy("/paid/b")).expect(200);
        for form in [&credential, &challenge.alone()] {
            nginx.get_paid("/paid/a", form).challenge();
        }
        if round == 1 {
            nginx.restart();
        }
    }
    // To the node it is an invoice of long ago; a new one of that clock is refused, one that is ready is of ours.
    stage.sim().advance_clock(20 * 365 * 24 * 3600);
    let status = nginx.get_paid("/paid/a", &challenge.alone()).status;
    assert!(matches!(status, 402 | 502), "{status}");
    nginx.get_paid("/paid/a", &unused).expect(200);
}
