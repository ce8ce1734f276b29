//! Wallets as they really are: every quirk that users of real ones reported, on every kind that can have it. What must hold
//! is refused, everything else is sold, served and said once.

use std::time::Duration;

use lnsim::{
    Channels, Described, Fault, FaultKind, Method, OddPreimage, OddReceived, Quirk, Spelling, Until,
};

use crate::harness::challenge::Challenge;
use crate::harness::nginx::Nginx;
use crate::harness::quirks::{self, Outcome};
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;
use crate::harness::wallet::block;

pub const ALL: &[Scenario] = &[
    Scenario::on_backends("quirk::invoices", invoices),
    Scenario::on_backends("quirk::settlements", settlements),
    Scenario::on_backends("quirk::look_ups", look_ups),
    Scenario::on_backends("quirk::descriptions", descriptions),
    Scenario::on_backends("quirk::clocks", clocks),
    Scenario::on_backends("quirk::limits", limits),
    Scenario::on_backends("quirk::frozen", frozen),
    Scenario::on_backends("quirk::channels", channels),
    Scenario::on_simulator("quirk::cannot_be_opened", cannot_be_opened),
];

/// One thing that a wallet does differently.
struct Case {
    name: &'static str,
    quirk: Quirk,
    /// What the operator reads of it, if anything is to be said.
    said: &'static str,
}

const fn case(name: &'static str, quirk: Quirk, said: &'static str) -> Case {
    Case { name, quirk, said }
}

/// Each case has a location of its own, so that no invoice made ahead of another one is handed out.
fn site(stage: &Stage, count: usize) -> Nginx<'_> {
    let site = stage.site();
    let html = site.dir().join("html/paid");
    let place = |n: usize| {
        format!(
            "location /q{n}/ {{ alias {}/; l402 on; l402_auto_detect_payment on; l402_invoice_rate_limit 1000r/s; }}",
            html.display()
        )
    };
    let places: String = (0..count).map(place).collect::<Vec<_>>().join("\n");
    site.server(&places).start()
}

/// How often the logs say it.
pub fn said(stage: &Stage, text: &str) -> usize {
    stage.logs().iter().map(|(_, log)| log.matches(text).count()).sum()
}

/// A challenge, the same invoice while it is unpaid, a payment, and the answer for it.
fn sell_and_serve(stage: &Stage, nginx: &Nginx<'_>, target: &str) -> (bool, bool) {
    let answer = nginx.get(target);
    if answer.status != 402 {
        return (false, false);
    }
    let challenge = answer.challenge();
    if stage.wallet().looks_up() {
        same_invoice(nginx, target, &challenge);
    }
    let preimage = stage.pay(&challenge);
    (true, served(stage, nginx, target, &challenge, &preimage))
}

#[track_caller]
pub fn same_invoice(nginx: &Nginx<'_>, target: &str, challenge: &Challenge) {
    let again = nginx.get_paid(target, &challenge.alone()).challenge();
    assert_eq!(again.invoice, challenge.invoice, "nobody is sent to pay twice");
}

/// Until who paid is served by the macaroon alone; nothing else than the same invoice is answered meanwhile.
pub fn served(stage: &Stage, nginx: &Nginx<'_>, target: &str, challenge: &Challenge, preimage: &str) -> bool {
    if !stage.wallet().looks_up() {
        return nginx.get_paid(target, &challenge.paid_with(preimage)).status == 200;
    }
    let answered = wait::within(wait::SOON, || {
        let answer = nginx.get_paid(target, &challenge.alone());
        match answer.status {
            200 => Some(true),
            402 => (answer.challenge().invoice != challenge.invoice).then_some(false),
            _ => Some(false),
        }
    });
    answered.unwrap_or(false)
}

/// Plays one case; it is sold and served. Returns how often the logs say `text`.
#[track_caller]
fn play(
    stage: &Stage,
    nginx: &Nginx<'_>,
    n: usize,
    case: &Case,
    always: Option<FaultKind>,
    text: &str,
) -> usize {
    stage.sim().clear_faults();
    if let Some(fault) = always {
        stage.sim().fault(fault);
    }
    stage.sim().fault(case.quirk.clone());
    let (sold, served) = sell_and_serve(stage, nginx, &format!("/q{n}/a"));
    let lines = if text.is_empty() { 0 } else { said(stage, text) };
    quirks::keep(case.name, stage.label(), Outcome { sold, served, said: lines });
    assert!(sold && served, "{}: sold {sold}, served {served}", case.name);
    lines
}

/// Whether the wallet puts into its invoices what it is asked to, so that there is something to differ from.
fn follows(stage: &Stage) -> bool {
    !matches!(stage.label(), "lnurl" | "lnurl-blind" | "bolt12")
}

fn invoices(stage: &Stage) {
    let text = || Described::Text("LNbits: Coffee".to_owned());
    let cases = [
        case("describe=hash", Quirk::Describe(Described::Hash), ""),
        case("describe=empty", Quirk::Describe(Described::Empty), ""),
        case("describe=none", Quirk::Describe(Described::Nothing), ""),
        case("describe=TEXT", Quirk::Describe(text()), "description"),
        case("expiry=60", Quirk::Expiry(60), ""),
        case("expiry=300", Quirk::Expiry(300), ""),
        case("expiry=3600", Quirk::Expiry(3600), ""),
        case("expiry=86400", Quirk::Expiry(86_400), ""),
        case("expiry-max=900", Quirk::ExpiryMax(900), "s as asked"),
    ];
    let (follows, described) = (follows(stage), stage.label() != "bolt12");
    let nginx = site(stage, cases.len() + 1);
    for (n, case) in cases.iter().enumerate() {
        // Facts are said once, whichever case showed them first.
        let text = if n < 4 { DESCRIPTION } else { LIFE };
        let lines = play(stage, &nginx, n, case, None, text);
        let expected = if n < 4 { described } else { follows };
        assert_eq!(lines, usize::from(expected), "{}: lines in the log", case.name);
    }
    // Too little time to pay must not be sold.
    stage.sim().clear_faults();
    stage.sim().fault(Quirk::Expiry(59));
    let last = format!("/q{}/a", cases.len());
    assert_eq!(nginx.get(&last).status, 502);
    nginx.wait_for_error("60 s are the least", 0);
    quirks::keep("expiry=59", stage.label(), Outcome { sold: false, served: false, said: 1 });
}

/// What the lines about descriptions and lives have in common.
const DESCRIPTION: &str = "is different: its invoices h";
const LIFE: &str = "is different: its invoices live";

fn settlements(stage: &Stage) {
    const PREIMAGE: &str = "in the preimage's place";
    if !stage.wallet().looks_up() {
        return stage.skip("skipped: this kind can't look up");
    }
    // What pushes tell is the same, or has nothing of it.
    let cases = [
        case("preimage=none", Quirk::Preimage(OddPreimage::None), ""),
        case("preimage=empty", Quirk::Preimage(OddPreimage::Empty), ""),
        case("received=none", Quirk::Received(OddReceived::None), ""),
        case("received=text", Quirk::Received(OddReceived::Text), ""),
        case("received=9000", Quirk::Received(OddReceived::Msat(9000)), ""),
        case("received=1", Quirk::Received(OddReceived::Msat(1)), ""),
        case("spelling=capitals", Quirk::Spelling(Spelling::Capitals), ""),
        case("spelling=textual-truth", Quirk::Spelling(Spelling::TextualTruth), ""),
        case("spelling=numeric-truth", Quirk::Spelling(Spelling::NumericTruth), ""),
        case("spelling=empty-error", Quirk::Spelling(Spelling::EmptyError), ""),
        case("preimage=zero", Quirk::Preimage(OddPreimage::Zero), PREIMAGE),
        case("preimage=other", Quirk::Preimage(OddPreimage::Other), PREIMAGE),
        case("preimage=uuid", Quirk::Preimage(OddPreimage::Uuid), PREIMAGE),
        case("preimage=long", Quirk::Preimage(OddPreimage::Long), PREIMAGE),
    ];
    // Eclair's pushes have no preimage, and come before a look-up that has one.
    let by_look_up = stage.label() == "eclair";
    if by_look_up {
        stage.sim().fault(FaultKind::PushSilent);
    }
    let nginx = site(stage, cases.len());
    for (n, case) in cases.iter().enumerate() {
        let lines = play(stage, &nginx, n, case, by_look_up.then_some(FaultKind::PushSilent), case.said);
        assert_eq!(lines, usize::from(!case.said.is_empty()), "{}: lines in the log", case.name);
    }
    // LNURL tells no amount; the others' difference is logged, and half of it missing is an error.
    if !stage.label().starts_with("lnurl") {
        assert!(said(stage, "less than its price was received") >= 1);
        assert!(said(stage, "less than half of its price was received") >= 1);
    }
}

fn look_ups(stage: &Stage) {
    if !stage.wallet().looks_up() {
        return stage.skip("skipped: this kind can't look up");
    }
    let unknown = |said: Option<(i32, &str)>, until| Quirk::Unknown {
        said: said.map(|(code, text)| (code, text.to_owned())),
        until,
    };
    let own = stage.wallet().refusal();
    let cases = [
        case("unknown,until=settled", unknown(None, Until::Settled), ""),
        case("unknown,until=700", unknown(None, Until::Passed(Duration::from_millis(700))), ""),
        case("unknown=OWN ERROR,until=settled", unknown(Some((own, "something broke")), Until::Settled), ""),
        case("unknown=does not exist", unknown(Some((own, "invoice does not exist")), Until::Settled), ""),
    ];
    let nginx = site(stage, cases.len() + 1);
    for (n, case) in cases.iter().enumerate() {
        play(stage, &nginx, n, case, None, case.said);
    }
    // Never found, but told of: a push is enough. Else the same invoice, and the preimage serves.
    stage.sim().clear_faults();
    stage.sim().fault(unknown(None, Until::Cleared));
    let target = format!("/q{}/a", cases.len());
    let challenge = nginx.get(&target).challenge();
    same_invoice(&nginx, &target, &challenge);
    let preimage = stage.pay(&challenge);
    let served = if stage.wallet().pushes() {
        served(stage, &nginx, &target, &challenge, &preimage)
    } else {
        same_invoice(&nginx, &target, &challenge);
        nginx.get_paid(&target, &challenge.paid_with(&preimage)).status == 200
    };
    quirks::keep("unknown", stage.label(), Outcome { sold: true, served, said: 0 });
    assert!(served);
}

/// Long ones, and those beyond ASCII, are shortened for a wallet that refuses them.
fn descriptions(stage: &Stage) {
    let long = "caf\u{e9}-".repeat(20);
    let quirks = [("text-max=100", Quirk::TextMax(100)), ("text-max=ascii", Quirk::TextAscii)];
    // Each with a l402d of its own, which knows nothing of the other. A session is for one of them.
    let count = if stage.label() == "lnc" { 1 } else { quirks.len() };
    for (name, quirk) in quirks.into_iter().take(count) {
        stage.sim().clear_faults();
        stage.sim().fault(quirk);
        let site = stage.site();
        let html = site.dir().join("html/paid");
        let place = format!(
            "location /{long}/ {{ alias {}/; l402 on; l402_auto_detect_payment on; l402_invoice_rate_limit 1000r/s; }}",
            html.display()
        );
        let before = said(stage, SHORTENED);
        let nginx = site.server(&place).start();
        let target = format!("/{}/a", long.replace('\u{e9}', "%C3%A9"));
        let (sold, served) = sell_and_serve(stage, &nginx, &target);
        sell_and_serve(stage, &nginx, &target);
        let lines = said(stage, SHORTENED) - before;
        quirks::keep(name, stage.label(), Outcome { sold, served, said: lines });
        assert!(sold && served, "{name}: sold {sold}, served {served}");
        assert_eq!(lines, usize::from(follows(stage)), "{name}");
    }
}

const SHORTENED: &str = "it refuses descriptions";

/// A clock that is wrong is said; one so wrong that an invoice is dead to its payer is not sold from.
fn clocks(stage: &Stage) {
    let nginx = site(stage, 3);
    // BOLT12 invoices live two hours and LNURL's one, whatever is asked.
    for (n, seconds) in [3600, -400].into_iter().enumerate() {
        stage.sim().clear_faults();
        stage.sim().fault(FaultKind::Clock(seconds));
        let (sold, served) = sell_and_serve(stage, &nginx, &format!("/q{n}/a"));
        let lines = said(stage, "set both by NTP");
        quirks::keep(&format!("clock={seconds}"), stage.label(), Outcome { sold, served, said: lines });
        assert!(sold && served && lines == 1, "clock {seconds}: sold {sold}, served {served}, said {lines}");
    }
    stage.sim().clear_faults();
    stage.sim().fault(FaultKind::Clock(-36_000));
    assert_eq!(nginx.get("/q2/a").status, 502);
    nginx.wait_for_error("set both clocks by NTP", 0);
    quirks::keep("clock=-36000", stage.label(), Outcome { sold: false, served: false, said: 1 });
}

/// One call too many is "come back", not "something is wrong": and not an error for each.
fn limits(stage: &Stage) {
    let nginx = site(stage, 2);
    let first = nginx.get("/q0/a").challenge();
    stage.sim().fault(Fault::from(Quirk::Limit(0)).at(Method::AddInvoice));
    for _ in 0..3 {
        let answer = nginx.get("/q1/a");
        assert_eq!(answer.status, 503);
        assert!(answer.header("Retry-After").is_some());
    }
    quirks::keep("limit=0/min", stage.label(), Outcome { sold: false, served: true, said: 1 });
    assert_eq!(said(stage, "the backend is down"), 1, "one line for an outage");
    let preimage = stage.pay(&first);
    assert!(served(stage, &nginx, "/q0/a", &first, &preimage));
}

/// Connections stay open and carry nothing: bounded, and over when the silence is.
fn frozen(stage: &Stage) {
    if matches!(stage.label(), "cln" | "bolt12") {
        return stage.skip("skipped: a socket of this host has no firewall on its way");
    }
    let keys = stage.wallet().keys();
    let site = stage.site().http(&block("other", &keys, "timeout 1s;"));
    let nginx = site.paid("l402_backend other;").start();
    wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
    stage.sim().fault(FaultKind::Freeze);
    for _ in 0..3 {
        let answer = nginx.get("/paid/a");
        assert!(matches!(answer.status, 503 | 504), "{}", answer.status);
        nginx.get("/free/a").expect(200);
    }
    stage.sim().clear_faults();
    wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
    quirks::keep("freeze", stage.label(), Outcome { sold: false, served: true, said: 1 });
}

/// A node that has private channels only names them in its invoices; one with a public channel does not.
fn channels(stage: &Stage) {
    if !matches!(stage.label(), "lnsim" | "lnc" | "cln" | "clnrest" | "eclair") {
        return stage.skip("skipped: this kind has no route hints");
    }
    let keys = stage.wallet().keys();
    let mut site = stage.site();
    let html = site.dir().join("html/paid");
    for (n, choice) in ["auto", "on", "off"].into_iter().enumerate() {
        let place = format!(
            "location /q{n}/ {{ alias {}/; l402 on; l402_auto_detect_payment on; l402_invoice_rate_limit 1000r/s; l402_backend {choice}; }}",
            html.display()
        );
        let keys = keys.clone();
        site = site.http(&block(choice, &keys, &format!("route_hints {choice};"))).server(&place);
    }
    // A session is for one client, and the macaroon of this kind's environment may not list channels.
    let lnc = stage.label() == "lnc";
    stage.sim().set_channels(Channels::Private(3));
    let nginx = site.start();
    let tries = if lnc { &[0][..] } else { &[0, 1, 2][..] };
    for &n in tries {
        let target = format!("/q{n}/a");
        let challenge = wait::until("a challenge", || {
            let answer = nginx.get(&target);
            (answer.status == 402).then(|| answer.challenge())
        });
        let hints = lightning::route_hints(&challenge.invoice);
        assert_eq!(hints, Some(if n == 2 { 0 } else { 3 }), "{target}");
        let preimage = stage.pay(&challenge);
        assert!(
            served(stage, &nginx, &target, &challenge, &preimage),
            "a challenge of three hints is a credential, too"
        );
    }
    quirks::keep("private channels", stage.label(), Outcome { sold: true, served: true, said: 0 });
}

/// A backend that passes `nginx -t` and can't be opened costs its own locations only.
fn cannot_be_opened(stage: &Stage) {
    let words = ["zzzz"; 10].join(" ");
    stage.keep_secret(&words);
    let block = format!("l402_backend bad {{ type lnc; pairing_phrase \"{words}\"; }}");
    let site = stage.site().http(&block);
    let place = format!(
        "location /bad/ {{ alias {}/; l402 on; l402_backend bad; }}",
        site.dir().join("html/paid").display()
    );
    let nginx =
        site.paid("l402_auto_detect_payment on; l402_invoice_rate_limit 1000r/s;").server(&place).start();
    for _ in 0..3 {
        assert_eq!(nginx.get("/bad/a").status, 502);
        let challenge = nginx.get("/paid/a").challenge();
        let preimage = stage.pay(&challenge);
        assert!(served(stage, &nginx, "/paid/a", &challenge, &preimage));
    }
    // nginx's own log has a line for each request; l402d's has one.
    let lines = stage.logs().into_iter().filter(|(name, _)| name.contains("l402d.log"));
    let said: usize = lines.map(|(_, log)| log.matches("it can't be opened").count()).sum();
    assert_eq!(said, 1);
}
