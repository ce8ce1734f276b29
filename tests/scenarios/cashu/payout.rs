//! What was taken is paid out over Lightning, to the wallet of each location, through outages and kills.

use std::net::SocketAddr;

use lnsim::{Fault, LnurlOptions, Method, Sim, SimOptions};
use serde_json::json;

use super::{pay, site, token};
use crate::harness::http::Request;
use crate::harness::mint::{FEES, FREE, Rig, repository};
use crate::harness::nginx::Nginx;
use crate::harness::process::{Signal, signal};
use crate::harness::site::Site;
use crate::harness::stage::Stage;
use crate::harness::wait;

/// What is left of a payment that was paid out: too little for another.
const LEFT_AT_MOST: u64 = 9;

/// A site that pays out every second.
pub fn paying_out<'a>(stage: &'a Stage, rig: &Rig) -> Site<'a> {
    site(stage, rig).env("CASHU_REDEEM_ON_LIGHTNING", "on").env("CASHU_REDEMPTION_INTERVAL_SECS", "1")
}

/// The invoices that a mint has paid, by its own books.
pub fn paid_by(rig: &Rig, mint: usize) -> Vec<String> {
    let found = rig.ask(&json!({"do": "paid_out", "mint": mint}));
    let invoices = found["invoices"].as_array().expect("a list").iter();
    invoices.map(|invoice| invoice.as_str().expect("an invoice").to_owned()).collect()
}

/// One number of the wallet's database.
pub fn number(nginx: &Nginx<'_>, question: &str) -> u64 {
    let open = rusqlite::Connection::open(nginx.dir().join("state/cashu.db")).unwrap();
    open.query_row(question, [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
}

/// What is in the wallet and what was paid out, in sat, with its fees, once nothing is under way.
pub fn accounted(nginx: &Nginx<'_>) -> Option<u64> {
    let open = number(nginx, "SELECT count(*) FROM l402_melt WHERE open = 1");
    let question = "SELECT (SELECT coalesce(sum(amount), 0) FROM proof WHERE state = 'UNSPENT')
                         + (SELECT coalesce(sum(spent - change), 0) FROM l402_melt WHERE open = 0)";
    (open == 0).then(|| number(nginx, question))
}

/// Two payees and two mints: each invoice is of the right wallet, and what was paid in is accounted for.
pub fn two_payees(stage: &Stage) {
    let rig = Rig::start(repository());
    let other = Sim::start(SimOptions::default()).expect("a simulator");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = other.open_lnurl(any, LnurlOptions::default()).expect("a port");
    let place = format!("location /other/ {{ l402 on; l402_lnurl_addr http://alice@{address}; }}");
    let nginx = paying_out(stage, &rig).paid("").server(&place).start();
    for (mint, path, sat) in
        [(FREE, "/paid/a", 100), (FREE, "/other/a", 300), (FEES, "/paid/a", 50), (FEES, "/other/a", 400)]
    {
        let bought = token(stage, &rig, mint, sat, json!({"fees": true}));
        nginx.send(&Request::get(path).header("X-Cashu", bought.as_str())).expect(200);
    }
    let (mut own, mut others, mut seen) = (0, 0, 0);
    wait::until("both to be paid out", || {
        let paid: Vec<_> = [FREE, FEES].iter().flat_map(|mint| paid_by(&rig, *mint)).collect();
        seen = paid.len();
        // Each wallet takes the payment of its own invoices alone, and of each once.
        for invoice in &paid {
            if stage.sim().pay(invoice).is_err() {
                let _ = other.pay(invoice);
            }
        }
        (own, others) = (stage.sim().received_msat() / 1000, other.received_msat() / 1000);
        let mints = 2;
        (own + mints * 15 >= 150 && others + mints * 15 >= 700).then_some(())
    });
    assert!(own <= 150 && others <= 700, "{own} and {others}");
    assert!(seen >= 4);
    let paid_in = 100 + 300 + 50 + 400;
    wait::until("everything to be accounted for", || {
        (accounted(&nginx).filter(|sat| (paid_in..paid_in + 8).contains(sat))).map(drop)
    });
    let books = number(&nginx, "SELECT sum(amount) FROM l402_melt WHERE open = 0");
    assert_eq!(books, own + others, "what the wallets got");
}

/// All of one payment is paid out to the node, in one payment, or is in the wallet.
fn paid_out_once(stage: &Stage, rig: &Rig, nginx: &Nginx<'_>, sat: u64) {
    wait::until("the payment", || {
        (accounted(nginx) == Some(sat) && !paid_by(rig, FREE).is_empty()).then_some(())
    });
    let paid = paid_by(rig, FREE);
    assert_eq!(paid.len(), 1, "{paid:?}");
    stage.sim().pay(&paid[0]).expect("an invoice of the location's wallet");
    let books = number(nginx, "SELECT sum(amount) FROM l402_melt WHERE open = 0");
    assert_eq!(books, stage.sim().received_msat() / 1000);
    assert!(books + LEFT_AT_MOST >= sat, "{books}");
}

/// Lines of l402d's log that say that nothing was paid out, and this.
fn failures(nginx: &Nginx<'_>, why: &str) -> usize {
    let log = std::fs::read_to_string(nginx.dir().join("state/l402d.log")).unwrap_or_default();
    log.lines().filter(|line| line.contains("ecash is not paid out") && line.contains(why)).count()
}

/// The wallet makes no invoice, then the mint is away, then l402d starts anew: it is paid out when all are back.
pub fn outages(stage: &Stage) {
    let rig = Rig::start(repository());
    let refusal = stage.wallet().refusal();
    stage.sim().fault(Fault::refuse(refusal, "not now").at(Method::AddInvoice));
    let mut nginx = paying_out(stage, &rig).paid("").start();
    pay(&nginx, &token(stage, &rig, FREE, 100, json!({}))).expect(200);
    wait::until("a vain try for want of an invoice", || (failures(&nginx, "no invoice") > 1).then_some(()));
    rig.control("stop", FREE);
    stage.sim().clear_faults();
    wait::until("a vain try for want of the mint", || {
        (failures(&nginx, "is not available") > 1).then_some(())
    });
    assert_eq!(accounted(&nginx), Some(100));
    nginx.restart();
    rig.control("start", FREE);
    paid_out_once(stage, &rig, &nginx, 100);
}

/// l402d is killed while the mint is paying: its successor finds out what came of it, and nothing is paid twice.
pub fn killed_during_a_melt(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    let rig = Rig::start(repository());
    let paying = json!({"FAKEWALLET_PAY_INVOICE_STATE": "PENDING", "FAKEWALLET_PAYMENT_STATE": "PENDING"});
    rig.control("stop", FREE);
    rig.ask(&json!({"do": "start", "mint": FREE, "env": paying}));
    let nginx = paying_out(stage, &rig).paid("").start();
    pay(&nginx, &token(stage, &rig, FREE, 100, json!({}))).expect(200);
    let asked = "SELECT count(*) FROM l402_melt WHERE open = 1 AND tries > 0";
    wait::until("the mint to be asked", || (number(&nginx, asked) == 1).then_some(()));
    let agent = nginx.agent(None);
    signal(agent, Signal::KILL);
    nginx.agent(Some(agent));
    rig.control("stop", FREE);
    rig.control("start", FREE);
    paid_out_once(stage, &rig, &nginx, 100);
}
