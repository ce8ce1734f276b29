//! `nginx -t`, `l402d --check` and l402d's start agree on every value of a backend: what the settings take, every wallet can be
//! opened with; and one that can't be opened all the same costs nobody else anything.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, sync::Arc, time::Duration};

use l402::PaymentHash;
use lightning::{Notes, Reply};
use lnsim::{Permit, Sim, SimOptions};
use proptest::prelude::*;
use settings::{Access, AgentConfig, BackendSettings, RootKeys, named_backend, tlv};

use crate::support::Daemon;

/// The x of a point, and a secret key.
const WALLET: &str = "b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4";
const SECRET: &str = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c";
const PRIME: &str = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
const RUNE: &str = "tU-RLjMiDpY2U0o3W1oFowar36RFGpWloPbW9-RuZdo9MyZpZD0wMjRiOWExZmE4ZTAwNmYxZTM5Mzdm";

struct NoNotes;

impl Notes for NoNotes {
    fn keep(&self, _: PaymentHash, _: String) -> Reply<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn find(&self, _: PaymentHash) -> Reply<'_, Option<String>> {
        Box::pin(async { Ok(None) })
    }
}

type Pairs = Vec<(&'static str, String)>;

fn macaroon() -> Vec<u8> {
    [&[2, 2, 3][..], b"id!", &[0, 0, 6, 32], &[0xab; 32]].concat()
}

/// As `nginx -t` reads a block; files are those of `certificate` and a macaroon.
fn nginx_test(pairs: &Pairs, certificate: &[u8]) -> Option<BackendSettings> {
    let read = |path: &Path| match path.to_str() {
        Some("/macaroon") => Ok(macaroon()),
        _ => Ok(certificate.to_vec()),
    };
    named_backend("a", pairs, &read).ok()
}

/// As l402d starts: out of nginx's pipe, then opened.
fn starts(settings: BackendSettings) -> Result<(), String> {
    let config = AgentConfig {
        state_dir: "/state".into(),
        socket: "/state/l402d.sock".into(),
        log_file: None,
        log: "info".into(),
        backends: vec![settings],
        redis: None,
        root_keys: RootKeys::default(),
        ecash: None,
        access: Access::default(),
    };
    let read = AgentConfig::from_pairs(&config.to_pairs()).map_err(|complaints| format!("{complaints:?}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let notes: Arc<dyn Notes> = Arc::new(NoNotes);
    lightning::open(&read.backends[0], &notes, Path::new("/nowhere"))
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Every kind of wallet at this address and with these keys.
fn blocks(host: &str, key: &str, secret: &str, relay: &str, offer: &str) -> Vec<Pairs> {
    let pairs = |pairs: &[(&'static str, &str)]| {
        pairs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect()
    };
    let relay: String = relay.bytes().map(|byte| format!("%{byte:02x}")).collect();
    vec![
        pairs(&[("type", "lnd"), ("address", host), ("macaroon", "/macaroon"), ("cert", "/cert")]),
        pairs(&[
            ("type", "lnd"),
            ("address", "a:1"),
            ("macaroon", "/macaroon"),
            ("cert", "/cert"),
            ("socks5_proxy", host),
        ]),
        pairs(&[("type", "cln"), ("address", host), ("rune", RUNE), ("cert", "/cert")]),
        pairs(&[("type", "eclair"), ("address", host), ("password", secret)]),
        pairs(&[("type", "eclair"), ("address", &format!("https://{host}")), ("password", secret)]),
        pairs(&[("type", "lnurl"), ("address", &format!("alice@{host}"))]),
        pairs(&[("type", "lnurl"), ("address", &format!("http://{key}@{host}"))]),
        pairs(&[
            ("type", "nwc"),
            ("uri", &format!("nostr+walletconnect://{key}?relay={relay}&secret={secret}")),
        ]),
        pairs(&[("type", "bolt12"), ("rpc_file", "/lightning-rpc"), ("offer", offer)]),
    ]
}

fn agree(blocks: Vec<Pairs>, certificate: &[u8]) -> Result<(), TestCaseError> {
    for block in blocks {
        if let Some(settings) = nginx_test(&block, certificate) {
            let started = starts(settings);
            prop_assert!(started.is_ok(), "nginx -t takes {block:?}, and l402d does not start: {started:?}");
        }
    }
    Ok(())
}

fn hosts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9-]{1,5}(\\.[a-z0-9_-]{1,5}){0,3}(:[0-9]{1,5})?",
        "(0x)?[0-9a-f]{1,4}(\\.(0x)?[0-9]{1,3}){0,4}\\.?(:80)?",
        "xn--[a-z0-9-]{1,6}(\\.example)?",
        "\\[[0-9a-f:.]{1,12}\\](:[0-9]{1,3})?",
        ".{0,12}",
    ]
}

fn keys() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-f]{64}",
        "f{56}[0-9a-f]{8}",
        Just(PRIME.to_owned()),
        Just("0".repeat(64)),
        Just(WALLET.to_owned()),
        "[0-9a-z]{0,65}",
    ]
}

fn relays() -> impl Strategy<Value = String> {
    let path = "(/[!-~]{0,8})?";
    (prop_oneof!["wss", "ws", "WSS", "https"], hosts(), path)
        .prop_map(|(scheme, host, path)| format!("{scheme}://{host}{path}"))
}

fn offers() -> impl Strategy<Value = String> {
    let records = prop::collection::vec((0_u8..90, prop::collection::vec(any::<u8>(), 0..9)), 0..4);
    prop_oneof![
        records.prop_map(|records| {
            let bytes: Vec<u8> = records
                .into_iter()
                .flat_map(|(kind, value)| [&[kind, value.len() as u8][..], &value].concat())
                .collect();
            tlv::text("lno", &bytes)
        }),
        "lno1[02-9ac-hj-np-z]{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_nginx_takes_l402d_starts_with(
        host in hosts(), key in keys(), secret in keys(), relay in relays(), offer in offers(), cut in 0_usize..900,
    ) {
        let sim = certificate();
        agree(blocks(&host, &key, &secret, &relay, &offer), sim)?;
        // Of a certificate the beginning only, or junk within it.
        let cut = cut.min(sim.len());
        agree(blocks("a", WALLET, SECRET, "wss://a", &offer), &sim[..cut])?;
        let mut junk = sim.to_vec();
        junk.splice(cut..cut, *b"=A$");
        agree(blocks("a", WALLET, SECRET, "wss://a", &offer), &junk)?;
    }
}

/// A certificate as nodes make them.
fn certificate() -> &'static [u8] {
    static PEM: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    PEM.get_or_init(|| {
        let sim = Sim::start(SimOptions::default()).unwrap();
        fs::read(sim.tls_cert_path()).unwrap()
    })
}

/// The values that were once taken by one and not by the other, and good ones beside them: by the program itself.
#[test]
fn the_program_checks_as_nginx_does() {
    let dir = tempfile::tempdir().unwrap();
    let of = |host: &str| blocks(host, WALLET, SECRET, "wss://a", "");
    let nwc = |key: &str, secret: &str, relay: &str| blocks("a", key, secret, relay, "").remove(7);
    let mut cases: Vec<(Pairs, bool)> = Vec::new();
    for (host, good) in [
        ("node.example", true),
        ("10.0.0.5", true),
        ("xn--bcher-kva.example", true),
        ("-a", false),
        ("127.1", false),
        ("0x7f.1", false),
        ("1.2.3.256", false),
        ("xn--a", false),
    ] {
        for number in [2, 4, 5] {
            cases.push((of(host).remove(number), good));
        }
    }
    cases.extend([
        (nwc(WALLET, SECRET, "wss://relay.example/path"), true),
        (nwc(PRIME, SECRET, "wss://a"), false),
        (nwc(&"f".repeat(64), SECRET, "wss://a"), false),
        (nwc(WALLET, &"0".repeat(64), "wss://a"), false),
        (nwc(WALLET, SECRET, "wss://-a"), false),
        (nwc(WALLET, SECRET, "wss://a,wss://b"), false),
    ]);
    for (pairs, good) in cases {
        let certificate = certificate();
        assert_eq!(nginx_test(&pairs, certificate).is_some(), good, "nginx -t: {pairs:?}");
        fs::write(dir.path().join("cert"), certificate).unwrap();
        let mut text = format!("state_dir = \"{}\"\n[backend.a]\n", dir.path().display());
        for (key, value) in &pairs {
            let value =
                if *key == "cert" { dir.path().join("cert").display().to_string() } else { value.clone() };
            text += &format!("{key} = \"{value}\"\n");
        }
        let file = dir.path().join("l402d.toml");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_l402d"))
            .env_clear()
            .args(["--check", "--config", file.to_str().unwrap()])
            .output()
            .unwrap();
        assert_eq!(output.status.success(), good, "{pairs:?}: {output:?}");
    }
}

/// Ten words that are none of the list: that is seen when the session is opened.
#[test]
fn one_that_cannot_be_opened_costs_itself_only() {
    let (sim, dir) = (Sim::start(SimOptions::default()).unwrap(), tempfile::tempdir().unwrap());
    let state = dir.path().join("state");
    let words = ["zzzz"; 10].join(" ");
    let text = format!(
        "state_dir = \"{state}\"\n\
         [backend.lnd]\ntype = \"lnd\"\naddress = \"{lnd}\"\nmacaroon = \"{macaroon}\"\ncert = \"{cert}\"\n\
         [backend.bad]\ntype = \"lnc\"\npairing_phrase = \"{words}\"\n",
        state = state.display(),
        lnd = sim.lnd_address(),
        macaroon = sim.macaroon_path(Permit::Invoice).display(),
        cert = sim.tls_cert_path().display(),
    );
    let file = dir.path().join("l402d.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_l402d"));
    command.env_clear().args(["--config", file.to_str().unwrap()]);
    let daemon = Daemon::start_with(command, &state);
    let doctor = Command::new(env!("CARGO_BIN_EXE_l402d"))
        .env_clear()
        .args(["doctor", "--state-dir", state.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(said.contains("backend bad (LNC)") && said.contains("it can't be opened"), "{said}");
    assert!(said.contains("-> yours to mend") && said.ends_with("not well: bad\n"), "{said}");
    assert!(!said.contains(&words), "{said}");
    let errors = |stderr: String| stderr.lines().filter(|line| line.contains("ERROR")).count();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while errors(daemon.stderr()) == 0 && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(errors(daemon.stderr()), 1, "{}", daemon.stderr());
}
