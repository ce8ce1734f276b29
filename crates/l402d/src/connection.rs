//! One front end: frames in, answers out, what is in flight, and what is cancelled.

mod answer;
mod granted;
#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use agent_api::{Fault, FrameError, FromAgent, PROTOCOL, RingKey, ToAgent};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use zeroize::Zeroizing;

use l402::PaymentHash;

use crate::engine::{Draw, Engine, Redemption, Wanted};
use answer::Question;
use granted::Granted;

/// Questions in flight on one connection; more are answered "busy".
const MAX_IN_FLIGHT: usize = 8192;
/// Answers that may wait to be written; beyond it they stay in flight.
const MAX_UNWRITTEN: usize = 1024;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// How long a stopping l402d works on what is in flight; the front end asks its successor for the rest.
pub const DRAIN: Duration = Duration::from_secs(2);

/// What l402d tells of itself in its `Welcome`.
pub struct Identity {
    /// Random, new at each start.
    pub instance: [u8; 16],
    /// Root keys, newest first. Each change goes to every front end that is connected, in a `Welcome` of its own.
    pub keys: watch::Receiver<Vec<RingKey>>,
}

/// Serves one front end until it leaves or `stop` becomes true.
pub async fn serve(
    stream: UnixStream,
    engine: Arc<Engine>,
    identity: Arc<Identity>,
    mut stop: watch::Receiver<bool>,
) {
    let (mut reading, mut writing) = stream.into_split();
    let mut buffer = Zeroizing::new(Vec::with_capacity(READ_BYTES));
    let mut keys = identity.keys.clone();
    let Opened { protocol, pid } = match open(&mut reading, &mut writing, &mut buffer, &identity, &mut keys)
        .await
    {
        Ok(Some(opened)) => opened,
        Ok(None) => return,
        Err(error) => return tracing::warn!(%error, "a connection that did not open as a front end's does"),
    };
    tracing::debug!(pid, protocol, "a front end is connected");
    let (answers, unwritten) = mpsc::channel(MAX_UNWRITTEN);
    let writer = tokio::spawn(write(writing, unwritten));
    let mut connection = Connection {
        engine,
        answers,
        tasks: JoinSet::new(),
        in_flight: HashMap::new(),
        granted: Granted::default(),
        protocol,
        instance: identity.instance,
        keys,
    };
    let end = connection.run(&mut reading, &mut buffer, &mut stop).await;
    match end {
        Ok(End::Stopping) => connection.drain().await,
        // Nobody is left to answer. A draw under way stands: the front end may ask again elsewhere with the
        // same request id, and gets the same grant.
        Ok(End::Left) => tracing::debug!(pid, "a front end has left"),
        Err(error) => tracing::warn!(pid, %error, "a front end is disconnected"),
    }
    drop(connection);
    // Ends when all answers are written, or nobody reads them.
    let _ = timeout(DRAIN, writer).await;
}

/// A front end, in its own words.
struct Opened {
    protocol: u16,
    pid: u32,
}

/// Reads `Hello` and answers `Welcome`. `None`: it left before it said anything.
async fn open(
    reading: &mut OwnedReadHalf,
    writing: &mut OwnedWriteHalf,
    buffer: &mut Vec<u8>,
    identity: &Identity,
    keys: &mut watch::Receiver<Vec<RingKey>>,
) -> io::Result<Option<Opened>> {
    let (welcome, opened) = loop {
        match ToAgent::decode(buffer) {
            Ok(Some((ToAgent::Hello { protocol, pid }, consumed))) => {
                buffer.drain(..consumed);
                let keys = keys.borrow_and_update().clone();
                let opened = Opened { protocol, pid };
                break (welcome(protocol, identity.instance, keys), Ok(Some(opened)));
            }
            Ok(Some(_)) => return Err(io::Error::other("its first frame is not a Hello")),
            Ok(None) => {
                if reading.read_buf(buffer).await? == 0 {
                    return Ok(None);
                }
            }
            // Says which version this is, and keeps the keys.
            Err(error @ FrameError::Version { .. }) => {
                break (welcome(PROTOCOL, identity.instance, Vec::new()), Err(io::Error::other(error)));
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(2048));
    welcome.encode(&mut bytes);
    writing.write_all(&bytes).await?;
    opened
}

fn welcome(protocol: u16, instance: [u8; 16], keys: Vec<RingKey>) -> FromAgent {
    FromAgent::Welcome { protocol, instance, keys }
}

/// Writes all answers that wait with one call.
async fn write(mut writing: OwnedWriteHalf, mut unwritten: mpsc::Receiver<FromAgent>) -> io::Result<()> {
    // A later `Welcome` is among them.
    let (mut batch, mut bytes) = (Vec::new(), Zeroizing::new(Vec::with_capacity(2048)));
    while unwritten.recv_many(&mut batch, MAX_UNWRITTEN).await > 0 {
        bytes.clear();
        batch.drain(..).for_each(|answer| answer.encode(&mut bytes));
        writing.write_all(&bytes).await?;
    }
    writing.shutdown().await
}

enum End {
    /// The front end closed its side.
    Left,
    /// l402d stops.
    Stopping,
}

struct Connection {
    engine: Arc<Engine>,
    answers: mpsc::Sender<FromAgent>,
    tasks: JoinSet<Done>,
    in_flight: HashMap<u64, InFlight>,
    granted: Granted,
    /// The version that the front end speaks.
    protocol: u16,
    instance: [u8; 16],
    keys: watch::Receiver<Vec<RingKey>>,
}

struct InFlight {
    task: AbortHandle,
    /// Of a redemption that draws.
    draws: Option<Draw>,
}

/// An answered question.
struct Done {
    id: u64,
    /// What it drew, if it was granted.
    drew: Option<Draw>,
}

impl Connection {
    async fn run(
        &mut self,
        reading: &mut OwnedReadHalf,
        buffer: &mut Vec<u8>,
        stop: &mut watch::Receiver<bool>,
    ) -> io::Result<End> {
        loop {
            self.take_frames(buffer).await?;
            tokio::select! {
                // An error means that the sender is gone, which is a stop as well.
                () = async { drop(stop.wait_for(|stop| *stop).await) } => return Ok(End::Stopping),
                () = self.answers.closed() => return Ok(End::Left),
                Some(done) = self.tasks.join_next() => {
                    if let Ok(done) = done {
                        self.done(done);
                    }
                }
                Ok(()) = self.keys.changed() => {
                    let keys = self.keys.borrow_and_update().clone();
                    // An error means that the writer has ended, which is seen next.
                    let _ = self.answers.send(welcome(self.protocol, self.instance, keys)).await;
                }
                read = reading.read_buf(buffer) => {
                    if read? == 0 {
                        return Ok(End::Left);
                    }
                }
            }
        }
    }

    async fn take_frames(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let mut taken = 0;
        while let Some((frame, consumed)) = ToAgent::decode(&buffer[taken..]).map_err(io::Error::other)? {
            taken += consumed;
            match frame {
                ToAgent::Hello { .. } => return Err(io::Error::other("it said Hello twice")),
                ToAgent::Cancel { id } => self.cancel(id),
                ToAgent::Invoice { id, backend, amount_msat, description, path, rate } => {
                    let wanted = Wanted { amount_msat, description };
                    self.start(id, Question::Invoice { backend, path, wanted, rate }).await?;
                }
                ToAgent::Ecash { id, backend, amount_msat, path, terms, token } => {
                    self.start(id, Question::Ecash { backend, amount_msat, path, terms, token }).await?;
                }
                ToAgent::Examine { id, number } => self.start(id, Question::Examine { number }).await?,
                ToAgent::Redeem { id, request, backend, payment_hash, proof, limit, draw } => {
                    let payment_hash = PaymentHash(payment_hash);
                    let redemption = Redemption { request, backend, payment_hash, proof, limit, draw };
                    self.start(id, Question::Redeem(redemption)).await?;
                }
            }
        }
        buffer.drain(..taken);
        buffer.reserve(READ_BYTES);
        Ok(())
    }

    async fn start(&mut self, id: u64, question: Question) -> io::Result<()> {
        if self.in_flight.contains_key(&id) {
            return Err(io::Error::other("it used an id twice"));
        }
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            let reason = "too many requests are in flight".to_owned();
            let busy = FromAgent::Failed { id, fault: Fault::Unavailable { retry_after_s: 1 }, reason };
            // An error means that the writer has ended, which `run` sees next.
            let _ = self.answers.send(busy).await;
            return Ok(());
        }
        // What needs no waiting needs no task. An answer that the writer can't take now gets one all the same: frames
        // are read on, a `Cancel` among them.
        let ready = match question.at_once(id, &self.engine) {
            None => None,
            Some(answer) => match self.answers.try_send(answer) {
                Err(TrySendError::Full(answer)) => Some(answer),
                // Once the writer has ended, `run` sees it next.
                Ok(()) | Err(TrySendError::Closed(_)) => return Ok(()),
            },
        };
        let (engine, answers, draws) = (self.engine.clone(), self.answers.clone(), question.draws());
        let task = self.tasks.spawn(async move {
            let answer = match ready {
                Some(answer) => answer,
                None => question.answer(id, &engine).await,
            };
            let drew = draws.filter(|_| matches!(answer, FromAgent::Granted { .. }));
            let _ = answers.send(answer).await;
            Done { id, drew }
        });
        self.in_flight.insert(id, InFlight { task, draws });
        Ok(())
    }

    fn done(&mut self, Done { id, drew }: Done) {
        self.in_flight.remove(&id);
        if let Some(draw) = drew {
            self.granted.add(id, draw);
        }
    }

    /// The client has left. Whether its draw is made, under way or yet to come: it is undone.
    fn cancel(&mut self, id: u64) {
        let draw = match self.in_flight.remove(&id) {
            Some(InFlight { task, draws }) => {
                task.abort();
                draws
            }
            None => self.granted.take(id),
        };
        if let Some(draw) = draw {
            self.engine.undo(draw);
        }
    }

    /// Lets what is in flight end, for a while.
    async fn drain(&mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(DRAIN, all).await.is_err() {
            tracing::info!(unanswered = self.tasks.len(), "stopping with requests in flight");
        }
    }
}
