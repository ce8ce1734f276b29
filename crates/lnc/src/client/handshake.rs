//! From nothing to a session: the boxes, go-back-N's handshake, Noise's, each within its time.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::driver::{Driver, Ended, Happened, Transport, now};
use super::error::{ConnectError, LinkError};
use super::link::{Link, News};
use super::server::Server;
use super::stream::{Session, Stream};
use crate::gbn::{Closed, Event};
use crate::mailbox::MailboxError;
use crate::noise::{Handshake, Mask, Setup, Turn, Version};
use crate::{AuthData, PairingPhrase, PublicKey, SecretKey, StreamId, msg_data};

/// Bytes between the stream and go-back-N.
const PIPE: usize = 64 * 1024;

/// How we are known to the node.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// By the phrase alone: the first time, and with nodes before version 2 every time.
    Phrase {
        /// The words that the node showed.
        phrase: PairingPhrase,
        /// The key that the node will know us by.
        local: SecretKey,
    },
    /// By each other's keys.
    Paired {
        /// The key that the node knows us by.
        local: SecretKey,
        /// The node's key.
        remote: PublicKey,
    },
}

/// Keeps the node's key for good. It is called before the node is told that we have it: from then on the phrase leads
/// nowhere, so whoever forgets the key has lost the session.
pub type Keep<'a> = &'a mut (dyn FnMut(&PublicKey) -> io::Result<()> + Send);

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the mailbox to know the session: a node that lost its mailbox makes its box again within two seconds.
    pub unknown: Duration,
    /// For another client to leave.
    pub occupied: Duration,
    /// For the mailbox to be there.
    pub unreachable: Duration,
    /// For the node to answer, and for each of its acts.
    pub silent: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            unknown: Duration::from_secs(3),
            occupied: Duration::from_secs(15),
            unreachable: Duration::from_secs(5),
            silent: Duration::from_secs(10),
        }
    }
}

/// A session with a node.
pub struct Connected {
    /// Bytes to and from it.
    pub stream: Stream,
    /// Ends it.
    pub session: Session,
    /// What goes along with every call. A secret.
    pub auth_data: AuthData,
    /// The node's key.
    pub remote: PublicKey,
    /// The handshake's version: from [`Version::V2`] on the next one is by [`Credentials::Paired`].
    pub version: Version,
}

/// Connects to the node behind `server`. Must be called within a tokio runtime.
///
/// # Errors
/// The mailbox, the session or the node: [`ConnectError`] tells them apart.
pub async fn connect(
    server: &Server,
    credentials: &Credentials,
    patience: &Patience,
    keep: Keep<'_>,
) -> Result<Connected, ConnectError> {
    let (stream, mask) = match credentials {
        Credentials::Phrase { phrase, .. } => {
            let stretched = phrase.clone();
            let mask = tokio::task::spawn_blocking(move || Mask::new(&stretched));
            (phrase.stream_id(), Some(mask))
        }
        Credentials::Paired { local, remote } => (StreamId::paired(local, remote), None),
    };
    let mut driver = Driver::new(Link::open(server, &stream));
    let attempt = async {
        opened(server, &mut driver, patience).await?;
        let ephemeral = SecretKey::generate()?;
        let handshake = match (credentials, mask) {
            (Credentials::Phrase { local, .. }, Some(mask)) => {
                let mask = mask.await.map_err(|_| ConnectError::Silent)?;
                Handshake::pair(Setup { local: local.clone(), ephemeral }, &mask)
            }
            (Credentials::Paired { local, remote }, _) => {
                Handshake::resume(Setup { local: local.clone(), ephemeral }, *remote)
            }
            (Credentials::Phrase { .. }, None) => unreachable!("the mask is made above"),
        };
        acts(&mut driver, handshake, patience, keep).await
    };
    match attempt.await {
        Ok(handshake) => Ok(start(driver, handshake)?),
        Err(error) => {
            // The node must not wait for us until its pings are in vain.
            tokio::spawn(driver.close());
            Err(error)
        }
    }
}

/// Waits for go-back-N's handshake.
async fn opened(server: &Server, driver: &mut Driver, patience: &Patience) -> Result<(), ConnectError> {
    let start = Instant::now();
    // What is wrong with the mailbox, and since when.
    let mut trouble: Option<(LinkError, Instant)> = None;
    loop {
        let until = match &trouble {
            Some((why, since)) => *since + patience.with(why),
            None => start + patience.silent,
        };
        let happened = tokio::select! {
            happened = driver.next() => happened,
            () = sleep_until(until) => {
                return Err(trouble.map_or(ConnectError::Silent, |(why, _)| why.into()));
            }
        };
        match happened {
            Happened::Gbn(Event::Open) => return Ok(()),
            Happened::Gbn(Event::Closed(why)) => return Err(why.into()),
            Happened::Gbn(Event::Payload(_)) | Happened::Link(News::Back) => {}
            Happened::Link(News::Down(why)) => {
                if patience.with(&why).is_zero() {
                    return Err(why.into());
                }
                if trouble.as_ref().is_none_or(|(before, _)| *before != why) {
                    tracing::info!(mailbox = server.address(), "not connected yet: {why}; trying on");
                }
                trouble = match trouble {
                    // The other box says the same, or this one again.
                    Some((before, since)) if before == why => Some((before, since)),
                    // What the mailbox says of the session tells more than that it hung up.
                    Some((before @ LinkError::Mailbox(_), since))
                        if matches!(why, LinkError::Unreachable(_)) =>
                    {
                        Some((before, since))
                    }
                    Some(_) | None => Some((why, Instant::now())),
                };
            }
        }
    }
}

impl Patience {
    fn with(&self, trouble: &LinkError) -> Duration {
        match trouble {
            LinkError::Mailbox(MailboxError::NotFound) => self.unknown,
            LinkError::Mailbox(MailboxError::Occupied) => self.occupied,
            LinkError::Mailbox(MailboxError::Other(_) | MailboxError::Malformed)
            | LinkError::Unreachable(_) => self.unreachable,
            LinkError::Certificate(_) => Duration::ZERO,
        }
    }
}

/// Exchanges the acts.
async fn acts(
    driver: &mut Driver,
    mut handshake: Handshake,
    patience: &Patience,
    keep: Keep<'_>,
) -> Result<Handshake, ConnectError> {
    let mut kept = false;
    loop {
        match handshake.turn() {
            Turn::Write => {
                if let (false, Some(remote), Some(Version::V2)) =
                    (kept, handshake.remote(), handshake.version())
                {
                    keep(&remote).map_err(ConnectError::Keep)?;
                    kept = true;
                }
                let act = msg_data::encode(&handshake.write()?);
                if driver.gbn.send(now(), act).is_err() {
                    return Err(ConnectError::Closed(Closed::Broken("it takes no act")));
                }
            }
            Turn::Read => {
                let payload = payload(driver, patience.silent).await?;
                let act = msg_data::decode(&payload);
                handshake.read(act.map_err(|_| Closed::Broken("an act is no MsgData"))?)?;
            }
            Turn::Over | Turn::Failed => return Ok(handshake),
        }
    }
}

async fn payload(driver: &mut Driver, within: Duration) -> Result<Vec<u8>, ConnectError> {
    let until = Instant::now() + within;
    loop {
        tokio::select! {
            happened = driver.next() => match happened {
                Happened::Gbn(Event::Payload(payload)) => return Ok(payload),
                Happened::Gbn(Event::Closed(why)) => return Err(why.into()),
                Happened::Gbn(Event::Open) | Happened::Link(_) => {}
            },
            () = sleep_until(until) => return Err(ConnectError::Silent),
        }
    }
}

fn start(driver: Driver, handshake: Handshake) -> Result<Connected, ConnectError> {
    let established = handshake.finish()?;
    let (ours, pipe) = tokio::io::duplex(PIPE);
    let (close, closing) = watch::channel(false);
    let ended: Arc<OnceLock<Ended>> = Arc::default();
    let transport = Transport {
        driver,
        sealer: established.sealer,
        opener: established.opener,
        pipe,
        close: closing,
        ended: Arc::clone(&ended),
    };
    tokio::spawn(transport.run());
    Ok(Connected {
        stream: Stream { pipe: ours, ended: Arc::clone(&ended) },
        session: Session { close, ended },
        auth_data: AuthData::new(established.auth_data),
        remote: established.remote,
        version: established.version,
    })
}
