//! LND's gRPC: messages, services, and a channel with the node's certificate.
//!
//! * [`lnrpc`], [`routerrpc`], [`invoicesrpc`]: the messages and services of the same names in LND's public interface
//!   (v0.20), reduced to the fields and calls that this project uses. Fields that are not listed are skipped on decoding.
//! * [`channel`]: how a client reaches a node: TCP or SOCKS5, TLS that trusts exactly the node's certificate, macaroon.

#![forbid(unsafe_code)]

pub mod channel;
pub mod invoicesrpc;
pub mod lnrpc;
pub mod routerrpc;
