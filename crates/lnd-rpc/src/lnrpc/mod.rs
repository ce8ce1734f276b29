//! Package `lnrpc`: invoices, payments, the state of the node, and what a test rig needs. Field numbers are those of
//! LND v0.20.

mod funds;
mod invoices;
mod node;
mod payments;

use std::fmt;

pub use funds::{
    AddressType, Channel, ChannelPoint, ListChannelsRequest, ListChannelsResponse, NewAddressRequest,
    NewAddressResponse, OpenChannelRequest, WalletBalanceRequest, WalletBalanceResponse, channel_point,
};
pub use invoices::{
    AddInvoiceResponse, Invoice, InvoiceSubscription, PayReq, PayReqString, PaymentHash, invoice,
};
pub use node::{
    Chain, ConnectPeerRequest, ConnectPeerResponse, GetInfoRequest, GetInfoResponse, LightningAddress,
};
pub use payments::{Payment, PaymentFailureReason, payment};

include!(concat!(env!("OUT_DIR"), "/lnrpc.Lightning.rs"));

/// Bytes shown as hex.
struct Hex<'a>(&'a [u8]);

impl fmt::Debug for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
