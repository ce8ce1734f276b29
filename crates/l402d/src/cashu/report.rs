//! What came of it, for people or as one JSON object. Holds no secret.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use ecash::{Balance, Redeemed, Restored, Retried};
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
            if let Some(end) = mint.lock_ends_at {
                lines.push(format!("  {:<32} {:>12}      {}", "first lock ends in", in_time(end), IN_TIME));
            }
            if mint.lost_sat > 0 {
                lines.push(sat("lost", mint.lost_sat, "not redeemed by its mint: l402 cashu retry"));
            }
            lines.push(sat("paid out", mint.redeemed_sat, ""));
            lines.push(sat("fees so far", mint.redemption_fees_sat, ""));
        }
        let mints = all.iter().map(|mint| {
            json!({
                "mint": mint.mint, "wallet_sat": mint.wallet_sat, "payees": mint.payees, "held_sat": mint.held_sat,
                "lock_ends_at": mint.lock_ends_at, "lost_sat": mint.lost_sat,
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

    pub(super) fn of_retried(wallet: PathBuf, all: Vec<Retried>) -> Self {
        let error = |mint: &Retried| mint.error.as_ref().map(ToString::to_string);
        let mut lines = Vec::new();
        for mint in &all {
            lines.push(format!("mint {}", mint.mint));
            lines.push(sat("recovered", mint.recovered_sat, ""));
            if mint.held_sat > 0 {
                lines.push(sat("held", mint.held_sat, "not spent: l402d redeems it when its mint does"));
            }
            let note =
                if mint.lost_sat > 0 { "spent by somebody else, or in use, by its mint's word" } else { "" };
            lines.push(sat("lost", mint.lost_sat, if mint.error.is_none() { note } else { "" }));
            lines.extend(error(mint).map(failed));
        }
        let mints = all.iter().map(|mint| {
            json!({
                "mint": mint.mint, "recovered_sat": mint.recovered_sat, "held_sat": mint.held_sat,
                "lost_sat": mint.lost_sat, "error": error(mint),
            })
        });
        let ok = all.iter().all(|mint| mint.error.is_none());
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

const IN_TIME: &str = "then others can spend it";

/// The time until this Unix second, for people.
fn in_time(second: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let minutes = second.saturating_sub(now) / 60;
    match minutes / 60 {
        0 => format!("{minutes} min"),
        hours => format!("{hours} h"),
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
