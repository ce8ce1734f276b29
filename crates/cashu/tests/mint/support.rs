//! A till with a wallet of its own, on mints that all tests share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use ecash::{AcceptError, Lock, Options, Paid, RequestFormat, SecretKey, SeedSource, Terms, Till};
use tokio::sync::RwLock;

use crate::rig::{self, Rig};

pub const BOUGHT: [u8; 32] = [7; 32];
pub const PAYEE: &str = "default";

static MISSING: OnceLock<Option<String>> = OnceLock::new();
/// Whoever stops a mint has the mints for itself.
pub static MINTS: RwLock<()> = RwLock::const_new(());

/// The mints, or `None` with a word about it.
pub fn mints() -> Option<&'static Rig> {
    let missing = MISSING.get_or_init(|| rig::missing(rig::repository()).inspect(|why| eprintln!("{why}")));
    missing.is_none().then(Rig::shared)
}

/// A wallet's directory and how its till is opened.
pub struct Shop {
    dir: tempfile::TempDir,
    pub terms: Terms,
    key: Option<SecretKey>,
    pub deadline: Duration,
}

impl Shop {
    /// Takes plain ecash of both mints.
    pub fn new(rig: &Rig) -> Self {
        let terms = Terms {
            mints: rig.urls.iter().map(|url| url.parse().unwrap()).collect(),
            lock: Lock::None,
            require_dleq: false,
            format: RequestFormat::A,
        };
        Self { dir: tempfile::tempdir().unwrap(), terms, key: None, deadline: Duration::from_secs(120) }
    }

    /// Takes ecash that is locked to a key of its own.
    pub fn locked(rig: &Rig) -> Self {
        let key = SecretKey::generate();
        let mut shop = Self::new(rig);
        shop.terms.lock = Lock::Key(key.public_key());
        shop.key = Some(key);
        shop
    }

    /// Another wallet, with the key of this one.
    pub fn of_key(other: &Self) -> Self {
        let (terms, key, deadline) = (other.terms.clone(), other.key.clone(), other.deadline);
        Self { dir: tempfile::tempdir().unwrap(), terms, key, deadline }
    }

    pub fn key(&self) -> String {
        self.key.as_ref().unwrap().public_key().to_hex()
    }

    /// The key that ecash has to be locked to, if it has to be.
    pub fn lock(&self) -> Option<String> {
        self.key.as_ref().map(|key| key.public_key().to_hex())
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("cashu.db")
    }

    /// Another shop with a copy of this one's wallet, whose till is not open.
    pub fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        Self { dir, terms: self.terms.clone(), key: self.key.clone(), deadline: self.deadline }
    }

    pub fn options(&self) -> Options {
        Options {
            database: self.database(),
            seed: SeedSource::Kept(self.dir.path().join("cashu.mnemonic")),
            terms: self.terms.clone(),
            key: self.key.clone(),
            deadline: self.deadline,
            keep_s: 0,
            max_held_sat: 0,
            ledger: None,
        }
    }

    pub async fn open(&self) -> Till {
        Till::open(self.options()).await.unwrap()
    }
}

/// What the wallet holds, swapped or not, in sat.
pub async fn total(till: &Till) -> u64 {
    till.balance().await.unwrap().iter().map(|mint| mint.wallet_sat + mint.held_sat).sum()
}

/// Pays `sat` with a token.
pub async fn pay(till: &Till, token: &str, sat: u64) -> Result<Paid, AcceptError> {
    till.accept(token, sat * 1000, BOUGHT, PAYEE).await
}

/// Nothing is held any more.
pub async fn at_rest(till: &Till) {
    let done = async {
        while till.balance().await.unwrap().iter().any(|mint| mint.held_sat > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(180), done).await.expect("redeemed");
}
