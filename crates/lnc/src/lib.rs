//! Lightning Node Connect: a byte stream to a Lightning node that has no open port, through a mailbox both sides
//! connect to. The node shows ten words; whoever types them in is paired, and comes back later by key alone.
//!
//! `client` (a feature that is on by default) connects, on tokio, and gives the byte stream.
//!
//! The core has no I/O: bytes, time and keys are parameters, and each part stands alone.
//!
//! * [`PairingPhrase`], [`StreamId`]: the words, and the names of the boxes at the mailbox.
//! * [`noise`]: the handshakes, XX with a SPAKE2 mask to pair and KK ever after, as states that take and give acts.
//! * [`Sealer`], [`Opener`]: the messages after it, with their key rotation.
//! * [`gbn`]: go-back-N, which makes of a mailbox that loses frames a stream that doesn't; its timers are data.
//! * [`msg_data`], [`mailbox`], [`AuthData`]: the framing around the bytes, on both sides of go-back-N.
//!
//! Secrets are wiped when dropped and never shown by `Debug` or an error.

#![forbid(unsafe_code)]

mod auth_data;
mod cipher;
#[cfg(feature = "client")]
pub mod client;
pub mod gbn;
mod keys;
pub mod mailbox;
pub mod msg_data;
pub mod noise;
mod phrase;
mod stream_id;

pub use auth_data::AuthData;
pub use cipher::{CipherError, HEADER_LEN, MAX_TEXT, Opener, Sealer};
pub use keys::{KeyError, PUBLIC_KEY_LEN, PublicKey, SECRET_KEY_LEN, SecretKey};
pub use phrase::{ENTROPY_LEN, PairingPhrase, PhraseError, WORDS};
pub use stream_id::{STREAM_ID_LEN, StreamId};
