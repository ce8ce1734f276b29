//! Tells Redis which draws their hosts have heard of.
//!
//! A claim's answer can be lost on its way: Redis hangs, or the connection breaks, when it has just been carried out. Its
//! host then says 503 and gives the draw back as soon as it can. A client that goes to another host before that must not be
//! told that its payment is used. So a draw is *unheard* until its host has its answer and has said so; a payment that is
//! used up by unheard draws is in doubt, and who wants it waits. This costs nobody time: what is heard is told in
//! bunches, after the grant. A host that dies without a word leaves its last draws in doubt for [`KEEP_UNHEARD`], and used
//! after that.

use std::{sync::Arc, time::Duration};

use redis::{Pipeline, aio::ConnectionLike};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    link::{Connection, Live},
    pool::Pool,
    script::Payment,
};
use crate::RequestId;

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

/// A payment and the request that drew from it.
type Draw = (Payment, RequestId);

/// Where draws are told that were heard of.
pub(super) struct Heard {
    draws: mpsc::UnboundedSender<Draw>,
}

impl Heard {
    /// Must be called in a tokio runtime.
    pub(super) fn start(pool: Arc<Pool>) -> Self {
        // Unbounded: each was granted by Redis, and while that does not answer there are none.
        let (draws, told) = mpsc::unbounded_channel();
        tokio::spawn(tell_all(pool, told));
        Self { draws }
    }

    /// Nobody waits for it.
    pub(super) fn tell(&self, payment: Payment, request: RequestId) {
        // The task ends with the runtime only; then the draw is in doubt for a minute, and used.
        let _ = self.draws.send((payment, request));
    }
}

async fn tell_all(pool: Arc<Pool>, mut told: mpsc::UnboundedReceiver<Draw>) {
    let mut bunch = Vec::new();
    while told.recv_many(&mut bunch, BUNCH).await > 0 {
        let until = Instant::now() + KEEP_UNHEARD;
        while Instant::now() < until {
            let link = pool.link();
            if let Ok(live) = link.live(until, true).await {
                if timeout(ANSWER, tell(&live, &bunch)).await == Ok(true) {
                    break;
                }
                link.replace(&live);
            }
            sleep(RETRY).await;
        }
        bunch.clear();
        sleep(PAUSE).await;
    }
}

/// Whether Redis knows now.
async fn tell(live: &Live, bunch: &[Draw]) -> bool {
    let mut connection = live.connection.clone();
    match &mut connection {
        Connection::One(one) => {
            let mut all = Pipeline::with_capacity(bunch.len());
            for (payment, request) in bunch {
                all.add_command(payment.heard(*request)).ignore();
            }
            all.exec_async(one).await.is_ok()
        }
        // Its keys are in many slots.
        Connection::Cluster(cluster) => {
            for (payment, request) in bunch {
                if cluster.req_packed_command(&payment.heard(*request)).await.is_err() {
                    return false;
                }
            }
            true
        }
    }
}
