//! What Redis is told in bunches, when there is time: which calls their hosts have heard of, and, in a Cluster, which payments are
//! settled.
//!
//! A claim's answer can be lost on its way: Redis hangs, or the connection breaks, when it has just been carried out. Its
//! host then says 503 and gives the draw back as soon as it can. A client that goes to another host before that must not be
//! told that its payment is used. So a call's draws are *unheard* until its host has its answer and has said so; a payment that is
//! used up by unheard draws is in doubt, and who wants it waits. This costs nobody time: what is heard is told in
//! bunches, after the grant. A draw that is given back is not unheard any more. A host that dies without a word leaves its last draws in doubt for [`KEEP_UNHEARD`], and used
//! after that.
//!
//! That a payment is settled, as a client's preimage shows, spares other hosts a question to the node. Where its key is in the
//! slot of the claim, the claim tells it.

use std::{sync::Arc, time::Duration};

use l402::Preimage;
use redis::{Cmd, Pipeline, RedisResult, Value, aio::ConnectionLike};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    link::{Connection, Failed, Live},
    pool::Pool,
    script::{Mark, Payment},
};

/// How long a draw stays unheard at most: far longer than its host takes to give it back once Redis answers again.
pub(super) const KEEP_UNHEARD: Duration = Duration::from_secs(60);
/// At most so many in a bunch.
const BUNCH: usize = 512;
/// While this passes, a bunch comes together: where Redis writes to the disk at once, each costs it a write.
const PAUSE: Duration = Duration::from_millis(10);
/// A connection that takes longer is replaced.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two tries.
const RETRY: Duration = Duration::from_millis(50);

/// One thing to tell.
enum Item {
    /// The host of this call knows what it drew.
    Heard(Mark),
    /// It is paid, as this shows.
    Settled(Payment, Preimage),
}

/// Where it is handed in.
#[derive(Clone)]
pub(super) struct News {
    items: mpsc::UnboundedSender<Item>,
}

impl News {
    /// Settlements are kept so long; `None`: for ever. Must be called in a tokio runtime.
    pub(super) fn start(pool: Arc<Pool>, keep_settled: Option<Duration>) -> Self {
        // Unbounded: each follows a grant by Redis, and while that does not answer there are none.
        let (items, told) = mpsc::unbounded_channel();
        tokio::spawn(Teller { pool, keep_settled }.work(told));
        Self { items }
    }

    /// The host has heard of what a call drew.
    pub(super) fn heard(&self, call: Mark) {
        // The task ends with the runtime only; then the draws are in doubt for a minute, and used.
        let _ = self.items.send(Item::Heard(call));
    }

    /// A payment is settled.
    pub(super) fn settled(&self, payment: Payment, preimage: Preimage) {
        let _ = self.items.send(Item::Settled(payment, preimage));
    }
}

struct Teller {
    pool: Arc<Pool>,
    keep_settled: Option<Duration>,
}

impl Teller {
    async fn work(self, mut told: mpsc::UnboundedReceiver<Item>) {
        let mut bunch = Vec::new();
        while told.recv_many(&mut bunch, BUNCH).await > 0 {
            let until = Instant::now() + KEEP_UNHEARD;
            while Instant::now() < until {
                let link = self.pool.link();
                if let Ok(live) = link.live(until, true).await {
                    if timeout(ANSWER, self.tell(&live, &bunch)).await == Ok(true) {
                        break;
                    }
                    link.replace(&live);
                }
                sleep(RETRY).await;
            }
            // A full one does not wait for more: what is told must not fall behind what is granted.
            if bunch.len() < BUNCH {
                sleep(PAUSE).await;
            }
            bunch.clear();
        }
    }

    /// Whether Redis knows now.
    async fn tell(&self, live: &Live, bunch: &[Item]) -> bool {
        let commands: Vec<Cmd> = bunch.iter().map(|item| self.command(item)).collect();
        match live.connection.clone() {
            Connection::One(mut one) => {
                let mut all = Pipeline::with_capacity(commands.len());
                for command in commands {
                    all.add_command(command);
                }
                match one.req_packed_commands(&all, 0, bunch.len()).await {
                    Ok(answers) => {
                        let mut pairs = answers.into_iter().zip(bunch);
                        pairs.all(|(answer, item)| item.is_told(answer.extract_error()))
                    }
                    Err(_) => false,
                }
            }
            // Its keys are in many slots.
            Connection::Cluster(mut cluster) => {
                for (command, item) in commands.iter().zip(bunch) {
                    let answer = cluster.req_packed_command(command).await.and_then(Value::extract_error);
                    if !item.is_told(answer) {
                        return false;
                    }
                }
                true
            }
        }
    }

    /// It may be sent again.
    fn command(&self, item: &Item) -> Cmd {
        match item {
            Item::Heard(call) => call.heard(),
            Item::Settled(payment, preimage) => payment.settled_note(preimage, self.keep_settled),
        }
    }
}

impl Item {
    /// Whether it need not be told again.
    fn is_told(&self, answer: RedisResult<Value>) -> bool {
        match (answer.map_err(Failed::from), self) {
            (Ok(_), _) => true,
            (Err(Failed::Refused(reason)), Self::Settled(..)) => {
                tracing::debug!(reason, "other hosts will ask the node whether a payment is settled");
                true
            }
            (Err(_), _) => false,
        }
    }
}
