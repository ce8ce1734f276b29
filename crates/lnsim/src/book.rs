//! The faults and quirks that are set, and which of them happen to a call, an invoice, a payment.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::fault::{Fault, FaultKind};
use crate::ledger::{FailureReason, Settlement};
use crate::method::Method;
use crate::quirk::{Described, Quirk, Report, Spelling, Until};

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
    pub(crate) described: Option<Described>,
    pub(crate) expiry_s: Option<u64>,
    pub(crate) expiry_max_s: Option<u64>,
    pub(crate) text_max: Option<usize>,
    pub(crate) text_ascii: bool,
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
    faults: Vec<Set>,
    /// When each kind of call was let in lately, where calls are limited.
    let_in: HashMap<Method, Vec<Instant>>,
}

/// A fault, and when it was set.
struct Set {
    fault: Fault,
    since: Instant,
}

/// In place of an invoice that a look-up does not find: a code of the door's protocol and a text, or the door's own words.
pub(crate) type NotFound = Option<(i32, String)>;

impl FaultBook {
    pub(crate) fn set(&mut self, fault: Fault) {
        self.faults.push(Set { fault, since: Instant::now() });
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
        self.let_in.clear();
    }

    /// Whether this call is one too many of its kind in a minute.
    pub(crate) fn is_limited(&mut self, method: Method) -> bool {
        let mut most = None;
        self.draw(method, |kind| match kind {
            FaultKind::Quirk(Quirk::Limit(limit)) => {
                most = Some(*limit as usize);
                true
            }
            _ => false,
        });
        let Some(most) = most else { return false };
        let let_in = self.let_in.entry(method).or_default();
        let_in.retain(|when| when.elapsed() < Duration::from_secs(60));
        if let_in.len() >= most {
            return true;
        }
        let_in.push(Instant::now());
        false
    }

    /// Whether a look-up does not find the invoice that is there, and how that is said.
    pub(crate) fn hides(&mut self, settled: bool) -> Option<NotFound> {
        let mut found = None;
        self.draw_since(Method::LookupInvoice, |kind, since| match kind {
            FaultKind::Quirk(Quirk::Unknown { said, until }) => {
                let hidden = match until {
                    Until::Cleared => true,
                    Until::Settled => !settled,
                    Until::Passed(time) => since.elapsed() < *time,
                };
                if hidden {
                    found = Some(said.clone());
                }
                hidden
            }
            _ => false,
        });
        found
    }

    /// What is reported of a settled invoice, by a look-up or a push.
    pub(crate) fn report(&mut self, method: Method) -> Report {
        let mut found = Report::default();
        self.draw(method, |kind| {
            match kind {
                FaultKind::Quirk(Quirk::Preimage(odd)) => found.preimage = Some(*odd),
                FaultKind::Quirk(Quirk::Received(odd)) => found.received = Some(*odd),
                FaultKind::Quirk(Quirk::Spelling(spelling)) => match spelling {
                    Spelling::Capitals => found.capitals = true,
                    Spelling::TextualTruth => found.textual_truth = true,
                    Spelling::NumericTruth => found.numeric_truth = true,
                    Spelling::EmptyError => found.empty_error = true,
                },
                _ => return false,
            }
            true
        });
        found
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
            FaultKind::Quirk(Quirk::Describe(described)) => {
                found.described = Some(described.clone());
                true
            }
            FaultKind::Quirk(Quirk::Expiry(seconds)) => {
                found.expiry_s = Some(*seconds);
                true
            }
            FaultKind::Quirk(Quirk::ExpiryMax(seconds)) => {
                found.expiry_max_s = Some(*seconds);
                true
            }
            FaultKind::Quirk(Quirk::TextMax(bytes)) => {
                found.text_max = Some(*bytes);
                true
            }
            FaultKind::Quirk(Quirk::TextAscii) => {
                found.text_ascii = true;
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
        self.draw_since(method, |kind, _| take(kind));
    }

    /// As [`FaultBook::draw`], with the time when the fault was set.
    fn draw_since(&mut self, method: Method, mut take: impl FnMut(&FaultKind, Instant) -> bool) {
        self.faults.retain_mut(|Set { fault, since }| {
            let concerned = fault.method.is_none_or(|only| only == method) && fault.times != Some(0);
            if concerned
                && take(&fault.kind, *since)
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
    use super::*;

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
