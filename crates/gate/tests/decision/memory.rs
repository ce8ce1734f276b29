//! What is remembered makes it faster and changes nothing: the same steps with and without, for any sequence of requests.

use std::hash::RandomState;

use gate::{Memory, Policy};
use l402::RootKey;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// One request and the world that it meets.
#[derive(Clone, Debug)]
struct Arrival {
    server: &'static str,
    realm: Option<&'static str>,
    shared: bool,
    path: &'static str,
    method: &'static str,
    amount_msat: u64,
    auto_detect: bool,
    /// Which of three keys are in force, newest first.
    ring: Vec<u8>,
    now: u64,
    header: Option<String>,
    metadata: Option<String>,
}

const PATHS: [&str; 3] = ["/paid", "/other", "/a b%"];

fn root(number: u8) -> RootKey {
    RootKey::from_bytes([number; 32])
}

/// A token as minted for a request or a realm, and perhaps narrowed by its holder.
fn any_token() -> impl Strategy<Value = String> {
    let sold = prop_oneof![
        4 => (select(&PATHS[..2]), select(&["GET", "POST"][..])).prop_map(|(path, method)| {
            vec!["origin=example.com".to_owned(), format!("path={path}"), format!("method={method}")]
        }),
        1 => Just(vec!["origin=example.com".to_owned(), "path=/a%20b%25".to_owned(), "method=GET".to_owned()]),
        1 => Just(vec!["origin=example.com".to_owned(), "realm=gold".to_owned()]),
        1 => Just(vec!["realm=gold".to_owned()]),
    ];
    let until = prop_oneof![2 => Just(None), 2 => (0u64..6).prop_map(|after| Some(NOW + after))];
    let uses = prop_oneof![5 => Just("unlimited"), 1 => Just("1")];
    let more = select(
        &[
            "",
            "",
            "",
            "amount_msat=2",
            "amount_msat=5",
            "valid_until=1800000002",
            "uses=3",
            "path=/paid",
            "method=GET",
            "what=ever",
        ][..],
    );
    let proof = prop_oneof![6 => Just(1), 1 => Just(0), 1 => Just(2)];
    (sold, until, uses, more, 1u8..4, proof, 0u8..4).prop_map(|(sold, until, uses, more, by, proof, form)| {
        let until = until.map(|at| format!("valid_until={at}"));
        let uses = format!("uses={uses}");
        let minted = sold.into_iter().chain(until).chain([uses]);
        let caveats: Vec<String> = minted.chain((!more.is_empty()).then(|| more.to_owned())).collect();
        let identifier = Identifier::new(hash(), TokenId::new(root(by).id(), [9; 28]));
        let mac = Macaroon::mint(&root(by), &identifier, "l402", caveats).to_base64();
        let pre = match proof {
            0 => String::new(),
            1 => preimage().expose_hex(),
            _ => "00".repeat(32),
        };
        match form {
            0 | 1 => format!("{mac}:{pre}"),
            2 => format!(r#"token="{mac}", preimage="{pre}""#),
            _ => format!("LSAT {}:{}", mac.trim_end_matches('='), pre.to_uppercase()),
        }
    })
}

fn any_header(pool: Vec<String>) -> impl Strategy<Value = Option<String>> {
    let tokens = vec(select(pool.clone()), 1..3);
    prop_oneof![
        1 => Just(None),
        10 => select(pool).prop_map(|token| Some(format!("L402 {token}"))),
        3 => tokens.prop_map(|tokens| Some(format!("L402 {}", tokens.join(", ")))),
    ]
}

fn any_arrival(pool: Vec<String>) -> impl Strategy<Value = Arrival> {
    let place = (
        prop_oneof![5 => Just("example.com"), 1 => Just("other.com")],
        prop_oneof![3 => Just(None), 2 => Just(Some("gold")), 1 => Just(Some("silver"))],
        any::<bool>(),
        prop_oneof![4 => Just(PATHS[0]), 1 => Just(PATHS[1]), 1 => Just(PATHS[2])],
        prop_oneof![4 => Just("GET"), 1 => Just("HEAD"), 1 => Just("POST")],
    );
    let rings = vec![vec![1], vec![1], vec![1, 2], vec![2, 1], vec![2], vec![3, 2, 1], vec![]];
    let world = (0u64..8, any::<bool>(), select(rings), 0u64..8);
    let headers = (any_header(pool.clone()), prop_oneof![4 => Just(None), 1 => select(pool).prop_map(Some)]);
    (place, world, headers).prop_map(|(place, world, (header, metadata))| {
        let (server, realm, shared, path, method) = place;
        let (amount_msat, auto_detect, ring, after) = world;
        let now = NOW + after;
        Arrival { server, realm, shared, path, method, amount_msat, auto_detect, ring, now, header, metadata }
    })
}

fn any_arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    vec(any_token(), 1..4).prop_flat_map(|pool| vec(any_arrival(pool), 1..24))
}

impl Arrival {
    fn step(&self, memory: Option<&mut Memory>) -> Step {
        let realm = self.realm.map(|name| realm(name, self.shared));
        let policy = Policy {
            origin: shop(self.server),
            realm: realm.as_ref(),
            amount_msat: self.amount_msat,
            auto_detect: self.auto_detect,
            ..reusable()
        };
        let request = Request {
            method: self.method,
            path: self.path.as_bytes(),
            route: None,
            client: b"192.0.2.1",
            authorization: self.header.as_deref().map(str::as_bytes),
            metadata_macaroon: self.metadata.as_deref().map(str::as_bytes),
            ecash: None,
        };
        let keys = KeyRing::new(self.ring.iter().map(|number| root(*number)).collect());
        match memory {
            Some(memory) => Gate::start_remembering(&policy, &request, &keys, self.now, memory).1,
            None => Gate::start(&policy, &request, &keys, self.now).1,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_memory_changes_no_step(arrivals in any_arrivals(), room in select(&[1usize, 8, 64][..])) {
        let mut memory = Memory::new(room, RandomState::new());
        for (number, arrival) in arrivals.iter().enumerate() {
            let (with, without) = (arrival.step(Some(&mut memory)), arrival.step(None));
            prop_assert_eq!(format!("{:?}", with), format!("{:?}", without), "request {}", number);
        }
    }
}

/// A memory that holds the token of `header`, and nothing else.
fn remembering(header: &str) -> Memory {
    let mut memory = Memory::new(8, RandomState::new());
    granted(with(&mut memory, &reusable(), &request(Some(header)), &keys(), NOW));
    assert_eq!(format!("{memory:?}"), "Memory(1 credentials, redacted)");
    memory
}

fn with(memory: &mut Memory, policy: &Policy<'_>, request: &Request<'_>, keys: &KeyRing, now: u64) -> Step {
    Gate::start_remembering(policy, request, keys, now, memory).1
}

#[test]
fn a_removed_key_ends_what_is_remembered() {
    let header = paid(&MANY);
    let mut memory = remembering(&header);
    let others = KeyRing::new(vec![root(2)]);
    let step = with(&mut memory, &reusable(), &request(Some(&header)), &others, NOW);
    assert!(is_invoice_question(&asked(step)));
    // And where the key comes back, the token is verified anew.
    granted(with(&mut memory, &reusable(), &request(Some(&header)), &keys(), NOW));
}

#[test]
fn expiry_place_and_price_are_looked_at_each_time() {
    let until = format!("valid_until={}", NOW + 5);
    let header = paid(&[
        "origin=example.com",
        "path=/paid",
        "method=GET",
        &until,
        "uses=unlimited",
        "amount_msat=10000",
    ]);
    let mut memory = remembering(&header);
    let mut try_it =
        |policy: &Policy<'_>, request: &Request<'_>, now| with(&mut memory, policy, request, &keys(), now);
    let same = request(Some(&header));
    granted(try_it(&reusable(), &same, NOW + 5));
    assert!(is_invoice_question(&asked(try_it(&reusable(), &same, NOW + 6))));
    let dear = Policy { amount_msat: 10_001, ..reusable() };
    assert!(is_invoice_question(&asked(try_it(&dear, &same, NOW))));
    let free = Policy { amount_msat: 0, ..reusable() };
    assert_eq!(answered(try_it(&free, &same, NOW)).status, 500);
    for (server, path, method) in
        [("other.com", "/paid", "GET"), ("example.com", "/paid/", "GET"), ("example.com", "/paid", "POST")]
    {
        let policy = Policy { origin: shop(server), ..reusable() };
        let elsewhere = Request { path: path.as_bytes(), method, ..request(Some(&header)) };
        let question = asked(try_it(&policy, &elsewhere, NOW));
        assert!(is_invoice_question(&question), "{server} {path} {method}");
    }
    granted(try_it(&reusable(), &same, NOW));
}

#[test]
fn one_other_byte_is_another_credential() {
    let header = paid(&MANY);
    let mut memory = remembering(&header);
    for index in 0..header.len() {
        let mut other = header.clone().into_bytes();
        other[index] = if other[index] == b'x' { b'y' } else { b'x' };
        let changed = Request { authorization: Some(&other), ..request(None) };
        let remembered = with(&mut memory, &reusable(), &changed, &keys(), NOW);
        let fresh = Gate::start(&reusable(), &changed, &keys(), NOW).1;
        assert_eq!(format!("{remembered:?}"), format!("{fresh:?}"), "byte {index}");
    }
}

#[test]
fn what_is_counted_or_looked_up_is_never_remembered() {
    let mut memory = Memory::new(8, RandomState::new());
    let detect = Policy { auto_detect: true, ..reusable() };
    let alone = format!("L402 {}", macaroon(&MANY).to_base64());
    for (policy, header) in [(policy(), paid(&SINGLE)), (detect, alone)] {
        let (mut gate, step) =
            Gate::start_remembering(&policy, &request(Some(&header)), &keys(), NOW, &mut memory);
        asked(step);
        granted(gate.resume(Answer::Granted { remaining: None }, &keys(), NOW));
        asked(with(&mut memory, &policy, &request(Some(&header)), &keys(), NOW));
    }
    assert_eq!(format!("{memory:?}"), "Memory(0 credentials, redacted)");
}

#[test]
fn the_memory_is_bounded_and_the_longest_unused_makes_room() {
    let mut memory = Memory::new(8, RandomState::new());
    let header_of = |number: usize| format!("L402 {}{}", " ".repeat(number), &paid(&MANY)[5..]);
    for number in 0..20 {
        let header = header_of(number);
        granted(with(&mut memory, &reusable(), &request(Some(&header)), &keys(), NOW));
    }
    assert_eq!(format!("{memory:?}"), "Memory(8 credentials, redacted)");
    let mut empty = Memory::new(8, RandomState::new());
    let long = header_of(1000);
    granted(with(&mut empty, &reusable(), &request(Some(&long)), &keys(), NOW));
    assert_eq!(format!("{empty:?}"), "Memory(0 credentials, redacted)");
}

/// A credential is remembered if it takes no more than 1 KiB, which usual ones do not.
#[test]
fn each_credential_takes_a_bounded_room() {
    let remembers = |path: usize| {
        let path = format!("/{}", "p".repeat(path - 1));
        let caveats = [
            "origin=shop.example:8443",
            &format!("path={path}"),
            "method=GET",
            "valid_until=1800000000",
            "uses=unlimited",
        ];
        let mut memory = Memory::new(8, RandomState::new());
        let policy =
            Policy { origin: Origin { name: b"shop.example", names: None, port: Some(8443) }, ..reusable() };
        let header = paid(&caveats);
        let request = Request { path: path.as_bytes(), ..request(Some(&header)) };
        granted(with(&mut memory, &policy, &request, &keys(), NOW));
        format!("{memory:?}") == "Memory(1 credentials, redacted)"
    };
    assert!(remembers(1) && remembers(100));
    assert!(!remembers(400));
}

/// What a token in the metadata was granted says nothing of the token in `Authorization` beside it.
#[test]
fn a_grant_by_metadata_is_not_remembered_for_the_header_beside_it() {
    let elsewhere = paid(&["origin=example.com", "path=/other", "method=GET", "uses=unlimited"]);
    let good = paid(&MANY);
    let both = Request { metadata_macaroon: Some(good.as_bytes()), ..request(Some(&elsewhere)) };
    let mut memory = Memory::new(8, RandomState::new());
    granted(Gate::start_remembering(&reusable(), &both, &keys(), NOW, &mut memory).1);
    let alone = request(Some(&elsewhere));
    let (_, step) = Gate::start_remembering(&reusable(), &alone, &keys(), NOW, &mut memory);
    assert!(is_invoice_question(&asked(step)));
}
