//! The way through the mailbox: by the phrase the first time, by keys ever after; one session at a time.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::lnc::client::{ConnectError, Connected, Credentials, LinkError, Patience, Server, Session, connect};
use ::lnc::mailbox::MailboxError;
use ::lnc::noise::{HandshakeError, Version};
use ::lnc::{PairingPhrase, PublicKey};
use lnd_rpc::channel::{MacaroonInterceptor, innermost, over_stream};
use tokio::task::JoinHandle;

use super::farewell::FarewellStream;
use super::keyring::{Keyring, Keys};
use super::turn::Turn;
use crate::LightningError;
use crate::lnd::{Access, Door, Pending, Way};
use crate::pause::FIRST_PAUSE;

/// How often a process that has the session looks whether another one wants it.
const LOOK: Duration = Duration::from_millis(200);

/// For how long the mailbox may not know the session before it is tried in another way.
const UNKNOWN: Duration = Duration::from_secs(1);

/// The door of one session.
pub(super) struct LncDoor(Arc<Inner>);

struct Inner {
    server: Server,
    phrase: PairingPhrase,
    keyring: Keyring,
    turn: Turn,
    session: Mutex<Option<Session>>,
    /// Whether the wallet was closed for good.
    closed: Arc<AtomicBool>,
    /// Looks whether another process wants the session.
    watch: Mutex<Option<JoinHandle<()>>>,
}

impl LncDoor {
    pub(super) fn new(server: Server, phrase: PairingPhrase, state_dir: &Path) -> LncDoor {
        let keyring = Keyring::new(state_dir, &phrase);
        let turn = Turn::new(keyring.path());
        LncDoor(Arc::new(Inner {
            server,
            phrase,
            keyring,
            turn,
            session: Mutex::default(),
            closed: Arc::default(),
            watch: Mutex::default(),
        }))
    }
}

impl Door for LncDoor {
    fn leads_to(&self) -> String {
        format!("the node behind the mailbox {}", self.0.server.address())
    }

    fn access(&self) -> Access {
        Access::Session
    }

    fn connect(&self) -> Pending<'_, Result<Way, LightningError>> {
        Box::pin(async {
            self.0.turn.take().await?;
            self.keep_looking();
            // One that was given up may still hold the stream.
            self.0.leave().await;
            self.0.connect().await
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            self.0.turn.end();
            self.0.closed.store(true, Ordering::Release);
            self.0.leave().await;
            self.0.turn.give();
        })
    }
}

impl LncDoor {
    /// Gives the session up when another process asks for it.
    fn keep_looking(&self) {
        let mut watch = self.0.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if watch.as_ref().is_some_and(|watch| !watch.is_finished()) {
            return;
        }
        let inner = Arc::downgrade(&self.0);
        *watch = Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(inner) = inner.upgrade() else { return };
                if inner.turn.is_wanted() {
                    tracing::info!("another l402d takes the session with the node over");
                    inner.leave().await;
                    inner.turn.give();
                    return;
                }
            }
        }));
    }
}

impl Drop for LncDoor {
    fn drop(&mut self) {
        if let Some(watch) = self.0.watch.lock().unwrap_or_else(PoisonError::into_inner).take() {
            watch.abort();
        }
    }
}

impl Inner {
    /// Ends the session, if there is one.
    async fn leave(&self) {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(session) = session {
            session.close().await;
        }
    }

    async fn connect(&self) -> Result<Way, LightningError> {
        let keys = self.keyring.load().map_err(|error| self.no_keys(&error))?;
        let connected = self.attempts(&keys).await;
        let connected = connected.map_err(|error| self.explain(&error, keys.remote.is_some()))?;
        let how = if keys.remote == Some(connected.remote) { "by key" } else { "by the pairing phrase" };
        // A session of this version is connected by key, whatever it began with.
        if connected.version == Version::V2 && !keys.confirmed {
            let keys = Keys { local: keys.local, remote: Some(connected.remote), confirmed: true };
            self.keyring.save(&keys).map_err(|error| self.no_keys(&error))?;
        }
        tracing::info!(mailbox = self.server.address(), how, "connected to the node");
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(connected.session.clone());
        self.way(connected).await
    }

    async fn attempts(&self, keys: &Keys) -> Result<Connected, ConnectError> {
        let Some(remote) = keys.remote else { return self.by_phrase(keys, &Patience::default()).await };
        if keys.confirmed {
            return self.by_keys(keys, remote, &Patience::default()).await;
        }
        // The node may not have heard that it was paired with: then it answers to the phrase. Or it has, and takes a
        // connection of the pairing, whose client is gone, for alive: then our SYN there ends that connection, and the
        // node answers to the keys.
        let brief = Patience { unknown: UNKNOWN, ..Patience::default() };
        match self.by_keys(keys, remote, &brief).await {
            Err(error) if is_not_found(&error) => {}
            other => return other,
        }
        match self.by_phrase(keys, &brief).await {
            Err(error) if is_not_found(&error) => {}
            other => return other,
        }
        self.by_keys(keys, remote, &Patience::default()).await
    }

    async fn by_phrase(&self, keys: &Keys, patience: &Patience) -> Result<Connected, ConnectError> {
        let local = keys.local.clone();
        let credentials = Credentials::Phrase { phrase: self.phrase.clone(), local };
        let mut keep = |remote: &PublicKey| {
            self.keyring.save(&Keys { local: keys.local.clone(), remote: Some(*remote), confirmed: false })
        };
        connect(&self.server, &credentials, patience, &mut keep).await
    }

    async fn by_keys(
        &self,
        keys: &Keys,
        remote: PublicKey,
        patience: &Patience,
    ) -> Result<Connected, ConnectError> {
        let credentials = Credentials::Paired { local: keys.local.clone(), remote };
        // They are kept already.
        connect(&self.server, &credentials, patience, &mut |_| Ok(())).await
    }

    /// HTTP/2 over the session's stream.
    async fn way(&self, connected: Connected) -> Result<Way, LightningError> {
        let macaroon =
            connected.auth_data.expose_macaroon().and_then(|hex| MacaroonInterceptor::new(hex.as_bytes()));
        let Some(macaroon) = macaroon else {
            return Err(LightningError::Refused("the node's session comes without a macaroon".to_owned()));
        };
        if connected.version < Version::V2 {
            tracing::debug!("the node's software is old: each connection is a pairing");
        }
        let stream = FarewellStream { stream: connected.stream, closed: Arc::clone(&self.closed) };
        let channel = over_stream(stream).await.map_err(|error| {
            LightningError::unavailable(
                format!("no HTTP/2 with the node: {}", innermost(&error)),
                FIRST_PAUSE,
            )
        })?;
        Ok(Way { channel, macaroon })
    }

    fn no_keys(&self, error: &io::Error) -> LightningError {
        let path = self.keyring.path().display();
        LightningError::Refused(format!("the keys of the session can't be kept in {path}: {error}"))
    }

    /// What went wrong, and what to do about it.
    fn explain(&self, error: &ConnectError, paired: bool) -> LightningError {
        let mailbox = self.server.address();
        let text = match error {
            ConnectError::Link(LinkError::Mailbox(MailboxError::NotFound)) if paired => format!(
                "the mailbox {mailbox} knows no such session: it has expired or was revoked (then make a new one on \
                 the node and give its pairing phrase), or the node is not connected to the mailbox"
            ),
            ConnectError::Link(LinkError::Mailbox(MailboxError::NotFound)) => format!(
                "the mailbox {mailbox} knows no session of this pairing phrase: the phrase is mistyped or was used by \
                 another client before, the session has expired or was revoked, or the node is not connected to the \
                 mailbox"
            ),
            ConnectError::Link(LinkError::Mailbox(MailboxError::Occupied)) => format!(
                "another client has the session at the mailbox {mailbox} (its stream is occupied): a session is for \
                 one client, so make one for each"
            ),
            ConnectError::Link(error @ LinkError::Certificate(_)) => {
                return LightningError::Refused(format!(
                    "{error} ({mailbox}); for a mailbox of your own, name its certificate in LNC_MAILBOX_CERT"
                ));
            }
            ConnectError::Handshake(HandshakeError::Decrypt) if !paired => {
                return LightningError::Refused(format!("the pairing phrase is not the node's: {error}"));
            }
            ConnectError::Keep(error) => return self.no_keys(error),
            ConnectError::Link(error) => format!("{error} ({mailbox})"),
            ConnectError::Silent => format!("{error} (mailbox {mailbox}); is it running?"),
            ConnectError::Closed(_) => format!("{error}; it may have another phrase or key than we have"),
            ConnectError::Handshake(_) | ConnectError::Key(_) => error.to_string(),
        };
        LightningError::unavailable(text, FIRST_PAUSE)
    }
}

fn is_not_found(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Link(LinkError::Mailbox(MailboxError::NotFound)))
}
