//! One call of Redis: when it is sent again, and what its failure says about whether it was carried out.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{RedisOptions, link::Failed, pool::Pool, script::Call};
use crate::StoreError;

/// Redis, however it is reached.
pub(super) struct Server {
    pub(super) pool: Arc<Pool>,
    pub(super) options: RedisOptions,
}

impl Server {
    /// Carries out a call, once, however often it is sent.
    pub(super) async fn ask(&self, call: &Call<'_>) -> Result<redis::Value, StoreError> {
        let link = self.pool.link();
        let began = Instant::now();
        let (mut until, mut sent) = (began + self.options.deadline, false);
        let failed = |sent, reason: String| match sent {
            true => StoreError::Unavailable(reason),
            false => StoreError::NotCarriedOut(reason),
        };
        loop {
            let live = link.live(until, sent).await.map_err(|reason| failed(sent, reason))?;
            match timeout_at(until, call.send(&live, until)).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(Failed::Lost(reason))) => {
                    tracing::debug!(reason, "a call of Redis is sent again");
                    sent = true;
                    until = until.max(began + self.options.deadline_of_lost);
                    link.replace(&live);
                }
                Ok(Err(Failed::Moved(reason))) => {
                    tracing::debug!(reason, "another server of Redis is asked");
                    link.replace(&live);
                }
                Ok(Err(Failed::Refused(reason))) => return Err(failed(sent, reason)),
                Ok(Err(Failed::Late)) => {
                    // Redis' clock may have been set: it is read with the next connection.
                    link.replace(&live);
                    return Err(failed(sent, "Redis took it up too late".into()));
                }
                Ok(Err(Failed::Unsure(reason))) => return Err(StoreError::Unavailable(reason)),
                Err(_) => {
                    link.replace(&live);
                    let reason = format!("Redis does not answer within {:?}", self.options.deadline);
                    return Err(StoreError::Unavailable(reason));
                }
            }
        }
    }
}
