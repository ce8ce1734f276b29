//! Every fact that a wallet's answer states, and what is done where it is not as expected.

use std::fmt;

/// What is done with a fact that is not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The invoice is not sold, or the answer does not count.
    Refused,
    /// It is logged once for each backend at `warn`; the invoice is sold, the payment granted.
    SaidOnce,
    /// It changes nothing and is not logged.
    Ignored,
}

/// A fact about an invoice or a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fact {
    /// The invoice can be read, and its signature verifies.
    Readable,
    /// The invoice's amount in msat is the price.
    Amount,
    /// The invoice has one payment hash, which the wallet's answer does not contradict.
    PaymentHash,
    /// No other invoice of this shop has the payment hash.
    OwnPaymentHash,
    /// The invoice is on the node's network.
    Network,
    /// The invoice can be paid for 60 seconds at least.
    TimeToPay,
    /// A BOLT12 invoice is of the configured offer.
    Offer,
    /// The configured offer is the node's own.
    OfferOwner,
    /// The invoice has the description that was asked for.
    Description,
    /// The description that was asked for is one that the wallet takes.
    DescriptionLimit,
    /// The invoice lives as long as was asked for.
    Life,
    /// The invoice was made within 300 s of this host's clock.
    Clock,
    /// The invoice has a payment secret.
    PaymentSecret,
    /// The node's channels that a payer needs to know are public, or named in the invoice.
    RouteHints,
    /// The answer comes without warnings of the node.
    NodeWarning,
    /// The offer has no blinded path through a peer.
    BlindedPath,
    /// The answer with an invoice names its payment hash.
    NamedHash,
    /// The answer with an invoice names its amount.
    NamedAmount,
    /// The address that an LNURL invoice is looked up at can be asked.
    VerifyAddress,
    /// The answer to a look-up, or the notification, is about this invoice.
    SameInvoice,
    /// The payment came in.
    Incoming,
    /// The wallet says that the invoice is settled.
    Settled,
    /// The preimage of a settlement is the invoice's.
    Preimage,
    /// A settlement comes with a preimage.
    NamedPreimage,
    /// A settlement names the amount that was received.
    NamedReceived,
    /// What was received is the price.
    Received,
    /// The wallet's words for states and truth are those of its specification.
    Spelling,
    /// A look-up is answered with a state.
    LookUpAnswer,
}

impl Fact {
    /// All of them, in the order of the table.
    pub const ALL: &[Fact] = &[
        Fact::Readable,
        Fact::Amount,
        Fact::PaymentHash,
        Fact::OwnPaymentHash,
        Fact::Network,
        Fact::TimeToPay,
        Fact::Offer,
        Fact::OfferOwner,
        Fact::Description,
        Fact::DescriptionLimit,
        Fact::Life,
        Fact::Clock,
        Fact::PaymentSecret,
        Fact::RouteHints,
        Fact::NodeWarning,
        Fact::BlindedPath,
        Fact::VerifyAddress,
        Fact::NamedHash,
        Fact::NamedAmount,
        Fact::SameInvoice,
        Fact::Incoming,
        Fact::Settled,
        Fact::Preimage,
        Fact::NamedPreimage,
        Fact::NamedReceived,
        Fact::Received,
        Fact::Spelling,
        Fact::LookUpAnswer,
    ];

    /// What is done where it does not hold.
    pub const fn rule(self) -> Rule {
        match self {
            Fact::Readable
            | Fact::Amount
            | Fact::PaymentHash
            | Fact::OwnPaymentHash
            | Fact::Network
            | Fact::TimeToPay
            | Fact::Offer
            | Fact::OfferOwner
            | Fact::SameInvoice
            | Fact::Incoming
            | Fact::Settled => Rule::Refused,
            Fact::Description
            | Fact::DescriptionLimit
            | Fact::Life
            | Fact::Clock
            | Fact::PaymentSecret
            | Fact::RouteHints
            | Fact::NodeWarning
            | Fact::BlindedPath
            | Fact::VerifyAddress
            | Fact::Preimage
            | Fact::Received
            | Fact::LookUpAnswer => Rule::SaidOnce,
            Fact::NamedHash
            | Fact::NamedAmount
            | Fact::NamedPreimage
            | Fact::NamedReceived
            | Fact::Spelling => Rule::Ignored,
        }
    }

    /// The fact, and what follows where it does not hold: for the reference.
    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Fact::Readable => ("the invoice can be read and its signature verifies", "502"),
            Fact::Amount => (
                "its amount in msat is the price",
                "502; the text says so where the wallet rounds to satoshis",
            ),
            Fact::PaymentHash => ("it has one payment hash, and the wallet's answer names no other", "502"),
            Fact::OwnPaymentHash => ("no other invoice of this shop has that hash", "502"),
            Fact::Network => ("it is on the node's network (told, or that of the first invoice)", "502"),
            Fact::TimeToPay => (
                "it can be paid for 60 s at least, by this host's clock",
                "502; the text names the clocks where they differ",
            ),
            Fact::Offer => ("BOLT12: it is an invoice of the configured offer", "502"),
            Fact::OfferOwner => ("BOLT12: the offer is the node's own", "502; the text says whose it is"),
            Fact::Description => {
                ("its description is the one asked for (not its hash, another, or none)", "sold")
            }
            Fact::DescriptionLimit => {
                ("the wallet takes the description", "asked again with at most 100 bytes of ASCII, and sold")
            }
            Fact::Life => ("it lives as long as asked", "sold; made ahead only where 120 s are left"),
            Fact::Clock => ("it was made within 300 s of this host's clock", "sold"),
            Fact::PaymentSecret => ("it has a payment secret", "sold; most payers can't pay it"),
            Fact::RouteHints => ("the node has a public channel, or the invoice names a private one", "sold"),
            Fact::NodeWarning => ("CLN: the answer has no `warning_…`", "sold; each warning is said once"),
            Fact::BlindedPath => {
                ("BOLT12: the offer has no path through a peer", "sold, at most three a second")
            }
            Fact::VerifyAddress => {
                ("LNURL: `verify` is there and may be asked", "sold; the payment can't be looked up")
            }
            Fact::NamedHash => ("the answer names the payment hash", "taken from the invoice"),
            Fact::NamedAmount => ("the answer names the amount", "taken from the invoice"),
            Fact::SameInvoice => {
                ("a look-up or notification is about this payment hash", "502; nothing is granted")
            }
            Fact::Incoming => ("the payment came in, and did not go out", "502; nothing is granted"),
            Fact::Settled => ("the wallet says that it is settled; held is not", "402 with the same invoice"),
            Fact::Preimage => (
                "a settlement's preimage is the invoice's",
                "granted; the preimage is neither kept nor shown",
            ),
            Fact::NamedPreimage => ("a settlement comes with a preimage", "granted"),
            Fact::NamedReceived => ("a settlement names what was received", "granted"),
            Fact::Received => (
                "what was received is the price",
                "granted; each difference is logged, below a half as an error",
            ),
            Fact::Spelling => {
                ("states are in lower case, truth is `true`, there is no empty `error`", "read as meant")
            }
            Fact::LookUpAnswer => (
                "a look-up is answered with a state, not with an error of the wallet's own",
                "402 with the same invoice until it expires, then with a new one",
            ),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Refused => "refused",
            Rule::SaidOnce => "said once",
            Rule::Ignored => "ignored",
        })
    }
}

/// Something that a wallet does differently, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Which fact does not hold. Its rule is [`Rule::SaidOnce`].
    pub fact: Fact,
    /// What is different and what follows, without secrets.
    pub text: String,
}

impl Remark {
    pub(crate) fn new(fact: Fact, text: impl Into<String>) -> Remark {
        Remark { fact, text: text.into() }
    }
}

/// The table of the reference page, in Markdown.
pub fn table() -> String {
    let mut page = "| what is expected | where it does not hold | what follows |\n|---|---|---|\n".to_owned();
    for fact in Fact::ALL {
        let (expected, follows) = fact.text();
        page += &format!("| {expected} | {} | {follows} |\n", fact.rule());
    }
    page
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;

    const BEGIN: &str = "<!-- the table is written by `make docs` -->\n\n";

    /// `UPDATE_DOCS=1` writes it anew.
    #[test]
    fn the_page_has_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/wallets.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (head, rest) = page.split_once(BEGIN).unwrap();
        let tail = rest.split_once("\n\n").unwrap().1;
        let fresh = format!("{head}{BEGIN}{}\n{tail}", table());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, fresh).unwrap();
        } else {
            assert_eq!(page, fresh, "run `make docs`");
        }
    }

    #[test]
    fn the_table_has_each_fact_once() {
        assert_eq!(Fact::ALL.iter().collect::<HashSet<_>>().len(), Fact::ALL.len());
        assert_eq!(table().lines().count(), Fact::ALL.len() + 2);
    }
}
