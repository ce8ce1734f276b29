//! Scripted faults: what goes wrong, at which call, how often. They are set and cleared while the simulator runs.

use std::str::FromStr;
use std::time::Duration;

use crate::ledger::FailureReason;
use crate::method::Method;
use crate::quirk::Quirk;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The call is answered this much later.
    Delay(Duration),
    /// The call is taken and never answered. It has no effect.
    Hang,
    /// The call is answered with a gRPC error and has no effect.
    Refuse {
        /// gRPC status code, such as 14 for unavailable.
        code: i32,
        /// gRPC status message.
        text: String,
    },
    /// The call takes effect, but the connection is cut instead of an answer.
    Drop,
    /// The port refuses connections and those that exist are cut, until the faults are cleared.
    RefuseConnections,
    /// The port takes connections and says nothing, not even in TLS, until the faults are cleared. Those that exist stay.
    HangConnections,
    /// `AddInvoice` makes an invoice for this many msat, whatever was asked for.
    WrongAmount(u64),
    /// `AddInvoice` reports another `r_hash` than its invoice has.
    WrongHash,
    /// `AddInvoice` makes an invoice for mainnet.
    WrongNetwork,
    /// `AddInvoice` makes an invoice that expired a second ago.
    Expired,
    /// A payment succeeds for the payer; its invoice stays open until it is settled by hand.
    SettleLater,
    /// A payment is held: invoice accepted, payment in flight, until it is settled or cancelled by hand.
    Hold,
    /// A payment fails on its way, for this reason.
    FailPayment(FailureReason),
    /// `SubscribeInvoices` stays connected and says nothing; looking up is the only way to learn of a settlement.
    PushSilent,
    /// The wallet's clock is so many seconds ahead, or behind if it is negative.
    Clock(i64),
    /// Connections stay open and carry nothing any more, in either direction, as behind a firewall that forgot them.
    Freeze,
    /// The wallet does something differently from its specification.
    Quirk(Quirk),
}

/// A [`FaultKind`], the calls that it concerns, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// At which call; `None` is every call that the fault can happen to.
    pub method: Option<Method>,
    /// For how many calls (events, for [`FaultKind::PushSilent`]); `None` is until the faults are cleared.
    pub times: Option<u32>,
}

impl Fault {
    /// This fault, at every call, until the faults are cleared.
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, method: None, times: None }
    }

    /// [`FaultKind::Delay`], in milliseconds.
    pub fn delay(ms: u64) -> Self {
        Self::new(FaultKind::Delay(Duration::from_millis(ms)))
    }

    /// [`FaultKind::Hang`].
    pub fn hang() -> Self {
        Self::new(FaultKind::Hang)
    }

    /// [`FaultKind::Refuse`], with a gRPC status code and message.
    pub fn refuse(code: i32, text: &str) -> Self {
        Self::new(FaultKind::Refuse { code, text: text.to_owned() })
    }

    /// [`FaultKind::Drop`].
    pub fn drop_connection() -> Self {
        Self::new(FaultKind::Drop)
    }

    /// Only at this call.
    #[must_use]
    pub fn at(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only for the next `count` calls.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }
}

impl From<Quirk> for Fault {
    fn from(quirk: Quirk) -> Self {
        Self::new(FaultKind::Quirk(quirk))
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self::new(kind)
    }
}

/// What a text should have been to be a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected KIND[@CALL][*COUNT], where KIND is delay=MS, hang, refuse=CODE:TEXT, drop, refuse-connections, \
     hang-connections, wrong-amount=MSAT, wrong-hash, wrong-network, expired, settle-later, hold, \
     fail=timeout|no-route|error|details|balance, push-silent, clock=SECONDS, freeze, describe=hash|empty|none|TEXT, \
     expiry=S, expiry-max=S, preimage=zero|other|uuid|long|empty|none, received=MSAT|none|text, \
     unknown[=CODE:TEXT][,until=settled|MS], limit=N/min, text-max=N|ascii or \
     spelling=capitals|textual-truth|numeric-truth|empty-error"
)]
pub struct BadFault;

impl FromStr for Fault {
    type Err = BadFault;

    /// `KIND[=ARGUMENT][@CALL][*COUNT]`, such as `delay=200@AddInvoice*3`.
    fn from_str(text: &str) -> Result<Self, BadFault> {
        let (text, times) = match text.rsplit_once('*') {
            Some((head, count)) => (head, Some(count.parse().map_err(|_| BadFault)?)),
            None => (text, None),
        };
        let (text, method) = match text.rsplit_once('@') {
            Some((head, name)) => (head, Some(name.parse().map_err(|_| BadFault)?)),
            None => (text, None),
        };
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let kind = match (name, argument) {
            ("delay", Some(ms)) => FaultKind::Delay(Duration::from_millis(ms.parse().map_err(|_| BadFault)?)),
            ("hang", None) => FaultKind::Hang,
            ("refuse", Some(argument)) => {
                let (code, text) = argument.split_once(':').ok_or(BadFault)?;
                FaultKind::Refuse { code: code.parse().map_err(|_| BadFault)?, text: text.to_owned() }
            }
            ("drop", None) => FaultKind::Drop,
            ("refuse-connections", None) => FaultKind::RefuseConnections,
            ("hang-connections", None) => FaultKind::HangConnections,
            ("wrong-amount", Some(msat)) => FaultKind::WrongAmount(msat.parse().map_err(|_| BadFault)?),
            ("wrong-hash", None) => FaultKind::WrongHash,
            ("wrong-network", None) => FaultKind::WrongNetwork,
            ("expired", None) => FaultKind::Expired,
            ("settle-later", None) => FaultKind::SettleLater,
            ("hold", None) => FaultKind::Hold,
            ("fail", Some(reason)) => FaultKind::FailPayment(match reason {
                "timeout" => FailureReason::Timeout,
                "no-route" => FailureReason::NoRoute,
                "error" => FailureReason::Error,
                "details" => FailureReason::IncorrectPaymentDetails,
                "balance" => FailureReason::InsufficientBalance,
                _ => return Err(BadFault),
            }),
            ("push-silent", None) => FaultKind::PushSilent,
            ("clock", Some(seconds)) => FaultKind::Clock(seconds.parse().map_err(|_| BadFault)?),
            ("freeze", None) => FaultKind::Freeze,
            _ => FaultKind::Quirk(text.parse().map_err(|_| BadFault)?),
        };
        Ok(Self { kind, method, times })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fault_is_read_from_text() {
        let fault: Fault = "delay=200@AddInvoice*3".parse().unwrap();
        assert_eq!(fault, Fault::delay(200).at(Method::AddInvoice).times(3));
        let quirk: Fault = "expiry=300@AddInvoice".parse().unwrap();
        assert_eq!(quirk, Fault::from(Quirk::Expiry(300)).at(Method::AddInvoice));
        assert_eq!("clock=-3600".parse(), Ok(Fault::new(FaultKind::Clock(-3600))));
        let fault: Fault = "refuse=14:node is: busy@lookupinvoice".parse().unwrap();
        assert_eq!(fault, Fault::refuse(14, "node is: busy").at(Method::LookupInvoice));
        for bad in ["", "delay", "delay=x", "hang=1", "hang@Nothing", "hang*many", "refuse=14", "fail=why"] {
            assert_eq!(bad.parse::<Fault>(), Err(BadFault), "{bad}");
        }
    }
}
