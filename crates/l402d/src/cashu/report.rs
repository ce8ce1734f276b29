//! What came of it, for people or as one JSON object. Holds no secret.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use ecash::{Balance, Redeemed, Restored};
use serde_json::{Value, json};

/// What is printed.
pub(super) struct Report {
    /// Nothing failed.
    pub(super) ok: bool,
    wallet: PathBuf,
    /// The list's name, and the list.
    list: (&'static str, Vec<Value>),
    lines: Vec<String>,
}

impl Report {
    pub(super) fn of_balances(wallet: PathBuf, all: Vec<Balance>) -> Self {
        let mut lines = Vec::new();
        for mint in &all {
            lines.push(format!("mint {}", mint.mint));
            lines.push(sat("in the wallet", mint.wallet_sat, ""));
            lines.extend(
                mint.payees.iter().map(|(payee, part)| sat(&format!("  {}", named(payee)), *part, "")),
            );
            lines.push(sat("held", mint.held_sat, "locked to us, not redeemed yet"));
            lines.push(sat("paid out", mint.redeemed_sat, ""));
            lines.push(sat("fees so far", mint.redemption_fees_sat, ""));
        }
        let mints = all.iter().map(|mint| {
            json!({
                "mint": mint.mint, "wallet_sat": mint.wallet_sat, "payees": mint.payees, "held_sat": mint.held_sat,
                "paid_out_sat": mint.redeemed_sat, "fees_sat": mint.redemption_fees_sat,
            })
        });
        Self { ok: true, wallet, list: ("mints", mints.collect()), lines: or_nothing(lines, "no ecash") }
    }

    pub(super) fn of_redeemed(wallet: PathBuf, all: Vec<Redeemed>) -> Self {
        let error = |done: &Redeemed| done.error.as_ref().map(ToString::to_string);
        let mut lines = Vec::new();
        for done in &all {
            lines.push(format!("mint {}, payee {}", done.mint, named(&done.payee)));
            lines.push(sat(
                "paid out",
                done.paid_sat,
                if done.paid_sat == 0 && done.error.is_none() { TOO_LITTLE } else { "" },
            ));
            lines.push(sat("fees", done.fees_sat, ""));
            lines.extend(error(done).map(failed));
        }
        let payouts = all.iter().map(|done| {
            json!({
                "mint": done.mint, "payee": done.payee, "paid_sat": done.paid_sat, "fees_sat": done.fees_sat,
                "error": error(done),
            })
        });
        let ok = all.iter().all(|done| done.error.is_none());
        Self {
            ok,
            wallet,
            list: ("payouts", payouts.collect()),
            lines: or_nothing(lines, "nothing to pay out"),
        }
    }

    pub(super) fn of_restored(wallet: PathBuf, all: Vec<Restored>) -> Self {
        let error = |mint: &Restored| (!mint.errors.is_empty()).then(|| mint.errors.join("; "));
        let mut lines = Vec::new();
        for mint in &all {
            lines.push(format!("mint {}", mint.mint));
            lines.push(sat("restored", mint.restored_sat, ""));
            lines.push(sat("was there", mint.known_sat, ""));
            if mint.pending_sat > 0 {
                lines.push(sat(
                    "pending",
                    mint.pending_sat,
                    "in a payment that has not ended: restore again after it",
                ));
            }
            lines.extend(mint.errors.iter().cloned().map(failed));
        }
        let mints = all.iter().map(|mint| {
            json!({
                "mint": mint.mint, "restored_sat": mint.restored_sat, "known_sat": mint.known_sat,
                "pending_sat": mint.pending_sat, "error": error(mint),
            })
        });
        let ok = all.iter().all(|mint| mint.errors.is_empty());
        Self { ok, wallet, list: ("mints", mints.collect()), lines }
    }

    pub(super) fn print(&self, out: &mut dyn Write, json: bool) -> io::Result<()> {
        if json {
            let (name, list) = &self.list;
            let mut object = json!({"ok": self.ok, "wallet": self.wallet.display().to_string()});
            object[*name] = Value::Array(list.clone());
            return writeln!(out, "{object}");
        }
        writeln!(out, "wallet {}", self.wallet.display())?;
        // What a mint says is not to steer a terminal.
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        self.lines
            .iter()
            .try_for_each(|line| writeln!(out, "{}", line.chars().map(plain).collect::<String>()))
    }
}

const TOO_LITTLE: &str = "less than CASHU_MELT_MIN_BALANCE_SATS and the fee's reserve";

fn sat(what: &str, sat: u64, note: &str) -> String {
    format!("  {what:<32} {sat:>12} sat  {note}").trim_end().to_owned()
}

fn failed(error: String) -> String {
    format!("  FAILED  {error}")
}

fn named(payee: &str) -> &str {
    if payee.is_empty() { "not on record" } else { payee }
}

fn or_nothing(lines: Vec<String>, nothing: &str) -> Vec<String> {
    if lines.is_empty() { vec![nothing.to_owned()] } else { lines }
}
