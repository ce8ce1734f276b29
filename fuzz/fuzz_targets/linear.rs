//! Every parser of bytes from outside takes time linear in its input: twice as much of the same costs about twice the work.
//!
//! The input is a byte that says which parser, two that cut the rest in three, and the rest. The middle part is repeated, up to
//! a length and up to twice that length.
#![no_main]

use std::hint::black_box;
use std::path::Path;
use std::sync::LazyLock;

use agent_api::{FromAgent, ToAgent};
use gate::{Gate, Origin, Policy, Realm, Request, Uses, cache, is_grpc, target};
use l402::{
    Caveats, Credential, Found, Identifier, KeyRing, Macaroon, Preimage, RootKey, challenge, credential,
};
use l402_fuzz::loads;
use libfuzzer_sys::fuzz_target;
use lnc::{AuthData, PairingPhrase, gbn, mailbox, msg_data};
use settings::{AgentConfig, named_backend, value};

/// The length of the shorter one of two inputs.
const LENGTH: usize = 8192;

/// The cost that any input may have, however short: so many tokens are verified, each of so many caveats, and so on.
const ANY: u64 = 50_000;

/// The cost that a byte may have at any time, in loads and bytes looked at.
const PER_BYTE: u64 = 30;

/// Every parser, by number.
const PARSERS: [fn(&[u8]); 16] = [
    authorization,
    metadata,
    gate_of_both,
    ecash,
    macaroon,
    challenge_header,
    raw_target,
    caches,
    from_agent,
    to_agent,
    pairs,
    backend_block,
    values,
    lnc_text,
    lnc_frames,
    small,
];

fuzz_target!(|input: &[u8]| {
    let [which, first, second, text @ ..] = input else { return };
    let parse = PARSERS[usize::from(*which) % PARSERS.len()];
    let at = |byte: u8| text.len() * usize::from(byte) / 255;
    let (from, to) = (at(*first.min(second)), at(*first.max(second)));
    let (head, middle, tail) = (&text[..from], &text[from..to], &text[to..]);
    if middle.is_empty() || middle.len() > LENGTH {
        return;
    }
    let of_length = |length: usize| [head, &middle.repeat(length / middle.len()), tail].concat();
    let (short, long) = (of_length(LENGTH), of_length(2 * LENGTH));
    let [cost, double] = [&short, &long].map(|input| loads::of(|| parse(input)));
    let floor = ANY.max(PER_BYTE * short.len() as u64);
    assert!(
        double <= 9 * cost.max(floor) / 4,
        "{} bytes cost {cost}, {} cost {double}: {}",
        short.len(),
        long.len(),
        text.escape_ascii()
    );
});

fn authorization(bytes: &[u8]) {
    tokens(credential::parse(bytes));
}

fn metadata(bytes: &[u8]) {
    tokens(credential::parse_metadata(bytes));
}

/// The steps after the parsing of a header.
fn tokens(found: Found) {
    let Found::Tokens(tokens) = found else { return };
    for Credential { macaroon, .. } in tokens.into_iter().flatten() {
        verify(&macaroon);
    }
}

fn verify(macaroon: &Macaroon) {
    black_box(macaroon.verify_signature(&RootKey::from_bytes([1; 32])));
    let _ = black_box(Caveats::read(macaroon));
}

fn policy(realm: Option<&Realm>) -> Policy<'_> {
    Policy {
        origin: Origin { name: b"shop.example", names: None, port: None },
        realm,
        amount_msat: 1000,
        computed_price: true,
        timeout_s: 60,
        auto_detect: true,
        uses: Uses::Limited(3),
        backend: "default",
        description: "a path",
        location: "/",
        rate: None,
    }
}

static KEYS: LazyLock<KeyRing> = LazyLock::new(|| KeyRing::new(vec![RootKey::from_bytes([1; 32])]));

fn request(path: &[u8]) -> Request<'_> {
    Request {
        method: "GET",
        path,
        route: None,
        client: b"2001:db8::1",
        authorization: None,
        metadata_macaroon: None,
        ecash: None,
    }
}

/// The same text in both headers.
fn gate_of_both(bytes: &[u8]) {
    let request = Request { authorization: Some(bytes), metadata_macaroon: Some(bytes), ..request(b"/") };
    let _ = black_box(Gate::start(&policy(None), &request, &KEYS, 1000));
}

/// Ecash, the path and the client.
fn ecash(bytes: &[u8]) {
    let request = Request { ecash: Some(bytes), client: bytes, ..request(bytes) };
    let _ = black_box(Gate::start(&policy(None), &request, &KEYS, 1000));
    let request = Request { authorization: Some(bytes), route: Some(bytes), ..request };
    let _ = black_box(Gate::start(&policy(None), &request, &KEYS, 1000));
}

fn macaroon(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for read in [Macaroon::decode_v2(bytes), Macaroon::from_text(&text)].into_iter().flatten() {
        verify(&read);
    }
}

fn challenge_header(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = black_box(challenge::parse(&text));
    black_box(challenge::error_header(&text));
}

fn raw_target(bytes: &[u8]) {
    black_box((target::is_ambiguous(bytes), target::surplus_slashes(bytes)));
}

fn caches(bytes: &[u8]) {
    black_box(cache::private([bytes]));
    black_box(cache::private(bytes.split(|byte| *byte == b'\n')));
    black_box((cache::is_of_shared_caches(bytes), is_grpc(bytes)));
}

/// As it is, and as a frame of its length.
fn both_frames<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> T) {
    black_box(decode(bytes));
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    black_box(decode(&[&length.to_le_bytes(), bytes].concat()));
}

fn from_agent(bytes: &[u8]) {
    both_frames(bytes, FromAgent::decode);
}

fn to_agent(bytes: &[u8]) {
    both_frames(bytes, ToAgent::decode);
}

fn pairs(bytes: &[u8]) {
    let _ = black_box(AgentConfig::from_pairs(bytes));
}

fn backend_block(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let pairs: Vec<(&str, &str)> =
        text.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect();
    let read = |_: &Path| Ok(bytes.to_vec());
    let _ = black_box(named_backend("main", &pairs, &read));
}

fn values(bytes: &[u8]) {
    black_box((value::realm(&[bytes]), value::backend_name(bytes)));
    black_box((value::unix_socket(bytes), value::state_dir(bytes), value::origin(bytes)));
    let text = String::from_utf8_lossy(bytes);
    black_box((value::address(&text, 1), value::socks5(&text)));
}

fn lnc_text(bytes: &[u8]) {
    let _ = black_box(PairingPhrase::parse(&String::from_utf8_lossy(bytes)));
    let auth_data = AuthData::new(bytes.to_vec().into());
    auth_data.expose_metadata().for_each(|pair| drop(black_box(pair)));
}

fn lnc_frames(bytes: &[u8]) {
    let _ = black_box(mailbox::decode(bytes));
    let _ = black_box(msg_data::decode(bytes));
    let _ = black_box(gbn::Packet::decode(bytes));
}

fn small(bytes: &[u8]) {
    let _ = black_box(Identifier::decode(bytes));
    let text = String::from_utf8_lossy(bytes);
    let _ = black_box(Preimage::from_hex(&text));
    black_box(l402::caveat::encode_value(bytes));
}
