//! An inspection as text for a terminal.

use std::fmt::Display;

use super::{Inspection, Token};
use crate::invoice::Invoice;
use crate::report::printable;

impl Inspection {
    /// Lines of `name value`, in sections. `now`: Unix seconds.
    pub fn render(&self, now: u64) -> String {
        let mut text = String::new();
        if !self.params.is_empty() {
            text.push_str("challenge\n");
            for (key, value) in &self.params {
                line(&mut text, key, value);
            }
        }
        for token in &self.tokens {
            token_lines(&mut text, token);
        }
        if let Some(invoice) = &self.invoice {
            invoice_lines(&mut text, invoice, now);
        }
        if self.problems.is_empty() {
            text.push_str("nothing is wrong with it, as far as can be told without the server's key\n");
        } else {
            text.push_str("problems\n");
            for problem in &self.problems {
                text.push_str(&format!("  - {}\n", printable(problem)));
            }
        }
        text
    }
}

fn token_lines(text: &mut String, token: &Token) {
    text.push_str("token\n");
    line(text, "location", &token.location);
    optional(text, "version", token.version);
    optional(text, "payment hash", token.payment_hash.as_deref());
    optional(text, "token id", token.token_id.as_deref());
    optional(text, "key id", token.key_id.as_deref());
    optional(text, "identifier", token.foreign_identifier.as_deref());
    for caveat in &token.caveats {
        line(text, "caveat", caveat);
    }
    match &token.preimage_hex {
        Some(hex) => line(text, "preimage", format!("{hex} ({})", token.preimage)),
        None => line(text, "preimage", token.preimage),
    }
}

fn invoice_lines(text: &mut String, invoice: &Invoice, now: u64) {
    text.push_str("invoice\n");
    optional(text, "payment hash", invoice.payment_hash.as_deref());
    match invoice.amount_msat {
        Some(amount) => line(text, "amount", format!("{amount} msat")),
        None => line(text, "amount", "none"),
    }
    optional(text, "description", invoice.description.as_deref());
    line(text, "network", invoice.network);
    line(text, "created", invoice.created_at);
    let expiry = invoice.expires_at;
    match expiry.checked_sub(now) {
        Some(left) if left > 0 => line(text, "expires", format!("{expiry} (in {left} s)")),
        _ => line(text, "expires", format!("{expiry} ({} s ago)", now.saturating_sub(expiry))),
    }
    optional(text, "payee", invoice.payee.as_deref());
    line(text, "signature", if invoice.signature_ok { "ok" } else { "wrong" });
}

fn optional(text: &mut String, name: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        line(text, name, value);
    }
}

fn line(text: &mut String, name: &str, value: impl Display) {
    text.push_str(&format!("  {name:<14}{}\n", printable(&value.to_string())));
}
