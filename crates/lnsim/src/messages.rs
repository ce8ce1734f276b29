//! Between LND's messages and the ledger's types, with the complaints that LND has about the former.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use lnd_rpc::lnrpc::{self, invoice::InvoiceState, payment::PaymentStatus as RpcStatus};
use tonic::Status;

use crate::ledger::{FailureReason, Hash32, Invoice, Payment, PaymentStatus, State};
use crate::quirk::Report;
use crate::world::InvoiceSpec;

/// What `AddInvoice` is asked for.
pub(crate) fn spec(ask: lnrpc::Invoice) -> Result<InvoiceSpec, Status> {
    let preimage =
        match ask.r_preimage.as_slice() {
            [] => None,
            bytes => Some(<[u8; 32]>::try_from(bytes).map_err(|_| {
                Status::unknown(format!("invalid preimage length of {}, want 32", bytes.len()))
            })?),
        };
    let description_hash = match ask.description_hash.as_slice() {
        [] => None,
        bytes => Some(<[u8; 32]>::try_from(bytes).map_err(|_| {
            Status::unknown(format!("description hash is {} bytes, must be 32", bytes.len()))
        })?),
    };
    Ok(InvoiceSpec {
        amount_msat: amount(ask.value, ask.value_msat)?,
        memo: ask.memo,
        description_hash,
        expiry_s: u64::try_from(ask.expiry).unwrap_or(0),
        cltv_expiry: ask.cltv_expiry,
        offer: None,
        preimage,
        hints: ask.private,
    })
}

/// One amount out of LND's two fields, msat.
pub(crate) fn amount(sat: i64, msat: i64) -> Result<u64, Status> {
    match (u64::try_from(sat), u64::try_from(msat)) {
        (Ok(1..), _) | (Err(_), _) if msat != 0 => {
            Err(Status::unknown("sat and msat arguments are mutually exclusive"))
        }
        (Ok(0), Ok(msat)) => Ok(msat),
        (Ok(sat), Ok(_)) => {
            sat.checked_mul(1000).ok_or_else(|| Status::unknown("invoice amount is too large"))
        }
        _ => Err(Status::unknown("amount cannot be negative")),
    }
}

/// The hash that `LookupInvoice` is asked for; none is 32 zeros, as with LND.
pub(crate) fn looked_up(ask: &lnrpc::PaymentHash) -> Result<Hash32, Status> {
    let bytes = if ask.r_hash_str.is_empty() {
        ask.r_hash.clone()
    } else {
        HEXLOWER_PERMISSIVE
            .decode(ask.r_hash_str.as_bytes())
            .map_err(|error| Status::unknown(format!("encoding/hex: {error}")))?
    };
    match bytes.len() {
        0 => Ok([0; 32]),
        length => bytes.try_into().map_err(|_| {
            Status::unknown(format!("payment hash must be exactly 32 bytes, is instead {length}"))
        }),
    }
}

pub(crate) fn exact_hash(bytes: &[u8]) -> Result<Hash32, Status> {
    bytes.try_into().map_err(|_| Status::unknown(format!("invalid hash length of {}, want 32", bytes.len())))
}

/// An invoice as LND reports it, with its preimage whatever its state.
pub(crate) fn rpc_invoice(invoice: Invoice, report: &Report) -> lnrpc::Invoice {
    let paid = if invoice.state == State::Settled { report.received_msat(&invoice) } else { 0 };
    let (amount_msat, paid_msat) = (signed(invoice.amount_msat), signed(paid));
    let r_preimage = match invoice.state {
        State::Settled => report.preimage_bytes(&invoice),
        State::Open | State::Canceled | State::Accepted => invoice.preimage.to_vec(),
    };
    let state = match invoice.state {
        State::Open => InvoiceState::Open,
        State::Settled => InvoiceState::Settled,
        State::Canceled => InvoiceState::Canceled,
        State::Accepted => InvoiceState::Accepted,
    };
    lnrpc::Invoice {
        memo: invoice.memo,
        r_preimage,
        r_hash: invoice.hash.to_vec(),
        value: amount_msat / 1000,
        value_msat: amount_msat,
        settled: state == InvoiceState::Settled,
        creation_date: signed(invoice.created),
        settle_date: signed(invoice.settled_at),
        payment_request: invoice.bolt11,
        description_hash: invoice.description_hash.map(|hash| hash.to_vec()).unwrap_or_default(),
        expiry: signed(invoice.expiry_s),
        fallback_addr: String::new(),
        cltv_expiry: invoice.cltv_expiry,
        private: false,
        add_index: invoice.add_index,
        settle_index: invoice.settle_index,
        amt_paid: paid_msat,
        amt_paid_sat: paid_msat / 1000,
        amt_paid_msat: paid_msat,
        state: state.into(),
        is_keysend: false,
        payment_addr: invoice.payment_addr.to_vec(),
        is_amp: false,
        is_blinded: false,
    }
}

pub(crate) fn rpc_payment(payment: &Payment) -> lnrpc::Payment {
    let (status, preimage, reason) = match payment.status {
        PaymentStatus::InFlight => (RpcStatus::InFlight, [0; 32], lnrpc::PaymentFailureReason::None),
        PaymentStatus::Succeeded(preimage) => {
            (RpcStatus::Succeeded, preimage, lnrpc::PaymentFailureReason::None)
        }
        PaymentStatus::Failed(reason) => (RpcStatus::Failed, [0; 32], rpc_reason(reason)),
    };
    let fee_msat = if status == RpcStatus::Succeeded { signed(payment.order.fee_msat) } else { 0 };
    let amount_msat = signed(payment.order.amount_msat);
    lnrpc::Payment {
        payment_hash: HEXLOWER.encode(&payment.order.hash),
        payment_preimage: HEXLOWER.encode(&preimage),
        value_sat: amount_msat / 1000,
        value_msat: amount_msat,
        payment_request: payment.order.bolt11.clone(),
        status: status.into(),
        fee_sat: fee_msat / 1000,
        fee_msat,
        creation_time_ns: signed(payment.created).saturating_mul(1_000_000_000),
        payment_index: payment.index,
        failure_reason: reason.into(),
    }
}

pub(crate) fn rpc_reason(reason: FailureReason) -> lnrpc::PaymentFailureReason {
    match reason {
        FailureReason::Timeout => lnrpc::PaymentFailureReason::Timeout,
        FailureReason::NoRoute => lnrpc::PaymentFailureReason::NoRoute,
        FailureReason::Error => lnrpc::PaymentFailureReason::Error,
        FailureReason::IncorrectPaymentDetails => lnrpc::PaymentFailureReason::IncorrectPaymentDetails,
        FailureReason::InsufficientBalance => lnrpc::PaymentFailureReason::InsufficientBalance,
    }
}

/// What is signed in LND's messages. All amounts and times here are far below 2^63.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
