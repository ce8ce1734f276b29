//! What can go wrong, whose fault it is, and the exit code that says so: one table for the program, its help and its page.

use std::fmt;

/// The kinds of failure; each has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line or the environment.
    Usage,
    /// The price is above the budget; nothing was paid.
    OverBudget,
    /// The wallet could not pay; nothing was paid.
    PaymentFailed,
    /// Paid, and refused all the same.
    Refused,
    /// The challenge can't be used, or what was inspected has something wrong with it.
    Unusable,
    /// The server can't be reached.
    Network,
    /// The server answered with a status that is neither 2xx nor about payment.
    Status,
    /// A file on this machine.
    Local,
    /// 402, and no wallet to pay with.
    NotPaid,
    /// The payment is under way; its outcome isn't known yet.
    Undecided,
}

impl Kind {
    /// All of them, in the order of their exit codes.
    pub const ALL: [Self; 10] = [
        Self::Usage,
        Self::OverBudget,
        Self::PaymentFailed,
        Self::Refused,
        Self::Unusable,
        Self::Network,
        Self::Status,
        Self::Local,
        Self::NotPaid,
        Self::Undecided,
    ];

    /// The exit code. 2 is also what the argument parser uses.
    pub const fn code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::OverBudget => 3,
            Self::PaymentFailed => 4,
            Self::Refused => 5,
            Self::Unusable => 6,
            Self::Network => 7,
            Self::Status => 8,
            Self::Local => 9,
            Self::NotPaid => 10,
            Self::Undecided => 11,
        }
    }

    /// The name in `--json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::OverBudget => "over_budget",
            Self::PaymentFailed => "payment_failed",
            Self::Refused => "refused_after_payment",
            Self::Unusable => "unusable",
            Self::Network => "network",
            Self::Status => "status",
            Self::Local => "local_file",
            Self::NotPaid => "not_paid",
            Self::Undecided => "payment_undecided",
        }
    }

    /// What the code means, for the help and the reference page.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Usage => "the command line or the environment is wrong; nothing was sent",
            Self::OverBudget => "the price is above --max-msat; nothing was paid",
            Self::PaymentFailed => "the wallet could not pay; nothing was paid",
            Self::Refused => "paid, but the server still refuses; the token is kept for the next run",
            Self::Unusable => "the challenge can't be used, nothing was paid (inspect: something is wrong)",
            Self::Network => "the server can't be reached or broke the connection",
            Self::Status => "the server answered with a status other than 2xx, 401 or 402",
            Self::Local => "a file on this machine can't be read or written",
            Self::NotPaid => "payment required, and no wallet was given: not paid",
            Self::Undecided => "the payment is still under way: run the same command again",
        }
    }
}

/// A failure: its kind, and a text that says whose fault it is and what to do. Never holds a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    text: String,
}

impl Failure {
    /// A failure with its text: one sentence or two, without a full stop at the end.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// An error with all its causes in one line: HTTP and TLS errors hide the useful part in `source()`.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !text.ends_with(&line) {
            text = format!("{text}: {line}");
        }
        cause = inner.source();
    }
    text
}

/// The list of exit codes at the end of `--help`.
pub fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n   0  the final answer is 2xx (inspect: nothing is wrong)\n");
    for kind in Kind::ALL {
        text.push_str(&format!("  {:>2}  {}\n", kind.code(), kind.meaning()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_code_and_name() {
        for (index, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(usize::from(kind.code()), index + 2);
            assert_eq!(Kind::ALL.iter().filter(|other| other.name() == kind.name()).count(), 1);
        }
    }

    #[test]
    fn the_reference_page_lists_the_exit_codes() {
        let page = include_str!("../../../docs/reference/l402.md");
        for kind in Kind::ALL {
            let row = format!("| {} | `{}` | {} |", kind.code(), kind.name(), kind.meaning());
            assert!(page.contains(&row), "docs/reference/l402.md lacks this line:\n{row}");
        }
    }
}
