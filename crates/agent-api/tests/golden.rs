//! Every frame against bytes written down field by field: a change of the wire shows here first, and
//! must come with another `PROTOCOL`.
#![allow(clippy::unwrap_used)]

use agent_api::{Fault, FromAgent, OLDEST, PROTOCOL, Proof, Rate, RingKey, Secret32, SecretText, ToAgent};
use std::path::Path;

const REQUEST: [u8; 16] = [0x77; 16];
const EXPIRES_AT: u64 = 1_893_456_000;

/// 00 01 02 … 1f
fn hash() -> [u8; 32] {
    std::array::from_fn(|at| at as u8)
}

/// Reads `tests/golden/<name>.hex`: hex at the start of a line, then a remark.
fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digits: String = text.lines().filter_map(|line| line.split('#').next()).map(str::trim).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn to_agent() -> Vec<(&'static str, ToAgent)> {
    let redemption = |id, proof, limit, draw| ToAgent::Redeem {
        id,
        request: REQUEST,
        backend: "main".into(),
        payment_hash: hash(),
        proof,
        limit,
        draw,
    };
    let redeem = |id, proof, limit| redemption(id, proof, limit, true);
    let rate = Rate { key: "look-up 12::".into(), limit: 2, window_s: 1 };
    let ask = |rate| ToAgent::Invoice {
        id: 7,
        backend: "default".into(),
        amount_msat: 10_000,
        description: "a report".into(),
        path: "/a".into(),
        rate,
    };
    vec![
        ("hello", ToAgent::Hello { protocol: PROTOCOL, pid: 4242 }),
        ("ask-invoice", ask(None)),
        ("ask-invoice-limited", ask(Some(Rate { key: "/a 12::".into(), limit: 5, window_s: 60 }))),
        ("redeem-preimage", redeem(8, Proof::Preimage(Secret32::new([0xaa; 32])), Some(3))),
        ("redeem-look-up", redeem(9, Proof::LookUp(None), None)),
        ("redeem-look-up-limited", redeem(9, Proof::LookUp(Some(rate)), Some(3))),
        ("redeem-known", redeem(9, Proof::Known, None)),
        ("redeem-head", redemption(8, Proof::Preimage(Secret32::new([0xaa; 32])), Some(3), false)),
        (
            "ask-ecash",
            ToAgent::Ecash {
                id: 14,
                backend: "default".into(),
                amount_msat: 10_000,
                path: "/paid".into(),
                terms: "path=/paid".into(),
                token: SecretText::new("cashuBo2F0".into()),
            },
        ),
        ("examine", ToAgent::Examine { id: 15, number: 1 }),
        ("cancel", ToAgent::Cancel { id: u64::MAX }),
    ]
}

fn from_agent() -> Vec<(&'static str, FromAgent)> {
    let keys: Vec<RingKey> = vec![Secret32::new([0xaa; 32]).into(), Secret32::new(hash()).into()];
    let mut restored = keys.clone();
    restored[1].reusable_only = true;
    let bolt11 = || "lnbcrt100n1p".to_owned();
    let failed = |fault, reason: &str| FromAgent::Failed { id: 13, fault, reason: reason.into() };
    let invoice = FromAgent::Invoice {
        id: 7,
        payment_hash: hash(),
        bolt11: bolt11(),
        nonce: [0x11; 28],
        expires_at: EXPIRES_AT,
        amount_msat: 10_000,
        ecash: "creqApaQx".into(),
        offer: String::new(),
    };
    let of_offer = FromAgent::Invoice {
        id: 7,
        payment_hash: hash(),
        bolt11: "lni1qq".into(),
        nonce: [0x11; 28],
        expires_at: EXPIRES_AT,
        amount_msat: 10_000,
        ecash: String::new(),
        offer: "lno1pp".into(),
    };
    let unsettled = |bolt11, offer: &str| FromAgent::Unsettled {
        id: 9,
        bolt11,
        expires_at: EXPIRES_AT,
        offer: offer.into(),
    };
    let paid = FromAgent::Paid {
        id: 14,
        payment_hash: hash(),
        preimage: Secret32::new([0xaa; 32]),
        nonce: [0x11; 28],
        paid_at: EXPIRES_AT,
    };
    vec![
        ("welcome", FromAgent::Welcome { protocol: PROTOCOL, instance: REQUEST, keys }),
        ("welcome-restored", FromAgent::Welcome { protocol: PROTOCOL, instance: REQUEST, keys: restored }),
        ("invoice", invoice),
        ("invoice-of-offer", of_offer),
        ("granted-limited", FromAgent::Granted { id: 8, remaining: Some(2) }),
        ("granted-unlimited", FromAgent::Granted { id: 8, remaining: None }),
        ("unsettled", unsettled(bolt11(), "")),
        ("unsettled-of-offer", unsettled("lni1qq".into(), "lno1pp")),
        ("used-up", FromAgent::UsedUp { id: 10 }),
        ("dead", FromAgent::Dead { id: 11 }),
        ("cannot-look-up", FromAgent::CannotLookUp { id: 12 }),
        ("paid", paid),
        (
            "ecash-refused",
            FromAgent::EcashRefused { id: 14, reason: "the ecash has been spent already".into() },
        ),
        ("no-ecash", FromAgent::NoEcash { id: 14 }),
        ("examined", FromAgent::Examined { id: 15, count: 2, report: "{}".into() }),
        ("failed-refused", failed(Fault::Refused, "no route")),
        ("failed-unavailable", failed(Fault::Unavailable { retry_after_s: 5 }, "connection refused")),
        ("failed-timed-out", failed(Fault::TimedOut, "")),
        ("failed-limited", failed(Fault::Limited { retry_after_s: 12 }, "")),
        ("failed-internal", failed(Fault::Internal, "disk full")),
    ]
}

#[test]
fn frames_to_the_agent_are_these_bytes() {
    for (name, frame) in to_agent() {
        let (mut bytes, expected) = (Vec::new(), golden(name));
        frame.encode(&mut bytes);
        assert_eq!(bytes, expected, "{name}");
        assert_eq!(ToAgent::decode(&expected), Ok(Some((frame, expected.len()))), "{name}");
    }
}

#[test]
fn frames_from_the_agent_are_these_bytes() {
    for (name, frame) in from_agent() {
        let (mut bytes, expected) = (Vec::new(), golden(name));
        frame.encode(&mut bytes);
        assert_eq!(bytes, expected, "{name}");
        assert_eq!(FromAgent::decode(&expected), Ok(Some((frame, expected.len()))), "{name}");
    }
}

/// What an l402d of the version before is sent: the same, and where it can't say so, what asks for no less.
#[test]
fn the_version_before_is_spoken() {
    for (name, frame) in to_agent() {
        let mut bytes = Vec::new();
        frame.encode_in(OLDEST, &mut bytes);
        let before = match name {
            "redeem-known" => golden("redeem-look-up"),
            "redeem-head" => golden("redeem-preimage"),
            "redeem-look-up-limited" => {
                let mut bytes = Vec::new();
                let ToAgent::Redeem { id, request, backend, payment_hash, limit, .. } = frame else {
                    panic!()
                };
                let proof = Proof::LookUp(None);
                ToAgent::Redeem { id, request, backend, payment_hash, proof, limit, draw: true }
                    .encode(&mut bytes);
                bytes
            }
            name => golden(name),
        };
        assert_eq!(bytes, before, "{name}");
    }
    for version in [OLDEST, PROTOCOL] {
        let mut bytes = Vec::new();
        let hello = ToAgent::Hello { protocol: version, pid: 1 };
        hello.encode(&mut bytes);
        assert_eq!(ToAgent::decode(&bytes), Ok(Some((hello, bytes.len()))));
    }
}

#[test]
fn every_golden_file_is_checked() {
    let checked: Vec<_> =
        to_agent().iter().map(|(name, _)| *name).chain(from_agent().iter().map(|(name, _)| *name)).collect();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(checked.contains(&name), "{name}.hex is in no list");
    }
}

/// The fuzz targets begin with these frames, each alone and all together. `UPDATE_SEEDS=1` writes them.
#[test]
fn the_fuzz_corpora_hold_these_frames() {
    let to_agent: Vec<_> = to_agent().into_iter().map(|(name, _)| name).collect();
    let from_agent: Vec<_> = from_agent().into_iter().map(|(name, _)| name).collect();
    for (target, names) in [("to_agent", to_agent), ("from_agent", from_agent)] {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let frames = names.iter().map(|name| (name.replace('-', "_"), golden(name)));
        let all = names.iter().flat_map(|name| golden(name)).collect();
        for (name, bytes) in frames.chain([("all".to_owned(), all)]) {
            let path = corpus.join(name);
            if std::env::var_os("UPDATE_SEEDS").is_some() {
                std::fs::write(&path, &bytes).unwrap();
            }
            let found = std::fs::read(&path).unwrap_or_default();
            assert_eq!(found, bytes, "{} is not current: run with UPDATE_SEEDS=1", path.display());
        }
    }
}
