//! LND's messages in our types. `state` alone says whether an invoice is paid: LND reports the preimage of open
//! invoices too.

use l402::{Msat, PaymentHash, Preimage};
use lnd_rpc::lnrpc::{self, invoice::InvoiceState};

use crate::{LightningError, Lookup, Settlement};

/// The payment hash in a message.
pub(super) fn payment_hash(bytes: &[u8]) -> Result<PaymentHash, LightningError> {
    match <[u8; 32]>::try_from(bytes) {
        Ok(hash) => Ok(PaymentHash(hash)),
        Err(_) => Err(LightningError::Wrong(format!("a payment hash of {} bytes", bytes.len()))),
    }
}

/// The answer to a look-up of `hash`.
pub(super) fn lookup(hash: PaymentHash, invoice: &lnrpc::Invoice) -> Result<Lookup, LightningError> {
    let found = payment_hash(&invoice.r_hash)?;
    if found != hash {
        return Err(LightningError::Wrong(format!("the invoice {found} for a look-up of {hash}")));
    }
    let Ok(state) = InvoiceState::try_from(invoice.state) else {
        return Err(LightningError::Wrong(format!(
            "an invoice in state {}, which nobody knows",
            invoice.state
        )));
    };
    match state {
        InvoiceState::Settled => {
            let Settlement { preimage, received, .. } = settlement(invoice)?;
            Ok(Lookup::Settled { preimage, received })
        }
        InvoiceState::Open | InvoiceState::Accepted => {
            let bolt11 = Some(invoice.payment_request.clone()).filter(|text| !text.is_empty());
            Ok(Lookup::Pending { bolt11, expires_at: expires_at(invoice) })
        }
        InvoiceState::Canceled => Ok(Lookup::Dead),
    }
}

/// A settled invoice as a settlement. Who calls has seen that its state is settled.
pub(super) fn settlement(invoice: &lnrpc::Invoice) -> Result<Settlement, LightningError> {
    let payment_hash = payment_hash(&invoice.r_hash)?;
    let preimage = <[u8; 32]>::try_from(invoice.r_preimage.as_slice()).ok().map(Preimage::from_bytes);
    if preimage.as_ref().is_some_and(|preimage| !preimage.matches(&payment_hash)) {
        return Err(LightningError::Wrong(format!("a preimage that does not belong to {payment_hash}")));
    }
    let received = u64::try_from(invoice.amt_paid_msat)
        .map_err(|_| LightningError::Wrong(format!("a negative amount received for {payment_hash}")))?;
    Ok(Settlement { payment_hash, preimage, received: Msat(received) })
}

fn expires_at(invoice: &lnrpc::Invoice) -> u64 {
    u64::try_from(invoice.creation_date.saturating_add(invoice.expiry)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
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

    fn look_up(invoice: &lnrpc::Invoice) -> Result<Lookup, LightningError> {
        lookup(preimage().payment_hash(), invoice)
    }

    #[test]
    fn the_state_alone_decides() {
        let pending = Lookup::Pending { bolt11: Some("lnbcrt1".to_owned()), expires_at: 1600 };
        assert_eq!(look_up(&invoice(InvoiceState::Open as i32)), Ok(pending.clone()));
        assert_eq!(look_up(&invoice(InvoiceState::Accepted as i32)), Ok(pending));
        assert_eq!(look_up(&invoice(InvoiceState::Canceled as i32)), Ok(Lookup::Dead));
        let settled = Lookup::Settled { preimage: Some(preimage()), received: Msat(5000) };
        assert_eq!(look_up(&invoice(InvoiceState::Settled as i32)), Ok(settled));
    }

    #[test]
    fn what_does_not_fit_is_wrong() {
        let settled = || invoice(InvoiceState::Settled as i32);
        for odd in [
            invoice(4),
            lnrpc::Invoice { r_hash: vec![1; 32], ..settled() },
            lnrpc::Invoice { r_hash: vec![1; 31], ..settled() },
            lnrpc::Invoice { r_preimage: vec![1; 32], ..settled() },
            lnrpc::Invoice { amt_paid_msat: -1, ..settled() },
        ] {
            assert!(matches!(look_up(&odd), Err(LightningError::Wrong(_))), "{odd:?}");
        }
    }

    #[test]
    fn a_settlement_without_a_preimage_is_one() {
        let bare = lnrpc::Invoice { r_preimage: Vec::new(), ..invoice(InvoiceState::Settled as i32) };
        assert_eq!(settlement(&bare).unwrap().preimage, None);
    }

    #[test]
    fn dates_beyond_reason_do_not_overflow() {
        let odd = lnrpc::Invoice { creation_date: i64::MAX, ..invoice(0) };
        assert!(matches!(look_up(&odd), Ok(Lookup::Pending { .. })));
        let odd = lnrpc::Invoice { creation_date: i64::MIN, ..invoice(0) };
        assert!(matches!(look_up(&odd), Ok(Lookup::Pending { expires_at: 0, .. })));
    }
}
