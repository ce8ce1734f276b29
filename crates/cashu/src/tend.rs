//! What goes on in the background: learning the mints' keysets, redeeming what is held, forgetting what is over.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::exchange::leave_ending_keysets;
use crate::mint::Mint;
use crate::record::{Bundle, Row, State};
use crate::swap::Swapped;
use crate::till::Inner;
use crate::together::Bundled;
use crate::{REDEMPTION_WINDOW_S, Unavailable, unix_now};

/// How often held ecash is redeemed, besides soon after it came in.
const ROUND: Duration = Duration::from_secs(60);
/// How long what came in waits for more: of what is redeemed together the mint takes less, and it is asked less often.
const COLLECT: Duration = Duration::from_secs(1);
/// How often it is tried while the mint is away.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How often the keysets are asked for: a keyset may be retired any day.
const KEYSETS_EVERY: Duration = Duration::from_secs(600);
/// Payments that are read at once to be redeemed, and redeemed at once where they are alone.
const REDEEM_AT_MOST: usize = 1000;
const REDEEM_AT_ONCE: usize = 8;
/// Calls that may fail in one round of a mint until it ends: one payment that the mint always fails on keeps no other.
const FAILURES_AT_MOST: usize = 4;
/// Offers whose outcome is unknown that are looked at in one round of a mint.
const LOOK_AT_MOST: usize = 50;
/// Payments forgotten in one commit.
const FORGET_AT_MOST: usize = 1000;
/// How long it is watched whether such an offer went through after all, in seconds. Then it is forgotten.
const WATCH_S: u64 = 86_400;
/// How long before the end of its lock held ecash is warned of, in seconds, and how often. Nothing is taken whose lock ends within the
/// redemption window.
const WARN_BEFORE_S: u64 = REDEMPTION_WINDOW_S / 2;
const WARN_EVERY: Duration = Duration::from_secs(300);

/// What goes on in the background for one mint, for ever.
pub(crate) async fn tend(inner: Arc<Inner>, mint: Arc<Mint>) {
    let (mut was_up, mut warned) = (None, None);
    loop {
        // Made before the look at what there is, so that nothing that comes in meanwhile is missed.
        let news = inner.held.notified();
        let lately = if was_up == Some(true) { KEYSETS_EVERY } else { Duration::ZERO };
        let learnt = mint.refresh(lately).await.map(drop);
        // What is known does for swaps, also when the mint gives no list of its keysets now.
        let settled = if mint.is_known() { settle(&inner, &mint).await } else { Ok(()) };
        let result = learnt.and(settled);
        match &result {
            Ok(()) if was_up != Some(true) => tracing::info!(mint = %mint.url, "the mint answers"),
            Err(error) if was_up != Some(false) => {
                tracing::error!(%error, "ecash of this mint can't be swapped until it is back");
            }
            Ok(()) | Err(_) => {}
        }
        was_up = Some(result.is_ok());
        warn_of_locks(&inner, &mint, &mut warned).await;
        if result.is_err() {
            sleep(mint.pause().unwrap_or(TRY_AGAIN).max(TRY_AGAIN)).await;
        } else if timeout(ROUND, news).await.is_ok() {
            sleep(COLLECT).await;
        }
    }
}

/// Says that held ecash is about to be others' to spend, now and then.
async fn warn_of_locks(inner: &Inner, mint: &Mint, warned: &mut Option<Instant>) {
    if warned.is_some_and(|last| last.elapsed() < WARN_EVERY) {
        return;
    }
    let soon = unix_now().saturating_add(WARN_BEFORE_S);
    // A failure was reported by the record's writer.
    if let Ok(Some(ending)) = inner.purse.record.ending_locks(mint.url.to_string(), soon).await {
        *warned = Some(Instant::now());
        tracing::error!(
            mint = %mint.url, sat = ending.sat, first_lock_ends = ending.first,
            "ecash is held whose lock ends soon: from then on others can spend it, and it is redeemed only when its mint answers"
        );
    }
}

/// Redeems what is held of one mint, and finds out about offers whose outcome is unknown.
async fn settle(inner: &Arc<Inner>, mint: &Arc<Mint>) -> Result<(), Unavailable> {
    let mut failures = Failures::default();
    redeem_together(inner, mint, &mut failures).await?;
    redeem_alone(inner, mint, &mut failures).await?;
    look_at_offers(inner, mint, &mut failures).await?;
    leave_ending_keysets(&inner.purse, mint, &inner.database).await?;
    failures.last.map_or(Ok(()), Err)
}

async fn look_at_offers(inner: &Inner, mint: &Mint, failures: &mut Failures) -> Result<(), Unavailable> {
    let record = &inner.purse.record;
    for row in record.unfinished(mint.url.to_string(), State::Offered, LOOK_AT_MOST).await? {
        // Those that somebody waits for are in better hands.
        let waited_for = inner.swapping.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&row.id);
        if !waited_for {
            let is_old = row.at.saturating_add(WATCH_S) < unix_now();
            if let Err(error) = inner.purse.look(mint, &row, is_old).await {
                failures.add(error)?;
            }
            inner.tell_if_paid(row.id).await;
        }
    }
    Ok(())
}

/// What has failed in one round.
#[derive(Default)]
struct Failures {
    count: usize,
    last: Option<Unavailable>,
}

impl Failures {
    /// Goes on after this, unless it was one too many.
    fn add(&mut self, error: Unavailable) -> Result<(), Unavailable> {
        self.count += 1;
        if self.count >= FAILURES_AT_MOST {
            return Err(error);
        }
        self.last = Some(error);
        Ok(())
    }
}

/// Redeems what came in, many payments in one swap: first what was begun before.
async fn redeem_together(inner: &Inner, mint: &Mint, failures: &mut Failures) -> Result<(), Unavailable> {
    let (purse, url) = (&inner.purse, mint.url.to_string());
    for bundle in purse.record.bundles(url.clone()).await? {
        redeem_bundle(inner, mint, &bundle, failures).await?;
    }
    loop {
        let held = purse.record.unbundled(url.clone(), REDEEM_AT_MOST).await?;
        if held.is_empty() {
            return Ok(());
        }
        for bundle in purse.bundles_of(mint, inner.without_theirs(held).await).await? {
            redeem_bundle(inner, mint, &bundle, failures).await?;
        }
    }
}

async fn redeem_bundle(
    inner: &Inner,
    mint: &Mint,
    bundle: &Bundle,
    failures: &mut Failures,
) -> Result<(), Unavailable> {
    match inner.purse.swap_together(mint, bundle).await {
        Ok(Bundled::Done) => Ok(()),
        Ok(Bundled::Pending) => {
            tracing::warn!(
                payments = bundle.payments.len(), sat = bundle.net_sat, mint = %mint.url,
                "ecash locked to us is pending at its mint; it is tried again"
            );
            Ok(())
        }
        Ok(Bundled::GivenUp(reason)) => {
            tracing::warn!(
                payments = bundle.payments.len(), mint = %mint.url, reason,
                "the mint refuses payments that are redeemed together; each is tried alone"
            );
            Ok(())
        }
        Err(error) => failures.add(error),
    }
}

/// Redeems what the mint refused among others, and what an earlier version began. What is not reached within a round is next time.
async fn redeem_alone(
    inner: &Arc<Inner>,
    mint: &Arc<Mint>,
    failures: &mut Failures,
) -> Result<(), Unavailable> {
    let (begun, now, mut unfinished) = (Instant::now(), unix_now(), 0);
    loop {
        let held = inner.purse.record.alone(mint.url.to_string(), now, REDEEM_AT_MOST, unfinished).await?;
        let full = held.len() == REDEEM_AT_MOST;
        let mut left = held.into_iter();
        let mut redeeming = JoinSet::new();
        loop {
            while redeeming.len() < REDEEM_AT_ONCE
                && begun.elapsed() < ROUND
                && let Some(row) = left.next()
            {
                let (inner, mint) = (inner.clone(), mint.clone());
                redeeming.spawn(async move { redeem(&inner, &mint, &row).await });
            }
            match redeeming.join_next().await {
                Some(Ok(Ok(true))) => {}
                Some(Ok(Ok(false))) => unfinished += 1,
                Some(Ok(Err(error))) => {
                    unfinished += 1;
                    failures.add(error)?;
                }
                Some(Err(error)) => return Err(Unavailable::Store(error.to_string())),
                None => break,
            }
        }
        if !full || begun.elapsed() >= ROUND {
            return Ok(());
        }
    }
}

/// Whether this payment is not among those that are to be tried now any more.
async fn redeem(inner: &Inner, mint: &Mint, row: &Row) -> Result<bool, Unavailable> {
    let (payment, sat) = (row.id, row.net_sat);
    let swapped = match inner.purse.swap(mint, row).await {
        Ok(swapped) => swapped,
        // If the mint answers another question, it is this payment that it fails on.
        Err(error) => {
            let examined = inner.purse.not_redeemed(mint, payment, error.to_string()).await;
            examined.map_err(|_| error)?
        }
    };
    match swapped {
        Swapped::Done => Ok(true),
        Swapped::Pending => {
            tracing::warn!(?payment, mint = %mint.url, "ecash locked to us is pending at its mint");
            Ok(false)
        }
        Swapped::Postponed(reason) => {
            tracing::error!(
                ?payment, mint = %mint.url, sat, reason,
                "the mint does not swap ecash that was locked to us and paid for something; it is tried again"
            );
            Ok(true)
        }
        Swapped::Shrunk => {
            tracing::error!(
                ?payment, mint = %mint.url, sat,
                "somebody else has spent a part of ecash that was locked to us; the rest is redeemed (l402 cashu balance says what is lost)"
            );
            Ok(false)
        }
        Swapped::Lost | Swapped::Refused(_) => {
            tracing::error!(
                ?payment, mint = %mint.url, sat,
                "somebody else has spent ecash that was locked to us and paid for something; unless another host with our key has redeemed it,                  the money is lost (l402 cashu balance, l402 cashu retry)"
            );
            Ok(true)
        }
    }
}

/// Forgets what is older than this, for ever.
pub(crate) async fn forget(inner: Arc<Inner>, keep_s: u64) {
    loop {
        let before = unix_now().saturating_sub(keep_s);
        // A failure was reported by the record's writer; the next round tries again.
        while let Ok(FORGET_AT_MOST) = inner.purse.record.forget(before, FORGET_AT_MOST).await {}
        sleep(ROUND).await;
    }
}
