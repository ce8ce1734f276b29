//! Offers and their invoices, as far as they matter here: what an invoice says, whether it is of the offer, and whose the
//! offer is. No I/O.
//!
//! The invoice comes from our own node, whose offer it is; its signature is checked by the wallet that pays it.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use l402::{Msat, PaymentHash};

use settings::tlv::{self, OFFER_AMOUNT, OFFER_CURRENCY, Record, is_of_offer};

use crate::Network;
use crate::judgement::{Described, Fact, Remark, Terms};

/// Life of an invoice that does not say it (BOLT 12), seconds.
const DEFAULT_LIFE_S: u64 = 7200;

/// The types of records that matter (BOLT 12).
const OFFER_PATHS: u64 = 16;
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
    /// The id of the node whose it is, in hex; `None` where it hides that.
    pub(super) issuer: Option<String>,
    /// The first node of its blinded path, where it has one: its id in hex, or `?` where it is named by a channel.
    pub(super) path_through: Option<String>,
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
        let issuer = find(&records, OFFER_ISSUER_ID).map(|id| HEXLOWER.encode(id));
        let path_through = find(&records, OFFER_PATHS).map(first_node);
        let text: String = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '+').collect();
        Ok(Self { text: text.into(), bytes, amount, issuer, path_through })
    }

    /// What an invoice says, and what is wrong with it as one of this offer.
    ///
    /// # Errors
    /// It is no BOLT12 invoice.
    pub(super) fn read(&self, text: &str) -> Result<(Terms, Vec<Remark>), String> {
        let unreadable = || "a BOLT12 invoice that can't be read".to_owned();
        let bytes = tlv::bytes("lni", text).ok_or_else(unreadable)?;
        let records = tlv::records(&bytes).ok_or_else(unreadable)?;
        let terms = terms(&records)?;
        let mut findings = Vec::new();
        let mut wrong = |text: &str| findings.push(Remark::new(Fact::Offer, text));
        let ours = tlv::records(&self.bytes).unwrap_or_default();
        if !records.iter().filter(|(kind, _)| is_of_offer(*kind)).eq(ours.iter()) {
            wrong("an invoice of another offer");
        }
        if let Some(issuer) = find(&ours, OFFER_ISSUER_ID)
            && find(&records, NODE_ID) != Some(issuer)
        {
            wrong("an invoice of another node");
        }
        Ok((terms, findings))
    }
}

fn terms(records: &[Record<'_>]) -> Result<Terms, String> {
    let unreadable = || "a BOLT12 invoice that can't be read".to_owned();
    let number =
        |kind| find(records, kind).map(|value| tlv::truncated(value).ok_or_else(unreadable)).transpose();
    let payment_hash = find(records, PAYMENT_HASH).and_then(|value| <[u8; 32]>::try_from(value).ok());
    if find(records, SIGNATURE).is_none_or(|value| value.len() != 64) {
        return Err("an invoice without a signature".to_owned());
    }
    let network = match find(records, CHAIN) {
        None => Network::Mainnet,
        Some(chain) => named(chain).ok_or("an invoice on a chain that is not known")?,
    };
    Ok(Terms {
        payment_hash: PaymentHash(payment_hash.ok_or_else(unreadable)?),
        amount: number(AMOUNT)?.map(Msat),
        network,
        made_at: number(CREATED_AT)?.ok_or_else(unreadable)?,
        life_s: number(RELATIVE_EXPIRY)?.unwrap_or(DEFAULT_LIFE_S),
        described: Described::Nothing,
        // In the paths.
        payment_secret: true,
        route_hints: 0,
    })
}

/// The first node of the first of some blinded paths (BOLT 4, `blinded_path`): a key, or a direction and a channel.
fn first_node(paths: &[u8]) -> String {
    match paths {
        [2 | 3, ..] if paths.len() >= 33 => HEXLOWER.encode(&paths[..33]),
        _ => "?".to_owned(),
    }
}

/// The payment hash of an invoice.
pub(super) fn payment_hash(text: &str) -> Option<PaymentHash> {
    let bytes = tlv::bytes("lni", text)?;
    let records = tlv::records(&bytes)?;
    find(&records, PAYMENT_HASH).and_then(|value| <[u8; 32]>::try_from(value).ok()).map(PaymentHash)
}

/// When an invoice was made, Unix seconds.
pub(super) fn made_at(text: &str) -> Option<u64> {
    let bytes = tlv::bytes("lni", text)?;
    tlv::truncated(find(&tlv::records(&bytes)?, CREATED_AT)?)
}

fn find<'a>(records: &[Record<'a>], kind: u64) -> Option<&'a [u8]> {
    records.iter().find(|(found, _)| *found == kind).map(|(_, value)| *value)
}

fn named(chain: &[u8]) -> Option<Network> {
    let hex = HEXLOWER.encode(chain);
    CHAINS.iter().find(|(known, _)| *known == hex).map(|(_, network)| *network)
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

    fn read(records: &[(u64, Vec<u8>)]) -> Result<(Terms, Vec<Remark>), String> {
        offer().read(&encode("lni", records))
    }

    #[test]
    fn what_was_asked_is_read() {
        let (terms, findings) = read(&invoice_records()).unwrap();
        assert_eq!((terms.payment_hash, terms.expires_at()), (PaymentHash([7; 32]), NOW + 3600));
        assert_eq!((terms.network, terms.amount, findings), (Network::Regtest, Some(Msat(10_000)), vec![]));
    }

    #[test]
    fn what_is_missing_or_of_another() {
        let without =
            |kind| invoice_records().into_iter().filter(|(found, _)| *found != kind).collect::<Vec<_>>();
        let with = |kind, value: Vec<u8>| {
            let mut records = without(kind);
            records.push((kind, value));
            records.sort();
            records
        };
        for (records, said) in [
            (without(PAYMENT_HASH), "can't be read"),
            (with(PAYMENT_HASH, vec![7; 31]), "can't be read"),
            (without(SIGNATURE), "without a signature"),
            (with(CHAIN, vec![1; 32]), "a chain that is not known"),
            (without(CREATED_AT), "can't be read"),
        ] {
            let text = read(&records).unwrap_err();
            assert!(text.contains(said), "{said}: {text}");
        }
        for (records, said) in [
            (with(10, b"olds".to_vec()), "another offer"),
            (with(18, b"me".to_vec()), "another offer"),
            (without(10), "another offer"),
            (with(NODE_ID, vec![3; 33]), "another node"),
        ] {
            let (_, findings) = read(&records).unwrap();
            assert!(findings[0].fact == Fact::Offer && findings[0].text.contains(said), "{findings:?}");
        }
        assert_eq!(read(&without(CHAIN)).unwrap().0.network, Network::Mainnet);
        assert_eq!(read(&without(AMOUNT)).unwrap().0.amount, None);
        assert_eq!(read(&without(RELATIVE_EXPIRY)).unwrap().0.life_s, DEFAULT_LIFE_S);
        for text in ["", "lnbcrt1", "lni1", "lni1qqqq"] {
            assert!(offer().read(text).is_err(), "{text}");
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

    #[test]
    fn whose_it_is_and_through_whom_it_leads() {
        assert_eq!((offer().issuer, offer().path_through), (Some("02".repeat(33)), None));
        let path = |first: Vec<u8>| {
            let records = [(10, b"news".to_vec()), (OFFER_PATHS, first), (OFFER_ISSUER_ID, vec![2; 33])];
            Offer::parse(&encode("lno", &records)).unwrap().path_through
        };
        assert_eq!(path([&[3; 33][..], &[2; 80]].concat()), Some("03".repeat(33)));
        assert_eq!(path([&[0; 9][..], &[2; 80]].concat()).as_deref(), Some("?"));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(lni1)?[02-9ac-hj-np-z]{0,300}") {
            prop_assert!(offer().read(&text).is_err());
        }
    }
}
