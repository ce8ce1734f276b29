//! One accepted mint: its API, and how much is asked of it at once. What is known of its keysets is in `mint/known.rs`.

mod known;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cdk::cdk_database::WalletDatabase;
use cdk::mint_url::MintUrl;
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::Unavailable;
use crate::api::{Answer, Api, Fault, Word};
use crate::record::Record;
use known::Known;

pub(crate) use known::ASK_AGAIN_AFTER;

/// Where the wallet's ecash is kept.
pub(crate) type Wallet = Arc<dyn WalletDatabase<cdk::cdk_database::Error> + Send + Sync>;

/// Calls under way at once: a mint answers a few dozen in parallel as fast as it answers at all.
const AT_ONCE: usize = 32;
/// Calls that may wait for their turn; beyond it the answer is "busy" at once.
const WAITING: usize = 512;
/// Proofs in one request, as far as is known: what cdk's and Nutshell's mints take.
const INPUTS: usize = 1000;
/// How long a mint's smaller bound is believed: it may have been that of something before it.
const BOUND_FOR: Duration = Duration::from_secs(3600);

/// A mint.
pub(crate) struct Mint {
    pub(crate) url: MintUrl,
    api: Api,
    wallet: Wallet,
    record: Arc<Record>,
    deadline: Duration,
    places: Semaphore,
    turns: Semaphore,
    limits: Mutex<Limits>,
    /// Whether it matters that it enforces locks (NUT-11).
    locked: bool,
    known: Mutex<Known>,
    refreshing: AsyncMutex<()>,
    learning: AsyncMutex<()>,
}

/// What the mint has asked for.
#[derive(Default)]
struct Limits {
    /// Until when it is to be left alone.
    alone_until: Option<Instant>,
    /// Proofs in one request, and until when that is believed.
    inputs: Option<(usize, Instant)>,
}

impl Mint {
    /// `locked`: whether ecash is taken on the strength of its lock.
    pub(crate) fn new(
        url: MintUrl,
        client: reqwest::Client,
        wallet: Wallet,
        record: Arc<Record>,
        deadline: Duration,
        locked: bool,
    ) -> Self {
        Self {
            api: Api::new(url.clone(), client),
            url,
            wallet,
            record,
            deadline,
            places: Semaphore::new(AT_ONCE + WAITING),
            turns: Semaphore::new(AT_ONCE),
            limits: Mutex::default(),
            locked,
            known: Mutex::default(),
            refreshing: AsyncMutex::new(()),
            learning: AsyncMutex::new(()),
        }
    }

    /// One call of the mint, when its turn comes and within the deadline. The inner error is the mint's own; the outer one says
    /// that there is no answer of the mint's.
    pub(crate) async fn call<'a, T, F>(
        &'a self,
        ask: impl FnOnce(&'a Api) -> F,
    ) -> Result<Result<T, Word>, Unavailable>
    where
        F: Future<Output = Answer<T>>,
    {
        let work = async {
            self.may_be_asked()?;
            let _turn = self.turn().await?;
            self.may_be_asked()?;
            ask(&self.api).await.map_err(|fault| self.failed(fault))
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

    /// How long the mint is to be left alone, if it has asked for that.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let until = self.limits().alone_until?;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    fn may_be_asked(&self) -> Result<(), Unavailable> {
        let Some(left) = self.pause() else { return Ok(()) };
        Err(self.unavailable_for(left, "it limits how often it is asked"))
    }

    fn failed(&self, Fault { reason, pause }: Fault) -> Unavailable {
        let Some(pause) = pause else { return self.unavailable(reason) };
        let until = Instant::now() + pause;
        let mut limits = self.limits();
        limits.alone_until = Some(limits.alone_until.map_or(until, |before| before.max(until)));
        drop(limits);
        self.unavailable_for(pause, reason)
    }

    pub(crate) fn unavailable(&self, reason: impl Into<String>) -> Unavailable {
        Unavailable::Mint { mint: self.url.to_string(), reason: reason.into(), retry_after_s: None }
    }

    fn unavailable_for(&self, pause: Duration, reason: impl Into<String>) -> Unavailable {
        let seconds = u32::try_from(pause.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        Unavailable::Mint {
            mint: self.url.to_string(),
            reason: reason.into(),
            retry_after_s: Some(seconds.max(1)),
        }
    }

    /// Proofs that one request to the mint may hold.
    pub(crate) fn inputs_at_most(&self) -> usize {
        let bound = self.limits().inputs.filter(|(_, until)| Instant::now() < *until);
        bound.map_or(INPUTS, |(inputs, _)| inputs)
    }

    /// The mint, or what stands before it, refused a request of so many proofs for its size: half of them may do.
    pub(crate) fn too_many_inputs(&self, inputs: usize) {
        let half = (inputs / 2).max(1).min(self.inputs_at_most());
        self.limits().inputs = Some((half, Instant::now() + BOUND_FOR));
        tracing::warn!(mint = %self.url, refused = inputs, now = half, "the mint takes fewer proofs in one request");
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        // Nothing that holds it can leave it half changed.
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
