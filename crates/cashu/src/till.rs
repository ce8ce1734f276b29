//! Takes tokens: checks them, records them, has them swapped, and says what payment they are.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cdk::nuts::{PublicKey, SecretKey};
use cdk_sqlite::WalletSqliteDatabase;
use sha2::{Digest, Sha256};
use tokio::{
    sync::{Notify, watch},
    task::{JoinSet, spawn_blocking},
};
use zeroize::Zeroizing;

use crate::http;
use crate::mint::{Mint, Wallet};
use crate::private_file;
use crate::record::{Put, Record, Row, State};
use crate::seed::{Seed, SeedError};
use crate::shared::{Ledger, Pieces, pieces};
use crate::swap::{Purse, Swapped};
use crate::tend::{forget, tend};
use crate::{
    AcceptError, Checked, Lock, Offered, OpenError, PaymentId, Refusal, SeedSource, Terms, Unavailable,
    WALLET_SCHEMA, check, sat_of_msat, unix_now,
};

/// How ecash is taken.
#[derive(Clone)]
pub struct Options {
    /// The wallet's SQLite file; made, with mode 0600, if it is not there.
    pub database: PathBuf,
    /// The wallet's seed.
    pub seed: SeedSource,
    /// What is accepted.
    pub terms: Terms,
    /// The key that [`Lock::Key`] names.
    pub key: Option<SecretKey>,
    /// The deadline of a call to a mint.
    pub deadline: Duration,
    /// For how long a payment that was swapped before it counted is remembered, in seconds; 0: for ever. Its proofs stay
    /// spent at the mint.
    pub keep_s: u64,
    /// How much may be held of one mint, in sat; 0: no bound. What is offered beyond it is refused.
    pub max_held_sat: u64,
    /// Where hosts tell each other which ecash they took, if there are others.
    pub ledger: Option<Arc<dyn Ledger>>,
}

/// A payment made with ecash. `Debug` shows no preimage.
#[derive(Clone, PartialEq, Eq)]
pub struct Paid {
    /// What its claims and its token go by: the SHA-256 of the preimage, as with Lightning.
    pub payment_hash: [u8; 32],
    /// Known to nobody but us and, with the token, the payer.
    pub preimage: Zeroizing<[u8; 32]>,
    /// When it was paid, in Unix seconds.
    pub at: u64,
}

impl fmt::Debug for Paid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash: String = self.payment_hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        f.debug_struct("Paid").field("payment_hash", &hash).field("at", &self.at).finish()
    }
}

/// Takes ecash. Dropping it stops its background work; what was taken is on disk.
pub struct Till {
    pub(crate) inner: Arc<Inner>,
    _background: JoinSet<()>,
}

pub(crate) struct Inner {
    pub(crate) terms: Terms,
    pub(crate) mints: Vec<Arc<Mint>>,
    pub(crate) purse: Purse,
    /// Tokens whose swap is under way: who comes with the same one waits for its outcome.
    pub(crate) swapping: Mutex<HashMap<PaymentId, watch::Receiver<Option<Outcome>>>>,
    pub(crate) held: Notify,
    /// The wallet's file.
    pub(crate) database: PathBuf,
    pub(crate) ledger: Option<Arc<dyn Ledger>>,
    keep_s: u64,
    max_held_sat: u64,
}

type Outcome = Result<Row, AcceptError>;

/// What is asked for with a token.
#[derive(Clone)]
struct Asked {
    price_msat: u64,
    bought: [u8; 32],
    payee: String,
    /// The names of its proofs.
    pieces: Pieces,
}

impl Till {
    /// Opens the wallet and starts what goes on in the background: learning the mints' keysets, redeeming what is held.
    /// It does not depend on a mint being up.
    ///
    /// # Errors
    /// [`OpenError`]: the operator's to mend.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let keep_s = options.keep_s;
        let inner = Inner::open(options, Seed::load).await?;
        let mut background = JoinSet::new();
        for mint in &inner.mints {
            background.spawn(tend(inner.clone(), mint.clone()));
        }
        if keep_s > 0 {
            background.spawn(forget(inner.clone(), keep_s));
        }
        Ok(Self { inner, _background: background })
    }

    /// Opens a wallet whose words are there, and nothing goes on in the background: for what is done once, also beside the
    /// till of another process. If its database is not there, it is made.
    ///
    /// # Errors
    /// [`OpenError`]: the operator's to mend.
    pub async fn at_rest(options: Options) -> Result<Self, OpenError> {
        let inner = Inner::open(options, Seed::load_existing).await?;
        Ok(Self { inner, _background: JoinSet::new() })
    }

    /// The payment request over a price, for the header of a 402 (NUT-24). A mint that does not enforce locks is left out where they
    /// are required; `None`: no mint is left.
    #[must_use]
    pub fn request(&self, price_msat: u64) -> Option<String> {
        let inner = &self.inner;
        if inner.terms.lock == Lock::None {
            return inner.terms.request(price_msat);
        }
        let usable = inner.mints.iter().filter(|mint| mint.says_of_locks() != Some(false));
        let mints: Vec<_> = usable.map(|mint| mint.url.clone()).collect();
        if mints.is_empty() {
            return None;
        }
        Terms { mints, ..inner.terms.clone() }.request(price_msat)
    }

    /// Makes a payment out of a token, once. The same proofs again, in any encoding, are the same payment, as long as they are to
    /// buy the same: `bought` is a digest of that. Its worth is `payee`'s from then on ([`Invoices`](crate::Invoices)).
    ///
    /// In standard mode the payment is swapped at its mint before this returns, and the swap goes on if this is dropped.
    ///
    /// # Errors
    /// [`AcceptError::Refused`]: no payment. [`AcceptError::Unavailable`]: not known; the same token may be tried again.
    pub async fn accept(
        &self,
        token: &str,
        price_msat: u64,
        bought: [u8; 32],
        payee: &str,
    ) -> Result<Paid, AcceptError> {
        let offered = Offered::parse(token)?;
        offered.is_of(&self.inner.terms)?;
        let pieces = pieces(offered.ys().iter().map(PublicKey::to_bytes));
        let asked = Asked { price_msat, bought, payee: payee.to_owned(), pieces };
        let inner = &self.inner;
        let row = match inner.purse.record.find(offered.id()).await? {
            Some(row) if row.is_paid() => inner.stand(row, &asked.pieces).await?,
            Some(row) => inner.clone().take_again(row, asked).await?,
            None => inner.clone().take(&offered, asked).await?,
        };
        // What has bought one thing buys no other.
        if row.bought != bought {
            return Err(Refusal::Spent.into());
        }
        if row.net_sat < sat_of_msat(price_msat) {
            return Err(Refusal::Amount.into());
        }
        Ok(Paid { payment_hash: Sha256::digest(*row.preimage).into(), preimage: row.preimage, at: row.at })
    }
}

impl Inner {
    async fn open(
        mut options: Options,
        load: fn(&SeedSource) -> Result<Seed, SeedError>,
    ) -> Result<Arc<Self>, OpenError> {
        options.terms.unify_mints();
        let path = options.database.clone();
        let found = spawn_blocking(move || Record::version(&path)).await;
        let found = found.map_err(|error| database(&options.database, error))?;
        match found.map_err(|error| database(&options.database, error))? {
            found if found > WALLET_SCHEMA => {
                return Err(OpenError::Newer { path: options.database, found });
            }
            _ => {}
        }
        let client = http::client(&options.terms.mints)?;
        let seed_source = options.seed.clone();
        let seed = spawn_blocking(move || load(&seed_source)).await;
        let seed = seed.map_err(|error| database(&options.database, error))??;
        let wallet = open_wallet(&options.database).await?;
        let (path, fingerprint) = (options.database.clone(), seed.fingerprint());
        let record = spawn_blocking(move || Record::open(&path, &fingerprint)).await;
        let record = record.map_err(|error| database(&options.database, error))?;
        let record = record.map_err(|error| database(&options.database, error))?;
        let record = record.ok_or_else(|| OpenError::OtherSeed { path: options.database.clone() })?;
        let record = Arc::new(record);
        let (mut mints, locked) = (Vec::new(), options.terms.lock != Lock::None);
        for url in &options.terms.mints {
            let (client, wallet, record) = (client.clone(), wallet.clone(), record.clone());
            let mint = Mint::new(url.clone(), client, wallet, record, options.deadline, locked);
            mint.recall().await;
            mints.push(Arc::new(mint));
        }
        let purse = Purse { wallet, record, seed, key: options.key };
        let (swapping, held) = (Mutex::default(), Notify::new());
        let Options { database, terms, ledger, keep_s, max_held_sat, .. } = options;
        Ok(Arc::new(Self { terms, mints, purse, swapping, held, database, ledger, keep_s, max_held_sat }))
    }

    /// How long payments are remembered that were swapped; those that were taken on sight, for ever: they would be again.
    pub(crate) fn keep(&self) -> Option<Duration> {
        let is_for_ever = self.keep_s == 0 || self.terms.lock != Lock::None;
        (!is_for_ever).then(|| Duration::from_secs(self.keep_s))
    }

    fn mint(&self, url: &str) -> Result<&Arc<Mint>, AcceptError> {
        self.mints.iter().find(|mint| mint.url.to_string() == url).ok_or_else(|| Refusal::Mint.into())
    }

    /// Checks a token that was not seen before, with what its mint says of its keysets and of locks.
    async fn examine(&self, mint: &Mint, offered: &Offered, price_msat: u64) -> Result<Checked, AcceptError> {
        let keysets = mint.keysets_with(|known| !offered.names_other_keysets(known.infos())).await?;
        let ids: HashSet<_> = offered.proofs(keysets.infos())?.iter().map(|proof| proof.keyset_id).collect();
        let keysets = mint.keysets_with_keys(ids).await?;
        let now = unix_now();
        let checked = check(offered, &self.terms, &keysets, price_msat, now)?;
        if keysets.for_outputs(now).is_none() && keysets.has_newer() {
            return Err(Refusal::NewerKeyset.into());
        }
        if self.terms.lock != Lock::None && !mint.enforces_locks().await? {
            return Err(Refusal::NoLocks.into());
        }
        tracing::debug!(payment = ?offered.id(), "payment checked");
        Ok(checked)
    }

    /// Records a token that was not seen before, and has it swapped unless it is locked to us: then it counts on sight, if its
    /// keysets are in use.
    async fn take(self: Arc<Self>, offered: &Offered, asked: Asked) -> Outcome {
        let mint = self.mint(&offered.mint().to_string())?;
        let checked = self.examine(mint, offered, asked.price_msat).await?;
        let proofs = serde_json::to_string(&checked.proofs).map_err(|_| Refusal::Malformed)?;
        let mut preimage = Zeroizing::new([0; 32]);
        getrandom::fill(&mut preimage[..])
            .map_err(|error| Unavailable::Store(format!("no random bytes: {error}")))?;
        let locked = self.terms.lock != Lock::None;
        let row = Row {
            id: offered.id(),
            state: if locked && checked.is_of_current_keysets { State::Held } else { State::Offered },
            at: unix_now(),
            mint: mint.url.to_string(),
            bought: asked.bought,
            payee: asked.payee.clone(),
            net_sat: checked.net_sat,
            preimage,
            proofs: Some(Zeroizing::new(proofs)),
            outputs: None,
            locked,
            lock_end: checked.lock_end,
            former_bundle: None,
            tries: 0,
        };
        let ys = offered.ys().iter().map(PublicKey::to_bytes).collect();
        let put = self.purse.record.put(row.clone(), ys, self.max_held_sat).await?;
        tracing::debug!(payment = ?row.id, "payment recorded");
        match put {
            Put::New if row.is_paid() => {
                let row = self.stand(row, &asked.pieces).await?;
                self.held.notify_waiters();
                Ok(row)
            }
            Put::Known(known) if known.is_paid() => self.stand(*known, &asked.pieces).await,
            Put::New => self.swap_once(row, asked.pieces).await,
            Put::Known(known) => self.take_again(*known, asked).await,
            Put::Taken { paid: true } => Err(Refusal::Spent.into()),
            Put::Taken { paid: false } => Err(Refusal::Pending.into()),
            Put::TooMuch => {
                tracing::warn!(
                    mint = %mint.url, at_most = self.max_held_sat,
                    "as much ecash of this mint waits to be redeemed as may be (CASHU_MAX_HELD_SATS); more is refused"
                );
                Err(Refusal::TooMuchHeld.into())
            }
        }
    }

    /// Has a token swapped that was offered before and whose outcome is not known. As nothing was granted for it, it may buy
    /// something else now.
    async fn take_again(self: Arc<Self>, row: Row, asked: Asked) -> Outcome {
        let Asked { price_msat, bought, payee, pieces } = asked;
        if row.net_sat < sat_of_msat(price_msat) {
            return Err(Refusal::Amount.into());
        }
        if row.bought != bought || row.payee != payee {
            self.purse.record.rebind(row.id, bought, payee).await?;
        }
        self.swap_once(row, pieces).await
    }

    /// Waits for the swap of this payment, and starts it if it is not under way. It goes on when nobody waits any more.
    async fn swap_once(self: Arc<Self>, row: Row, pieces: Pieces) -> Outcome {
        let mut outcome = {
            let mut swapping = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
            match swapping.get(&row.id) {
                // One whose task has died counts for nothing.
                Some(under_way) if under_way.has_changed().is_ok() => under_way.clone(),
                Some(_) | None => {
                    let (tell, outcome) = watch::channel(None);
                    swapping.insert(row.id, outcome.clone());
                    tokio::spawn(self.clone().swap(row, pieces, tell));
                    outcome
                }
            }
        };
        let stopped = || AcceptError::from(Unavailable::Store("the swap was given up".into()));
        let told = outcome.wait_for(Option::is_some).await.map_err(|_| stopped())?;
        told.clone().unwrap_or_else(|| Err(stopped()))
    }

    async fn swap(self: Arc<Self>, row: Row, pieces: Pieces, tell: watch::Sender<Option<Outcome>>) {
        let id = row.id;
        let outcome = self.swapped(row, &pieces).await;
        self.swapping.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        tell.send_replace(Some(outcome));
    }

    async fn swapped(&self, row: Row, pieces: &Pieces) -> Outcome {
        // Who waited for its turn may find it done, or gone: refused by the mint, or another host's.
        let Some(row) = self.purse.record.find(row.id).await? else {
            let theirs = self.begin(&row, pieces).await?;
            if theirs.is_none() {
                self.withdraw(&row, pieces).await;
            }
            return theirs.ok_or_else(|| Refusal::Spent.into());
        };
        if row.is_paid() {
            return self.stand(row, pieces).await;
        }
        if let Some(theirs) = self.begin(&row, pieces).await? {
            return Ok(theirs);
        }
        match self.purse.swap(self.mint(&row.mint)?, &row).await? {
            Swapped::Done => {
                let done = self.purse.record.find(row.id).await?;
                let done = done.ok_or_else(|| Unavailable::Store("a recorded payment is gone".into()))?;
                self.stand(done, pieces).await
            }
            Swapped::Refused(refusal) => {
                self.withdraw(&row, pieces).await;
                Err(refusal.into())
            }
            Swapped::Pending => Err(Refusal::Pending.into()),
            // What becomes of a payment that is paid already.
            Swapped::Postponed(_) | Swapped::Shrunk | Swapped::Lost => {
                Err(Unavailable::Store("a payment that was held is swapped already".into()).into())
            }
        }
    }
}

async fn open_wallet(path: &std::path::Path) -> Result<Wallet, OpenError> {
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| ".".as_ref());
    private_file::open(path, directory).map_err(|error| database(path, error))?;
    let wallet =
        WalletSqliteDatabase::new(path.to_path_buf()).await.map_err(|error| database(path, error))?;
    Ok(Arc::new(wallet))
}

fn database(path: &std::path::Path, reason: impl fmt::Display) -> OpenError {
    OpenError::Database { path: path.into(), reason: reason.to_string() }
}
