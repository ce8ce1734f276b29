//! Files that settings name: what can go wrong with reading them, and whether they hold what they
//! should.
use crate::source::Found;
use crate::{Complaint, Read, Setting, certificate};
use std::{fmt, io, path::Path};
use zeroize::Zeroizing;

/// The largest macaroon taken, in bytes; LND's own have about 150 to 300.
const MAX_MACAROON: usize = 4 * 1024;

/// The shortest rune: base64 of a signature of 32 bytes and nothing else.
const MIN_RUNE: usize = 43;

/// The longest rune taken, in bytes; one restricted to four methods has about 200.
const MAX_RUNE: usize = 4 * 1024;

/// The largest certificate file taken, in bytes: a system's bundle of all authorities has some 220 kB.
const MAX_CERTIFICATE: usize = 1024 * 1024;

/// What the first line of a private key in PEM form ends with.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// Why a reader refuses a secret's file: other users can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOpen {
    /// The file's permission bits.
    pub mode: u32,
}

impl fmt::Display for TooOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "every user may read or write it (mode {:04o}; run chmod o-rwx on it)", self.mode & 0o7777)
    }
}

impl std::error::Error for TooOpen {}

/// For the reader handed to [`crate::root_keys`]: refuses permission bits that give other users
/// anything. (Not for macaroons: LND itself makes `invoice.macaroon` readable by everyone.)
///
/// # Errors
/// [`TooOpen`], inside an [`io::Error`].
pub fn check_private_mode(mode: u32) -> io::Result<()> {
    if mode & 0o007 == 0 { Ok(()) } else { Err(io::Error::other(TooOpen { mode })) }
}

/// Reads the file that `setting`, written as `name`, names.
pub(crate) fn load(setting: &Setting, name: &str, path: &str, read: Read<'_>) -> Result<Vec<u8>, Complaint> {
    read(Path::new(path)).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        let expected = if error.get_ref().is_some_and(|inner| inner.is::<TooOpen>()) {
            setting.kind.expected().to_owned()
        } else {
            format!(
                "{}; the file must be readable by the user that starts nginx (or l402d)",
                setting.kind.expected()
            )
        };
        let complaint = Complaint::new(name, format!("can't be read: {reason}"), expected);
        // A macaroon itself in the place of its path: nothing of it is repeated.
        if is_inline_secret(path) { complaint } else { complaint.with_value(path.as_bytes()) }
    })
}

/// What a setting holds or its file: in hex, in PEM, or whatever it is.
fn content(setting: &Setting, found: &Found, read: Read<'_>) -> Result<Vec<u8>, Complaint> {
    if found.inline {
        return Ok(found.text.as_bytes().to_vec());
    }
    load(setting, &found.name, &found.text, read)
}

/// The complaint that a setting's file, or what stands in its place, is not what it should be.
fn wrong_content(setting: &Setting, found: &Found, problem: &str) -> Complaint {
    let complaint = Complaint::new(&found.name, problem, setting.kind.expected());
    if found.inline { complaint } else { complaint.with_value(found.text.as_bytes()) }
}

/// Reads a macaroon, binary or in hex, and returns it in binary.
pub(crate) fn macaroon(setting: &Setting, found: &Found, read: Read<'_>) -> Result<Vec<u8>, Complaint> {
    let bytes = Zeroizing::new(content(setting, found, read)?);
    if is_macaroon(&bytes) {
        return Ok(bytes.to_vec());
    }
    let decoded = from_hex(bytes.trim_ascii()).map(Zeroizing::new).filter(|decoded| is_macaroon(decoded));
    decoded.map(|decoded| decoded.to_vec()).ok_or_else(|| wrong_content(setting, found, "holds no macaroon"))
}

/// Reads a rune, or the file that holds it: base64 for URLs.
pub(crate) fn rune(setting: &Setting, found: &Found, read: Read<'_>) -> Result<Vec<u8>, Complaint> {
    let bytes = match is_inline_rune(&found.text) {
        true => Zeroizing::new(found.text.as_bytes().to_vec()),
        false => Zeroizing::new(load(setting, &found.name, &found.text, read)?),
    };
    let rune = bytes.trim_ascii();
    let fits = (MIN_RUNE..=MAX_RUNE).contains(&rune.len())
        && rune.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(byte));
    if fits {
        Ok(rune.to_vec())
    } else {
        Err(Complaint::new(&found.name, "holds no rune", setting.kind.expected()))
    }
}

/// Whether a text in a rune's place is the rune itself: no rune has a `/` or a `.`, and a path without either is
/// rather a misspelt rune, which must not be shown.
pub(crate) fn is_inline_rune(text: &str) -> bool {
    !text.contains(['/', '.'])
}

/// Whether a text in a macaroon's place is the macaroon itself, in hex, or meant to be.
pub(crate) fn is_inline_secret(text: &str) -> bool {
    text.len() >= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a text in a certificate's place is the certificate itself.
pub(crate) fn is_inline_pem(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN ")
}

/// Reads a certificate file and returns it as it is.
pub(crate) fn certificate(setting: &Setting, found: &Found, read: Read<'_>) -> Result<Vec<u8>, Complaint> {
    let bytes = content(setting, found, read)?;
    if is_pem_certificate(&bytes) {
        return Ok(bytes);
    }
    let problem = if bytes.windows(PRIVATE_KEY.len()).any(|window| window == PRIVATE_KEY.as_bytes()) {
        "holds no certificate in PEM form, or a private key beside it"
    } else {
        "holds no certificate in PEM form"
    };
    Err(wrong_content(setting, found, problem))
}

/// Whether this has the outer form of a V2 binary macaroon: it opens with the version and a location
/// or an identifier, and closes with the end of its caveats and a 32-byte signature.
pub(crate) fn is_macaroon(bytes: &[u8]) -> bool {
    const SIGNATURE: usize = 32;
    bytes.len() <= MAX_MACAROON
        && matches!(bytes, [2, 1 | 2, ..])
        && bytes.len().checked_sub(SIGNATURE + 3).is_some_and(|at| bytes[at..].starts_with(&[0, 6, 32]))
}

/// Whether this holds certificates in PEM form, each of which can be read, and no private key.
pub(crate) fn is_pem_certificate(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    bytes.len() <= MAX_CERTIFICATE && !text.contains(PRIVATE_KEY) && certificate::are_certificates(text)
}

/// Hex of either case → bytes.
pub(crate) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8));
    if rest.is_empty() { bytes.collect() } else { None }
}

/// Bytes → lower-case hex.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|n| char::from(DIGITS[usize::from(n)])).collect()
}
