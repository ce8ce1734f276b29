//! Reads what a BOLT11 invoice says, leniently: whatever has a good signature is read, also where fields are missing.

use std::time::Duration;

use l402::{Msat, PaymentHash};
use lightning_invoice::{Currency, RawTaggedField, SignedRawBolt11Invoice, TaggedField};

use crate::bolt12;

/// Longest description in an invoice: 1023 groups of 5 bits (BOLT 11, tagged fields).
const MAX_DESCRIPTION_BYTES: usize = 639;

/// Longest description that every known wallet takes: swap providers take 100 bytes of ASCII.
const SHORT_DESCRIPTION_BYTES: usize = 100;

/// How far the node's clock may be from ours without a word, seconds.
pub(crate) const MAX_SKEW_S: u64 = 300;

/// Life of an invoice that does not say it (BOLT 11), seconds.
const DEFAULT_LIFE_S: u64 = 3600;

/// A network that invoices name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// `lnbc`
    Mainnet,
    /// `lntb`: testnet 3 and 4.
    Testnet,
    /// `lntbs`
    Signet,
    /// `lnsb`
    Simnet,
    /// `lnbcrt`
    Regtest,
}

impl Network {
    /// By the name that nodes give it.
    pub fn from_name(name: &str) -> Option<Network> {
        match name {
            "mainnet" | "bitcoin" => Some(Network::Mainnet),
            "testnet" | "testnet3" | "testnet4" => Some(Network::Testnet),
            "signet" => Some(Network::Signet),
            "simnet" => Some(Network::Simnet),
            "regtest" => Some(Network::Regtest),
            _ => None,
        }
    }

    /// The name that nodes give it.
    pub fn name(self) -> &'static str {
        match self {
            Network::Mainnet => "mainnet",
            Network::Testnet => "testnet",
            Network::Signet => "signet",
            Network::Simnet => "simnet",
            Network::Regtest => "regtest",
        }
    }
}

/// What an invoice says, whatever its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) payment_hash: PaymentHash,
    /// `None` leaves the amount to the payer.
    pub(crate) amount: Option<Msat>,
    pub(crate) network: Network,
    /// Unix seconds, by the wallet's clock.
    pub(crate) made_at: u64,
    /// Seconds.
    pub(crate) life_s: u64,
    pub(crate) described: Described,
    /// Whether payers have what they need to prove that they know the invoice.
    pub(crate) payment_secret: bool,
    /// How many ways over private channels it names.
    pub(crate) route_hints: usize,
}

/// How an invoice is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Described {
    /// By a text.
    Text(String),
    /// By the SHA-256 of a text.
    Hash([u8; 32]),
    /// Not at all.
    Nothing,
}

impl Terms {
    /// Reads a BOLT11 invoice; the error says why it is none.
    pub(crate) fn read(bolt11: &str) -> Result<Terms, String> {
        let signed: SignedRawBolt11Invoice =
            bolt11.parse().map_err(|error| format!("an invoice that can't be read: {error}"))?;
        if !signed.check_signature() {
            return Err("an invoice whose signature is wrong".to_owned());
        }
        let invoice = signed.raw_invoice();
        let hashes = invoice
            .data
            .tagged_fields
            .iter()
            .filter(|field| matches!(field, RawTaggedField::KnownSemantics(TaggedField::PaymentHash(_))));
        let payment_hash = match (invoice.payment_hash(), hashes.count()) {
            (Some(hash), 1) => PaymentHash(*hash.0.as_ref()),
            (Some(_), _) => return Err("an invoice with several payment hashes".to_owned()),
            (None, _) => return Err("an invoice without a payment hash".to_owned()),
        };
        let amount = match invoice.amount_pico_btc() {
            // A tenth of a millisatoshi is the unit.
            Some(pico) if pico % 10 != 0 => {
                return Err("an invoice over a fraction of a millisatoshi".to_owned());
            }
            amount => amount.map(|pico| Msat(pico / 10)),
        };
        let described = match (invoice.description(), invoice.description_hash()) {
            (Some(text), _) => Described::Text(text.as_inner().0.clone()),
            (None, Some(hash)) => Described::Hash(*hash.0.as_ref()),
            (None, None) => Described::Nothing,
        };
        Ok(Terms {
            payment_hash,
            amount,
            network: network_of(&invoice.currency()),
            made_at: invoice.data.timestamp.as_unix_timestamp(),
            life_s: invoice.expiry_time().map_or(DEFAULT_LIFE_S, |life| life.as_duration().as_secs()),
            described,
            payment_secret: invoice.payment_secret().is_some(),
            route_hints: invoice.private_routes().len(),
        })
    }

    /// Unix seconds.
    pub(crate) fn expires_at(&self) -> u64 {
        let life = Duration::from_secs(self.life_s);
        Duration::from_secs(self.made_at).saturating_add(life).as_secs()
    }
}

fn network_of(currency: &Currency) -> Network {
    match currency {
        Currency::Bitcoin => Network::Mainnet,
        Currency::BitcoinTestnet => Network::Testnet,
        Currency::Signet => Network::Signet,
        Currency::Simnet => Network::Simnet,
        Currency::Regtest => Network::Regtest,
    }
}

/// The payment hash of an invoice of any form, if it can be read.
pub(crate) fn payment_hash_of(invoice: &str) -> Option<PaymentHash> {
    match Terms::read(invoice) {
        Ok(terms) => Some(terms.payment_hash),
        Err(_) => bolt12::payment_hash(invoice),
    }
}

/// When an invoice of any wallet was made, by that wallet's clock, Unix seconds; `None` where it can't be read.
pub fn made_at(invoice: &str) -> Option<u64> {
    Terms::read(invoice).map(|terms| terms.made_at).ok().or_else(|| bolt12::made_at(invoice))
}

/// How many ways over private channels a BOLT11 invoice names; `None` where it is none.
pub fn route_hints(invoice: &str) -> Option<usize> {
    Terms::read(invoice).map(|terms| terms.route_hints).ok()
}

/// The description as an invoice can hold it: its first 639 bytes, cut at a character.
pub(crate) fn fit_description(text: &str) -> &str {
    if text.len() <= MAX_DESCRIPTION_BYTES {
        return text;
    }
    let cut = (0..=MAX_DESCRIPTION_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..cut]
}

/// The description as every known wallet takes it: at most 100 bytes of printable ASCII. `None` if it is such a one.
pub(crate) fn short_description(text: &str) -> Option<String> {
    let short: String = text
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(SHORT_DESCRIPTION_BYTES)
        .collect();
    (short != text).then_some(short)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn networks_have_the_names_that_nodes_give_them() {
        for name in ["mainnet", "testnet", "signet", "simnet", "regtest"] {
            assert_eq!(Network::from_name(name).unwrap().name(), name);
        }
        assert_eq!(Network::from_name("testnet4"), Some(Network::Testnet));
        assert_eq!(Network::from_name("liquid"), None);
    }

    #[test]
    fn descriptions_are_cut_at_a_character() {
        assert_eq!(fit_description("short"), "short");
        assert_eq!(fit_description(&"x".repeat(640)).len(), 639);
        assert_eq!(fit_description(&"\u{20ac}".repeat(400)).len(), 639);
        assert_eq!(fit_description(&format!("x{}", "\u{20ac}".repeat(400))).len(), 637);
    }

    #[test]
    fn a_short_description_is_ascii() {
        assert_eq!(short_description("L402 /a b"), None);
        assert_eq!(short_description("caf\u{e9}\n").as_deref(), Some("caf??"));
        assert_eq!(short_description(&"x".repeat(101)).unwrap().len(), 100);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(lnbcrt)?.{0,400}") {
            prop_assert!(Terms::read(&text).is_err());
        }

        #[test]
        fn any_description_fits(text in ".{0,900}") {
            let fitted = fit_description(&text);
            prop_assert!(fitted.len() <= 639 && text.starts_with(fitted));
            let short = short_description(&text).unwrap_or(text);
            prop_assert!(short.len() <= 100 && short.is_ascii());
        }
    }
}
