//! Locations that are paid to a Lightning address of their own, and payments that are looked up after a restart.

use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use lnsim::{LnurlOptions, Sim, SimOptions};

use super::backends::classic_at;
use crate::harness::lnurl_server;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("lightning_address::per_location", per_location),
    Scenario::on_simulator("lightning_address::looked_up_after_a_reload", looked_up_after_a_reload),
    Scenario::on_simulator("lightning_address::without_verify_the_answer_says_so", without_verify),
    Scenario::on_simulator("lightning_address::mistakes", mistakes),
    Scenario::on_simulator("lightning_address::server_classic", server_classic),
    Scenario::on_simulator("lightning_address::server_per_location", server_per_location),
    Scenario::on_simulator("lightning_address::server_without_verify", server_without_verify),
];

/// A Lightning address of its own, beside the stage's node.
fn another(verify: bool) -> (Sim, String) {
    let sim = Sim::start(SimOptions::default()).expect("a simulator");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = sim.open_lnurl(any, LnurlOptions { verify, ..LnurlOptions::default() }).expect("a port");
    (sim, format!("http://alice@{address}"))
}

fn pay(sim: &Sim, invoice: &str) -> String {
    HEXLOWER.encode(&sim.pay(invoice).expect("the address's own invoice"))
}

/// One location is paid to another address; its neighbour to the node.
fn per_location(stage: &Stage) {
    let (other, address) = another(true);
    let other_place =
        format!("location /other/ {{ l402 on; l402_auto_detect_payment on; l402_lnurl_addr {address}; }}");
    let nginx = stage.site().paid("").server(&other_place).start();
    let (tip, own) = (nginx.get("/other/a").challenge(), nginx.get("/paid/a").challenge());
    assert!(stage.sim().pay(&tip.invoice).is_err(), "it is not the node's invoice");
    let preimage = pay(&other, &tip.invoice);
    stage.keep_secret(&preimage);
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/other/a", &tip.alone()).status == 200).then_some(())
    });
    nginx.get_paid("/paid/a", &tip.paid_with(&preimage)).stale();
    let bought = stage.buy(&own);
    nginx.get_paid("/paid/a", &bought).expect(200);
}

/// What the address said of its invoice is known to the next l402d.
fn looked_up_after_a_reload(stage: &Stage) {
    let (other, address) = another(true);
    let nginx = stage.paid_site(&format!("l402_auto_detect_payment on; l402_lnurl_addr {address};"));
    let challenge = nginx.get("/paid/a").challenge();
    let before = nginx.agent(None);
    nginx.reload();
    nginx.agent(Some(before));
    let again = nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    assert_eq!(again.invoice, challenge.invoice);
    stage.keep_secret(&pay(&other, &challenge.invoice));
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/paid/a", &challenge.alone()).status == 200).then_some(())
    });
}

/// A macaroon alone is told why it is not enough; with the preimage it is.
fn without_verify(stage: &Stage) {
    let (other, address) = another(false);
    let nginx = stage.paid_site(&format!("l402_auto_detect_payment on; l402_lnurl_addr {address};"));
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = pay(&other, &challenge.invoice);
    stage.keep_secret(&preimage);
    let refused = nginx.get_paid("/paid/a", &challenge.alone()).expect(401);
    let said = refused.header("WWW-Authenticate").unwrap_or_default().to_owned();
    assert!(said.contains("preimage"), "{said}");
    nginx.get_paid("/paid/a", &challenge.paid_with(&preimage)).expect(200);
    let told = stage.logs().iter().map(|(_, log)| log.matches("LUD-21").count()).sum::<usize>();
    assert_eq!(told, 1, "the operator is told, once");
}

/// `nginx -t` says what is wrong with an address.
fn mistakes(stage: &Stage) {
    for (directives, said) in [
        ("l402_lnurl_addr alice;", "l402_lnurl_addr \"alice\" is not valid"),
        ("l402_lnurl_addr http://alice@example.com;", "http://user@host for a host of this network"),
        ("l402_lnurl_addr bob@abc.onion;", "SOCKS5_PROXY is missing"),
        ("l402_lnurl_addr alice@example.com; l402_backend default;", "both say who is paid"),
    ] {
        let checked = stage.site().paid(directives).check();
        let text = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!checked.status.success() && text.contains(said), "{said}: {text}");
    }
    let outside = stage.site().http("l402_agent unix:/run/nowhere/l402d.sock;");
    let checked = outside.paid("l402_lnurl_addr alice@example.com;").check();
    let text = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(!checked.status.success() && text.contains("is not for the l402d of l402_agent"), "{text}");
}

/// The server is a real one, of others; it has no `verify`, and hashes its metadata into each invoice.
fn server_classic(stage: &Stage) {
    lnurl_server::play(stage, |server| {
        let site = stage.site().env("LN_CLIENT_TYPE", "LNURL").env("LNURL_ADDRESS", server.uri());
        classic_at(stage, &site.paid("").start());
    });
}

fn server_per_location(stage: &Stage) {
    lnurl_server::play(stage, |server| {
        classic_at(stage, &stage.paid_site(&format!("l402_lnurl_addr {};", server.uri())));
    });
}

/// A macaroon alone is told that it takes the preimage here.
fn server_without_verify(stage: &Stage) {
    lnurl_server::play(stage, |server| {
        let directives = format!("l402_auto_detect_payment on; l402_lnurl_addr {};", server.uri());
        let nginx = stage.paid_site(&directives);
        let challenge = nginx.get("/paid/a").challenge();
        let preimage = stage.pay(&challenge);
        let refusal = nginx.get_paid("/paid/a", &challenge.alone()).refusal();
        assert!(refusal.contains("preimage"), "{refusal}");
        nginx.get_paid("/paid/a", &challenge.paid_with(&preimage)).expect(200);
    });
}
