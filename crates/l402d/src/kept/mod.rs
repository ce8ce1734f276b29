//! `l402d backup`, `verify` and `restore`: what must not be lost, kept in a folder and put back.
//!
//! ```text
//! backup:  state directory, ecash wallet ─▶ folder, its manifest last
//! verify:  manifest ─▶ each file's digest, each database's pages and schema
//! restore: verify, then the folder ─▶ state directory, the root keys first
//! ```

mod backup;
mod files;
mod manifest;
mod restore;

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use settings::AgentConfig;

use crate::{
    Args,
    args::{Kept, Verify},
    config, keys, open_store, till,
};
use manifest::Manifest;

/// The backup can't be used.
const USELESS: u8 = 1;
/// Nothing could be done: the command line, the configuration, or who runs this.
const USAGE: u8 = 2;

/// The names in a backup.
const STORE: &str = open_store::DATABASE;
const WALLET: &str = till::DATABASE;
const WORDS: &str = "cashu.mnemonic";
const KEYS: &str = keys::FILE;

type Failed = Box<dyn Error + Send + Sync>;

/// Where the files of a configuration are.
struct Places {
    config: AgentConfig,
    wallet: PathBuf,
}

impl Places {
    fn of(args: &Kept) -> Result<Self, Failed> {
        let arguments =
            Args { config: args.config.clone(), state_dir: args.state_dir.clone(), ..Args::default() };
        let config = config::of_wallet(&arguments)
            .map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let wallet = till::database(config.ecash.as_ref(), &config.state_dir);
        Ok(Self { config, wallet })
    }

    /// Where the file of this name in a backup comes from, and goes to.
    fn place(&self, name: &str) -> PathBuf {
        match name {
            WALLET => self.wallet.clone(),
            WORDS => self.wallet.with_extension("mnemonic"),
            other => self.config.state_dir.join(other),
        }
    }
}

/// Makes a backup.
pub fn backup(args: &Kept) -> ExitCode {
    match Places::of(args).and_then(|places| backup::backup(&places, &args.dir)) {
        Ok(manifest) => told("backup", 0, &described("backed up", &args.dir, &manifest)),
        Err(error) => complained("backup", USAGE, &error),
    }
}

/// Checks a backup.
pub fn verify(args: &Verify) -> ExitCode {
    match checked(&args.dir) {
        Ok(manifest) => told("verify", 0, &described("can be restored", &args.dir, &manifest)),
        Err((code, error)) => complained("verify", code, &error),
    }
}

/// Puts a backup back.
pub fn restore(args: &Kept) -> ExitCode {
    let manifest = match checked(&args.dir) {
        Ok(manifest) => manifest,
        Err((code, error)) => return complained("restore", code, &error),
    };
    let restored = Places::of(args).and_then(|places| restore::restore(&places, &args.dir, &manifest));
    match restored {
        Ok(next) => {
            let text = described("restored", &args.dir, &manifest);
            told("restore", 0, &(text + &next))
        }
        Err(error) => complained("restore", USAGE, &error),
    }
}

/// The manifest of a backup that is sound, or the exit code and the reason.
fn checked(dir: &Path) -> Result<Manifest, (u8, Failed)> {
    let manifest = Manifest::read(dir).map_err(|error| (USAGE, error))?;
    manifest.check(dir).map_err(|error| (USELESS, error))?;
    Ok(manifest)
}

fn described(what: &str, dir: &Path, manifest: &Manifest) -> String {
    let mut text = format!("{}: {what}, made {} (Unix seconds)\n", dir.display(), manifest.made_at);
    for file in &manifest.files {
        text += &format!("  {:<24} {:>12} bytes\n", file.name, file.bytes);
    }
    text
}

fn told(command: &str, code: u8, text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::from(code),
        Err(error) => complained(command, USAGE, &format!("can't write: {error}").into()),
    }
}

fn complained(command: &str, code: u8, error: &Failed) -> ExitCode {
    for line in error.to_string().lines() {
        // Where nobody reads standard error, nobody can be told.
        let _ = writeln!(io::stderr(), "l402d {command}: {line}");
    }
    ExitCode::from(code)
}
