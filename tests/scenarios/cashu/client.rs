//! `l402 get --wallet cashu:FILE`: it pays, keeps the change, and loses nothing, whenever it is killed.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::locked::{OTHER, PRIVATE};
use super::{PRICE_SAT, site, token};
use crate::harness::mint::{FEES, FREE, Rig, repository};
use crate::harness::nginx::Nginx;
use crate::harness::site::content;
use crate::harness::stage::Stage;

/// A client with a file of ecash.
struct Client<'a> {
    stage: &'a Stage,
    file: PathBuf,
}

impl<'a> Client<'a> {
    fn new(stage: &'a Stage, tokens: &[String]) -> Self {
        let file = stage.dir().join("purse");
        fs::write(&file, tokens.join("\n")).unwrap();
        Self { stage, file }
    }

    fn command(&self, nginx: &Nginx<'_>, more: &[&str]) -> Command {
        let mut command = Command::new(self.stage.built("l402"));
        command.env_clear().env("HOME", self.stage.dir()).args([
            "get",
            "--json",
            "--timeout",
            "60",
            "--wallet",
        ]);
        command.arg(format!("cashu:{}", self.file.display())).args(more);
        command.arg(format!("http://{}/paid/a", nginx.address()));
        command
    }

    fn get(&self, nginx: &Nginx<'_>, more: &[&str]) -> (i32, Value) {
        let Output { status, stdout, stderr } = self.command(nginx, more).output().expect("l402 can be run");
        let said = String::from_utf8_lossy(&stdout);
        for text in [&said, &String::from_utf8_lossy(&stderr)] {
            assert!(!text.contains("cashuA") && !text.contains("cashuB"), "it shows a token: {text}");
        }
        (status.code().unwrap(), serde_json::from_str(&said).unwrap())
    }

    #[track_caller]
    fn served(&self, nginx: &Nginx<'_>) -> Value {
        let (code, report) = self.get(nginx, &[]);
        assert_eq!(code, 0, "{report}");
        assert_eq!(report["body"], content("paid/a"));
        report
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.file).unwrap().lines().map(str::to_owned).collect()
    }

    /// Whether nothing is under way.
    fn is_settled(&self) -> bool {
        !self.lines().iter().any(|line| line.starts_with("swap ") || line.starts_with("sent "))
    }

    /// What it can spend, in sat; nothing is under way.
    #[track_caller]
    fn money(&self) -> u64 {
        let of =
            |line: &String| line.parse::<cdk::nuts::Token>().expect("money only").value().unwrap().to_u64();
        self.lines().iter().filter(|line| !line.is_empty()).map(of).sum()
    }
}

/// Of everything that a shop has taken, in sat after the mint's fee.
fn taken(nginx: &Nginx<'_>) -> u64 {
    let open = rusqlite::Connection::open(nginx.dir().join("state/cashu.db")).unwrap();
    let sum = "SELECT coalesce(sum(net), 0) FROM l402_payment WHERE state > 0";
    open.query_row(sum, [], |row| row.get(0)).unwrap()
}

pub fn pays(stage: &Stage) {
    let rig = Rig::shared();
    for (mint, fee) in [(FREE, 0), (FEES, 1)] {
        let nginx = site(stage, rig).paid("").start();
        let client = Client::new(stage, &[token(stage, rig, mint, 64, json!({}))]);
        for paid in 1..=3 {
            let before = client.money();
            let report = client.served(&nginx);
            assert_eq!((&report["credential"], &report["paid_msat"]), (&json!("ecash"), &json!(10_000)));
            assert!(before - client.money() >= PRICE_SAT + fee, "{report}");
            assert_eq!(taken(&nginx), paid * PRICE_SAT);
        }
        if mint == FREE {
            assert_eq!(client.money(), 64 - 3 * PRICE_SAT);
        }
        // What fits is sent as it is, also by a client whose mint never hears of a swap.
        let exact = token(stage, rig, FREE, PRICE_SAT, json!({}));
        let client = Client::new(stage, &["# mine".to_owned(), exact]);
        client.served(&nginx);
        assert_eq!(client.lines(), ["# mine"]);
    }
}

pub fn locks(stage: &Stage) {
    let rig = Rig::shared();
    stage.keep_secret(PRIVATE);
    let locked = || site(stage, rig).env("CASHU_P2PK_MODE", "on").env("CASHU_P2PK_PRIVATE_KEY", PRIVATE);
    let nginx = locked().env("CASHU_REQUEST_FORMAT", "creqB").paid("").start();
    // Ecash that is locked to somebody is not this client's to spend.
    let foreign = token(stage, rig, FREE, 500, json!({"lock": OTHER}));
    let client = Client::new(stage, &[token(stage, rig, FREE, 32, json!({"legacy": true})), foreign.clone()]);
    for paid in 1..=2 {
        client.served(&nginx);
        assert_eq!(taken(&nginx), paid * PRICE_SAT);
    }
    let (code, report) = client.get(&nginx, &["--max-msat", "9999"]);
    assert_eq!((code, &report["error"]["kind"]), (3, &json!("over_budget")));
    client.served(&nginx);
    let (code, report) = client.get(&nginx, &[]);
    assert_eq!(code, 4, "2 sat are left: {report}");
    assert!(client.lines().contains(&foreign));
    fs::write(
        &client.file,
        client.lines().into_iter().filter(|line| *line != foreign).collect::<Vec<_>>().join("\n"),
    )
    .unwrap();
    assert_eq!(client.money(), 2);
}

/// Where a payment buys more than one request it pays once.
pub fn reuses(stage: &Stage) {
    let rig = Rig::shared();
    let nginx = site(stage, rig).paid("l402_max_uses 3;").start();
    let client = Client::new(stage, &[token(stage, rig, FREE, 32, json!({}))]);
    for paid in [1, 1, 1, 2] {
        client.served(&nginx);
        assert_eq!(client.money(), 32 - paid * PRICE_SAT);
    }
}

/// A refusal gives the ecash back; an answer that says nothing leaves it on record, and it is sent again.
pub fn not_served(stage: &Stage) {
    let rig = Rig::start(repository());
    let nginx = site(stage, &rig).paid("").start();
    let other = site(stage, &rig).env("CASHU_WHITELISTED_MINTS", &rig.urls[FEES]).paid("").start();
    let strict = site(stage, &rig).env("CASHU_REQUIRE_DLEQ", "on").paid("").start();
    let client = Client::new(stage, &[token(stage, &rig, FREE, 48, json!({"dleq": false}))]);
    let (code, report) = client.get(&other, &[]);
    assert_eq!(code, 4, "{report}");
    let (code, report) = client.get(&nginx, &["--dry-run"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(client.money(), 48);
    client.served(&strict);
    // Somebody else has spent what the file holds.
    let stolen = token(stage, &rig, FREE, PRICE_SAT, json!({}));
    rig.spend(&stolen);
    let thief = Client { stage, file: stage.dir().join("stolen") };
    fs::write(&thief.file, &stolen).unwrap();
    let (code, report) = thief.get(&nginx, &[]);
    assert_eq!((code, &report["error"]["kind"]), (5, &json!("refused_after_payment")), "{report}");
    assert_eq!(thief.money(), 0);
    // The mint is away: the server can't say, and the client keeps the payment.
    let sent = token(stage, &rig, FREE, PRICE_SAT, json!({}));
    let place = json!({
        "origin": format!("http://{}", nginx.address()), "path": "/paid/a", "method": "GET", "sat": PRICE_SAT,
        "locked": false, "token": sent,
    });
    fs::write(&client.file, format!("{}\nsent {place}\n", client.lines().join("\n"))).unwrap();
    rig.control("stop", FREE);
    let (code, report) = client.get(&nginx, &[]);
    assert_eq!((code, &report["error"]["kind"]), (11, &json!("payment_undecided")), "{report}");
    rig.control("start", FREE);
    let report = client.served(&nginx);
    assert_eq!(report["recovered"], true);
    assert_eq!(client.money(), 38, "paid with what was sent before");
    assert_eq!(taken(&nginx), PRICE_SAT);
}

/// Killed at any moment, it ends with what it had less what the shop has.
pub fn killed(stage: &Stage) {
    let rig = Rig::shared();
    let nginx = site(stage, rig).paid("").start();
    let client = Client::new(stage, &[token(stage, rig, FREE, 1000, json!({}))]);
    client.served(&nginx);
    for delay in (0..40).map(|step| Duration::from_millis(step * 3)) {
        let mut child =
            client.command(&nginx, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment of the kill, nothing that is waited for.
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The mint may still be at what a killed client asked for: that stays on record until a later run.
    client.served(&nginx);
    for _ in 0..10 {
        if client.is_settled() {
            break;
        }
        client.served(&nginx);
    }
    assert_eq!(client.money() + taken(&nginx), 1000);
}
