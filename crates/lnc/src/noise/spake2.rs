//! SPAKE2's mask on the first ephemeral key: me = e + N·pw. Who doesn't know the phrase can't take it off.

use std::fmt;

use k256::elliptic_curve::ops::Reduce;
use k256::{FieldBytes, ProjectivePoint, Scalar};
use zeroize::{Zeroize, Zeroizing};

use crate::{PairingPhrase, PublicKey};

/// The point N; nobody knows its discrete logarithm.
const N: [u8; 33] = [
    0x02, 0x54, 0xa5, 0x8c, 0xd0, 0xf3, 0x1c, 0x00, 0x8f, 0xd0, 0xbc, 0x9b, 0x2d, 0xd5, 0xba, 0x58, 0x61,
    0x44, 0x93, 0x38, 0x29, 0xf6, 0xda, 0x33, 0xac, 0x41, 0x30, 0xb5, 0x55, 0xfb, 0x5e, 0xa3, 0x2c,
];

/// log2 of scrypt's cost: 64 MiB and about 150 ms.
const SCRYPT_LOG_N: u8 = 16;

/// The mask N·pw of one phrase. A secret; deriving it takes scrypt's time, so it is made once and kept.
#[derive(Clone)]
pub struct Mask(Zeroizing<ProjectivePoint>);

impl Mask {
    /// Stretches the phrase: pw = scrypt(entropy, salt = entropy, N = 65536, r = 8, p = 1), 32 bytes, as a scalar.
    pub fn new(phrase: &PairingPhrase) -> Mask {
        let stretched = stretch(phrase);
        let mut bytes = FieldBytes::from(*stretched);
        let pw = Zeroizing::new(<Scalar as Reduce<FieldBytes>>::reduce(&bytes));
        bytes.zeroize();
        let Ok(n) = PublicKey::from_bytes(&N) else { unreachable!("N is a point") };
        Mask(Zeroizing::new(n.0.to_projective() * *pw))
    }

    /// e + N·pw; `None` if that is the point at infinity.
    pub(super) fn put_on(&self, key: &PublicKey) -> Option<PublicKey> {
        point(key.0.to_projective() + *self.0)
    }

    /// me − N·pw; `None` if that is the point at infinity.
    pub(super) fn take_off(&self, masked: &PublicKey) -> Option<PublicKey> {
        point(masked.0.to_projective() - *self.0)
    }
}

/// Shows nothing of it.
impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(redacted)")
    }
}

fn stretch(phrase: &PairingPhrase) -> Zeroizing<[u8; 32]> {
    let entropy = phrase.expose_entropy();
    let mut stretched = Zeroizing::new([0; 32]);
    let done = scrypt::Params::new(SCRYPT_LOG_N, 8, 1)
        .ok()
        .and_then(|params| scrypt::scrypt(entropy, entropy, &params, stretched.as_mut_slice()).ok());
    if done.is_none() {
        unreachable!("the parameters and the length are in scrypt's range");
    }
    stretched
}

fn point(point: ProjectivePoint) -> Option<PublicKey> {
    k256::PublicKey::from_affine(point.to_affine()).ok().map(PublicKey)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::SecretKey;

    #[test]
    fn what_is_put_on_comes_off() {
        let mask = Mask::new(&PairingPhrase::from_entropy([7; 14]));
        let key = SecretKey::generate().unwrap().public_key();
        let masked = mask.put_on(&key).unwrap();
        assert_ne!(masked, key);
        assert_eq!(mask.take_off(&masked).unwrap(), key);
    }

    #[test]
    fn nothing_left_is_no_key() {
        let mask = Mask::new(&PairingPhrase::from_entropy([7; 14]));
        let own = point(*mask.0).unwrap();
        assert_eq!(mask.take_off(&own), None);
    }
}
