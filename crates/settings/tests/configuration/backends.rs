//! Environments and blocks → backends, or all that is wrong with them.

use super::*;

#[test]
fn the_environment_defines_the_default_backend() {
    let expected = backend_of("default", lnd());
    assert_eq!(default_of(&GOOD), Ok(Some(expected.clone())));
    assert_eq!(
        default_of(&good_but(&[("LN_CLIENT_TYPE", "lnd"), ("SOCKS5_PROXY", "")])),
        Ok(Some(expected.clone()))
    );
    assert_eq!(default_of(&good_but(&[("MACAROON_FILE_PATH", "/hex.macaroon")])), Ok(Some(expected)));
    assert_eq!(default_of(&[]), Ok(None));
    assert_eq!(default_of(&[("LN_CLIENT_TYPE", ""), ("LND_ADDRESS", "x")]), Ok(None));
    let proxied = default_of(&good_but(&[("SOCKS5_PROXY", "socks5://127.0.0.1:9050")])).unwrap().unwrap();
    assert_eq!(lnd_of(&proxied).socks5_proxy.as_deref(), Some("127.0.0.1:9050"));
}

#[test]
fn all_that_is_missing_is_named_at_once() {
    let complaints = default_of(&[("LN_CLIENT_TYPE", "LND"), ("SOCKS5_PROXY", "nowhere")]).unwrap_err();
    assert_eq!(
        complaints,
        [
            "LND_ADDRESS is missing; expected host or host:port, such as 127.0.0.1:10009",
            "MACAROON_FILE_PATH is missing; expected the path of a macaroon that LND made, such as invoice.macaroon",
            "CERT_FILE_PATH is missing; expected the path of the node's certificate in PEM form, such as LND's tls.cert",
            "SOCKS5_PROXY \"nowhere\" is not valid; expected host:port or socks5://host:port, without a user name",
        ]
    );
}

#[test]
fn a_type_that_is_not_here_is_never_passed_over() {
    let complaints = default_of(&good_but(&[("LN_CLIENT_TYPE", "PHOENIX")])).unwrap_err();
    assert_eq!(
        complaints,
        ["LN_CLIENT_TYPE \"PHOENIX\" is not valid; expected LND, LNC, CLN, BOLT12, ECLAIR, LNURL or NWC"]
    );
}

const WORDS: &str = "letter advice cage absurd amount doctor acoustic avoid letter zoo";

#[test]
fn a_pairing_phrase_makes_lnd_mean_lnc() {
    for kind in ["LND", "lnc"] {
        let spaced = format!(" {} ", WORDS.to_uppercase().replace(' ', "  "));
        let found =
            default_of(&good_but(&[("LN_CLIENT_TYPE", kind), ("LNC_PAIRING_PHRASE", &spaced)])).unwrap();
        let BackendConfig::Lnc(lnc) = found.unwrap().config else { panic!("{kind}") };
        assert_eq!(lnc.phrase.expose(), WORDS);
        assert_eq!((lnc.mailbox.as_str(), lnc.certificate), ("mailbox.terminal.lightning.today:443", None));
    }
    let lnc = ("LNC_PAIRING_PHRASE", WORDS);
    for (mailbox, want) in [
        ("host", Some("host:443")),
        ("wss://host:8443", Some("wss://host:8443")),
        ("grpcs://[::1]", Some("grpcs://[::1]:443")),
        ("http://host", None),
        ("host:0", None),
    ] {
        let found = default_of(&good_but(&[lnc, ("LNC_MAILBOX_SERVER", mailbox)]));
        match (found, want) {
            (Ok(Some(found)), Some(want)) => {
                let BackendConfig::Lnc(lnc) = found.config else { panic!("{mailbox}") };
                assert_eq!(lnc.mailbox, want);
            }
            (Err(complaints), None) => {
                assert!(complaints[0].starts_with("LNC_MAILBOX_SERVER"), "{complaints:?}")
            }
            (found, _) => panic!("{mailbox}: {found:?}"),
        }
    }
    for phrase in ["abandon ability able", &WORDS.replace("cage", "c4ge"), &format!("{WORDS} zoo")] {
        let complaints = default_of(&good_but(&[("LNC_PAIRING_PHRASE", phrase)])).unwrap_err();
        assert!(complaints[0].starts_with("LNC_PAIRING_PHRASE is not valid; expected the ten words"));
        assert!(!complaints[0].contains("ab"), "{complaints:?}");
    }
    let block = named_backend("x", &[("type", "lnc"), ("pairing_phrase", WORDS), ("mailbox", "host")], &read);
    assert!(matches!(block.unwrap().config, BackendConfig::Lnc(_)));
}

#[test]
fn files_that_can_not_be_used() {
    let cases = [
        (
            "MACAROON_FILE_PATH",
            "/denied",
            "can't be read: permission denied; expected the path of a macaroon",
        ),
        ("MACAROON_FILE_PATH", "/gone", "can't be read: no such file; expected"),
        ("MACAROON_FILE_PATH", "/directory", "can't be read: is a directory; expected"),
        ("MACAROON_FILE_PATH", "/tls.cert", "holds no macaroon; expected"),
        ("CERT_FILE_PATH", "/invoice.macaroon", "holds no certificate in PEM form; expected"),
        ("CERT_FILE_PATH", "/empty.cert", "holds no certificate in PEM form; expected"),
        (
            "CERT_FILE_PATH",
            "/tls.both",
            "holds no certificate in PEM form, or a private key beside it; expected",
        ),
        ("CERT_FILE_PATH", "/denied", "can't be read: permission denied; expected"),
    ];
    for (name, path, problem) in cases {
        let complaints = default_of(&good_but(&[(name, path)])).unwrap_err();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].starts_with(&format!("{name} \"{path}\" {problem}")), "{complaints:?}");
    }
    let complaints = default_of(&good_but(&[("CERT_FILE_PATH", "/denied")])).unwrap_err();
    assert!(
        complaints[0].ends_with("must be readable by the user that starts nginx (or l402d)"),
        "{complaints:?}"
    );
}

#[test]
fn a_block_defines_a_backend() {
    let pairs = [
        ("type", "lnd"),
        ("address", "10.0.0.5"),
        ("macaroon", "/invoice.macaroon"),
        ("cert", "/tls.cert"),
        ("timeout", "2500ms"),
    ];
    let expected = BackendSettings { timeout_ms: 2500, ..backend_of("main", lnd()) };
    assert_eq!(named_backend("main", &pairs, &read), Ok(expected));
}

#[test]
fn eclair_and_lightning_addresses() {
    let eclair = default_of(&[
        ("LN_CLIENT_TYPE", "Eclair"),
        ("ECLAIR_ADDRESS", "10.0.0.5"),
        ("ECLAIR_PASSWORD", "hunter2"),
    ]);
    match eclair.unwrap().unwrap().config {
        BackendConfig::Eclair(eclair) => {
            assert_eq!(eclair.address, "http://10.0.0.5:8080");
            assert_eq!(eclair.password.expose(), "hunter2");
            assert!(!format!("{eclair:?}").contains("hunter2"));
        }
        other => panic!("{other:?}"),
    }
    let lines = default_of(&[("LN_CLIENT_TYPE", "ECLAIR"), ("ECLAIR_PASSWORD", "hunter2")]).unwrap_err();
    assert_eq!(
        lines,
        [
            "ECLAIR_ADDRESS is missing; expected http://host:port or https://host:port, such as http://127.0.0.1:8080"
        ]
    );
    let lnurl = named_backend("tips", &[("type", "lnurl"), ("address", "https://alice@example.com")], &read);
    match lnurl.unwrap().config {
        BackendConfig::Lnurl(lnurl) => assert_eq!(lnurl.address, "alice@example.com"),
        other => panic!("{other:?}"),
    }
    let onion = default_of(&[("LN_CLIENT_TYPE", "LNURL"), ("LNURL_ADDRESS", "bob@abc.onion")]).unwrap_err();
    assert!(onion[0].starts_with("SOCKS5_PROXY is missing, and an .onion address"), "{onion:?}");
    let bad = default_of(&[("LN_CLIENT_TYPE", "LNURL"), ("LNURL_ADDRESS", "http://alice@example.com")]);
    assert!(bad.unwrap_err()[0].starts_with("LNURL_ADDRESS"));
}

#[test]
fn an_address_for_one_location_is_a_backend() {
    let all = ["alice@example.com", "alice_40example@com", "alice@example-com", "http://alice@127.0.0.1:1"];
    let names = all.map(|address| lnurl_backend(address, &env(&[])).unwrap().name);
    assert_eq!(
        names.each_ref().map(|name| lnurl_address_of(name)),
        all.map(|address| Some(address.to_owned()))
    );
    for other in
        ["default", "lnurl-tips", "lnurl-alice_4", "lnurl-alice_4Zexample", "lnurl-alice_40example.com"]
    {
        assert_eq!(lnurl_address_of(other), None, "{other}");
    }
    assert_eq!(names[0], "lnurl-alice_40example_2ecom");
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{name}");
    }
    let through = lnurl_backend("bob@abc.onion", &env(&[("SOCKS5_PROXY", "127.0.0.1:9050")])).unwrap();
    match through.config {
        BackendConfig::Lnurl(lnurl) => assert_eq!(lnurl.socks5_proxy.as_deref(), Some("127.0.0.1:9050")),
        other => panic!("{other:?}"),
    }
    assert!(lnurl_backend("bob@abc.onion", &env(&[])).is_err());
}

#[test]
fn all_that_is_wrong_with_a_block_is_named_at_once() {
    let pairs = [
        ("type", "lnd"),
        ("adress", "x"),
        ("address", "a b"),
        ("address", "again"),
        ("cert", "/gone"),
        ("timeout", "0"),
    ];
    let complaints = lines(named_backend("a.b", &pairs, &read).unwrap_err());
    let starts = [
        "l402_backend \"a.b\" is not valid; expected a name of",
        "adress of l402_backend a.b is not known; expected one of type, address, macaroon, cert, socks5_proxy, route_hints, timeout",
        "address of l402_backend a.b is written twice; expected",
        "address of l402_backend a.b \"a b\" is not valid; expected host",
        "macaroon of l402_backend a.b is missing; expected",
        "cert of l402_backend a.b \"/gone\" can't be read: no such file; expected",
        "timeout of l402_backend a.b \"0\" is not valid; expected a time",
    ];
    assert_eq!(complaints.len(), starts.len(), "{complaints:#?}");
    for (complaint, start) in complaints.iter().zip(starts) {
        assert!(complaint.starts_with(start), "{complaint}\n{start}");
    }
    let complaints = lines(named_backend::<&str, &str>("main", &[], &read).unwrap_err());
    assert_eq!(
        complaints,
        ["type of l402_backend main is missing; expected LND, LNC, CLN, BOLT12, ECLAIR, LNURL or NWC"]
    );
}

fn cln_of(pairs: &[(&str, &str)]) -> Result<BackendConfig, Vec<String>> {
    named_backend("main", pairs, &read).map(|backend| backend.config).map_err(lines)
}

#[test]
fn a_cln_by_its_socket_or_by_clnrest() {
    let path = "/home/cln/.lightning/bitcoin/lightning-rpc";
    let socket = ClnSettings::Socket { path: path.into() };
    assert_eq!(cln_of(&[("type", "cln"), ("rpc_file", path)]), Ok(BackendConfig::Cln(socket.clone())));
    let found = default_of(&[("LN_CLIENT_TYPE", "CLN"), ("CLN_LIGHTNING_RPC_FILE_PATH", path)]);
    assert_eq!(found.unwrap().unwrap().config, BackendConfig::Cln(socket));
    let rest = |certificate| {
        let rune = Secret::new(RUNE.to_owned());
        BackendConfig::Cln(ClnSettings::Rest { address: "10.0.0.5:3010".into(), rune, certificate })
    };
    let address = ("address", "https://10.0.0.5");
    assert_eq!(cln_of(&[("type", "CLN"), address, ("rune", RUNE)]), Ok(rest(None)));
    let keys = [("type", "cln"), address, ("rune", "/cln.rune"), ("cert", "/tls.cert")];
    assert_eq!(cln_of(&keys), Ok(rest(Some(PEM.to_vec()))));
}

#[test]
fn what_is_wrong_with_a_cln() {
    let rest = ("address", "10.0.0.5:3010");
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[], "rpc_file of l402_backend main is missing; expected the path of lightningd's socket"),
        (&[("rpc_file", "/run/rpc"), rest], "address of l402_backend main is set together with rpc_file of"),
        (&[("rpc_file", "rpc")], "rpc_file of l402_backend main \"rpc\" is not valid; expected the path"),
        (&[rest], "rune of l402_backend main is missing; expected a rune"),
        (&[rest, ("rune", "hunter2hunter2")], "rune of l402_backend main holds no rune; expected a rune"),
        (&[rest, ("rune", "/tls.cert")], "rune of l402_backend main holds no rune; expected a rune"),
        (
            &[rest, ("rune", RUNE), ("macaroon", "/m")],
            "macaroon of l402_backend main is no key of type CLN; expected one of type, rpc_file, address, rune, cert,",
        ),
    ];
    for (more, start) in cases {
        let complaints = cln_of(&[&[("type", "cln")], more].concat()).unwrap_err();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].starts_with(start), "{complaints:?}");
        assert!(!complaints[0].contains("hunter2"), "{complaints:?}");
    }
    let shown = format!("{:?}", cln_of(&[("type", "cln"), rest, ("rune", RUNE)]));
    assert!(shown.contains("[redacted]") && !shown.contains(RUNE), "{shown}");
}

#[test]
fn an_offer_of_a_cln() {
    let path = "/home/cln/.lightning/bitcoin/lightning-rpc";
    let offer = "lno1pgqpvggzqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpq";
    let keys = |offer| [("type", "bolt12"), ("rpc_file", path), ("offer", offer)];
    let cln = ClnSettings::Socket { path: path.into() };
    let expected = BackendConfig::Bolt12(Bolt12Settings { cln, offer: offer.to_owned() });
    let upper_case = offer.to_uppercase();
    let in_pieces = offer.replace("vgg", "v+ gg");
    for written in [offer, &upper_case, &in_pieces] {
        assert_eq!(cln_of(&keys(written)), Ok(expected.clone()), "{written}");
    }
    let odd = [
        offer.replace("lno", "lni"),
        "lno1".to_owned(),
        offer.replace("vgg", "vGg"),
        offer.replace("vgg", "vgb"),
        offer[..offer.len() - 5].to_owned(),
        "lno1qqqqqqqq".to_owned(),
    ];
    for odd in &odd {
        let complaints = cln_of(&keys(odd)).unwrap_err();
        assert!(complaints[0].starts_with("offer of l402_backend main"), "{complaints:?}");
    }
    let complaints = cln_of(&[("type", "bolt12")]).unwrap_err();
    assert_eq!(complaints.len(), 2, "{complaints:?}");
}
