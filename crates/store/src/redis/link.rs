//! A connection that is replaced when it is lost, and what a caller sees of that: it waits while one is being made,
//! and is refused at once while none can be.

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use redis::{
    ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{health, servers::Dial};

/// How long a connection may take to be made, its greeting included.
pub(super) const CONNECT: Duration = Duration::from_secs(2);
/// Between two attempts, at first; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// At most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection of either kind; clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a redis::Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(one) => one.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(one) => one.req_packed_commands(cmd, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(one) => one.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// A connection in use.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: Connection,
    clock: Option<Clock>,
    number: u64,
}

/// Redis' clock as it was read once; from then on ours tells how much later it is.
#[derive(Clone, Copy)]
struct Clock {
    read: Instant,
    unix_ms: u64,
}

impl Live {
    /// A moment of ours in Unix milliseconds of Redis' clock; `None` where there is not one such clock.
    pub(super) fn unix_ms(&self, moment: Instant) -> Option<u64> {
        let Clock { read, unix_ms } = self.clock?;
        let later = u64::try_from(moment.saturating_duration_since(read).as_millis()).ok()?;
        unix_ms.checked_add(later)
    }
}

#[derive(Clone)]
enum State {
    Connecting,
    Up(Live),
    Down(String),
}

/// One connection of the pool.
pub(super) struct Link {
    state: watch::Receiver<State>,
    /// The number of the last connection that was found to be of no use.
    lost: watch::Sender<u64>,
    keeper: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Link {
    /// Begins to connect, in the background. One of a pool speaks for all in the log.
    pub(super) fn start(dial: Arc<Dial>, speaks: bool) -> Self {
        let (told, state) = watch::channel(State::Connecting);
        let (lost, heard) = watch::channel(0);
        let keeper = tokio::spawn(keep(dial, told, heard, speaks)).abort_handle();
        Self { state, lost, keeper }
    }

    /// The connection; waits while one is being made, or, if `patient`, until there is one.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn live(&self, until: Instant, patient: bool) -> Result<Live, String> {
        let mut state = self.state.clone();
        let decided = state.wait_for(|state| match state {
            State::Up(_) => true,
            State::Down(_) => !patient,
            State::Connecting => false,
        });
        match timeout_at(until, decided).await {
            Ok(Ok(state)) => match &*state {
                State::Up(live) => Ok(live.clone()),
                State::Down(reason) => Err(reason.clone()),
                State::Connecting => Err("no connection to Redis yet".into()),
            },
            Ok(Err(_)) => Err("the connection to Redis is not kept any more; please report this".into()),
            Err(_) => Err("no connection to Redis in time".into()),
        }
    }

    /// Whether there is a connection now.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(_))
    }

    /// Has this connection replaced, unless that is under way.
    pub(super) fn replace(&self, live: &Live) {
        self.lost.send_if_modified(|lost| {
            let newer = live.number > *lost;
            *lost = live.number.max(*lost);
            newer
        });
    }
}

/// Keeps one connection for as long as somebody may want it.
async fn keep(dial: Arc<Dial>, told: watch::Sender<State>, mut lost: watch::Receiver<u64>, speaks: bool) {
    let (mut number, mut pause, mut said) = (0, FIRST_PAUSE, String::new());
    let mut warned = Vec::new();
    loop {
        let made = match timeout(CONNECT, make(&dial)).await {
            Ok(made) => made,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        };
        match made {
            Ok((connection, clock, report)) => {
                number += 1;
                told.send_replace(State::Up(Live { connection, clock, number }));
                if speaks && (number == 1 || !said.is_empty()) {
                    tracing::info!("connected to Redis");
                }
                if speaks && report.warnings != warned {
                    report.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                    warned = report.warnings;
                }
                said.clear();
                let began = Instant::now();
                if lost.wait_for(|lost| *lost >= number).await.is_err() {
                    return;
                }
                // Whoever asks now waits for the next one.
                told.send_replace(State::Connecting);
                if began.elapsed() < LONGEST_PAUSE {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                } else {
                    pause = FIRST_PAUSE;
                }
            }
            Err(error) => {
                let reason = describe(&error);
                if speaks && said != reason {
                    tracing::error!(
                        reason,
                        "Redis can't be used; what needs it gets 503 until it is back. Check that it runs, \
                         REDIS_URL, its users and its certificate"
                    );
                    said.clone_from(&reason);
                }
                told.send_replace(State::Down(reason));
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// A connection to a server that can be written to, its clock, and what the operator should know.
async fn make(dial: &Dial) -> RedisResult<(Connection, Option<Clock>, health::Report)> {
    let mut connection = dial.connect().await?;
    let report = health::look(&mut connection).await?;
    let clock = match &mut connection {
        Connection::One(one) => clock(one).await,
        // Its nodes have a clock each.
        Connection::Cluster(_) => None,
    };
    Ok((connection, clock, report))
}

async fn clock(connection: &mut MultiplexedConnection) -> Option<Clock> {
    let told: RedisResult<(u64, u64)> = redis::cmd("TIME").query_async(connection).await;
    let (seconds, microseconds) =
        told.inspect_err(|error| tracing::debug!(%error, "Redis does not tell its time")).ok()?;
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if ours.abs_diff(seconds) > 60 {
        tracing::debug!(seconds, ours, "Redis' clock and this host's differ");
    }
    Some(Clock { read: Instant::now(), unix_ms: seconds * 1000 + microseconds / 1000 })
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The connection is gone; whether the call was carried out is not known.
    Lost(String),
    /// This server is not, or not any more, the one to ask; nothing was changed.
    Moved(String),
    /// Redis refused; nothing was changed.
    Refused(String),
    /// Redis read the call after its deadline; nothing was changed.
    Late,
    /// It was carried out, but may be forgotten.
    Unsure(String),
}

impl From<RedisError> for Failed {
    fn from(error: RedisError) -> Self {
        let reason = describe(&error);
        match error.kind() {
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain,
            ) => Self::Moved(reason),
            ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::InvalidClientConfig => {
                Self::Refused(reason)
            }
            _ => Self::Lost(reason),
        }
    }
}

/// What to say of an error: none of Redis' own texts holds a password or a preimage.
pub(super) fn describe(error: &RedisError) -> String {
    error.to_string()
}
