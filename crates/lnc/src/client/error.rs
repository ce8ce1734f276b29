//! Why there is no connection, and whose turn it is. No text holds a secret.

use std::io;

use rustls::{AlertDescription, CertificateError};

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
            Some(rustls::Error::InvalidCertificate(why)) => {
                LinkError::Certificate(certificate_fault(why).to_owned())
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                LinkError::Unreachable("it does not speak TLS".to_owned())
            }
            Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
                LinkError::Unreachable("it does not speak this protocol (wss:// or grpcs://)".to_owned())
            }
            Some(rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_)) => {
                LinkError::Unreachable("it refuses TLS as we speak it".to_owned())
            }
            _ => LinkError::unreachable(error),
        }
    }
}

/// What is wrong with a certificate, for the operator.
fn certificate_fault(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer => "it was issued by nobody who is trusted here",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet, or the clock of this machine is wrong"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name than the mailbox's"
        }
        CertificateError::Revoked => "it was revoked",
        CertificateError::BadEncoding | CertificateError::BadSignature => "it is damaged",
        _ => "it can't be verified",
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

#[cfg(test)]
mod tests {
    use rustls::{Error, InvalidMessage};

    use super::*;

    fn text(error: Error) -> String {
        LinkError::of_tls(&io::Error::other(error)).to_string()
    }

    #[test]
    fn tls_fails_in_words_for_people() {
        let certificate = |why| text(Error::InvalidCertificate(why));
        for (error, want) in [
            (CertificateError::UnknownIssuer, "issued by nobody who is trusted here"),
            (CertificateError::Expired, "it has expired"),
            (CertificateError::NotValidForName, "another name"),
            (CertificateError::UnhandledCriticalExtension, "it can't be verified"),
        ] {
            let text = certificate(error);
            assert!(
                text.starts_with("the mailbox's certificate is not trusted: ") && text.contains(want),
                "{text}"
            );
        }
        let plain = text(Error::InvalidMessage(InvalidMessage::InvalidContentType));
        assert_eq!(plain, "the mailbox can't be reached: it does not speak TLS");
        let alert = text(Error::AlertReceived(AlertDescription::ProtocolVersion));
        assert_eq!(alert, "the mailbox can't be reached: it refuses TLS as we speak it");
        assert_eq!(
            text(Error::General("as it is".to_owned())),
            "the mailbox can't be reached: unexpected error: as it is"
        );
    }
}
