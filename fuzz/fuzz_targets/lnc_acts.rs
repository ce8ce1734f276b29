//! Acts of both handshakes, to either side, and messages after them.
#![no_main]

use std::sync::LazyLock;

// Counts loads, as all that is built for fuzzing does.
use l402_fuzz as _;
use libfuzzer_sys::fuzz_target;
use lnc::noise::{Handshake, Mask, Setup, Turn, Version};
use lnc::{PairingPhrase, SecretKey};

/// What the corpus's genuine acts carry too: with the same keys, one of other data would be as good as ours.
const AUTH_DATA: &[u8] = b"Macaroon: 0201036c6e640258";

/// Stretching takes its time, so it is done once.
static MASK: LazyLock<Mask> = LazyLock::new(|| Mask::new(&PairingPhrase::from_entropy([7; 14])));

fn setup(local: u8, ephemeral: u8) -> Setup {
    let key = |byte| SecretKey::from_bytes(&[byte; 32]).expect("a key");
    Setup { local: key(local), ephemeral: key(ephemeral) }
}

fn client() -> Setup {
    setup(0x11, 0x33)
}

fn node() -> Setup {
    setup(0x22, 0x44)
}

/// Both sides of a handshake.
fn both(kind: u8) -> (Handshake, Handshake) {
    match kind {
        0..=2 => {
            let version = Version::from_byte(kind).expect("a version");
            (Handshake::pair(client(), &MASK), Handshake::accept_pairing(node(), &MASK, version, AUTH_DATA))
        }
        _ => (
            Handshake::resume(client(), node().local.public_key()),
            Handshake::accept_resumed(node(), client().local.public_key(), AUTH_DATA),
        ),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [kind, step, act @ ..] = bytes else { return };
    let (mut client, mut node) = both(kind % 4);
    // So many acts are genuine; the next one is the input's.
    for _ in 0..step % 4 {
        let (from, to) =
            if client.turn() == Turn::Write { (&mut client, &mut node) } else { (&mut node, &mut client) };
        if from.turn() != Turn::Write {
            break;
        }
        let genuine = from.write().expect("its turn");
        to.read(&genuine).expect("a genuine act");
    }
    if client.turn() == Turn::Over && node.turn() == Turn::Over {
        let (client, mut node) = (client.finish().expect("over"), node.finish().expect("over"));
        assert_eq!(client.auth_data.as_slice(), AUTH_DATA);
        let (mut opener, mut text) = (client.opener, Vec::new());
        // Whoever doesn't have the keys can't say anything.
        if opener.open(act, &mut text).is_ok() {
            assert!(text.is_empty());
        }
        let (header, body) = node.sealer.seal(&act[..act.len().min(1000)]).expect("short enough");
        assert_eq!((header.len(), body.len()), (18, act.len().min(1000) + 16));
        return;
    }
    let (from, to) =
        if client.turn() == Turn::Write { (&mut client, &mut node) } else { (&mut node, &mut client) };
    let genuine = from.write().expect("its turn");
    match to.read(act) {
        // The version is not authenticated; whoever changes it gains nothing but a handshake that fails later.
        Ok(()) => assert_eq!(act[1..], genuine[1..], "nobody else can write this act"),
        Err(error) => {
            assert_eq!(to.turn(), Turn::Failed);
            assert!(!error.to_string().is_empty());
        }
    }
});
