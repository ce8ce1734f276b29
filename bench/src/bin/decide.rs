//! One decision again and again, for a tool that counts instructions: `decide KIND TIMES`, as `scripts/instructions.sh`
//! runs it. Kinds: `one` (the same token), `many` (10 000 in turns), `fresh` (nothing remembered), `challenge`.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a figure that can't be measured says by a panic why")]

use std::hash::RandomState;
use std::hint::black_box;
use std::process::ExitCode;

use gate::{Answer, Gate, Memory, Origin, PaymentHash, Policy, Request, Step, Uses};
use l402::{Identifier, KeyRing, Macaroon, Preimage, RootKey, TokenId};

const NOW: u64 = 1_800_000_000;

/// As many as a worker remembers.
const REMEMBERED: usize = 4096;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_default();
    let times = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(0);
    let keys = KeyRing::new(vec![RootKey::from_bytes([1; 32])]);
    match kind.as_str() {
        "one" => present(&keys, 1, times, Some(&mut Memory::new(REMEMBERED, RandomState::new()))),
        "many" => present(&keys, 10_000, times, Some(&mut Memory::new(REMEMBERED, RandomState::new()))),
        "fresh" => present(&keys, 1, times, None),
        "challenge" => challenge(&keys, times),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

fn policy() -> Policy<'static> {
    Policy {
        origin: Origin { name: b"example.com", names: None, port: None },
        realm: None,
        amount_msat: 10_000,
        computed_price: false,
        timeout_s: 3600,
        auto_detect: false,
        uses: Uses::Unlimited,
        backend: "default",
        description: "Access to example.com/paid/1k",
        location: "example.com/paid/",
        rate: None,
    }
}

fn request(authorization: Option<&str>) -> Request<'_> {
    let authorization = authorization.map(str::as_bytes);
    Request {
        method: "GET",
        path: b"/paid/1k",
        route: None,
        client: b"127.0.0.1",
        authorization,
        metadata_macaroon: None,
        ecash: None,
    }
}

fn credential(keys: &KeyRing, number: u64) -> String {
    let root = keys.signing().expect("a key");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    let preimage = Preimage::from_bytes(bytes);
    let mut nonce = [0; 28];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    let identifier = Identifier::new(preimage.payment_hash(), TokenId::new(root.id(), nonce));
    let until = format!("valid_until={}", NOW + 3600);
    let caveats = ["origin=example.com", "path=/paid/1k", "method=GET", &until, "uses=unlimited"];
    let token = Macaroon::mint(root, &identifier, "l402", caveats);
    format!("L402 {}:{}", token.to_base64(), preimage.expose_hex())
}

fn present(keys: &KeyRing, tokens: u64, times: usize, mut memory: Option<&mut Memory>) {
    let headers: Vec<String> = (0..tokens).map(|number| credential(keys, number)).collect();
    for header in headers.iter().cycle().take(times) {
        let request = request(Some(header));
        let (gate, step) = match memory.as_mut() {
            Some(memory) => Gate::start_remembering(&policy(), &request, keys, NOW, memory),
            None => Gate::start(&policy(), &request, keys, NOW),
        };
        assert!(matches!(step, Step::Grant(_)), "{step:?}");
        black_box(gate);
    }
}

fn challenge(keys: &KeyRing, times: usize) {
    let bolt11 = format!("lnbcrt100n1{}", "q".repeat(280));
    for _ in 0..times {
        let (mut gate, step) = Gate::start(&policy(), &request(None), keys, NOW);
        assert!(matches!(step, Step::Ask(_)), "{step:?}");
        let answer = Answer::Invoice {
            payment_hash: PaymentHash([3; 32]),
            bolt11: bolt11.clone(),
            nonce: [9; 28],
            expires_at: NOW + 600,
            amount_msat: 10_000,
            ecash: String::new(),
            offer: String::new(),
        };
        black_box(gate.resume(answer, keys, NOW));
    }
}
