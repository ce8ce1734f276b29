//! Settlements as LND pushes them: one `SubscribeInvoices` stream, opened again after every loss.

use std::sync::Arc;
use std::time::Duration;

use lnd_rpc::channel::{innermost, is_transport};
use lnd_rpc::lnrpc::{self, invoice::InvoiceState};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::link::{Line, Link};
use super::message;
use super::status::{Method, refusal};
use crate::LightningError;
use crate::connector::Push;
use crate::pause::{FIRST_PAUSE, pause_after};

/// Settlements that may wait for the engine; beyond that the stream waits, and LND keeps them.
const BACKLOG: usize = 1024;

/// Longest pause after a refusal, which only the operator can mend.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// How long a node may take to refuse a subscription that is only tried.
const REFUSAL: Duration = Duration::from_secs(1);

/// Follows the settlements until the receiver is dropped.
pub(super) fn follow(link: Arc<Link>) -> mpsc::Receiver<Push> {
    let (to, settlements) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        let mut follower = Follower { link, to: to.clone(), settle_index: 0, failures: 0 };
        tokio::select! {
            () = to.closed() => {}
            () = follower.run() => {}
        }
    });
    settlements
}

/// Subscribes, and leaves again: a node that does not permit it says so at once, and one that does says nothing before the
/// first event.
pub(super) async fn try_once(link: &Arc<Link>) -> Result<(), LightningError> {
    let line = link.line().await?;
    let subscribed = async {
        let from = lnrpc::InvoiceSubscription { add_index: 0, settle_index: 0 };
        Link::client(&line).subscribe_invoices(from).await?.into_inner().message().await
    };
    match timeout(REFUSAL, subscribed).await {
        Ok(Err(status)) => Err(failed(link, &line, &status)),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

struct Follower {
    link: Arc<Link>,
    to: mpsc::Sender<Push>,
    /// The last settlement delivered. Zero until there was one: then LND starts with what comes next.
    settle_index: u64,
    /// Streams that failed since one delivered something.
    failures: u32,
}

impl Follower {
    /// Ends when the engine has gone.
    async fn run(&mut self) {
        while !self.to.is_closed() {
            let Err(error) = self.stream().await else { return };
            let pause = match &error {
                // The connection has its own back-off, and says when it is tried again.
                LightningError::Unavailable { retry_after, .. } => (*retry_after).max(FIRST_PAUSE),
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

    /// One subscription; `Ok` when the engine has gone.
    async fn stream(&mut self) -> Result<(), LightningError> {
        let line = self.link.line().await?;
        let from = lnrpc::InvoiceSubscription { add_index: 0, settle_index: self.settle_index };
        // LND sends no response headers before the first event, so that this alone may take for ever; the pings of the
        // channel find a dead connection.
        let opened = Link::client(&line).subscribe_invoices(from).await;
        let mut stream = opened.map_err(|status| failed(&self.link, &line, &status))?.into_inner();
        loop {
            let event = stream.message().await.map_err(|status| failed(&self.link, &line, &status))?;
            let Some(invoice) = event else {
                return Err(LightningError::unavailable(
                    "the node ended the subscription",
                    pause_after(self.failures),
                ));
            };
            self.link.answered(&line);
            self.failures = 0;
            let sent = async {
                self.to.send(Push::Live).await?;
                match invoice.state() {
                    InvoiceState::Settled => self.to.send(Push::Paid(message::payment(&invoice))).await,
                    InvoiceState::Open | InvoiceState::Canceled | InvoiceState::Accepted => Ok(()),
                }
            };
            if sent.await.is_err() {
                return Ok(());
            }
            self.settle_index = self.settle_index.max(invoice.settle_index);
        }
    }
}

fn failed(link: &Link, line: &Line, status: &tonic::Status) -> LightningError {
    if is_transport(status) {
        link.lost(line, &innermost(status))
    } else {
        link.answered(line);
        refusal(Method::SubscribeInvoices, link.access(), status)
    }
}
