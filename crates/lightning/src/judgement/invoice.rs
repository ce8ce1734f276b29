//! Judges an invoice before a client may see it.

use l402::{Msat, PaymentHash};

use super::facts::{Fact, Remark, Rule};
use super::reading::{Described, MAX_SKEW_S, Network, Terms};
use crate::connector::{Made, Wish};
use crate::{Invoice, LightningError};

/// The least time that an invoice must be payable: to scan a code and pay, seconds.
const LEAST_LIFE_S: u64 = 60;

/// What an invoice has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The price.
    pub amount: Msat,
    /// The network, as far as it is known by now.
    pub network: Option<Network>,
    /// Unix seconds when the wallet was asked.
    pub asked_at: u64,
}

/// An invoice that may be sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// The invoice, with what is to be said of it.
    pub invoice: Invoice,
    /// Its network.
    pub network: Network,
}

/// Judges what a wallet made by the table in [`Fact`]; `now` is Unix seconds.
///
/// # Errors
/// [`LightningError::Wrong`]: a fact that must hold does not. The text has both values and says who has to act.
pub(crate) fn judge_invoice(made: Made, asked: &Asked, now: u64) -> Result<Judged, LightningError> {
    let Made { text, terms, payment_hash, wish, findings } = made;
    let terms = terms.map_err(LightningError::Wrong)?;
    let mut found = findings;
    found.extend(contradiction(&terms, payment_hash));
    found.extend(amount(&terms, asked.amount));
    found.extend(network(&terms, asked.network));
    found.extend(time_to_pay(&terms, asked.asked_at, now));
    found.extend(clock(&terms, now));
    found.extend(life(&terms, wish.life_s));
    found.extend(description(&terms, &wish));
    if !terms.payment_secret {
        let text = "its invoices have no payment secret, without which most payers can't pay them";
        found.push(Remark::new(Fact::PaymentSecret, text));
    }
    let remarks = sort(found)?;
    let (payment_hash, expires_at) = (terms.payment_hash, terms.expires_at());
    Ok(Judged {
        invoice: Invoice { payment_hash, bolt11: text, expires_at, remarks },
        network: terms.network,
    })
}

/// What is left to be said; the first finding that forbids the sale is the error.
pub(super) fn sort(found: Vec<Remark>) -> Result<Vec<Remark>, LightningError> {
    let mut remarks = Vec::new();
    for remark in found {
        match remark.fact.rule() {
            Rule::Refused => return Err(LightningError::Wrong(remark.text)),
            Rule::SaidOnce => remarks.push(remark),
            Rule::Ignored => {}
        }
    }
    Ok(remarks)
}

fn contradiction(terms: &Terms, named: Option<PaymentHash>) -> Option<Remark> {
    let named = named.filter(|named| *named != terms.payment_hash)?;
    let text = format!("an invoice for the payment hash {}, not {named}", terms.payment_hash);
    Some(Remark::new(Fact::PaymentHash, text))
}

fn amount(terms: &Terms, asked: Msat) -> Option<Remark> {
    let text = match terms.amount {
        Some(found) if found == asked => return None,
        Some(found) if found.0 == asked.0 / 1000 * 1000 || found.0 == asked.0.div_ceil(1000) * 1000 => {
            format!(
                "an invoice over {found}, not {asked}: this wallet deals in whole satoshis, so the price has to be a \
             multiple of 1000 msat"
            )
        }
        Some(found) => format!("an invoice over {found}, not {asked}"),
        None => format!("an invoice without an amount, not over {asked}"),
    };
    Some(Remark::new(Fact::Amount, text))
}

fn network(terms: &Terms, asked: Option<Network>) -> Option<Remark> {
    let expected = asked.filter(|expected| *expected != terms.network)?;
    let text = format!("an invoice on {}, but the node is on {}", terms.network.name(), expected.name());
    Some(Remark::new(Fact::Network, text))
}

/// From when the wallet was asked on: the answer's own way takes nothing off an invoice's life.
fn time_to_pay(terms: &Terms, asked_at: u64, now: u64) -> Option<Remark> {
    let expires_at = terms.expires_at();
    if expires_at >= asked_at.saturating_add(LEAST_LIFE_S) && expires_at > now {
        return None;
    }
    let text = match terms.made_at.abs_diff(now) {
        skew if skew > MAX_SKEW_S => format!(
            "an invoice that is expired or about to, made at {} by its clock, while this host's says {now}: set both \
             clocks by NTP",
            terms.made_at
        ),
        _ => format!(
            "an invoice that lives {} s, where {LEAST_LIFE_S} s are the least to pay it: set a longer expiry in the \
             wallet",
            terms.life_s
        ),
    };
    Some(Remark::new(Fact::TimeToPay, text))
}

fn clock(terms: &Terms, now: u64) -> Option<Remark> {
    let apart = terms.made_at.abs_diff(now);
    (apart > MAX_SKEW_S).then(|| {
        let which = if terms.made_at > now { "ahead of" } else { "behind" };
        let text = format!("its clock is {apart} s {which} this host's: set both by NTP");
        Remark::new(Fact::Clock, text)
    })
}

fn life(terms: &Terms, asked_s: Option<u32>) -> Option<Remark> {
    let asked_s = u64::from(asked_s?);
    (terms.life_s != asked_s).then(|| {
        let text = format!("its invoices live {} s, not {asked_s} s as asked", terms.life_s);
        Remark::new(Fact::Life, text)
    })
}

fn description(terms: &Terms, wish: &Wish) -> Option<Remark> {
    let text = match (&terms.described, &wish.described) {
        (_, None) => return None,
        (found, Some(asked)) if found == asked => return None,
        (Described::Hash(hash), Some(Described::Text(text))) if *hash == sha256(text) => {
            "its invoices hold the hash of the description, so that payers don't see the text"
        }
        (Described::Hash(_), Some(Described::Hash(_))) => {
            "its invoices hold another description hash than its metadata's; payers' wallets may refuse them"
        }
        (Described::Text(_), Some(Described::Hash(_))) => {
            "its invoices hold a description in place of its metadata's hash; payers' wallets may refuse them"
        }
        (Described::Hash(_) | Described::Text(_), Some(_)) => {
            "its invoices have another description than asked"
        }
        (Described::Nothing, Some(_)) => "its invoices have no description; payers' wallets may refuse them",
    };
    Some(Remark::new(Fact::Description, text))
}

fn sha256(text: &str) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use lnsim::bolt11::{Draft, Extras, Network as DraftNetwork, NodeKey};
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

    fn asked() -> Asked {
        Asked { amount: Msat(10_001), network: Some(Network::Regtest), asked_at: NOW }
    }

    fn signed(draft: &Draft<'_>) -> String {
        NodeKey::from_bytes(&[1; 32]).unwrap().sign(draft).unwrap()
    }

    fn judge_text(text: &str, asked: &Asked) -> Result<Judged, LightningError> {
        let mut made = Made::bolt11(text.to_owned(), Some(HASH));
        made.wish = Wish { described: Some(Described::Text("weather".to_owned())), life_s: Some(600) };
        judge_invoice(made, asked, NOW)
    }

    fn judge(draft: &Draft<'_>) -> Result<Judged, LightningError> {
        judge_text(&signed(draft), &asked())
    }

    fn said(judged: &Judged) -> Vec<Fact> {
        judged.invoice.remarks.iter().map(|remark| remark.fact).collect()
    }

    #[test]
    fn what_was_asked_passes_without_a_word() {
        let judged = judge(&draft()).unwrap();
        assert_eq!((judged.network, judged.invoice.expires_at), (Network::Regtest, NOW + 600));
        assert_eq!((judged.invoice.payment_hash, said(&judged)), (HASH, vec![]));
        judge_text(&signed(&draft()), &Asked { network: None, ..asked() }).unwrap();
    }

    #[test]
    fn what_must_hold_is_refused_otherwise() {
        let wrong: [(Draft<'_>, &str); 8] = [
            (Draft { hash: [9; 32], ..draft() }, "payment hash"),
            (Draft { amount_msat: 10_002, ..draft() }, "over 10002 msat, not 10001 msat"),
            (Draft { amount_msat: 10_000, ..draft() }, "whole satoshis"),
            (Draft { amount_msat: 0, ..draft() }, "without an amount"),
            (Draft { network: DraftNetwork::Mainnet, ..draft() }, "on mainnet, but the node is on regtest"),
            (Draft { expiry_s: 59, ..draft() }, "lives 59 s"),
            (Draft { expiry_s: 1, ..draft() }, "lives 1 s"),
            (Draft { created: NOW - 601, ..draft() }, "set both clocks"),
        ];
        for (draft, said) in wrong {
            match judge(&draft) {
                Err(LightningError::Wrong(text)) => assert!(text.contains(said), "{said}: {text}"),
                other => panic!("{said}: {other:?}"),
            }
        }
    }

    #[test]
    fn everything_else_is_sold_and_said() {
        use sha2::Digest;
        let ours = sha2::Sha256::digest("weather").into();
        for (draft, fact) in [
            (Draft { memo: "whether", ..draft() }, Fact::Description),
            (Draft { memo: "", ..draft() }, Fact::Description),
            (Draft { description_hash: Some(ours), ..draft() }, Fact::Description),
            (Draft { description_hash: Some([1; 32]), ..draft() }, Fact::Description),
            (Draft { expiry_s: 300, ..draft() }, Fact::Life),
            (Draft { expiry_s: 86_400, ..draft() }, Fact::Life),
            (Draft { expiry_s: 60, ..draft() }, Fact::Life),
            (Draft { created: NOW - 301, ..draft() }, Fact::Clock),
            (Draft { created: NOW + 301, ..draft() }, Fact::Clock),
        ] {
            assert_eq!(said(&judge(&draft).unwrap()), [fact]);
        }
    }

    #[test]
    fn one_without_any_description_is_sold_and_said() {
        let key = NodeKey::from_bytes(&[1; 32]).unwrap();
        let bare = key.sign_with(&draft(), &Extras { undescribed: true, hints: 2 }).unwrap();
        assert_eq!(said(&judge_text(&bare, &asked()).unwrap()), [Fact::Description]);
        assert_eq!(crate::route_hints(&bare), Some(2));
    }

    #[test]
    fn the_way_of_the_answer_takes_nothing_off_its_life() {
        let made = || Made::bolt11(signed(&Draft { expiry_s: 60, ..draft() }), None);
        judge_invoice(made(), &asked(), NOW + 59).unwrap();
        assert!(judge_invoice(made(), &asked(), NOW + 60).is_err(), "it is dead by now");
    }

    #[test]
    fn what_a_module_finds_is_judged_by_the_same_table() {
        let with = |fact| {
            let mut made = Made::bolt11(signed(&draft()), None);
            made.findings.push(Remark::new(fact, "so it is"));
            judge_invoice(made, &asked(), NOW).map(|judged| said(&judged))
        };
        assert_eq!(with(Fact::NodeWarning), Ok(vec![Fact::NodeWarning]));
        assert_eq!(with(Fact::NamedAmount), Ok(vec![]));
        assert_eq!(with(Fact::OfferOwner), Err(LightningError::Wrong("so it is".to_owned())));
    }

    proptest! {
        #[test]
        fn only_the_amount_asked_passes(amount in 1_u64..100_000_000_000, other in 1_u64..100_000_000_000) {
            let text = signed(&Draft { amount_msat: amount, ..draft() });
            let result = judge_text(&text, &Asked { amount: Msat(other), ..asked() });
            prop_assert_eq!(result.is_ok(), amount == other);
            let right = Asked { amount: Msat(amount), ..asked() };
            prop_assert!(judge_text(&text, &right).is_ok());
        }

        #[test]
        fn an_invoice_changed_in_one_place_is_wrong(at in 0_usize..200, to in "[02-9ac-hj-np-z]") {
            let mut text = signed(&draft());
            let at = at % text.len();
            prop_assume!(text.as_bytes()[at] != to.as_bytes()[0]);
            text.replace_range(at..=at, &to);
            prop_assert!(matches!(judge_text(&text, &asked()), Err(LightningError::Wrong(_))));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,400}") {
            prop_assert!(judge_text(&text, &asked()).is_err());
        }
    }
}
