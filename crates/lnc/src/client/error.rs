//! Why there is no connection, and whose turn it is. No text holds a secret.

use std::io;

use crate::KeyError;
use crate::gbn::Closed;
use crate::mailbox::MailboxError;
use crate::noise::HandshakeError;

/// Why the mailbox can't be used at the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Its name can't be resolved, nobody listens, or the connection broke.
    #[error("the mailbox can't be reached: {0}")]
    Unreachable(String),
    /// It shows a certificate that isn't trusted.
    #[error("the mailbox's certificate is not trusted: {0}")]
    Certificate(String),
    /// It is there, and won't.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
}

impl LinkError {
    pub(super) fn unreachable(error: &impl ToString) -> LinkError {
        LinkError::Unreachable(error.to_string())
    }

    /// Tells a certificate that was refused from everything else that can happen.
    pub(super) fn of_tls(error: &io::Error) -> LinkError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(why)) => LinkError::Certificate(format!("{why:?}")),
            _ => LinkError::unreachable(error),
        }
    }
}

/// Why there is no connection to the node.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The mailbox can't be used. [`MailboxError::NotFound`] is the session's end, or the node's absence.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The mailbox knows the session, but the node doesn't answer.
    #[error("the mailbox knows the session, but the node does not answer")]
    Silent,
    /// The node ended the connection during the handshake: another phrase or key than it expects.
    #[error("during the handshake: {0}")]
    Closed(#[from] Closed),
    /// The handshake went wrong.
    #[error("during the handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The node's key could not be kept, so that nobody would find back to this session.
    #[error("the node's key can't be kept: {0}")]
    Keep(io::Error),
}
