//! Macaroons as a holder or a forger handles them: the V2 binary form, read and written by code that
//! shares nothing with the product's.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const VERSION: u8 = 2;
const END: u8 = 0;
const LOCATION: u8 = 1;
const IDENTIFIER: u8 = 2;
const VERIFICATION: u8 = 4;
const SIGNATURE: u8 = 6;

/// One caveat; with a verification id it is for a third party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caveat {
    /// What it says.
    pub text: Vec<u8>,
    verification: Option<Vec<u8>>,
}

/// A macaroon, open for reading and tampering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macaroon {
    /// A hint, not signed.
    pub location: Option<Vec<u8>>,
    /// 66 bytes: version, payment hash, token id.
    pub identifier: Vec<u8>,
    /// In order.
    pub caveats: Vec<Caveat>,
    /// The end of the HMAC chain.
    pub signature: [u8; 32],
}

impl Macaroon {
    /// Reads the base64 of a challenge, which is standard and padded.
    pub fn from_base64(text: &str) -> Self {
        Self::decode(&BASE64.decode(text.as_bytes()).expect("padded base64"))
    }

    /// Reads the V2 binary form.
    pub fn decode(bytes: &[u8]) -> Self {
        let (version, mut rest) = bytes.split_first().expect("a macaroon");
        assert_eq!(*version, VERSION);
        let head = section(&mut rest);
        let mut caveats = Vec::new();
        loop {
            let fields = section(&mut rest);
            if fields.is_empty() {
                break;
            }
            let text = find(&fields, IDENTIFIER).expect("a caveat has an identifier");
            caveats.push(Caveat { text, verification: find(&fields, VERIFICATION) });
        }
        let (kind, signature) = field(&mut rest);
        assert_eq!((kind, rest.len()), (SIGNATURE, 0));
        Self {
            location: find(&head, LOCATION),
            identifier: find(&head, IDENTIFIER).expect("an identifier"),
            caveats,
            signature: signature.try_into().expect("32 bytes"),
        }
    }

    /// Writes the V2 binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        if let Some(location) = &self.location {
            put(&mut out, LOCATION, location);
        }
        put(&mut out, IDENTIFIER, &self.identifier);
        out.push(END);
        for caveat in &self.caveats {
            put(&mut out, IDENTIFIER, &caveat.text);
            if let Some(verification) = &caveat.verification {
                put(&mut out, VERIFICATION, verification);
            }
            out.push(END);
        }
        out.push(END);
        put(&mut out, SIGNATURE, &self.signature);
        out
    }

    /// Standard base64 with padding.
    pub fn base64(&self) -> String {
        BASE64.encode(&self.encode())
    }

    /// Lower-case hex, as in gRPC metadata.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.encode())
    }

    /// Adds a caveat as any holder can: the new signature follows from the old one.
    pub fn with(mut self, text: &str) -> Self {
        self.signature = hmac(&self.signature, text.as_bytes());
        self.caveats.push(Caveat { text: text.into(), verification: None });
        self
    }

    /// Adds a third-party caveat, rightly signed.
    pub fn with_third_party(mut self, text: &str) -> Self {
        let verification = vec![7; 56];
        let parts = [hmac(&self.signature, &verification), hmac(&self.signature, text.as_bytes())];
        self.signature = hmac(&self.signature, &parts.concat());
        self.caveats.push(Caveat { text: text.into(), verification: Some(verification) });
        self
    }

    /// The caveats as text.
    pub fn texts(&self) -> Vec<String> {
        self.caveats.iter().map(|caveat| String::from_utf8_lossy(&caveat.text).into_owned()).collect()
    }

    /// The payment hash in hex.
    pub fn payment_hash(&self) -> String {
        HEXLOWER.encode(&self.identifier[2..34])
    }

    /// The token id in hex.
    pub fn token_id(&self) -> String {
        HEXLOWER.encode(&self.identifier[34..66])
    }
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length of key");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

type Field = (u8, Vec<u8>);

/// The fields up to the next end mark.
fn section(rest: &mut &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while rest.first() != Some(&END) {
        fields.push(field(rest));
    }
    *rest = &rest[1..];
    fields
}

fn field(rest: &mut &[u8]) -> Field {
    let kind = varint(rest) as u8;
    let length = varint(rest);
    let (data, after) = rest.split_at(length);
    *rest = after;
    (kind, data.to_vec())
}

fn find(fields: &[Field], kind: u8) -> Option<Vec<u8>> {
    fields.iter().find(|(found, _)| *found == kind).map(|(_, data)| data.clone())
}

fn varint(rest: &mut &[u8]) -> usize {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, after) = rest.split_first().expect("a number");
        *rest = after;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn put(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    out.push(kind);
    let mut length = data.len();
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(data);
}
