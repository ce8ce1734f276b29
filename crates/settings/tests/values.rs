//! The text of single values, as `nginx -t` and a variable at run time see it.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use settings::value::{
    self, MAX_LIFE_S, MAX_MSAT, address, http_address, life, lightning_address, milliseconds, number, socks5,
};
use settings::{
    AGENT, AGENT_TIMEOUT, AMOUNT_MSAT_DEFAULT, BACKEND, L402, MACAROON_TIMEOUT, MAX_USES, REALM, Realm,
    STATE_DIR,
};

#[test]
fn origins() {
    for (text, expected) in [
        ("shop.example", Some("shop.example")),
        ("Shop.Example:8443", Some("shop.example:8443")),
        ("localhost", Some("localhost")),
        ("a_b-c", Some("a_b-c")),
        ("192.0.2.1:81", Some("192.0.2.1:81")),
        ("[2001:DB8::1]", Some("[2001:db8::1]")),
        ("[2001:db8::1]:81", Some("[2001:db8::1]:81")),
        ("", None),
        (":80", None),
        ("shop.example:", None),
        ("shop.example:0", None),
        ("shop.example:080", None),
        ("shop.example:65536", None),
        ("https://shop.example", None),
        ("shop.example/a", None),
        ("*.shop.example", None),
        ("$host", None),
        ("shop example", None),
        ("2001:db8::1", None),
        ("[shop]", None),
        ("caf\u{e9}.example", None),
    ] {
        assert_eq!(value::origin(text.as_bytes()).as_deref(), expected, "{text:?}");
    }
    assert_eq!(value::origin("a".repeat(300).as_bytes()), None);
}

#[test]
fn rates() {
    let rate = |limit, window_s| Some(Some(value::Rate { limit, window_s }));
    for (text, expected) in [
        ("5r/m", rate(5, 60)),
        ("2r/s", rate(2, 1)),
        ("10r/h", rate(10, 3600)),
        ("30", rate(30, 60)),
        ("off", Some(None)),
        ("0r/m", None),
        ("r/m", None),
        ("5r/d", None),
        ("-5r/m", None),
        (" 5r/m", None),
        ("", None),
        ("99999999999r/s", None),
    ] {
        assert_eq!(value::rate(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn boolean_words_in_any_case_and_nothing_else() {
    for (words, value) in [(["on", "true", "1", "yes"], true), (["off", "false", "0", "no"], false)] {
        for word in words {
            for text in [word.to_owned(), word.to_uppercase(), word[..1].to_uppercase() + &word[1..]] {
                assert_eq!(L402.flag(&text), Ok(value), "{text}");
            }
        }
    }
    for text in ["", " on", "on ", "enabled", "2", "01", "onn", "o", "-", "on\0", "ön"] {
        assert!(L402.flag(text).is_err(), "{text:?}");
    }
    assert!(L402.flag(b"\xff\xfe").is_err());
}

#[test]
fn a_price_is_positive_and_bounded() {
    assert_eq!(AMOUNT_MSAT_DEFAULT.msat("1"), Ok(1));
    assert_eq!(AMOUNT_MSAT_DEFAULT.msat("10000"), Ok(10_000));
    assert_eq!(AMOUNT_MSAT_DEFAULT.msat(MAX_MSAT.to_string()), Ok(MAX_MSAT));
    for text in ["", "0", "000", "-1", "+1", "1.5", "1e3", "0x10", " 1", "1 ", "10sat", "٣", "free"] {
        assert!(AMOUNT_MSAT_DEFAULT.msat(text).is_err(), "{text:?}");
    }
    for text in [(MAX_MSAT + 1).to_string(), u64::MAX.to_string(), "9".repeat(40)] {
        assert!(AMOUNT_MSAT_DEFAULT.msat(&text).is_err(), "{text}");
    }
}

#[test]
fn uses_are_at_least_one() {
    assert_eq!(MAX_USES.uses("1"), Ok(1));
    assert_eq!(MAX_USES.uses("4294967295"), Ok(u32::MAX));
    for text in ["", "0", "-1", "4294967296", "unlimited"] {
        assert!(MAX_USES.uses(text).is_err(), "{text:?}");
    }
}

#[test]
fn times_have_units() {
    let times = [
        ("10", 10_000),
        ("10s", 10_000),
        ("500ms", 500),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
    ];
    for (text, expected) in times {
        assert_eq!(milliseconds(text.as_bytes()), Some(expected), "{text}");
    }
    for text in ["", "s", "ms", "10 s", "10S", "1m30s", "-1", "1.5s", "1w", "18446744073709551615d"] {
        assert_eq!(milliseconds(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn a_life_is_whole_seconds_and_may_be_endless() {
    assert_eq!(MACAROON_TIMEOUT.life("0"), Ok(0));
    assert_eq!(MACAROON_TIMEOUT.life("1000ms"), Ok(1));
    assert_eq!(MACAROON_TIMEOUT.life("36500d"), Ok(MAX_LIFE_S));
    assert_eq!(life(b"36501d"), None);
    for text in ["500ms", "-1", "never", ""] {
        assert!(MACAROON_TIMEOUT.life(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_timeout_is_neither_nothing_nor_for_ever() {
    assert_eq!(AGENT_TIMEOUT.timeout("100ms"), Ok(100));
    assert_eq!(AGENT_TIMEOUT.timeout("10m"), Ok(600_000));
    for text in ["0", "99ms", "601s", "1h", ""] {
        assert!(AGENT_TIMEOUT.timeout(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_realm_is_a_name_perhaps_shared_or_off() {
    let realm = |name: &str, shared| Ok(Some(Realm { name: name.to_owned(), shared }));
    assert_eq!(REALM.realm(&["archive"]), realm("archive", false));
    assert_eq!(REALM.realm(&["Müller & Söhne", "shared"]), realm("Müller & Söhne", true));
    assert_eq!(REALM.realm(&["shared"]), realm("shared", false));
    assert_eq!(REALM.realm(&["off"]), Ok(None));
    let long = "x".repeat(129);
    for args in [&[""][..], &["a", "b"], &["a", "shared", "c"], &["a\r\nb"], &["a\u{85}b"], &[&long], &[]] {
        assert!(REALM.realm(args).is_err(), "{args:?}");
    }
    assert!(REALM.realm(&[&b"\xff"[..]]).is_err());
    let text = REALM.realm(&["a", "everywhere"]).unwrap_err().to_string();
    assert!(text.starts_with("l402_realm \"a everywhere\" is not valid; expected a name"), "{text}");
}

#[test]
fn sockets_directories_and_names() {
    assert_eq!(AGENT.unix_socket(b"unix:/run/l402d/l402d.sock"), Ok("/run/l402d/l402d.sock"));
    let long = format!("unix:/{}", "x".repeat(107));
    for text in ["", "/run/l402d.sock", "unix:", "unix:run/l402d.sock", "127.0.0.1:1", "unix:/a\n", &long] {
        assert!(AGENT.unix_socket(text.as_bytes()).is_err(), "{text:?}");
    }
    assert_eq!(STATE_DIR.state_dir(b"/var/lib/l402d/"), Ok("/var/lib/l402d"));
    let long = format!("/{}", "x".repeat(88));
    for text in ["", "/", "var/lib", "./x", "/a\tb", &long] {
        assert!(STATE_DIR.state_dir(text.as_bytes()).is_err(), "{text:?}");
    }
    // The longest state directory still leaves room for the socket that is bound aside.
    let longest = format!("/{}/l402d.sock.4194304", "x".repeat(87));
    assert!(longest.len() <= settings::value::MAX_SOCKET_PATH);
    assert_eq!(BACKEND.backend_name(b"main-2_b"), Ok("main-2_b"));
    for text in ["", "a.b", "a b", "a/b", "é", &"x".repeat(65)] {
        assert!(BACKEND.backend_name(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn addresses_as_operators_write_them() {
    let cases = [
        ("localhost", "localhost:10009"),
        ("node.example.com:8443", "node.example.com:8443"),
        ("node.example.com.", "node.example.com.:10009"),
        ("https://10.0.0.5:10009", "10.0.0.5:10009"),
        ("HTTPS://10.0.0.5/", "10.0.0.5:10009"),
        ("::1", "[::1]:10009"),
        ("[::1]", "[::1]:10009"),
        ("[2001:DB8::1]:443", "[2001:db8::1]:443"),
        ("lnd_1:10009", "lnd_1:10009"),
    ];
    for (text, expected) in cases {
        assert_eq!(address(text, 10_009).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "",
        ":10009",
        "host:",
        "host:0",
        "host:65536",
        "host:+1",
        "host:1:2",
        "a b",
        "http://host",
        "https://",
        "host/path",
        "user@host",
        "[::1",
        "[host]:1",
        "[::1]x",
        "ho\0st",
        "-é",
        "a..b",
        "grpc://host:1",
        "-a",
        "a-",
        "127.1",
        "0x7f.1",
        "1.2.3.256",
        "xn--a",
    ] {
        assert_eq!(address(text, 10_009), None, "{text:?}");
    }
}

#[test]
fn http_addresses_as_operators_write_them() {
    for (text, expected) in [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("http://node:81/", "http://node:81"),
        ("HTTPS://node.example", "https://node.example:8080"),
        ("[::1]", "http://[::1]:8080"),
    ] {
        assert_eq!(http_address(text, 8080).as_deref(), Some(expected), "{text}");
    }
    for text in ["", "ftp://node", "http://", "http://node/api", "user:pass@node"] {
        assert_eq!(http_address(text, 8080), None, "{text}");
    }
}

#[test]
fn lightning_addresses_as_people_write_them() {
    for (text, expected) in [
        ("alice@example.com", "alice@example.com"),
        ("https://a-b_c.1+x@example.com:8443", "a-b_c.1+x@example.com:8443"),
        ("bob@abc.onion", "bob@abc.onion"),
        ("http://alice@127.0.0.1:5000", "http://alice@127.0.0.1:5000"),
        ("http://alice@[::1]:5000", "http://alice@[::1]:5000"),
        ("http://alice@10.1.2.3", "http://alice@10.1.2.3"),
        ("http://alice@lnbits:5000", "http://alice@lnbits:5000"),
        ("http://alice@wallet.internal", "http://alice@wallet.internal"),
        ("Alice@Example.com", "alice@example.com"),
        ("\u{26a1}alice@example.com", "alice@example.com"),
        (" lightning:alice@example.com/ ", "alice@example.com"),
        ("\u{26a1}\u{fe0f}alice@example.com", "alice@example.com"),
    ] {
        assert_eq!(lightning_address(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "",
        "alice",
        "@example.com",
        "alice@",
        "..@example.com",
        "alice@1.2.3.256",
        "a b@example.com",
        "alice@example.com/x",
        "http://alice@example.com",
        "http://alice@8.8.8.8",
        "lnurlp://example.com",
    ] {
        assert_eq!(lightning_address(text), None, "{text}");
    }
}

#[test]
fn proxies_need_a_port_and_take_no_user() {
    for text in
        ["127.0.0.1:9050", "socks5://127.0.0.1:9050", "socks5h://127.0.0.1:9050/", "SOCKS5://127.0.0.1:9050"]
    {
        assert_eq!(socks5(text).as_deref(), Some("127.0.0.1:9050"), "{text}");
    }
    assert_eq!(socks5("[::1]:9050").as_deref(), Some("[::1]:9050"));
    for text in ["", "127.0.0.1", "socks4://h:1", "http://h:1", "user:pass@h:1", "socks5://"] {
        assert_eq!(socks5(text), None, "{text:?}");
    }
}

/// What an operator sees is one line, however hostile the value (it may come from a request).
#[test]
fn a_complaint_is_one_bounded_line() {
    let text = L402.flag("on\r\nx\x1b[31m\"").unwrap_err().to_string();
    assert_eq!(
        text,
        r#"l402 "on\r\nx\u{1b}[31m\"" is not valid; expected on or off (or true, false, 1, 0, yes, no)"#
    );
    let text = AMOUNT_MSAT_DEFAULT.msat("\n".repeat(5000)).unwrap_err().to_string();
    assert!(text.len() < 400 && !text.contains('\n') && text.contains('…'), "{text}");
    let text = AMOUNT_MSAT_DEFAULT.missing().to_string();
    assert!(text.starts_with("l402_amount_msat_default is missing; expected a price"), "{text}");
}

proptest! {
    #[test]
    fn numbers_agree_with_the_standard_library(text in "[0-9]{1,25}|\\PC{0,6}", value in any::<u64>()) {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        prop_assert_eq!(number(text.as_bytes()), text.parse().ok().filter(|_| plain));
        prop_assert_eq!(number(value.to_string().as_bytes()), Some(value));
    }

    #[test]
    fn nothing_panics(text in any::<Vec<u8>>(), word in "\\PC{0,30}") {
        let _ = (L402.flag(&text), AMOUNT_MSAT_DEFAULT.msat(&text), MAX_USES.uses(&text));
        let _ = (MACAROON_TIMEOUT.life(&text), AGENT_TIMEOUT.timeout(&text), REALM.realm(&[&text, &text]));
        let _ = (AGENT.unix_socket(&text), STATE_DIR.state_dir(&text), BACKEND.backend_name(&text));
        let _ = (address(&word, 1), socks5(&word), address(&format!("[{word}]:1"), 1));
    }

    /// What an address becomes, it stays.
    #[test]
    fn addresses_are_normal(text in "(https://)?[a-z0-9.:\\[\\]-]{1,20}") {
        if let Some(normal) = address(&text, 10_009) {
            prop_assert_eq!(address(&normal, 1), Some(normal));
        }
    }
}
