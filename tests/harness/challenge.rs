//! A challenge as a client reads it, and the credentials that it can be answered with.

use super::macaroon::Macaroon;

/// What a 402 asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Base64, as it came.
    pub token: String,
    /// BOLT11, or of the offer.
    pub invoice: String,
    /// The BOLT12 offer that the invoice is of.
    pub offer: Option<String>,
}

impl Challenge {
    /// Reads the one form that every known client parses; anything else is a panic.
    #[track_caller]
    pub fn parse(header: &str) -> Self {
        let mut quotes = header.split('"');
        let (Some(_), Some(token), Some(_), Some(invoice)) =
            (quotes.next(), quotes.next(), quotes.next(), quotes.next())
        else {
            panic!("WWW-Authenticate: {header}")
        };
        let bare =
            format!("L402 macaroon=\"{token}\", invoice=\"{invoice}\", version=\"0\", token=\"{token}\"");
        let offer = header.split_once(", offer=\"").map(|(_, rest)| rest.trim_end_matches('"').to_owned());
        let exact = offer.as_ref().map_or(bare.clone(), |offer| format!("{bare}, offer=\"{offer}\""));
        assert_eq!(header, exact);
        Self { token: token.to_owned(), invoice: invoice.to_owned(), offer }
    }

    /// The token, opened.
    pub fn macaroon(&self) -> Macaroon {
        Macaroon::from_base64(&self.token)
    }

    /// `L402 token:preimage`.
    pub fn paid_with(&self, preimage: &str) -> String {
        format!("L402 {}:{preimage}", self.token)
    }

    /// `L402 token`: the server is to look the payment up.
    pub fn alone(&self) -> String {
        format!("L402 {}", self.token)
    }

    /// What the invoice asks for, from its human-readable part, in msat.
    pub fn amount_msat(&self) -> u64 {
        let prefix = self.invoice.rsplit_once('1').expect("bech32").0;
        let amount = prefix.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
        let digits = amount.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let number: u64 = digits.parse().expect("an amount");
        match &amount[digits.len()..] {
            "m" => number * 100_000_000,
            "u" => number * 100_000,
            "n" => number * 100,
            "p" => number / 10,
            other => panic!("multiplier {other:?} in {}", self.invoice),
        }
    }
}
