//! Macaroons as LND makes and checks them: real ones, whose identifier lists what they permit.
//!
//! Identifier: the byte 3, then protobuf of nonce, root key id and operations (`macaroon-bakery`'s version 3).
//! The texts of the errors, all of gRPC code 2 (unknown), are those that LND v0.20 sends.

use hmac::{Hmac, KeyInit, Mac};
use l402::keys::RootKey;
use l402::macaroon::{Macaroon, MacaroonError};
use prost::Message;
use sha2::Sha256;
use tonic::metadata::MetadataMap;

use crate::method::Permission;
use crate::world::random;

/// `macaroon-bakery`'s version of the identifier.
const BAKERY_VERSION: u8 = 3;

/// LND's id of its only root key unless told otherwise.
const ROOT_KEY_ID: &[u8] = b"0";

/// The macaroon files that a node makes for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// `admin.macaroon`: everything.
    Admin,
    /// `invoice.macaroon`: invoices and addresses; it can't even ask for the state of the node.
    Invoice,
    /// `readonly.macaroon`: whatever changes nothing.
    Readonly,
}

impl Permit {
    /// Every macaroon file.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Invoice, Self::Readonly];

    /// The name of its file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Admin => "admin.macaroon",
            Self::Invoice => "invoice.macaroon",
            Self::Readonly => "readonly.macaroon",
        }
    }

    /// What it permits, sorted, one row an entity (`readPermissions` and its like in LND).
    fn operations(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Admin => &[
                ("address", &["read", "write"]),
                ("info", &["read", "write"]),
                ("invoices", &["read", "write"]),
                ("macaroon", &["generate", "read", "write"]),
                ("message", &["read", "write"]),
                ("offchain", &["read", "write"]),
                ("onchain", &["read", "write"]),
                ("peers", &["read", "write"]),
                ("signer", &["generate", "read"]),
            ],
            Self::Invoice => {
                &[("address", &["read", "write"]), ("invoices", &["read", "write"]), ("onchain", &["read"])]
            }
            Self::Readonly => &[
                ("address", &["read"]),
                ("info", &["read"]),
                ("invoices", &["read"]),
                ("macaroon", &["read"]),
                ("message", &["read"]),
                ("offchain", &["read"]),
                ("onchain", &["read"]),
                ("peers", &["read"]),
                ("signer", &["read"]),
            ],
        }
    }
}

/// `macaroonpb.MacaroonId`
#[derive(Clone, PartialEq, prost::Message)]
struct MacaroonId {
    #[prost(bytes = "vec", tag = "1")]
    nonce: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    storage_id: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    ops: Vec<Op>,
}

/// `macaroonpb.Op`
#[derive(Clone, PartialEq, prost::Message)]
struct Op {
    #[prost(string, tag = "1")]
    entity: String,
    #[prost(string, repeated, tag = "2")]
    actions: Vec<String>,
}

/// Mints and checks the macaroons of one node.
pub(crate) struct Oven {
    key: [u8; 32],
    root: RootKey,
}

impl Oven {
    /// An oven with this root key.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key, root: RootKey::from_bytes(key) }
    }

    /// The bytes of a new macaroon file.
    pub(crate) fn mint(&self, permit: Permit) -> Result<Vec<u8>, getrandom::Error> {
        let id = MacaroonId {
            nonce: random::<16>()?.to_vec(),
            storage_id: ROOT_KEY_ID.to_vec(),
            ops: permit
                .operations()
                .iter()
                .map(|(entity, actions)| Op {
                    entity: (*entity).to_owned(),
                    actions: actions.iter().map(|action| (*action).to_owned()).collect(),
                })
                .collect(),
        };
        let mut identifier = vec![BAKERY_VERSION];
        identifier.extend(id.encode_to_vec());
        let signature = hmac(&hmac(b"macaroons-key-generator", &self.key), &identifier);
        let macaroon = Macaroon { location: "lnd".to_owned(), identifier, caveats: Vec::new(), signature };
        Ok(macaroon.encode_v2())
    }

    /// Whether the `macaroon` of a call's metadata permits `needed`.
    pub(crate) fn check(&self, metadata: &MetadataMap, needed: Permission) -> Result<(), PermitError> {
        let given: Vec<_> = metadata.get_all("macaroon").iter().collect();
        let [only] = given.as_slice() else { return Err(PermitError::Count(given.len())) };
        let bytes = unhex(only.as_bytes())?;
        if bytes.is_empty() {
            return Err(PermitError::Empty);
        }
        let macaroon = Macaroon::decode_v2(&bytes)?;
        let Some((&BAKERY_VERSION, rest)) = macaroon.identifier.split_first() else {
            return Err(PermitError::Identifier);
        };
        let id = MacaroonId::decode(rest).map_err(|_| PermitError::Unmarshal)?;
        if id.ops.first().is_none_or(|op| op.actions.is_empty()) {
            return Err(PermitError::NoOperations);
        }
        if id.storage_id != ROOT_KEY_ID {
            return Err(PermitError::UnknownKey(String::from_utf8_lossy(&id.storage_id).into_owned()));
        }
        if !macaroon.verify_signature(&self.root) {
            return Err(PermitError::Signature);
        }
        if !macaroon.caveats.is_empty() {
            return Err(PermitError::Caveat);
        }
        let permitted = id
            .ops
            .iter()
            .any(|op| op.entity == needed.0 && op.actions.iter().any(|action| action == needed.1));
        if permitted { Ok(()) } else { Err(PermitError::Denied) }
    }
}

/// Why a macaroon is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PermitError {
    #[error("expected 1 macaroon, got {0}")]
    Count(usize),
    #[error("encoding/hex: odd length hex string")]
    OddHex,
    #[error("encoding/hex: invalid byte: U+{0:04X} {1:?}")]
    NotHex(u32, char),
    #[error("empty macaroon data")]
    Empty,
    #[error("cannot determine data format of binary-encoded macaroon")]
    Format,
    #[error("unmarshal v2: {0}")]
    Malformed(MacaroonError),
    #[error("invalid ID")]
    Identifier,
    #[error("cannot retrieve macaroon: cannot unmarshal macaroon id")]
    Unmarshal,
    #[error("cannot retrieve macaroon: no operations found in macaroon")]
    NoOperations,
    #[error("cannot retrieve macaroon: cannot get macaroon: root key with id {0} doesn't exist")]
    UnknownKey(String),
    #[error("verification failed: signature mismatch after caveat verification")]
    Signature,
    /// LND knows some caveats; this simulator knows none, so each is one that it doesn't know.
    #[error("caveat not satisfied: caveat not recognized")]
    Caveat,
    #[error("permission denied")]
    Denied,
}

impl From<MacaroonError> for PermitError {
    fn from(error: MacaroonError) -> Self {
        match error {
            MacaroonError::Version => Self::Format,
            other => Self::Malformed(other),
        }
    }
}

fn unhex(text: &[u8]) -> Result<Vec<u8>, PermitError> {
    if let Some(bad) = text.iter().find(|byte| !byte.is_ascii_hexdigit()) {
        return Err(PermitError::NotHex(u32::from(*bad), char::from(*bad)));
    }
    data_encoding::HEXLOWER_PERMISSIVE.decode(text).map_err(|_| PermitError::OddHex)
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::method::Method;

    fn metadata(bytes: &[u8]) -> MetadataMap {
        let mut map = MetadataMap::new();
        map.insert("macaroon", data_encoding::HEXLOWER.encode(bytes).parse().unwrap());
        map
    }

    #[test]
    fn each_macaroon_permits_what_lnd_gives_it() {
        let oven = Oven::new([7; 32]);
        let permitted = |permit| {
            let metadata = metadata(&oven.mint(permit).unwrap());
            let calls = Method::ALL.into_iter();
            calls.filter(|call| oven.check(&metadata, call.permission()).is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(permitted(Permit::Admin), Method::ALL);
        assert_eq!(
            permitted(Permit::Invoice),
            [
                Method::AddInvoice,
                Method::LookupInvoice,
                Method::SubscribeInvoices,
                Method::WalletBalance,
                Method::CancelInvoice,
            ]
        );
        assert!(!permitted(Permit::Readonly).contains(&Method::AddInvoice));
        assert!(permitted(Permit::Readonly).contains(&Method::GetInfo));
    }

    #[test]
    fn a_bad_macaroon_gets_lnds_words() {
        let oven = Oven::new([7; 32]);
        let needed = Method::AddInvoice.permission();
        let text = |map: &MetadataMap| oven.check(map, needed).unwrap_err().to_string();
        assert_eq!(text(&MetadataMap::new()), "expected 1 macaroon, got 0");
        let mut map = MetadataMap::new();
        map.insert("macaroon", "xyz".parse().unwrap());
        assert_eq!(text(&map), "encoding/hex: invalid byte: U+0078 'x'");
        let foreign = Oven::new([8; 32]).mint(Permit::Admin).unwrap();
        assert_eq!(
            text(&metadata(&foreign)),
            "verification failed: signature mismatch after caveat verification"
        );
        let readonly = oven.mint(Permit::Readonly).unwrap();
        assert_eq!(text(&metadata(&readonly)), "permission denied");
        assert_eq!(text(&metadata(b"hello")), "cannot determine data format of binary-encoded macaroon");
    }
}
