//! What is said of a backend: a line for each thing that was tried. No line holds a secret.

use std::fmt;

use lightning::{Fact, LightningError, Remark};
use serde::{Deserialize, Serialize};

/// How a backend is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub backend: String,
    /// Its kind, as in `LN_CLIENT_TYPE`.
    pub kind: String,
    /// What was tried, in order.
    pub lines: Vec<Line>,
}

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What was tried.
    pub check: Check,
    /// How it went.
    pub result: Outcome,
    /// What was found. Holds no secret.
    pub text: String,
    /// Whose turn it is and what to do, where something failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// It answers at all.
    Reachable,
    /// It lets us in.
    Authorised,
    /// It makes an invoice, which is as it was asked for.
    Invoice,
    /// Its invoices can be paid: channels, capacity, route hints.
    Channels,
    /// The amounts that it makes invoices for.
    Price,
    /// The descriptions that it takes and gives.
    Description,
    /// How long its invoices live.
    Expiry,
    /// Its clock and ours.
    Clock,
    /// It says whether an invoice is paid.
    LookUp,
    /// What it says of an invoice that is not its own.
    Unknown,
    /// It tells of payments by itself.
    Push,
    /// It takes unpaid invoices back.
    Cancel,
}

/// How a try went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Ok,
    /// Something to know, which keeps nobody from selling.
    Note,
    /// Not as it should: selling through this backend fails, or will.
    Failed,
    /// Not tried, for what failed before.
    Skipped,
}

impl Report {
    /// Nothing failed.
    pub fn is_well(&self) -> bool {
        self.lines.iter().all(|line| line.result != Outcome::Failed)
    }

    pub(super) fn line(&mut self, check: Check, result: Outcome, text: impl Into<String>) {
        self.lines.push(Line { check, result, text: text.into(), advice: None });
    }

    /// What a call came to that has failed.
    pub(super) fn failed(&mut self, check: Check, call: &str, error: &LightningError) {
        let text = format!("{call}: {error}");
        self.lines.push(Line {
            check,
            result: Outcome::Failed,
            text,
            advice: Some(advice(error).to_owned()),
        });
    }

    /// What is different about the wallet though it sells: a note each.
    pub(super) fn remarks(&mut self, remarks: &[Remark]) {
        for remark in remarks {
            let check = match remark.fact {
                Fact::RouteHints | Fact::NodeWarning | Fact::BlindedPath => Check::Channels,
                Fact::Description | Fact::DescriptionLimit => Check::Description,
                Fact::Life => Check::Expiry,
                Fact::VerifyAddress => Check::LookUp,
                Fact::Clock => continue,
                _ => Check::Invoice,
            };
            self.line(check, Outcome::Note, remark.text.clone());
        }
    }

    /// Settings that no wallet can be opened with.
    pub(super) fn wrong_setting(&mut self, text: String) {
        let advice = Some("yours to mend: change it in the configuration, and reload".to_owned());
        self.lines.push(Line { check: Check::Reachable, result: Outcome::Failed, text, advice });
    }

    /// A call that did what it must not.
    pub(super) fn wrong(&mut self, check: Check, text: impl Into<String>) {
        let advice = Some(advice(&LightningError::Wrong(String::new())).to_owned());
        self.lines.push(Line { check, result: Outcome::Failed, text: text.into(), advice });
    }
}

/// Whose turn it is. One case for each kind of error, so that a new one has to be thought about.
fn advice(error: &LightningError) -> &'static str {
    match error {
        LightningError::Refused(_) => {
            "yours to mend: the wallet is well and does not let l402d do this; change what is named, in the wallet or in \
             l402d's configuration"
        }
        LightningError::Unavailable { .. } => {
            "the wallet's side: see that it runs, that its address is the one configured, and that nothing between \
             refuses the connection"
        }
        LightningError::TimedOut => {
            "the wallet's side: it is silent; look at its log and load, and at what lies between"
        }
        LightningError::Wrong(_) => {
            "the wallet's side: what it answered must not reach a client; see that it is the wallet you mean, up to date, \
             and that both clocks are right"
        }
    }
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Authorised => "authorised",
            Self::Invoice => "invoice",
            Self::Channels => "channels",
            Self::Price => "price",
            Self::Description => "text",
            Self::Expiry => "expiry",
            Self::Clock => "clock",
            Self::LookUp => "look-up",
            Self::Unknown => "unknown",
            Self::Push => "push",
            Self::Cancel => "cancel",
        }
    }
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

/// For people: a line each, the advice below what failed.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "backend {} ({})", self.backend, self.kind)?;
        for Line { check, result, text, advice } in &self.lines {
            // What a wallet says is not to steer a terminal.
            let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            writeln!(f, "  {:<8} {:<11} {text}", result.name(), check.name())?;
            if let Some(advice) = advice {
                writeln!(f, "  {:<8} {:<11} -> {advice}", "", "")?;
            }
        }
        Ok(())
    }
}
