//! The frames between a front end (nginx, forward-auth) and l402d, used by both ends.
//!
//! A frame is `u32 length ‖ u8 kind ‖ u64 id ‖ body`; the length counts what follows it and is at
//! most [`MAX_FRAME`]. Integers are little-endian, a string is a `u16` length and UTF-8 bytes. An
//! `id` pairs a request with its answer; the front end chooses it, and `Hello` and `Welcome` carry 0.
//!
//! The front end opens a connection with [`ToAgent::Hello`] and may send requests at once; l402d
//! answers [`FromAgent::Welcome`] first. The layout of the frame header and the `u16` that opens the bodies of
//! `Hello` and `Welcome` are the same in every version.
//!
//! Each end speaks [`PROTOCOL`] and the versions before it down to [`OLDEST`], so that the module and l402d can be
//! upgraded one after the other. l402d answers in the version of the `Hello`. Where it does not speak that, it
//! answers with a `Welcome` of its own version, without keys, and closes; a front end that speaks that version says
//! `Hello` again in it. Both decoders refuse every other version with [`FrameError::Version`], so no caller can
//! forget to compare it, and both operators' logs tell which version each side speaks.
//!
//! The codec is written by hand: it is small, it allocates nothing that the frame does not already
//! hold, and it keeps every other crate out of nginx's address space.
#![forbid(unsafe_code)]

mod error;
mod from_agent;
mod ring_key;
mod secret;
mod to_agent;
mod wire;

pub mod coprocess;

pub use error::FrameError;
pub use from_agent::{Fault, FromAgent};
pub use ring_key::RingKey;
pub use secret::{Secret32, SecretText};
pub use to_agent::{Proof, Rate, ToAgent};

/// The version that this release speaks. It changes with any change of a frame's layout or meaning.
pub const PROTOCOL: u16 = if cfg!(feature = "next-protocol") { 8 } else { 7 };

/// The oldest version that it speaks as well: that of the release before.
pub const OLDEST: u16 = PROTOCOL - 1;

/// Does this release speak that version?
pub fn speaks(version: u16) -> bool {
    (OLDEST..=PROTOCOL).contains(&version)
}

/// Upper bound, in bytes, of what follows a frame's length field.
///
/// The largest frame holds ecash of [`MAX_ECASH`] bytes; the rest is room to grow.
pub const MAX_FRAME: usize = 64 * 1024;

/// Bytes a reader needs before [`ToAgent::decode`] can tell a frame's length.
pub const LENGTH_BYTES: usize = 4;

/// Upper bound of the names of a request's backends on the wire, in bytes, the spaces between them included. Configuration
/// allows fewer and shorter names only, so a name cut here matches no backend.
pub const MAX_NAME: usize = 1024;

/// Upper bound of an invoice's description and of a failure's reason, in bytes; BOLT11 holds at most
/// 639 bytes of description. Longer text is cut at a character.
pub const MAX_TEXT: usize = 1024;

/// Upper bound of a BOLT11 invoice, in bytes: several times what nodes write, and a value that still
/// fits a response header.
pub const MAX_INVOICE: usize = 8 * 1024;

/// Upper bound of a BOLT12 offer, in bytes. Configuration allows none that is longer.
pub const MAX_OFFER: usize = 4 * 1024;

/// Upper bound of the path of a client's request, in bytes. A longer one is sent as none.
pub const MAX_PATH: usize = 2 * 1024;

/// Upper bound of a Cashu token, in bytes: more than nginx takes in a header unless it is told to.
pub const MAX_ECASH: usize = 48 * 1024;

/// Upper bound of what names a sale, in bytes: the caveats of a token, which is never longer than 4 KiB.
pub const MAX_TERMS: usize = 4 * 1024;

/// Upper bound of an ecash payment request, in bytes; a longer one names too many mints to fit a header.
pub const MAX_REQUEST: usize = 4 * 1024;

/// Upper bound of the report on a backend, in bytes: several times what its lines take.
pub const MAX_REPORT: usize = 32 * 1024;

/// Upper bound of the keys in a `Welcome`: one that signs and those that still verify.
pub const MAX_KEYS: usize = 32;
