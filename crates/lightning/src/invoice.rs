//! The check that every invoice of every wallet passes before a client may see it.

use std::time::Duration;

use l402::{Msat, PaymentHash};
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef, Currency, ParseOrSemanticError};

use crate::LightningError;

/// Longest description in an invoice: 1023 groups of 5 bits (BOLT 11, tagged fields).
const MAX_DESCRIPTION_BYTES: usize = 639;

/// How far the node's clock may be from ours. More, and an invoice could be dead to the payer and alive to us.
const MAX_SKEW: Duration = Duration::from_secs(300);

/// The least time that an invoice must be payable where its wallet chooses its life, seconds: to scan a code and pay.
const LEAST_LIFE_S: u64 = 60;

/// What an invoice has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The price.
    pub amount: Msat,
    /// What the wallet said the hash is.
    pub payment_hash: PaymentHash,
    /// As sent to the wallet: see [`fit_description`].
    pub description: &'a str,
    /// Life of the invoice, seconds.
    pub expiry_s: u32,
    /// The network, as far as it is known by now.
    pub network: Option<Network>,
}

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

    fn of(invoice: &Bolt11Invoice) -> Network {
        match invoice.currency() {
            Currency::Bitcoin => Network::Mainnet,
            Currency::BitcoinTestnet => Network::Testnet,
            Currency::Signet => Network::Signet,
            Currency::Simnet => Network::Simnet,
            Currency::Regtest => Network::Regtest,
        }
    }
}

/// What was found in an invoice that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// When it expires, Unix seconds.
    pub expires_at: u64,
    /// Its network.
    pub network: Network,
}

/// Checks signature, payment hash, amount, network, description, life and clock of `bolt11` against `asked`; `now` is
/// Unix seconds. What does not match is [`LightningError::Wrong`], with both values.
pub fn check_invoice(bolt11: &str, asked: &Asked<'_>, now: u64) -> Result<Checked, LightningError> {
    let invoice = parse(bolt11)?;

    let hash = PaymentHash(*invoice.payment_hash().as_ref());
    ensure(hash == asked.payment_hash, || {
        format!("an invoice for the payment hash {hash}, not {}", asked.payment_hash)
    })?;

    check_amount(&invoice, asked.amount)?;
    let network = check_network(&invoice, asked.network)?;

    let described = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => text.as_inner().0 == asked.description,
        Bolt11InvoiceDescriptionRef::Hash(_) => false,
    };
    ensure(described, || "an invoice with another description".to_owned())?;

    let life = Duration::from_secs(asked.expiry_s.into());
    ensure(invoice.expiry_time() == life, || {
        format!("an invoice that lives {} s, not {} s", invoice.expiry_time().as_secs(), asked.expiry_s)
    })?;

    let made = invoice.duration_since_epoch();
    let skew = made.abs_diff(Duration::from_secs(now));
    ensure(skew <= MAX_SKEW.min(life / 2), || {
        format!("an invoice made at {} by its clock; ours says {now}: set the clocks", made.as_secs())
    })?;
    Ok(Checked { expires_at: made.saturating_add(life).as_secs(), network })
}

/// What an invoice has to say whose description is kept elsewhere, and whose life is the wallet's to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AskedByHash {
    /// The price.
    pub amount: Msat,
    /// SHA-256 of the description.
    pub description_hash: [u8; 32],
    /// The network, as far as it is known by now.
    pub network: Option<Network>,
}

/// As [`check_invoice`], for a wallet that tells the payment hash by the invoice only. The invoice has to be payable for a
/// minute at least.
pub(crate) fn check_described_by_hash(
    bolt11: &str,
    asked: &AskedByHash,
    now: u64,
) -> Result<(PaymentHash, Checked), LightningError> {
    let invoice = parse(bolt11)?;
    check_amount(&invoice, asked.amount)?;
    let network = check_network(&invoice, asked.network)?;
    let described = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(_) => false,
        Bolt11InvoiceDescriptionRef::Hash(hash) => hash.0[..] == asked.description_hash,
    };
    ensure(described, || "an invoice with another description hash than its metadata's".to_owned())?;
    let (made, life) = (invoice.duration_since_epoch(), invoice.expiry_time());
    let expires_at = made.saturating_add(life).as_secs();
    ensure(made.as_secs() <= now.saturating_add(MAX_SKEW.as_secs()), || {
        format!("an invoice made at {} by its clock; ours says {now}: set the clocks", made.as_secs())
    })?;
    ensure(expires_at >= now.saturating_add(LEAST_LIFE_S), || {
        format!("an invoice that expires at {expires_at}, and it is {now}")
    })?;
    let hash = PaymentHash(*invoice.payment_hash().as_ref());
    Ok((hash, Checked { expires_at, network }))
}

/// What an invoice says, as far as it matters to a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Its payment hash.
    pub payment_hash: PaymentHash,
    /// Its amount; `None` leaves it to the payer.
    pub amount: Option<Msat>,
    /// When it expires, Unix seconds.
    pub expires_at: u64,
}

/// Reads an invoice that a wallet shows again.
///
/// # Errors
/// [`LightningError::Wrong`]: it is none.
pub(crate) fn told(bolt11: &str) -> Result<Told, LightningError> {
    let invoice = parse(bolt11)?;
    Ok(Told {
        payment_hash: PaymentHash(*invoice.payment_hash().as_ref()),
        amount: invoice.amount_milli_satoshis().map(Msat),
        expires_at: invoice.duration_since_epoch().saturating_add(invoice.expiry_time()).as_secs(),
    })
}

/// When a BOLT11 invoice was made, Unix seconds.
pub(crate) fn made_at(bolt11: &str) -> Option<u64> {
    parse(bolt11).ok().map(|invoice| invoice.duration_since_epoch().as_secs())
}

/// The description as an invoice can hold it: its first 639 bytes, cut at a character.
pub fn fit_description(text: &str) -> &str {
    if text.len() <= MAX_DESCRIPTION_BYTES {
        return text;
    }
    let cut = (0..=MAX_DESCRIPTION_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..cut]
}

fn check_amount(invoice: &Bolt11Invoice, asked: Msat) -> Result<(), LightningError> {
    let amount = invoice.amount_milli_satoshis();
    ensure(amount == Some(asked.0), || match amount {
        Some(msat) if msat == asked.0 / 1000 * 1000 || msat == asked.0.div_ceil(1000) * 1000 => format!(
            "an invoice over {}, not {asked}: this wallet deals in whole satoshis, so the price has to be a multiple of \
             1000 msat",
            Msat(msat)
        ),
        Some(msat) => format!("an invoice over {}, not {asked}", Msat(msat)),
        None => format!("an invoice without an amount, not over {asked}"),
    })
}

fn check_network(invoice: &Bolt11Invoice, asked: Option<Network>) -> Result<Network, LightningError> {
    let network = Network::of(invoice);
    if let Some(expected) = asked {
        ensure(network == expected, || {
            format!("an invoice on {}, but the node is on {}", network.name(), expected.name())
        })?;
    }
    Ok(network)
}

fn parse(bolt11: &str) -> Result<Bolt11Invoice, LightningError> {
    bolt11.parse().map_err(|error: ParseOrSemanticError| {
        LightningError::Wrong(format!("an invoice that can't be read: {error}"))
    })
}

fn ensure(holds: bool, text: impl FnOnce() -> String) -> Result<(), LightningError> {
    if holds { Ok(()) } else { Err(LightningError::Wrong(text())) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use lnsim::bolt11::{Draft, Network as DraftNetwork, NodeKey};
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;
    const HASH: PaymentHash = PaymentHash([7; 32]);

    fn draft() -> Draft<'static> {
        Draft {
            network: DraftNetwork::Regtest,
            hash: HASH.0,
            payment_addr: [8; 32],
            amount_msat: 10_001,
            memo: "weather",
            description_hash: None,
            created: NOW,
            expiry_s: 600,
            cltv_expiry: 40,
        }
    }

    fn asked() -> Asked<'static> {
        Asked {
            amount: Msat(10_001),
            payment_hash: HASH,
            description: "weather",
            expiry_s: 600,
            network: Some(Network::Regtest),
        }
    }

    fn signed(draft: &Draft<'_>) -> String {
        NodeKey::from_bytes(&[1; 32]).unwrap().sign(draft).unwrap()
    }

    fn check(draft: &Draft<'_>) -> Result<Checked, LightningError> {
        check_invoice(&signed(draft), &asked(), NOW)
    }

    #[test]
    fn what_was_asked_passes() {
        let want = Checked { expires_at: NOW + 600, network: Network::Regtest };
        assert_eq!(check(&draft()), Ok(want));
        assert_eq!(check_invoice(&signed(&draft()), &Asked { network: None, ..asked() }, NOW), Ok(want));
    }

    #[test]
    fn anything_else_is_wrong() {
        let wrong: [(Draft<'_>, &str); 10] = [
            (Draft { hash: [9; 32], ..draft() }, "payment hash"),
            (Draft { amount_msat: 10_000, ..draft() }, "over 10000 msat, not 10001 msat"),
            (Draft { amount_msat: 0, ..draft() }, "without an amount"),
            (Draft { network: DraftNetwork::Mainnet, ..draft() }, "on mainnet, but the node is on regtest"),
            (Draft { memo: "whether", ..draft() }, "another description"),
            (Draft { description_hash: Some([1; 32]), ..draft() }, "another description"),
            (Draft { expiry_s: 601, ..draft() }, "lives 601 s, not 600 s"),
            (Draft { expiry_s: 1, ..draft() }, "lives 1 s"),
            (Draft { created: NOW - 301, ..draft() }, "set the clocks"),
            (Draft { created: NOW + 301, ..draft() }, "set the clocks"),
        ];
        for (draft, said) in wrong {
            match check(&draft) {
                Err(LightningError::Wrong(text)) => assert!(text.contains(said), "{said}: {text}"),
                other => panic!("{said}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_little_skew_passes_but_never_half_a_life() {
        assert!(check(&Draft { created: NOW - 300, ..draft() }).is_ok());
        let short = Draft { expiry_s: 60, created: NOW - 31, ..draft() };
        let asked = Asked { expiry_s: 60, ..asked() };
        assert!(check_invoice(&signed(&short), &asked, NOW).is_err());
        assert!(check_invoice(&signed(&short), &asked, NOW - 1).is_ok());
    }

    #[test]
    fn descriptions_are_cut_at_a_character() {
        assert_eq!(fit_description("short"), "short");
        assert_eq!(fit_description(&"x".repeat(640)).len(), 639);
        assert_eq!(fit_description(&"\u{20ac}".repeat(400)).len(), 639);
        assert_eq!(fit_description(&format!("x{}", "\u{20ac}".repeat(400))).len(), 637);
    }

    #[test]
    fn networks_have_the_names_that_nodes_give_them() {
        for name in ["mainnet", "testnet", "signet", "simnet", "regtest"] {
            assert_eq!(Network::from_name(name).unwrap().name(), name);
        }
        assert_eq!(Network::from_name("testnet4"), Some(Network::Testnet));
        assert_eq!(Network::from_name("liquid"), None);
    }

    proptest! {
        #[test]
        fn only_the_amount_asked_passes(amount in 1_u64..100_000_000_000, other in 1_u64..100_000_000_000) {
            let text = signed(&Draft { amount_msat: amount, ..draft() });
            let result = check_invoice(&text, &Asked { amount: Msat(other), ..asked() }, NOW);
            prop_assert_eq!(result.is_ok(), amount == other);
            let right = Asked { amount: Msat(amount), ..asked() };
            prop_assert!(check_invoice(&text, &right, NOW).is_ok());
        }

        #[test]
        fn an_invoice_changed_in_one_place_is_wrong(at in 0_usize..200, to in "[02-9ac-hj-np-z]") {
            let mut text = signed(&draft());
            let at = at % text.len();
            prop_assume!(text.as_bytes()[at] != to.as_bytes()[0]);
            text.replace_range(at..=at, &to);
            prop_assert!(matches!(check_invoice(&text, &asked(), NOW), Err(LightningError::Wrong(_))));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,400}") {
            prop_assert!(check_invoice(&text, &asked(), NOW).is_err());
        }

        #[test]
        fn any_description_fits(text in ".{0,900}") {
            let fitted = fit_description(&text);
            prop_assert!(fitted.len() <= 639 && text.starts_with(fitted));
            let invoice = signed(&Draft { memo: fitted, ..draft() });
            let right = Asked { description: fitted, ..asked() };
            prop_assert!(check_invoice(&invoice, &right, NOW).is_ok());
        }
    }
}
