//! LND's messages in our types. `state` alone says whether an invoice is paid: LND reports the preimage of open
//! invoices too.

use l402::{Msat, PaymentHash};
use lnd_rpc::lnrpc::{self, invoice::InvoiceState};

use crate::connector::{Found, Payment};

/// The payment hash in a message; `None` where it is none.
pub(super) fn payment_hash(bytes: &[u8]) -> Option<PaymentHash> {
    <[u8; 32]>::try_from(bytes).ok().map(PaymentHash)
}

/// The answer to a look-up.
pub(super) fn found(invoice: lnrpc::Invoice) -> Found {
    let about = payment_hash(&invoice.r_hash);
    match InvoiceState::try_from(invoice.state) {
        Ok(InvoiceState::Settled) => Found::Paid(payment(&invoice)),
        Ok(InvoiceState::Open | InvoiceState::Accepted) => {
            let expires_at = expires_at(&invoice);
            let text = Some(invoice.payment_request).filter(|text| !text.is_empty());
            Found::Open { about, invoice: text, expires_at }
        }
        Ok(InvoiceState::Canceled) => Found::Dead { about },
        Err(_) => Found::Unclear(format!("an invoice in state {}, which is not known", invoice.state)),
    }
}

/// A settled invoice. Who calls has seen that its state is settled.
pub(super) fn payment(invoice: &lnrpc::Invoice) -> Payment {
    Payment {
        about: payment_hash(&invoice.r_hash),
        invoice: None,
        preimage: Some(invoice.r_preimage.clone()).filter(|bytes| !bytes.is_empty()),
        received: u64::try_from(invoice.amt_paid_msat).ok().filter(|msat| *msat > 0).map(Msat),
        outgoing: false,
    }
}

fn expires_at(invoice: &lnrpc::Invoice) -> Option<u64> {
    u64::try_from(invoice.creation_date.saturating_add(invoice.expiry)).ok().filter(|at| *at > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use l402::Preimage;

    use super::*;

    fn preimage() -> Preimage {
        Preimage::from_bytes([3; 32])
    }

    /// As LND reports it: the preimage is there whatever the state.
    fn invoice(state: i32) -> lnrpc::Invoice {
        lnrpc::Invoice {
            r_hash: preimage().payment_hash().0.to_vec(),
            r_preimage: preimage().expose().to_vec(),
            creation_date: 1000,
            expiry: 600,
            amt_paid_msat: 5000,
            payment_request: "lnbcrt1".to_owned(),
            // The deprecated flag must not count.
            settled: true,
            state,
            ..lnrpc::Invoice::default()
        }
    }

    #[test]
    fn the_state_alone_decides() {
        for state in [InvoiceState::Open, InvoiceState::Accepted] {
            let Found::Open { about, invoice, expires_at } = found(invoice(state as i32)) else {
                panic!("{state:?}")
            };
            assert_eq!(about, Some(preimage().payment_hash()));
            assert_eq!((invoice.as_deref(), expires_at), (Some("lnbcrt1"), Some(1600)));
        }
        assert!(matches!(found(invoice(InvoiceState::Canceled as i32)), Found::Dead { about: Some(_) }));
        assert!(matches!(found(invoice(4)), Found::Unclear(_)));
        let Found::Paid(payment) = found(invoice(InvoiceState::Settled as i32)) else { panic!("not paid") };
        assert_eq!(payment.preimage.as_deref(), Some(&preimage().expose()[..]));
        assert_eq!(payment.received, Some(Msat(5000)));
    }

    #[test]
    fn numbers_beyond_reason_are_none() {
        let odd = lnrpc::Invoice { creation_date: i64::MAX, ..invoice(0) };
        assert!(matches!(found(odd), Found::Open { expires_at: Some(_), .. }));
        let odd = lnrpc::Invoice { creation_date: i64::MIN, ..invoice(0) };
        assert!(matches!(found(odd), Found::Open { expires_at: None, .. }));
        assert_eq!(payment(&lnrpc::Invoice { amt_paid_msat: -1, ..invoice(1) }).received, None);
    }
}
