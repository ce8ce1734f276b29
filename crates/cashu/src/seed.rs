//! The wallet's seed: a mnemonic that is given, or one that is made once and kept.

use std::{
    fmt, fs, io,
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use bip39::Mnemonic;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Where the mnemonic is from (NUT-13, BIP 39).
#[derive(Clone)]
pub enum SeedSource {
    /// Its words.
    Words(Zeroizing<String>),
    /// A file that holds them, and that is made with new ones if it is not there.
    Kept(PathBuf),
}

/// Shows no words.
impl fmt::Debug for SeedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(_) => f.write_str("Words([redacted])"),
            Self::Kept(path) => f.debug_tuple("Kept").field(path).finish(),
        }
    }
}

/// What is wrong with the mnemonic: the operator's to mend. The texts hold no word of it.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// It is none.
    #[error("the ecash mnemonic is not one of BIP 39 in English: 12 to 24 words with their checksum")]
    NotMnemonic,
    /// Its file can't be read or made.
    #[error("the ecash mnemonic's file {}: {source}; it must be readable by l402d's user", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not there, and a new one would be another wallet's.
    #[error("there is no ecash mnemonic {}: put back the copy that was kept of this file, or of its words", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error("every user may read or write the ecash mnemonic's file {} (mode {mode:04o}); run chmod 600 on it", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// The seed that everything of the wallet is derived from.
pub(crate) struct Seed(pub(crate) Zeroizing<[u8; 64]>);

impl Seed {
    /// Of words that are there already: none are made.
    pub(crate) fn load_existing(source: &SeedSource) -> Result<Self, SeedError> {
        match source {
            SeedSource::Kept(path) if !path.exists() => Err(SeedError::Missing { path: path.into() }),
            SeedSource::Kept(_) | SeedSource::Words(_) => Self::load(source),
        }
    }

    pub(crate) fn load(source: &SeedSource) -> Result<Self, SeedError> {
        let words = match source {
            SeedSource::Words(words) => words.clone(),
            SeedSource::Kept(path) => kept(path)?,
        };
        let words: Vec<&str> = words.split_whitespace().collect();
        let text = Zeroizing::new(words.join(" "));
        let mnemonic = Mnemonic::parse_normalized(&text).map_err(|_| SeedError::NotMnemonic)?;
        Ok(Self(Zeroizing::new(mnemonic.to_seed_normalized(""))))
    }

    /// Tells seeds apart without telling anything of them.
    pub(crate) fn fingerprint(&self) -> [u8; 8] {
        let hash = Sha256::new().chain_update(b"l402 ecash wallet").chain_update(&self.0[..]).finalize();
        std::array::from_fn(|at| hash[at])
    }
}

fn kept(path: &Path) -> Result<Zeroizing<String>, SeedError> {
    let failed = |source| SeedError::File { path: path.into(), source };
    match fs::File::open(path) {
        Ok(mut file) => {
            let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
            if mode & 0o007 != 0 {
                return Err(SeedError::TooOpen { path: path.into(), mode });
            }
            let mut text = Zeroizing::new(String::with_capacity(1024));
            file.read_to_string(&mut text).map_err(failed)?;
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// Writes a new mnemonic aside and gives it its name only if nobody was faster: two processes that start at once have one.
fn make(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut entropy = Zeroizing::new([0; 16]);
    getrandom::fill(&mut entropy[..]).map_err(io::Error::other)?;
    let mnemonic = Mnemonic::from_entropy(&entropy[..]).map_err(io::Error::other)?;
    let words = Zeroizing::new(mnemonic.to_string());
    let aside = path.with_extension(format!("new.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let written =
        file.write_all(words.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all());
    let named = written.and_then(|()| fs::hard_link(&aside, path));
    fs::remove_file(&aside)?;
    match named {
        Ok(()) => {
            if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
                fs::File::open(dir)?.sync_all()?;
            }
            tracing::warn!(file = %path.display(), "made a mnemonic for the ecash wallet; keep a copy of this file in a safe place");
            Ok(words)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::read_to_string(path).map(Zeroizing::new)
        }
        Err(error) => Err(error),
    }
}
