//! A whole exchange between both sides of this crate, from fixed keys: what the vectors hold.

use data_encoding::HEXLOWER;
use lnc::noise::{Established, Handshake, Mask, Setup, Turn, Version};
use lnc::{AuthData, PairingPhrase, SecretKey, StreamId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// SPAKE2's point, compressed.
pub const N: &str = "0254a58cd0f31c008fd0bc9b2dd5ba586144933829f6da33ac4130b555fb5ea32c";

/// Messages that the initiator sends in a row: past two key rotations.
const MESSAGES: u32 = 1100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    XxV0,
    XxV1,
    XxV2,
    Kk,
}

pub struct Exchange {
    pattern: Pattern,
    acts: Vec<Vec<u8>>,
    /// The initiator's, with the auth data that it received.
    initiator: Established,
    responder: Established,
    sid_before: StreamId,
    sid_after: StreamId,
}

pub fn key_of(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

impl Exchange {
    /// Static keys of 11…, 22…; ephemeral ones of 33…, 44….
    pub fn run(pattern: Pattern, phrase: &PairingPhrase, auth_data: &[u8]) -> Exchange {
        let initiator = || Setup { local: key_of(0x11), ephemeral: key_of(0x33) };
        let responder = || Setup { local: key_of(0x22), ephemeral: key_of(0x44) };
        let mask = Mask::new(phrase);
        let pair = |version| {
            let accept = Handshake::accept_pairing(responder(), &mask, version, auth_data);
            (Handshake::pair(initiator(), &mask), accept)
        };
        let (mut i, mut r) = match pattern {
            Pattern::XxV0 => pair(Version::V0),
            Pattern::XxV1 => pair(Version::V1),
            Pattern::XxV2 => pair(Version::V2),
            Pattern::Kk => (
                Handshake::resume(initiator(), key_of(0x22).public_key()),
                Handshake::accept_resumed(responder(), key_of(0x11).public_key(), auth_data),
            ),
        };
        let mut acts = Vec::new();
        while i.turn() != Turn::Over || r.turn() != Turn::Over {
            let (from, to) = if i.turn() == Turn::Write { (&mut i, &mut r) } else { (&mut r, &mut i) };
            let act = from.write().unwrap();
            to.read(&act).unwrap();
            acts.push(act);
        }
        let (initiator, responder) = (i.finish().unwrap(), r.finish().unwrap());
        assert_eq!(initiator.remote, key_of(0x22).public_key());
        assert_eq!(responder.remote, key_of(0x11).public_key());
        let paired = StreamId::paired(&key_of(0x11), &initiator.remote);
        assert_eq!(paired, StreamId::paired(&key_of(0x22), &responder.remote));
        let sid_before = if pattern == Pattern::Kk { paired.clone() } else { phrase.stream_id() };
        let sid_after = if initiator.version == Version::V2 { paired } else { phrase.stream_id() };
        Exchange { pattern, acts, initiator, responder, sid_before, sid_after }
    }

    /// Exchanges messages as well, each of them read by the other side, and tells everything.
    pub fn tell(mut self) -> Value {
        let mut sent = Vec::new();
        let mut digest = Sha256::new();
        for number in 0..MESSAGES {
            let text = match number {
                0 => "hello".to_owned(),
                1 => "world".to_owned(),
                _ => format!("msg-{number}"),
            };
            let (header, body) = self.initiator.sealer.seal(text.as_bytes()).unwrap();
            let message = [header, body].concat();
            let mut read = Vec::new();
            self.responder.opener.open(&message, &mut read).unwrap();
            assert_eq!(read, text.as_bytes());
            if number >= 2 {
                digest.update(&message);
            }
            sent.push(message);
        }
        let (header, body) = self.responder.sealer.seal(b"olleh").unwrap();
        let olleh = [header, body].concat();
        let mut read = Vec::new();
        // However it was cut.
        for byte in &olleh {
            self.initiator.opener.open(&[*byte], &mut read).unwrap();
        }
        assert_eq!(read, b"olleh");

        let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
        let acts: Value =
            (1..).zip(&self.acts).map(|(n, act)| (format!("act{n}"), json!(hex(act)))).collect();
        let auth_data = AuthData::new(self.initiator.auth_data.clone());
        assert_eq!(auth_data.expose_macaroon(), Some("0201036c6e640258"));
        json!({
            "pattern": format!("{:?}", self.pattern),
            "acts": acts,
            "received_auth_data": String::from_utf8(self.initiator.auth_data.to_vec()).unwrap(),
            "i2r_hello": hex(&sent[0]),
            "i2r_world": hex(&sent[1]),
            "i2r_msg-1099": hex(&sent[1099]),
            "sha256_i2r_msgs_2_1099": hex(&digest.finalize()),
            "r2i_olleh": hex(&olleh),
            "sid_before": hex(self.sid_before.expose()),
            "sid_after": hex(self.sid_after.expose()),
        })
    }
}
