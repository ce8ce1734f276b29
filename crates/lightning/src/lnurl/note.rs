//! What is noted down of an invoice: where its wallet tells whether it is paid.

use std::fmt;

use l402::Msat;
use reqwest::Url;

/// The form of the text, so that a later one can be told apart.
const FORM: &str = "1";

/// A note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// What the invoice is over.
    pub amount: Msat,
    /// When it expires, Unix seconds.
    pub expires_at: u64,
    /// Its `verify`.
    pub url: Url,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM} {} {} {}", self.amount.0, self.expires_at, self.url)
    }
}

impl Note {
    /// Reads what [`fmt::Display`] wrote.
    pub(super) fn parse(text: &str) -> Option<Note> {
        let mut words = text.splitn(4, ' ');
        if words.next()? != FORM {
            return None;
        }
        let amount = Msat(words.next()?.parse().ok()?);
        let expires_at = words.next()?.parse().ok()?;
        Some(Note { amount, expires_at, url: words.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn there_and_back() {
        let url = "https://wallet.example/verify/abc?x=1%202".parse().unwrap();
        let note = Note { amount: Msat(21_000), expires_at: 1_800_000_000, url };
        assert_eq!(Note::parse(&note.to_string()), Some(note));
        for bad in ["", "2 1 2 https://a.example/", "1 x 2 https://a.example/", "1 1 2", "1 1 2 nowhere"] {
            assert_eq!(Note::parse(bad), None, "{bad}");
        }
    }
}
