//! Where a setting was found, and which of several places wins: the environment over the file.
use crate::{Complaint, ConfigFile, Env, Kind, Setting};
use zeroize::Zeroizing;

/// A setting as it was written.
pub(crate) struct Found {
    /// What it is called there.
    pub name: String,
    /// Its text. Any could be a secret.
    pub text: Zeroizing<String>,
    /// The file and line, if it was in one.
    pub place: Option<String>,
    /// The text is what otherwise a file holds, not the file's path.
    pub inline: bool,
}

impl Found {
    /// One that is not inline.
    pub(crate) fn new(name: String, text: String, place: Option<String>) -> Self {
        Self { name, text: Zeroizing::new(text), place, inline: false }
    }

    /// Understands it, or complains.
    pub(crate) fn parse<T>(
        &self,
        setting: &Setting,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Complaint> {
        parse(&self.text).ok_or_else(|| self.invalid(setting))
    }

    /// The complaint that it is not valid.
    pub(crate) fn invalid(&self, setting: &Setting) -> Complaint {
        let complaint = setting.invalid_as(&self.name, self.text.as_bytes()).at(self.place.clone());
        // An address with a user name may hold a password.
        let may_be_secret = self.inline
            || self.text.contains('@')
                && matches!(
                    setting.kind,
                    Kind::Address | Kind::ClnAddress | Kind::HttpAddress | Kind::Socks5
                );
        if may_be_secret { Complaint { value: None, ..complaint } } else { complaint }
    }
}

/// The places where l402d's settings outside of backends are written.
#[derive(Clone, Copy)]
pub(crate) struct Layers<'a> {
    /// Wins.
    pub env: Env<'a>,
    /// `l402d.toml`.
    pub file: Option<&'a ConfigFile>,
}

impl Layers<'_> {
    /// The variable; an empty one counts as unset.
    pub(crate) fn in_env(&self, setting: &Setting) -> Option<Found> {
        let name = setting.env?;
        let text = (self.env)(name).filter(|text| !text.is_empty())?;
        Some(Found::new(name.to_owned(), text, None))
    }

    /// The variable, or else the file's key.
    pub(crate) fn find(&self, setting: &Setting) -> Result<Option<Found>, Complaint> {
        match (self.in_env(setting), self.file) {
            (Some(found), _) => Ok(Some(found)),
            (None, Some(file)) => file.find(setting),
            (None, None) => Ok(None),
        }
    }
}
