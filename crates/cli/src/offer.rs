//! What a 402 offers: its challenge, parsed and checked before a wallet hears of it.

use l402::challenge;
use l402::{Caveat, Identifier, Macaroon};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use crate::error::{Failure, Kind};
use crate::invoice::Invoice;
use crate::place::{Place, Scope};
use crate::report::ChallengeView;

/// An offer that may be paid: token and invoice belong together and the invoice is valid.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The macaroon as the server wrote it.
    pub token: String,
    /// The invoice.
    pub invoice: String,
    /// Payment hash, hex.
    pub payment_hash: String,
    /// Price, msat.
    pub amount_msat: u64,
    /// What the token will be good for.
    pub scope: Scope,
    /// When the token expires, Unix seconds, as far as its caveats say.
    pub valid_until: Option<u64>,
    /// The token's caveats say `uses=1`.
    pub once: bool,
    /// For the report.
    pub view: ChallengeView,
    /// What could not be checked.
    pub note: Option<String>,
}

/// Whether an answer is about payment: 402, or a 401 that speaks L402.
pub fn asks_for_payment(status: u16, headers: &HeaderMap) -> bool {
    status == 402 || (status == 401 && header(headers).is_some_and(|text| speaks_l402(&text)))
}

impl Offer {
    /// Reads the challenge of a 402. `now`: Unix seconds.
    pub fn read(headers: &HeaderMap, place: &Place, now: u64) -> Result<Self, Failure> {
        let text = header(headers).ok_or_else(|| {
            unusable(
                "the server asks for payment (402) without a WWW-Authenticate header: it does not speak L402",
            )
        })?;
        let parsed = challenge::parse(&text)
            .map_err(|error| unusable(format!("the server's challenge can't be used: {error}")))?;
        let invoice = Invoice::decode(&parsed.invoice)
            .map_err(|error| unusable(format!("the server's challenge can't be used: {error}")))?;
        let (payment_hash, amount_msat) = check(&invoice, now)?;
        let macaroon = Macaroon::from_text(&parsed.token);
        let note = bound_to(&macaroon, &payment_hash)?;
        let caveats = || {
            let all = macaroon.iter().flat_map(|macaroon| &macaroon.caveats);
            all.filter_map(first_party)
        };
        Ok(Self {
            scope: Scope::of_caveats(place, caveats()),
            valid_until: caveats().filter_map(expiry).min(),
            once: caveats().any(|caveat| caveat == "uses=1"),
            view: ChallengeView {
                amount_msat,
                description: invoice.description.clone(),
                expires_at: invoice.expires_at,
                network: invoice.network,
                invoice: parsed.invoice.clone(),
                offer: parsed.offer,
                token: parsed.token.clone(),
            },
            token: parsed.token,
            invoice: parsed.invoice,
            payment_hash,
            amount_msat,
            note,
        })
    }

    /// Checks the price against the budget (msat) and gives the fee limit that is left of it.
    pub fn within(&self, max_msat: u64, max_fee_msat: Option<u64>) -> Result<u64, Failure> {
        match max_msat.checked_sub(self.amount_msat) {
            Some(left) => Ok(max_fee_msat.map_or(left, |fee| fee.min(left))),
            None => Err(Failure::new(
                Kind::OverBudget,
                format!(
                    "the price is {} msat, the budget {max_msat} msat: nothing was paid; raise --max-msat to buy",
                    self.amount_msat
                ),
            )),
        }
    }
}

/// The hash and the amount of an invoice that may be paid.
fn check(invoice: &Invoice, now: u64) -> Result<(String, u64), Failure> {
    if !invoice.signature_ok {
        return Err(unusable("the signature of the server's invoice is wrong"));
    }
    if let Some(why) = &invoice.invalid {
        return Err(unusable(format!("the server's invoice is invalid: {why}")));
    }
    if now >= invoice.expires_at {
        let text = format!(
            "the server's invoice expired {} s ago: ask again, and compare this machine's clock with the server's",
            now - invoice.expires_at
        );
        return Err(unusable(text));
    }
    match (&invoice.payment_hash, invoice.amount_msat) {
        (Some(hash), Some(amount)) if amount > 0 => Ok((hash.clone(), amount)),
        _ => Err(unusable("the server's invoice names no amount: paying it would be a guess")),
    }
}

/// A token for another payment would be worthless. What can't be read can't be checked: the note says so.
fn bound_to<E>(macaroon: &Result<Macaroon, E>, payment_hash: &str) -> Result<Option<String>, Failure> {
    let identifier =
        macaroon.as_ref().ok().and_then(|macaroon| Identifier::decode(&macaroon.identifier).ok());
    match identifier {
        Some(identifier) if identifier.payment_hash.to_string() == payment_hash => Ok(None),
        Some(_) => Err(unusable(
            "the server's token is for another payment than its invoice: paying would buy nothing; nothing was paid",
        )),
        None => Ok(Some(
            "the server's token is of a form that this program can't read: not checked against the invoice"
                .to_owned(),
        )),
    }
}

/// All the lines of WWW-Authenticate as one, as RFC 9110 (5.3) allows them to be read.
pub fn header(headers: &HeaderMap) -> Option<String> {
    let lines: Vec<&str> =
        headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn speaks_l402(text: &str) -> bool {
    text.split([' ', ',']).any(|word| word.eq_ignore_ascii_case("L402") || word.eq_ignore_ascii_case("LSAT"))
}

/// The text of a caveat that is the server's own.
pub fn first_party(caveat: &Caveat) -> Option<&str> {
    match caveat {
        Caveat::FirstParty(text) => std::str::from_utf8(text).ok(),
        Caveat::ThirdParty { .. } => None,
    }
}

/// `valid_until=` (ours) and `<service>_valid_until=` (the specification's), Unix seconds.
pub fn expiry(caveat: &str) -> Option<u64> {
    let (key, value) = caveat.split_once('=')?;
    if key == "valid_until" || key.ends_with("_valid_until") { value.parse().ok() } else { None }
}

fn unusable(text: impl Into<String>) -> Failure {
    Failure::new(Kind::Unusable, text)
}
