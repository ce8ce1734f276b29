//! The file that holds ecash: a token a line, and a line for each step that a run may be killed in.
//!
//! ```text
//! cashuB…            money
//! swap {…}           being swapped at its mint: the inputs, and the secrets of the outputs
//! sent {…}           sent to a place, which has not served yet
//! refused {…}        locked to a server that refuses it; never sent again
//! ```
//!
//! It is locked while a run works with it (`<file>.lock`); each change is on disk, by rename, when it returns.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cashu::{CurrencyUnit, MintUrl, Token};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind};
use crate::place::Place;

/// One line.
#[derive(Clone)]
pub enum Line {
    /// A token that may be spent.
    Money(Box<Token>),
    /// A swap under way.
    Swap(Swap),
    /// A payment whose service has not come.
    Sent(Sent),
    /// A payment that its payee does not take, and that nobody else can.
    Refused(Sent),
    /// What is not for us to read; kept as it is.
    Other(String),
}

/// Money that is being swapped.
#[derive(Clone, Serialize, Deserialize)]
pub struct Swap {
    /// The mint.
    pub mint: MintUrl,
    /// What is swapped, as a token.
    pub inputs: String,
    /// The keyset of the outputs.
    pub keyset: cashu::Id,
    /// What stays here.
    pub keep: Vec<Output>,
    /// What is to be sent.
    pub send: Vec<Output>,
    /// Where to, and what for.
    pub to: Purchase,
}

/// An output that the mint is to sign.
#[derive(Clone, Serialize, Deserialize)]
pub struct Output {
    /// Sat.
    pub amount: u64,
    /// The secret (NUT-00).
    pub secret: String,
    /// The blinding factor, hex.
    pub r: String,
}

/// What a payment buys.
#[derive(Clone, Serialize, Deserialize)]
pub struct Purchase {
    /// scheme://host[:port]
    pub origin: String,
    /// The path.
    pub path: String,
    /// The method.
    pub method: String,
    /// The price, sat.
    pub sat: u64,
    /// Whether the ecash is locked to the server.
    pub locked: bool,
}

/// A payment that was sent.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sent {
    /// What it buys.
    #[serde(flatten)]
    pub to: Purchase,
    /// The ecash. Secret.
    pub token: String,
}

impl Purchase {
    /// Of a place at a price.
    pub fn of(place: &Place, sat: u64, locked: bool) -> Self {
        let Place { origin, path, method } = place.clone();
        Self { origin, path, method, sat, locked }
    }

    fn is_at(&self, place: &Place) -> bool {
        self.origin == place.origin && self.path == place.path && self.method == place.method
    }
}

/// The file, locked. `Debug` shows none of it.
pub struct Purse {
    path: PathBuf,
    /// Its lines.
    pub lines: Vec<Line>,
    _lock: File,
}

impl std::fmt::Debug for Purse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Purse").field("path", &self.path).field("lines", &self.lines.len()).finish()
    }
}

impl Purse {
    /// Waits until no other run works with it, and reads it.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        // A link is followed, or the rename would replace it.
        let path = std::fs::canonicalize(path).map_err(|error| failure(path, "read", &error))?;
        let lock_path = beside(&path, ".lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(|error| failure(&path, "lock", &error))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failure(&path, "lock", &error.into()))?;
        let text = std::fs::read_to_string(&path).map_err(|error| failure(&path, "read", &error))?;
        Ok(Self { path, lines: text.lines().map(read).collect(), _lock: lock })
    }

    /// Writes it. It is on disk when this returns.
    pub fn save(&self) -> Result<(), Failure> {
        self.write().map_err(|error| failure(&self.path, "write", &error))
    }

    /// The payment that was sent to this place and not served.
    pub fn sent_to(&self, place: &Place) -> Option<Sent> {
        self.lines.iter().find_map(|line| match line {
            Line::Sent(sent) if sent.to.is_at(place) => Some(sent.clone()),
            _ => None,
        })
    }

    /// Replaces the line of a payment that was sent.
    pub fn settle(&mut self, sent: &Sent, by: Option<Line>) -> Result<(), Failure> {
        self.lines.retain(|line| !matches!(line, Line::Sent(other) if other.token == sent.token));
        self.lines.extend(by);
        self.save()
    }

    fn write(&self) -> io::Result<()> {
        let fresh = beside(&self.path, ".new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(&line.text()?);
            text.push('\n');
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        // The path is absolute.
        self.path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}

impl Line {
    /// A token's line.
    pub fn money(token: Token) -> Self {
        Self::Money(Box::new(token))
    }

    fn text(&self) -> io::Result<String> {
        Ok(match self {
            Self::Money(token) => token.to_string(),
            Self::Swap(swap) => format!("swap {}", serde_json::to_string(swap)?),
            Self::Sent(sent) => format!("sent {}", serde_json::to_string(sent)?),
            Self::Refused(sent) => format!("refused {}", serde_json::to_string(sent)?),
            Self::Other(text) => text.clone(),
        })
    }
}

fn read(text: &str) -> Line {
    let other = || Line::Other(text.to_owned());
    match text.trim().split_once(' ') {
        Some(("swap", json)) => serde_json::from_str(json).map_or_else(|_| other(), Line::Swap),
        Some(("sent", json)) => serde_json::from_str(json).map_or_else(|_| other(), Line::Sent),
        Some(("refused", json)) => serde_json::from_str(json).map_or_else(|_| other(), Line::Refused),
        _ => match text.trim().parse::<Token>() {
            Ok(token) if is_ours(&token) => Line::money(token),
            Ok(_) | Err(_) => other(),
        },
    }
}

/// In sat, of one mint, and spendable by its holder.
fn is_ours(token: &Token) -> bool {
    let is_plain = |secret: &&cashu::secret::Secret| cashu::Nut10Secret::try_from(*secret).is_err();
    token.unit().is_none_or(|unit| unit == CurrencyUnit::Sat)
        && token.mint_url().is_ok()
        && token.token_secrets().iter().all(is_plain)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

fn failure(path: &Path, verb: &str, error: &io::Error) -> Failure {
    let text = format!("can't {verb} the ecash wallet {}: {error}", path.display());
    Failure::new(Kind::Local, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the specification's vectors (NUT-00): 2 and 8 sat of one mint, and in another form.
    const TOKEN: &str = "cashuBo2F0gqJhaUgA_9SLj17PgGFwgaNhYQFhc3hAYWNjMTI0MzVlN2I4NDg0YzNjZjE4NTAxNDkyMThhZjkwZjcxNmE1MmJmNGE1ZWQzNDdlNDhlY2MxM2Y3NzM4OGFjWCECRFODGd5IXVW-07KaZCvuWHk3WrnnpiDhHki6SCQh88-iYWlIAK0mjE0fWCZhcIKjYWECYXN4QDEzMjNkM2Q0NzA3YTU4YWQyZTIzYWRhNGU5ZjFmNDlmNWE1YjRhYzdiNzA4ZWIwZDYxZjczOGY0ODMwN2U4ZWVhY1ghAjRWqhENhLSsdHrr2Cw7AFrKUL9Ffr1XN6RBT6w659lNo2FhAWFzeEA1NmJjYmNiYjdjYzY0MDZiM2ZhNWQ1N2QyMTc0ZjRlZmY4YjQ0MDJiMTc2OTI2ZDNhNTdkM2MzZGNiYjU5ZDU3YWNYIQJzEpxXGeWZN5qXSmJjY8MzxWyvwObQGr5G1YCCgHicY2FtdWh0dHA6Ly9sb2NhbGhvc3Q6MzMzOGF1Y3NhdA==";

    fn sent() -> Sent {
        let to = Purchase {
            origin: "https://example.com".to_owned(),
            path: "/a".to_owned(),
            method: "GET".to_owned(),
            sat: 3,
            locked: false,
        };
        Sent { to, token: TOKEN.to_owned() }
    }

    fn place(path: &str) -> Place {
        Place { origin: "https://example.com".to_owned(), path: path.to_owned(), method: "GET".to_owned() }
    }

    #[test]
    fn what_it_writes_it_reads_and_what_it_can_not_read_it_keeps() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("purse");
        std::fs::write(&file, format!("# mine\n\n{TOKEN}\nswap half a line\ncashuB\n")).unwrap();
        let mut purse = Purse::open(&file).unwrap();
        assert!(matches!(purse.lines[2], Line::Money(_)));
        purse.lines.push(Line::Sent(sent()));
        purse.save().unwrap();
        drop(purse);
        let mut purse = Purse::open(&file).unwrap();
        assert!(purse.sent_to(&place("/b")).is_none());
        let found = purse.sent_to(&place("/a")).unwrap();
        assert_eq!(found.token, TOKEN);
        purse.settle(&found, Some(Line::Refused(sent()))).unwrap();
        assert!(purse.sent_to(&place("/a")).is_none());
        let text = std::fs::read_to_string(&file).unwrap();
        for kept in ["# mine\n", "\n\ncashuB", "swap half a line\n", "cashuB\n", "refused {"] {
            assert!(text.contains(kept), "{kept:?} in {text}");
        }
        assert!(!format!("{purse:?}").contains("cashu"), "{purse:?}");
    }

    #[test]
    fn one_run_at_a_time_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("purse");
        std::fs::write(&file, "").unwrap();
        let purse = Purse::open(&file).unwrap();
        let other = File::open(dir.path().join("purse.lock")).unwrap();
        assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_err());
        drop(purse);
        assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_ok());
    }
}
