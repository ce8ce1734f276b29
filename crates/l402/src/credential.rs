//! Credentials: what a client sends once it has paid (protocol-specification, "Specification").
//!
//! One parser reads every form seen in the wild, in time linear in the header. `list.rs` cuts the header into the texts
//! of its tokens. All forms of one token lead to the same payment hash, which is what a claim is keyed by.

#[cfg(test)]
mod cost;
mod list;

use std::fmt;

use crate::identifier::{Identifier, IdentifierError};
use crate::macaroon::{Caveat, Macaroon, MacaroonError};
use crate::payment::{PaymentHash, Preimage, PreimageError};
use list::{Draft, drafts};

/// The most tokens read from one header.
pub const MAX_TOKENS: usize = 8;

/// One token as presented: well-formed, nothing of it verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The macaroon.
    pub macaroon: Macaroon,
    /// Its identifier, decoded.
    pub identifier: Identifier,
    /// From `mac:preimage`, a parameter, or a `preimage=` caveat. An error is what a wallet returned in place of a preimage,
    /// or a second preimage: the token itself can be read.
    pub preimage: Option<Result<Preimage, CredentialError>>,
}

impl Credential {
    /// The payment that the token stands for.
    pub fn payment_hash(&self) -> PaymentHash {
        self.identifier.payment_hash
    }

    /// Reads a macaroon's text and, if there is one, its preimage.
    ///
    /// # Errors
    /// The client's fault: not a macaroon, or not one of L402.
    pub fn read(macaroon: &str, preimage: Option<&str>) -> Result<Credential, CredentialError> {
        Credential::of(&Draft { macaroon, preimage, contradicted: false })
    }

    fn of(draft: &Draft<'_>) -> Result<Credential, CredentialError> {
        if draft.macaroon.is_empty() {
            return Err(CredentialError::NoMacaroon);
        }
        let macaroon = Macaroon::from_text(draft.macaroon).map_err(CredentialError::Macaroon)?;
        let identifier = Identifier::decode(&macaroon.identifier).map_err(CredentialError::Identifier)?;
        let preimage = match draft.contradicted {
            true => Some(Err(CredentialError::TwoPreimages)),
            false => only_preimage(draft.preimage, &macaroon),
        };
        Ok(Credential { macaroon, identifier, preimage })
    }

    /// The one form we send: `L402 MAC:PREIMAGE`, or `L402 MAC` without a readable preimage. A secret.
    pub fn expose_header_value(&self) -> String {
        match &self.preimage {
            Some(Ok(preimage)) => format!("L402 {}:{}", self.macaroon.to_base64(), preimage.expose_hex()),
            Some(Err(_)) | None => format!("L402 {}", self.macaroon.to_base64()),
        }
    }
}

/// What a header holds.
#[derive(Debug)]
pub enum Found {
    /// No credential of ours: empty, or of another scheme such as Basic or Bearer.
    NotL402,
    /// Tokens, in the order they were sent; at least one.
    Tokens(Vec<Result<Credential, CredentialError>>),
}

/// Reads the value of an `Authorization` header.
pub fn parse(header: &[u8]) -> Found {
    let header = header.trim_ascii();
    let scheme = scheme(header);
    if is_scheme(scheme) { Found::Tokens(read_list(&header[scheme.len()..])) } else { Found::NotL402 }
}

/// Does the value of an `Authorization` header name our scheme? Reads only its first word.
pub fn names_l402(header: &[u8]) -> bool {
    is_scheme(scheme(header.trim_ascii_start()))
}

fn scheme(header: &[u8]) -> &[u8] {
    header.split(|byte| byte.is_ascii_whitespace() || *byte == b',').next().unwrap_or_default()
}

/// Reads the value of gRPC metadata, `Macaroon:` or `Grpc-Metadata-Macaroon:`. It names no scheme and other
/// software uses the same names, so a macaroon that isn't one of L402 is none of our business.
pub fn parse_metadata(value: &[u8]) -> Found {
    let value = value.trim_ascii();
    if value.is_empty() {
        return Found::NotL402;
    }
    let mut tokens = read_list(value);
    tokens.retain(|token| !matches!(token, Err(CredentialError::Identifier(_))));
    if tokens.is_empty() { Found::NotL402 } else { Found::Tokens(tokens) }
}

fn is_scheme(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"L402") || word.eq_ignore_ascii_case(b"LSAT")
}

fn read_list(list: &[u8]) -> Vec<Result<Credential, CredentialError>> {
    let drafts = match std::str::from_utf8(list).map_err(|_| CredentialError::Syntax).and_then(drafts) {
        Ok(drafts) => drafts,
        Err(error) => return vec![Err(error)],
    };
    if drafts.is_empty() {
        return vec![Err(CredentialError::NoMacaroon)];
    }
    let mut tokens: Vec<_> = drafts.iter().map(Credential::of).collect();
    share_preimages(&mut tokens);
    tokens
}

/// The preimage that came beside a macaroon or in its caveats.
fn only_preimage(beside: Option<&str>, macaroon: &Macaroon) -> Option<Result<Preimage, CredentialError>> {
    let in_caveats = macaroon.caveats.iter().filter_map(|caveat| match caveat {
        Caveat::FirstParty(id) => id.strip_prefix(b"preimage=".as_slice()),
        Caveat::ThirdParty { .. } => None,
    });
    let mut all = beside.map(str::as_bytes).into_iter().chain(in_caveats).map(|text| {
        let text = std::str::from_utf8(text).map_err(|_| PreimageError::NotHex);
        text.and_then(Preimage::from_hex).map_err(CredentialError::Preimage)
    });
    let first = match all.next()? {
        Ok(first) => first,
        Err(error) => return Some(Err(error)),
    };
    Some(all.try_fold(
        first,
        |first, next| if next? == first { Ok(first) } else { Err(CredentialError::TwoPreimages) },
    ))
}

/// `mac,mac:preimage` — the specification's list of macaroons before one preimage: a token without a preimage
/// takes that of a later one, if it is its own.
fn share_preimages(tokens: &mut [Result<Credential, CredentialError>]) {
    for index in 0..tokens.len() {
        let (head, later) = tokens.split_at_mut(index + 1);
        if let Some(Ok(Credential { identifier, preimage: preimage @ None, .. })) = head.last_mut() {
            *preimage = later
                .iter()
                .filter_map(|token| token.as_ref().ok()?.preimage.as_ref()?.as_ref().ok())
                .find(|candidate| candidate.matches(&identifier.payment_hash))
                .map(|found| Ok(found.clone()));
        }
    }
}

/// Why a credential can't be read. Always the client's fault; the texts are fit for a header and a log: no secret,
/// no byte of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// A scheme, but no macaroon.
    NoMacaroon,
    /// Not text, or quotes that don't pair up.
    Syntax,
    /// More than [`MAX_TOKENS`], or more around them than so many tokens need.
    TooMany,
    /// More bytes than are read.
    TooLong,
    /// One macaroon with two different preimages.
    TwoPreimages,
    /// The macaroon can't be read.
    Macaroon(MacaroonError),
    /// The macaroon is no L402 token.
    Identifier(IdentifierError),
    /// The preimage can't be read.
    Preimage(PreimageError),
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CredentialError::NoMacaroon => f.write_str("the credential has no macaroon"),
            CredentialError::Syntax => {
                f.write_str("the credential can't be read: expected L402 MACAROON:PREIMAGE")
            }
            CredentialError::TooMany => {
                write!(f, "the credential has more than {MAX_TOKENS} tokens, or too much in them")
            }
            CredentialError::TooLong => f.write_str("the credential is too long to be read"),
            CredentialError::TwoPreimages => f.write_str("the credential has two different preimages"),
            CredentialError::Macaroon(error) => error.fmt(f),
            CredentialError::Identifier(error) => error.fmt(f),
            CredentialError::Preimage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CredentialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CredentialError::Macaroon(error) => Some(error),
            CredentialError::Identifier(error) => Some(error),
            CredentialError::Preimage(error) => Some(error),
            CredentialError::NoMacaroon
            | CredentialError::Syntax
            | CredentialError::TooMany
            | CredentialError::TooLong
            | CredentialError::TwoPreimages => None,
        }
    }
}
