//! Package `invoicesrpc`: cancelling an invoice. Field numbers are those of LND v0.20.

/// Which invoice to cancel; one that is settled already is refused.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CancelInvoiceMsg {
    /// Payment hash, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub payment_hash: Vec<u8>,
}

/// Cancelled.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct CancelInvoiceResp {}

include!(concat!(env!("OUT_DIR"), "/invoicesrpc.Invoices.rs"));
