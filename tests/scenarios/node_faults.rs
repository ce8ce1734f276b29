//! A node that refuses, is unreachable, is silent, or answers wrongly: never 200, never a blocked worker, and the
//! payment of a client is never lost to it.

use lnsim::{Fault, FaultKind, Method};

use crate::harness::http::Response;
use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::socks::Socks;
use crate::harness::stage::Stage;
use crate::harness::tap::Tap;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("node::refuses", refuses),
    Scenario::on_nodes("node::least_macaroon", least_macaroon),
    Scenario::on_nodes("node::unreachable", unreachable),
    Scenario::on_nodes("node::unreachable_at_the_start", unreachable_at_the_start),
    Scenario::on_nodes("node::silent", silent),
    Scenario::on_nodes("node::through_socks5", through_socks5),
    Scenario::on_nodes("node::single_use_needs_no_node", single_use_needs_no_node),
    Scenario::on_simulator("node::wrong_invoices", wrong_invoices),
    Scenario::on_simulator("node::refuses_for_a_while", refuses_for_a_while),
    Scenario::on_simulator("node::drops_connections", drops_connections),
    Scenario::on_simulator("node::hangs", hangs),
    Scenario::on_simulator("node::payment_outlives_a_failed_look_up", payment_outlives_a_failed_look_up),
    Scenario::on_simulator("node::of_another_certificate", of_another_certificate),
];

/// A site that reaches the node through a tap, with a deadline of 2 s for each call.
fn tapped<'a>(stage: &'a Stage, tap: &Tap, directives: &str) -> Nginx<'a> {
    let node = stage.node();
    let block = format!(
        "l402_backend tapped {{ type lnd; address {}; macaroon {}; cert {}; timeout 2s; }}",
        tap.address(),
        node.macaroon("invoice").display(),
        node.certificate().display()
    );
    stage.site().http(&block).paid(&format!("l402_backend tapped; {directives}")).start()
}

#[track_caller]
fn unavailable(answer: &Response) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let seconds: u32 = answer.header("Retry-After").expect("Retry-After").parse().unwrap();
    assert!((1..=600).contains(&seconds));
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert_eq!(answer.header("WWW-Authenticate"), None);
}

/// The macaroon permits reading only.
fn refuses(stage: &Stage) {
    let readonly = stage.node().macaroon("readonly");
    let nginx = stage.site().env("MACAROON_FILE_PATH", &readonly.to_string_lossy()).paid("").start();
    for _ in 0..2 {
        let before = nginx.error_log().len();
        let answer = nginx.get("/paid/a").expect(502);
        assert_eq!(answer.header("WWW-Authenticate"), None);
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
        nginx.wait_for_error("l402: ", before);
    }
    nginx.get("/free/a").expect(200);
}

/// The macaroon that the guide tells an operator to bake is enough: to sell, to look up and to hear of payments.
fn least_macaroon(stage: &Stage) {
    let least = stage.node().macaroon("l402");
    let site = stage.site().env("MACAROON_FILE_PATH", &least.to_string_lossy());
    let nginx = site.paid("l402_auto_detect_payment on;").start();
    let classic = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &classic).expect(200);
    let challenge = nginx.get("/paid/a").challenge();
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    stage.pay(&challenge);
    nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
    let log = nginx.error_log();
    assert!(!log.contains("lacks"), "every call is permitted: {log}");
}

fn unreachable(stage: &Stage) {
    let tap = Tap::start(stage.node_address());
    let nginx = tapped(stage, &tap, "");
    let unused = nginx.buy("/paid/a");
    tap.cut();
    for _ in 0..3 {
        unavailable(&nginx.get("/paid/a"));
    }
    nginx.get_paid("/paid/a", &unused).expect(200);
    nginx.get("/free/a").expect(200);
    tap.open();
    wait::until("challenges again", || (nginx.get("/paid/a").status == 402).then_some(()));
}

fn unreachable_at_the_start(stage: &Stage) {
    let tap = Tap::start(stage.node_address());
    tap.cut();
    let nginx = tapped(stage, &tap, "l402_auto_detect_payment on;");
    unavailable(&nginx.get("/paid/a"));
    tap.open();
    let challenge = wait::until("a challenge", || {
        let answer = nginx.get("/paid/a");
        (answer.status == 402).then(|| answer.challenge())
    });
    stage.pay(&challenge);
    nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
}

/// 504 within the deadline, while other places answer as ever.
fn silent(stage: &Stage) {
    let tap = Tap::start(stage.node_address());
    let nginx = tapped(stage, &tap, "");
    nginx.get("/paid/a").challenge();
    tap.silence();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..12).map(|_| scope.spawn(|| nginx.get("/paid/a"))).collect();
        let mut served = 0;
        while waiting.iter().all(|one| !one.is_finished()) {
            nginx.get("/free/a").expect(200);
            served += 1;
        }
        assert!(
            served > 16,
            "only {served} while others waited: on each worker one would have waited with them"
        );
        let statuses: Vec<_> = waiting.into_iter().map(|answer| answer.join().unwrap().status).collect();
        // Who comes when the connection is known to be bad is told so at once.
        assert!(statuses.iter().all(|status| matches!(status, 504 | 503)), "{statuses:?}");
        assert!(statuses.contains(&504), "{statuses:?}");
    });
    tap.open();
    wait::until("challenges again", || (nginx.get("/paid/a").status == 402).then_some(()));
}

/// Over a SOCKS5 proxy, which gets the node's name as it is written: an `.onion` name resolves nowhere else.
fn through_socks5(stage: &Stage) {
    let proxy = Socks::start();
    let address = format!("localhost:{}", stage.node_address().port());
    let nginx = stage
        .site()
        .env("LND_ADDRESS", &address)
        .env("SOCKS5_PROXY", &format!("socks5://{}", proxy.address()))
        .paid("l402_auto_detect_payment on;")
        .start();
    let challenge = nginx.get("/paid/a").challenge();
    stage.pay(&challenge);
    nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
    let asked = proxy.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| *asked == address), "{asked:?}");
}

/// Preimage and claim are enough: a paid client is served while the node is away.
fn single_use_needs_no_node(stage: &Stage) {
    let tap = Tap::start(stage.node_address());
    let nginx = tapped(stage, &tap, "l402_max_uses 2;");
    let credential = nginx.buy("/paid/a");
    tap.silence();
    nginx.get_paid("/paid/a", &credential).expect(200);
    tap.cut();
    nginx.get_paid("/paid/a", &credential).expect(200);
    let answer = nginx.get_paid("/paid/a", &credential);
    assert!(
        matches!(answer.status, 503 | 504),
        "used up, and no fresh challenge to be had: {}",
        answer.status
    );
}

/// What is not the invoice that was asked for never reaches a client.
fn wrong_invoices(stage: &Stage) {
    let nginx = stage.paid_site("l402_amount_msat_default $arg_price;");
    let wrong =
        [FaultKind::WrongAmount(1), FaultKind::WrongAmount(20_000), FaultKind::WrongHash, FaultKind::Expired];
    for (price, kind) in (10_000..).zip(wrong.into_iter().chain([FaultKind::WrongNetwork])) {
        // At a price of its own, so that none is made ahead.
        let target = format!("/paid/a?price={price}");
        stage.sim().fault(Fault::new(kind.clone()).times(1));
        let answer = nginx.get(&target);
        assert_eq!(answer.status, 502, "{kind:?}: {}", answer.text());
        assert_eq!(answer.header("WWW-Authenticate"), None);
        nginx.get(&target).challenge();
    }
}

fn refuses_for_a_while(stage: &Stage) {
    let nginx = stage.paid_site("");
    // 14 is gRPC's "unavailable", 2 its "unknown", in which LND wraps most refusals, 7 "permission denied".
    for (code, statuses) in [(14, [503, 503]), (2, [502, 502]), (7, [502, 502]), (8, [503, 502])] {
        stage.sim().fault(Fault::refuse(code, "not now").at(Method::AddInvoice).times(1));
        let answer = nginx.get("/paid/a");
        assert!(statuses.contains(&answer.status), "code {code}: {}", answer.status);
        assert!(!answer.text().contains("not now"), "the node's words are for the operator");
        wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
    }
}

fn drops_connections(stage: &Stage) {
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    let challenge = nginx.get("/paid/a").challenge();
    stage.sim().fault(Fault::drop_connection().at(Method::AddInvoice).times(1));
    let answer = nginx.get("/paid/a");
    assert!(matches!(answer.status, 402 | 502 | 503), "{}", answer.status);
    wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
    stage.sim().restart();
    stage.pay(&challenge);
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/paid/a", &challenge.alone()).status == 200).then_some(())
    });
}

/// Longer than l402d's patience with a call, which the default deadline of the module exceeds.
fn hangs(stage: &Stage) {
    let node = stage.node();
    let block = format!(
        "l402_backend slow {{ type lnd; address {}; macaroon {}; cert {}; timeout 1s; }}",
        node.address(),
        node.macaroon("invoice").display(),
        node.certificate().display()
    );
    let nginx = stage.site().http(&block).paid("l402_backend slow;").start();
    nginx.get("/paid/a").challenge();
    stage.sim().fault(Fault::hang().at(Method::AddInvoice).times(2));
    for answer in wait::at_once(2, |_| nginx.get("/paid/a")) {
        assert_eq!(answer.expect(504).header("Cache-Control"), Some("no-store"));
    }
    nginx.get("/paid/a").challenge();
}

/// A claim that could not be decided because the node failed draws nothing.
fn payment_outlives_a_failed_look_up(stage: &Stage) {
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    let challenge = nginx.get("/paid/a").challenge();
    let before = stage.sim().calls(Method::LookupInvoice);
    nginx.reload(); // l402d's memory of the invoice goes; with nothing pushed it has to look up
    // As it does once by itself, to see how the node is.
    stage.sim().wait_for_calls(Method::LookupInvoice, before + 1).expect("the new l402d");
    stage.sim().fault(FaultKind::PushSilent);
    stage.pay(&challenge);
    stage.sim().fault(Fault::refuse(14, "busy").at(Method::LookupInvoice).times(1));
    let answer = nginx.get_paid("/paid/a", &challenge.alone());
    assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
    wait::until("the payment to be seen", || {
        let answer = nginx.get_paid("/paid/a", &challenge.alone());
        assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
        (answer.status == 200).then_some(())
    });
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
}

/// Somebody else answers at the node's address: he gets no macaroon and sells nothing.
fn of_another_certificate(stage: &Stage) {
    use crate::harness::node::Node;
    use crate::harness::wallet::Wallet;
    let other = crate::harness::sim::Simulated::start();
    let nginx = stage.site().env("LND_ADDRESS", &other.address().to_string()).paid("").start();
    let answer = nginx.get("/paid/a");
    assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
    let calls = other.sim().map(|sim| Method::ALL.map(|method| sim.calls(method)).iter().sum::<u64>());
    assert_eq!(calls, Some(0));
}
