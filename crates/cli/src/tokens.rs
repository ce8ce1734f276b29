//! The token store: one JSON file (0600) of what was bought and of payments in flight.
//!
//! A payment is recorded before it is made and stays locked to the run that makes it (`<file>.<hash>.paying`, an flock
//! that the kernel releases when the run ends, however it ends). A record without preimage whose lock is free is what
//! a crash left: the next run asks the wallet what became of it. Each change of the file is read-modify-write under
//! `<file>.lock` and lands by rename, so that parallel runs lose nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use l402::Preimage;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind};
use crate::place::{Place, Scope};

/// The layout of the file; another one is left alone.
const VERSION: u32 = 1;
/// An expired token is kept this long (seconds), in case the two clocks disagree.
const KEEP_EXPIRED: u64 = 86_400;
/// Paths remembered for a token that serves several.
const MAX_PATHS: usize = 64;

/// One purchase: what was asked for, what was paid, and, once it is, the preimage.
#[derive(Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Where the token is good.
    #[serde(flatten)]
    pub scope: Scope,
    /// The macaroon as the server wrote it. Secret where the server takes it alone (auto-detect).
    pub token: String,
    /// The invoice.
    pub invoice: String,
    /// Payment hash, hex.
    pub payment_hash: String,
    /// Price, msat.
    pub amount_msat: u64,
    /// The wallet that paid: a node's public key or, where it won't say, its address.
    pub wallet: String,
    /// When the purchase started, Unix seconds.
    pub started_at: u64,
    /// When the token expires, Unix seconds, as far as its caveats say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<u64>,
    /// The preimage, hex, once the payment is settled. Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preimage: Option<String>,
    /// The token says `uses=1`: one answer, and it is spent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

/// Everything but the credential.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("scope", &self.scope)
            .field("payment_hash", &self.payment_hash)
            .field("amount_msat", &self.amount_msat)
            .field("settled", &self.preimage.is_some())
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// A purchase that starts now.
    pub fn new(scope: Scope, token: &str, invoice: &str, payment_hash: &str, amount_msat: u64) -> Self {
        Self {
            scope,
            token: token.to_owned(),
            invoice: invoice.to_owned(),
            payment_hash: payment_hash.to_owned(),
            amount_msat,
            wallet: String::new(),
            started_at: 0,
            valid_until: None,
            preimage: None,
            once: false,
        }
    }

    /// Whether the payment is settled.
    pub const fn settled(&self) -> bool {
        self.preimage.is_some()
    }

    /// Notes the preimage.
    pub fn settle(&mut self, preimage: &Preimage) {
        self.preimage = Some(preimage.expose_hex());
    }

    /// The value of `Authorization`: the macaroon and its preimage, or the macaroon alone. Secret.
    pub fn authorization(&self, alone: bool) -> String {
        match &self.preimage {
            Some(preimage) if !alone => format!("L402 {}:{preimage}", self.token),
            _ => format!("L402 {}", self.token),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    tokens: Vec<Entry>,
}

/// The store at one path.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
}

/// The right to work on one purchase, held by the run that makes it; ends with the value or with the process.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _lock: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Removed while still locked; one who waits for it reads the store again and finds the purchase done.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Tokens {
    /// The store at `path`, whose directory is made (0700) where it is missing.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let store = Self { path };
        if let Some(dir) = store.path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(|error| store.failure("make the directory of", &error))?;
        }
        store.read()?;
        Ok(store)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What may serve a request: tokens for this place, or for the scope that a challenge named; newest first.
    /// What another run is buying at this moment is left out.
    pub fn candidates(&self, place: &Place, named: Option<&Scope>) -> Result<Vec<Entry>, Failure> {
        let mut found = self.read()?;
        found
            .retain(|entry| entry.scope.serves(place) || named.is_some_and(|scope| scope.same(&entry.scope)));
        found.retain(|entry| !self.is_claimed(entry));
        found.reverse();
        Ok(found)
    }

    /// The entry as it is now, if it is still there.
    pub fn get(&self, payment_hash: &str) -> Result<Option<Entry>, Failure> {
        Ok(self.read()?.into_iter().find(|entry| entry.payment_hash == payment_hash))
    }

    /// Takes the right to work on a purchase; `None` while another run has it.
    pub fn claim(&self, payment_hash: &str) -> Result<Option<Claim>, Failure> {
        let path = self.beside(&format!(".{payment_hash}.paying"));
        let lock = open_private(&path).map_err(|error| self.failure("lock an entry of", &error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Claim { path, _lock: lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(self.failure("lock an entry of", &error.into())),
        }
    }

    /// Writes an entry, in the place of one with the same payment hash. It is on disk when this returns.
    pub fn put(&self, entry: &Entry, now: u64) -> Result<(), Failure> {
        self.change(|tokens| {
            tokens.retain(|old| {
                old.payment_hash != entry.payment_hash
                    && old.valid_until.is_none_or(|end| now < end.saturating_add(KEEP_EXPIRED))
            });
            tokens.push(entry.clone());
        })
    }

    /// Removes an entry.
    pub fn drop_entry(&self, payment_hash: &str) -> Result<(), Failure> {
        self.change(|tokens| tokens.retain(|entry| entry.payment_hash != payment_hash))
    }

    /// Notes that a token served this place: one that serves once is spent, one that serves several places is
    /// remembered for this one too.
    pub fn served(&self, entry: &Entry, place: &Place) -> Result<(), Failure> {
        if entry.once {
            return self.drop_entry(&entry.payment_hash);
        }
        let Scope::Named { .. } = entry.scope else { return Ok(()) };
        if entry.scope.serves(place) {
            return Ok(());
        }
        self.change(|tokens| {
            for token in tokens.iter_mut().filter(|token| token.payment_hash == entry.payment_hash) {
                if let Scope::Named { paths, .. } = &mut token.scope
                    && !paths.contains(&place.path)
                {
                    paths.push(place.path.clone());
                    let excess = paths.len().saturating_sub(MAX_PATHS);
                    paths.drain(..excess);
                }
            }
        })
    }

    fn is_claimed(&self, entry: &Entry) -> bool {
        match File::open(self.beside(&format!(".{}.paying", entry.payment_hash))) {
            Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockShared).is_err(),
            Err(_) => false,
        }
    }

    fn change(&self, edit: impl FnOnce(&mut Vec<Entry>)) -> Result<(), Failure> {
        let lock = open_private(&self.beside(".lock")).map_err(|error| self.failure("lock", &error))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| self.failure("lock", &error.into()))?;
        let mut tokens = self.read()?;
        edit(&mut tokens);
        self.write(Contents { version: VERSION, tokens }).map_err(|error| self.failure("write", &error))
    }

    fn read(&self) -> Result<Vec<Entry>, Failure> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failure("read", &error)),
        };
        // The parser's own text may quote what it stumbled over, which may be a secret: only the place is told.
        let contents: Contents = serde_json::from_slice(&text).map_err(|error| {
            let text = format!(
                "{} is not a token store (line {}, column {}): it may hold paid tokens, so it was left alone; \
                 repair it or name another with --tokens",
                self.path.display(),
                error.line(),
                error.column()
            );
            Failure::new(Kind::Local, text)
        })?;
        if contents.version != VERSION {
            let text = format!(
                "{} has layout {}, this program knows {VERSION}: use the program that wrote it, or another --tokens",
                self.path.display(),
                contents.version
            );
            return Err(Failure::new(Kind::Local, text));
        }
        Ok(contents.tokens)
    }

    fn write(&self, contents: Contents) -> io::Result<()> {
        let fresh = self.beside(".new");
        let mut text = serde_json::to_vec_pretty(&contents)?;
        text.push(b'\n');
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        match self.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    }

    fn failure(&self, verb: &str, error: &io::Error) -> Failure {
        Failure::new(Kind::Local, format!("can't {verb} the token store {}: {error}", self.path.display()))
    }
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests;
