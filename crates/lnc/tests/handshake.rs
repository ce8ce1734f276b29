//! Handshakes that must fail, and what they say.
#![allow(clippy::unwrap_used)]

use lnc::noise::{Handshake, HandshakeError, Mask, Setup, Turn, Version};
use lnc::{PairingPhrase, SecretKey};

fn setup() -> Setup {
    Setup { local: SecretKey::generate().unwrap(), ephemeral: SecretKey::generate().unwrap() }
}

fn mask(byte: u8) -> Mask {
    Mask::new(&PairingPhrase::from_entropy([byte; 14]))
}

#[test]
fn sizes_of_the_acts() {
    for (version, act_2) in [(Version::V0, 599), (Version::V1, 119 + 7), (Version::V2, 119 + 7)] {
        let mask = mask(1);
        let mut client = Handshake::pair(setup(), &mask);
        let mut node = Handshake::accept_pairing(setup(), &mask, version, b"K: auth");
        let act = client.write().unwrap();
        assert_eq!((act.len(), act[0]), (50, 0), "the client says its oldest version");
        node.read(&act).unwrap();
        let act = node.write().unwrap();
        assert_eq!((act.len(), act[0]), (act_2, version.to_byte()));
        client.read(&act).unwrap();
        assert_eq!(client.version(), Some(version), "the client adopts the node's");
        let act = client.write().unwrap();
        assert_eq!((act.len(), act[0]), (66, version.to_byte()));
        node.read(&act).unwrap();
        assert_eq!((client.turn(), node.turn()), (Turn::Over, Turn::Over));
        assert_eq!(client.finish().unwrap().auth_data.as_slice(), b"K: auth");
    }
}

#[test]
fn another_phrase() {
    let mut client = Handshake::pair(setup(), &mask(1));
    let mut node = Handshake::accept_pairing(setup(), &mask(2), Version::V2, b"");
    assert_eq!(node.read(&client.write().unwrap()), Err(HandshakeError::Decrypt));
    assert_eq!(node.turn(), Turn::Failed);
    assert_eq!(node.write(), Err(HandshakeError::Turn), "nothing comes of it any more");
}

#[test]
fn another_static_key() {
    let (client, node) = (setup(), setup());
    let stranger = SecretKey::generate().unwrap().public_key();
    let mut client = Handshake::resume(client, node.local.public_key());
    let mut node = Handshake::accept_resumed(node, stranger, b"");
    assert_eq!(node.read(&client.write().unwrap()), Err(HandshakeError::Decrypt));
}

#[test]
fn versions_that_may_not_be() {
    let mask = mask(1);
    let mut act = Handshake::pair(setup(), &mask).write().unwrap();
    act[0] = 3;
    let mut node = Handshake::accept_pairing(setup(), &mask, Version::V2, b"");
    assert_eq!(node.read(&act), Err(HandshakeError::Version(3)));

    let (client, node) = (setup(), setup());
    let key = client.local.public_key();
    let mut act = Handshake::resume(client, node.local.public_key()).write().unwrap();
    act[0] = 1;
    assert_eq!(Handshake::accept_resumed(node, key, b"").read(&act), Err(HandshakeError::Version(1)));
}

#[test]
fn every_damaged_byte_and_length_is_noticed() {
    let mask = mask(1);
    let act_1 = Handshake::pair(setup(), &mask).write().unwrap();
    let read = |act: &[u8]| Handshake::accept_pairing(setup(), &mask, Version::V2, b"").read(act);
    for at in 0..act_1.len() {
        let mut act = act_1.clone();
        act[at] ^= 0x10;
        assert!(read(&act).is_err(), "byte {at}");
        assert!(read(&act_1[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(read(&[act_1.as_slice(), &[0]].concat()), Err(HandshakeError::Length));

    let mut act = [[0; 1].as_slice(), &[0xff; 33], &act_1[34..]].concat();
    assert_eq!(read(&act), Err(HandshakeError::Key));
    act.truncate(20);
    assert_eq!(read(&act), Err(HandshakeError::Length));
}

#[test]
fn nothing_secret_is_shown() {
    let secret = SecretKey::from_bytes(&[0xab; 32]).unwrap();
    let setup = Setup { local: secret.clone(), ephemeral: secret };
    let shown = format!("{setup:?} {:?} {:?}", mask(1), Handshake::pair(setup_of(0xab), &mask(1)));
    for needle in ["abab", "171", "Scalar", "Point"] {
        assert!(!shown.contains(needle), "{needle}: {shown}");
    }
}

fn setup_of(byte: u8) -> Setup {
    let key = SecretKey::from_bytes(&[byte; 32]).unwrap();
    Setup { local: key.clone(), ephemeral: key }
}
