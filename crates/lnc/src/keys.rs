//! Keys on secp256k1, and the shared secret of two of them.

use std::fmt;

use k256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a secret key.
pub const SECRET_KEY_LEN: usize = 32;

/// Bytes of a public key, compressed.
pub const PUBLIC_KEY_LEN: usize = 33;

/// A secret key; wiped when dropped.
#[derive(Clone)]
pub struct SecretKey(k256::SecretKey);

impl SecretKey {
    /// A new one from the system's generator.
    ///
    /// # Errors
    /// The system's: it has no randomness to give.
    pub fn generate() -> Result<SecretKey, KeyError> {
        let mut bytes = Zeroizing::new([0; SECRET_KEY_LEN]);
        loop {
            getrandom::fill(bytes.as_mut_slice()).map_err(|_| KeyError::NoRandomness)?;
            // All but one in 2^127 are keys.
            if let Ok(key) = SecretKey::from_bytes(&bytes) {
                return Ok(key);
            }
        }
    }

    /// From its bytes, big-endian.
    ///
    /// # Errors
    /// Zero, or not below the order of the curve.
    pub fn from_bytes(bytes: &[u8; SECRET_KEY_LEN]) -> Result<SecretKey, KeyError> {
        k256::SecretKey::from_slice(bytes).map(SecretKey).map_err(|_| KeyError::Secret)
    }

    /// The bytes, big-endian. A secret.
    pub fn expose(&self) -> Zeroizing<[u8; SECRET_KEY_LEN]> {
        let mut bytes = self.0.to_bytes();
        let kept = Zeroizing::new(bytes.into());
        bytes.zeroize();
        kept
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.public_key())
    }

    /// SHA-256 of the shared point, compressed.
    pub fn diffie_hellman(&self, other: &PublicKey) -> Zeroizing<[u8; 32]> {
        let point = other.0.to_projective() * *self.0.to_nonzero_scalar();
        // Neither factor is zero and the order is prime, so that the product is a point.
        let shared = point.to_affine().to_sec1_point(true);
        Zeroizing::new(Sha256::digest(shared.as_bytes()).into())
    }
}

/// Shows nothing of it.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub(crate) k256::PublicKey);

impl PublicKey {
    /// From its compressed form.
    ///
    /// # Errors
    /// Another length or form, or no point of the curve.
    pub fn from_bytes(bytes: &[u8]) -> Result<PublicKey, KeyError> {
        if bytes.len() != PUBLIC_KEY_LEN {
            return Err(KeyError::Public);
        }
        k256::PublicKey::from_sec1_bytes(bytes).map(PublicKey).map_err(|_| KeyError::Public)
    }

    /// The compressed form.
    pub fn to_bytes(&self) -> [u8; PUBLIC_KEY_LEN] {
        let point = self.0.to_sec1_point(true);
        let mut bytes = [0; PUBLIC_KEY_LEN];
        bytes.copy_from_slice(point.as_bytes());
        bytes
    }
}

/// Lower-case hex.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", data_encoding::HEXLOWER.encode(&self.to_bytes()))
    }
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a secret key of secp256k1.
    #[error("not a secret key of secp256k1")]
    Secret,
    /// Not a compressed public key of secp256k1.
    #[error("not a compressed public key of secp256k1")]
    Public,
    /// The system's generator failed.
    #[error("the system has no random bytes to give")]
    NoRandomness,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_sides_derive_the_same() {
        let (a, b) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        assert_eq!(a.diffie_hellman(&b.public_key()), b.diffie_hellman(&a.public_key()));
        assert_eq!(PublicKey::from_bytes(&a.public_key().to_bytes()).unwrap(), a.public_key());
    }

    #[test]
    fn what_is_no_key() {
        assert_eq!(SecretKey::from_bytes(&[0; 32]).unwrap_err(), KeyError::Secret);
        assert_eq!(SecretKey::from_bytes(&[0xff; 32]).unwrap_err(), KeyError::Secret);
        for bytes in [&[0; 33][..], &[2; 32][..], &[5; 33][..], &[4; 65][..], &[0; 1][..]] {
            assert_eq!(PublicKey::from_bytes(bytes).unwrap_err(), KeyError::Public);
        }
    }

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        assert_eq!(format!("{:?}", SecretKey::from_bytes(&[0x11; 32]).unwrap()), "SecretKey(redacted)");
    }
}
