//! A till with a wallet of its own, on mints that all tests share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use ecash::{AcceptError, Lock, Options, Paid, RequestFormat, SecretKey, SeedSource, Terms, Till};
use serde_json::{Value, json};
use tokio::sync::RwLock;

use crate::rig::{self, Rig};
use crate::rude_mint::RudeMint;

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
    pub max_held_sat: u64,
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
        let (key, deadline, max_held_sat) = (None, Duration::from_secs(120), 0);
        Self { dir: tempfile::tempdir().unwrap(), terms, key, deadline, max_held_sat }
    }

    /// Knows one mint, by the address of a proxy before it; takes plain ecash, or such as is locked to a key of its own.
    pub fn behind(rig: &Rig, mint: usize, locked: bool) -> (RudeMint, Self) {
        let proxy = RudeMint::start(rig.url(mint));
        let mut shop = if locked { Self::locked(rig) } else { Self::new(rig) };
        shop.terms.mints = vec![proxy.url.parse().unwrap()];
        (proxy, shop)
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
        Self { dir: tempfile::tempdir().unwrap(), terms, key, deadline, max_held_sat: 0 }
    }

    pub fn key(&self) -> String {
        self.key.as_ref().unwrap().public_key().to_hex()
    }

    /// The key that ecash has to be locked to, if it has to be.
    pub fn lock(&self) -> Option<String> {
        self.key.as_ref().map(|key| key.public_key().to_hex())
    }

    /// A token that it takes, of a mint that it knows by a proxy's address; `more` as for [`Rig::token`].
    pub fn token(&self, rig: &Rig, mint: usize, proxy: &RudeMint, sat: u64, mut more: Value) -> String {
        if let Some(key) = self.lock() {
            more["lock"] = key.into();
        }
        rig.reencode(&rig.token(mint, sat, more), json!({"url": proxy.url}))
    }

    /// One number of the wallet's file.
    pub fn number(&self, question: &str) -> u64 {
        let open = rusqlite::Connection::open(self.database()).unwrap();
        open.query_row(question, [], |row| row.get(0)).unwrap()
    }

    /// Changes the file of a wallet whose till is not open.
    pub fn change(&self, statements: &str) {
        let open = rusqlite::Connection::open(self.database()).unwrap();
        open.busy_timeout(Duration::from_secs(10)).unwrap();
        open.execute_batch(statements).unwrap();
    }

    /// What was put off is due.
    pub fn try_again_now(&self) {
        self.change("UPDATE l402_payment SET again = 0");
    }

    /// What is lost by the wallet's file, in sat.
    pub fn lost(&self) -> u64 {
        ecash::Balance::read(&self.database()).unwrap().iter().map(|mint| mint.lost_sat).sum()
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("cashu.db")
    }

    /// The wallet's file is gone, its words are not.
    pub fn lose_the_file(&self) {
        for name in ["db", "db-wal", "db-shm"] {
            let path = self.database().with_extension(name);
            assert!(!path.exists() || std::fs::remove_file(path).is_ok());
        }
    }

    /// Another shop with a copy of this one's wallet, whose till is not open.
    pub fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        let (terms, key, deadline) = (self.terms.clone(), self.key.clone(), self.deadline);
        Self { dir, terms, key, deadline, max_held_sat: 0 }
    }

    pub fn options(&self) -> Options {
        Options {
            database: self.database(),
            seed: SeedSource::Kept(self.dir.path().join("cashu.mnemonic")),
            terms: self.terms.clone(),
            key: self.key.clone(),
            deadline: self.deadline,
            keep_s: 0,
            max_held_sat: self.max_held_sat,
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

/// The payment, by a client that comes back as it is told.
pub async fn pay_in_the_end(till: &Till, token: &str, sat: u64) -> Paid {
    let paid = async {
        loop {
            match pay(till, token, sat).await {
                Ok(paid) => return paid,
                Err(AcceptError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(180), paid).await.expect("the payment")
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
