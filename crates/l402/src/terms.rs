//! The terms a token is minted on, and how they are written as caveats (the vocabulary is in `caveat.rs`).

use std::fmt;
use std::sync::Arc;

use crate::crypto::sha256;
use crate::payment::Msat;
use crate::text;

/// The longest encoded path, route or name that is written into a token. Of a longer one the SHA-256 is written, so that a
/// token never outgrows what we read or what proxies pass on.
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

/// Names of one shop.
pub type Names = Arc<[Box<[u8]>]>;

/// The shop that a request was sent to: what a token's `origin=` names.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The name that new tokens bear.
    pub name: &'a [u8],
    /// All names of the same shop, if it has several. A token that bears one of them is as good.
    pub names: Option<&'a Names>,
    /// The port, where it is not that of http or https.
    pub port: Option<u16>,
}

impl Origin<'_> {
    /// The value of `origin=`: the name, and `:` with the port where there is one.
    fn push(&self, out: &mut String) {
        push_bounded(out, self.name);
        if let Some(port) = self.port {
            out.push_str(&format!(":{port}"));
        }
    }

    /// Is `value` one that names this shop?
    pub(crate) fn is_named(&self, value: &str) -> bool {
        let name = match self.port {
            None => Some(value),
            Some(port) => {
                value.rsplit_once(':').filter(|(_, text)| is_number(text, port)).map(|(name, _)| name)
            }
        };
        name.is_some_and(|value| {
            is_bounded(value, self.name)
                || self.names.is_some_and(|names| names.iter().any(|name| is_bounded(value, name)))
        })
    }
}

/// Is `text` this number as we write it?
fn is_number(text: &str, number: u16) -> bool {
    (text == "0" || !text.starts_with(['0', '+'])) && text.parse() == Ok(number)
}

/// The place that a request was sent to, as the client sent it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The seller.
    pub origin: Origin<'a>,
    /// The normalised path of the client's request, raw bytes.
    pub path: &'a [u8],
    /// `GET`, `POST` …; a HEAD is sold as GET.
    pub method: &'a str,
    /// The place to which the server's configuration led the request before it was sold, if its path names another one.
    pub route: Option<&'a [u8]>,
}

/// What is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// One path by one method, and one route where there is one.
    Request,
    /// Every location of that realm.
    Realm {
        /// The realm's name.
        name: &'a str,
        /// Does it span origins?
        shared: bool,
    },
}

/// The terms a token is minted on.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The place where it is sold.
    pub place: Place<'a>,
    /// What is sold.
    pub scope: Scope<'a>,
    /// The last Unix second in which the token is good; `None` is for ever.
    pub valid_until: Option<u64>,
    /// How often it admits.
    pub uses: Uses,
    /// The most that a request may cost; `None` where a dearer request needs no dearer token.
    pub amount: Option<Msat>,
}

impl Terms<'_> {
    /// The caveats of a token on these terms, in their order.
    pub fn caveats(&self) -> Vec<String> {
        let Place { origin, path, method, route } = self.place;
        let origin = || caveat("origin=", |out| origin.push(out));
        let mut caveats = Vec::with_capacity(7);
        match self.scope {
            Scope::Request => {
                caveats.push(origin());
                caveats.push(caveat("path=", |out| push_bounded(out, path)));
                caveats.push(caveat("method=", |out| push_value(out, method.as_bytes())));
                caveats.extend(route.map(|route| caveat("route=", |out| push_bounded(out, route))));
            }
            Scope::Realm { name, shared } => {
                if !shared {
                    caveats.push(origin());
                }
                caveats.push(caveat("realm=", |out| push_value(out, name.as_bytes())));
            }
        }
        caveats.extend(self.valid_until.map(|at| format!("valid_until={at}")));
        caveats.push(format!("uses={}", self.uses));
        caveats.extend(self.amount.map(|amount| format!("amount_msat={}", amount.0)));
        caveats
    }
}

fn caveat(name: &str, push_value: impl FnOnce(&mut String)) -> String {
    let mut caveat = String::with_capacity(64);
    caveat.push_str(name);
    push_value(&mut caveat);
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

/// Writes a path, a route or a name: encoded, or `sha256:…` if that is longer than [`MAX_PATH`]. No path, route or name begins so.
fn push_bounded(out: &mut String, bytes: &[u8]) {
    if fits(bytes) { push_value(out, bytes) } else { out.push_str(&digest(bytes)) }
}

/// Is `value` what [`push_bounded`] writes for these bytes?
pub(crate) fn is_bounded(value: &str, bytes: &[u8]) -> bool {
    if fits(bytes) { is_value(value, bytes) } else { value == digest(bytes) }
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
