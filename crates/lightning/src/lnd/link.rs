//! One connection to the node: made by the first who needs it, shared by all, made again with back-off.
//!
//! While one caller's attempt is under way the others wait for it; while a failed one is being slept off, calls fail at
//! once. The attempt runs in a task of its own, so that a caller that gives up stops neither it nor its successors.
//! A connection counts as good once the node has answered a call on it: one that is lost before that counts as a
//! failed attempt, so that a node that accepts and hangs up is not hammered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lnd_rpc::channel::Authorized;
use lnd_rpc::invoicesrpc::invoices_client::InvoicesClient;
use lnd_rpc::lnrpc::lightning_client::LightningClient;
use tokio::sync::watch;
use tokio::time::Instant;

use super::door::{Access, Door, Way};
use crate::LightningError;
use crate::foreign::Secrets;
use crate::pause::{FIRST_PAUSE, pause_after};

/// A connection is given up after so many calls in a row without any answer. Pings find a dead one sooner, but only
/// while a subscription is open.
const SILENT_CALLS: u32 = 2;

/// The connection to one node.
pub(super) struct Link {
    door: Box<dyn Door>,
    state: Mutex<State>,
}

struct State {
    line: LineState,
    /// Attempts that failed since the node last answered.
    failures: u32,
    /// Number of the newest connection.
    generation: u64,
}

enum LineState {
    /// Nobody has needed one, or the last good one was lost.
    Idle,
    Connecting(Outcome),
    Up {
        line: Line,
        answered: bool,
        silent: u32,
    },
    Down {
        until: Instant,
        error: LightningError,
    },
}

/// What becomes of an attempt; `None` while it is under way.
type Outcome = watch::Receiver<Option<Result<Line, LightningError>>>;

/// An established connection.
#[derive(Clone)]
pub(super) struct Line {
    generation: u64,
    way: Way,
}

impl Link {
    pub(super) fn new(door: Box<dyn Door>) -> Arc<Link> {
        let state = State { line: LineState::Idle, failures: 0, generation: 0 };
        Arc::new(Link { door, state: Mutex::new(state) })
    }

    /// Where the macaroon comes from.
    pub(super) fn access(&self) -> Access {
        self.door.access()
    }

    /// What no log line may hold.
    pub(super) fn secrets(&self) -> Secrets {
        self.door.secrets()
    }

    /// Leaves for good.
    pub(super) async fn close(&self) {
        self.door.close().await;
    }

    /// The connection, made if there is none. Fails at once while a failed attempt is being slept off. Bounded by the
    /// node's connect time-out only: a caller with a shorter deadline bounds it itself.
    pub(super) async fn line(self: &Arc<Self>) -> Result<Line, LightningError> {
        let mut outcome = match self.line_or_attempt()? {
            Ok(line) => return Ok(line),
            Err(outcome) => outcome,
        };
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            Ok(None) | Err(_) => Err(LightningError::unavailable("connecting was interrupted", FIRST_PAUSE)),
        }
    }

    /// The service over a connection.
    pub(super) fn client(line: &Line) -> LightningClient<Authorized> {
        LightningClient::with_interceptor(line.way.channel.clone(), line.way.macaroon.clone())
    }

    /// The service that cancels, over a connection.
    pub(super) fn invoices(line: &Line) -> InvoicesClient<Authorized> {
        InvoicesClient::with_interceptor(line.way.channel.clone(), line.way.macaroon.clone())
    }

    /// The node answered, if only with a refusal: the connection is good.
    pub(super) fn answered(&self, line: &Line) {
        let mut state = self.state();
        if let LineState::Up { line: current, answered, silent } = &mut state.line
            && current.generation == line.generation
        {
            *answered = true;
            *silent = 0;
            state.failures = 0;
        }
    }

    /// A call got no answer within its deadline.
    pub(super) fn silent(&self, line: &Line) {
        let mut state = self.state();
        if let LineState::Up { line: current, silent, .. } = &mut state.line
            && current.generation == line.generation
        {
            *silent += 1;
            if *silent >= SILENT_CALLS {
                state.line = LineState::Idle;
            }
        }
    }

    /// The connection broke. The next call makes another one: at once if this one had been good, else after the pause
    /// of a failed attempt. Returns the error to give to the caller.
    pub(super) fn lost(&self, line: &Line, reason: &str) -> LightningError {
        let mut state = self.state();
        let text = format!("the connection to {} was lost: {reason}", self.door.leads_to());
        match &state.line {
            LineState::Up { line: current, answered, .. } if current.generation == line.generation => {
                if *answered {
                    state.line = LineState::Idle;
                    LightningError::unavailable(text, FIRST_PAUSE)
                } else {
                    state.fail(LightningError::unavailable(text, FIRST_PAUSE))
                }
            }
            // Another caller has noticed before.
            _ => LightningError::unavailable(text, FIRST_PAUSE),
        }
    }

    /// The connection, or the attempt to wait for; starts one where that is due.
    fn line_or_attempt(self: &Arc<Self>) -> Result<Result<Line, Outcome>, LightningError> {
        let mut state = self.state();
        match &state.line {
            LineState::Up { line, .. } => return Ok(Ok(line.clone())),
            // An attempt whose task is gone (its runtime ended) is no attempt.
            LineState::Connecting(outcome) if outcome.has_changed().is_ok() => {
                return Ok(Err(outcome.clone()));
            }
            LineState::Down { until, error } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(later(error, left));
                }
            }
            LineState::Idle | LineState::Connecting(_) => {}
        }
        let (report, outcome) = watch::channel(None);
        state.line = LineState::Connecting(outcome.clone());
        state.generation += 1;
        let (link, generation) = (Arc::clone(self), state.generation);
        drop(state);
        tokio::spawn(async move {
            let result = link.attempt(generation).await;
            // Nobody may be waiting any more.
            let _ = report.send(Some(result));
        });
        Ok(Err(outcome))
    }

    async fn attempt(&self, generation: u64) -> Result<Line, LightningError> {
        let connected = self.door.connect().await;
        let mut state = self.state();
        match connected {
            Ok(way) => {
                let line = Line { generation, way };
                state.line = LineState::Up { line: line.clone(), answered: false, silent: 0 };
                Ok(line)
            }
            Err(error) => Err(state.fail(error)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Starts the pause after a failed attempt, and says how long it is in the error.
    fn fail(&mut self, error: LightningError) -> LightningError {
        let pause = pause_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.line = LineState::Down { until: Instant::now() + pause, error: error.clone() };
        match error {
            LightningError::Unavailable { text, .. } => {
                LightningError::Unavailable { text, retry_after: pause }
            }
            other => other,
        }
    }
}

/// The error of the failed attempt, for a call that comes `left` before the next one.
fn later(error: &LightningError, left: Duration) -> LightningError {
    match error {
        LightningError::Unavailable { text, .. } => LightningError::unavailable(text.clone(), left),
        LightningError::TimedOut => LightningError::unavailable("it did not answer in time", left),
        LightningError::Refused(_) | LightningError::Wrong(_) => error.clone(),
    }
}
