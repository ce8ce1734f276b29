//! The text of l402d's configuration pipe: `key=value\0` for each pair, then one more `\0`.
use crate::{Complaint, Setting};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Writes pairs. Its buffer is wiped when it is dropped, and grows without leaving copies behind.
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// A writer with room for `bytes`.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    /// Adds a pair. Neither part holds a NUL and the key holds no `=`: the parsers of settings refuse
    /// control characters.
    pub(crate) fn pair(&mut self, key: &str, value: &[u8]) {
        debug_assert!(!key.bytes().any(|byte| matches!(byte, 0 | b'=')) && !value.contains(&0));
        let more = key.len() + value.len() + 3;
        if self.0.capacity() - self.0.len() < more {
            let mut larger =
                Zeroizing::new(Vec::with_capacity((self.0.capacity() * 2).max(self.0.len() + more)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(key.as_bytes());
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(0);
    }

    /// The text, with its end.
    pub(crate) fn finish(mut self) -> Zeroizing<Vec<u8>> {
        self.0.push(0);
        self.0
    }
}

/// Reads the pairs; `None` if the text is cut short or is no such text.
pub(crate) fn parse(text: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut pairs = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (line, tail) = (&rest[..end], &rest[end + 1..]);
        if line.is_empty() {
            return tail.is_empty().then_some(pairs);
        }
        let equals = line.iter().position(|byte| *byte == b'=')?;
        pairs.push((std::str::from_utf8(&line[..equals]).ok()?, &line[equals + 1..]));
        rest = tail;
    }
}

/// Pairs not yet taken, and what was wrong with those that were. No value is repeated, as any could be secret.
#[derive(Default)]
pub(crate) struct Taken<'a> {
    pub(crate) pairs: BTreeMap<String, &'a [u8]>,
    pub(crate) complaints: Vec<Complaint>,
}

impl<'a> Taken<'a> {
    pub(crate) fn optional<T>(&mut self, key: &str, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let parsed = parse(self.pairs.remove(key)?);
        if parsed.is_none() {
            self.complaints.push(not_valid(key));
        }
        parsed
    }

    pub(crate) fn required<T>(&mut self, key: &str, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        if !self.pairs.contains_key(key) {
            self.complaints.push(Complaint::new(key, "is missing", "what this release writes"));
        }
        self.optional(key, parse)
    }

    /// The pairs of the backend of this name.
    pub(crate) fn of_backend<'t>(&'t mut self, name: &'t str) -> Taking<'t, 'a> {
        Taking { taken: self, name }
    }
}

/// The pairs of one backend. A kind's reader takes all that its writer writes.
pub(crate) struct Taking<'t, 'a> {
    taken: &'t mut Taken<'a>,
    name: &'t str,
}

impl Taking<'_, '_> {
    /// A setting that may be there.
    pub(crate) fn optional<T>(&mut self, setting: &Setting, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let key = self.key(setting);
        self.taken.optional(&key, parse)
    }

    /// A setting that must be there.
    pub(crate) fn required<T>(&mut self, setting: &Setting, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let key = self.key(setting);
        self.taken.required(&key, parse)
    }

    fn key(&self, setting: &Setting) -> String {
        format!("backend.{}.{}", self.name, setting.key)
    }
}

/// The complaint about a pair's value.
pub(crate) fn not_valid(key: &str) -> Complaint {
    Complaint::new(key, "is not valid", "what this release writes")
}
