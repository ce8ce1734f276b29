//! Package `routerrpc`: paying. Field numbers are those of LND v0.20.

use crate::lnrpc;

/// A payment to make: by `payment_request`, within the limits given.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SendPaymentRequest {
    /// Public key of the payee, 33 bytes; empty with `payment_request`.
    #[prost(bytes = "vec", tag = "1")]
    pub dest: Vec<u8>,
    /// Satoshis to send; zero with an invoice that has an amount.
    #[prost(int64, tag = "2")]
    pub amt: i64,
    /// Hash to pay, 32 bytes; empty with `payment_request`.
    #[prost(bytes = "vec", tag = "3")]
    pub payment_hash: Vec<u8>,
    /// CLTV delta of the last hop, blocks.
    #[prost(int32, tag = "4")]
    pub final_cltv_delta: i32,
    /// The BOLT11 invoice.
    #[prost(string, tag = "5")]
    pub payment_request: String,
    /// How long the node may try, seconds; LND requires it.
    #[prost(int32, tag = "6")]
    pub timeout_seconds: i32,
    /// Fee limit, satoshis; excludes `fee_limit_msat`. Zero in both allows no fee at all.
    #[prost(int64, tag = "7")]
    pub fee_limit_sat: i64,
    /// CLTV limit of the route, blocks; zero is the node's own limit.
    #[prost(int32, tag = "9")]
    pub cltv_limit: i32,
    /// Millisatoshis to send; excludes `amt`.
    #[prost(int64, tag = "12")]
    pub amt_msat: i64,
    /// Fee limit, millisatoshis.
    #[prost(int64, tag = "13")]
    pub fee_limit_msat: i64,
    /// Whether the node may pay itself.
    #[prost(bool, tag = "15")]
    pub allow_self_payment: bool,
    /// In how many parts the payment may be split.
    #[prost(uint32, tag = "17")]
    pub max_parts: u32,
    /// Only the final state is streamed.
    #[prost(bool, tag = "18")]
    pub no_inflight_updates: bool,
    /// Payment secret (payment address), 32 bytes; empty with `payment_request`.
    #[prost(bytes = "vec", tag = "20")]
    pub payment_addr: Vec<u8>,
    /// Whether the payment ends with the call's context.
    #[prost(bool, tag = "24")]
    pub cancelable: bool,
}

/// Follow a payment that was started before.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TrackPaymentRequest {
    /// Payment hash, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub payment_hash: Vec<u8>,
    /// Only the final state is streamed.
    #[prost(bool, tag = "2")]
    pub no_inflight_updates: bool,
}

// The updates of a payment are of package lnrpc; named here so that a reader finds them.
pub use lnrpc::Payment;

include!(concat!(env!("OUT_DIR"), "/routerrpc.Router.rs"));
