//! `l402 inspect`: decodes a challenge, a token or an invoice, and says what is wrong with it.
//!
//! A token's signature can be checked by the server only (it has the root key); everything else is checked here.

mod render;
mod token;

use l402::challenge::{self, ChallengeError};
use serde::Serialize;

use crate::invoice::Invoice;
pub use token::Token;

/// The most that is read from stdin, bytes.
pub const MAX_INPUT: u64 = 1 << 20;

/// What was found in a text.
#[derive(Debug, Default, Serialize)]
pub struct Inspection {
    /// `challenge`, `token` or `invoice`.
    pub kind: &'static str,
    /// The parameters of a challenge, but for the token and the invoice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<(String, String)>,
    /// The tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Token>,
    /// The invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice: Option<Invoice>,
    /// What is wrong with it; empty if nothing is.
    pub problems: Vec<String>,
}

/// Decodes a text. `now`: Unix seconds. Preimages are shown only with `show_secrets`.
pub fn inspect(text: &str, now: u64, show_secrets: bool) -> Inspection {
    let text = strip_header_name(text.trim());
    let mut found = Inspection::default();
    if text.is_empty() {
        found.problems.push("there is nothing to inspect".to_owned());
    } else if Invoice::looks_like_one(text) {
        found.kind = "invoice";
        found.read_invoice(text, now);
    } else if is_challenge(text) {
        found.kind = "challenge";
        found.read_challenge(text, now, show_secrets);
    } else {
        found.kind = "token";
        let (tokens, problems) = token::read_all(text, now, show_secrets);
        found.tokens = tokens;
        found.problems = problems;
    }
    found
}

impl Inspection {
    fn read_challenge(&mut self, text: &str, now: u64, show_secrets: bool) {
        let parsed = match challenge::parse(text) {
            Ok(parsed) => parsed,
            Err(ChallengeError::Refused(why)) => {
                self.problems.push(format!("the server refused a token: {why}"));
                return;
            }
            Err(error) => {
                self.problems.push(error.to_string());
                return;
            }
        };
        let known = ["token", "macaroon", "invoice"];
        let two_tokens = parsed
            .params
            .iter()
            .any(|(key, value)| matches!(key.as_str(), "token" | "macaroon") && *value != parsed.token);
        if two_tokens {
            self.problems.push("the parameters token and macaroon differ".to_owned());
        }
        if let Some(version) = parsed.version.as_deref().filter(|version| *version != "0") {
            self.problems.push(format!("version {version} of L402 is not known here"));
        }
        let (tokens, problems) = token::read_all(&parsed.token, now, show_secrets);
        self.tokens = tokens;
        self.problems.extend(problems);
        self.read_invoice(&parsed.invoice, now);
        self.params = parsed.params.into_iter().filter(|(key, _)| !known.contains(&key.as_str())).collect();
        let of_token = self.tokens.first().and_then(|token| token.payment_hash.as_ref());
        let of_invoice = self.invoice.as_ref().and_then(|invoice| invoice.payment_hash.as_ref());
        if let (Some(token), Some(invoice)) = (of_token, of_invoice)
            && token != invoice
        {
            self.problems.push(
                "the token is for another payment than the invoice: their payment hashes differ, paying would buy nothing"
                    .to_owned(),
            );
        }
    }

    fn read_invoice(&mut self, text: &str, now: u64) {
        let invoice = match Invoice::decode(text) {
            Ok(invoice) => invoice,
            Err(why) => {
                self.problems.push(why);
                return;
            }
        };
        if !invoice.signature_ok {
            self.problems.push("the invoice's signature is wrong: it was altered or mistyped".to_owned());
        } else if let Some(why) = &invoice.invalid {
            self.problems.push(format!("the invoice is invalid: {why}"));
        }
        if now >= invoice.expires_at {
            self.problems.push(format!("the invoice expired {} s ago", now - invoice.expires_at));
        }
        if invoice.amount_msat.is_none() {
            self.problems.push("the invoice names no amount".to_owned());
        }
        self.invoice = Some(invoice);
    }
}

/// A line copied from a trace: `< WWW-Authenticate: L402 …` without its name.
fn strip_header_name(text: &str) -> &str {
    let line = text.trim_start_matches(['<', '>', ' ']);
    let names = ["www-authenticate", "authorization", "macaroon", "grpc-metadata-macaroon"];
    match line.split_once(':') {
        Some((name, value)) if names.contains(&name.to_ascii_lowercase().as_str()) => value.trim(),
        _ => line,
    }
}

fn is_challenge(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.contains("invoice=") || lower.contains("error=")
}

#[cfg(test)]
mod tests;
