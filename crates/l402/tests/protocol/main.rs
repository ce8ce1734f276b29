//! Tests of the protocol crate through its public API, a file a module.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod caveats;
mod challenges;
mod credentials;
mod golden;
mod macaroons;
mod secrets;

use l402::{Identifier, Macaroon, PaymentHash, Preimage, RootKey, TokenId};

/// Bytes 0, 1 … 31: the root key of the golden file.
fn root() -> RootKey {
    RootKey::from_bytes(std::array::from_fn(|index| index as u8))
}

fn preimage() -> Preimage {
    Preimage::from_bytes([7; 32])
}

/// The identifier of a token that [`preimage`] pays for.
fn identifier() -> Identifier {
    Identifier::new(preimage().payment_hash(), TokenId::new(root().id(), [9; 28]))
}

fn mint(caveats: &[&str]) -> Macaroon {
    Macaroon::mint(&root(), &identifier(), "l402", caveats.iter().copied())
}

/// An identifier whose payment nobody knows the preimage of.
fn other_identifier() -> Identifier {
    Identifier::new(PaymentHash([0xaa; 32]), TokenId([0xbb; 32]))
}
