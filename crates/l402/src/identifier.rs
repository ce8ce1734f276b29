//! The macaroon identifier of L402 (macaroon-spec, "Version 0 Format"): version, payment hash, token id.

use std::fmt;

use crate::payment::PaymentHash;
use crate::text;

/// Length of an encoded identifier: `u16 ‖ [32] ‖ [32]`.
pub const IDENTIFIER_LEN: usize = 66;

/// What a token's macaroon is minted for: 66 bytes, integers big-endian, as Aperture writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identifier {
    /// Of the identifier's format; 0 is the only one there is.
    pub version: u16,
    /// The invoice that pays for the token.
    pub payment_hash: PaymentHash,
    /// Names the token, and the key it was signed with.
    pub token_id: TokenId,
}

impl Identifier {
    /// A version 0 identifier.
    pub fn new(payment_hash: PaymentHash, token_id: TokenId) -> Identifier {
        Identifier { version: 0, payment_hash, token_id }
    }

    /// The 66 bytes.
    pub fn encode(&self) -> [u8; IDENTIFIER_LEN] {
        let mut out = [0; IDENTIFIER_LEN];
        out[..2].copy_from_slice(&self.version.to_be_bytes());
        out[2..34].copy_from_slice(&self.payment_hash.0);
        out[34..].copy_from_slice(&self.token_id.0);
        out
    }

    /// Reads the 66 bytes.
    ///
    /// # Errors
    /// The client's fault: another length or another version; this macaroon is no L402 token.
    pub fn decode(bytes: &[u8]) -> Result<Identifier, IdentifierError> {
        let bytes: &[u8; IDENTIFIER_LEN] = bytes.try_into().map_err(|_| IdentifierError::Length)?;
        let mut payment_hash = [0; 32];
        let mut token_id = [0; 32];
        payment_hash.copy_from_slice(&bytes[2..34]);
        token_id.copy_from_slice(&bytes[34..]);
        match u16::from_be_bytes([bytes[0], bytes[1]]) {
            0 => Ok(Identifier::new(PaymentHash(payment_hash), TokenId(token_id))),
            _ => Err(IdentifierError::Version),
        }
    }
}

/// Why an identifier is not one of an L402 token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierError {
    /// It isn't 66 bytes long.
    Length,
    /// It names another version than 0.
    Version,
}

impl fmt::Display for IdentifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdentifierError::Length => "the macaroon's identifier is not that of an L402 token",
            IdentifierError::Version => "the macaroon's identifier has an unknown version; 0 is known",
        })
    }
}

impl std::error::Error for IdentifierError {}

/// Names one token. Its first 4 bytes name the root key that signed it, the other 28 are random.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId(pub [u8; 32]);

impl TokenId {
    /// A token id for a token signed with the key `key`; `nonce` is random.
    pub fn new(key: KeyId, nonce: [u8; 28]) -> TokenId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&key.0);
        id[4..].copy_from_slice(&nonce);
        TokenId(id)
    }

    /// The root key that signed it, if it is one of ours.
    pub fn key_id(&self) -> KeyId {
        KeyId([self.0[0], self.0[1], self.0[2], self.0[3]])
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::hex(&self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

/// Names a root key without telling anything of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}
