//! `l402 cashu`: what the operator sees of the wallet, pays out by hand, and gets back after losing it.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use lnsim::{LnurlOptions, Sim, SimOptions};
use serde_json::{Value, json};

use super::payout::{accounted, number, paid_by};
use super::{PRICE_SAT, pay, site, token};
use crate::harness::http::Request;
use crate::harness::mint::{FEES, FREE, Rig, repository};
use crate::harness::nginx::Nginx;
use crate::harness::process::Signal;
use crate::harness::stage::Stage;
use crate::harness::wait;

/// The command, with the environment that nginx has.
fn command(stage: &Stage, nginx: &Nginx<'_>, rig: &Rig, what: &str) -> Command {
    command_of(stage, nginx, &rig.urls.join(","), what)
}

/// The same, with these mints.
pub fn command_of(stage: &Stage, nginx: &Nginx<'_>, mints: &str, what: &str) -> Command {
    let mut command = Command::new(stage.built("l402"));
    command.env_clear().envs(stage.wallet().environment());
    command.env("CASHU_ECASH_SUPPORT", "on").env("CASHU_WHITELISTED_MINTS", mints);
    command.env("CASHU_REDEEM_ON_LIGHTNING", "on");
    command.args(["cashu", what, "--json", "--state-dir"]).arg(nginx.dir().join("state"));
    command
}

/// Its exit code and what it prints.
#[track_caller]
pub fn told(mut command: Command) -> (i32, Value) {
    let output = command.output().expect("l402 can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    let object = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().expect("its end"), object)
}

#[track_caller]
pub fn of_mint<'a>(report: &'a Value, url: &str) -> &'a Value {
    let mints = report["mints"].as_array().expect("the mints");
    mints.iter().find(|mint| mint["mint"] == url).unwrap_or_else(|| panic!("{report}"))
}

/// What the wallet's files belong to: l402d's user, whoever has run the command.
#[track_caller]
fn assert_owned(nginx: &Nginx<'_>) {
    let state = nginx.dir().join("state");
    let owner = state.metadata().unwrap().uid();
    for entry in std::fs::read_dir(&state).unwrap().flatten() {
        // Beside the wallet's, what SQLite makes for the moment may be gone by now.
        let Ok(found) = entry.metadata() else { continue };
        assert_eq!(found.uid(), owner, "{:?}", entry.path());
    }
}

/// Two payees, of whom one is a Lightning address that only nginx's configuration names.
pub fn sees_and_redeems(stage: &Stage) {
    let rig = Rig::start(repository());
    let other = Sim::start(SimOptions::default()).expect("a simulator");
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let address = other.open_lnurl(any, LnurlOptions::default()).expect("a port");
    let place = format!("location /other/ {{ l402 on; l402_lnurl_addr http://alice@{address}; }}");
    let nginx = site(stage, &rig).paid("").server(&place).start();
    for (path, sat) in [("/paid/a", 100), ("/other/a", 300), ("/paid/a", PRICE_SAT)] {
        let bought = token(stage, &rig, FREE, sat, json!({}));
        nginx.send(&Request::get(path).header("X-Cashu", bought.as_str())).expect(200);
    }
    let (code, report) = told(command(stage, &nginx, &rig, "balance"));
    let free = of_mint(&report, &rig.urls[FREE]);
    let alice =
        format!("lnurl-http_3a_2f_2falice_40{}", address.to_string().replace('.', "_2e").replace(':', "_3a"));
    assert_eq!((code, &free["wallet_sat"]), (0, &json!(410)));
    assert_eq!(free["payees"], json!({"default": 110, alice.clone(): 300}), "{report}");
    // For people, with nothing in the environment; and it tells nothing to who asks for a wallet that is not there.
    let mut plain = Command::new(stage.built("l402"));
    plain.env_clear().args(["cashu", "balance", "--state-dir"]).arg(nginx.dir().join("state"));
    let output = plain.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("in the wallet") && text.contains("410 sat"),
        "{output:?}"
    );
    let mut nowhere = Command::new(stage.built("l402"));
    nowhere.env_clear().args(["cashu", "balance", "--state-dir"]).arg(stage.dir());
    let output = nowhere.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("there is no ecash wallet"), "{output:?}");

    // The mint is away: nothing is paid out, and nothing is lost.
    rig.control("stop", FREE);
    let (code, report) = told(command(stage, &nginx, &rig, "redeem"));
    assert!(code == 1 && report["ok"] == false, "{report}");
    rig.control("start", FREE);
    let (code, report) = told(command(stage, &nginx, &rig, "redeem"));
    assert_eq!((code, &report["ok"]), (0, &json!(true)), "{report}");
    for invoice in paid_by(&rig, FREE) {
        if stage.sim().pay(&invoice).is_err() {
            other.pay(&invoice).expect("an invoice of the other payee");
        }
    }
    let paid = |payee: &str| {
        let all = report["payouts"].as_array().expect("a list").iter();
        all.filter(|done| done["payee"] == payee).map(|done| done["paid_sat"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(paid("default"), stage.sim().received_msat() / 1000);
    assert_eq!(paid(&alice), other.received_msat() / 1000);
    assert!(paid("default") > 90 && paid(&alice) > 280, "{report}");
    let (_, report) = told(command(stage, &nginx, &rig, "balance"));
    let free = of_mint(&report, &rig.urls[FREE]);
    let sat = |name: &str| free[name].as_u64().unwrap();
    assert_eq!(sat("wallet_sat") + sat("paid_out_sat") + sat("fees_sat"), 410, "{report}");
    // Off, it says how it is done.
    let mut off = command(stage, &nginx, &rig, "redeem");
    let output = off.env_remove("CASHU_REDEEM_ON_LIGHTNING").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && text.contains("CASHU_REDEEM_ON_LIGHTNING is off"),
        "{output:?}"
    );
    assert_owned(&nginx);
}

/// Both pay out at the same time, again and again: what was paid in is what is left, was paid out, and was taken as fees.
pub fn redeems_beside_l402d(stage: &Stage) {
    let rig = Rig::start(repository());
    let nginx = super::payout::paying_out(stage, &rig).env("CASHU_MAX_PROOFS_PER_MELT", "2").paid("").start();
    let mut paid_in = 0;
    for sat in [63, 31, 127, 63, 255] {
        pay(&nginx, &token(stage, &rig, FREE, sat, json!({}))).expect(200);
        paid_in += sat;
        let (code, report) = told(command(stage, &nginx, &rig, "redeem"));
        assert_eq!(code, 0, "{report}");
    }
    let left = wait::until("everything to be accounted for", || {
        let (code, report) = told(command(stage, &nginx, &rig, "redeem"));
        assert_eq!(code, 0, "{report}");
        let (_, report) = told(command(stage, &nginx, &rig, "balance"));
        let left = of_mint(&report, &rig.urls[FREE])["wallet_sat"].as_u64().unwrap();
        (accounted(&nginx) == Some(paid_in) && left < paid_in / 4).then_some(left)
    });
    let paid = paid_by(&rig, FREE);
    for invoice in &paid {
        stage.sim().pay(invoice).expect("each invoice is paid once");
    }
    let books = number(&nginx, "SELECT sum(amount) FROM l402_melt WHERE open = 0");
    assert_eq!(books, stage.sim().received_msat() / 1000, "what the wallet got");
    assert_eq!(number(&nginx, "SELECT count(*) FROM l402_melt") as usize, paid.len());
    assert!(books + left <= paid_in);
    let log = std::fs::read_to_string(nginx.dir().join("state/l402d.log")).unwrap();
    assert!(!log.contains("spent by somebody else"), "{log}");
    assert_owned(&nginx);
}

/// The database is gone, the words are there.
pub fn restores(stage: &Stage) {
    let rig = Rig::start(repository());
    let mut nginx = site(stage, &rig).paid("").start();
    for (mint, sat) in [(FREE, 100), (FREE, 37), (FEES, 64)] {
        pay(&nginx, &token(stage, &rig, mint, sat, json!({"fees": true}))).expect(200);
    }
    let (_, before) = told(command(stage, &nginx, &rig, "balance"));
    let state = nginx.dir().join("state");
    let sum = |report: &Value, name: &str| -> u64 {
        report["mints"].as_array().unwrap().iter().map(|mint| mint[name].as_u64().unwrap()).sum()
    };
    let there = sum(&before, "wallet_sat");
    assert!(there >= 201, "{before}");
    // Beside an l402d that has everything it changes nothing.
    let (code, report) = told(command(stage, &nginx, &rig, "restore"));
    assert_eq!((code, sum(&report, "restored_sat"), sum(&report, "known_sat")), (0, 0, there), "{report}");
    nginx.end(Signal::QUIT);
    wait::until("l402d to end", || stage.agents().is_empty().then_some(()));
    for name in ["cashu.db", "cashu.db-wal", "cashu.db-shm", "cashu.lock"] {
        let path = state.join(name);
        assert!(!path.exists() || std::fs::remove_file(path).is_ok());
    }
    let words = state.join("cashu.mnemonic");
    let aside = state.join("aside");
    std::fs::rename(&words, &aside).unwrap();
    let output = command(stage, &nginx, &rig, "restore").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && text.contains("no ecash mnemonic") && !words.exists(),
        "{output:?}"
    );
    std::fs::rename(&aside, &words).unwrap();

    let (code, report) = told(command(stage, &nginx, &rig, "restore"));
    assert_eq!((code, sum(&report, "restored_sat")), (0, there), "{report}");
    for mint in [FREE, FEES] {
        let url = &rig.urls[mint];
        assert_eq!(of_mint(&report, url)["restored_sat"], of_mint(&before, url)["wallet_sat"]);
    }
    assert_owned(&nginx);
    nginx.restart();
    pay(&nginx, &token(stage, &rig, FREE, PRICE_SAT, json!({}))).expect(200);
    let (_, after) = told(command(stage, &nginx, &rig, "balance"));
    assert_eq!(sum(&after, "wallet_sat"), there + PRICE_SAT);
    let (code, report) = told(command(stage, &nginx, &rig, "redeem"));
    assert_eq!(code, 0, "what came back is good: {report}");
    assert!(paid_by(&rig, FREE).len() + paid_by(&rig, FEES).len() > 1);
}
