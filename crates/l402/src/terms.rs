//! The terms a token is minted on, and how they are written as caveats (the vocabulary is in `caveat.rs`).

use std::fmt;

use crate::crypto::sha256;
use crate::payment::Msat;
use crate::text;

/// The longest encoded path that is written into a token; of a longer one its SHA-256 is, so that a token never
/// outgrows what we read or what proxies pass on.
pub const MAX_PATH: usize = 512;

/// How often a token admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    /// So many requests.
    Limited(u32),
    /// Any number until it expires.
    Unlimited,
}

impl Uses {
    pub(crate) fn is_within(self, other: Uses) -> bool {
        match (self, other) {
            (_, Uses::Unlimited) => true,
            (Uses::Unlimited, Uses::Limited(_)) => false,
            (Uses::Limited(mine), Uses::Limited(theirs)) => mine <= theirs,
        }
    }
}

impl fmt::Display for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uses::Limited(count) => write!(f, "{count}"),
            Uses::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// What is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// One path by one method.
    Request {
        /// The normalised path of the client's request, raw bytes.
        path: &'a [u8],
        /// `GET`, `POST` …; a HEAD is sold as GET.
        method: &'a str,
    },
    /// Every location of that realm.
    Realm {
        /// The realm's name.
        name: &'a str,
        /// Does it span virtual servers?
        shared: bool,
    },
}

/// The terms a token is minted on.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The virtual server's name.
    pub server: &'a str,
    /// What is sold.
    pub scope: Scope<'a>,
    /// The last Unix second in which the token is good; `None` is for ever.
    pub valid_until: Option<u64>,
    /// How often it admits.
    pub uses: Uses,
    /// The most that a request may cost; `None` where the price isn't computed from the request.
    pub amount: Option<Msat>,
}

impl Terms<'_> {
    /// The caveats of a token on these terms, in their order.
    pub fn caveats(&self) -> Vec<String> {
        let value = |name, value| caveat(name, value, push_value);
        let server = || value("server=", self.server.as_bytes());
        let mut caveats = Vec::with_capacity(6);
        match self.scope {
            Scope::Request { path, method } => {
                caveats.push(server());
                caveats.push(caveat("path=", path, push_path));
                caveats.push(value("method=", method.as_bytes()));
            }
            Scope::Realm { name, shared } => {
                if !shared {
                    caveats.push(server());
                }
                caveats.push(value("realm=", name.as_bytes()));
            }
        }
        caveats.extend(self.valid_until.map(|at| format!("valid_until={at}")));
        caveats.push(format!("uses={}", self.uses));
        caveats.extend(self.amount.map(|amount| format!("amount_msat={}", amount.0)));
        caveats
    }
}

fn caveat(name: &str, bytes: &[u8], push: fn(&mut String, &[u8])) -> String {
    let mut caveat = String::with_capacity(name.len() + bytes.len());
    caveat.push_str(name);
    push(&mut caveat, bytes);
    caveat
}

/// Writes bytes as printable ASCII: what lies outside `0x21..=0x7e`, and `%`, as `%XX`. Two values are equal
/// exactly if their encodings are, so values are compared encoded and never decoded.
pub fn encode_value(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    push_value(&mut out, bytes);
    out
}

fn push_value(out: &mut String, bytes: &[u8]) {
    // Most values are plain text, and then the same.
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(bytes) => out.push_str(text),
        _ => out.extend(encoded(bytes).map(char::from)),
    }
}

/// Is `value` what [`encode_value`] writes for these bytes?
pub(crate) fn is_value(value: &str, bytes: &[u8]) -> bool {
    value.as_bytes() == bytes && is_plain(bytes) || encoded(bytes).eq(value.bytes())
}

/// A path as a value: encoded, or `sha256:…` if that is longer than [`MAX_PATH`]. (Paths begin with `/`.)
fn push_path(out: &mut String, path: &[u8]) {
    if fits(path) { push_value(out, path) } else { out.push_str(&digest(path)) }
}

/// Is `value` what is written for this path?
pub(crate) fn is_path(value: &str, path: &[u8]) -> bool {
    if fits(path) { is_value(value, path) } else { value == digest(path) }
}

fn fits(path: &[u8]) -> bool {
    // No byte is written as more than three.
    path.len() <= MAX_PATH / 3 || encoded(path).count() <= MAX_PATH
}

fn digest(path: &[u8]) -> String {
    format!("sha256:{}", text::hex(&sha256(&[path])))
}

/// Is it written as it is?
fn is_plain(bytes: &[u8]) -> bool {
    // Without a branch, so that many bytes are looked at at once.
    bytes.iter().fold(0, |seen, byte| seen | u8::from(is_escaped(*byte))) == 0
}

fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'%' | 0..0x21 | 0x7f..)
}

fn encoded(bytes: &[u8]) -> impl Iterator<Item = u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    bytes.iter().flat_map(|&byte| {
        let (written, length) = match is_escaped(byte) {
            true => ([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]], 3),
            false => ([byte, 0, 0], 1),
        };
        written.into_iter().take(length)
    })
}
