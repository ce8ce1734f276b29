//! Quirks: what real wallets do differently from their specification, as switches. Each holds until the faults are cleared.

use std::str::FromStr;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::ledger::Invoice;

/// What a wallet does differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Invoices are described in another way than asked.
    Describe(Described),
    /// Invoices live so long, whatever was asked for, seconds.
    Expiry(u64),
    /// Invoices live so long at most, seconds.
    ExpiryMax(u64),
    /// Another preimage is reported than the invoice's.
    Preimage(OddPreimage),
    /// Another amount is reported as received than what was.
    Received(OddReceived),
    /// A look-up does not find the invoice.
    Unknown {
        /// In these words: a code of the door's protocol and a text. `None`: as the door says it.
        said: Option<(i32, String)>,
        /// Until when.
        until: Until,
    },
    /// So many calls of each kind a minute; the others are refused.
    Limit(u32),
    /// Descriptions longer than this are refused, bytes.
    TextMax(usize),
    /// Descriptions beyond ASCII are refused.
    TextAscii,
    /// Words are spelt in another way.
    Spelling(Spelling),
}

/// How an invoice is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Described {
    /// By the hash of the text.
    Hash,
    /// By an empty text.
    Empty,
    /// Not at all.
    Nothing,
    /// By this text.
    Text(String),
}

/// What stands in a preimage's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddPreimage {
    /// 32 zeros.
    Zero,
    /// Another payment's.
    Other,
    /// A UUID, where it is a text.
    Uuid,
    /// 48 bytes.
    Long,
    /// An empty text.
    Empty,
    /// Nothing.
    None,
}

/// What stands in a received amount's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddReceived {
    /// So much.
    Msat(u64),
    /// Nothing.
    None,
    /// The number as a text, with words, where it is JSON.
    Text,
}

/// How long an invoice is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until the faults are cleared.
    Cleared,
    /// While it is not settled.
    Settled,
    /// For so long from the setting of the quirk on.
    Passed(Duration),
}

/// How words are spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// States in capitals.
    Capitals,
    /// Truth as `"true"`.
    TextualTruth,
    /// Truth as `1`.
    NumericTruth,
    /// An empty `error` beside each result.
    EmptyError,
}

/// A text is no quirk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadQuirk;

impl FromStr for Quirk {
    type Err = BadQuirk;

    /// `NAME` or `NAME=ARGUMENT`.
    fn from_str(text: &str) -> Result<Self, BadQuirk> {
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let number = || argument.and_then(|text| text.parse().ok()).ok_or(BadQuirk);
        Ok(match (name, argument) {
            ("describe", Some("hash")) => Quirk::Describe(Described::Hash),
            ("describe", Some("empty")) => Quirk::Describe(Described::Empty),
            ("describe", Some("none")) => Quirk::Describe(Described::Nothing),
            ("describe", Some(text)) => Quirk::Describe(Described::Text(text.to_owned())),
            ("expiry", Some(_)) => Quirk::Expiry(number()?),
            ("expiry-max", Some(_)) => Quirk::ExpiryMax(number()?),
            ("preimage", Some(odd)) => Quirk::Preimage(match odd {
                "zero" => OddPreimage::Zero,
                "other" => OddPreimage::Other,
                "uuid" => OddPreimage::Uuid,
                "long" => OddPreimage::Long,
                "empty" => OddPreimage::Empty,
                "none" => OddPreimage::None,
                _ => return Err(BadQuirk),
            }),
            ("received", Some("none")) => Quirk::Received(OddReceived::None),
            ("received", Some("text")) => Quirk::Received(OddReceived::Text),
            ("received", Some(_)) => Quirk::Received(OddReceived::Msat(number()?)),
            ("unknown", argument) => unknown(argument.unwrap_or_default())?,
            ("limit", Some(limit)) => {
                Quirk::Limit(limit.strip_suffix("/min").and_then(|text| text.parse().ok()).ok_or(BadQuirk)?)
            }
            ("text-max", Some("ascii")) => Quirk::TextAscii,
            ("text-max", Some(max)) => Quirk::TextMax(max.parse().map_err(|_| BadQuirk)?),
            ("spelling", Some(spelling)) => Quirk::Spelling(match spelling {
                "capitals" => Spelling::Capitals,
                "textual-truth" => Spelling::TextualTruth,
                "numeric-truth" => Spelling::NumericTruth,
                "empty-error" => Spelling::EmptyError,
                _ => return Err(BadQuirk),
            }),
            _ => return Err(BadQuirk),
        })
    }
}

/// `[CODE:TEXT][,until=settled|MS]`.
fn unknown(text: &str) -> Result<Quirk, BadQuirk> {
    let (said, until) = match text
        .rsplit_once(",until=")
        .or_else(|| text.strip_prefix("until=").map(|rest| ("", rest)))
    {
        None => (text, Until::Cleared),
        Some((said, "settled")) => (said, Until::Settled),
        Some((said, ms)) => (said, Until::Passed(Duration::from_millis(ms.parse().map_err(|_| BadQuirk)?))),
    };
    let said = match said {
        "" => None,
        said => {
            let (code, text) = said.split_once(':').ok_or(BadQuirk)?;
            Some((code.parse().map_err(|_| BadQuirk)?, text.to_owned()))
        }
    };
    Ok(Quirk::Unknown { said, until })
}

/// What is reported of a settled invoice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) preimage: Option<OddPreimage>,
    pub(crate) received: Option<OddReceived>,
    pub(crate) capitals: bool,
    pub(crate) textual_truth: bool,
    pub(crate) numeric_truth: bool,
    pub(crate) empty_error: bool,
}

impl Report {
    /// The preimage as JSON: hex unless it is odd.
    pub(crate) fn preimage_json(&self, invoice: &Invoice) -> Value {
        match self.preimage {
            Some(OddPreimage::Uuid) => json!("6f1b2c3d-0000-4000-8000-00c0ffee0000"),
            Some(OddPreimage::Empty) => json!(""),
            Some(OddPreimage::None) => Value::Null,
            Some(OddPreimage::Zero | OddPreimage::Other | OddPreimage::Long) | None => {
                HEXLOWER.encode(&self.preimage_bytes(invoice)).into()
            }
        }
    }

    /// The preimage as bytes.
    pub(crate) fn preimage_bytes(&self, invoice: &Invoice) -> Vec<u8> {
        match self.preimage {
            None => invoice.preimage.to_vec(),
            Some(OddPreimage::Zero) => vec![0; 32],
            Some(OddPreimage::Other) => Sha256::digest(invoice.preimage).to_vec(),
            Some(OddPreimage::Uuid) => b"6f1b2c3d00004000".to_vec(),
            Some(OddPreimage::Long) => vec![0xab; 48],
            Some(OddPreimage::Empty | OddPreimage::None) => Vec::new(),
        }
    }

    /// What was received, as JSON.
    pub(crate) fn received_json(&self, invoice: &Invoice) -> Value {
        match self.received {
            None => invoice.amt_paid_msat.into(),
            Some(OddReceived::Msat(msat)) => msat.into(),
            Some(OddReceived::None) => Value::Null,
            Some(OddReceived::Text) => format!("about {} msat", invoice.amt_paid_msat).into(),
        }
    }

    /// What was received, as a number.
    pub(crate) fn received_msat(&self, invoice: &Invoice) -> u64 {
        match self.received {
            None => invoice.amt_paid_msat,
            Some(OddReceived::Msat(msat)) => msat,
            Some(OddReceived::None | OddReceived::Text) => 0,
        }
    }

    /// A word for a state.
    pub(crate) fn state(&self, word: &str) -> String {
        if self.capitals { word.to_uppercase() } else { word.to_owned() }
    }

    /// Whether it is so.
    pub(crate) fn truth(&self, truth: bool) -> Value {
        match (self.textual_truth, self.numeric_truth) {
            (true, _) => truth.to_string().into(),
            (false, true) => u8::from(truth).into(),
            (false, false) => truth.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirks_are_read_from_text() {
        for (text, quirk) in [
            ("describe=hash", Quirk::Describe(Described::Hash)),
            ("describe=LNbits", Quirk::Describe(Described::Text("LNbits".to_owned()))),
            ("expiry=300", Quirk::Expiry(300)),
            ("received=9000", Quirk::Received(OddReceived::Msat(9000))),
            ("unknown", Quirk::Unknown { said: None, until: Until::Cleared }),
            ("unknown=until=settled", Quirk::Unknown { said: None, until: Until::Settled }),
            (
                "unknown=13:no, really,until=500",
                Quirk::Unknown {
                    said: Some((13, "no, really".to_owned())),
                    until: Until::Passed(Duration::from_millis(500)),
                },
            ),
            ("limit=20/min", Quirk::Limit(20)),
            ("text-max=ascii", Quirk::TextAscii),
            ("text-max=100", Quirk::TextMax(100)),
        ] {
            assert_eq!(text.parse(), Ok(quirk), "{text}");
        }
        for bad in
            ["", "describe", "expiry=", "limit=20", "preimage=mine", "unknown=until=later", "unknown=text"]
        {
            assert_eq!(bad.parse::<Quirk>(), Err(BadQuirk), "{bad}");
        }
    }
}
