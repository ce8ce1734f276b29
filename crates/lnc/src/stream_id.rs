//! Stream ids: the names of the two boxes that a session has at the mailbox.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use crate::{PublicKey, SecretKey};

/// Bytes of a stream id.
pub const STREAM_ID_LEN: usize = 64;

/// A session's name at the mailbox. Who knows it can occupy the session, so it is kept as a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamId(Zeroizing<[u8; STREAM_ID_LEN]>);

impl StreamId {
    /// SHA-512 of what both sides know: the phrase's entropy, or after pairing what [`StreamId::paired`] derives.
    pub(crate) fn hash(shared: &[u8]) -> StreamId {
        StreamId(Zeroizing::new(Sha512::digest(shared).into()))
    }

    /// The session of two that know each other's static keys.
    pub fn paired(local: &SecretKey, remote: &PublicKey) -> StreamId {
        let shared = local.diffie_hellman(remote);
        // A key of any length is one.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(shared.as_slice()) else {
            unreachable!("HMAC takes keys of any length")
        };
        mac.update(b"mailbox");
        StreamId::hash(&mac.finalize().into_bytes())
    }

    /// The box that the client reads and the node writes.
    pub fn to_client(&self) -> StreamId {
        self.clone()
    }

    /// The box that the client writes and the node reads: the last bit is the other one.
    pub fn to_server(&self) -> StreamId {
        let mut id = self.clone();
        id.0[STREAM_ID_LEN - 1] ^= 1;
        id
    }

    /// The bytes. A secret.
    pub fn expose(&self) -> &[u8; STREAM_ID_LEN] {
        &self.0
    }

    /// From the bytes that a mailbox sent.
    pub fn from_bytes(bytes: &[u8]) -> Option<StreamId> {
        bytes.try_into().ok().map(|bytes| StreamId(Zeroizing::new(bytes)))
    }
}

/// Shows nothing of it.
impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamId(redacted)")
    }
}
