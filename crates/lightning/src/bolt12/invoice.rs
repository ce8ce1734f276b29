//! Offers and their invoices, as far as they matter here: is this invoice of that offer, over that amount, on that network,
//! and when does it expire? No I/O.
//!
//! The invoice comes from our own node, whose offer it is; its signature is checked by the wallet that pays it.

use std::sync::Arc;
use std::time::Duration;

use l402::{Msat, PaymentHash};

use super::tlv::{self, Record};
use crate::{LightningError, Network};

/// Life of an invoice that does not say it (BOLT 12), seconds.
const DEFAULT_LIFE_S: u64 = 7200;

/// The least that an invoice may still live when it is made: less, and a client could hardly pay it.
const LEAST_LIFE_S: u64 = 60;

/// How far the node's clock may be from ours.
const MAX_SKEW: Duration = Duration::from_secs(300);

/// The types of records that matter (BOLT 12).
const OFFER_AMOUNT: u64 = 8;
const OFFER_CURRENCY: u64 = 6;
const OFFER_ISSUER_ID: u64 = 22;
const CHAIN: u64 = 80;
const CREATED_AT: u64 = 164;
const RELATIVE_EXPIRY: u64 = 166;
const PAYMENT_HASH: u64 = 168;
const AMOUNT: u64 = 170;
const NODE_ID: u64 = 176;
const SIGNATURE: u64 = 240;

/// The genesis blocks of networks, as the wire has them.
const CHAINS: [(&str, Network); 5] = [
    ("6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000", Network::Mainnet),
    ("43497fd7f826957108f4a30fd9cec3aeba79972084e90ead01ea330900000000", Network::Testnet),
    ("43f08bdab050e35b567c864b91f47f50ae725ae2de53bcfbbaf284da00000000", Network::Testnet),
    ("f61eee3b63a380a477a063af32b2bbc97c9ff9f01f2c4225e973988108000000", Network::Signet),
    ("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f", Network::Regtest),
];

/// An operator's offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// In one piece, as it was written otherwise.
    pub(super) text: Arc<str>,
    bytes: Vec<u8>,
    /// What it asks for; `None`: any amount.
    pub(super) amount: Option<Msat>,
}

/// What was found in an invoice that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) payment_hash: PaymentHash,
    /// Unix seconds.
    pub(super) expires_at: u64,
    pub(super) network: Network,
}

impl Offer {
    /// Reads `lno1…`.
    ///
    /// # Errors
    /// The operator's: it is no offer, or one in another currency than bitcoin.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let none = || "BOLT12_OFFER is no offer: expected lno1…, as lightning-cli offer gives it".to_owned();
        let bytes = tlv::bytes("lno", text).ok_or_else(none)?;
        let records = tlv::records(&bytes).ok_or_else(none)?;
        if records.is_empty() || !records.iter().all(|(kind, _)| is_of_offer(*kind)) {
            return Err(none());
        }
        if find(&records, OFFER_CURRENCY).is_some() {
            return Err("the offer is in a currency; expected one in msat, or for any amount".to_owned());
        }
        let amount = find(&records, OFFER_AMOUNT).map(|value| tlv::truncated(value).ok_or_else(none));
        let amount = amount.transpose()?.map(Msat);
        let text: String = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '+').collect();
        Ok(Self { text: text.into(), bytes, amount })
    }

    /// Checks that `text` is an invoice of this offer over `amount`, on `network` as far as that is known; `now` is Unix
    /// seconds.
    ///
    /// # Errors
    /// [`LightningError::Wrong`], with both values.
    pub(super) fn check(
        &self,
        text: &str,
        amount: Msat,
        network: Option<Network>,
        now: u64,
    ) -> Result<Checked, LightningError> {
        let unreadable = || LightningError::Wrong("a BOLT12 invoice that can't be read".to_owned());
        let bytes = tlv::bytes("lni", text).ok_or_else(unreadable)?;
        let records = tlv::records(&bytes).ok_or_else(unreadable)?;
        let number =
            |kind| find(&records, kind).map(|value| tlv::truncated(value).ok_or_else(unreadable)).transpose();
        let payment_hash = find(&records, PAYMENT_HASH).and_then(|value| <[u8; 32]>::try_from(value).ok());
        let payment_hash = PaymentHash(payment_hash.ok_or_else(unreadable)?);

        let ours = tlv::records(&self.bytes).unwrap_or_default();
        let of_offer = records.iter().filter(|(kind, _)| is_of_offer(*kind));
        ensure(of_offer.eq(ours.iter()), || "an invoice of another offer".to_owned())?;
        ensure(find(&records, SIGNATURE).is_some_and(|value| value.len() == 64), || {
            "an invoice without a signature".to_owned()
        })?;
        if let Some(issuer) = find(&ours, OFFER_ISSUER_ID) {
            ensure(find(&records, NODE_ID) == Some(issuer), || "an invoice of another node".to_owned())?;
        }

        let found = number(AMOUNT)?;
        ensure(found == Some(amount.0), || match found {
            Some(msat) => format!("an invoice over {}, not {amount}", Msat(msat)),
            None => format!("an invoice without an amount, not over {amount}"),
        })?;

        let on = match find(&records, CHAIN) {
            None => Network::Mainnet,
            Some(chain) => named(chain)
                .ok_or_else(|| LightningError::Wrong("an invoice on a chain that nobody knows".to_owned()))?,
        };
        if let Some(expected) = network {
            ensure(on == expected, || {
                format!("an invoice on {}, but the node is on {}", on.name(), expected.name())
            })?;
        }

        let made = number(CREATED_AT)?.ok_or_else(unreadable)?;
        let life = number(RELATIVE_EXPIRY)?.unwrap_or(DEFAULT_LIFE_S);
        let skew = Duration::from_secs(made.abs_diff(now));
        ensure(skew <= MAX_SKEW.min(Duration::from_secs(life) / 2), || {
            format!("an invoice made at {made} by its clock; ours says {now}: set the clocks")
        })?;
        ensure(life >= LEAST_LIFE_S, || {
            format!("an invoice that lives {life} s, where {LEAST_LIFE_S} s are the least")
        })?;
        Ok(Checked { payment_hash, expires_at: made.saturating_add(life), network: on })
    }
}

/// When an invoice was made, Unix seconds.
pub(super) fn made_at(text: &str) -> Option<u64> {
    let bytes = tlv::bytes("lni", text)?;
    tlv::truncated(find(&tlv::records(&bytes)?, CREATED_AT)?)
}

/// Whether records of this type belong to offers, whose invoices repeat them unchanged.
fn is_of_offer(kind: u64) -> bool {
    matches!(kind, 1..=79 | 1_000_000_000..=1_999_999_999)
}

fn find<'a>(records: &[Record<'a>], kind: u64) -> Option<&'a [u8]> {
    records.iter().find(|(found, _)| *found == kind).map(|(_, value)| *value)
}

fn named(chain: &[u8]) -> Option<Network> {
    let hex = data_encoding::HEXLOWER.encode(chain);
    CHAINS.iter().find(|(known, _)| *known == hex).map(|(_, network)| *network)
}

fn ensure(holds: bool, text: impl FnOnce() -> String) -> Result<(), LightningError> {
    if holds { Ok(()) } else { Err(LightningError::Wrong(text())) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    /// A record with its type and length; both small.
    fn put(out: &mut Vec<u8>, kind: u64, value: &[u8]) {
        out.extend([u8::try_from(kind).unwrap(), u8::try_from(value.len()).unwrap()]);
        out.extend_from_slice(value);
    }

    fn offer_records() -> Vec<(u64, Vec<u8>)> {
        vec![(10, b"news".to_vec()), (OFFER_ISSUER_ID, vec![2; 33])]
    }

    fn invoice_records() -> Vec<(u64, Vec<u8>)> {
        let regtest = data_encoding::HEXLOWER.decode(CHAINS[4].0.as_bytes()).unwrap();
        let mut records = vec![(0, vec![9; 16])];
        records.extend(offer_records());
        records.extend([
            (CHAIN, regtest),
            (82, vec![39, 16]),
            (CREATED_AT, NOW.to_be_bytes()[4..].to_vec()),
            (RELATIVE_EXPIRY, vec![14, 16]),
            (PAYMENT_HASH, vec![7; 32]),
            (AMOUNT, vec![39, 16]),
            (NODE_ID, vec![2; 33]),
            (SIGNATURE, vec![1; 64]),
        ]);
        records
    }

    fn encode(prefix: &str, records: &[(u64, Vec<u8>)]) -> String {
        let mut bytes = Vec::new();
        records.iter().for_each(|(kind, value)| put(&mut bytes, *kind, value));
        tlv::text(prefix, &bytes)
    }

    fn offer() -> Offer {
        Offer::parse(&encode("lno", &offer_records())).unwrap()
    }

    fn check(records: &[(u64, Vec<u8>)]) -> Result<Checked, LightningError> {
        offer().check(&encode("lni", records), Msat(10_000), Some(Network::Regtest), NOW)
    }

    #[test]
    fn what_was_asked_passes() {
        let want =
            Checked { payment_hash: PaymentHash([7; 32]), expires_at: NOW + 3600, network: Network::Regtest };
        assert_eq!(check(&invoice_records()), Ok(want));
    }

    #[test]
    fn anything_else_is_wrong() {
        let without =
            |kind| invoice_records().into_iter().filter(|(found, _)| *found != kind).collect::<Vec<_>>();
        let with = |kind, value: Vec<u8>| {
            let mut records = without(kind);
            records.push((kind, value));
            records.sort();
            records
        };
        let cases = [
            (without(PAYMENT_HASH), "can't be read"),
            (with(PAYMENT_HASH, vec![7; 31]), "can't be read"),
            (with(10, b"olds".to_vec()), "another offer"),
            (with(18, b"me".to_vec()), "another offer"),
            (without(10), "another offer"),
            (with(NODE_ID, vec![3; 33]), "another node"),
            (without(SIGNATURE), "without a signature"),
            (with(AMOUNT, vec![39, 15]), "over 9999 msat, not 10000 msat"),
            (without(AMOUNT), "without an amount"),
            (without(CHAIN), "on mainnet, but the node is on regtest"),
            (with(CHAIN, vec![1; 32]), "a chain that nobody knows"),
            (with(CREATED_AT, (NOW - 301).to_be_bytes()[4..].to_vec()), "set the clocks"),
            (with(CREATED_AT, (NOW + 301).to_be_bytes()[4..].to_vec()), "set the clocks"),
            (with(RELATIVE_EXPIRY, vec![59]), "lives 59 s"),
            (without(CREATED_AT), "can't be read"),
        ];
        for (records, said) in cases {
            match check(&records) {
                Err(LightningError::Wrong(text)) => assert!(text.contains(said), "{said}: {text}"),
                other => panic!("{said}: {other:?}"),
            }
        }
        for text in ["", "lnbcrt1", "lni1", "lni1qqqq"] {
            assert!(offer().check(text, Msat(10_000), None, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn offers_that_are_none() {
        assert_eq!(offer().amount, None);
        let fixed = [(OFFER_AMOUNT, vec![39, 16])].into_iter().chain(offer_records()).collect::<Vec<_>>();
        assert_eq!(Offer::parse(&encode("lno", &fixed)).unwrap().amount, Some(Msat(10_000)));
        let euros = [(OFFER_CURRENCY, b"EUR".to_vec())].into_iter().chain(fixed).collect::<Vec<_>>();
        assert!(Offer::parse(&encode("lno", &euros)).unwrap_err().contains("currency"));
        for text in ["", "lno1", "lni1qqqq", &encode("lno", &invoice_records())] {
            assert!(Offer::parse(text).unwrap_err().contains("no offer"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(lni1)?[02-9ac-hj-np-z]{0,300}", amount in any::<u64>()) {
            prop_assert!(offer().check(&text, Msat(amount), None, NOW).is_err());
        }
    }
}
