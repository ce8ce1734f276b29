//! Scripted faults: what goes wrong, at which call, how often. They are set and cleared while the simulator runs.

use std::str::FromStr;
use std::time::Duration;

use crate::ledger::{FailureReason, Settlement};
use crate::method::Method;

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
     fail=timeout|no-route|error|details|balance or push-silent"
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
            _ => return Err(BadFault),
        };
        Ok(Self { kind, method, times })
    }
}

/// What happens to the answer of one call.
#[derive(Default)]
pub(crate) struct CallFaults {
    pub(crate) delay: Duration,
    pub(crate) hang: bool,
    pub(crate) refuse: Option<(i32, String)>,
    pub(crate) drop: bool,
}

/// What happens to one new invoice.
#[derive(Default)]
pub(crate) struct InvoiceFaults {
    pub(crate) amount_msat: Option<u64>,
    pub(crate) hash: bool,
    pub(crate) network: bool,
    pub(crate) expired: bool,
}

/// What happens to one payment.
#[derive(Clone, Copy)]
pub(crate) enum PaymentFault {
    Settle(Settlement),
    Fail(FailureReason),
}

/// The faults that are set.
#[derive(Default)]
pub(crate) struct FaultBook {
    faults: Vec<Fault>,
}

impl FaultBook {
    pub(crate) fn set(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
    }

    /// What happens to the answer of this call of `method`.
    pub(crate) fn at_call(&mut self, method: Method) -> CallFaults {
        let mut found = CallFaults::default();
        self.draw(method, |kind| match kind {
            FaultKind::Delay(time) => {
                found.delay += *time;
                true
            }
            FaultKind::Hang => {
                found.hang = true;
                true
            }
            FaultKind::Refuse { code, text } => {
                found.refuse = Some((*code, text.clone()));
                true
            }
            FaultKind::Drop => {
                found.drop = true;
                true
            }
            _ => false,
        });
        found
    }

    /// What happens to this new invoice.
    pub(crate) fn at_invoice(&mut self) -> InvoiceFaults {
        let mut found = InvoiceFaults::default();
        self.draw(Method::AddInvoice, |kind| match kind {
            FaultKind::WrongAmount(msat) => {
                found.amount_msat = Some(*msat);
                true
            }
            FaultKind::WrongHash => {
                found.hash = true;
                true
            }
            FaultKind::WrongNetwork => {
                found.network = true;
                true
            }
            FaultKind::Expired => {
                found.expired = true;
                true
            }
            _ => false,
        });
        found
    }

    /// What happens to this payment.
    pub(crate) fn at_payment(&mut self) -> PaymentFault {
        let mut found = PaymentFault::Settle(Settlement::Now);
        self.draw(Method::SendPaymentV2, |kind| match kind {
            FaultKind::SettleLater => {
                found = PaymentFault::Settle(Settlement::Later);
                true
            }
            FaultKind::Hold => {
                found = PaymentFault::Settle(Settlement::Hold);
                true
            }
            FaultKind::FailPayment(reason) => {
                found = PaymentFault::Fail(*reason);
                true
            }
            _ => false,
        });
        found
    }

    /// Whether this event is kept from the subscribers.
    pub(crate) fn silences_push(&mut self) -> bool {
        let mut silent = false;
        self.draw(Method::SubscribeInvoices, |kind| {
            let hit = *kind == FaultKind::PushSilent;
            silent |= hit;
            hit
        });
        silent
    }

    /// Offers each fault that may concern `method` to `take`, and uses up one of each that it takes.
    fn draw(&mut self, method: Method, mut take: impl FnMut(&FaultKind) -> bool) {
        self.faults.retain_mut(|fault| {
            let concerned = fault.method.is_none_or(|only| only == method) && fault.times != Some(0);
            if concerned
                && take(&fault.kind)
                && let Some(times) = &mut fault.times
            {
                *times -= 1;
            }
            fault.times != Some(0)
        });
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
        let fault: Fault = "refuse=14:node is: busy@lookupinvoice".parse().unwrap();
        assert_eq!(fault, Fault::refuse(14, "node is: busy").at(Method::LookupInvoice));
        for bad in ["", "delay", "delay=x", "hang=1", "hang@Nothing", "hang*many", "refuse=14", "fail=why"] {
            assert_eq!(bad.parse::<Fault>(), Err(BadFault), "{bad}");
        }
    }

    #[test]
    fn a_counted_fault_ends_and_another_call_does_not_use_it_up() {
        let mut book = FaultBook::default();
        book.set(Fault::hang().at(Method::AddInvoice).times(2));
        assert!(!book.at_call(Method::GetInfo).hang);
        assert!(book.at_call(Method::AddInvoice).hang);
        assert!(book.at_call(Method::AddInvoice).hang);
        assert!(!book.at_call(Method::AddInvoice).hang);
    }

    #[test]
    fn a_fault_of_another_kind_is_not_used_up() {
        let mut book = FaultBook::default();
        book.set(Fault::new(FaultKind::WrongHash).times(1));
        assert!(!book.at_call(Method::AddInvoice).hang);
        assert!(book.at_invoice().hash);
        assert!(!book.at_invoice().hash);
    }
}
