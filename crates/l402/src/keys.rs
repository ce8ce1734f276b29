//! Root keys: what tokens are signed with, and the ring that lets them rotate with overlap.

use std::fmt;

use zeroize::Zeroize;

use crate::crypto::{hmac, sha256};
use crate::identifier::KeyId;

/// The least that `ROOT_KEY` or a key file must hold, in bytes.
pub const MIN_MATERIAL: usize = 32;

/// A key that mints and verifies tokens. A secret.
#[derive(Clone)]
pub struct RootKey {
    key: [u8; 32],
    /// What libmacaroons calls the derived key: the first HMAC of every chain starts from it.
    macaroon_key: [u8; 32],
    id: KeyId,
    reusable_only: bool,
}

impl RootKey {
    /// Derives a key from the operator's secret: HMAC-SHA256("ngx_l402 root key", material).
    ///
    /// # Errors
    /// The operator's fault: fewer than 32 bytes.
    pub fn from_material(material: &[u8]) -> Result<RootKey, ShortKey> {
        if material.len() < MIN_MATERIAL {
            return Err(ShortKey { bytes: material.len() });
        }
        Ok(RootKey::from_bytes(hmac(b"ngx_l402 root key", material)))
    }

    /// A key that is 32 bytes already, such as one that came in a frame.
    pub fn from_bytes(key: [u8; 32]) -> RootKey {
        let digest = sha256(&[b"ngx_l402 key id", &key]);
        RootKey {
            macaroon_key: hmac(b"macaroons-key-generator", &key),
            id: KeyId([digest[0], digest[1], digest[2], digest[3]]),
            key,
            reusable_only: false,
        }
    }

    /// The same key, for tokens without a number of uses only, or for all. After a restore from a backup nobody knows
    /// what was drawn from the others since.
    #[must_use]
    pub fn for_reusable_only(mut self, reusable_only: bool) -> RootKey {
        self.reusable_only = reusable_only;
        self
    }

    /// Is it good for tokens without a number of uses only?
    pub fn is_for_reusable_only(&self) -> bool {
        self.reusable_only
    }

    /// Its public name: the first 4 bytes of SHA256("ngx_l402 key id" ‖ key).
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8; 32] {
        &self.key
    }

    /// The key of the first HMAC of a macaroon's chain.
    pub(crate) fn macaroon_key(&self) -> &[u8; 32] {
        &self.macaroon_key
    }
}

impl Drop for RootKey {
    fn drop(&mut self) {
        self.key.zeroize();
        self.macaroon_key.zeroize();
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({}, redacted)", self.id)
    }
}

/// A root key's material is too short to be safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortKey {
    /// How many bytes there were.
    pub bytes: usize,
}

impl fmt::Display for ShortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a root key needs at least {MIN_MATERIAL} bytes, this one has {}", self.bytes)
    }
}

impl std::error::Error for ShortKey {}

/// The keys in force, newest first: the newest signs, all verify.
#[derive(Clone, Debug)]
pub struct KeyRing {
    keys: Vec<RootKey>,
    id: KeyRingId,
}

/// Tells one ring from any other: equal exactly if the keys are, in their order, and what they are good for. Tells nothing of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRingId([u8; 32]);

/// A ring without keys.
impl Default for KeyRing {
    fn default() -> Self {
        KeyRing::new(Vec::new())
    }
}

impl KeyRing {
    /// A ring of these keys, newest first.
    pub fn new(newest_first: Vec<RootKey>) -> KeyRing {
        let mut parts: Vec<&[u8]> = vec![b"ngx_l402 key ring"];
        for key in &newest_first {
            parts.extend([key.key.as_slice(), if key.reusable_only { b"reusable" } else { b"any" }]);
        }
        KeyRing { id: KeyRingId(sha256(&parts)), keys: newest_first }
    }

    /// The SHA-256 of all keys.
    pub fn id(&self) -> KeyRingId {
        self.id
    }

    /// The key that new tokens are signed with; `None` in an empty ring.
    pub fn signing(&self) -> Option<&RootKey> {
        self.keys.first()
    }

    /// The key of that name.
    pub fn find(&self, id: KeyId) -> Option<&RootKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// No key at all: nothing can be minted or verified.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
