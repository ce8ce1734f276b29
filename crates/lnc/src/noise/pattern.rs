//! The two patterns as data, and the versions of the handshake.

/// How the two sides agreed to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The auth data travels in 500 fixed bytes; each connection is a pairing.
    V0,
    /// The auth data has its length before it; each connection is a pairing.
    V1,
    /// As version 1; after the first pairing both sides know each other and use KK.
    V2,
}

impl Version {
    /// The byte that opens each act.
    pub const fn to_byte(self) -> u8 {
        match self {
            Version::V0 => 0,
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }

    /// From the byte that opens an act; `None` for versions that we don't know.
    pub const fn from_byte(byte: u8) -> Option<Version> {
        match byte {
            0 => Some(Version::V0),
            1 => Some(Version::V1),
            2 => Some(Version::V2),
            _ => None,
        }
    }
}

/// One step of an act (Noise, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The ephemeral key.
    E,
    /// The ephemeral key under SPAKE2's mask; the key without it is what is hashed.
    MaskedE,
    /// The static key, encrypted.
    S,
    /// Ephemeral with ephemeral.
    Ee,
    /// The initiator's ephemeral key with the responder's static one.
    Es,
    /// The initiator's static key with the responder's ephemeral one.
    Se,
    /// Static with static.
    Ss,
}

/// A handshake: its name and its acts. Acts 1 and 3 are the initiator's, act 2 the responder's.
pub(super) struct Pattern {
    pub(super) protocol: &'static str,
    pub(super) acts: &'static [&'static [Token]],
    /// The oldest version that may speak it.
    pub(super) oldest: Version,
    /// Whether both static keys are known before, and mixed in: the initiator's first.
    pub(super) keys_known: bool,
}

use Token::{E, Ee, Es, MaskedE, S, Se, Ss};

/// `-> me; <- e, ee, s, es; -> s, se`
pub(super) const XX: Pattern = Pattern {
    protocol: "Noise_XXeke+SPAKE2_secp256k1_ChaChaPoly_SHA256",
    acts: &[&[MaskedE], &[E, Ee, S, Es], &[S, Se]],
    oldest: Version::V0,
    keys_known: false,
};

/// `-> s; <- s; …; -> e, es, ss; <- e, ee, se`
pub(super) const KK: Pattern = Pattern {
    protocol: "Noise_KK_secp256k1_ChaChaPoly_SHA256",
    acts: &[&[E, Es, Ss], &[E, Ee, Se]],
    oldest: Version::V2,
    keys_known: true,
};

/// The act, from 0, that carries the auth data.
pub(super) const AUTH_ACT: usize = 1;
