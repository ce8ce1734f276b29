//! Messages once the handshake is done: an encrypted length of 18 bytes, then the encrypted text.
//!
//! Each direction counts its own nonces, two a message, and replaces its key whenever the count reaches 1000.

use std::fmt;

use zeroize::Zeroizing;

use crate::noise::symmetric::{AeadFailed, TAG_LEN, derive, open, seal};

/// Bytes of the encrypted length before each text.
pub const HEADER_LEN: usize = 2 + TAG_LEN;

/// The longest text of one message, bytes.
pub const MAX_TEXT: usize = u16::MAX as usize;

/// Uses of a key before it is replaced.
const ROTATE_AT: u64 = 1000;

/// A key of one direction, with its count.
struct Ratchet {
    key: Zeroizing<[u8; 32]>,
    salt: Zeroizing<[u8; 32]>,
    nonce: u64,
}

impl Ratchet {
    fn new(key: &[u8; 32], salt: &[u8; 32]) -> Ratchet {
        Ratchet { key: Zeroizing::new(*key), salt: Zeroizing::new(*salt), nonce: 0 }
    }

    fn seal(&mut self, text: &[u8]) -> Result<Vec<u8>, AeadFailed> {
        let sealed = seal(&self.key, self.nonce, &[], text)?;
        self.advance();
        Ok(sealed)
    }

    fn open(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, AeadFailed> {
        let text = open(&self.key, self.nonce, &[], sealed)?;
        self.advance();
        Ok(text)
    }

    fn advance(&mut self) {
        self.nonce += 1;
        if self.nonce == ROTATE_AT {
            (self.salt, self.key) = derive(&self.salt, self.key.as_slice());
            self.nonce = 0;
        }
    }
}

/// Encrypts what we send.
pub struct Sealer(Ratchet);

impl Sealer {
    pub(crate) fn new(key: &[u8; 32], salt: &[u8; 32]) -> Sealer {
        Sealer(Ratchet::new(key, salt))
    }

    /// One message: the header, and the body of 16 bytes more than `text` has. They travel one after the other.
    ///
    /// # Errors
    /// `text` is longer than [`MAX_TEXT`].
    pub fn seal(&mut self, text: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CipherError> {
        let length = u16::try_from(text.len()).map_err(|_| CipherError::TooLong)?;
        let header = self.0.seal(&length.to_be_bytes())?;
        Ok((header, self.0.seal(text)?))
    }
}

/// Decrypts what we receive, however it was cut.
pub struct Opener {
    ratchet: Ratchet,
    /// What has come of the header or body that is next.
    pending: Vec<u8>,
    /// Length of the body that is next; `None` while the header is.
    body: Option<usize>,
}

impl Opener {
    pub(crate) fn new(key: &[u8; 32], salt: &[u8; 32]) -> Opener {
        Opener { ratchet: Ratchet::new(key, salt), pending: Vec::new(), body: None }
    }

    /// Takes bytes of the stream, and appends to `text` what they complete.
    ///
    /// # Errors
    /// They are not what the other side encrypted. Nothing more can be read.
    pub fn open(&mut self, mut bytes: &[u8], text: &mut Vec<u8>) -> Result<(), CipherError> {
        while !bytes.is_empty() {
            let wanted = self.body.unwrap_or(HEADER_LEN);
            let (taken, rest) = bytes.split_at(bytes.len().min(wanted - self.pending.len()));
            self.pending.extend_from_slice(taken);
            bytes = rest;
            if self.pending.len() < wanted {
                break;
            }
            let plain = self.ratchet.open(&self.pending)?;
            self.pending.clear();
            self.body = match self.body {
                None => Some(usize::from(u16::from_be_bytes([plain[0], plain[1]])) + TAG_LEN),
                Some(_) => {
                    text.extend_from_slice(&plain);
                    None
                }
            };
        }
        Ok(())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(redacted)")
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(redacted)")
    }
}

/// Why a message can't be sent or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// Not what the other side encrypted.
    #[error("a message is damaged or was not encrypted by the other side")]
    Damaged,
    /// The caller's: it has to be cut.
    #[error("a message has at most {MAX_TEXT} bytes")]
    TooLong,
}

impl From<AeadFailed> for CipherError {
    fn from(_: AeadFailed) -> Self {
        CipherError::Damaged
    }
}
