//! `l402d doctor` on all kinds of simulated wallets, well and not.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use data_encoding::HEXLOWER;
use lnsim::{
    Channels, EclairEvents, EclairOptions, Fault, FaultKind, LncOptions, LncSession, LnurlOptions, Method,
    NwcDoor, NwcOptions, Permit, Quirk, Sim, SimOptions, Until,
};
use serde_json::Value;

use crate::support::{Daemon, agent_config};

const PASSWORD: &str = "the-password-of-this-eclair";
const RUNE: &[&str] = &["invoice", "listinvoices", "waitanyinvoice", "getinfo", "fetchinvoice", "delinvoice"];
const KINDS: [&str; 9] = ["bolt12", "cln", "clnrest", "eclair", "lnc", "lnd", "lnurl", "lnurl-blind", "nwc"];

/// A node with every door open, and the file that names them all.
struct Hospital {
    sim: Sim,
    dir: tempfile::TempDir,
    nwc: NwcDoor,
    secrets: Vec<String>,
    _session: LncSession,
}

/// What an operator may have got wrong.
#[derive(Clone, Copy, PartialEq)]
enum Credentials {
    Good,
    Bad,
}

fn any() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn admit(credentials: Credentials, methods: &'static [&'static str]) -> Hospital {
    let (sim, dir) = (Sim::start(SimOptions::default()).unwrap(), tempfile::tempdir().unwrap());
    let good = credentials == Credentials::Good;
    fs::create_dir(dir.path().join("state")).unwrap();
    let socket = sim.dir().join("lightning-rpc");
    sim.open_cln_socket(&socket).unwrap();
    let clnrest = sim.open_cln_rest(any()).unwrap();
    let events = EclairEvents::default();
    let eclair = sim.open_eclair(any(), EclairOptions { password: PASSWORD.into(), events }).unwrap();
    let lnurl = sim.open_lnurl(any(), LnurlOptions::default()).unwrap();
    let blind =
        sim.open_lnurl(any(), LnurlOptions { verify: false, min_sendable: 5000, ..LnurlOptions::default() });
    let blind = blind.unwrap();
    let nwc = sim.open_nwc(NwcOptions { methods, ..NwcOptions::default() }).unwrap();
    let permit = if good { Permit::Invoice } else { Permit::Readonly };
    let session = sim.lnc_session(LncOptions { permit, ..LncOptions::default() }).unwrap();
    let macaroon = sim.macaroon_path(permit);
    let rune = sim.cln_rune(if good { RUNE } else { &["pay"] });
    let password = if good { PASSWORD } else { "another-password" };
    let uri = if good { nwc.uri() } else { nwc.uri_of_a_stranger() };
    let user = if good { "alice" } else { "mallory" };
    let text = format!(
        "state_dir = \"{dir}/state\"\n\
         [backend.lnd]\ntype = \"lnd\"\naddress = \"{lnd}\"\nmacaroon = \"{macaroon}\"\ncert = \"{cert}\"\n\
         [backend.lnc]\ntype = \"lnc\"\npairing_phrase = \"{phrase}\"\nmailbox = \"{mailbox}\"\nmailbox_cert = \"{cert}\"\n\
         [backend.cln]\ntype = \"cln\"\nrpc_file = \"{socket}\"\n\
         [backend.clnrest]\ntype = \"cln\"\naddress = \"{clnrest}\"\nrune = \"{rune}\"\ncert = \"{ca}\"\n\
         [backend.bolt12]\ntype = \"bolt12\"\nrpc_file = \"{socket}\"\noffer = \"{offer}\"\n\
         [backend.eclair]\ntype = \"eclair\"\naddress = \"http://{eclair}\"\npassword = \"{password}\"\n\
         [backend.lnurl]\ntype = \"lnurl\"\naddress = \"http://{user}@{lnurl}\"\n\
         [backend.lnurl-blind]\ntype = \"lnurl\"\naddress = \"http://{user}@{blind}\"\n\
         [backend.nwc]\ntype = \"nwc\"\nuri = \"{uri}\"\n",
        dir = dir.path().display(),
        lnd = sim.lnd_address(),
        macaroon = macaroon.display(),
        cert = sim.tls_cert_path().display(),
        phrase = session.phrase(),
        mailbox = sim.mailbox_address(),
        socket = socket.display(),
        ca = sim.cln_ca_path().display(),
        offer = sim.offer("news"),
    );
    let file = dir.path().join("l402d.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let secrets = vec![
        HEXLOWER.encode(&fs::read(macaroon).unwrap()),
        rune,
        password.to_owned(),
        session.phrase().to_owned(),
        HEXLOWER.encode(&nwc.client_secret()),
        uri.rsplit_once("secret=").unwrap().1.to_owned(),
    ];
    Hospital { sim, dir, nwc, secrets, _session: session }
}

const ALL_METHODS: &[&str] = &["make_invoice", "lookup_invoice", "get_info"];

fn doctor(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_l402d")).env_clear().arg("doctor").args(args).output().unwrap()
}

impl Hospital {
    /// The exit code and the document; nothing that was said holds a secret.
    fn examine(&self) -> (Option<i32>, Value) {
        let file = self.dir.path().join("l402d.toml");
        let output = doctor(&["--json", "--config", file.to_str().unwrap()]);
        self.holds_no_secret(&output);
        let document = serde_json::from_slice(&output.stdout);
        (output.status.code(), document.unwrap_or_else(|_| panic!("{output:?}")))
    }

    fn holds_no_secret(&self, output: &Output) {
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8(said).unwrap();
        for secret in &self.secrets {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

/// The line of one check of one backend.
fn line<'a>(document: &'a Value, backend: &str, check: &str) -> &'a Value {
    let backends = document["backends"].as_array().unwrap();
    let report = backends.iter().find(|report| report["backend"] == backend).unwrap();
    report["lines"].as_array().unwrap().iter().find(|line| line["check"] == check).unwrap()
}

fn result<'a>(document: &'a Value, backend: &str, check: &str) -> &'a str {
    line(document, backend, check)["result"].as_str().unwrap()
}

#[test]
fn every_kind_is_well() {
    let hospital = admit(Credentials::Good, ALL_METHODS);
    let (code, document) = hospital.examine();
    assert_eq!(code, Some(0), "{document:#}");
    assert_eq!(document["ok"], true);
    let names: Vec<_> =
        document["backends"].as_array().unwrap().iter().map(|report| &report["backend"]).collect();
    assert_eq!(names, KINDS);
    for kind in KINDS {
        for check in ["reachable", "authorised", "invoice", "clock"] {
            assert_eq!(result(&document, kind, check), "ok", "{kind}: {document:#}");
        }
        let blind = kind == "lnurl-blind";
        assert_eq!(result(&document, kind, "look_up"), if blind { "note" } else { "ok" }, "{document:#}");
        let pushes = !kind.starts_with("lnurl");
        assert_eq!(result(&document, kind, "push"), if pushes { "ok" } else { "note" }, "{document:#}");
    }
    for kind in ["bolt12", "cln", "clnrest", "eclair", "lnd", "lnc"] {
        assert_eq!(result(&document, kind, "cancel"), "ok", "{document:#}");
    }
    // The least that this one makes.
    let text = line(&document, "lnurl-blind", "invoice")["text"].as_str().unwrap();
    assert!(text.contains("over 5000 msat"), "{text}");
}

#[test]
fn bad_credentials_are_the_operators_to_mend() {
    let hospital = admit(Credentials::Bad, ALL_METHODS);
    let (code, document) = hospital.examine();
    assert_eq!((code, &document["ok"]), (Some(1), &Value::Bool(false)), "{document:#}");
    for (kind, part) in [
        ("lnd", "invoices:write"),
        ("lnc", "may not call AddInvoice"),
        ("clnrest", "the rune does not permit invoice"),
        ("eclair", "ECLAIR_PASSWORD"),
        ("lnurl", "callback"),
        ("nwc", "make_invoice"),
    ] {
        let line = line(&document, kind, "invoice");
        assert_eq!(line["result"], "failed", "{kind}: {document:#}");
        assert!(line["text"].as_str().unwrap().contains(part), "{kind}: {line}");
    }
    let line = |check| line(&document, "clnrest", check);
    assert_eq!(line("authorised")["result"], "failed", "{document:#}");
    let text = line("authorised")["text"].as_str().unwrap();
    assert!(text.contains("does not permit getinfo") && !text.contains("listinvoices"), "{text}");
    assert!(line("invoice")["advice"].as_str().unwrap().starts_with("yours to mend"), "{document:#}");
    // What is permitted all the same.
    for check in ["look_up", "push"] {
        assert_eq!(result(&document, "lnd", check), "ok", "{document:#}");
    }
}

#[test]
fn what_cannot_be_looked_up_is_said() {
    let hospital = admit(Credentials::Good, &["make_invoice", "get_info"]);
    let (code, document) = hospital.examine();
    assert_eq!(code, Some(0), "{document:#}");
    let line = line(&document, "nwc", "look_up");
    assert_eq!(line["result"], "note", "{document:#}");
    assert!(line["text"].as_str().unwrap().contains("clients need the preimage"), "{line}");
    drop(hospital.nwc);
}

#[test]
fn one_call_that_hangs_or_lies_fails_alone() {
    let hospital = admit(Credentials::Good, ALL_METHODS);
    hospital.sim.fault(Fault::hang().at(Method::LookupInvoice));
    hospital.sim.fault(FaultKind::WrongAmount(999_000));
    let (code, document) = hospital.examine();
    assert_eq!(code, Some(1));
    for kind in ["cln", "clnrest", "eclair", "nwc"] {
        assert_eq!(result(&document, kind, "reachable"), "ok", "{document:#}");
        let made = line(&document, kind, "invoice");
        assert!(made["text"].as_str().unwrap().contains("over 999000 msat, not 1000 msat"), "{kind}: {made}");
        assert!(made["advice"].as_str().unwrap().starts_with("the wallet's side"), "{made}");
        let found = line(&document, kind, "look_up");
        assert!(found["text"].as_str().unwrap().contains("did not answer in time"), "{kind}: {found}");
    }
}

#[test]
fn who_is_silent_or_away_is_not_tried_further() {
    let hospital = admit(Credentials::Good, ALL_METHODS);
    for (fault, part) in [
        (FaultKind::HangConnections, "did not answer in time"),
        (FaultKind::RefuseConnections, "unavailable"),
    ] {
        hospital.sim.fault(fault);
        let (code, document) = hospital.examine();
        assert_eq!(code, Some(1));
        for kind in ["lnd", "clnrest", "eclair", "lnurl"] {
            let line = line(&document, kind, "reachable");
            assert_eq!(line["result"], "failed", "{kind}: {document:#}");
            assert!(line["text"].as_str().unwrap().contains(part), "{kind}: {line}");
            assert_eq!(result(&document, kind, "push"), "skipped", "{kind}: {document:#}");
        }
        hospital.sim.clear_faults();
    }
}

#[test]
fn clocks_that_are_apart() {
    let hospital = admit(Credentials::Good, ALL_METHODS);
    hospital.sim.advance_clock(100);
    let (code, document) = hospital.examine();
    assert_eq!(code, Some(0), "{document:#}");
    for kind in ["lnd", "bolt12", "lnurl"] {
        let line = line(&document, kind, "clock");
        assert_eq!(line["result"], "note", "{document:#}");
        assert!(line["text"].as_str().unwrap().contains("s ahead of this host's"), "{line}");
    }
    // Also then its invoices are sold: they live on long enough.
    hospital.sim.advance_clock(300);
    let (code, document) = hospital.examine();
    assert_eq!(code, Some(0), "{document:#}");
    assert!(line(&document, "lnd", "clock")["text"].as_str().unwrap().contains("by NTP"), "{document:#}");
}

/// What keeps nobody from selling, and is better known before a client meets it.
#[test]
fn what_is_different_is_noted() {
    let hospital = admit(Credentials::Good, ALL_METHODS);
    hospital.sim.fault(Quirk::TextMax(100));
    hospital.sim.fault(Quirk::Expiry(300));
    hospital.sim.fault(Quirk::Unknown { said: None, until: Until::Cleared });
    hospital.sim.set_channels(Channels::None);
    let (code, document) = hospital.examine();
    assert_eq!(code, Some(0), "{document:#}");
    for kind in ["lnd", "cln", "clnrest", "eclair", "nwc"] {
        for (check, part) in [
            ("description", "at most 100 bytes of ASCII"),
            ("expiry", "live 300 s, not 600 s"),
            ("look_up", "does not find an invoice before it is paid"),
        ] {
            let line = line(&document, kind, check);
            assert_eq!(line["result"], "note", "{kind}: {document:#}");
            assert!(line["text"].as_str().unwrap().contains(part), "{kind}: {line}");
        }
        assert_eq!(result(&document, kind, "unknown"), "ok", "{document:#}");
        assert_eq!(result(&document, kind, "price"), "ok", "{document:#}");
    }
    let bounds = line(&document, "lnurl-blind", "price")["text"].as_str().unwrap();
    assert!(bounds.contains("from 5000 msat to"), "{bounds}");
    let sealed = line(&document, "nwc", "authorised")["text"].as_str().unwrap();
    assert!(sealed.contains("NIP-44"), "{sealed}");
}

/// As nginx runs it: its configuration came through a pipe, and nobody else has it.
#[test]
fn the_one_that_runs_is_asked() {
    let (sim, dir) = (Sim::start(SimOptions::default()).unwrap(), tempfile::tempdir().unwrap());
    let state_dir = dir.path().to_str().unwrap();
    let (daemon, _lifeline) = Daemon::start_coprocess(&agent_config(&sim, dir.path()));
    let output = doctor(&["--state-dir", state_dir]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("backend default (LND)") && said.ends_with("all is well\n"), "{said}");
    assert!(said.contains("ok       invoice     AddInvoice: one over 1 sat was made"), "{said}");
    assert!(said.starts_with(&format!("asked the l402d at {}", daemon.socket.display())), "{said}");

    sim.fault(Fault::refuse(2, "permission denied").at(Method::AddInvoice));
    let output = doctor(&["--state-dir", state_dir]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILED   invoice     AddInvoice: "), "{said}");
    assert!(said.contains("-> yours to mend"), "{said}");
    assert!(said.ends_with("not well: default\n"), "{said}");
}

#[test]
fn where_there_is_nothing_to_examine() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = doctor(&["--state-dir", dir.path().to_str().unwrap()]);
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(2), "{said}");
    assert!(said.contains("no l402d listens at it") && said.contains("--config"), "{said}");
    for args in [&["--config", "/nowhere/l402d.toml"][..], &["--colour"], &["--socket", "nowhere"]] {
        let output = doctor(args);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    // The environment names a wallet, and nobody is asked.
    let sim = Sim::start(SimOptions::default()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_l402d"))
        .env_clear()
        .env("LN_CLIENT_TYPE", "LND")
        .env("LND_ADDRESS", sim.lnd_address())
        .env("MACAROON_FILE_PATH", sim.macaroon_path(Permit::Invoice))
        .env("CERT_FILE_PATH", sim.tls_cert_path())
        .args(["doctor", "--state-dir", dir.path().to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("backend default (LND)\n"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}
