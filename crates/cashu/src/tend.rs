//! What goes on in the background: learning the mints' keysets, redeeming what is held, forgetting what is over.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::mint::Mint;
use crate::record::{Bundle, Row, State};
use crate::swap::Swapped;
use crate::till::Inner;
use crate::{Unavailable, unix_now};

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

/// What goes on in the background for one mint, for ever.
pub(crate) async fn tend(inner: Arc<Inner>, mint: Arc<Mint>) {
    let mut was_up = None;
    loop {
        // Made before the look at what there is, so that nothing that comes in meanwhile is missed.
        let news = inner.held.notified();
        let lately = if was_up == Some(true) { KEYSETS_EVERY } else { Duration::ZERO };
        let result = match mint.refresh(lately).await {
            Ok(_) => settle(&inner, &mint).await,
            Err(error) => Err(error),
        };
        match &result {
            Ok(()) if was_up != Some(true) => tracing::info!(mint = %mint.url, "the mint answers"),
            Err(error) if was_up != Some(false) => {
                tracing::error!(%error, "ecash of this mint can't be swapped until it is back");
            }
            Ok(()) | Err(_) => {}
        }
        was_up = Some(result.is_ok());
        if result.is_err() {
            sleep(TRY_AGAIN).await;
        } else if timeout(ROUND, news).await.is_ok() {
            sleep(COLLECT).await;
        }
    }
}

/// Redeems what is held of one mint, and finds out about offers whose outcome is unknown.
async fn settle(inner: &Arc<Inner>, mint: &Arc<Mint>) -> Result<(), Unavailable> {
    look_at_offers(inner, mint).await?;
    let mut failures = Failures::default();
    redeem_together(inner, mint, &mut failures).await?;
    redeem_alone(inner, mint, &mut failures).await?;
    failures.last.map_or(Ok(()), Err)
}

async fn look_at_offers(inner: &Inner, mint: &Mint) -> Result<(), Unavailable> {
    let record = &inner.purse.record;
    for row in record.unfinished(mint.url.to_string(), State::Offered, LOOK_AT_MOST).await? {
        // Those that somebody waits for are in better hands.
        let waited_for = inner.swapping.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&row.id);
        if !waited_for {
            let is_old = row.at.saturating_add(WATCH_S) < unix_now();
            inner.purse.look(mint, &row, is_old).await?;
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
        Ok(Swapped::Done) => Ok(()),
        Ok(Swapped::Pending) => {
            tracing::warn!(
                payments = bundle.payments.len(), sat = bundle.net_sat, mint = %mint.url,
                "ecash locked to us is pending at its mint; it is tried again"
            );
            Ok(())
        }
        Ok(Swapped::Refused(refusal)) => {
            tracing::warn!(
                payments = bundle.payments.len(), mint = %mint.url, %refusal,
                "the mint refuses payments that are redeemed together; each is tried alone"
            );
            Ok(())
        }
        Err(error) => failures.add(error),
    }
}

/// Redeems what the mint refused among others, and what an earlier version began.
async fn redeem_alone(
    inner: &Arc<Inner>,
    mint: &Arc<Mint>,
    failures: &mut Failures,
) -> Result<(), Unavailable> {
    let mut unfinished = 0;
    loop {
        let held = inner.purse.record.alone(mint.url.to_string(), REDEEM_AT_MOST, unfinished).await?;
        let full = held.len() == REDEEM_AT_MOST;
        let mut left = held.into_iter();
        let mut redeeming = JoinSet::new();
        loop {
            while redeeming.len() < REDEEM_AT_ONCE
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
        if !full {
            return Ok(());
        }
    }
}

/// Whether it is over with this payment.
async fn redeem(inner: &Inner, mint: &Mint, row: &Row) -> Result<bool, Unavailable> {
    match inner.purse.swap(mint, row).await? {
        Swapped::Done => Ok(true),
        Swapped::Pending => {
            tracing::warn!(payment = ?row.id, mint = %mint.url, "ecash locked to us is pending at its mint");
            Ok(false)
        }
        Swapped::Refused(refusal) => {
            tracing::error!(
                payment = ?row.id, mint = %mint.url, sat = row.net_sat, %refusal,
                "the mint refuses ecash that was locked to us and paid for something; unless another host with our key has redeemed it, the money is lost"
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
