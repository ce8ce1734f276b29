//! What a payment is known by: its hash, the preimage that proves it, its amount.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::crypto::sha256;
use crate::text;

/// SHA-256 of the preimage (BOLT 4): public, printed in every invoice, never a proof of anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PaymentHash(pub [u8; 32]);

impl fmt::Display for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::hex(&self.0))
    }
}

impl fmt::Debug for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaymentHash({self})")
    }
}

/// A payment hash is written as 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPaymentHash;

impl fmt::Display for NotAPaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payment hash is 32 bytes of hex")
    }
}

impl std::error::Error for NotAPaymentHash {}

impl FromStr for PaymentHash {
    type Err = NotAPaymentHash;

    fn from_str(text: &str) -> Result<Self, NotAPaymentHash> {
        text::unhex32(text.as_bytes()).map(PaymentHash).ok_or(NotAPaymentHash)
    }
}

/// The 32 bytes whose SHA-256 is the payment hash: whoever knows them has paid. A secret.
#[derive(Clone)]
pub struct Preimage([u8; 32]);

impl Preimage {
    /// Takes the 32 bytes as they are.
    pub fn from_bytes(bytes: [u8; 32]) -> Preimage {
        Preimage(bytes)
    }

    /// Reads 64 hex digits of either case.
    ///
    /// # Errors
    /// The client's fault, or its wallet's: not hex, or of another length.
    pub fn from_hex(hex: &str) -> Result<Preimage, PreimageError> {
        if let Some(bytes) = text::unhex32(hex.as_bytes()) {
            return Ok(Preimage(bytes));
        }
        let mut bytes = text::unhex(hex.as_bytes()).ok_or(PreimageError::NotHex)?;
        let error = PreimageError::WrongLength { bytes: bytes.len() };
        bytes.zeroize();
        Err(error)
    }

    /// The hash that this preimage proves paid.
    pub fn payment_hash(&self) -> PaymentHash {
        PaymentHash(sha256(&[&self.0]))
    }

    /// Does it prove a payment to `hash`? Constant time.
    pub fn matches(&self, hash: &PaymentHash) -> bool {
        self.payment_hash().0.ct_eq(&hash.0).into()
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The secret as 64 hex digits, for the one header a client sends it in.
    pub fn expose_hex(&self) -> String {
        text::hex(&self.0)
    }
}

impl PartialEq for Preimage {
    fn eq(&self, other: &Preimage) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Preimage {}

impl Drop for Preimage {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Preimage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preimage(redacted)")
    }
}

/// Why a text is no preimage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreimageError {
    /// Other characters than hex digits, or an odd number of them.
    NotHex,
    /// Hex, but not of 32 bytes; some wallets return 48.
    WrongLength {
        /// How many bytes the hex stood for.
        bytes: usize,
    },
}

impl fmt::Display for PreimageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PreimageError::NotHex => {
                f.write_str("a preimage is 32 bytes of hex; what this wallet returned is not hex")
            }
            PreimageError::WrongLength { bytes } => {
                write!(f, "a preimage is 32 bytes of hex; this wallet returned {bytes}")
            }
        }
    }
}

impl std::error::Error for PreimageError {}

/// An amount in thousandths of a satoshi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Msat(pub u64);

impl fmt::Display for Msat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msat", self.0)
    }
}
