//! How calls get to the node: over lightningd's socket, a connection for each call, or over clnrest.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use super::refusal::{Method, refusal};
use super::rest::Rest;
use super::rpc::{Reader, RpcError, request};
use crate::LightningError;
use crate::pause::{FIRST_PAUSE, Gate};

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Failure {
    /// The node answered with an error.
    Answer(RpcError),
    /// There was no answer.
    NoAnswer(LightningError),
}

impl Failure {
    /// What it means to who made the call.
    pub(super) fn of(self, method: Method) -> LightningError {
        match self {
            Failure::Answer(error) => refusal(method, &error),
            Failure::NoAnswer(error) => error,
        }
    }
}

/// The way to a node.
pub(super) enum Link {
    /// lightningd's socket.
    Socket(Socket),
    /// clnrest.
    Rest(Rest),
}

impl Link {
    /// One call within the deadline, connecting included.
    pub(super) async fn call(
        &self,
        method: Method,
        params: &Value,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        match self {
            Link::Socket(socket) => socket.call(method, params, deadline).await,
            Link::Rest(rest) => rest.call(method, params, deadline).await,
        }
    }
}

/// lightningd's socket.
pub(super) struct Socket {
    path: PathBuf,
    gate: Gate,
    calls: AtomicU64,
}

impl Socket {
    pub(super) fn new(path: &Path) -> Socket {
        Socket { path: path.to_owned(), gate: Gate::default(), calls: AtomicU64::new(0) }
    }

    async fn call(&self, method: Method, params: &Value, deadline: Instant) -> Result<Value, Failure> {
        self.gate.pass().map_err(Failure::NoAnswer)?;
        match timeout_at(deadline, self.exchange(method, params)).await {
            Ok(reply) => reply,
            // A connection that a call was given up on is closed: lightningd may still do what was asked.
            Err(_) => Err(Failure::NoAnswer(LightningError::TimedOut)),
        }
    }

    async fn exchange(&self, method: Method, params: &Value) -> Result<Value, Failure> {
        let mut stream =
            UnixStream::connect(&self.path).await.map_err(|error| Failure::NoAnswer(self.closed(&error)))?;
        let id = format!("l402d-{}", self.calls.fetch_add(1, Ordering::Relaxed));
        let sent = stream.write_all(&request(&id, method.name(), params)).await;
        sent.map_err(|error| Failure::NoAnswer(lost(&error.to_string())))?;
        let (mut reader, mut chunk) = (Reader::default(), [0; 8192]);
        loop {
            let count = match stream.read(&mut chunk).await {
                Ok(0) => return Err(Failure::NoAnswer(lost("it was closed"))),
                Ok(count) => count,
                Err(error) => return Err(Failure::NoAnswer(lost(&error.to_string()))),
            };
            let reply = reader.push(&id, &chunk[..count]);
            if let Some(reply) =
                reply.map_err(|error| Failure::NoAnswer(LightningError::Wrong(error.to_string())))?
            {
                self.gate.answered();
                return reply.map_err(Failure::Answer);
            }
        }
    }

    /// There is no connection: lightningd is away, or the operator has to mend something.
    fn closed(&self, error: &std::io::Error) -> LightningError {
        let path = self.path.display();
        match error.kind() {
            ErrorKind::PermissionDenied => LightningError::Refused(format!(
                "l402d's user may not use {path}: give it lightningd's group and set rpc-file-mode=0660"
            )),
            kind => {
                let text = match kind {
                    ErrorKind::NotFound => {
                        format!("there is no {path}: does lightningd run, on this network?")
                    }
                    ErrorKind::ConnectionRefused => format!("nobody listens at {path}: does lightningd run?"),
                    _ => format!("can't connect to {path}: {error}"),
                };
                let pause = self.gate.failed(&text);
                LightningError::unavailable(text, pause)
            }
        }
    }
}

fn lost(reason: &str) -> LightningError {
    LightningError::unavailable(format!("the connection to lightningd was lost: {reason}"), FIRST_PAUSE)
}
