//! What is in a backup. It is written last: a folder without it is no whole backup.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use ecash::{OpenError, WALLET_SCHEMA};
use serde::{Deserialize, Serialize};
use store::{SqliteStore, snapshot};

use super::{Failed, KEYS, STORE, WALLET, WORDS, files};
use crate::keys;

/// Its file.
const FILE: &str = "manifest.json";
/// The layout of a backup that this release writes and reads.
const FORMAT: u32 = 1;

/// The list of a backup's files.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Manifest {
    format: u32,
    /// The release that made it.
    l402d: String,
    /// When, in Unix seconds.
    pub(super) made_at: u64,
    pub(super) files: Vec<Listed>,
}

/// One file.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) bytes: u64,
    sha256: String,
}

impl Manifest {
    /// Lists these files of a folder.
    pub(super) fn of(dir: &Path, names: &[String]) -> Result<Self, Failed> {
        let mut listed = Vec::new();
        for name in names {
            let path = dir.join(name);
            let (bytes, sha256) = files::digest(&path).map_err(files::at(&path))?;
            listed.push(Listed { name: name.clone(), bytes, sha256 });
        }
        let made_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(Self { format: FORMAT, l402d: env!("CARGO_PKG_VERSION").into(), made_at, files: listed })
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), Failed> {
        let path = dir.join(FILE);
        let text = serde_json::to_string_pretty(self)? + "\n";
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| files::sync(dir))
            .map_err(files::at(&path))
    }

    pub(super) fn read(dir: &Path) -> Result<Self, Failed> {
        let path = dir.join(FILE);
        let text = fs::read(&path).map_err(files::at(&path))?;
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| format!("{} is no manifest of a backup: {error}", path.display()))?;
        if manifest.format != FORMAT {
            let (found, by) = (manifest.format, &manifest.l402d);
            let error =
                format!("{} is of format {found}, made by l402d {by:?}; upgrade l402d", path.display());
            return Err(error.into());
        }
        if let Some(file) = manifest.files.iter().find(|file| !is_known(&file.name)) {
            let name = &file.name;
            return Err(format!("{} names {name:?}, which no backup holds", path.display()).into());
        }
        Ok(manifest)
    }

    /// Checks that each file is what it was, and of use to this release.
    pub(super) fn check(&self, dir: &Path) -> Result<(), Failed> {
        for Listed { name, bytes, sha256 } in &self.files {
            let path = dir.join(name);
            let found = files::digest(&path).map_err(files::at(&path))?;
            if found != (*bytes, sha256.clone()) {
                return Err(format!(
                    "{} is not what was backed up: it was changed or damaged",
                    path.display()
                )
                .into());
            }
            match name.as_str() {
                STORE => SqliteStore::check(&path)?,
                WALLET => check_wallet(&path)?,
                KEYS => keys::check(&path)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn check_wallet(path: &Path) -> Result<(), Failed> {
    snapshot::check(path)?;
    match snapshot::schema_version(path)? {
        found if found > WALLET_SCHEMA => Err(OpenError::Newer { path: path.into(), found }.into()),
        _ => Ok(()),
    }
}

/// A name that a backup may hold: in particular none with a path in it.
pub(super) fn is_known(name: &str) -> bool {
    [STORE, WALLET, WORDS, KEYS].contains(&name) || is_lnc_keys(name)
}

/// The session keys of a Lightning Node Connect pairing.
pub(super) fn is_lnc_keys(name: &str) -> bool {
    let pairing = name.strip_prefix("lnc-").and_then(|rest| rest.strip_suffix(".keys"));
    pairing.is_some_and(|pairing| !pairing.is_empty() && !pairing.contains('/'))
}
