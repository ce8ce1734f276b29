//! One accepted mint: its API, what is known of its keysets, and how much is asked of it at once.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cdk::cdk_database::WalletDatabase;
use cdk::mint_url::MintUrl;
use cdk::nuts::KeySetInfo;
use cdk::wallet::{HttpClient, MintConnector};
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{Keysets, Unavailable};

/// Where the wallet's ecash is kept.
pub(crate) type Wallet = Arc<dyn WalletDatabase<cdk::cdk_database::Error> + Send + Sync>;

/// Calls under way at once: a mint answers a few dozen in parallel as fast as it answers at all.
const AT_ONCE: usize = 32;
/// Calls that may wait for their turn; beyond it the answer is "busy" at once.
const WAITING: usize = 512;
/// A token of an unknown keyset, or one that the mint refuses, makes us ask the mint for its keysets again, but not more often
/// than this: what is in it is the client's word.
pub(crate) const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Retired keysets whose keys are fetched at most: ecash of them is still good.
const RETIRED: usize = 32;

/// A mint.
pub(crate) struct Mint {
    pub(crate) url: MintUrl,
    client: Arc<dyn MintConnector + Send + Sync>,
    wallet: Wallet,
    deadline: Duration,
    places: Semaphore,
    turns: Semaphore,
    known: Mutex<Known>,
    refreshing: AsyncMutex<()>,
}

#[derive(Default)]
struct Known {
    keysets: Option<Arc<Keysets>>,
    /// When the mint was asked last, whatever it said.
    asked: Option<Instant>,
}

impl Mint {
    pub(crate) fn new(url: MintUrl, wallet: Wallet, deadline: Duration) -> Self {
        Self {
            client: Arc::new(HttpClient::new(url.clone(), None)),
            url,
            wallet,
            deadline,
            places: Semaphore::new(AT_ONCE + WAITING),
            turns: Semaphore::new(AT_ONCE),
            known: Mutex::default(),
            refreshing: AsyncMutex::new(()),
        }
    }

    /// One call of the mint, when its turn comes and within the deadline. The inner error is the mint's.
    pub(crate) async fn call<'a, T, F>(
        &'a self,
        ask: impl FnOnce(&'a (dyn MintConnector + Send + Sync)) -> F,
    ) -> Result<Result<T, cdk::Error>, Unavailable>
    where
        F: Future<Output = Result<T, cdk::Error>> + 'a,
    {
        let work = async {
            let _turn = self.turn().await?;
            Ok(ask(&*self.client).await)
        };
        match timeout(self.deadline, work).await {
            Ok(answered) => answered,
            Err(_) => Err(self.unavailable("it did not answer in time")),
        }
    }

    async fn turn(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), Unavailable> {
        let busy = || Unavailable::Busy { mint: self.url.to_string() };
        let place = self.places.try_acquire().map_err(|_| busy())?;
        // The semaphore is never closed.
        let turn = self.turns.acquire().await.map_err(|_| busy())?;
        Ok((place, turn))
    }

    pub(crate) fn unavailable(&self, reason: impl Into<String>) -> Unavailable {
        Unavailable::Mint { mint: self.url.to_string(), reason: reason.into() }
    }

    /// What was learnt before this process started: enough to verify ecash while the mint is away.
    pub(crate) async fn recall(&self) {
        let Ok(Some(infos)) = self.wallet.get_mint_keysets(self.url.clone()).await else { return };
        let mut keysets = Vec::new();
        for info in &infos {
            if let Ok(Some(keys)) = self.wallet.get_keys(&info.id).await {
                keysets.push(with_keys(info, keys));
            }
        }
        self.lock().keysets = Some(Arc::new(Keysets::new(infos, keysets)));
    }

    /// What is known of its keysets; the mint is asked only if nothing is.
    pub(crate) async fn keysets(&self) -> Result<Arc<Keysets>, Unavailable> {
        let known = self.lock().keysets.clone();
        match known {
            Some(known) => Ok(known),
            None => self.refresh(Duration::ZERO).await,
        }
    }

    /// As [`Mint::keysets`], and the mint is asked if what is known will not do.
    pub(crate) async fn keysets_with(
        &self,
        will_do: impl FnOnce(&Keysets) -> bool,
    ) -> Result<Arc<Keysets>, Unavailable> {
        let known = self.keysets().await?;
        if will_do(&known) { Ok(known) } else { self.refresh(ASK_AGAIN_AFTER).await }
    }

    /// Asks the mint for its keysets, unless it was asked within `not_within`.
    pub(crate) async fn refresh(&self, not_within: Duration) -> Result<Arc<Keysets>, Unavailable> {
        let arrived = Instant::now();
        let _one_at_a_time = self.refreshing.lock().await;
        {
            let known = self.lock();
            let lately = known.asked.is_some_and(|asked| asked > arrived || asked.elapsed() < not_within);
            if let (true, Some(keysets)) = (lately, &known.keysets) {
                return Ok(keysets.clone());
            }
        }
        let fetched = self.fetch().await;
        let mut known = self.lock();
        known.asked = Some(Instant::now());
        let keysets = Arc::new(fetched?);
        known.keysets = Some(keysets.clone());
        Ok(keysets)
    }

    async fn fetch(&self) -> Result<Keysets, Unavailable> {
        let failed = |error: cdk::Error| self.unavailable(error.to_string());
        let all = self.call(|mint| mint.get_mint_keysets()).await?.map_err(failed)?.keysets;
        let known = self.lock().keysets.clone().unwrap_or_default();
        let (active, retired): (Vec<_>, Vec<_>) = all.iter().partition(|info| info.active);
        let mut keysets = Vec::new();
        for info in active.into_iter().chain(retired.into_iter().take(RETIRED)) {
            match known.keys(&info.id) {
                Some(keys) => keysets.push(with_keys(info, keys.clone())),
                None => keysets.push(self.call(|mint| mint.get_mint_keyset(info.id)).await?.map_err(failed)?),
            }
        }
        self.keep(&all, &keysets).await;
        Ok(Keysets::new(all, keysets))
    }

    /// Keeps what was learnt, for the wallet and for the next start. If that fails the mint is asked again then.
    async fn keep(&self, infos: &[KeySetInfo], keysets: &[cdk::nuts::KeySet]) {
        let keep = async {
            self.wallet.add_mint(self.url.clone(), None).await?;
            self.wallet.add_mint_keysets(self.url.clone(), infos.to_vec()).await?;
            for keyset in keysets {
                if self.wallet.get_keys(&keyset.id).await?.is_none() {
                    self.wallet.add_keys(keyset.clone()).await?;
                }
            }
            Ok::<_, cdk::cdk_database::Error>(())
        };
        if let Err(error) = keep.await {
            tracing::warn!(mint = %self.url, %error, "the mint's keysets can't be kept in the ecash wallet");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // Nothing that holds it can leave it half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_keys(info: &KeySetInfo, keys: cdk::nuts::Keys) -> cdk::nuts::KeySet {
    cdk::nuts::KeySet {
        id: info.id,
        unit: info.unit.clone(),
        active: Some(info.active),
        keys,
        input_fee_ppk: info.input_fee_ppk,
        final_expiry: info.final_expiry,
    }
}
