//! Go-back-N: payloads arrive whole and in order over a mailbox that may lose frames.
//!
//! [`Connection`] does no I/O and reads no clock. Packets go in by [`Connection::receive`] and come out of
//! [`Connection::poll_transmit`]; [`Connection::timeout`] says when to call [`Connection::handle_timeout`] next;
//! [`Connection::poll_event`] tells what became of it all.
//!
//! There is only one sequence number more than the window has packets. On a link that reorders, an answer that comes a
//! little late would pass for one to a packet of the next round, and a packet for its successor. So this side uses only
//! half the window (which costs little: writers that wait put more into each payload), and tells old payloads from new
//! ones.

mod acks;
mod connection;
mod inbox;
mod packet;
mod timing;
mod window;

pub use connection::{Closed, Connection, Event};
pub use packet::{Packet, PacketError};
pub use timing::Timing;

/// Packets that may be under way at once, as the reference implementation proposes.
pub const WINDOW: u8 = 20;

/// The longest payload, bytes: more than the other side ever sends.
pub const MAX_PAYLOAD: usize = 1 << 20;
