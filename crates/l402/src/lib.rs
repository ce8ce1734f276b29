//! The L402 protocol: macaroons, identifiers, caveats, headers, preimages. No I/O.
//!
//! Bytes, time and randomness are parameters; nothing here reads a clock, a socket or an environment, so every
//! rule of the protocol can be tested as a plain function. The clauses cited are those of the L402 documents
//! `protocol-specification.md` and `macaroon-spec.md`; the macaroon format is libmacaroons' V2, as
//! `gopkg.in/macaroon.v2` writes it.
//!
//! The way of a credential: [`credential::parse`] → [`keys::KeyRing::find`] →
//! [`macaroon::Macaroon::verify_signature`] → [`caveat::Caveats::read`] → [`payment::Preimage::matches`].
#![forbid(unsafe_code)]

pub mod caveat;
pub mod challenge;
pub mod credential;
mod crypto;
pub mod identifier;
pub mod keys;
pub mod macaroon;
pub mod payment;
mod terms;
mod text;
mod v2;
#[cfg(not(fuzzing))]
mod work;
#[cfg(fuzzing)]
pub mod work;

pub use caveat::{CaveatError, Caveats, Names, Origin, Place, Scope, Terms, Uses};
pub use credential::{Credential, CredentialError, Found};
pub use identifier::{Identifier, KeyId, TokenId};
pub use keys::{KeyRing, KeyRingId, RootKey};
pub use macaroon::{Caveat, Macaroon, MacaroonError};
pub use payment::{Msat, PaymentHash, Preimage, PreimageError};
