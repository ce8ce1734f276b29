//! `l402d.toml`, as its parser hands it over → typed settings, or all that is wrong with it.
#![allow(clippy::unwrap_used, clippy::panic)]

use settings::{
    Access, Account, AgentConfig, BackendConfig, BackendSettings, ConfigFile, EcashSettings, Entry, Flags,
    LndSettings, PayoutSettings, Peer, SETTINGS, Secret, Value, check_private_mode,
};
use std::io::{self, ErrorKind};
use std::path::Path;

const PEM: &str = include_str!("node.pem");
const KEY: &str = "0123456789abcdef0123456789abcdef";
const NEWER: &str = "a newer key of thirty-two letters";

fn macaroon() -> Vec<u8> {
    [&[2, 2, 3][..], b"id!", &[0, 0, 6, 32], &[0xab; 32]].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn read(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str().unwrap() {
        "/etc/l402d/invoice.macaroon" | "/other.macaroon" => Ok(macaroon()),
        "/etc/l402d/tls.cert" => Ok(PEM.into()),
        "/etc/l402d/keys" => Ok(format!("{NEWER}\n{KEY}\n").into_bytes()),
        "/etc/l402d/words" => Ok(format!("{WORDS} \n").into_bytes()),
        "/etc/l402d/open" => check_private_mode(0o100_644).map(|()| Vec::new()),
        _ => Err(ErrorKind::NotFound.into()),
    }
}

/// Entries, a line each from this one on.
fn entries(from: usize, pairs: Vec<(&str, Value)>) -> Vec<Entry> {
    let entry =
        |(at, (key, value)): (usize, (&str, Value))| Entry { key: key.to_owned(), line: from + at, value };
    pairs.into_iter().enumerate().map(entry).collect()
}

fn file(mode: u32, entries: Vec<Entry>) -> ConfigFile {
    ConfigFile::new("/etc/l402d/l402d.toml".into(), mode, entries)
}

/// A table that is right, from line 10 on.
fn lnd() -> Pairs {
    vec![
        ("type", Value::text("lnd")),
        ("address", Value::text("10.0.0.5")),
        ("macaroon", Value::text("invoice.macaroon")),
        ("cert", Value::text("/etc/l402d/tls.cert")),
    ]
}

/// What a table holds.
type Pairs = Vec<(&'static str, Value)>;

fn with_backends(mut top: Vec<Entry>, tables: Vec<(&str, Pairs)>) -> Vec<Entry> {
    let table = |(at, (name, pairs)): (usize, (&str, Pairs))| {
        let line = 10 * (at + 1);
        Entry { key: name.to_owned(), line, value: Value::Table(entries(line + 1, pairs)) }
    };
    let tables = tables.into_iter().enumerate().map(table).collect();
    top.push(Entry { key: "backend".to_owned(), line: 10, value: Value::Table(tables) });
    top
}

fn understand(file: &ConfigFile, env: &[(&str, &str)]) -> Result<AgentConfig, Vec<String>> {
    let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    AgentConfig::from_file(file, &env, &read, &read, Flags::default())
        .map_err(|complaints| complaints.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn complains(file: &ConfigFile, env: &[(&str, &str)], starts_and_places: &[(&str, Option<usize>)]) {
    let complaints = understand(file, env).unwrap_err();
    assert_eq!(complaints.len(), starts_and_places.len(), "{complaints:#?}");
    for (complaint, (start, line)) in complaints.iter().zip(starts_and_places) {
        assert!(complaint.starts_with(start), "{complaint}\n{start}");
        let end = line.map(|line| format!(" in /etc/l402d/l402d.toml:{line}"));
        assert!(end.is_none_or(|end| complaint.ends_with(&end)), "{complaint}\n{line:?}");
    }
}

/// The settings of a backend that is an LND.
fn lnd_of(backend: &BackendSettings) -> &LndSettings {
    match &backend.config {
        BackendConfig::Lnd(lnd) => lnd,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_is_understood() {
    let all = || {
        let pairs = vec![
            ("state_dir", Value::text("/srv/l402d/")),
            ("listen", Value::text("unix:/run/l402d/l402d.sock")),
            ("socket_group", Value::Number("33".into())),
            ("socket_mode", Value::text("0660")),
            (
                "allow",
                Value::List(vec![Value::text("www-data"), Value::Number("7".into()), Value::text("@web")]),
            ),
            ("root_key_file", Value::text("keys")),
            ("redis_url", Value::text("redis://10.0.0.7")),
            ("redis_ca_file", Value::text("tls.cert")),
            ("redis_pool_size", Value::Number("9".into())),
            ("preimage_ttl", Value::Number("60".into())),
            ("cashu_ecash_support", Value::text("on")),
            ("cashu_whitelisted_mints", Value::text("https://mint.example.com/, http://127.0.0.1:3338/x")),
            ("cashu_p2pk_mode", Value::text("yes")),
            ("cashu_p2pk_private_key", Value::text("1F".repeat(32))),
            ("cashu_max_held", Value::Number("66".into())),
            ("cashu_require_dleq", Value::text("on")),
            ("cashu_request_format", Value::text("creqB")),
            ("cashu_db_path", Value::text("/srv/cashu.db")),
            ("cashu_wallet_mnemonic_file", Value::text("words")),
            ("cashu_token_ttl", Value::Number("61".into())),
            ("cashu_redeem_on_lightning", Value::text("on")),
            ("cashu_redemption_interval", Value::Number("62".into())),
            ("cashu_melt_min_balance", Value::Number("63".into())),
            ("cashu_melt_fee_reserve_percent", Value::Number("5".into())),
            ("cashu_melt_min_fee_reserve", Value::Number("64".into())),
            ("cashu_max_proofs_per_melt", Value::text("65")),
            ("log_file", Value::text("/var/log/l402d.log")),
            ("log_filter", Value::text("debug")),
        ];
        entries(1, pairs)
    };
    let top = all();
    let set = top.iter().map(|entry| entry.key.as_str()).chain(["root_key", "cashu_wallet_mnemonic"]);
    let set: Vec<&str> = set.collect();
    assert!(SETTINGS.iter().filter(|setting| setting.is_in_file()).all(|setting| set.contains(&setting.key)));
    // Locked ecash and Redis go together with everything but each other.
    let mut locked = all();
    locked.retain(|entry| entry.key != "redis_url" && entry.key != "redis_ca_file");
    let locked = understand(&file(0o640, with_backends(locked, vec![("default", lnd())])), &[]).unwrap();
    let mut top = all();
    top.retain(|entry| !entry.key.starts_with("cashu_p2pk"));
    let mut main = lnd();
    main.push(("timeout", Value::Number("5".into())));
    main.push(("socks5_proxy", Value::text("127.0.0.1:9050")));
    let file = file(0o640, with_backends(top, vec![("main", main), ("default", lnd())]));
    let config = understand(&file, &[]).unwrap();
    let ecash = EcashSettings {
        mints: vec!["https://mint.example.com".to_owned(), "http://127.0.0.1:3338/x".to_owned()],
        database: Some("/srv/cashu.db".into()),
        mnemonic: Some(Secret::new(WORDS.to_owned())),
        p2pk_key: Some(Secret::new("1f".repeat(32))),
        max_held_sat: 66,
        require_dleq: true,
        request_b: true,
        payout: Some(PayoutSettings {
            interval_s: 62,
            min_balance_sat: 63,
            fee_reserve_percent: 5,
            min_fee_reserve_sat: 64,
            max_proofs: 65,
        }),
        token_ttl_s: 61,
    };
    assert_eq!(locked.ecash, Some(ecash));
    let shown = format!("{locked:?}");
    assert!(!shown.contains("1f1f1f") && !shown.contains("abandon"), "{shown}");
    assert_eq!(config.state_dir, Path::new("/srv/l402d"));
    assert_eq!(config.socket, Path::new("/run/l402d/l402d.sock"));
    let name = |name: &str| Account::Name(name.to_owned());
    let allow = vec![Peer::User(name("www-data")), Peer::User(Account::Id(7)), Peer::Group(name("web"))];
    assert_eq!(config.access, Access { group: Some(Account::Id(33)), mode: Some(0o660), allow });
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    assert_eq!(config.root_keys.keys, [secret(NEWER), secret(KEY)]);
    assert_eq!(config.root_keys.file.as_deref(), Some(Path::new("/etc/l402d/keys")));
    assert_eq!(
        (config.log_file.as_deref(), config.log.as_str()),
        (Some(Path::new("/var/log/l402d.log")), "debug")
    );
    let redis = config.redis.unwrap();
    assert_eq!(
        (redis.url.expose().as_str(), redis.pool_size, redis.preimage_ttl_s),
        ("redis://10.0.0.7", 9, 60)
    );
    assert_eq!(redis.ca.as_deref(), Some(PEM.as_bytes()));
    let names: Vec<_> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    assert_eq!(names, ["default", "main"]);
    let main = lnd_of(&config.backends[1]);
    assert_eq!((config.backends[1].timeout_ms, main.socks5_proxy.as_deref()), (5000, Some("127.0.0.1:9050")));
    assert_eq!(main.macaroon, Secret::new(macaroon()));
}

#[test]
fn a_variable_wins_over_the_file_setting_by_setting() {
    let top = || {
        let pairs = vec![
            ("state_dir", Value::text("/srv/file")),
            ("log_filter", Value::text("warn")),
            ("root_key_file", Value::text("keys")),
        ];
        with_backends(entries(1, pairs), vec![("default", lnd())])
    };
    let env =
        [("L402_STATE_DIR", "/srv/env"), ("RUST_LOG", ""), ("LND_ADDRESS", "10.0.0.6:1"), ("ROOT_KEY", KEY)];
    let config = understand(&file(0o644, top()), &env).unwrap();
    assert_eq!((config.state_dir.to_str().unwrap(), config.log.as_str()), ("/srv/env", "warn"));
    let lnd = lnd_of(&config.backends[0]);
    assert_eq!(lnd.address, "10.0.0.6:1");
    assert_eq!(config.root_keys.keys, [Secret::new(KEY.as_bytes().to_vec())]);
    assert_eq!(config.root_keys.file, None);

    let flags = Flags { state_dir: Some(("--state-dir", "/srv/flag")), ..Flags::default() };
    let config = AgentConfig::from_file(&file(0o644, top()), &|_| None, &read, &read, flags).unwrap();
    assert_eq!(config.state_dir, Path::new("/srv/flag"));

    // A mistake is named where it was made.
    let file = file(0o644, top());
    complains(&file, &[("LND_ADDRESS", "a b")], &[("LND_ADDRESS \"a b\" is not valid; expected host", None)]);
    complains(&file, &[("ROOT_KEY", "")], &[("ROOT_KEY has 0 characters", None)]);
}

#[test]
fn all_that_is_wrong_is_named_at_once_with_its_line() {
    let number = || Value::Number("1".into());
    let top = entries(
        1,
        vec![
            ("state_dir", Value::text("here")),
            ("statedir", Value::text("x")),
            ("socket-group", Value::text("hunter2")),
            ("socket_mode", Value::Number("660".into())),
            ("allow", Value::List(vec![Value::text("www-data"), Value::text("a b")])),
            ("colour", Value::Other("a date")),
            ("listen", Value::Table(Vec::new())),
        ],
    );
    let wrong = vec![
        ("adress", Value::text("x")),
        ("type", Value::text("lnd")),
        ("macaroon", Value::text("gone")),
        ("cert", Value::List(Vec::new())),
        ("timeout", Value::text("0")),
    ];
    let mut entries = with_backends(top, vec![("a.b", wrong), ("none", Vec::new())]);
    let Value::Table(tables) = &mut entries.last_mut().unwrap().value else { panic!() };
    tables.push(Entry { key: "address".into(), line: 30, value: number() });
    let known = "of type, address, macaroon, cert, socks5_proxy, route_hints, timeout";
    complains(
        &file(0o644, entries),
        &[],
        &[
            ("statedir is not known; expected state_dir, or another one of state_dir, listen,", Some(2)),
            ("socket-group is not known; expected socket_group, or another", Some(3)),
            ("colour is not known; expected one of", Some(6)),
            ("[backend.a.b] is not valid; expected a name of", Some(10)),
            (
                &format!("adress of [backend.a.b] is not known; expected address, or another one {known}"),
                Some(11),
            ),
            (
                "backend.address is a number; expected a table, [backend.address], or [backend.default]",
                Some(30),
            ),
            ("state_dir \"here\" is not valid; expected an absolute path", Some(1)),
            ("listen is a table; expected unix:", Some(7)),
            ("socket_mode is a number; expected permission bits in octal, such as \"0660\", with", Some(4)),
            ("allow \"a b\" is not valid; expected a list of users", Some(5)),
            ("address of [backend.a.b] is missing; expected host", Some(10)),
            ("macaroon of [backend.a.b] \"/etc/l402d/gone\" can't be read: no such file; expected", Some(13)),
            ("cert of [backend.a.b] is a list; expected the path", Some(14)),
            ("timeout of [backend.a.b] \"0\" is not valid; expected a time", Some(15)),
            ("type of [backend.none] is missing; expected LND", Some(20)),
        ],
    );
    let flat = file(0o644, self::entries(1, vec![("backend", Value::text("lnd"))]));
    complains(&flat, &[], &[("backend is a string; expected a table, [backend.default]", Some(1))]);
}

#[test]
fn a_secret_may_be_written_where_nobody_else_can_read_it() {
    let inline = || {
        let mut lnd = lnd();
        lnd[2].1 = Value::text(hex(&macaroon()));
        lnd[3].1 = Value::text(PEM);
        let top = entries(1, vec![("root_key", Value::text(KEY))]);
        with_backends(top, vec![("default", lnd)])
    };
    let config = understand(&file(0o640, inline()), &[]).unwrap();
    let lnd = lnd_of(&config.backends[0]);
    assert_eq!((&lnd.macaroon, lnd.certificate.as_slice()), (&Secret::new(macaroon()), PEM.as_bytes()));
    assert_eq!(config.root_keys.keys, [Secret::new(KEY.as_bytes().to_vec())]);
    complains(
        &file(0o100_644, inline()),
        &[],
        &[
            ("root_key is a secret in a file that every user may read (mode 0644); expected", Some(1)),
            ("macaroon of [backend.default] is a secret in a file that every user may read", Some(13)),
        ],
    );
    let shown = format!("{:?}", file(0o600, inline()));
    assert!(!shown.contains(KEY) && !shown.contains("abab"), "{shown}");
}

#[test]
fn no_complaint_repeats_a_secret() {
    let broken = hex(&macaroon()[1..]);
    let mut wrong = lnd();
    wrong[2].1 = Value::text(&broken);
    let top = entries(1, vec![("root_key", Value::text("hunter2")), ("root_kee", Value::text("hunter2"))]);
    let file = file(0o600, with_backends(top, vec![("default", wrong)]));
    let complaints = understand(&file, &[("MACAROON_FILE_PATH", "")]).unwrap_err();
    assert_eq!(complaints.len(), 3, "{complaints:#?}");
    assert!(
        complaints.iter().all(|line| !line.contains("hunter2") && !line.contains(&broken)),
        "{complaints:#?}"
    );
    let complaints = understand(&file, &[("MACAROON_FILE_PATH", &broken)]).unwrap_err();
    assert!(complaints.iter().all(|line| !line.contains(&broken)), "{complaints:#?}");
}

#[test]
fn only_one_of_the_two_ways_to_give_a_root_key() {
    let top = entries(1, vec![("root_key", Value::text(KEY)), ("root_key_file", Value::text("keys"))]);
    complains(
        &file(0o600, top),
        &[],
        &[("root_key_file \"/etc/l402d/keys\" is set together with root_key; expected only one", Some(2))],
    );
    let open = entries(1, vec![("root_key_file", Value::text("open"))]);
    complains(
        &file(0o600, open),
        &[],
        &[("root_key_file \"/etc/l402d/open\" can't be read: every user may read", Some(1))],
    );
}

#[test]
fn accounts_and_modes() {
    use settings::value::{account, peer, socket_mode};
    assert_eq!(account("33"), Some(Account::Id(33)));
    assert_eq!(account("www-data"), Some(Account::Name("www-data".into())));
    for text in ["", "a b", "-x", "4294967295", "99999999999", "a:b", "@x", &"x".repeat(65)] {
        assert_eq!(account(text), None, "{text}");
    }
    assert_eq!(peer("@0"), Some(Peer::Group(Account::Id(0))));
    assert_eq!(peer("@"), None);
    for (text, mode) in [("0660", 0o660), ("600", 0o600), ("0o666", 0o666), ("777", 0o777)] {
        assert_eq!(socket_mode(text), Some(mode), "{text}");
    }
    for text in ["", "66", "0668", "4755", "0060", "rw", "00660"] {
        assert_eq!(socket_mode(text), None, "{text}");
    }
}
