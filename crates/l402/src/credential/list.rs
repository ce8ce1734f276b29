//! Cuts the text of a credential header into drafts of tokens, in one pass and in bounded room.
//!
//! The text is a list of items. Commas and white space outside quotes separate them. An item is a scheme's name, a
//! parameter (`token="…"`, `macaroon="…"`, `preimage="…"`) or a bare `mac:preimage` or `mac`.

use super::{CredentialError, MAX_TOKENS, is_scheme};
use crate::work;

/// The most items read from one header: a scheme and seven parameters for each token.
const MAX_ITEMS: usize = 8 * MAX_TOKENS;

/// Bytes that are looked at together.
const CHUNK: usize = 32;

/// The texts of one token, before they are read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Draft<'a> {
    pub(super) macaroon: &'a str,
    pub(super) preimage: Option<&'a str>,
    /// A second preimage came with it, and it is another one.
    pub(super) contradicted: bool,
}

/// Cuts a list into drafts, at most [`MAX_TOKENS`].
pub(super) fn drafts(list: &str) -> Result<Vec<Draft<'_>>, CredentialError> {
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    let mut early_preimage = None;
    // After "MAC:" the next item of the same part is its preimage.
    let mut preimage_is_next = false;
    let mut items = Items::new(list);
    for count in 0.. {
        let Some(item) = items.next()? else { break };
        if count == MAX_ITEMS {
            return Err(CredentialError::TooMany);
        }
        preimage_is_next &= !item.follows_comma;
        if is_scheme(item.text.as_bytes()) {
            continue;
        }
        let (macaroon, preimage) = match parameter(item.text)? {
            Parameter::Ignored => continue,
            Parameter::Preimage(text) => (None, Some(text)),
            Parameter::Macaroon(text) => match text.split_once(':') {
                Some((macaroon, preimage)) => (Some(macaroon), Some(preimage)),
                None if preimage_is_next => (None, Some(text)),
                None => (Some(text), None),
            },
        };
        preimage_is_next = preimage == Some("");
        if let Some(macaroon) = macaroon.filter(|text| !text.is_empty()) {
            // Clients repeat `macaroon="M", token="M"` as the challenge had it.
            if drafts.last().is_none_or(|last| last.macaroon != macaroon) {
                drafts.push(Draft { macaroon, preimage: early_preimage.take(), contradicted: false });
            }
        }
        if let Some(preimage) = preimage.filter(|text| !text.is_empty()) {
            match drafts.last_mut() {
                None => early_preimage = Some(preimage),
                Some(last) => last.take_preimage(preimage),
            }
        }
        if drafts.len() > MAX_TOKENS {
            return Err(CredentialError::TooMany);
        }
    }
    if early_preimage.is_some() { Err(CredentialError::NoMacaroon) } else { Ok(drafts) }
}

impl<'a> Draft<'a> {
    fn take_preimage(&mut self, preimage: &'a str) {
        match self.preimage {
            None => self.preimage = Some(preimage),
            Some(first) => self.contradicted |= !first.eq_ignore_ascii_case(preimage),
        }
    }
}

enum Parameter<'a> {
    Macaroon(&'a str),
    Preimage(&'a str),
    Ignored,
}

/// Reads one item. A name counts as a parameter's if it is one we know or its value is quoted: base64 padding looks like
/// `name=` too.
fn parameter(item: &str) -> Result<Parameter<'_>, CredentialError> {
    work::spend(item.len());
    let Some((name, value)) = item.split_once('=') else { return unquote(item).map(Parameter::Macaroon) };
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("token") || is("macaroon") {
        unquote(value).map(Parameter::Macaroon)
    } else if is("preimage") {
        unquote(value).map(Parameter::Preimage)
    } else if value.starts_with('"') || is("version") {
        // RFC 9110 §11.2: parameters that aren't known are ignored.
        Ok(Parameter::Ignored)
    } else {
        unquote(item).map(Parameter::Macaroon)
    }
}

/// Takes the quotes off. Nothing that belongs into a credential needs escaping inside them.
fn unquote(text: &str) -> Result<&str, CredentialError> {
    let bare = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or(CredentialError::Syntax)?,
        None => text,
    };
    let is_odd = |byte| (byte == b'"') | (byte == b'\\');
    if any(bare.as_bytes(), is_odd) { Err(CredentialError::Syntax) } else { Ok(bare.trim_ascii()) }
}

/// One item of a list.
#[derive(Debug, PartialEq, Eq)]
struct Item<'a> {
    text: &'a str,
    /// Does a comma stand between it and the item before it?
    follows_comma: bool,
}

/// The items of a list. Each byte is looked at a bounded number of times, whatever the list holds.
struct Items<'a> {
    rest: &'a str,
}

impl<'a> Items<'a> {
    const fn new(list: &'a str) -> Items<'a> {
        Items { rest: list }
    }

    /// The next item.
    ///
    /// # Errors
    /// [`CredentialError::Syntax`]: a quote is not closed.
    fn next(&mut self) -> Result<Option<Item<'a>>, CredentialError> {
        let bytes = self.rest.as_bytes();
        let start = bytes.iter().position(|byte| !is_separator(*byte)).unwrap_or(bytes.len());
        work::spend(start);
        let follows_comma = bytes[..start].contains(&b',');
        self.rest = &self.rest[start..];
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (text, rest) = self.rest.split_at(end_of_item(self.rest.as_bytes())?);
        self.rest = rest;
        Ok(Some(Item { text, follows_comma }))
    }
}

/// The end of the item that `bytes` begins with: the first separator outside quotes.
///
/// # Errors
/// [`CredentialError::Syntax`]: a quote is not closed, or there is a second quoted string in one item.
fn end_of_item(bytes: &[u8]) -> Result<usize, CredentialError> {
    let is_quote = |byte| byte == b'"';
    let bare = |from: usize| from + position(&bytes[from..], |byte| is_separator(byte) | is_quote(byte));
    let opening = bare(0);
    if bytes.get(opening) != Some(&b'"') {
        return Ok(opening);
    }
    let closing = opening + 1 + position(&bytes[opening + 1..], is_quote);
    if closing == bytes.len() {
        return Err(CredentialError::Syntax);
    }
    let end = bare(closing + 1);
    if bytes.get(end) == Some(&b'"') { Err(CredentialError::Syntax) } else { Ok(end) }
}

/// Where the first such byte stands, or the length. A token is long and mostly in one piece, so that chunks are looked at as a
/// whole first: `is` must not branch.
fn position(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    let chunks = bytes.chunks(CHUNK).take_while(|chunk| !any(chunk, &is));
    let before: usize = chunks.map(<[u8]>::len).sum();
    let last = &bytes[before..bytes.len().min(before + CHUNK)];
    work::spend(before + last.len());
    before + last.iter().position(|byte| is(*byte)).unwrap_or(last.len())
}

/// Comma or ASCII white space, told without a branch.
fn is_separator(byte: u8) -> bool {
    (byte == b',') | (byte == b' ') | (byte == b'\t') | (byte == b'\n') | (byte == b'\r') | (byte == b'\x0c')
}

/// Is any byte one of those? Looks at all of them, many at once: `is` must not branch.
fn any(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    work::spend(bytes.len());
    bytes.iter().fold(0, |seen, byte| seen | u8::from(is(*byte))) != 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn items(list: &str) -> Vec<(&str, bool)> {
        let mut items = Items::new(list);
        std::iter::from_fn(|| items.next().unwrap()).map(|item| (item.text, item.follows_comma)).collect()
    }

    #[test]
    fn separators_count_outside_quotes_only() {
        assert_eq!(items(""), []);
        assert_eq!(items(" ,\t, "), []);
        assert_eq!(items("a b"), [("a", false), ("b", false)]);
        assert_eq!(items(" a,, b\t"), [("a", false), ("b", true)]);
        assert_eq!(items(r#"x="1, 2",y"#), [(r#"x="1, 2""#, false), ("y", true)]);
        assert_eq!(items(r#"a"b c"d"#), [(r#"a"b c"d"#, false)]);
        let long = "m".repeat(3 * CHUNK + 1);
        assert_eq!(items(&format!("{long} {long},")), [(long.as_str(), false), (long.as_str(), false)]);
        for open in ["\"", "a\"b", "a \"", "\"a\" \"", "x=\"1, 2", "\"\"\"\""] {
            let mut items = Items::new(open);
            let end = std::iter::from_fn(|| items.next().transpose()).find(Result::is_err);
            assert_eq!(end, Some(Err(CredentialError::Syntax)), "{open}");
        }
    }

    #[test]
    fn a_second_preimage_contradicts_unless_it_is_the_same() {
        let of = |list| drafts(list).unwrap().remove(0);
        assert!(!of("m:AB, m:ab").contradicted);
        assert!(of("m:ab, m:cd").contradicted);
        assert!(of("m:ab preimage=cd").contradicted);
    }
}
