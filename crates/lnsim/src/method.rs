//! The calls of LND that the simulator answers, what each one asks of a macaroon, and a counter for each.

use std::fmt;
use std::str::FromStr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A call of LND's gRPC interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `lnrpc.Lightning/AddInvoice`
    AddInvoice,
    /// `lnrpc.Lightning/LookupInvoice`
    LookupInvoice,
    /// `lnrpc.Lightning/SubscribeInvoices`
    SubscribeInvoices,
    /// `lnrpc.Lightning/GetInfo`
    GetInfo,
    /// `lnrpc.Lightning/DecodePayReq`
    DecodePayReq,
    /// `lnrpc.Lightning/WalletBalance`
    WalletBalance,
    /// `lnrpc.Lightning/ListChannels`
    ListChannels,
    /// `routerrpc.Router/SendPaymentV2`
    SendPaymentV2,
    /// `routerrpc.Router/TrackPaymentV2`
    TrackPaymentV2,
    /// `invoicesrpc.Invoices/CancelInvoice`
    CancelInvoice,
}

/// A permission of LND: an entity and an action on it.
pub type Permission = (&'static str, &'static str);

impl Method {
    /// Every call.
    pub const ALL: [Self; 10] = [
        Self::AddInvoice,
        Self::LookupInvoice,
        Self::SubscribeInvoices,
        Self::GetInfo,
        Self::DecodePayReq,
        Self::WalletBalance,
        Self::ListChannels,
        Self::SendPaymentV2,
        Self::TrackPaymentV2,
        Self::CancelInvoice,
    ];

    /// The name of the call, without its service.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddInvoice => "AddInvoice",
            Self::LookupInvoice => "LookupInvoice",
            Self::SubscribeInvoices => "SubscribeInvoices",
            Self::GetInfo => "GetInfo",
            Self::DecodePayReq => "DecodePayReq",
            Self::WalletBalance => "WalletBalance",
            Self::ListChannels => "ListChannels",
            Self::SendPaymentV2 => "SendPaymentV2",
            Self::TrackPaymentV2 => "TrackPaymentV2",
            Self::CancelInvoice => "CancelInvoice",
        }
    }

    /// What a macaroon must permit (`MainRPCServerPermissions` and its like in LND v0.20).
    pub fn permission(self) -> Permission {
        match self {
            Self::AddInvoice | Self::CancelInvoice => ("invoices", "write"),
            Self::LookupInvoice | Self::SubscribeInvoices => ("invoices", "read"),
            Self::GetInfo => ("info", "read"),
            Self::DecodePayReq | Self::ListChannels | Self::TrackPaymentV2 => ("offchain", "read"),
            Self::WalletBalance => ("onchain", "read"),
            Self::SendPaymentV2 => ("offchain", "write"),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    /// The name of a call, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        Self::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(text)).ok_or(UnknownMethod)
    }
}

/// No call of this name is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such call; there are AddInvoice, LookupInvoice, SubscribeInvoices, GetInfo, DecodePayReq, WalletBalance, ListChannels, SendPaymentV2, TrackPaymentV2 and CancelInvoice"
)]
pub struct UnknownMethod;

/// How often each call came, and a way to wait for one.
#[derive(Default)]
pub(crate) struct Calls {
    counts: Mutex<[u64; Method::ALL.len()]>,
    changed: Condvar,
}

impl Calls {
    pub(crate) fn add(&self, method: Method) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)[method as usize] += 1;
        self.changed.notify_all();
    }

    pub(crate) fn get(&self, method: Method) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)[method as usize]
    }

    /// Blocks until `method` has come `at_least` times. `Err` holds the count that there was when `within` had passed.
    pub(crate) fn wait(&self, method: Method, at_least: u64, within: Duration) -> Result<u64, u64> {
        let end = Instant::now() + within;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let count = counts[method as usize];
            if count >= at_least {
                return Ok(count);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(count);
            }
            counts = self.changed.wait_timeout(counts, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
