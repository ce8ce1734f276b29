//! Many who wait for one payment, and the neighbours of a backend that is in trouble.

use std::thread;
use std::time::Instant;

use lnsim::{Fault, FaultKind, Method};

use crate::harness::challenge::Challenge;
use crate::harness::http::{Connection, Request};
use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::sim::Simulated;
use crate::harness::stage::Stage;
use crate::harness::wait;
use crate::harness::wallet::{Wallet, block};

pub const ALL: &[Scenario] = &[
    Scenario::on_backends("crowd::a_thousand_wait_for_one_invoice", a_thousand_wait),
    Scenario::on_backends("crowd::neighbours_of_a_hung_backend", neighbours_of_a_hung_backend),
    Scenario::on_backends("crowd::neighbours_of_a_flapping_backend", neighbours_of_a_flapping_backend),
];

/// Clients that wait for one payment.
const CLIENTS: usize = 1000;

/// Each asks again when it is answered, and the wallet is asked at most once a second.
fn a_thousand_wait(stage: &Stage) {
    if !stage.wallet().looks_up() {
        return stage.skip("skipped: this kind can't look up");
    }
    let sim = stage.sim();
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    let challenge = nginx.get("/paid/a").challenge();
    let request = Request::get("/paid/a").paid(challenge.alone());
    let mut crowd: Vec<Connection> = (0..CLIENTS).map(|_| nginx.connect()).collect();
    let (before, began) = (sim.calls(Method::LookupInvoice), Instant::now());
    for _ in 0..3 {
        for client in &mut crowd {
            client.write(&request.bytes()).unwrap();
        }
        for client in &mut crowd {
            assert_eq!(client.read("GET").unwrap().challenge().invoice, challenge.invoice);
        }
    }
    // One at once, and one for each second that has begun since.
    let (asked, most) = (sim.calls(Method::LookupInvoice) - before, 2 + began.elapsed().as_secs());
    assert!(
        asked <= most,
        "{CLIENTS} clients of one invoice cost the wallet {asked} look-ups instead of {most}"
    );
    stage.pay(&challenge);
    let mut granted = 0;
    wait::until("the payment to be seen", || {
        for client in &mut crowd {
            client.write(&request.bytes()).unwrap();
        }
        let answers = crowd.iter_mut().map(|client| client.read("GET").unwrap());
        granted += answers.filter(|answer| answer.status == 200).count();
        (granted > 0).then_some(())
    });
    assert_eq!(granted, 1, "one payment, one grant");
}

/// A site whose `/paid/` is sold through the stage's backend and whose `/paid/open/` through a node of its own.
fn beside<'a>(stage: &'a Stage, node: &Simulated) -> Nginx<'a> {
    let blocks =
        [block("troubled", &stage.wallet().keys(), "timeout 2s;"), block("beside", &node.keys(), "")];
    node.secrets().iter().for_each(|secret| stage.keep_secret(secret));
    let place = "location /paid/open/ { l402 on; l402_backend beside; l402_auto_detect_payment on; }";
    stage.site().http(&blocks.join("\n")).paid("l402_backend troubled;").server(place).start()
}

/// Sells and serves there, in both forms, as if nothing were.
fn trades(stage: &Stage, nginx: &Nginx<'_>, node: &Simulated) {
    let pay = |challenge: &Challenge| {
        let preimage = node.pay(&challenge.invoice).expect("its own invoice");
        stage.keep_secret(&preimage);
        preimage
    };
    let (classic, alone) = (nginx.get("/paid/open/a").challenge(), nginx.get("/paid/open/a").challenge());
    let preimage = pay(&classic);
    nginx.get_paid("/paid/open/a", &classic.paid_with(&preimage)).expect(200);
    pay(&alone);
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/paid/open/a", &alone.alone()).status == 200).then_some(())
    });
    nginx.get("/free/a").expect(200);
}

fn neighbours_of_a_hung_backend(stage: &Stage) {
    let node = Simulated::start();
    let nginx = beside(stage, &node);
    trades(stage, &nginx, &node);
    stage.sim().fault(Fault::hang().at(Method::AddInvoice));
    stage.sim().fault(Fault::hang().at(Method::LookupInvoice));
    // More than the ready ones.
    let waiting: Vec<_> = (0..64).map(|_| nginx.connect()).collect();
    let mut waiting: Vec<_> = waiting
        .into_iter()
        .map(|mut client| client.write(&Request::get("/paid/a").bytes()).map(|()| client).unwrap())
        .collect();
    for _ in 0..5 {
        trades(stage, &nginx, &node);
    }
    for client in &mut waiting {
        let answer = client.read("GET").unwrap();
        assert!(matches!(answer.status, 402 | 503 | 504), "{}", answer.status);
    }
    stage.sim().clear_faults();
    wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
}

/// It goes and comes, and cuts every connection each time.
fn neighbours_of_a_flapping_backend(stage: &Stage) {
    let node = Simulated::start();
    let nginx = beside(stage, &node);
    for _ in 0..5 {
        stage.sim().fault(FaultKind::RefuseConnections);
        stage.sim().restart();
        thread::scope(|scope| {
            let troubled = scope.spawn(|| nginx.get("/paid/a").status);
            trades(stage, &nginx, &node);
            let status = troubled.join().unwrap();
            assert!(matches!(status, 402 | 502..=504), "{status}");
        });
        stage.sim().clear_faults();
        trades(stage, &nginx, &node);
    }
    wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
}
