//! `l402d.toml` as its parser found it: which keys it may have, and what one says.
use crate::source::Found;
use crate::{
    BACKEND, BackendKind, Complaint, DEFAULT_BACKEND, Kind, LN_CLIENT_TYPE, SETTINGS, Secret, Setting, files,
    value,
};
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The key that holds the tables of backends.
const BACKENDS: &str = "backend";

/// A configuration file, parsed and not yet understood.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    mode: u32,
    entries: Vec<Entry>,
}

/// A key and what it holds.
#[derive(Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// What it holds.
    pub value: Value,
}

/// What a key holds.
#[derive(Debug)]
pub enum Value {
    /// A string. Any could be a secret.
    Text(Secret<String>),
    /// A whole number in decimal digits.
    Number(String),
    /// An array.
    List(Vec<Value>),
    /// A table.
    Table(Vec<Entry>),
    /// What no setting takes: "a date", say.
    Other(&'static str),
}

impl Value {
    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Secret::new(text.into()))
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(word) => word,
        }
    }
}

impl ConfigFile {
    /// The file at `path` with these permission bits.
    pub const fn new(path: PathBuf, mode: u32, entries: Vec<Entry>) -> Self {
        Self { path, mode, entries }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tables of backends: each name once, as the parser refuses a table that is written twice.
    pub(crate) fn backends(&self) -> Vec<(&str, Table<'_>)> {
        let entries = self.entries.iter().filter(|entry| entry.key == BACKENDS);
        let tables = entries.filter_map(|entry| match &entry.value {
            Value::Table(tables) => Some(tables),
            _ => None,
        });
        let backend = |entry: &'_ Entry| matches!(entry.value, Value::Table(_));
        let mut found: Vec<_> = tables
            .flatten()
            .filter(|entry| backend(entry))
            .map(|entry| (entry.key.as_str(), Table { file: self, entry }))
            .collect();
        found.sort_by_key(|(_, table)| table.entry.line);
        found
    }

    /// Keys that no setting has, and tables that are none: in the order of their lines.
    /// `default` is the kind of the backend of that name where the environment says it.
    pub(crate) fn unknown(&self, default: Option<BackendKind>) -> Vec<Complaint> {
        let mut found = Vec::new();
        let top: Vec<&str> = SETTINGS
            .iter()
            .filter(|setting| setting.is_in_file())
            .map(|setting| setting.key)
            .chain([BACKENDS])
            .collect();
        for entry in &self.entries {
            match &entry.value {
                Value::Table(tables) if entry.key == BACKENDS => {
                    for table in tables {
                        let kind = default.filter(|_| table.key == DEFAULT_BACKEND);
                        self.unknown_in_backend(table, kind, &mut found);
                    }
                }
                other if entry.key == BACKENDS => {
                    let problem = format!("is {}", other.word());
                    found.push((entry.line, Complaint::new(BACKENDS, problem, "a table, [backend.default]")));
                }
                _ if !top.contains(&entry.key.as_str()) => {
                    found.push((entry.line, is_not_known(&entry.key, None, "is not known", &top)));
                }
                _ => {}
            }
        }
        found.sort_by_key(|(line, _)| *line);
        found.into_iter().map(|(line, complaint)| complaint.at(Some(self.place(line)))).collect()
    }

    fn unknown_in_backend(
        &self,
        table: &Entry,
        kind: Option<BackendKind>,
        found: &mut Vec<(usize, Complaint)>,
    ) {
        let name = table.key.escape_debug().to_string();
        if let Err(complaint) = BACKEND.backend_name(table.key.as_bytes()) {
            let setting = format!("[backend.{name}]");
            found.push((table.line, Complaint { setting, value: None, ..complaint }));
        }
        let Value::Table(entries) = &table.value else {
            let problem = format!("is {}", table.value.word());
            let expected = format!("a table, [backend.{name}], or [backend.default] for the only one");
            found.push((table.line, Complaint::new(format!("backend.{name}"), problem, expected)));
            return;
        };
        let kind = kind.or_else(|| kind_of(entries));
        let known = BackendKind::keys(kind);
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let problem = BackendKind::unknown_key(kind, &entry.key);
            found.push((entry.line, is_not_known(&entry.key, Some(&name), &problem, &known)));
        }
    }

    /// What a key outside the tables says.
    pub(crate) fn find(&self, setting: &Setting) -> Result<Option<Found>, Complaint> {
        let entry = self.entries.iter().find(|entry| entry.key == setting.key);
        entry.map(|entry| self.read(setting, setting.key.to_owned(), entry)).transpose()
    }

    /// The list that a key outside the tables holds; one string is a list of one.
    pub(crate) fn find_list(&self, setting: &Setting) -> Result<Vec<Found>, Complaint> {
        let Some(entry) = self.entries.iter().find(|entry| entry.key == setting.key) else {
            return Ok(Vec::new());
        };
        let items = match &entry.value {
            Value::List(items) => &items[..],
            other => std::slice::from_ref(other),
        };
        let place = self.place(entry.line);
        let of = |item: &Value| match item {
            Value::Text(text) => Ok(text.expose().clone()),
            Value::Number(number) => Ok(number.clone()),
            other => Err(wrong_form(setting, setting.key, other).at(Some(place.clone()))),
        };
        let found = |text| Found::new(setting.key.to_owned(), text, Some(place.clone()));
        items.iter().map(|item| of(item).map(found)).collect()
    }

    fn read(&self, setting: &Setting, name: String, entry: &Entry) -> Result<Found, Complaint> {
        let place = Some(self.place(entry.line));
        let text = match &entry.value {
            Value::Text(text) => Zeroizing::new(text.expose().clone()),
            Value::Number(number) if setting.kind.is_number() => Zeroizing::new(number.clone()),
            other => return Err(wrong_form(setting, &name, other).at(place)),
        };
        let is_secret = match setting.kind {
            // Without a password it is no secret.
            Kind::RedisUrl => text.contains('@') || text.contains("pass"),
            Kind::MacaroonFile => files::is_inline_secret(&text),
            Kind::Rune => files::is_inline_rune(&text),
            kind if kind.is_secret() => true,
            _ => false,
        };
        if is_secret && self.mode & 0o007 != 0 {
            let problem =
                format!("is a secret in a file that every user may read (mode {:04o})", self.mode & 0o7777);
            return Err(
                Complaint::new(name, problem, "the path of a file, or chmod o-rwx on this one").at(place)
            );
        }
        let is_certificate = matches!(setting.kind, Kind::CertificateFile | Kind::ClnCertificateFile);
        let inline = is_secret || is_certificate && files::is_inline_pem(&text);
        let text = match self.path.parent() {
            Some(dir) if setting.kind.is_path() && !inline && !text.is_empty() => {
                Zeroizing::new(dir.join(text.as_str()).to_string_lossy().into_owned())
            }
            _ => text,
        };
        Ok(Found { name, text, place, inline })
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// A table of a backend.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    file: &'a ConfigFile,
    entry: &'a Entry,
}

impl Table<'_> {
    /// What a key of it says.
    pub(crate) fn find(&self, setting: &Setting) -> Result<Option<Found>, Complaint> {
        let Value::Table(entries) = &self.entry.value else { return Ok(None) };
        let entry = entries.iter().find(|entry| Some(entry.key.as_str()) == setting.block_key);
        entry.map(|entry| self.file.read(setting, self.name(setting), entry)).transpose()
    }

    /// The complaint about a key that is not there.
    pub(crate) fn missing(&self, setting: &Setting) -> Complaint {
        setting.missing_as(&self.name(setting)).at(Some(self.file.place(self.entry.line)))
    }

    fn name(&self, setting: &Setting) -> String {
        key_of(setting.block_key.unwrap_or(setting.key), Some(&self.entry.key.escape_debug().to_string()))
    }
}

impl fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[backend.{}]", self.entry.key)
    }
}

/// The kind that a table says it is of.
fn kind_of(entries: &[Entry]) -> Option<BackendKind> {
    let entry = entries.iter().find(|entry| Some(entry.key.as_str()) == LN_CLIENT_TYPE.block_key)?;
    match &entry.value {
        Value::Text(text) => BackendKind::of(text.expose()),
        _ => None,
    }
}

/// A key as complaints call it.
fn key_of(key: &str, backend: Option<&str>) -> String {
    let key = key.escape_debug();
    match backend {
        Some(name) => format!("{key} of [backend.{name}]"),
        None => key.to_string(),
    }
}

fn wrong_form(setting: &Setting, name: &str, value: &Value) -> Complaint {
    let quotes = match value {
        Value::Number(_) => ", in quotes",
        _ => "",
    };
    Complaint::new(name, format!("is {}", value.word()), format!("{}{quotes}", setting.kind.expected()))
}

/// Without its value, which could be a secret under a misspelt key.
fn is_not_known(key: &str, backend: Option<&str>, problem: &str, known: &[&str]) -> Complaint {
    let all = format!("one of {}", known.join(", "));
    let expected = match nearest(key, known) {
        Some(near) => format!("{near}, or another {all}"),
        None => all,
    };
    Complaint::new(key_of(key, backend), problem, expected)
}

/// The known name that differs least, if it differs by little.
fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    let written = written.to_lowercase().replace('-', "_");
    let by_distance = known.iter().map(|name| (value::distance(&written, name), *name));
    by_distance.min().filter(|(distance, name)| *distance <= 1 + name.len() / 4).map(|(_, name)| name)
}
