//! What an operator is told about a setting.
use std::fmt;

/// Characters of a value that a complaint repeats.
const SHOWN: usize = 100;

/// A setting that can't be used: the operator's to mend.
///
/// Displayed on one line: `l402_max_uses "0" is not valid; expected a whole number from 1 to …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The setting as the operator wrote it: an environment variable, a directive, or a key of a block.
    pub setting: String,
    /// What was written, escaped and cut; `None` if nothing was, or if it is a secret.
    pub value: Option<String>,
    /// What is wrong, as the end of a sentence that starts with the setting: "is not valid".
    pub problem: String,
    /// What is expected instead.
    pub expected: String,
    /// The file and line it was written in, as `path:line`; `None` for what has none, such as a variable.
    pub place: Option<String>,
}

impl Complaint {
    /// A complaint without a value.
    pub fn new(setting: impl Into<String>, problem: impl Into<String>, expected: impl Into<String>) -> Self {
        let (problem, expected) = (problem.into(), expected.into());
        Self { setting: setting.into(), value: None, problem, expected, place: None }
    }

    /// Adds where it was written.
    #[must_use]
    pub fn at(self, place: Option<String>) -> Self {
        Self { place: place.or(self.place), ..self }
    }

    /// Adds what was written, which must not be a secret. Control characters are escaped, and a long
    /// value is cut, so that neither spoils a log.
    #[must_use]
    pub fn with_value(mut self, value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        if text.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        self.value = Some(shown);
        self
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.setting)?;
        if let Some(value) = &self.value {
            write!(f, " \"{value}\"")?;
        }
        write!(f, " {}; expected {}", self.problem, self.expected)?;
        match &self.place {
            Some(place) => write!(f, " in {place}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Complaint {}
