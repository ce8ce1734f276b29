//! Requests that are dear to serve: their credentials are read in bounded work, and one request costs one deadline, one
//! look-up and one invoice at most.

use lnsim::{Fault, FaultKind, Method};

use crate::harness::h2::Http2;
use crate::harness::http::Request;
use crate::harness::process::Signal;
use crate::harness::scenario::Scenario;
use crate::harness::site::content;
use crate::harness::stage::Stage;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("dear::headers", headers),
    Scenario::on_simulator("dear::hpack_references", hpack_references),
    Scenario::on_simulator("dear::many_header_lines", many_header_lines),
    Scenario::on_simulator("dear::one_look_up", one_look_up),
    Scenario::on_simulator("dear::one_deadline", one_deadline),
    Scenario::on_simulator("dear::look_ups_are_limited", look_ups_are_limited),
    Scenario::on_simulator("dear::look_ups_are_limited_by_default", look_ups_are_limited_by_default),
    Scenario::on_simulator("dear::refusals_in_the_log", refusals_in_the_log),
];

/// The longest header line that fits four buffers of 32 KiB.
const LINE: usize = 32_000;

/// Credentials that are long and hold nothing, each to be repeated up to a length.
const FILLERS: [&str; 12] =
    [" ", ",", ", ", "L402 ", "a=\"\" ", "\"", "\"\" ", ":", "x ", "token=\"\",", "preimage=00,", "\\"];

/// They are refused, whichever header they come in, and the worker goes on.
fn headers(stage: &Stage) {
    for buffers in ["", "large_client_header_buffers 4 32k;"] {
        let length = if buffers.is_empty() { 8_000 } else { LINE };
        let mut nginx = stage.site().workers(1).http(buffers).paid("l402_indefinite_access on;").start();
        let credential = nginx.buy("/paid/a");
        for filler in FILLERS {
            let long = format!("x{}x", filler.repeat(length / filler.len()));
            for name in ["Authorization", "Macaroon", "Grpc-Metadata-Macaroon"] {
                let scheme = if name == "Authorization" { "L402 " } else { "" };
                let answer = nginx.send(&Request::get("/paid/a").header(name, format!("{scheme}{long}")));
                // Not even text to nginx, or no credential of ours.
                assert!(matches!(answer.status, 400..=402), "{filler:?} in {name}: {}", answer.status);
            }
            let both = Request::get("/paid/a").paid(format!("L402 {long}")).header("Macaroon", long);
            assert!(matches!(nginx.send(&both).status, 400..=402), "{filler:?} in both");
        }
        assert_eq!(nginx.get_paid("/paid/a", &credential).expect(200).text(), content("paid/a"));
        nginx.end(Signal::QUIT);
    }
    // Beyond 16 KiB nothing is read, unless it is somebody else's.
    let nginx = stage.site().http("large_client_header_buffers 4 32k;").paid("").start();
    let text = nginx.get_paid("/paid/a", &format!("L402 {}", "A".repeat(17_000))).refusal();
    assert_eq!(text, "the credential is too long to be read");
    nginx.get_paid("/paid/a", &format!("Bearer {}", "A".repeat(17_000))).challenge();
}

/// A small request that refers to large header fields which nginx has in its table.
fn hpack_references(stage: &Stage) {
    let site = stage.site().workers(1).http("large_client_header_buffers 4 32k;");
    let mut nginx = site.with_http2().paid("").start();
    let mut client = Http2::connect(nginx.second_address());
    let long = format!("x{}x", " ".repeat(3_900));
    client.remember("macaroon", &long);
    for _ in 0..20 {
        let answer = client.get("/paid/a", 30);
        assert!(matches!(answer, 400..=402 | 431), "{answer}");
    }
    nginx.get("/free/a").expect(200);
    drop(client);
    nginx.end(Signal::QUIT);
}

fn many_header_lines(stage: &Stage) {
    let nginx =
        stage.site().http("large_client_header_buffers 8 32k;").paid("l402_indefinite_access on;").start();
    let credential = nginx.buy("/paid/a");
    let with =
        |count: usize| (0..count).fold(Request::get("/paid/a"), |request, _| request.header("X-A", "b"));
    nginx.send(&with(500).paid(&credential)).expect(200);
    let before = nginx.error_log().len();
    let answer = nginx.send(&with(2_000).paid(&credential));
    // The newest nginx refuses them by itself.
    assert_eq!(answer.status, 400, "{}", answer.text());
    nginx.wait_for_error("header lines", before);
    nginx.get_paid("/paid/a", &credential).expect(200);
}

/// Sixteen unpaid tokens cost the wallet one look-up; one of them that l402d knows to be paid serves.
fn one_look_up(stage: &Stage) {
    let sim = stage.sim();
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    let unpaid: Vec<_> = (0..8).map(|_| nginx.get("/paid/a").challenge()).collect();
    let list = |from: &[crate::harness::challenge::Challenge]| {
        from.iter().map(|challenge| challenge.token.clone()).collect::<Vec<_>>().join(",")
    };
    let request = Request::get("/paid/a")
        .paid(format!("L402 {}", list(&unpaid[..4])))
        .header("Macaroon", list(&unpaid[4..]));
    let before = sim.calls(Method::LookupInvoice);
    let answer = nginx.send(&request);
    assert_eq!(answer.challenge().invoice, unpaid[0].invoice, "the first one can still be paid");
    assert_eq!(sim.calls(Method::LookupInvoice) - before, 1);
    // The last one is paid and pushed: no look-up is needed for it.
    stage.pay(&unpaid[7]);
    stage.wait_until_settled(&unpaid[7]);
    let before = sim.calls(Method::LookupInvoice);
    nginx.send(&request).expect(200);
    assert!(sim.calls(Method::LookupInvoice) - before <= 1);
}

/// A request has one time-out, however many questions it leads to: here a look-up, and the invoice that takes the place of one
/// that was cancelled.
fn one_deadline(stage: &Stage) {
    let sim = stage.sim();
    // No invoice is made ahead of a price that nobody asked for before.
    let directives = "l402_auto_detect_payment on; l402_amount_msat_default $arg_price;";
    let nginx = stage.site().http("l402_agent_timeout 3s;").paid(directives).start();
    // A token of a dearer price serves a cheaper one.
    let mut prices = (1_000..2_000).rev().map(|price| format!("/paid/a?price={price}"));
    let slow = [Method::LookupInvoice, Method::AddInvoice].map(|method| Fault::delay(2_000).at(method));
    for (faults, status) in [(&slow[..1], 402), (&slow[1..], 402), (&slow[..], 503)] {
        let challenge = nginx.get(&prices.next().unwrap()).challenge();
        let hash = crate::harness::sim::hash_from(&challenge.macaroon().payment_hash());
        sim.cancel(&hash).unwrap();
        faults.iter().for_each(|fault| sim.fault(fault.clone()));
        let answer = nginx.get_paid(&prices.next().unwrap(), &challenge.alone());
        assert_eq!(answer.status, status, "{faults:?}: {}", answer.text());
        sim.clear_faults();
    }
}

fn limited(answer: &crate::harness::http::Response) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("Retry-After").is_some());
}

/// Look-ups have a bucket of their own, ten times as large as that of challenges; what is known or paid costs nothing of it.
fn look_ups_are_limited(stage: &Stage) {
    let sim = stage.sim();
    let nginx =
        stage.paid_site("l402_auto_detect_payment on; l402_invoice_rate_limit 12r/h; l402_max_uses 100;");
    let challenges: Vec<_> = (0..12).map(|_| nginx.get("/paid/a").challenge()).collect();
    sim.fault(FaultKind::PushSilent);
    // Those that find a payment are put back.
    stage.pay(&challenges[0]);
    for _ in 0..30 {
        nginx.get_paid("/paid/a", &challenges[0].alone()).expect(200);
    }
    // Each of these asks the wallet: a look-up within a second of another of the same payment would wait.
    let ask = |number: usize| nginx.get_paid("/paid/a", &challenges[number].alone());
    let (mut asked, mut over) = (0, None);
    for _ in 0..20 {
        let answers = std::thread::scope(|scope| {
            let all: Vec<_> = (1..12).map(|number| scope.spawn(move || ask(number))).collect();
            all.into_iter().map(|answer| answer.join().unwrap()).collect::<Vec<_>>()
        });
        for answer in answers {
            match answer.status {
                402 => asked += 1,
                _ => over = Some(answer),
            }
        }
        if over.is_some() {
            break;
        }
    }
    limited(&over.expect("a look-up beyond the rate"));
    assert!((119..=132).contains(&asked), "{asked} look-ups");
    // What is known to be settled is never refused, and the token stays good.
    nginx.get_paid("/paid/a", &challenges[0].alone()).expect(200);
}

/// Without a rate for challenges an address has two look-ups a second.
fn look_ups_are_limited_by_default(stage: &Stage) {
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    let challenges: Vec<_> = (0..12).map(|_| nginx.get("/paid/a").challenge()).collect();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask =
            |challenge: &crate::harness::challenge::Challenge| nginx.get_paid("/paid/a", &challenge.alone());
        let all: Vec<_> = challenges.iter().map(|challenge| scope.spawn(move || ask(challenge))).collect();
        all.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty(), "twelve payments were looked up at once");
    refused.iter().for_each(|answer| limited(answer));
    // The token stays good.
    let preimage = stage.pay(&challenges[11]);
    nginx.get_paid("/paid/a", &challenges[11].paid_with(&preimage)).expect(200);
}

/// A client that sends rubbish fills no log at a level that wakes anybody.
fn refusals_in_the_log(stage: &Stage) {
    let nginx = stage.site().workers(1).paid("").start();
    for _ in 0..20 {
        nginx.get_paid("/paid/a", "L402 rubbish").refusal();
        nginx.get_paid("/paid/a", "L402 \"").refusal();
    }
    let log = nginx.error_log();
    let of_level =
        |level: &str| log.lines().filter(|line| line.contains("l402: ") && line.contains(level)).count();
    assert_eq!((of_level("[error]"), of_level("[warn]"), of_level("[info]")), (0, 2, 38), "{log}");
}
