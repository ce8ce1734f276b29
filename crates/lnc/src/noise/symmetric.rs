//! Noise's SymmetricState and its cipher (revision 34, sections 5.1 and 5.2).

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of an authentication tag.
pub(crate) const TAG_LEN: usize = 16;

/// The prologue that both sides mix in.
const PROLOGUE: &[u8] = b"lightning-node-connect";

/// What both sides have hashed and derived so far.
pub(super) struct Symmetric {
    chaining_key: Zeroizing<[u8; 32]>,
    hash: [u8; 32],
    key: Zeroizing<[u8; 32]>,
    nonce: u64,
}

impl Symmetric {
    /// Starts with the protocol's name and the prologue. Unlike Noise, what is encrypted before the first key is mixed
    /// in is encrypted under the key of all zeros.
    pub(super) fn new(protocol: &str) -> Symmetric {
        let hash: [u8; 32] = Sha256::digest(protocol).into();
        let mut symmetric =
            Symmetric { chaining_key: Zeroizing::new(hash), hash, key: Zeroizing::default(), nonce: 0 };
        symmetric.mix_hash(PROLOGUE);
        symmetric
    }

    pub(super) fn mix_hash(&mut self, data: &[u8]) {
        self.hash = Sha256::new().chain_update(self.hash).chain_update(data).finalize().into();
    }

    pub(super) fn mix_key(&mut self, input: &[u8; 32]) {
        (self.chaining_key, self.key) = derive(&self.chaining_key, input);
        self.nonce = 0;
    }

    pub(super) fn encrypt_and_hash(&mut self, plain: &[u8]) -> Result<Vec<u8>, AeadFailed> {
        let sealed = seal(&self.key, self.nonce, &self.hash, plain)?;
        self.nonce += 1;
        self.mix_hash(&sealed);
        Ok(sealed)
    }

    pub(super) fn decrypt_and_hash(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, AeadFailed> {
        let plain = open(&self.key, self.nonce, &self.hash, sealed)?;
        self.nonce += 1;
        self.mix_hash(sealed);
        Ok(plain)
    }

    /// The chaining key, and the keys of both directions: initiator to responder first.
    pub(super) fn split(&self) -> Split {
        let (to_responder, to_initiator) = derive(&self.chaining_key, &[]);
        Split { chaining_key: self.chaining_key.clone(), to_responder, to_initiator }
    }
}

/// Keys for the transport.
pub(super) struct Split {
    pub(super) chaining_key: Zeroizing<[u8; 32]>,
    pub(super) to_responder: Zeroizing<[u8; 32]>,
    pub(super) to_initiator: Zeroizing<[u8; 32]>,
}

/// HKDF with two outputs.
pub(crate) fn derive(salt: &[u8; 32], input: &[u8]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let mut both = Zeroizing::new([0; 64]);
    if Hkdf::<Sha256>::new(Some(salt), input).expand(&[], both.as_mut_slice()).is_err() {
        unreachable!("HKDF-SHA256 gives up to 8160 bytes");
    }
    let (mut first, mut second) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    first.copy_from_slice(&both[..32]);
    second.copy_from_slice(&both[32..]);
    (first, second)
}

/// A ciphertext that is not what the other side encrypted, or a text too long to encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AeadFailed;

/// ChaCha20-Poly1305; the nonce is four zero bytes and the counter, little-endian.
pub(crate) fn seal(key: &[u8; 32], nonce: u64, aad: &[u8], msg: &[u8]) -> Result<Vec<u8>, AeadFailed> {
    cipher(key).encrypt(&nonce_bytes(nonce), Payload { msg, aad }).map_err(|_| AeadFailed)
}

/// The reverse of [`seal`].
pub(crate) fn open(
    key: &[u8; 32],
    nonce: u64,
    aad: &[u8],
    msg: &[u8],
) -> Result<Zeroizing<Vec<u8>>, AeadFailed> {
    let plain = cipher(key).decrypt(&nonce_bytes(nonce), Payload { msg, aad });
    plain.map(Zeroizing::new).map_err(|_| AeadFailed)
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.into())
}

fn nonce_bytes(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    bytes.into()
}
