//! Claims that arrive together go to Redis together: one script, one write to its disk, one answer.
//!
//! While calls are under way, what comes in waits and is the next one; a lone claim goes at once. So the more there are, the
//! less each costs.

use std::sync::Arc;

use l402::Preimage;
use redis::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    answers,
    ask::Server,
    news::News,
    script::{self, Keep, Mark, Payment},
    servers::Topology,
};
use crate::{Claim, Claimed, StoreError};

/// Claims in one call, where so many wait: fewer would cost more each, and of more the first would wait for the last.
const FEW: usize = 16;
/// At most: what Redis does for one call, it does for nobody else meanwhile.
const MANY: usize = 64;
/// Calls under way at once: Redis works on one while the answers to another are on their way.
const UNDER_WAY: usize = 2;

type Outcome = Result<Option<Claimed>, StoreError>;

/// Where they are handed in.
pub(super) struct Claims {
    server: Arc<Server>,
    news: News,
    /// `None`: each is a call of its own.
    waiting: Option<mpsc::UnboundedSender<Waiting>>,
}

struct Waiting {
    claim: Claim,
    preimage: Option<Preimage>,
    until: Instant,
    answer: oneshot::Sender<Outcome>,
}

impl Claims {
    /// Must be called in a tokio runtime.
    pub(super) fn start(server: Arc<Server>, news: News) -> Self {
        let waiting = match server.options.servers.topology {
            Topology::Cluster => None,
            Topology::Single | Topology::Sentinel { .. } => {
                // Unbounded: each is a request in flight, and those are bounded.
                let (waiting, claims) = mpsc::unbounded_channel();
                tokio::spawn(work(server.clone(), news.clone(), claims));
                Some(waiting)
            }
        };
        Self { server, news, waiting }
    }

    /// Draws, and tells the preimage with it, if there is one; `None`: that is in doubt, as what another request drew may be
    /// given back.
    pub(super) async fn claim(&self, claim: &Claim, preimage: Option<&Preimage>) -> Outcome {
        let Some(waiting) = &self.waiting else {
            let mark = Mark::new(Some(&claim.payment_hash))?;
            let answered = ask(&self.server, &self.news, mark, [(claim, None)].into_iter()).await?;
            // It is in another slot.
            if let (true, Some(preimage)) = (answers::has_drawn(&answered), preimage) {
                self.news.settled(Payment::new(claim.payment_hash), preimage.clone());
            }
            return answers::claimed(&answered, 0);
        };
        let (answer, told) = oneshot::channel();
        let until = Instant::now() + self.server.options.deadline;
        let stopping = || StoreError::Unavailable("l402d is stopping".into());
        let preimage = preimage.cloned();
        waiting.send(Waiting { claim: *claim, preimage, until, answer }).map_err(|_| stopping())?;
        told.await.map_err(|_| stopping())?
    }
}

/// One call. Its answer is heard of before anybody else is told.
async fn ask<'a>(
    server: &Server,
    news: &News,
    mark: Mark,
    claims: impl Iterator<Item = (&'a Claim, Option<&'a Preimage>)> + Clone,
) -> Result<Value, StoreError> {
    let options = &server.options;
    let keep = Keep { requests: options.keep_requests, settled: options.keep_settled };
    let answered = server.ask(&script::claims(claims, &mark, keep, options.servers.wait_replicas)).await?;
    if answers::has_drawn(&answered) {
        news.heard(mark);
    }
    Ok(answered)
}

async fn work(server: Arc<Server>, news: News, mut claims: mpsc::UnboundedReceiver<Waiting>) {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let mut together = Vec::new();
    while claims.recv_many(&mut together, FEW).await > 0 {
        let Some(turn) = turn(&under_way, &mut together).await else { continue };
        // Where more wait than a few calls hold, Redis is far or slow.
        let room = ((together.len() + claims.len()) / UNDER_WAY).clamp(FEW, MANY);
        while together.len() < room
            && let Ok(another) = claims.try_recv()
        {
            together.push(another);
        }
        tokio::spawn(carry_out(server.clone(), news.clone(), std::mem::take(&mut together), turn));
    }
}

/// Waits until there may be another call. Whose deadline passes meanwhile is told that nothing was drawn; `None`: that is all
/// of them.
async fn turn(under_way: &Arc<Semaphore>, together: &mut Vec<Waiting>) -> Option<OwnedSemaphorePermit> {
    while let Some(oldest) = together.first() {
        match timeout_at(oldest.until, under_way.clone().acquire_owned()).await {
            // An error would mean that it is closed, which nobody does.
            Ok(turn) => return turn.ok(),
            Err(_) => {
                let now = Instant::now();
                let late = together.iter().take_while(|waiting| waiting.until <= now).count();
                for waiting in together.drain(..late) {
                    let reason = "Redis does not answer others in time".to_owned();
                    // Who asked may have gone.
                    let _ = waiting.answer.send(Err(StoreError::NotCarriedOut(reason)));
                }
            }
        }
    }
    None
}

async fn carry_out(server: Arc<Server>, news: News, together: Vec<Waiting>, _turn: OwnedSemaphorePermit) {
    let claims = together.iter().map(|waiting| (&waiting.claim, waiting.preimage.as_ref()));
    let answered = match Mark::new(None) {
        Ok(mark) => ask(&server, &news, mark, claims).await,
        Err(error) => Err(error),
    };
    for (at, waiting) in together.into_iter().enumerate() {
        let outcome = match &answered {
            Ok(value) => answers::claimed(value, at),
            Err(error) => Err(error.clone()),
        };
        // Who asked may have gone; it gives back what it drew.
        let _ = waiting.answer.send(outcome);
    }
}
