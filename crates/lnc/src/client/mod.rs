//! The client on tokio: two connections to a mailbox, and through them a byte stream to a node.
//!
//! [`connect`] makes a [`Connected`]: a stream for an HTTP/2 client with prior knowledge, and what the node sent along.
//! A loss of the mailbox is made up for underneath, as long as the node doesn't take it for death; after that the stream
//! ends, says why, and the next [`connect`] makes another one.

mod driver;
mod error;
mod grpc;
mod handshake;
mod link;
mod server;
mod stream;
mod tls;
mod troubles;
mod websocket;

pub use driver::Ended;
pub use error::{ConnectError, LinkError};
pub use handshake::{Connected, Credentials, Keep, Patience, connect};
pub use server::{Roots, Server, ServerError};
pub use stream::{Session, Stream};
