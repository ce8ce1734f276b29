//! Settlements as lightningd tells of them: one `waitanyinvoice` after the other, each behind the last payment's index.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::link::{Failure, Link};
use super::message::{self, Row};
use super::refusal::{Method, WAIT_TIMED_OUT};
use crate::LightningError;
use crate::connector::Push;
use crate::pause::{FIRST_PAUSE, pause_after};

/// Settlements that may wait for the engine; beyond that the node is not asked.
const BACKLOG: usize = 1024;

/// How long a call waits for a payment, seconds. A connection that is dead is noticed then, if not before.
const WAIT_S: u64 = 55;

/// Longest pause after a refusal, which only the operator can mend.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// Follows the settlements until the receiver is dropped.
pub(super) fn follow(link: Arc<Link>, timeout: Duration) -> mpsc::Receiver<Push> {
    let (to, settlements) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        let mut follower = Follower { link, timeout, to: to.clone(), pay_index: None, failures: 0 };
        tokio::select! {
            () = to.closed() => {}
            () = follower.run() => {}
        }
    });
    settlements
}

/// Waits for no payment, to see whether that is permitted.
pub(super) async fn try_once(link: &Link, deadline: Instant) -> Result<(), LightningError> {
    wait(link, 0, 0, deadline.saturating_duration_since(Instant::now())).await.map(drop)
}

struct Follower {
    link: Arc<Link>,
    /// The deadline of a call that does not wait.
    timeout: Duration,
    to: mpsc::Sender<Push>,
    /// The last payment that was seen; `None` until the node told where it is.
    pay_index: Option<u64>,
    /// Calls that failed since one succeeded.
    failures: u32,
}

impl Follower {
    /// Ends when the engine has gone.
    async fn run(&mut self) {
        while !self.to.is_closed() {
            let Err(error) = self.step().await else {
                self.failures = 0;
                if self.to.send(Push::Live).await.is_err() {
                    return;
                }
                continue;
            };
            let pause = match &error {
                LightningError::Unavailable { retry_after, .. } => {
                    (*retry_after).max(pause_after(self.failures))
                }
                LightningError::TimedOut => FIRST_PAUSE,
                LightningError::Refused(_) | LightningError::Wrong(_) => {
                    pause_after(self.failures).saturating_mul(4).min(REFUSED_PAUSE)
                }
            };
            self.failures = self.failures.saturating_add(1);
            if self.to.send(Push::Lost(error)).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Finds out where to begin, or waits for one payment.
    async fn step(&mut self) -> Result<(), LightningError> {
        let Some(after) = self.pay_index else {
            self.pay_index = Some(self.last().await?);
            return Ok(());
        };
        let Some(row) = wait(&self.link, after, WAIT_S, self.timeout).await? else { return Ok(()) };
        let Some(index) = row.pay_index.filter(|index| *index > after) else {
            return Err(LightningError::Wrong("a payment without an index behind the last one's".to_owned()));
        };
        let push = match row.is_paid() {
            true => Push::Paid(message::payment(row)),
            false => Push::Unreadable(LightningError::Wrong("an invoice that is not paid".to_owned())),
        };
        // An error means that the engine has gone, which `run` sees.
        let _ = self.to.send(push).await;
        self.pay_index = Some(index);
        Ok(())
    }

    /// The index of the last payment so far. Nobody tells it, but any index can be asked for a payment behind it: first in
    /// growing steps, then by halves.
    async fn last(&self) -> Result<u64, LightningError> {
        let Some(mut low) = self.index_behind(0).await? else { return Ok(0) };
        let mut step = 1;
        let mut high = loop {
            match self.index_behind(low.saturating_add(step)).await? {
                Some(index) => low = index,
                None => break low.saturating_add(step),
            }
            step *= 2;
        };
        while low < high {
            let middle = low + (high - low) / 2;
            match self.index_behind(middle).await? {
                Some(index) => low = index,
                None => high = middle,
            }
        }
        Ok(low)
    }

    async fn index_behind(&self, after: u64) -> Result<Option<u64>, LightningError> {
        let Some(row) = wait(&self.link, after, 0, self.timeout).await? else { return Ok(None) };
        let index = row.pay_index.filter(|index| *index > after);
        index.map(Some).ok_or_else(|| LightningError::Wrong("a payment without its index".to_owned()))
    }
}

/// The first payment behind this index, if one comes within so many seconds. `timeout` is the deadline of a call that does
/// not wait.
async fn wait(
    link: &Link,
    after: u64,
    seconds: u64,
    timeout: Duration,
) -> Result<Option<Row>, LightningError> {
    let params = json!({ "lastpay_index": after, "timeout": seconds });
    let deadline = Instant::now() + Duration::from_secs(seconds) + timeout;
    match link.call(Method::WaitAnyInvoice, &params, deadline).await {
        Ok(row) => message::decode(Method::WaitAnyInvoice.name(), row).map(Some),
        Err(Failure::Answer(error)) if error.code == WAIT_TIMED_OUT => Ok(None),
        Err(failure) => Err(failure.of(Method::WaitAnyInvoice)),
    }
}
