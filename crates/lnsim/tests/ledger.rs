//! The rules of the ledger: no msat is made or lost, an invoice settles once, indices count without gaps.
#![allow(clippy::unwrap_used)]

use lnsim::ledger::{
    FailureReason, Hash32, Ledger, LedgerError, NewInvoice, Order, PaymentStatus, Settlement, State,
};
use proptest::prelude::*;

const BALANCE: u64 = 5_000;

/// One step of a story. Invoices are named by small numbers, so that stories meet the same one often.
#[derive(Clone, Debug)]
enum Step {
    Add { name: u8, amount: u64, expiry: u64 },
    Pay { name: u8, amount: u64, fee: u64, settlement: Settlement },
    Fail { name: u8 },
    Settle { name: u8 },
    Cancel { name: u8 },
    Wait { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let settlement = prop_oneof![Just(Settlement::Now), Just(Settlement::Later), Just(Settlement::Hold)];
    prop_oneof![
        3 => (0..8u8, 0..1500u64, 1..50u64).prop_map(|(name, amount, expiry)| Step::Add { name, amount, expiry }),
        4 => (0..8u8, 0..1500u64, 0..3u64, settlement)
            .prop_map(|(name, amount, fee, settlement)| Step::Pay { name, amount, fee, settlement }),
        1 => (0..8u8).prop_map(|name| Step::Fail { name }),
        2 => (0..8u8).prop_map(|name| Step::Settle { name }),
        1 => (0..8u8).prop_map(|name| Step::Cancel { name }),
        1 => (1..60u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn hash(name: u8) -> Hash32 {
    [name; 32]
}

fn invoice(name: u8, amount_msat: u64, created: u64, expiry_s: u64) -> NewInvoice {
    NewInvoice {
        preimage: [name; 32],
        hash: hash(name),
        payment_addr: [name; 32],
        amount_msat,
        memo: String::new(),
        description_hash: None,
        created,
        expiry_s,
        cltv_expiry: 80,
        bolt11: String::new(),
    }
}

fn order(name: u8, amount_msat: u64, fee_msat: u64) -> Order {
    Order {
        hash: hash(name),
        payment_addr: [name; 32],
        amount_msat,
        fee_limit_msat: 1,
        fee_msat,
        reachable: true,
        bolt11: String::new(),
    }
}

proptest! {
    #[test]
    fn no_msat_is_made_or_lost(steps in prop::collection::vec(step(), 1..120)) {
        let mut ledger = Ledger::new(BALANCE);
        let mut now = 1_000;
        let mut settled = 0;
        for step in steps {
            let received = ledger.received_msat();
            match step {
                Step::Add { name, amount, expiry } => {
                    let taken = ledger.contains(&hash(name));
                    prop_assert_eq!(ledger.add(invoice(name, amount, now, expiry)).is_err(), taken);
                }
                Step::Pay { name, amount, fee, settlement } => {
                    if ledger.register(order(name, amount, fee), now).is_ok() {
                        let status = ledger.attempt(&hash(name), settlement, now).unwrap().status;
                        let paid_now = settlement == Settlement::Now && matches!(status, PaymentStatus::Succeeded(_));
                        prop_assert_eq!(ledger.received_msat() - received, if paid_now { amount } else { 0 });
                        if let PaymentStatus::Succeeded(preimage) = status {
                            prop_assert_eq!(preimage, [name; 32]);
                        }
                    }
                }
                Step::Fail { name } => {
                    // Only a payment that has not reached the receiver may fail so.
                    if ledger.register(order(name, 1, 0), now).is_ok() {
                        ledger.fail(&hash(name), FailureReason::Timeout).unwrap();
                    }
                }
                Step::Settle { name } => drop(ledger.settle(&hash(name), now)),
                Step::Cancel { name } => drop(ledger.cancel(&hash(name), now)),
                Step::Wait { seconds } => now += seconds,
            }
            prop_assert_eq!(
                ledger.balance_msat() + ledger.received_msat() + ledger.held_msat() + ledger.fees_msat(),
                BALANCE
            );
            prop_assert!(ledger.received_msat() >= received, "what was received stays");
            for name in 0..8 {
                if let Ok(seen) = ledger.look_up(&hash(name), now) {
                    prop_assert_eq!(seen.state == State::Settled, seen.settle_index > 0);
                    prop_assert_eq!(seen.state == State::Settled, seen.amt_paid_msat > 0);
                    prop_assert!(seen.state != State::Settled || seen.amt_paid_msat >= seen.amount_msat);
                    settled = settled.max(seen.settle_index);
                }
            }
        }
        // Zero asks for no backlog; so the first one is not in "since 1".
        prop_assert_eq!(ledger.settled_since(1, now).len() as u64, settled.saturating_sub(1));
        prop_assert!(ledger.settled_since(0, now).is_empty());
        let indices: Vec<u64> = ledger.settled_since(1, now).iter().map(|invoice| invoice.settle_index).collect();
        prop_assert_eq!(indices, (2..=settled).collect::<Vec<_>>());
    }
}

#[test]
fn an_unpaid_invoice_is_cancelled_by_its_expiry() {
    let mut ledger = Ledger::new(BALANCE);
    assert_eq!(ledger.look_up(&hash(1), 0), Err(LedgerError::NoInvoices));
    ledger.add(invoice(1, 100, 1_000, 60)).unwrap();
    assert_eq!(ledger.look_up(&hash(2), 1_000), Err(LedgerError::NotFound));
    assert_eq!(ledger.look_up(&hash(1), 1_060).unwrap().state, State::Open);
    assert_eq!(ledger.look_up(&hash(1), 1_061).unwrap().state, State::Canceled);
    ledger.register(order(1, 100, 0), 1_061).unwrap();
    let payment = ledger.attempt(&hash(1), Settlement::Now, 1_061).unwrap();
    assert_eq!(payment.status, PaymentStatus::Failed(FailureReason::IncorrectPaymentDetails));
}

#[test]
fn a_payment_is_made_once() {
    let mut ledger = Ledger::new(BALANCE);
    ledger.add(invoice(1, 100, 0, 60)).unwrap();
    ledger.register(order(1, 100, 0), 0).unwrap();
    assert!(matches!(ledger.register(order(1, 100, 0), 0), Err(LedgerError::InTransition)));
    ledger.attempt(&hash(1), Settlement::Now, 0).unwrap();
    assert!(ledger.attempt(&hash(1), Settlement::Now, 0).is_none());
    assert!(matches!(ledger.register(order(1, 100, 0), 0), Err(LedgerError::AlreadyPaid)));
    assert_eq!(ledger.cancel(&hash(1), 0), Err(LedgerError::AlreadySettled));
    assert_eq!(ledger.balance_msat(), BALANCE - 100);
}

#[test]
fn what_is_refused_costs_nothing() {
    let mut ledger = Ledger::new(BALANCE);
    ledger.add(invoice(1, 100, 0, 60)).unwrap();
    let mut outcome = |order: Order| {
        ledger.register(order, 0).unwrap();
        let status = ledger.attempt(&hash(1), Settlement::Now, 0).unwrap().status;
        assert_eq!(ledger.balance_msat(), BALANCE);
        status
    };
    let failed = PaymentStatus::Failed;
    assert_eq!(outcome(order(1, 99, 0)), failed(FailureReason::IncorrectPaymentDetails));
    assert_eq!(outcome(order(1, 100, 2)), failed(FailureReason::NoRoute));
    assert_eq!(outcome(order(1, BALANCE + 1, 0)), failed(FailureReason::InsufficientBalance));
    assert_eq!(outcome(Order { reachable: false, ..order(1, 100, 0) }), failed(FailureReason::NoRoute));
    let other_secret = Order { payment_addr: [9; 32], ..order(1, 100, 0) };
    assert_eq!(outcome(other_secret), failed(FailureReason::IncorrectPaymentDetails));
}

#[test]
fn no_debug_text_holds_a_preimage() {
    let mut ledger = Ledger::new(BALANCE);
    let made = ledger.add(NewInvoice { preimage: [0xab; 32], ..invoice(1, 100, 0, 60) }).unwrap();
    let status = PaymentStatus::Succeeded([0xab; 32]);
    let spec = lnsim::InvoiceSpec { preimage: Some([0xab; 32]), ..Default::default() };
    for text in [format!("{made:?}"), format!("{status:?}"), format!("{spec:?}")] {
        assert!(!text.contains("abab") && !text.contains("171, 171"), "{text}");
    }
}
