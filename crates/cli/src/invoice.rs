//! A BOLT11 invoice, read without trust: what it says, and whether its signature holds.

use lightning_invoice::{Bolt11Invoice, Currency, SignedRawBolt11Invoice};
use serde::Serialize;

/// An invoice that could be decoded. Its signature may still be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invoice {
    /// Payment hash, hex; absent only in an invalid invoice.
    pub payment_hash: Option<String>,
    /// Amount, msat; absent where the payer may choose.
    pub amount_msat: Option<u64>,
    /// Description, or the hash of one that is kept elsewhere.
    pub description: Option<String>,
    /// Creation, Unix seconds.
    pub created_at: u64,
    /// Expiry, Unix seconds (3600 s after the creation where the invoice names none: BOLT 11).
    pub expires_at: u64,
    /// `bitcoin`, `testnet`, `signet`, `simnet` or `regtest`.
    pub network: &'static str,
    /// Public key of the payee, hex, as recovered from the signature.
    pub payee: Option<String>,
    /// Whether the signature is the payee's.
    pub signature_ok: bool,
    /// What makes it invalid by BOLT 11, if anything.
    pub invalid: Option<String>,
}

impl Invoice {
    /// Decodes an invoice in any case, with or without `lightning:`. The error says why it is none.
    pub fn decode(text: &str) -> Result<Self, String> {
        let bare = strip_scheme(text);
        if is_bolt12(bare) {
            return Err("a BOLT12 invoice, which this program neither reads nor pays; Core Lightning does \
                        (lightning-cli decode, lightning-cli pay)"
                .to_owned());
        }
        let raw: SignedRawBolt11Invoice =
            bare.parse().map_err(|error| format!("not a BOLT11 invoice: {error}"))?;
        let signature_ok = raw.recover_payee_pub_key().is_ok() && raw.check_signature();
        let fields = raw.raw_invoice();
        let created_at = fields.data.timestamp.as_unix_timestamp();
        let life =
            fields.expiry_time().map_or(lightning_invoice::DEFAULT_EXPIRY_TIME, |time| time.as_seconds());
        Ok(Self {
            payment_hash: fields.payment_hash().map(|hash| hash.0.to_string()),
            // BOLT 11: an amount in pico-bitcoin must be whole millisatoshis.
            amount_msat: fields.amount_pico_btc().map(|pico| pico / 10),
            description: fields.description().map(ToString::to_string).or_else(|| {
                fields.description_hash().map(|hash| format!("(hash of a description: {})", hash.0))
            }),
            created_at,
            expires_at: created_at.saturating_add(life),
            network: network(&fields.currency()),
            payee: raw.recover_payee_pub_key().ok().filter(|_| signature_ok).map(|key| key.0.to_string()),
            signature_ok,
            invalid: Bolt11Invoice::from_signed(raw).err().map(|error| error.to_string()),
        })
    }

    /// Whether a text looks like an invoice rather than a token.
    pub fn looks_like_one(text: &str) -> bool {
        let bare = strip_scheme(text).to_ascii_lowercase();
        (is_bolt12(&bare) || ["lnbc", "lntb", "lnsb"].iter().any(|prefix| bare.starts_with(prefix)))
            && !bare.contains([' ', ':', '='])
    }
}

fn is_bolt12(bare: &str) -> bool {
    bare.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("lni1"))
}

fn strip_scheme(text: &str) -> &str {
    match text.get(..10) {
        Some(scheme) if scheme.eq_ignore_ascii_case("lightning:") => &text[10..],
        _ => text,
    }
}

fn network(currency: &Currency) -> &'static str {
    match currency {
        Currency::Bitcoin => "bitcoin",
        Currency::BitcoinTestnet => "testnet",
        Currency::Regtest => "regtest",
        Currency::Simnet => "simnet",
        Currency::Signet => "signet",
    }
}
