//! What holds on every kind of backend: what is sold, what is looked up, and what happens when the other side refuses,
//! hangs, is gone, slow, or answers something else.

use std::time::Duration;

use lnsim::{Fault, FaultKind, Method};

use crate::harness::http::Response;
use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::sim::hash_from;
use crate::harness::site::{PRICE_MSAT, content};
use crate::harness::stage::Stage;
use crate::harness::wait;
use crate::harness::wallet::{Keys, block};

pub const ALL: &[Scenario] = &[
    Scenario::on_backends("backend::classic", classic),
    Scenario::on_backends("backend::auto_detect", auto_detect),
    Scenario::on_backends("backend::offer", offer),
    Scenario::on_backends("backend::pushed", pushed),
    Scenario::on_backends("backend::without_push", without_push),
    Scenario::on_backends("backend::parallel_race", parallel_race),
    Scenario::on_backends("backend::wrong_amount", wrong_amount),
    Scenario::on_backends("backend::wrong_network_or_expired", wrong_network_or_expired),
    Scenario::on_backends("backend::hung", hung),
    Scenario::on_backends("backend::refusing", refusing),
    Scenario::on_backends("backend::dropping", dropping),
    Scenario::on_backends("backend::restarted", restarted),
    Scenario::on_backends("backend::silent", silent),
    Scenario::on_backends("backend::slow", slow),
    Scenario::on_backends("backend::bad_credentials", bad_credentials),
    Scenario::on_backends("backend::preimage_while_pending", preimage_while_pending),
    Scenario::on_backends("backend::cancelled", cancelled),
    Scenario::on_backends("backend::expiry", expiry),
];

const ON: &str = "l402_auto_detect_payment on;";

/// A site that sells `/paid/` through a block with these keys and lines.
fn blocked<'a>(stage: &'a Stage, keys: &Keys, more: &str, directives: &str) -> Nginx<'a> {
    let site = stage.site().http(&block("other", keys, more));
    site.paid(&format!("l402_backend other; {directives}")).start()
}

/// Whether this scenario can't be played, because the backend can't look anything up.
fn is_blind(stage: &Stage) -> bool {
    let blind = !stage.wallet().looks_up();
    if blind {
        stage.skip("skipped: this kind can't look up");
    }
    blind
}

/// No invoice, no grant, and nothing of the other side's words.
#[track_caller]
fn turned_away(answer: &Response, statuses: &[u16]) {
    assert!(statuses.contains(&answer.status), "{}: {}", answer.status, answer.text());
    assert_eq!(answer.header("WWW-Authenticate"), None);
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert!(!answer.text().contains("not now"), "{}", answer.text());
}

/// Waits until challenges are to be had again.
fn sells_again(nginx: &Nginx<'_>) {
    wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
}

fn classic(stage: &Stage) {
    classic_at(stage, &stage.paid_site(""));
}

/// [`classic`] at a site that sells `/paid/`.
pub(super) fn classic_at(stage: &Stage, nginx: &Nginx<'_>) {
    let challenge = nginx.get("/paid/a").challenge();
    let credential = stage.buy(&challenge);
    assert_eq!(nginx.get_paid("/paid/a", &credential).expect(200).text(), content("paid/a"));
    let fresh = nginx.get_paid("/paid/a", &credential).challenge();
    assert_ne!(fresh.invoice, challenge.invoice);
    assert_ne!(fresh.macaroon().payment_hash(), challenge.macaroon().payment_hash());
    nginx.get("/free/a").expect(200);
}

/// Unpaid, the macaroon alone brings the same invoice; paid, it serves once.
fn auto_detect(stage: &Stage) {
    if is_blind(stage) {
        return;
    }
    auto_detect_at(stage, &stage.paid_site(ON));
}

/// [`auto_detect`] at a site that sells `/paid/` with `l402_auto_detect_payment on`.
pub(super) fn auto_detect_at(stage: &Stage, nginx: &Nginx<'_>) {
    let challenge = nginx.get("/paid/a").challenge();
    for _ in 0..2 {
        let again = nginx.get_paid("/paid/a", &challenge.alone()).challenge();
        assert_eq!(again.invoice, challenge.invoice);
    }
    stage.pay(&challenge);
    wait::until("the payment to be seen", || {
        let answer = nginx.get_paid("/paid/a", &challenge.alone());
        assert!(matches!(answer.status, 200 | 402), "{}", answer.status);
        (answer.status == 200).then_some(())
    });
    let fresh = nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    assert_ne!(fresh.invoice, challenge.invoice);
}

/// An offer is advertised beside each of its invoices, and beside no other: new ones, ready ones, and those that are asked
/// about again.
fn offer(stage: &Stage) {
    let looks_up = stage.wallet().looks_up();
    let nginx = stage.paid_site(if looks_up {
        "l402_auto_detect_payment on; l402_invoice_rate_limit 100r/s;"
    } else {
        ""
    });
    let challenges: Vec<_> = (0..8).map(|_| nginx.get("/paid/a").challenge()).collect();
    for challenge in &challenges {
        assert_eq!(challenge.offer.as_deref(), stage.wallet().offer());
        if looks_up {
            assert!(
                nginx.get_paid("/paid/a", &challenge.alone()).challenge().asks_for_the_same_as(challenge)
            );
        }
    }
    // The invoice is what is paid.
    let credential = stage.buy(&challenges[7]);
    nginx.get_paid("/paid/a", &credential).expect(200);
}

/// No look-up succeeds: what the backend tells by itself is enough.
fn pushed(stage: &Stage) {
    if !stage.wallet().pushes() {
        return stage.skip("skipped: this kind tells of no payment by itself");
    }
    let nginx = stage.paid_site(ON);
    let challenge = nginx.get("/paid/a").challenge();
    stage.sim().wait_for_calls(Method::SubscribeInvoices, 1).unwrap();
    stage.sim().fault(Fault::refuse(stage.wallet().refusal(), "not now").at(Method::LookupInvoice));
    stage.pay(&challenge);
    wait::until("the payment to be heard of", || {
        let answer = nginx.get_paid("/paid/a", &challenge.alone());
        assert!(matches!(answer.status, 200 | 402 | 502 | 503), "{}", answer.status);
        (answer.status == 200).then_some(())
    });
}

/// Nothing is pushed: the look-up alone finds the payment.
fn without_push(stage: &Stage) {
    if is_blind(stage) {
        return;
    }
    stage.sim().fault(FaultKind::PushSilent);
    let nginx = stage.paid_site(ON);
    let challenge = nginx.get("/paid/a").challenge();
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    stage.pay(&challenge);
    wait::until("a look-up to see the payment", || {
        (nginx.get_paid("/paid/a", &challenge.alone()).status == 200).then_some(())
    });
}

/// One payment, both forms of its credential, over all workers: one 200.
fn parallel_race(stage: &Stage) {
    let looks_up = stage.wallet().looks_up();
    let nginx = stage.paid_site(if looks_up { ON } else { "" });
    for _ in 0..3 {
        let challenge = nginx.get("/paid/a").challenge();
        let bought = stage.buy(&challenge);
        let forms = if looks_up { [bought, challenge.alone()] } else { [bought.clone(), bought] };
        let answers = wait::at_once(24, |number| nginx.get_paid("/paid/a", &forms[number % 2]).status);
        assert!(answers.iter().all(|status| matches!(status, 200 | 402)), "{answers:?}");
        assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    }
}

fn wrong_amount(stage: &Stage) {
    let nginx = stage.paid_site("");
    for msat in [1000, PRICE_MSAT - 1000, 2 * PRICE_MSAT] {
        stage.sim().fault(Fault::new(FaultKind::WrongAmount(msat)).times(1));
        turned_away(&nginx.get("/paid/a"), &[502]);
        sells_again(&nginx);
    }
}

fn wrong_network_or_expired(stage: &Stage) {
    let nginx = stage.paid_site("");
    // The right network is known from the first invoice on, if the other side does not tell it.
    nginx.get("/paid/a").challenge();
    for kind in [FaultKind::WrongNetwork, FaultKind::Expired] {
        stage.sim().fault(Fault::new(kind).times(1));
        turned_away(&nginx.get("/paid/a"), &[502]);
        sells_again(&nginx);
    }
}

/// A call is taken and never answered: 504 at the backend's time-out, while other places answer.
fn hung(stage: &Stage) {
    let nginx = blocked(stage, &stage.wallet().keys(), "timeout 1s;", "");
    // The first connection may take longer than a second where the machine is busy and there is a pairing to do.
    sells_again(&nginx);
    stage.sim().fault(Fault::hang().at(Method::AddInvoice).times(2));
    std::thread::scope(|scope| {
        let waiting = [(); 2].map(|()| scope.spawn(|| nginx.get("/paid/a")));
        for _ in 0..20 {
            nginx.get("/free/a").expect(200);
        }
        for answer in waiting {
            // Who comes when the connection is known to be bad is told so at once.
            turned_away(&answer.join().unwrap(), &[504, 503]);
        }
    });
    stage.sim().clear_faults();
    sells_again(&nginx);
}

fn refusing(stage: &Stage) {
    let nginx = stage.paid_site("");
    let code = stage.wallet().refusal();
    stage.sim().fault(Fault::refuse(code, "not now").at(Method::AddInvoice).times(1));
    turned_away(&nginx.get("/paid/a"), &[502, 503]);
    sells_again(&nginx);
}

/// Connections are cut in the middle of a call, and between calls.
fn dropping(stage: &Stage) {
    let nginx = stage.paid_site(if stage.wallet().looks_up() { ON } else { "" });
    let challenge = nginx.get("/paid/a").challenge();
    stage.sim().fault(Fault::drop_connection().at(Method::AddInvoice).times(1));
    let answer = nginx.get("/paid/a");
    assert!(matches!(answer.status, 402 | 502 | 503), "{}", answer.status);
    sells_again(&nginx);
    stage.sim().restart();
    let preimage = stage.pay(&challenge);
    let (alone, paid) = (challenge.alone(), challenge.paid_with(&preimage));
    let credential = if stage.wallet().looks_up() { &alone } else { &paid };
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/paid/a", credential).status == 200).then_some(())
    });
}

/// The other side is away for a while: who has paid is served, nobody gets anything else, and all is well afterwards.
fn restarted(stage: &Stage) {
    let looks_up = stage.wallet().looks_up();
    let nginx = stage.paid_site(if looks_up { ON } else { "" });
    let (early, late) = (nginx.get("/paid/a").challenge(), nginx.get("/paid/a").challenge());
    let bought = stage.buy(&early);
    stage.sim().fault(FaultKind::RefuseConnections);
    wait::until("it to be noticed", || {
        let answer = nginx.get("/paid/a");
        (answer.status == 503).then(|| turned_away(&answer, &[503]))
    });
    nginx.get_paid("/paid/a", &bought).expect(200);
    let preimage = stage.pay(&late);
    stage.sim().clear_faults();
    sells_again(&nginx);
    let (alone, paid) = (late.alone(), late.paid_with(&preimage));
    let credential = if looks_up { &alone } else { &paid };
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/paid/a", credential).status == 200).then_some(())
    });
}

/// Connections are taken and nothing is ever said: bounded, and over when the silence is.
fn silent(stage: &Stage) {
    let nginx = blocked(stage, &stage.wallet().keys(), "timeout 1s;", "");
    stage.sim().fault(FaultKind::HangConnections);
    // l402d may have connected since its start: it has to do it again.
    stage.sim().restart();
    turned_away(&nginx.get("/paid/a"), &[504, 503]);
    nginx.get("/free/a").expect(200);
    stage.sim().clear_faults();
    sells_again(&nginx);
}

fn slow(stage: &Stage) {
    let delay = Duration::from_millis(400);
    let nginx = stage.paid_site(if stage.wallet().looks_up() { ON } else { "" });
    stage.sim().fault(Fault::new(FaultKind::Delay(delay)));
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = stage.pay(&challenge);
    let (alone, paid) = (challenge.alone(), challenge.paid_with(&preimage));
    let credential = if stage.wallet().looks_up() { &alone } else { &paid };
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/paid/a", credential).status == 200).then_some(())
    });
}

fn bad_credentials(stage: &Stage) {
    let Some(keys) = stage.wallet().keys_not_accepted() else {
        return stage.skip("skipped: this kind has no credentials");
    };
    let nginx = blocked(stage, &keys, "timeout 2s;", "");
    for _ in 0..2 {
        let before = nginx.error_log().len();
        turned_away(&nginx.get("/paid/a"), &[502, 503, 504]);
        nginx.wait_for_error("l402: ", before);
    }
    nginx.get("/free/a").expect(200);
}

/// The payer has its preimage, the receiver's side does not call it settled: only that counts for a macaroon alone.
fn preimage_while_pending(stage: &Stage) {
    if is_blind(stage) {
        return;
    }
    stage.sim().fault(FaultKind::SettleLater);
    let nginx = stage.paid_site(ON);
    let challenge = nginx.get("/paid/a").challenge();
    stage.pay(&challenge);
    let again = nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    assert_eq!(again.invoice, challenge.invoice);
    stage.sim().settle_now(&hash_from(&challenge.macaroon().payment_hash())).unwrap();
    wait::until("the settlement to be seen", || {
        (nginx.get_paid("/paid/a", &challenge.alone()).status == 200).then_some(())
    });
}

/// An invoice that nobody can pay any more is replaced.
fn cancelled(stage: &Stage) {
    if is_blind(stage) {
        return;
    }
    let nginx = stage.paid_site(ON);
    let challenge = nginx.get("/paid/a").challenge();
    stage.wallet().cancel(&challenge.macaroon().payment_hash()).unwrap();
    let shown = nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    if matches!(stage.label(), "cln" | "clnrest" | "bolt12" | "eclair" | "lnurl") {
        assert_eq!(shown.invoice, challenge.invoice, "deleted there; wallets say the same of live ones");
    } else {
        assert_ne!(shown.invoice, challenge.invoice, "nobody can pay the old one");
    }
}

fn expiry(stage: &Stage) {
    let nginx = stage.paid_site("l402_indefinite_access on; l402_macaroon_timeout 5s;");
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &credential).expect(200);
    let refused = wait::until("the token to expire", || {
        let answer = nginx.get_paid("/paid/a", &credential);
        (answer.status != 200).then_some(answer)
    });
    refused.challenge();
}
