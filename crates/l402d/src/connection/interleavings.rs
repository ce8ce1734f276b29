//! Every order in which frames, tasks, commits and their failures can meet, up to a depth: nothing is drawn for one
//! who left, and nothing is lost for one who stayed. (There is no lock or atomic of ours on this path for loom to try.)

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use agent_api::{Proof, Secret32};
use store::{BoxFuture, Claim, Claimed, Hash, Model, Rate, RequestId, Settled, Store, StoreError, Taken};
use tokio::{sync::oneshot, task::yield_now};

use super::*;
use crate::testing::{hash, id, preimage};

/// How many steps are chosen freely; then everything runs to its end.
const DEPTH: usize = if cfg!(miri) { 3 } else { 10 };
/// All redemptions are of one payment, which buys so many requests.
const LIMIT: u32 = 1;

/// A store that commits when it is told to, all that waits in one batch, as the SQLite one does.
#[derive(Default)]
struct Stepped {
    model: Model,
    waiting: Mutex<VecDeque<Job>>,
}

enum Job {
    Claim(Claim, oneshot::Sender<Result<Claimed, StoreError>>),
    Release(Hash, RequestId, oneshot::Sender<Result<bool, StoreError>>),
}

fn failed() -> StoreError {
    StoreError::Unavailable("disk full".into())
}

impl Stepped {
    fn push(&self, job: Job) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
    }

    /// Answers whether anything waited.
    async fn commit(&self, good: bool) -> bool {
        let batch = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let any = !batch.is_empty();
        for job in batch {
            match job {
                Job::Claim(claim, reply) => {
                    let _ = reply.send(if good { self.model.claim(claim).await } else { Err(failed()) });
                }
                Job::Release(payment_hash, request, reply) => {
                    let _ = reply.send(if good {
                        self.model.release(payment_hash, request).await
                    } else {
                        Err(failed())
                    });
                }
            }
        }
        any
    }

    /// Units drawn from the payment.
    async fn used(&self) -> u32 {
        let claim = Claim { payment_hash: hash(1).0, request: id(1000), limit: 100, units: 1 };
        match self.model.claim(claim).await {
            Ok(Claimed::Granted { remaining }) => 99 - remaining,
            other => panic!("{other:?}"),
        }
    }
}

impl Store for Stepped {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Claimed, StoreError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.push(Job::Claim(claim, reply));
            answer.await.unwrap_or_else(|_| Err(failed()))
        })
    }

    fn release(&self, payment_hash: Hash, request: RequestId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.push(Job::Release(payment_hash, request, reply));
            answer.await.unwrap_or_else(|_| Err(failed()))
        })
    }

    fn used(&self, payment_hash: Hash) -> BoxFuture<'_, Result<u32, StoreError>> {
        self.model.used(payment_hash)
    }

    fn settled_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<Settled>, StoreError>> {
        self.model.settled_get(payment_hash)
    }

    fn settled_put(&self, payment_hash: Hash, settled: Settled) -> BoxFuture<'_, Result<(), StoreError>> {
        self.model.settled_put(payment_hash, settled)
    }

    fn rate_take<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Taken> {
        self.model.rate_take(key, rate)
    }

    fn rate_give_back<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, ()> {
        self.model.rate_give_back(key, rate)
    }
}

/// What a front end does, in this order.
#[derive(Clone, Copy, Debug)]
enum Front {
    /// Redeems: frame id, request.
    Redeem(u64, u32),
    /// Its client left: frame id, request.
    Cancel(u64, u32),
    /// The connection breaks, and there is another.
    Reconnect,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The front end's next act reaches the connection.
    Front,
    /// Every task runs until it waits.
    Run,
    /// The connection hears of the next task that has ended.
    Reap,
    /// The store commits what waits.
    Commit,
    /// The store fails to.
    Fail,
}

const STEPS: [Step; 5] = [Step::Front, Step::Run, Step::Reap, Step::Commit, Step::Fail];

struct World {
    engine: Arc<Engine>,
    store: Arc<Stepped>,
    connection: Connection,
    unwritten: mpsc::Receiver<FromAgent>,
    script: std::slice::Iter<'static, Front>,
    /// Requests by frame id, on this connection.
    asked: HashMap<u64, u32>,
    granted: BTreeSet<u32>,
    left: BTreeSet<u32>,
    /// How many commits may fail yet.
    failures: u32,
}

impl World {
    fn new(script: &'static [Front], failures: u32) -> Self {
        let store = Arc::new(Stepped::default());
        let engine = Engine::start(Vec::new(), store.clone());
        let (connection, unwritten) = connect(&engine);
        let (asked, granted, left) = Default::default();
        Self { engine, store, connection, unwritten, script: script.iter(), asked, granted, left, failures }
    }

    /// Answers whether the step did anything.
    async fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Front => match self.script.next() {
                None => return false,
                Some(Front::Redeem(frame, request)) => {
                    self.asked.insert(*frame, *request);
                    self.feed(redeem(*frame, *request)).await;
                }
                Some(Front::Cancel(frame, request)) => {
                    self.left.insert(*request);
                    self.feed(ToAgent::Cancel { id: *frame }).await;
                }
                Some(Front::Reconnect) => {
                    // What it had not heard is lost; what it had, it would not ask again.
                    self.asked.clear();
                    (self.connection, self.unwritten) = connect(&self.engine);
                }
            },
            Step::Run => run().await,
            Step::Reap => match self.connection.tasks.try_join_next() {
                None => return false,
                Some(Ok(done)) => self.connection.done(done),
                Some(Err(error)) => assert!(error.is_cancelled()),
            },
            Step::Commit => return self.store.commit(true).await,
            Step::Fail => {
                let Some(fewer) = self.failures.checked_sub(1) else { return false };
                self.failures = fewer;
                return self.store.commit(false).await;
            }
        }
        true
    }

    async fn feed(&mut self, frame: ToAgent) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.connection.take_frames(&mut bytes).await.unwrap();
    }

    fn hear(&mut self) {
        while let Ok(answer) = self.unwritten.try_recv() {
            if let FromAgent::Granted { id, .. } = answer {
                self.granted.insert(self.asked[&id]);
            }
        }
    }

    async fn end(mut self, how: &[Step]) {
        while self.step(Step::Front).await {}
        let mut idle = 0;
        while idle < 3 {
            let waited = self.store.commit(true).await;
            // Lets the pause between two tries of a release pass.
            tokio::time::sleep(Duration::from_secs(2)).await;
            while self.step(Step::Reap).await {}
            idle = if waited { 0 } else { idle + 1 };
        }
        self.engine.settle_undos().await;
        self.hear();
        let kept: Vec<_> = self.granted.difference(&self.left).collect();
        let used = self.store.used().await;
        assert_eq!(used, kept.len() as u32, "granted {:?}, left {:?}: {how:?}", self.granted, self.left);
        assert!(used <= LIMIT, "{how:?}");
    }
}

fn connect(engine: &Arc<Engine>) -> (Connection, mpsc::Receiver<FromAgent>) {
    let (answers, unwritten) = mpsc::channel(MAX_UNWRITTEN);
    let (tasks, in_flight, granted) = Default::default();
    let (instance, keys) = ([0; 16], watch::channel(Vec::new()).1);
    (
        Connection {
            engine: engine.clone(),
            answers,
            tasks,
            in_flight,
            granted,
            protocol: PROTOCOL,
            instance,
            keys,
        },
        unwritten,
    )
}

fn redeem(frame: u64, request: u32) -> ToAgent {
    ToAgent::Redeem {
        id: frame,
        request: id(request),
        backend: "default".into(),
        payment_hash: hash(1).0,
        proof: Proof::Preimage(Secret32::new(*preimage(1).expose())),
        limit: Some(LIMIT),
        draw: true,
    }
}

/// A task wakes another at most a few times in a row.
async fn run() {
    for _ in 0..8 {
        yield_now().await;
    }
}

/// Tries every sequence of steps; one whose last step did nothing is not continued.
async fn explore(script: &'static [Front], failures: u32) -> usize {
    let mut tried = 0;
    let mut open: Vec<Vec<Step>> = vec![Vec::new()];
    while let Some(steps) = open.pop() {
        let mut world = World::new(script, failures);
        let mut useful = true;
        for step in &steps {
            useful = world.step(*step).await;
        }
        if !useful {
            continue;
        }
        world.end(&steps).await;
        tried += 1;
        if steps.len() < DEPTH {
            // To run again what has just run changes nothing.
            let runs = matches!(steps.last(), Some(Step::Run));
            let next = STEPS.into_iter().filter(|step| !runs || !matches!(step, Step::Run));
            open.extend(next.map(|step| [steps.as_slice(), &[step]].concat()));
        }
    }
    tried
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_crosses_a_grant_gives_back_exactly_once() {
    let tried = explore(&[Front::Redeem(1, 1), Front::Cancel(1, 1), Front::Cancel(1, 1)], 2).await;
    assert!(tried > if cfg!(miri) { 5 } else { 400 }, "only {tried} orders");
}

#[tokio::test(start_paused = true)]
async fn what_one_gives_back_another_may_draw() {
    let tried = explore(&[Front::Redeem(1, 1), Front::Redeem(2, 2), Front::Cancel(1, 1)], 2).await;
    assert!(tried > if cfg!(miri) { 5 } else { 400 }, "only {tried} orders");
}

#[tokio::test(start_paused = true)]
async fn a_resend_draws_once_and_its_cancel_gives_back() {
    use Front::{Cancel, Reconnect, Redeem};
    for script in
        [&[Redeem(1, 1), Reconnect, Redeem(1, 1)][..], &[Redeem(1, 1), Reconnect, Redeem(1, 1), Cancel(1, 1)]]
    {
        // Not more: between a claim that failed and its release, if that fails too, a resend would be granted.
        let tried = explore(script, 1).await;
        assert!(tried > if cfg!(miri) { 5 } else { 400 }, "only {tried} orders");
    }
}
