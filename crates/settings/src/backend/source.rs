//! Where one backend's settings are written, and what was wrong with those that were read.
use crate::source::Found;
use crate::{Complaint, Read, Setting};

/// The settings of one backend: a kind's builder asks it for each, and what is wrong is kept for the operator. So a
/// builder asks for all of them first, and only then gives up on what is not there.
pub(crate) struct Source<'a> {
    /// What is written for a setting.
    pub find: &'a dyn Fn(&Setting) -> Result<Option<Found>, Complaint>,
    /// The complaint that nothing is written for one that must be.
    pub missing: &'a dyn Fn(&Setting) -> Complaint,
    /// How files are read.
    pub read: Read<'a>,
    /// All that was wrong so far.
    pub complaints: Vec<Complaint>,
}

/// Reads what a setting holds, or the file that it names, and checks it.
pub(crate) type Check = fn(&Setting, &Found, Read<'_>) -> Result<Vec<u8>, Complaint>;

impl Source<'_> {
    /// A setting that must be there.
    pub(crate) fn required<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = self.needed(setting)?;
        self.keep(found.parse(setting, parse))
    }

    /// A setting that need not be there; an empty one counts as absent.
    pub(crate) fn optional<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = self.found(setting)?;
        self.keep(found.parse(setting, parse))
    }

    /// The content of a file that must be named.
    pub(crate) fn content(&mut self, setting: &Setting, check: Check) -> Option<Vec<u8>> {
        let found = self.needed(setting)?;
        self.keep(check(setting, &found, self.read).map_err(|complaint| complaint.at(found.place)))
    }

    /// The content of a file that may be named.
    pub(crate) fn optional_content(&mut self, setting: &Setting, check: Check) -> Option<Vec<u8>> {
        self.found(setting)?;
        self.content(setting, check)
    }

    /// What is written; an empty text counts as nothing.
    pub(crate) fn found(&mut self, setting: &Setting) -> Option<Found> {
        self.keep((self.find)(setting))?.filter(|found| !found.text.is_empty())
    }

    /// What is written, which must be something.
    fn needed(&mut self, setting: &Setting) -> Option<Found> {
        match (self.find)(setting) {
            Ok(Some(found)) if !found.text.is_empty() => Some(found),
            Ok(_) => self.keep(Err((self.missing)(setting))),
            Err(complaint) => self.keep(Err(complaint)),
        }
    }

    /// What went well; what did not is kept.
    pub(crate) fn keep<T>(&mut self, result: Result<T, Complaint>) -> Option<T> {
        result.map_err(|complaint| self.complaints.push(complaint)).ok()
    }
}
