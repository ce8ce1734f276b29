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
    /// Why the token that was presented does not serve.
    pub error: Option<String>,
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
        let further = |name: &str| {
            let (_, rest) = header.split_once(&format!(", {name}=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        let (offer, error) = (further("offer"), further("error"));
        let mut exact = bare;
        for (name, value) in [("offer", &offer), ("error", &error)] {
            exact += &value.as_ref().map(|value| format!(", {name}=\"{value}\"")).unwrap_or_default();
        }
        assert_eq!(header, exact);
        Self { token: token.to_owned(), invoice: invoice.to_owned(), offer, error }
    }

    /// The same token and invoice as that one's?
    pub fn asks_for_the_same_as(&self, other: &Self) -> bool {
        (&self.token, &self.invoice, &self.offer) == (&other.token, &other.invoice, &other.offer)
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
