//! Judges what a wallet says of a payment: settled is what the wallet calls settled, of this invoice.

use l402::{PaymentHash, Preimage};

use super::facts::{Fact, Remark};
use super::reading::payment_hash_of;
use crate::connector::{Found, Payment};
use crate::{LightningError, Lookup, Settlement};

/// Judges the answer to a look-up of `hash`.
///
/// # Errors
/// [`LightningError::Wrong`]: it is about another invoice, or about a payment that went out.
pub(crate) fn judge_found(hash: PaymentHash, found: Found) -> Result<Lookup, LightningError> {
    match found {
        Found::Paid(payment) => {
            let Settlement { preimage, received, remarks, .. } = judge_payment(hash, &payment)?;
            Ok(Lookup::Settled { preimage, received, remarks })
        }
        Found::Open { about, invoice, expires_at } => {
            must_be_about(hash, about)?;
            // Shown again to the client, so that it must be this one. One that can't be read is not shown.
            let told = invoice.as_deref().and_then(payment_hash_of);
            must_be_about(hash, told)?;
            Ok(Lookup::Pending { bolt11: invoice.filter(|_| told.is_some()), expires_at })
        }
        Found::Dead { about } => {
            must_be_about(hash, about)?;
            Ok(Lookup::Dead)
        }
        Found::Unknown => Ok(Lookup::Unknown),
        Found::Unclear(said) => Ok(Lookup::Unclear(said)),
        Found::CannotLookUp => Ok(Lookup::CannotLookUp),
    }
}

/// Judges a payment that a wallet tells of by itself.
///
/// # Errors
/// [`LightningError::Wrong`]: it does not say which invoice was paid, or the payment went out.
pub(crate) fn judge_push(payment: &Payment) -> Result<Settlement, LightningError> {
    let hash = payment.about.or_else(|| payment.invoice.as_deref().and_then(payment_hash_of));
    match hash {
        Some(hash) => judge_payment(hash, payment),
        None => Err(LightningError::Wrong("a settlement without a payment hash".to_owned())),
    }
}

fn judge_payment(hash: PaymentHash, payment: &Payment) -> Result<Settlement, LightningError> {
    must_be_about(hash, payment.about)?;
    must_be_about(hash, payment.invoice.as_deref().and_then(payment_hash_of))?;
    if payment.outgoing {
        return Err(LightningError::Wrong(format!("an outgoing payment in place of the invoice {hash}")));
    }
    let told = payment.preimage.as_deref().filter(|told| !told.is_empty());
    let preimage = told.and_then(|told| <[u8; 32]>::try_from(told).ok()).map(Preimage::from_bytes);
    let preimage = preimage.filter(|preimage| preimage.matches(&hash));
    let mut remarks = Vec::new();
    if preimage.is_none() && told.is_some() {
        let text = "its settlements come with something in the preimage's place that is not the preimage; it is passed \
                    over, and the payment counts";
        remarks.push(Remark::new(Fact::Preimage, text));
    }
    Ok(Settlement { payment_hash: hash, preimage, received: payment.received, remarks })
}

fn must_be_about(hash: PaymentHash, told: Option<PaymentHash>) -> Result<(), LightningError> {
    match told {
        Some(told) if told != hash => {
            Err(LightningError::Wrong(format!("the invoice {told} for a look-up of {hash}")))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use l402::Msat;
    use lnsim::bolt11::{Draft, Network, NodeKey};

    use super::*;

    fn preimage() -> Preimage {
        Preimage::from_bytes([3; 32])
    }

    fn hash() -> PaymentHash {
        preimage().payment_hash()
    }

    fn paid() -> Payment {
        Payment {
            about: Some(hash()),
            preimage: Some(preimage().expose().to_vec()),
            received: Some(Msat(5000)),
            ..Payment::default()
        }
    }

    fn invoice_of(hash: PaymentHash) -> String {
        let draft = Draft {
            network: Network::Regtest,
            hash: hash.0,
            payment_addr: [8; 32],
            amount_msat: 5000,
            memo: "",
            description_hash: None,
            created: 1_800_000_000,
            expiry_s: 600,
            cltv_expiry: 40,
        };
        NodeKey::from_bytes(&[1; 32]).unwrap().sign(&draft).unwrap()
    }

    #[test]
    fn the_wallets_word_is_enough() {
        let whole =
            Lookup::Settled { preimage: Some(preimage()), received: Some(Msat(5000)), remarks: vec![] };
        assert_eq!(judge_found(hash(), Found::Paid(paid())), Ok(whole));
        let bare = Lookup::Settled { preimage: None, received: None, remarks: vec![] };
        for empty in [None, Some(vec![])] {
            let payment = Payment { preimage: empty, ..Payment::default() };
            assert_eq!(judge_found(hash(), Found::Paid(payment)), Ok(bare.clone()));
        }
    }

    #[test]
    fn an_odd_preimage_is_said_and_dropped() {
        for odd in [vec![0; 32], vec![9; 32], vec![1; 48], b"6f1b-uuid".to_vec()] {
            let found = Found::Paid(Payment { preimage: Some(odd), ..paid() });
            let Ok(Lookup::Settled { preimage: None, remarks, .. }) = judge_found(hash(), found) else {
                panic!("it is not settled")
            };
            assert_eq!(remarks[0].fact, Fact::Preimage);
        }
    }

    #[test]
    fn what_is_about_another_invoice_is_nothing() {
        let (own, other) = (invoice_of(hash()), invoice_of(PaymentHash([9; 32])));
        for payment in [
            Payment { about: Some(PaymentHash([9; 32])), ..paid() },
            Payment { invoice: Some(other.clone()), ..paid() },
            Payment { outgoing: true, ..paid() },
        ] {
            assert!(matches!(judge_found(hash(), Found::Paid(payment)), Err(LightningError::Wrong(_))));
        }
        assert!(judge_found(hash(), Found::Paid(Payment { invoice: Some(own.clone()), ..paid() })).is_ok());
        let open = |invoice: &str| Found::Open {
            about: None,
            invoice: Some(invoice.to_owned()),
            expires_at: Some(1600),
        };
        let pending = |bolt11| Ok(Lookup::Pending { bolt11, expires_at: Some(1600) });
        assert_eq!(judge_found(hash(), open(&own)), pending(Some(own)));
        assert_eq!(judge_found(hash(), open("junk")), pending(None));
        assert!(judge_found(hash(), open(&other)).is_err());
        assert!(judge_found(hash(), Found::Dead { about: Some(PaymentHash([9; 32])) }).is_err());
    }

    #[test]
    fn a_push_names_its_invoice_one_way_or_another() {
        assert_eq!(judge_push(&paid()).unwrap().payment_hash, hash());
        let by_text = Payment { invoice: Some(invoice_of(hash())), ..Payment::default() };
        assert_eq!(judge_push(&by_text).unwrap().payment_hash, hash());
        assert!(judge_push(&Payment::default()).is_err());
        assert!(judge_push(&Payment { outgoing: true, ..paid() }).is_err());
    }
}
