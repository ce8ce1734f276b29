//! The store that hosts share: Redis or Valkey, stand-alone, behind Sentinels, or a Cluster.
//!
//! Every call is one script that Redis carries out as a whole (`script.rs` lists the keys): claims that arrive together are
//! one call, except in a Cluster, where payments are in many slots (`claims.rs`). A call has a deadline. It is sent again
//! after a lost connection, which is safe as every call is the same call when it is repeated (`ask.rs`); a claim that Redis
//! only reads after its deadline is not carried out, so that nothing is drawn for a client that has long been told to come
//! back (`link.rs` keeps the connections and Redis' clock).
//!
//! A claim that was carried out, and whose answer its host never saw, is given back as soon as Redis can be reached; until
//! then other hosts take the payment for neither used nor unused (`news.rs`).
//!
//! How durable a claim is lies with Redis: `appendonly yes` and `appendfsync always` make it as durable as SQLite's.
//! A replica that becomes master knows what it was told so far; `wait_replicas` makes a claim wait until that many
//! replicas know of it. `health.rs` warns of what would forget a claim.

mod answers;
mod aside;
mod ask;
mod claims;
mod health;
mod ledger;
mod link;
mod news;
mod pool;
mod prices;
mod script;
mod servers;

use std::{sync::Arc, time::Duration};

use l402::Preimage;
use tokio::time::{Instant, sleep};

pub use servers::{Host, OpenError, Servers, Topology};

use crate::{
    BoxFuture, Claim, Claimed, Hash, KEEP_REQUESTS, Notes, Rate, RequestId, Settled, Store, StoreError,
    Taken, rate::Rates,
};
use aside::Aside;
use ask::Server;
use claims::Claims;
use news::News;
use pool::Pool;
use script::{Call, Payment};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Where Redis is.
    pub servers: Servers,
    /// How many connections are kept; each carries any number of calls at once.
    pub connections: usize,
    /// How long settlements are kept; `None`: for ever. What was drawn is kept for ever in any case.
    pub keep_settled: Option<Duration>,
    /// How long request ids are remembered; see [`KEEP_REQUESTS`].
    pub keep_requests: Duration,
    /// How long a call may take, waiting for a connection included.
    pub deadline: Duration,
    /// The same for a call whose connection was lost before its answer came: it may have been carried out, and to hear
    /// so from a Redis that comes back is better than to give back what was drawn.
    pub deadline_of_lost: Duration,
}

impl RedisOptions {
    /// The usual ones for these servers.
    #[must_use]
    pub fn new(servers: Servers) -> Self {
        // 2 s: Redis answers in less than a millisecond; longer means that something is wrong, and a client waits.
        let deadline = Duration::from_secs(2);
        // 8 s: a restart, or a failover, and still less than nginx waits for us.
        let deadline_of_lost = Duration::from_secs(8);
        let (connections, keep_settled, keep_requests) = (4, None, KEEP_REQUESTS);
        Self { servers, connections, keep_settled, keep_requests, deadline, deadline_of_lost }
    }
}

/// Between two looks at a payment that may be given back. Its host says within a few milliseconds that it has heard.
const IN_DOUBT: Duration = Duration::from_millis(20);

/// Claims and settlements in Redis.
pub struct RedisStore {
    rates: Rates,
    aside: Aside,
    server: Arc<Server>,
    claims: Claims,
}

impl RedisStore {
    /// Begins to connect; that goes on in the background for as long as the store lives. Must be called in a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`]: what no connection could mend.
    pub fn open(options: RedisOptions) -> Result<Self, OpenError> {
        let pool = Arc::new(Pool::start(&options.servers.dial()?, options.connections));
        let news = News::start(pool.clone(), options.keep_settled);
        let server = Arc::new(Server { pool, options });
        let claims = Claims::start(server.clone(), news);
        let (rates, aside) = (Rates::default(), Aside::default());
        Ok(Self { rates, aside, server, claims })
    }

    async fn ask(&self, call: &Call<'_>) -> Result<redis::Value, StoreError> {
        self.server.ask(call).await
    }

    fn options(&self) -> &RedisOptions {
        &self.server.options
    }

    /// Draws. Who finds the payment used up by a draw whose host may not have heard of it waits until that is clear.
    async fn draw(&self, claim: &Claim, preimage: Option<&Preimage>) -> Result<Claimed, StoreError> {
        let until = Instant::now() + self.options().deadline;
        loop {
            match self.draw_once(claim, preimage).await? {
                Some(claimed) => return Ok(claimed),
                None if Instant::now() + IN_DOUBT < until => sleep(IN_DOUBT).await,
                None => {
                    let reason = "what another request drew from this payment may be given back";
                    return Err(StoreError::NotCarriedOut(reason.into()));
                }
            }
        }
    }

    async fn draw_once(
        &self,
        claim: &Claim,
        preimage: Option<&Preimage>,
    ) -> Result<Option<Claimed>, StoreError> {
        let (keep, replicas) = (self.options().keep_requests, self.options().servers.wait_replicas);
        match self.claims.claim(claim, preimage).await {
            // Before anybody is told, so that whoever comes back finds the payment as it was, at any host.
            Err(StoreError::Unavailable(reason)) if replicas > 0 => {
                let payment = Payment::new(claim.payment_hash);
                match self.ask(&payment.release(claim.request, keep, replicas)).await {
                    Ok(_) => Err(StoreError::NotCarriedOut(reason)),
                    Err(_) => Err(StoreError::Unavailable(reason)),
                }
            }
            other => other,
        }
    }
}

impl Store for RedisStore {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Claimed, StoreError>> {
        Box::pin(async move { self.draw(&claim, None).await })
    }

    fn claim_proved(&self, claim: Claim, preimage: Preimage) -> BoxFuture<'_, Result<Claimed, StoreError>> {
        Box::pin(async move { self.draw(&claim, Some(&preimage)).await })
    }

    fn release(&self, payment_hash: Hash, request: RequestId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let payment = Payment::new(payment_hash);
            let (keep, replicas) = (self.options().keep_requests, self.options().servers.wait_replicas);
            answers::released(&self.ask(&payment.release(request, keep, replicas)).await?)
        })
    }

    fn used(&self, payment_hash: Hash) -> BoxFuture<'_, Result<u32, StoreError>> {
        Box::pin(async move { answers::used(&self.ask(&Payment::new(payment_hash).used()).await?) })
    }

    fn settled_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<Settled>, StoreError>> {
        Box::pin(async move {
            let payment = Payment::new(payment_hash);
            answers::settled(payment_hash, &self.ask(&payment.settled_get()).await?)
        })
    }

    fn settled_put(&self, payment_hash: Hash, settled: Settled) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let payment = Payment::new(payment_hash);
            self.ask(&payment.settled_put(&settled, self.options().keep_settled)).await?;
            Ok(())
        })
    }

    fn rate_take<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Taken> {
        Box::pin(async move {
            let asked = self.aside.ask(self.ask(&script::rate(key, rate))).await;
            let answer = asked.ok().and_then(|value| answers::taken(&value));
            answer.unwrap_or_else(|| self.rates.take(key, rate))
        })
    }

    fn rate_give_back<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // Where Redis can't be reached, it was counted here.
            if self.aside.ask(self.ask(&script::rate_give_back(key, rate))).await.is_err() {
                self.rates.give_back(key, rate);
            }
        })
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl Notes for RedisStore {
    fn note_put(&self, payment_hash: Hash, note: String) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.ask(&Payment::new(payment_hash).note_put(note)).await?;
            Ok(())
        })
    }

    fn note_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move { answers::text(&self.ask(&Payment::new(payment_hash).note_get()).await?) })
    }
}
