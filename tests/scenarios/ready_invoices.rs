//! Invoices that are made ahead of demand: served while the node is not, handed out once, good for as long as any other,
//! taken back when nobody got them.

use std::collections::HashSet;
use std::time::UNIX_EPOCH;

use lnsim::{Fault, FaultKind, Method, State};

use crate::harness::challenge::Challenge;
use crate::harness::http::Request;
use crate::harness::nginx::Nginx;
use crate::harness::process::{self, Signal};
use crate::harness::scenario::Scenario;
use crate::harness::sim::hash_from;
use crate::harness::site::content;
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("ready::served_while_the_node_hangs", served_while_the_node_hangs),
    Scenario::on_simulator("ready::served_while_the_node_is_away", served_while_the_node_is_away),
    Scenario::on_simulator("ready::the_rate_comes_first", the_rate_comes_first),
    Scenario::on_nodes("ready::handed_out_once", handed_out_once),
    Scenario::on_simulator("ready::as_long_to_pay_as_ever", as_long_to_pay_as_ever),
    Scenario::on_backends("ready::unused_are_cancelled_at_the_end", unused_are_cancelled_at_the_end),
    Scenario::on_nodes("ready::paid_after_a_reload", paid_after_a_reload),
    Scenario::on_simulator("ready::a_varied_price_fills_nothing", a_varied_price_fills_nothing),
    Scenario::on_simulator("ready::an_outage_is_logged_once", an_outage_is_logged_once),
];

/// Asked for so often at once, enough is ready for a burst of [`BURST`].
const ASKED: usize = 100;

/// As many as are surely ready then, though the demand fades on a slow machine.
const BURST: usize = 20;

/// Invoices that l402d makes ahead at once.
const AT_ONCE: u64 = 32;

/// Asks the simulator's site for this until there is a pool of [`BURST`] at least; what was handed out meanwhile.
fn warm_with(stage: &Stage, nginx: &Nginx<'_>, target: &str) -> Vec<Challenge> {
    let before = stage.sim().calls(Method::AddInvoice);
    let ask = |_| (0..ASKED / 4).map(|_| nginx.get(target).challenge()).collect::<Vec<_>>();
    let asked = wait::at_once(4, ask).concat();
    // The last of them may be on their way.
    let made = before + (ASKED + BURST) as u64 + AT_ONCE;
    stage.sim().wait_for_calls(Method::AddInvoice, made).expect("invoices made ahead");
    asked
}

fn warm(stage: &Stage, nginx: &Nginx<'_>) -> Vec<Challenge> {
    warm_with(stage, nginx, "/paid/a")
}

/// Takes a burst from all workers at once.
fn burst(nginx: &Nginx<'_>) -> Vec<Challenge> {
    wait::at_once(BURST, |_| nginx.get("/paid/a").challenge())
}

#[track_caller]
fn all_differ<'c>(challenges: impl IntoIterator<Item = &'c Challenge>) {
    let (mut invoices, mut hashes, mut tokens) = (HashSet::new(), HashSet::new(), HashSet::new());
    for challenge in challenges {
        let macaroon = challenge.macaroon();
        assert!(invoices.insert(challenge.invoice.clone()), "an invoice was handed out twice");
        assert!(hashes.insert(macaroon.payment_hash()), "a payment hash was handed out twice");
        assert!(tokens.insert(macaroon.token_id()), "two tokens have the same id");
    }
}

fn served_while_the_node_hangs(stage: &Stage) {
    let nginx = stage.paid_site("");
    let before = warm(stage, &nginx);
    stage.sim().fault(Fault::hang().at(Method::AddInvoice));
    let meanwhile = burst(&nginx);
    all_differ(before.iter().chain(&meanwhile));
    for challenge in [&meanwhile[0], &meanwhile[BURST - 1]] {
        let credential = stage.buy(challenge);
        assert_eq!(nginx.get_paid("/paid/a", &credential).expect(200).text(), content("paid/a"));
    }
}

fn served_while_the_node_is_away(stage: &Stage) {
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    warm(stage, &nginx);
    stage.sim().fault(FaultKind::RefuseConnections);
    let meanwhile = burst(&nginx);
    all_differ(&meanwhile);
    stage.sim().clear_faults();
    stage.pay(&meanwhile[0]);
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/paid/a", &meanwhile[0].alone()).status == 200).then_some(())
    });
    nginx.get_paid("/paid/a", &meanwhile[0].alone()).challenge();
}

/// Two locations sell the same: who is limited in one gets none of what is ready for both.
fn the_rate_comes_first(stage: &Stage) {
    let nginx = stage
        .paid_site("l402_realm all; l402_max_uses 5; location /paid/few/ { l402_invoice_rate_limit 1r/h; }");
    warm(stage, &nginx);
    stage.sim().fault(Fault::hang().at(Method::AddInvoice));
    let first = nginx.get("/paid/few/a").challenge();
    for _ in 0..3 {
        assert_eq!(nginx.get("/paid/few/a").status, 429);
    }
    let others = nginx.get("/paid/a").challenge();
    all_differ([&first, &others]);
}

/// Parallel clients of four workers, on a pool that is emptied and filled all the while.
fn handed_out_once(stage: &Stage) {
    const CLIENTS: usize = 16;
    let nginx = stage.paid_site("");
    let taken = wait::at_once(CLIENTS, |_| {
        let mut kept = nginx.connect();
        (0..50).map(|_| kept.exchange(&Request::get("/paid/a")).challenge()).collect::<Vec<_>>()
    });
    all_differ(taken.iter().flatten());
}

fn as_long_to_pay_as_ever(stage: &Stage) {
    let nginx = stage.paid_site("");
    warm(stage, &nginx);
    for _ in 0..BURST {
        let answer = nginx.get("/paid/a");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let now = UNIX_EPOCH.elapsed().expect("a clock").as_secs();
        let left = body["expires_at"].as_u64().expect("expires_at") - now;
        // A second may have passed in between.
        assert!((599..=1200).contains(&left), "{left} s to pay");
    }
    let last = nginx.get("/paid/a").challenge();
    stage.sim().advance_clock(598);
    nginx.get_paid("/paid/a", &stage.buy(&last)).expect(200);
}

/// Each of them, by every wallet that can, and none that a client has.
fn unused_are_cancelled_at_the_end(stage: &Stage) {
    if !stage.wallet().cancels() {
        return stage.skip("skipped: this kind can't cancel");
    }
    let sim = stage.sim();
    let mut nginx = stage.paid_site("");
    let mut handed_out = warm(stage, &nginx);
    handed_out.extend(burst(&nginx));
    nginx.end(Signal::QUIT);
    wait::until("the end of l402d", || stage.agents().is_empty().then_some(()));
    let (made, cancelled) = (sim.calls(Method::AddInvoice), sim.calls(Method::CancelInvoice));
    assert!(cancelled > 0, "nothing was left");
    assert_eq!(made, handed_out.len() as u64 + cancelled, "made, and not handed out, and not cancelled");
    for challenge in &handed_out {
        let hash = hash_from(&challenge.macaroon().payment_hash());
        let invoice = sim.invoice(&hash).expect("an invoice of the node");
        assert_eq!(invoice.state, State::Open, "a client may pay it");
    }
}

/// The pool ends with its l402d; what clients were given from it does not.
fn paid_after_a_reload(stage: &Stage) {
    let nginx = stage.paid_site("");
    let before: Vec<_> = (0..3).flat_map(|_| burst(&nginx)).collect();
    let former = nginx.agent(None);
    nginx.reload();
    wait::until("the end of the former l402d", || (!process::alive(former)).then_some(()));
    let after = burst(&nginx);
    all_differ(before.iter().chain(&after));
    for challenge in [&before[0], &before[3 * BURST - 1], &after[0]] {
        nginx.get_paid("/paid/a", &stage.buy(challenge)).expect(200);
    }
}

/// A client that computes another price for each request gets an invoice for each, and no pool for any.
fn a_varied_price_fills_nothing(stage: &Stage) {
    let nginx = stage.paid_site("l402_amount_msat_default $arg_price;");
    for price in 1000..1200 {
        let challenge = nginx.get(&format!("/paid/a?price={price}")).challenge();
        assert_eq!(challenge.amount_msat(), price);
    }
    stage.assert_invoices(200);
    // What is asked for again and again gets one.
    warm_with(stage, &nginx, "/paid/a?price=1");
    stage.sim().fault(Fault::hang().at(Method::AddInvoice));
    assert_eq!(nginx.get("/paid/a?price=1").challenge().amount_msat(), 1);
}

fn an_outage_is_logged_once(stage: &Stage) {
    let sim = stage.sim();
    let nginx = stage.paid_site("");
    warm(stage, &nginx);
    sim.fault(Fault::refuse(14, "not now").at(Method::AddInvoice));
    burst(&nginx);
    // Refilling has tried, and tried again after a pause.
    let tried = sim.calls(Method::AddInvoice);
    sim.wait_for_calls(Method::AddInvoice, tried + 1).expect("another try");
    let refused = wait::until("the pool's end", || Some(nginx.get("/paid/a")).filter(|a| a.status != 402));
    assert_eq!(refused.status, 503);
    assert!(refused.header("Retry-After").is_some());
    sim.clear_faults();
    wait::until("challenges again", || (nginx.get("/paid/a").status == 402).then_some(()));
    let said = |what: &str| stage.logs().iter().map(|(_, log)| log.matches(what).count()).sum::<usize>();
    wait::until("the end of the outage in the log", || (said("the backend answers again") > 0).then_some(()));
    assert_eq!((said("the backend is down"), said("the backend answers again")), (1, 1));
}
