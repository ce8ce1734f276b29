//! Auto-detect: a macaroon alone is enough, the server looks the payment up.

use lnsim::{Fault, FaultKind, Method};

use crate::harness::http::Request;
use crate::harness::scenario::Scenario;
use crate::harness::sim::hash_from;
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("auto_detect", auto_detect),
    Scenario::on_nodes("auto_detect::off", off),
    Scenario::on_nodes("auto_detect::cancelled", cancelled),
    Scenario::on_nodes("auto_detect::uses", uses),
    Scenario::on_nodes("auto_detect::indefinite", indefinite),
    Scenario::on_nodes("auto_detect::preimage_still_serves", preimage_still_serves),
    Scenario::on_nodes("auto_detect::after_restart", after_restart),
    Scenario::on_nodes("auto_detect::two_tokens_of_one_payment", two_tokens_of_one_payment),
    Scenario::on_simulator("auto_detect::settled_later", settled_later),
    Scenario::on_simulator("auto_detect::without_push", without_push),
    Scenario::on_simulator("auto_detect::look_ups_are_shared", look_ups_are_shared),
];

const ON: &str = "l402_auto_detect_payment on;";

fn auto_detect(stage: &Stage) {
    let nginx = stage.paid_site(ON);
    let challenge = nginx.get("/paid/a").challenge();
    for _ in 0..2 {
        let again = nginx.get_paid("/paid/a", &challenge.alone()).challenge();
        assert_eq!(again.invoice, challenge.invoice, "the same invoice");
        assert_eq!(again.macaroon().payment_hash(), challenge.macaroon().payment_hash());
    }
    stage.pay(&challenge);
    nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
    let fresh = nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    assert_ne!(fresh.invoice, challenge.invoice);
    stage.assert_invoices(2);
}

fn off(stage: &Stage) {
    let nginx = stage.paid_site("");
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = stage.pay(&challenge);
    let text = nginx.get_paid("/paid/a", &challenge.alone()).refusal();
    assert!(text.contains("preimage"), "{text}");
    nginx.get_paid("/paid/a", &challenge.paid_with(&preimage)).expect(200);
}

fn cancelled(stage: &Stage) {
    let nginx = stage.paid_site(ON);
    let challenge = nginx.get("/paid/a").challenge();
    stage.node().cancel(&challenge.macaroon().payment_hash()).unwrap();
    let fresh = nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    assert_ne!(fresh.invoice, challenge.invoice, "nobody can pay the old one");
}

fn uses(stage: &Stage) {
    let nginx = stage.paid_site("l402_auto_detect_payment on; l402_max_uses 2;");
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = stage.pay(&challenge);
    nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
    nginx.get_paid("/paid/a", &challenge.paid_with(&preimage)).expect(200);
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    nginx.get_paid("/paid/a", &challenge.paid_with(&preimage)).challenge();
}

fn indefinite(stage: &Stage) {
    let nginx = stage.paid_site("l402_auto_detect_payment on; l402_indefinite_access on;");
    let challenge = nginx.get("/paid/a").challenge();
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    stage.pay(&challenge);
    for _ in 0..5 {
        nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
    }
}

fn preimage_still_serves(stage: &Stage) {
    let nginx = stage.paid_site(ON);
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &credential).expect(200);
    nginx.get_paid("/paid/a", &credential).challenge();
}

/// Whoever asks again with an unpaid token gets another token of the same invoice: the payment counts once for both.
fn two_tokens_of_one_payment(stage: &Stage) {
    let nginx = stage.paid_site(ON);
    let first = nginx.get("/paid/a").challenge();
    let second = nginx.get_paid("/paid/a", &first.alone()).challenge();
    assert_eq!(first.invoice, second.invoice);
    let preimage = stage.pay(&first);
    let forms = [first.alone(), second.alone(), first.paid_with(&preimage), second.paid_with(&preimage)];
    let answers = wait::at_once(8, |number| nginx.get_paid("/paid/a", &forms[number % 4]).status);
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    for form in &forms {
        nginx.get_paid("/paid/a", form).challenge();
    }
}

/// What l402d knew in memory is gone: the node still knows what was paid.
fn after_restart(stage: &Stage) {
    let mut nginx = stage.paid_site(ON);
    let (unpaid, paid) = (nginx.get("/paid/a").challenge(), nginx.get("/paid/a").challenge());
    nginx.restart();
    stage.pay(&paid);
    let again = nginx.get_paid("/paid/a", &unpaid.alone()).challenge();
    assert_eq!(again.invoice, unpaid.invoice, "the same invoice");
    nginx.get_paid("/paid/a", &paid.alone()).expect(200);
}

/// The payer has its preimage, the receiver has not settled: only the receiver's word counts.
fn settled_later(stage: &Stage) {
    stage.sim().fault(FaultKind::SettleLater);
    let nginx = stage.paid_site(ON);
    let challenge = nginx.get("/paid/a").challenge();
    stage.pay(&challenge);
    let again = nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    assert_eq!(again.invoice, challenge.invoice);
    stage.sim().settle_now(&hash_from(&challenge.macaroon().payment_hash())).unwrap();
    nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
}

fn without_push(stage: &Stage) {
    stage.sim().fault(FaultKind::PushSilent);
    let nginx = stage.paid_site(ON);
    let challenge = nginx.get("/paid/a").challenge();
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    stage.pay(&challenge);
    // The look-up of a moment ago may stand for the next one, for about a second.
    wait::until("a look-up to see the payment", || {
        (nginx.get_paid("/paid/a", &challenge.alone()).status == 200).then_some(())
    });
}

fn look_ups_are_shared(stage: &Stage) {
    let sim = stage.sim();
    let nginx = stage.paid_site(ON);
    let challenge = nginx.get("/paid/a").challenge();
    let before = sim.calls(Method::LookupInvoice);
    sim.fault(Fault::delay(300).at(Method::LookupInvoice));
    let request = Request::get("/paid/a").paid(challenge.alone());
    let answers = wait::at_once(60, |_| nginx.send(&request));
    for answer in answers {
        assert_eq!(answer.challenge().invoice, challenge.invoice);
    }
    let asked = sim.calls(Method::LookupInvoice) - before;
    assert!(asked <= 10, "60 clients of one invoice cost the node {asked} look-ups");
}
