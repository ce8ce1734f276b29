//! Macaroons: an identifier and caveats under a chain of HMACs.
//!
//! Anyone who holds one can append a caveat and so narrow it; nobody without the root key can take one away.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::crypto::hmac;
use crate::identifier::Identifier;
use crate::keys::RootKey;
use crate::{text, v2};

/// The longest macaroon that is read, in bytes of its binary form.
pub const MAX_BYTES: usize = 4096;
/// The most caveats that are read.
pub const MAX_CAVEATS: usize = 32;

/// A macaroon. Its signature, and so the whole of it, admits its bearer once paid for; `Debug` leaves both the
/// signature and the caveats (one may be a preimage) out.
#[derive(Clone, PartialEq, Eq)]
pub struct Macaroon {
    /// A hint of where it comes from; not signed.
    pub location: String,
    /// For an L402 token an encoded [`Identifier`].
    pub identifier: Vec<u8>,
    /// In the order they were added.
    pub caveats: Vec<Caveat>,
    /// The last HMAC of the chain.
    pub signature: [u8; 32],
}

/// One restriction.
#[derive(Clone, PartialEq, Eq)]
pub enum Caveat {
    /// Checked by whoever verifies the macaroon.
    FirstParty(Vec<u8>),
    /// Discharged by someone else's macaroon. Read so that it can be refused by name; L402 has no use for it.
    ThirdParty {
        /// Whoever can discharge it.
        location: String,
        /// What that party is to check.
        id: Vec<u8>,
        /// The discharge's root key, encrypted.
        verification_id: Vec<u8>,
    },
}

impl Macaroon {
    /// Mints a token.
    pub fn mint<C: Into<String>>(
        root: &RootKey,
        identifier: &Identifier,
        location: &str,
        caveats: impl IntoIterator<Item = C>,
    ) -> Macaroon {
        let identifier = identifier.encode();
        let caveats = caveats.into_iter();
        let mut macaroon = Macaroon {
            location: location.to_owned(),
            signature: hmac(root.macaroon_key(), &identifier),
            identifier: identifier.to_vec(),
            caveats: Vec::with_capacity(caveats.size_hint().0),
        };
        for caveat in caveats {
            macaroon.add_first_party(caveat);
        }
        macaroon
    }

    /// Narrows it by one caveat; needs no key.
    pub fn add_first_party(&mut self, caveat: impl Into<String>) {
        self.add(Caveat::FirstParty(caveat.into().into_bytes()));
    }

    /// Appends any caveat; needs no key. Tokens with a third-party caveat are refused.
    pub fn add(&mut self, caveat: Caveat) {
        self.signature = caveat.chain(&self.signature);
        self.caveats.push(caveat);
    }

    /// Was it minted with `root` and only narrowed since? Constant time in the signature.
    pub fn verify_signature(&self, root: &RootKey) -> bool {
        let start = hmac(root.macaroon_key(), &self.identifier);
        let end = self.caveats.iter().fold(start, |signature, caveat| caveat.chain(&signature));
        end.ct_eq(&self.signature).into()
    }

    /// The first-party caveats that are text, in their order.
    pub fn first_party_texts(&self) -> Vec<&str> {
        let texts = self.caveats.iter().filter_map(|caveat| match caveat {
            Caveat::FirstParty(id) => std::str::from_utf8(id).ok(),
            Caveat::ThirdParty { .. } => None,
        });
        texts.collect()
    }

    /// The V2 binary form.
    pub fn encode_v2(&self) -> Vec<u8> {
        v2::encode(self)
    }

    /// Reads the V2 binary form, strictly.
    ///
    /// # Errors
    /// The client's fault: malformed, longer than [`MAX_BYTES`], more caveats than [`MAX_CAVEATS`].
    pub fn decode_v2(bytes: &[u8]) -> Result<Macaroon, MacaroonError> {
        v2::decode(bytes)
    }

    /// The text form that is sent: standard base64, padded, of the V2 binary form, as Aperture does.
    pub fn to_base64(&self) -> String {
        text::base64(&self.encode_v2())
    }

    /// Reads base64 (standard or URL-safe, padded or not) or hex of the V2 binary form.
    ///
    /// Hex is told from base64 by its first two characters: a V2 macaroon begins with byte 2, which is `02` in
    /// hex and `A` with one of `g`…`v` in base64.
    ///
    /// # Errors
    /// The client's fault: neither base64 nor hex, or what [`Macaroon::decode_v2`] refuses.
    pub fn from_text(text: &str) -> Result<Macaroon, MacaroonError> {
        let text = text.trim_ascii().as_bytes();
        if text.len() > 2 * MAX_BYTES {
            return Err(MacaroonError::TooLong);
        }
        let bytes = match text {
            [b'0', b'2', ..] => text::unhex(text),
            _ => text::unbase64(text),
        };
        Macaroon::decode_v2(&bytes.ok_or(MacaroonError::NotBase64)?)
    }
}

impl Caveat {
    /// The next HMAC of the chain.
    fn chain(&self, signature: &[u8; 32]) -> [u8; 32] {
        match self {
            Caveat::FirstParty(id) => hmac(signature, id),
            Caveat::ThirdParty { id, verification_id, .. } => {
                let pair = [hmac(signature, verification_id), hmac(signature, id)].concat();
                hmac(signature, &pair)
            }
        }
    }
}

impl fmt::Debug for Macaroon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Macaroon({}, {} caveats, redacted)", text::hex(&self.identifier), self.caveats.len())
    }
}

impl fmt::Debug for Caveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Caveat::FirstParty(_) => "FirstParty(redacted)",
            Caveat::ThirdParty { .. } => "ThirdParty(redacted)",
        })
    }
}

/// Why bytes or text are no macaroon. Always the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacaroonError {
    /// The text is neither base64 nor hex.
    NotBase64,
    /// It doesn't begin with the version byte 2.
    Version,
    /// A field is missing, doubled, out of order, cut off or of the wrong length.
    Malformed,
    /// Something follows the signature.
    TrailingBytes,
    /// Longer than [`MAX_BYTES`].
    TooLong,
    /// More than [`MAX_CAVEATS`].
    TooManyCaveats,
}

impl fmt::Display for MacaroonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MacaroonError::NotBase64 => f.write_str("the macaroon is neither base64 nor hex"),
            MacaroonError::Version => f.write_str("the macaroon is not in the version 2 binary format"),
            MacaroonError::Malformed => f.write_str("the macaroon is damaged or incomplete"),
            MacaroonError::TrailingBytes => f.write_str("bytes follow the macaroon's end"),
            MacaroonError::TooLong => write!(f, "the macaroon is longer than {MAX_BYTES} bytes"),
            MacaroonError::TooManyCaveats => write!(f, "the macaroon has more than {MAX_CAVEATS} caveats"),
        }
    }
}

impl std::error::Error for MacaroonError {}
