//! Credentials: what a client sends once it has paid (protocol-specification, "Specification").
//!
//! One parser reads every form seen in the wild. Its input is cut into items at commas and, within them, at white
//! space; each item is a scheme's name, a parameter (`token="…"`, `macaroon="…"`, `preimage="…"`) or a bare
//! `mac:preimage` or `mac`. All forms of one token lead to the same payment hash, which is what a claim is keyed by.

use std::fmt;

use crate::identifier::{Identifier, IdentifierError};
use crate::macaroon::{Caveat, Macaroon, MacaroonError};
use crate::payment::{PaymentHash, Preimage, PreimageError};

/// The most tokens read from one header.
pub const MAX_TOKENS: usize = 8;

/// One token as presented: well-formed, nothing of it verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The macaroon.
    pub macaroon: Macaroon,
    /// Its identifier, decoded.
    pub identifier: Identifier,
    /// From `mac:preimage`, a parameter, or a `preimage=` caveat.
    pub preimage: Option<Preimage>,
}

impl Credential {
    /// The payment that the token stands for.
    pub fn payment_hash(&self) -> PaymentHash {
        self.identifier.payment_hash
    }

    /// Reads a macaroon's text and, if there is one, its preimage.
    ///
    /// # Errors
    /// The client's fault: not a macaroon, not one of L402, not a preimage, or two preimages.
    pub fn read(macaroon: &str, preimage: Option<&str>) -> Result<Credential, CredentialError> {
        if macaroon.is_empty() {
            return Err(CredentialError::NoMacaroon);
        }
        let macaroon = Macaroon::from_text(macaroon).map_err(CredentialError::Macaroon)?;
        let identifier = Identifier::decode(&macaroon.identifier).map_err(CredentialError::Identifier)?;
        let in_caveats = macaroon.caveats.iter().filter_map(|caveat| match caveat {
            Caveat::FirstParty(id) => id.strip_prefix(b"preimage=".as_slice()),
            Caveat::ThirdParty { .. } => None,
        });
        let given = preimage.map(str::as_bytes).into_iter().chain(in_caveats);
        let mut preimage = None;
        for text in given {
            let text = std::str::from_utf8(text).map_err(|_| PreimageError::NotHex);
            let read = text.and_then(Preimage::from_hex).map_err(CredentialError::Preimage)?;
            if preimage.as_ref().is_some_and(|before| *before != read) {
                return Err(CredentialError::TwoPreimages);
            }
            preimage = Some(read);
        }
        Ok(Credential { macaroon, identifier, preimage })
    }

    /// The one form we send: `L402 MAC:PREIMAGE`, or `L402 MAC` without a preimage. A secret.
    pub fn expose_header_value(&self) -> String {
        match &self.preimage {
            Some(preimage) => format!("L402 {}:{}", self.macaroon.to_base64(), preimage.expose_hex()),
            None => format!("L402 {}", self.macaroon.to_base64()),
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
    let scheme = header.split(|byte| byte.is_ascii_whitespace() || *byte == b',').next().unwrap_or_default();
    if is_scheme(scheme) { Found::Tokens(read_list(&header[scheme.len()..])) } else { Found::NotL402 }
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
    let mut tokens: Vec<_> =
        drafts.iter().map(|draft| Credential::read(draft.macaroon, draft.preimage)).collect();
    share_preimages(&mut tokens);
    tokens
}

/// `mac,mac:preimage` — the specification's list of macaroons before one preimage: a token without a preimage
/// takes that of a later one, if it is its own.
fn share_preimages(tokens: &mut [Result<Credential, CredentialError>]) {
    for index in 0..tokens.len() {
        let (head, later) = tokens.split_at_mut(index + 1);
        if let Some(Ok(Credential { identifier, preimage: preimage @ None, .. })) = head.last_mut() {
            *preimage = later
                .iter()
                .filter_map(|token| token.as_ref().ok()?.preimage.as_ref())
                .find(|candidate| candidate.matches(&identifier.payment_hash))
                .cloned();
        }
    }
}

/// One token's texts, before they are read.
#[derive(Default)]
struct Draft<'a> {
    macaroon: &'a str,
    preimage: Option<&'a str>,
}

/// Cuts a list into drafts.
fn drafts(list: &str) -> Result<Vec<Draft<'_>>, CredentialError> {
    let is_quote = |byte| byte == b'"';
    if any(list, is_quote) && list.bytes().filter(|byte| is_quote(*byte)).count() % 2 == 1 {
        return Err(CredentialError::Syntax);
    }
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    let mut early_preimage = None;
    for part in (Pieces { rest: list, is_separator: |byte| byte == b',' }) {
        // After "MAC:" the next word of the same part is its preimage.
        let mut preimage_next = false;
        for item in (Pieces { rest: part, is_separator: is_space }) {
            if is_scheme(item.as_bytes()) {
                continue;
            }
            let (macaroon, preimage) = match parameter(item)? {
                Item::Ignored => continue,
                Item::Preimage(text) => (None, Some(text)),
                Item::Macaroon(text) | Item::Bare(text) => match text.split_once(':') {
                    Some((mac, pre)) => (Some(mac), Some(pre)),
                    None if preimage_next => (None, Some(text)),
                    None => (Some(text), None),
                },
            };
            preimage_next = preimage == Some("");
            if let Some(macaroon) = macaroon.filter(|text| !text.is_empty()) {
                // Clients repeat `macaroon="M", token="M"` as the challenge had it.
                if drafts.last().is_none_or(|last| last.macaroon != macaroon) {
                    drafts.push(Draft { macaroon, preimage: early_preimage.take() });
                }
            }
            if let Some(preimage) = preimage.filter(|text| !text.is_empty()) {
                match drafts.last_mut() {
                    None => early_preimage = Some(preimage),
                    Some(Draft { preimage: slot @ None, .. }) => *slot = Some(preimage),
                    Some(Draft { preimage: Some(same), .. }) if same.eq_ignore_ascii_case(preimage) => {}
                    Some(_) => return Err(CredentialError::TwoPreimages),
                }
            }
            if drafts.len() > MAX_TOKENS {
                return Err(CredentialError::TooMany);
            }
        }
    }
    if early_preimage.is_some() { Err(CredentialError::NoMacaroon) } else { Ok(drafts) }
}

enum Item<'a> {
    Macaroon(&'a str),
    Preimage(&'a str),
    Bare(&'a str),
    Ignored,
}

/// Reads one item. A name is only taken for a parameter's if it is one we know or its value is quoted: base64
/// padding looks like `name=` too.
fn parameter(item: &str) -> Result<Item<'_>, CredentialError> {
    let Some((name, value)) = item.split_once('=') else { return unquote(item).map(Item::Bare) };
    let quoted = value.starts_with('"');
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("token") || is("macaroon") {
        unquote(value).map(Item::Macaroon)
    } else if is("preimage") {
        unquote(value).map(Item::Preimage)
    } else if quoted || is("version") {
        // RFC 9110 §11.2: parameters that aren't known are ignored.
        Ok(Item::Ignored)
    } else {
        unquote(item).map(Item::Bare)
    }
}

/// Takes the quotes off; nothing that belongs into a credential needs escaping inside them.
fn unquote(text: &str) -> Result<&str, CredentialError> {
    let bare = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or(CredentialError::Syntax)?,
        None => text,
    };
    if any(bare, |byte| (byte == b'"') | (byte == b'\\')) {
        Err(CredentialError::Syntax)
    } else {
        Ok(bare.trim_ascii())
    }
}

/// The non-empty pieces between separators, which are ASCII and count outside quotes only.
struct Pieces<'a, F> {
    rest: &'a str,
    is_separator: F,
}

impl<'a, F: Fn(u8) -> bool> Iterator for Pieces<'a, F> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        while !self.rest.is_empty() {
            let mut in_quotes = false;
            // A token is long and mostly in one piece.
            let end = any(self.rest, &self.is_separator).then(|| {
                self.rest.bytes().position(|byte| {
                    in_quotes ^= byte == b'"';
                    !in_quotes && (self.is_separator)(byte)
                })
            });
            let (piece, rest) = match end.flatten() {
                Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
                None => (self.rest, ""),
            };
            self.rest = rest;
            let piece = piece.trim_ascii();
            if !piece.is_empty() {
                return Some(piece);
            }
        }
        None
    }
}

/// ASCII white space, told without a branch.
fn is_space(byte: u8) -> bool {
    (byte == b' ') | (byte == b'\t') | (byte == b'\n') | (byte == b'\r') | (byte == b'\x0c')
}

/// Is any byte one of those? Looks at all of them, many at once: `is` must not branch.
fn any(text: &str, is: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(0, |seen, byte| seen | u8::from(is(byte))) != 0
}

/// Why a credential can't be read. Always the client's fault; the texts are fit for a header and a log: no secret,
/// no byte of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// A scheme, but no macaroon.
    NoMacaroon,
    /// Not text, or quotes that don't pair up.
    Syntax,
    /// More than [`MAX_TOKENS`].
    TooMany,
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
            CredentialError::TooMany => write!(f, "the credential has more than {MAX_TOKENS} tokens"),
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
            | CredentialError::TwoPreimages => None,
        }
    }
}
