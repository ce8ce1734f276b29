//! Two backends for one location: the second sells while the first can't, and what either sold stays good.

use std::sync::Arc;

use lnsim::{Fault, FaultKind, Method};

use crate::harness::challenge::Challenge;
use crate::harness::cln::Cln;
use crate::harness::nginx::Nginx;
use crate::harness::remote::Eclair;
use crate::harness::scenario::Scenario;
use crate::harness::site::Site;
use crate::harness::stage::Stage;
use crate::harness::wait;
use crate::harness::wallet::{Keys, Wallet};

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("failover::refusing", refusing),
    Scenario::on_simulator("failover::unreachable", unreachable),
    Scenario::on_simulator("failover::silent", silent),
    Scenario::on_simulator("failover::dropping", dropping),
    Scenario::on_simulator("failover::after_a_reload", after_a_reload),
    Scenario::on_simulator("failover::to_an_offer", to_an_offer),
    Scenario::on_simulator("failover::mistakes", mistakes),
];

const ON: &str = "l402_auto_detect_payment on;";

/// The stage's LND first, and another wallet, of another kind, to take over.
struct Pair<'a> {
    stage: &'a Stage,
    spare: Arc<dyn Wallet>,
    nginx: Nginx<'a>,
}

fn block(name: &str, keys: &Keys) -> String {
    let lines: String = keys.iter().map(|(key, value)| format!("{key} \"{value}\"; ")).collect();
    format!("l402_backend {name} {{ {lines} timeout 8s; }}")
}

fn site<'a>(stage: &'a Stage, spare: &dyn Wallet) -> Site<'a> {
    for secret in spare.secrets() {
        stage.keep_secret(&secret);
    }
    stage
        .site()
        .http(&block("first", &stage.wallet().keys()))
        .http(&block("spare", &spare.keys()))
        .paid(&format!("l402_backend first spare; {ON}"))
}

impl<'a> Pair<'a> {
    fn start(stage: &'a Stage, spare: impl Wallet + 'static) -> Self {
        let spare: Arc<dyn Wallet> = Arc::new(spare);
        let nginx = site(stage, spare.as_ref()).start();
        Self { stage, spare, nginx }
    }

    /// Whether the spare made this challenge's invoice; either way it is paid, by whom it belongs to.
    fn pay(&self, challenge: &Challenge) -> (bool, String) {
        let (spare, preimage) = match self.spare.pay(&challenge.invoice) {
            Ok(preimage) => (true, preimage),
            Err(_) => (false, self.stage.wallet().pay(&challenge.invoice).expect("one of the two made it")),
        };
        self.stage.keep_secret(&preimage);
        (spare, challenge.paid_with(&preimage))
    }

    fn buys(&self) -> bool {
        let (spare, credential) = self.pay(&self.nginx.get("/paid/a").challenge());
        self.nginx.get_paid("/paid/a", &credential).expect(200);
        spare
    }

    /// The macaroon alone serves once its payment is seen.
    fn served_alone(&self, challenge: &Challenge) {
        wait::until("the payment to be seen", || {
            (self.nginx.get_paid("/paid/a", &challenge.alone()).status == 200).then_some(())
        });
    }

    fn first_sells_again(&self) {
        wait::until("the first to sell again", || (!self.buys()).then_some(()));
    }

    /// One of the first's before the failure, one of the spare's during it; both good, during it and after.
    fn plays(&self, fail: impl FnOnce()) {
        let early = self.nginx.get("/paid/a").challenge();
        let (spare, classic) = self.pay(&self.nginx.get("/paid/a").challenge());
        assert!(!spare, "the first sells while it can");
        let (spare, seen) = self.pay(&early);
        assert!(!spare && seen.contains(':'));
        fail();
        let taken_over = self.nginx.get("/paid/a").challenge();
        self.nginx.get_paid("/paid/a", &classic).expect(200);
        let again = self.nginx.get_paid("/paid/a", &taken_over.alone()).challenge();
        assert_eq!(again.invoice, taken_over.invoice);
        let (spare, _) = self.pay(&taken_over);
        assert!(spare, "the second took over");
        self.served_alone(&taken_over);
        let late = self.nginx.get("/paid/a").challenge();
        self.stage.sim().clear_faults();
        self.served_alone(&early);
        self.first_sells_again();
        let (spare, _) = self.pay(&late);
        assert!(spare);
        self.served_alone(&late);
    }
}

fn refusing(stage: &Stage) {
    let code = stage.wallet().refusal();
    Pair::start(stage, Cln::by_socket())
        .plays(|| stage.sim().fault(Fault::refuse(code, "not now").at(Method::AddInvoice)));
}

fn unreachable(stage: &Stage) {
    Pair::start(stage, Eclair::start()).plays(|| {
        stage.sim().fault(FaultKind::RefuseConnections);
        stage.sim().restart();
    });
}

/// The request that finds it out is answered with the spare's invoice too.
fn silent(stage: &Stage) {
    let pair = Pair::start(stage, Cln::by_rest());
    pair.plays(|| {
        stage.sim().fault(Fault::hang().at(Method::AddInvoice));
        pair.nginx.get("/paid/a").challenge();
        pair.nginx.get("/free/a").expect(200);
    });
}

fn dropping(stage: &Stage) {
    Pair::start(stage, Cln::by_socket())
        .plays(|| stage.sim().fault(Fault::drop_connection().at(Method::AddInvoice)));
}

/// The next l402d does not know which of them made an invoice: it finds out.
fn after_a_reload(stage: &Stage) {
    let pair = Pair::start(stage, Cln::by_socket());
    let of_first = pair.nginx.get("/paid/a").challenge();
    stage.sim().fault(Fault::refuse(stage.wallet().refusal(), "not now").at(Method::AddInvoice));
    let of_spare = pair.nginx.get("/paid/a").challenge();
    let before = pair.nginx.agent(None);
    pair.nginx.reload();
    pair.nginx.agent(Some(before));
    for (challenge, by_spare) in [(of_first, false), (of_spare, true)] {
        let again = pair.nginx.get_paid("/paid/a", &challenge.alone()).challenge();
        assert_eq!(again.invoice, challenge.invoice, "nobody is sent to pay twice");
        assert_eq!(pair.pay(&challenge).0, by_spare);
        pair.served_alone(&challenge);
    }
}

/// The offer is told beside its own invoices, and not beside those of the other.
fn to_an_offer(stage: &Stage) {
    let pair = Pair::start(stage, Cln::by_offer());
    let offer_of = |challenge: &Challenge| challenge.offer.clone();
    let of_first = pair.nginx.get("/paid/a").challenge();
    stage.sim().fault(Fault::refuse(stage.wallet().refusal(), "not now").at(Method::AddInvoice));
    let of_spare = pair.nginx.get("/paid/a").challenge();
    assert_eq!((offer_of(&of_first), offer_of(&of_spare).as_deref()), (None, pair.spare.offer()));
    for challenge in [&of_first, &of_spare] {
        let again = pair.nginx.get_paid("/paid/a", &challenge.alone()).challenge();
        assert!(again.asks_for_the_same_as(challenge), "{again:?}");
    }
    let before = pair.nginx.agent(None);
    pair.nginx.reload();
    pair.nginx.agent(Some(before));
    for challenge in [of_first, of_spare] {
        let again = pair.nginx.get_paid("/paid/a", &challenge.alone()).challenge();
        assert!(again.asks_for_the_same_as(&challenge), "{again:?}");
        assert_eq!(pair.pay(&challenge).0, challenge.offer.is_some());
        pair.served_alone(&challenge);
    }
}

fn mistakes(stage: &Stage) {
    let nine = (1..=9).map(|n| format!("b{n}")).collect::<Vec<_>>().join(" ");
    for (names, said) in [
        ("default spare", "l402_backend \"spare\" is not defined; expected one of"),
        ("default default", "l402_backend \"default default\" is not valid"),
        ("default no.name", "l402_backend \"default no.name\" is not valid"),
        (nine.as_str(), "is not valid"),
    ] {
        let checked = stage.site().paid(&format!("l402_backend {names};")).check();
        let text = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!checked.status.success() && text.contains(said), "{said}: {text}");
        assert!(text.contains("nginx.conf:"), "the line is named: {text}");
    }
}
