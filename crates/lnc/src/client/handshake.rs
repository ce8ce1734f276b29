//! From nothing to a session: the boxes, go-back-N's handshake, Noise's, each within its time.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::driver::{Driver, Ended, Happened, Transport, now};
use super::error::ConnectError;
use super::link::{Link, News};
use super::server::Server;
use super::stream::{Session, Stream};
use super::troubles::Troubles;
use crate::gbn::{Closed, Event};
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

/// Keeps the node's key for good. It is called once, when pairing with a node of [`Version::V2`] or later, before the
/// node is told that we have its key: from then on the phrase leads nowhere, so whoever forgets the key has lost the
/// session.
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
/// By the phrase, a node of [`Version::V2`] or later is paired with, and then connected to by key at once: it moves to
/// the boxes of the keys only when the connection of the pairing has ended, and one that lost its client there, with a
/// full window, would never move.
///
/// # Errors
/// The mailbox, the session or the node: [`ConnectError`] tells them apart.
pub async fn connect(
    server: &Server,
    credentials: &Credentials,
    patience: &Patience,
    keep: Keep<'_>,
) -> Result<Connected, ConnectError> {
    match credentials {
        Credentials::Phrase { phrase, local } => pair(server, phrase, local, patience, keep).await,
        Credentials::Paired { local, remote } => resume(server, local, *remote, patience).await,
    }
}

async fn pair(
    server: &Server,
    phrase: &PairingPhrase,
    local: &SecretKey,
    patience: &Patience,
    keep: Keep<'_>,
) -> Result<Connected, ConnectError> {
    let stretched = phrase.clone();
    let mask = tokio::task::spawn_blocking(move || Mask::new(&stretched));
    let mut driver = Driver::new(Link::open(server, &phrase.stream_id()));
    let attempt = async {
        opened(server, &mut driver, patience).await?;
        let mask = mask.await.map_err(|_| ConnectError::Silent)?;
        let setup = Setup { local: local.clone(), ephemeral: SecretKey::generate()? };
        let handshake = acts(&mut driver, Handshake::pair(setup, &mask), patience, Some(keep)).await?;
        let paired = handshake.version() == Some(Version::V2);
        if paired {
            // HTTP/2's server speaks first: with that the node has taken the last act. A FIN that overtakes the act
            // within the node would undo the pairing.
            payload(&mut driver, patience.silent).await?;
        }
        Ok((handshake, paired))
    };
    let (handshake, paired) = match attempt.await {
        Ok(outcome) => outcome,
        Err(error) => return Err(given_up(driver, error)),
    };
    if !paired {
        return start(driver, handshake);
    }
    let remote = handshake.finish()?.remote;
    tokio::spawn(driver.close());
    resume(server, local, remote, patience).await
}

async fn resume(
    server: &Server,
    local: &SecretKey,
    remote: PublicKey,
    patience: &Patience,
) -> Result<Connected, ConnectError> {
    let mut driver = Driver::new(Link::open(server, &StreamId::paired(local, &remote)));
    let attempt = async {
        opened(server, &mut driver, patience).await?;
        let setup = Setup { local: local.clone(), ephemeral: SecretKey::generate()? };
        acts(&mut driver, Handshake::resume(setup, remote), patience, None).await
    };
    match attempt.await {
        Ok(handshake) => start(driver, handshake),
        Err(error) => Err(given_up(driver, error)),
    }
}

/// Says goodbye in the background: the node must not wait for us until its pings are in vain.
fn given_up(driver: Driver, error: ConnectError) -> ConnectError {
    tokio::spawn(driver.close());
    error
}

/// Waits for go-back-N's handshake.
async fn opened(server: &Server, driver: &mut Driver, patience: &Patience) -> Result<(), ConnectError> {
    let silent_until = Instant::now() + patience.silent;
    let mut troubles = Troubles::new(*patience);
    loop {
        let until = troubles.until().unwrap_or(silent_until);
        let to_tell_at = troubles.to_tell_at();
        tokio::select! {
            happened = driver.next() => match happened {
                Happened::Gbn(Event::Open) => return Ok(()),
                Happened::Gbn(Event::Closed(why)) => return Err(why.into()),
                Happened::Gbn(Event::Payload(_)) | Happened::Link(News::Back) => {}
                Happened::Link(News::Down(why)) => troubles.met(Instant::now(), why),
            },
            () = sleep_until(until) => {
                if let Some(why) = troubles.verdict(Instant::now()) {
                    return Err(why.into());
                }
                if Instant::now() >= silent_until {
                    return Err(ConnectError::Silent);
                }
            }
            () = sleep_until(to_tell_at.unwrap_or(until)), if to_tell_at.is_some() => {
                if let Some(why) = troubles.tell() {
                    tracing::info!(mailbox = server.address(), "not connected yet, trying on: {why}");
                }
            }
        }
    }
}

/// Exchanges the acts.
async fn acts(
    driver: &mut Driver,
    mut handshake: Handshake,
    patience: &Patience,
    mut keep: Option<Keep<'_>>,
) -> Result<Handshake, ConnectError> {
    loop {
        match handshake.turn() {
            Turn::Write => {
                if let (Some(remote), Some(Version::V2)) = (handshake.remote(), handshake.version())
                    && let Some(keep) = keep.take()
                {
                    keep(&remote).map_err(ConnectError::Keep)?;
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
