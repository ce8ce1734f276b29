//! Environments, blocks and files → typed settings or all that is wrong with them; and the pipe.
#![allow(clippy::unwrap_used, clippy::panic)]

mod backends;

use proptest::prelude::*;
use settings::{
    Access, AgentConfig, BackendConfig, BackendSettings, Bolt12Settings, ClnSettings, Complaint,
    EcashSettings, EclairSettings, Flags, LndSettings, LnurlSettings, PayoutSettings, RedisSettings,
    RootKeys, RouteHints, Secret, backend_exists, check_private_mode, default_backend, lnurl_address_of,
    lnurl_backend, named_backend, realm_has_reuse, root_keys, set_but_not_read,
};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

const PEM: &[u8] = include_bytes!("../node.pem");
const KEY: &str = "0123456789abcdef0123456789abcdef";
const RUNE: &str = "tU-RLjMiDpY2U0o3W1oFowar36RFGpWloPbW9-RuZdo9MyZpZD0wMjRiOWExZmE4ZTAwNmYxZTM5Mzdm";

/// The outer form of a V2 macaroon: an identifier, no caveat, a signature that is easily recognised.
fn macaroon() -> Vec<u8> {
    [&[2, 2, 3][..], b"id!", &[0, 0, 6, 32], &[0xab; 32]].concat()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str().unwrap() {
        "/invoice.macaroon" => Ok(macaroon()),
        "/hex.macaroon" => Ok(hex(&macaroon()).into_bytes()),
        "/tls.cert" => Ok(PEM.to_vec()),
        "/cln.rune" => Ok(format!("{RUNE}\n").into_bytes()),
        "/tls.both" => {
            Ok([PEM, b"-----BEGIN EC PRIVATE KEY-----\nabcd\n-----END EC PRIVATE KEY-----\n"].concat())
        }
        "/empty.cert" => Ok(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----".to_vec()),
        "/key" => Ok(format!("{KEY}\r\n").into_bytes()),
        "/keys" => {
            let newer = KEY.to_uppercase();
            Ok(format!("\n{newer}\r\n\n{KEY}\n{newer}\n \n").into_bytes())
        }
        "/second-short" => Ok(format!("{KEY}\nshort\n").into_bytes()),
        "/33" => Ok((0..33).map(|n| format!("{n:032}\n")).collect::<String>().into_bytes()),
        "/no-key" => Ok(b"\n".to_vec()),
        "/short" => Ok(b"0123456789abcdef0123456789abcde\n".to_vec()),
        "/open" => check_private_mode(0o100_644).map(|()| Vec::new()),
        "/denied" => Err(ErrorKind::PermissionDenied.into()),
        "/directory" => Err(ErrorKind::IsADirectory.into()),
        _ => Err(ErrorKind::NotFound.into()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>() + "\n"
}

/// An environment that holds these variables.
fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| pairs.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
}

const GOOD: [(&str, &str); 4] = [
    ("LN_CLIENT_TYPE", "LND"),
    ("LND_ADDRESS", "10.0.0.5"),
    ("MACAROON_FILE_PATH", "/invoice.macaroon"),
    ("CERT_FILE_PATH", "/tls.cert"),
];

/// The good environment with these variables over it.
fn good_but<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&GOOD[..], more].concat()
}

fn default_of(pairs: &[(&str, &str)]) -> Result<Option<BackendSettings>, Vec<String>> {
    default_backend(&env(pairs), &read).map_err(lines)
}

fn lines(complaints: Vec<Complaint>) -> Vec<String> {
    complaints.iter().map(ToString::to_string).collect()
}

fn lnd() -> LndSettings {
    LndSettings {
        address: "10.0.0.5:10009".into(),
        macaroon: Secret::new(macaroon()),
        certificate: PEM.to_vec(),
        socks5_proxy: None,
    }
}

/// A backend with the default time-out.
fn backend_of(name: &str, config: LndSettings) -> BackendSettings {
    BackendSettings {
        name: name.into(),
        timeout_ms: 10_000,
        route_hints: RouteHints::Auto,
        config: BackendConfig::Lnd(config),
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
fn the_root_key() {
    let key =
        |pairs: &[(&str, &str)]| root_keys(&env(pairs), &read).map_err(|complaint| complaint.to_string());
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    let expected = Ok(RootKeys { keys: vec![secret(KEY)], file: None });
    assert_eq!(key(&[]), Ok(RootKeys::default()));
    assert_eq!(key(&[("ROOT_KEY", KEY)]), expected);
    let file = |path: &str, keys| Ok(RootKeys { keys, file: Some(path.into()) });
    assert_eq!(key(&[("ROOT_KEY_FILE", "/key")]), file("/key", vec![secret(KEY)]));
    assert_eq!(key(&[("ROOT_KEY", KEY), ("ROOT_KEY_FILE", "")]), expected);
    let newer = &KEY.to_uppercase();
    assert_eq!(key(&[("ROOT_KEY_FILE", "/keys")]), file("/keys", vec![secret(newer), secret(KEY)]));
    let cases = [
        (&[("ROOT_KEY", "")][..], "ROOT_KEY has 0 characters; expected at least 32 characters"),
        (&[("ROOT_KEY", "hunter2")], "ROOT_KEY has 7 characters; expected at least 32 characters"),
        (&[("ROOT_KEY_FILE", "/short")], "ROOT_KEY_FILE \"/short\" has 31 characters; expected"),
        (
            &[("ROOT_KEY_FILE", "/second-short")],
            "ROOT_KEY_FILE \"/second-short\" has 5 characters in key 2; expected",
        ),
        (&[("ROOT_KEY_FILE", "/no-key")], "ROOT_KEY_FILE \"/no-key\" has 0 characters; expected"),
        (&[("ROOT_KEY_FILE", "/33")], "ROOT_KEY_FILE \"/33\" has 33 keys, and 32 are the most; expected"),
        (&[("ROOT_KEY_FILE", "/gone")], "ROOT_KEY_FILE \"/gone\" can't be read: no such file; expected"),
        (
            &[("ROOT_KEY_FILE", "/open")],
            "ROOT_KEY_FILE \"/open\" can't be read: every user may read or write it (mode 0644",
        ),
        (
            &[("ROOT_KEY", KEY), ("ROOT_KEY_FILE", "/key")],
            "ROOT_KEY_FILE \"/key\" is set together with ROOT_KEY; expected",
        ),
    ];
    for (pairs, start) in cases {
        let complaint = key(pairs).unwrap_err();
        assert!(complaint.starts_with(start), "{complaint}");
        assert!(!complaint.contains("hunter2") && !complaint.contains(KEY), "{complaint}");
    }
}

#[test]
fn only_the_owner_and_group_may_have_rights() {
    for mode in [0o600, 0o640, 0o100_400, 0o660] {
        assert!(check_private_mode(mode).is_ok(), "{mode:o}");
    }
    for mode in [0o644, 0o604, 0o602, 0o777, 0o601] {
        assert!(check_private_mode(mode).is_err(), "{mode:o}");
    }
}

#[test]
fn rules_between_settings() {
    assert!(realm_has_reuse("r", true, 1).is_ok() && realm_has_reuse("r", false, 2).is_ok());
    let text = realm_has_reuse("r", false, 1).unwrap_err().to_string();
    assert!(
        text.starts_with("l402_realm \"r\" needs tokens that serve more than once; expected l402_indefinite")
    );

    let backends = [backend_of("main", lnd())];
    assert_eq!(backend_exists("main", &backends).unwrap().name, "main");
    let text = backend_exists("mian", &backends).unwrap_err().to_string();
    assert_eq!(text, "l402_backend \"mian\" is not defined; expected one of main");
    let text = backend_exists("default", &[]).unwrap_err().to_string();
    assert!(
        text.starts_with("l402 is on and there is no backend to be paid through; expected LN_CLIENT_TYPE")
    );

    let pairs = [("L402_SERVICE_NAME", "a shop"), ("LNURL_ADDRESS", ""), ("L402_SERVICE_OPERATOR", "us")];
    let env = env(&pairs);
    assert_eq!(set_but_not_read(&env).collect::<Vec<_>>(), ["L402_SERVICE_NAME", "L402_SERVICE_OPERATOR"]);
    assert_eq!(settings::find_directive("l402_realm").unwrap().key, "l402_realm");
    assert!(settings::find_directive("l402_metrics").is_none());
}

#[test]
fn a_configuration_from_environment_and_flags() {
    let pairs = good_but(&[("ROOT_KEY", KEY), ("RUST_LOG", "debug"), ("L402_STATE_DIR", "/srv/env")]);
    let config = AgentConfig::from_env(&env(&pairs), &read, &read, Flags::default()).unwrap();
    assert_eq!(config.state_dir, Path::new("/srv/env"));
    assert_eq!(config.socket, Path::new("/srv/env/l402d.sock"));
    assert_eq!((config.log_file, config.log.as_str()), (None, "debug"));
    assert_eq!(config.backends.len(), 1);

    let main = backend_of("main", lnd());
    let flags = Flags {
        state_dir: Some(("l402_state_dir", "/srv/flag/")),
        listen: Some(("--listen", "unix:/run/x.sock")),
        log_in_state_dir: true,
        backends: vec![main],
    };
    let config = AgentConfig::from_env(&env(&pairs), &read, &read, flags).unwrap();
    assert_eq!(config.state_dir, Path::new("/srv/flag"));
    assert_eq!(config.socket, Path::new("/run/x.sock"));
    assert_eq!(config.log_file.as_deref(), Some(Path::new("/srv/flag/l402d.log")));
    let names: Vec<_> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    assert_eq!(names, ["default", "main"]);

    let nothing = AgentConfig::from_env(&env(&[]), &read, &read, Flags::default()).unwrap();
    assert_eq!(nothing.state_dir, Path::new(settings::DEFAULT_STATE_DIR));
    assert!(nothing.backends.is_empty() && nothing.root_keys.keys.is_empty() && nothing.log == "info");
}

#[test]
fn all_that_is_wrong_with_a_configuration_is_named_at_once() {
    let block = || backend_of("default", lnd());
    let pairs = good_but(&[("ROOT_KEY", "short"), ("RUST_LOG", "a\nb"), ("L402_LOG", "l402d.log")]);
    let flags = Flags {
        state_dir: Some(("--state-dir", "here")),
        listen: Some(("--listen", "127.0.0.1:1")),
        log_in_state_dir: false,
        backends: vec![block()],
    };
    let complaints = lines(AgentConfig::from_env(&env(&pairs), &read, &read, flags).unwrap_err());
    let starts = [
        "--state-dir \"here\" is not valid; expected an absolute path",
        "--listen \"127.0.0.1:1\" is not valid; expected unix:",
        "L402_LOG \"l402d.log\" is not valid; expected an absolute path",
        "RUST_LOG \"a\\nb\" is not valid; expected a filter",
        "ROOT_KEY has 5 characters",
        "l402_backend \"default\" is defined twice; expected another name, or no LN_CLIENT_TYPE in the environment",
    ];
    assert_eq!(complaints.len(), starts.len(), "{complaints:#?}");
    for (complaint, start) in complaints.iter().zip(starts) {
        assert!(complaint.starts_with(start), "{complaint}\n{start}");
    }
}

#[test]
fn secrets_do_not_show() {
    let pairs = good_but(&[("ROOT_KEY", KEY), ("SOCKS5_PROXY", "127.0.0.1:9050")]);
    let config = AgentConfig::from_env(&env(&pairs), &read, &read, Flags::default()).unwrap();
    let shown = format!("{config:#?}");
    assert_eq!(shown.matches("[redacted]").count(), 2, "{shown}");
    assert!(!shown.contains("171") && !shown.contains("0123456789"), "{shown}");
    assert!(!format!("{config:?}").contains("48, 49, 50"), "{shown}");
    let complaints = default_of(&good_but(&[("SOCKS5_PROXY", "socks5://me:hunter2@h:1")])).unwrap_err();
    assert!(complaints[0].starts_with("SOCKS5_PROXY is not valid"), "{complaints:?}");
    let complaints = default_of(&good_but(&[("LND_ADDRESS", "https://me:hunter2@h:1")])).unwrap_err();
    assert!(!complaints[0].contains("hunter2"), "{complaints:?}");
    let uri = "nostr+walletconnect://no?secret=hunter2";
    let complaints = default_of(&[("LN_CLIENT_TYPE", "nwc"), ("NWC_URI", uri)]).unwrap_err();
    assert!(
        complaints[0].starts_with("NWC_URI is not valid; expected nostr+walletconnect://"),
        "{complaints:?}"
    );
    assert!(!complaints[0].contains("hunter2"), "{complaints:?}");
}

#[test]
fn a_wallet_connection_survives_the_pipe() {
    let (wallet, secret) = ("b9".repeat(32), "71".repeat(32));
    let uri = format!("nostr+walletconnect://{wallet}?relay=wss%3A%2F%2Fa%2Fb&relay=wss://c&secret={secret}");
    let pairs = [("LN_CLIENT_TYPE", "NWC"), ("NWC_URI", uri.as_str()), ("ROOT_KEY", KEY)];
    let config = AgentConfig::from_env(&env(&pairs), &read, &read, Flags::default()).unwrap();
    let BackendConfig::Nwc(nwc) = &config.backends[0].config else { panic!("{config:?}") };
    assert_eq!((nwc.wallet, nwc.secret.expose()), ([0xb9; 32], &[0x71; 32]));
    assert_eq!(nwc.relays, ["wss://a/b", "wss://c"]);
    assert_eq!(AgentConfig::from_pairs(&config.to_pairs()), Ok(config));
}

fn text() -> impl Strategy<Value = String> {
    "[^\\x00-\\x1f\\x7f]{1,40}"
}

fn backend(name: String) -> impl Strategy<Value = BackendSettings> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    let (address, proxy) = (text, || prop::option::of(text()));
    let lnd =
        (address(), bytes(), bytes(), proxy()).prop_map(|(address, macaroon, certificate, socks5_proxy)| {
            BackendConfig::Lnd(LndSettings {
                address,
                macaroon: Secret::new(macaroon),
                certificate,
                socks5_proxy,
            })
        });
    let eclair = (address(), text()).prop_map(|(address, password)| {
        BackendConfig::Eclair(EclairSettings { address, password: Secret::new(password) })
    });
    let lnurl = (address(), proxy())
        .prop_map(|(address, socks5_proxy)| BackendConfig::Lnurl(LnurlSettings { address, socks5_proxy }));
    let socket = text().prop_map(|path| ClnSettings::Socket { path: path.into() });
    let rest = (address(), text(), prop::option::of(bytes())).prop_map(|(address, rune, certificate)| {
        ClnSettings::Rest { address, rune: Secret::new(rune), certificate }
    });
    let cln = prop_oneof![socket, rest].prop_map(BackendConfig::Cln);
    let hints = prop::sample::select(&[RouteHints::Auto, RouteHints::On, RouteHints::Off][..]);
    (prop_oneof![lnd, cln, eclair, lnurl], 100u64..=600_000, hints).prop_map(
        move |(config, timeout_ms, route_hints)| BackendSettings {
            name: name.clone(),
            timeout_ms,
            route_hints,
            config,
        },
    )
}

fn redis() -> impl Strategy<Value = RedisSettings> {
    let ca = prop::option::of(prop::collection::vec(any::<u8>(), 0..100));
    ("redis://[a-z]{1,9}:[a-z%20]{1,9}@[a-z]{1,9}", ca, 1u32..=256, 0u64..1000).prop_filter_map(
        "a URL",
        |(url, ca, pool_size, preimage_ttl_s)| {
            let found = RedisSettings { url: Secret::new(url), ca, pool_size, preimage_ttl_s };
            found.parsed().is_ok().then_some(found)
        },
    )
}

fn payout() -> impl Strategy<Value = PayoutSettings> {
    (1u64..1000, 0u64..1000, 0u64..=50, 0u64..1000, 0u64..=1000).prop_map(
        |(interval_s, min_balance_sat, fee_reserve_percent, min_fee_reserve_sat, max_proofs)| {
            PayoutSettings {
                interval_s,
                min_balance_sat,
                fee_reserve_percent,
                min_fee_reserve_sat,
                max_proofs,
            }
        },
    )
}

fn ecash() -> impl Strategy<Value = EcashSettings> {
    let mint = "https?://[a-z][a-z0-9]{0,19}(:[1-9][0-9]{0,3})?(/[a-zA-Z0-9]{1,9})?";
    let path = text().prop_map(|text| PathBuf::from(format!("/{text}")));
    let words = prop::collection::vec("[a-z]{3,8}", 12).prop_map(|words| Secret::new(words.join(" ")));
    let key = "[1-9a-f][0-9a-f]{63}".prop_map(Secret::new);
    (
        prop::collection::vec(mint, 1..=16),
        prop::option::of(path),
        prop::option::of(words),
        prop::option::of(key),
        0u64..1000,
        any::<bool>(),
        any::<bool>(),
        prop::option::of(payout()),
        0u64..1000,
    )
        .prop_map(
            |(
                mints,
                database,
                mnemonic,
                p2pk_key,
                max_held_sat,
                require_dleq,
                request_b,
                payout,
                token_ttl_s,
            )| {
                EcashSettings {
                    mints,
                    database,
                    mnemonic,
                    p2pk_key,
                    max_held_sat,
                    require_dleq,
                    request_b,
                    payout,
                    token_ttl_s,
                }
            },
        )
}

fn config() -> impl Strategy<Value = AgentConfig> {
    let backends = prop::collection::btree_set("[a-zA-Z0-9_-]{1,64}", 0..4)
        .prop_flat_map(|names| names.into_iter().map(backend).collect::<Vec<_>>());
    let path = || text().prop_map(|text| PathBuf::from(format!("/{text}")));
    let key = prop::collection::vec(any::<u8>(), 32..80).prop_map(Secret::new);
    let key = prop::collection::vec(key, 0..4);
    let stores = (prop::option::of(redis()), prop::option::of(ecash()));
    (path(), path(), prop::option::of(path()), text(), backends, key, stores).prop_map(
        |(state_dir, socket, log_file, log, backends, keys, (redis, ecash))| AgentConfig {
            state_dir,
            socket,
            access: Access::default(),
            log_file,
            log,
            backends,
            redis,
            root_keys: RootKeys { keys, file: None },
            ecash,
        },
    )
}

proptest! {
    #[test]
    fn the_pipe_carries_any_configuration(config in config()) {
        let text = config.to_pairs();
        prop_assert!(text.ends_with(b"\0\0"));
        prop_assert_eq!(AgentConfig::from_pairs(&text), Ok(config));
    }

    /// Cut anywhere, the text is refused: half a configuration must not run.
    #[test]
    fn a_cut_pipe_is_refused(config in config(), at in any::<prop::sample::Index>()) {
        let text = config.to_pairs();
        prop_assert!(AgentConfig::from_pairs(&text[..at.index(text.len())]).is_err());
    }

    #[test]
    fn noise_in_the_pipe_never_panics(text in any::<Vec<u8>>(), config in config(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let _ = AgentConfig::from_pairs(&text);
        let mut text = config.to_pairs();
        let at = at.index(text.len());
        text[at] = byte;
        let _ = AgentConfig::from_pairs(&text);
    }
}

#[test]
fn the_pipe_of_another_release_is_refused() {
    let config = AgentConfig::from_env(&env(&GOOD), &read, &read, Flags::default()).unwrap();
    let text = config.to_pairs();
    let with = |more: &[u8]| [more, &text[..]].concat();
    let complaints = |text: &[u8]| lines(AgentConfig::from_pairs(text).unwrap_err());
    assert!(complaints(&with(b"colour=red\0"))[0].starts_with("colour is not known; expected"));
    assert!(complaints(&with(b"log_filter=a\0"))[0].starts_with("log_filter is written twice; expected"));
    assert!(
        complaints(&with(b"backend.x.type=phoenix\0"))[0]
            .starts_with("backend.x.type is not valid; expected")
    );
    assert_eq!(complaints(&with(b"backend.x.type=lnd\0")).len(), 4);
    let root = complaints(&with(b"root_key=5ecretZ\0"));
    assert!(root[0].starts_with("root_key is not valid; expected") && !root[0].contains("5ecret"));
    assert_eq!(complaints(b"\0").len(), 3);
    assert!(complaints(b"")[0].starts_with("the configuration pipe was cut short"));
}
