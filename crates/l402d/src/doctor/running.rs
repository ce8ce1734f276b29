//! Asks the l402d that runs: it has the configuration that nginx gave it, and the sessions that serve one client at a time.

use std::{io, path::Path, time::Duration};

use agent_api::{FrameError, FromAgent, PROTOCOL, ToAgent};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::{
    exam::{EACH, TRIES},
    report::Report,
};

/// How long it may take to let us in.
const HELLO: Duration = Duration::from_secs(3);

/// Why there are no reports.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there.
    #[error("no l402d listens at it: {0}")]
    Nobody(io::Error),
    /// Somebody is there, and we may not speak to him.
    #[error(
        "this user may not connect to it ({0}): run this as root, or as a user that `allow` in l402d.toml names"
    )]
    NotAllowed(io::Error),
    /// It is of another release.
    #[error("{0}")]
    Version(FrameError),
    /// It said nothing, or what makes no sense.
    #[error("the l402d that listens there {0}: look at its log, and start it again")]
    Broken(String),
}

/// The reports of its backends, by name.
///
/// # Errors
/// [`AskError`]
pub async fn ask(socket: &Path) -> Result<Vec<Report>, AskError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => AskError::NotAllowed(error),
        _ => AskError::Nobody(error),
    })?;
    let mut line = Line { stream, read: Vec::new() };
    line.say(&ToAgent::Hello { protocol: PROTOCOL, pid: std::process::id() }).await?;
    match line.hear(HELLO).await? {
        FromAgent::Welcome { .. } => {}
        _ => return Err(AskError::Broken("does not open as it should".to_owned())),
    }
    // Those of all backends are made at the same time.
    let patience = EACH * (TRIES + 1);
    line.say(&ToAgent::Examine { id: 1, number: 0 }).await?;
    let (count, first) = line.report(patience).await?;
    let mut reports = Vec::from_iter(first);
    for number in 1..count {
        line.say(&ToAgent::Examine { id: 1 + u64::from(number), number }).await?;
    }
    for _ in 1..count {
        reports.extend(line.report(patience).await?.1);
    }
    reports.sort_by(|one, other| one.backend.cmp(&other.backend));
    Ok(reports)
}

struct Line {
    stream: UnixStream,
    read: Vec<u8>,
}

impl Line {
    async fn say(&mut self, frame: &ToAgent) -> Result<(), AskError> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes).await.map_err(|error| AskError::Broken(format!("hung up ({error})")))
    }

    /// A report, and how many there are.
    async fn report(&mut self, patience: Duration) -> Result<(u32, Option<Report>), AskError> {
        loop {
            match self.hear(patience).await? {
                FromAgent::Examined { count, report, .. } if report.is_empty() => return Ok((count, None)),
                FromAgent::Examined { count, report, .. } => {
                    let report = serde_json::from_str(&report)
                        .map_err(|_| AskError::Broken("sends a report that can't be read".to_owned()))?;
                    return Ok((count, Some(report)));
                }
                FromAgent::Failed { reason, .. } => return Err(AskError::Broken(format!("says: {reason}"))),
                // Its keys may change meanwhile.
                _ => {}
            }
        }
    }

    /// The next frame.
    async fn hear(&mut self, patience: Duration) -> Result<FromAgent, AskError> {
        let next = async {
            loop {
                match FromAgent::decode(&self.read) {
                    Ok(Some((frame, used))) => {
                        self.read.drain(..used);
                        return Ok(frame);
                    }
                    Ok(None) => {}
                    Err(error @ FrameError::Version { .. }) => return Err(AskError::Version(error)),
                    Err(error) => return Err(AskError::Broken(format!("sends {error}"))),
                }
                match self.stream.read_buf(&mut self.read).await {
                    Ok(0) => return Err(AskError::NotAllowed(io::ErrorKind::ConnectionAborted.into())),
                    Ok(_) => {}
                    Err(error) => return Err(AskError::Broken(format!("hung up ({error})"))),
                }
            }
        };
        timeout(patience, next).await.unwrap_or_else(|_| Err(AskError::Broken("says nothing".to_owned())))
    }
}
