//! `l402 get` as its users run it: the binary against a shop over HTTP, paying through lnsim.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod shop;

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use lnsim::{Fault, FaultKind, Method, Permit, Sim, SimOptions};
use serde_json::Value;
use shop::{Manner, Shop};

const PRICE: u64 = 10_000;

struct World {
    sim: Arc<Sim>,
    shop: Shop,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let sim = Arc::new(Sim::start(SimOptions::default()).unwrap());
        let shop = Shop::open(sim.clone(), Manner { price: PRICE, ..Manner::default() });
        Self { sim, shop, dir: tempfile::tempdir().unwrap() }
    }

    fn tokens(&self) -> PathBuf {
        self.dir.path().join("tokens.json")
    }

    /// `l402 get` without a wallet and without anything of this machine's environment.
    fn bare(&self, path: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_l402"));
        command.env_clear().args(["get", "--tokens"]).arg(self.tokens()).args(args);
        command.arg(if path.starts_with("http") { path.to_owned() } else { self.shop.url(path) });
        command
    }

    /// The same with a wallet.
    fn command(&self, path: &str, args: &[&str]) -> Command {
        let mut command = self.bare(path, args);
        command
            .env("LND_ADDRESS", self.sim.lnd_address())
            .env("CERT_FILE_PATH", self.sim.tls_cert_path())
            .env("MACAROON_FILE_PATH", self.sim.macaroon_path(Permit::Admin));
        command
    }

    fn get(&self, path: &str, args: &[&str]) -> Output {
        self.command(path, args).output().unwrap()
    }

    /// `--json`: the exit code and the object.
    fn json(&self, path: &str, args: &[&str]) -> (i32, Value) {
        object(&self.command(path, &[&["--json"], args].concat()).output().unwrap())
    }

    fn payments(&self) -> u64 {
        self.sim.calls(Method::SendPaymentV2)
    }
}

fn object(output: &Output) -> (i32, Value) {
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().unwrap(), value)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn pays_once_and_comes_back_with_what_was_sold() {
    let world = World::new();
    let output = world.get("/page", &["-i"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\n") && text.contains("x-shop: open\n"), "{text}");
    assert!(text.ends_with("\n\nbought by GET\n"), "{text}");
    assert_eq!(world.sim.received_msat(), PRICE);
}

#[test]
fn a_kept_token_is_used_again() {
    let world = World::new();
    let (code, first) = world.json("/page?a=1", &[]);
    assert_eq!(
        (code, first["paid_msat"].as_u64(), first["token_reused"].as_bool()),
        (0, Some(PRICE), Some(false))
    );
    assert_eq!(first["credential"], "preimage");
    let (code, again) = world.json("/page?a=2", &[]);
    assert_eq!(
        (code, again["paid_msat"].as_u64(), again["token_reused"].as_bool()),
        (0, Some(0), Some(true))
    );
    assert_eq!(again["payment_hash"], first["payment_hash"]);
    assert_eq!(again["body"], "bought by GET\n");
    assert_eq!(world.payments(), 1);
    assert_eq!(world.shop.seen().len(), 3, "the second run asks once");
    assert_eq!(world.json("/other", &[]).1["paid_msat"], PRICE, "another path is another purchase");
}

#[test]
fn a_token_for_one_use_is_not_tried_twice() {
    let world = World::new();
    for run in 1..=2 {
        assert_eq!(world.json("/once/page", &[]).0, 0);
        assert_eq!(world.payments(), run);
        assert_eq!(world.shop.seen().len() as u64, 2 * run);
    }
}

#[test]
fn a_realm_is_bought_once() {
    let world = World::new();
    assert_eq!(world.json("/realm/a", &[]).1["paid_msat"], PRICE);
    let (code, second) = world.json("/realm/b", &[]);
    assert_eq!((code, &second["token_reused"]), (0, &Value::Bool(true)));
    let before = world.shop.seen().len();
    assert_eq!(world.json("/realm/b", &[]).0, 0);
    assert_eq!(world.shop.seen().len(), before + 1, "known by now to serve there");
    assert_eq!(world.payments(), 1);
}

#[test]
fn after_a_402_the_token_is_dropped_and_one_new_payment_made() {
    let world = World::new();
    assert_eq!(world.json("/page", &[]).0, 0);
    world.shop.manner(|manner| manner.greedy = true);
    let before = world.payments();
    let (code, report) = world.json("/page", &[]);
    assert_eq!((code, report["paid_msat"].as_u64()), (5, Some(PRICE)), "{report}");
    assert_eq!(world.payments(), before + 1);
    world.shop.manner(|manner| manner.greedy = false);
    let (code, report) = world.json("/page", &[]);
    let reused = (code, &report["token_reused"]);
    assert_eq!(reused, (0, &Value::Bool(true)), "what was refused once is tried again");
}

/// Whatever spoils what is presented would spoil the next token too.
#[test]
fn after_a_401_nothing_is_bought_and_the_token_is_kept() {
    let world = World::new();
    assert_eq!(world.json("/page", &[]).0, 0);
    world.shop.manner(|manner| manner.forgetful = true);
    let before = world.payments();
    for _ in 0..2 {
        let (code, report) = world.json("/page", &[]);
        assert_eq!((code, report["error"]["kind"].as_str()), (5, Some("refused_after_payment")), "{report}");
        assert_eq!(
            (report["status"].as_u64(), report["paid_msat"].as_u64()),
            (Some(401), Some(0)),
            "{report}"
        );
        let text = report["error"]["message"].as_str().unwrap_or_default();
        assert!(text.contains("signed with a key that is gone") && text.contains("none is bought"), "{text}");
    }
    assert_eq!(world.payments(), before);
    world.shop.manner(|manner| manner.forgetful = false);
    let (code, report) = world.json("/page", &[]);
    assert_eq!((code, &report["token_reused"]), (0, &Value::Bool(true)), "{report}");
}

#[test]
fn the_budget_holds_and_includes_the_fee() {
    let world = World::new();
    let (code, report) = world.json("/page", &["--max-msat", "9999"]);
    assert_eq!((code, report["error"]["kind"].as_str()), (3, Some("over_budget")));
    assert_eq!(report["challenge"]["amount_msat"], PRICE);
    assert_eq!(world.payments(), 0);
    assert_eq!(world.json("/page", &["--max-msat", "10000"]).0, 0);

    let options = SimOptions { fee_msat: 50, ..SimOptions::default() };
    let sim = Arc::new(Sim::start(options).unwrap());
    let shop = Shop::open(sim.clone(), Manner { price: PRICE, ..Manner::default() });
    let world = World { sim, shop, dir: tempfile::tempdir().unwrap() };
    let (code, report) = world.json("/page", &["--max-msat", "10049"]);
    assert_eq!((code, report["paid_msat"].as_u64()), (4, Some(0)), "{report}");
    assert_eq!(world.json("/page", &["--max-fee-msat", "49"]).0, 4);
    let (code, report) = world.json("/page", &["--max-msat", "10050"]);
    assert_eq!((code, report["fee_msat"].as_u64()), (0, Some(50)), "{report}");
}

#[test]
fn a_dry_run_pays_nothing_and_says_what_it_would() {
    let world = World::new();
    let output = world.get("/page", &["--dry-run"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("would pay 10000 msat and at most 90000 msat of fees on regtest (goods)"),
        "{text}"
    );
    assert_eq!(world.get("/page", &["--dry-run", "--max-msat", "1"]).status.code(), Some(3));
    assert_eq!(world.payments(), 0);
    assert!(!world.tokens().exists());
}

#[test]
fn without_a_wallet_the_challenge_is_shown() {
    let world = World::new();
    let output = world.bare("/page", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(10));
    let text = stderr(&output);
    assert!(
        text.contains("10000 msat are asked for (goods); invoice lnbcrt") && text.contains("--lnd-address"),
        "{text}"
    );
    let (code, report) = object(&world.bare("/page", &["--json"]).output().unwrap());
    assert_eq!((code, report["status"].as_u64()), (10, Some(402)));
    assert!(report["challenge"]["invoice"].as_str().unwrap().starts_with("lnbcrt"));
    assert_eq!(world.bare("/free", &[]).output().unwrap().status.code(), Some(0));
}

#[test]
fn auto_detect_comes_back_with_the_macaroon_alone() {
    let world = World::new();
    world.shop.manner(|manner| manner.auto_detect_after = Some(2));
    let (code, report) = world.json("/page", &["--auto-detect"]);
    assert_eq!(
        (code, report["credential"].as_str(), report["body"].as_str()),
        (0, Some("macaroon"), Some("looked up\n"))
    );
    world.shop.manner(|manner| manner.auto_detect_after = None);
    let (code, report) = world.json("/other", &["--auto-detect"]);
    assert_eq!((code, report["credential"].as_str()), (0, Some("preimage")), "{report}");
    world.shop.manner(|manner| manner.fresh_for_alone = true);
    let (code, report) = world.json("/third", &["--auto-detect"]);
    assert_eq!((code, report["credential"].as_str()), (0, Some("preimage")), "{report}");
    assert_eq!(world.payments(), 3);
}

#[test]
fn both_orders_and_several_schemes_are_understood() {
    for form in [
        (|token, invoice| format!("L402 invoice=\"{invoice}\", token=\"{token}\""))
            as fn(&str, &str) -> String,
        |token, invoice| format!("LSAT macaroon=\"{token}\", invoice=\"{invoice}\""),
        |token, invoice| format!("Basic realm=\"a, b\", L402 macaroon=\"{token}\", invoice=\"{invoice}\""),
        |token, invoice| format!("L402 token=\"{token}\", invoice=\"{invoice}\", Bearer"),
    ] {
        let world = World::new();
        world.shop.manner(|manner| manner.challenge = Some(form));
        assert_eq!(world.json("/page", &[]).0, 0);
    }
}

/// It is told, and the invoice is what is paid.
#[test]
fn an_offer_beside_the_invoice() {
    let world = World::new();
    let form: fn(&str, &str) -> String = |token, invoice| {
        format!("L402 macaroon=\"{token}\", invoice=\"{invoice}\", token=\"{token}\", offer=\"lno1pqqs\"")
    };
    world.shop.manner(|manner| manner.challenge = Some(form));
    let text = String::from_utf8(world.get("/page", &["--dry-run"]).stdout).unwrap();
    assert!(text.trim_end().ends_with("; of the offer lno1pqqs"), "{text}");
    let (code, report) = world.json("/page", &["--dry-run"]);
    assert_eq!((code, report["challenge"]["offer"].as_str()), (0, Some("lno1pqqs")), "{report}");
    assert_eq!(world.json("/page", &[]).0, 0);
    assert_eq!(world.payments(), 1);
    world.shop.manner(|manner| {
        manner.challenge =
            Some(|token, _| format!("L402 macaroon=\"{token}\", invoice=\"lni1qq\", offer=\"lno1qq\""))
    });
    let (code, report) = world.json("/other", &[]);
    assert_eq!(code, 6, "{report}");
    assert!(report["error"]["message"].as_str().unwrap().contains("BOLT12"), "{report}");
}

#[test]
fn an_unusable_challenge_is_not_paid() {
    let world = World::new();
    world.shop.manner(|manner| manner.mismatched = true);
    let (code, report) = world.json("/page", &[]);
    assert_eq!(code, 6);
    assert!(report["error"]["message"].as_str().unwrap().contains("for another payment"), "{report}");
    world.shop.manner(|manner| (manner.mismatched, manner.price) = (false, 0));
    assert_eq!(world.json("/page", &[]).0, 6, "no amount");
    world.shop.manner(|manner| manner.price = PRICE);
    for fault in [FaultKind::WrongNetwork, FaultKind::Expired] {
        world.sim.fault(fault);
        assert_eq!(world.json("/page", &[]).0, 6);
        world.sim.clear_faults();
    }
    world.shop.manner(|manner| manner.challenge = Some(|_, _| "Basic realm=\"x\"".into()));
    assert_eq!(world.json("/page", &[]).0, 6);
    assert_eq!(world.payments(), 0);
}

#[test]
fn a_payment_that_fails_costs_nothing_and_leaves_nothing() {
    let world = World::new();
    world.sim.fault(Fault::new(FaultKind::FailPayment(lnsim::FailureReason::NoRoute)).times(1));
    let (code, report) = world.json("/page", &[]);
    assert_eq!((code, report["paid_msat"].as_u64()), (4, Some(0)));
    assert!(report["error"]["message"].as_str().unwrap().contains("no route"), "{report}");
    world.sim.fault(Fault::refuse(2, "not now").at(Method::SendPaymentV2).times(1));
    assert_eq!(world.json("/page", &[]).0, 4);
    world.sim.fault(FaultKind::RefuseConnections);
    assert_eq!(world.json("/page", &[]).0, 4, "no wallet");
    world.sim.clear_faults();
    assert_eq!(world.json("/page", &[]).0, 0);
    assert_eq!(world.sim.received_msat(), PRICE);
}

#[test]
fn an_answer_of_the_wallet_that_is_lost_is_asked_for_again() {
    let world = World::new();
    world.sim.fault(Fault::drop_connection().at(Method::SendPaymentV2).times(1));
    let (code, report) = world.json("/page", &[]);
    assert_eq!((code, report["paid_msat"].as_u64()), (0, Some(PRICE)), "{report}");
    assert_eq!(world.sim.received_msat(), PRICE);
}

/// Starts a run that is killed while its payment is held.
fn killed_while_paying(world: &World) {
    let before = world.payments();
    let mut child =
        world.command("/page", &["--json"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    world.sim.wait_for_calls(Method::SendPaymentV2, before + 1).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

fn held_hash(world: &World) -> [u8; 32] {
    let store: Value = serde_json::from_slice(&std::fs::read(world.tokens()).unwrap()).unwrap();
    assert!(store["tokens"][0]["preimage"].is_null(), "recorded before it is paid");
    let hex = store["tokens"][0]["payment_hash"].as_str().unwrap();
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

#[test]
fn a_crash_between_payment_and_answer_loses_no_money() {
    let world = World::new();
    world.sim.fault(FaultKind::Hold);
    killed_while_paying(&world);
    let hash = held_hash(&world);

    let (code, report) = world.json("/page", &["--pay-timeout", "1"]);
    assert_eq!((code, report["error"]["kind"].as_str()), (11, Some("payment_undecided")), "{report}");
    assert_eq!(object(&world.bare("/page", &["--json"]).output().unwrap()).0, 10, "no wallet, no recovery");

    world.sim.settle_now(&hash).unwrap();
    let (code, report) = world.json("/page", &[]);
    assert_eq!(
        (code, report["recovered"].as_bool(), report["paid_msat"].as_u64()),
        (0, Some(true), Some(PRICE))
    );
    assert_eq!(world.payments(), 1);
    let (_, report) = world.json("/page", &[]);
    assert_eq!((report["token_reused"].as_bool(), report["paid_msat"].as_u64()), (Some(true), Some(0)));
}

#[test]
fn a_payment_that_came_back_after_a_crash_is_forgotten() {
    let world = World::new();
    world.sim.fault(Fault::new(FaultKind::Hold).times(1));
    killed_while_paying(&world);
    world.sim.cancel(&held_hash(&world)).unwrap();
    let (code, report) = world.json("/page", &[]);
    assert_eq!(
        (code, report["recovered"].as_bool(), report["paid_msat"].as_u64()),
        (0, Some(false), Some(PRICE))
    );
    assert_eq!((world.payments(), world.sim.received_msat()), (2, PRICE));
}

#[test]
fn parallel_runs_buy_each_its_own_and_lose_nothing() {
    let world = World::new();
    let runs: Vec<Child> = (0..4)
        .map(|run| {
            let mut command = world.command(&format!("/once/{}", run % 2), &["--json"]);
            command.stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for run in runs {
        let (code, report) = object(&run.wait_with_output().unwrap());
        assert_eq!(code, 0, "{report}");
    }
    assert_eq!(world.sim.received_msat(), world.payments() * PRICE);
    let left: Vec<_> = std::fs::read_dir(world.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".paying") || name.ends_with(".new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_token_goes_to_no_other_origin() {
    let world = World::new();
    let other = Shop::open(world.sim.clone(), Manner { price: PRICE, ..Manner::default() });
    // Within the origin, and across origins before anything was bought.
    assert_eq!(world.json(&format!("/to?{}", world.shop.url("/page")), &[]).0, 0);
    let (code, report) = world.json(
        &format!("/to?{}", other.url("/page")),
        &["-H", "Authorization: Basic eA==", "-H", "X-Mine: 1"],
    );
    assert_eq!((code, report["url"].as_str().unwrap()), (0, other.url("/page").as_str()));
    let first = &other.seen()[0];
    assert!(!first.headers.contains_key("authorization") && first.headers["x-mine"] == "1");

    // A token that is answered with a way elsewhere.
    let thief = Shop::open(world.sim.clone(), Manner { price: PRICE, ..Manner::default() });
    let way = format!("/paid/to?{}", thief.url("/x"));
    let path = "/paid/to";
    assert_eq!(world.json(path, &[]).0, 0);
    let (code, report) = world.json(&way, &[]);
    assert_eq!((code, report["status"].as_u64()), (8, Some(302)), "{report}");
    assert!(thief.seen().is_empty());
}

#[test]
fn a_server_error_keeps_the_token() {
    let world = World::new();
    world.shop.manner(|manner| manner.broken = true);
    let (code, report) = world.json("/page", &[]);
    assert_eq!((code, report["status"].as_u64(), report["body"].as_str()), (8, Some(500), Some("broken\n")));
    world.shop.manner(|manner| manner.broken = false);
    assert_eq!(world.json("/page", &[]).1["token_reused"], true);
    assert_eq!(world.payments(), 1);
}

#[test]
fn method_headers_and_body_are_sent_both_times() {
    let world = World::new();
    let args = ["-X", "PUT", "-H", "X-A: b", "-H", "Content-Type: text/plain", "-d", "hello"];
    assert_eq!(world.json("/page", &args).1["body"], "bought by PUT\n");
    let seen = world.shop.seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!((request.method.as_str(), request.body.as_slice()), ("PUT", b"hello".as_slice()));
        assert_eq!(
            (request.headers["x-a"].as_str(), request.headers["content-type"].as_str()),
            ("b", "text/plain")
        );
    }
    let body = world.dir.path().join("body");
    std::fs::write(&body, "from a file").unwrap();
    assert_eq!(world.json("/page", &["-d", &format!("@{}", body.display())]).1["body"], "bought by POST\n");
}

#[test]
fn a_body_goes_to_a_file() {
    let world = World::new();
    let file = world.dir.path().join("out");
    let (code, report) = world.json("/page", &["-o", file.to_str().unwrap()]);
    assert_eq!((code, report["file"].as_str(), report.get("body")), (0, file.to_str(), None));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "bought by GET\n");
}

#[test]
fn no_secret_is_printed() {
    let world = World::new();
    let output = world.get("/page", &["--json", "-i"]);
    let store: Value = serde_json::from_slice(&std::fs::read(world.tokens()).unwrap()).unwrap();
    let preimage = store["tokens"][0]["preimage"].as_str().unwrap();
    for text in [String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output)] {
        assert!(!text.contains(preimage), "{text}");
    }
}

#[test]
fn mistakes_have_their_own_codes() {
    let world = World::new();
    let code = |command: &mut Command| command.output().unwrap().status.code().unwrap();
    assert_eq!(code(&mut world.bare("http://127.0.0.1:1/", &[])), 7, "nobody listens");
    let https = world.bare(&format!("https://{}/", world.sim.lnd_address()), &[]).output().unwrap();
    assert_eq!(https.status.code(), Some(7), "a certificate that no authority signed");
    assert!(stderr(&https).contains("certificate"), "{https:?}");
    assert_eq!(code(&mut world.bare("http://[", &[])), 2);
    let (code_of_secret, report) =
        object(&world.bare("http://me:s3cret@localhost/", &["--json"]).output().unwrap());
    assert!(code_of_secret == 2 && !report.to_string().contains("s3cret"), "{report}");
    assert_eq!(code(world.bare("ftp://localhost/", &[]).arg("--quiet")), 2);
    assert_eq!(code(&mut world.bare("/page", &["--lnd-address", "x"])), 2, "half a wallet");
    assert_eq!(code(world.command("/page", &[]).env("CERT_FILE_PATH", "/nowhere")), 9);
    std::fs::write(world.tokens(), "not json").unwrap();
    assert_eq!(code(&mut world.command("/page", &[])), 9);
    assert_eq!(world.payments(), 0);
}
