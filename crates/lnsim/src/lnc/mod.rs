//! Lightning Node Connect: a mailbox, and the node's side of sessions through it. Written from the protocol's facts
//! alone, apart from the client that it tests.
//!
//! The way of a packet: `mailbox` (boxes; TLS and WebSocket or gRPC in front of them) → `line` (go-back-N by `gbn`) →
//! `session` (acts, then messages, by `noise`) → the port's front door, as bytes of a connection like any other.

mod boxes;
mod gbn;
mod hashmail;
mod line;
mod mailbox;
mod noise;
mod session;
mod weather;

pub use boxes::Limits;
pub use gbn::Gbn;
pub use session::{LncOptions, LncSession, Packets};
pub use weather::{Sky, Weather};

pub(crate) use mailbox::Mailbox;
pub(crate) use session::{Surroundings, start as start_session};
