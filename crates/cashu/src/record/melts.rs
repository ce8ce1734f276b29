//! The record of melts: what was handed to a mint to be paid out over Lightning, and what came of it.

use std::fmt;

use cdk::nuts::Id;
use rusqlite::{OptionalExtension, Transaction, params};
use zeroize::Zeroizing;

use super::Outputs;

/// A melt. `Debug` shows no proofs.
#[derive(Clone)]
pub(crate) struct Melt {
    /// The mint's id of its quote (NUT-05).
    pub(crate) quote: String,
    pub(crate) mint: String,
    /// Whose ecash it spends; the change is theirs.
    pub(crate) payee: String,
    /// When it was recorded, in Unix seconds.
    pub(crate) at: u64,
    /// When the quote ends, in Unix seconds.
    pub(crate) expiry: u64,
    /// How often the mint was, or may have been, asked to pay.
    pub(crate) tries: u32,
    /// What the invoice is over, in sat.
    pub(crate) amount_sat: u64,
    /// The proofs' sum, in sat.
    pub(crate) spent_sat: u64,
    /// The most that can come back, in sat: it fixes the number of blank outputs (NUT-08).
    pub(crate) overpaid_sat: u64,
    /// As JSON; `None` once they are spent.
    pub(crate) proofs: Option<Zeroizing<String>>,
    /// What change is to be signed on.
    pub(crate) outputs: Outputs,
}

impl fmt::Debug for Melt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Melt")
            .field("quote", &self.quote)
            .field("mint", &self.mint)
            .field("amount_sat", &self.amount_sat)
            .field("tries", &self.tries)
            .finish()
    }
}

const COLUMNS: &str =
    "quote, mint, at, expiry, tries, amount, spent, overpaid, proofs, keyset, counter, payee, open, change";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Melt> {
    let keyset: String = row.get(9)?;
    let keyset: Id = keyset.parse().map_err(|error: cdk::nuts::nut02::Error| {
        rusqlite::Error::FromSqlConversionFailure(9, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(Melt {
        quote: row.get(0)?,
        mint: row.get(1)?,
        at: row.get(2)?,
        expiry: row.get(3)?,
        tries: row.get(4)?,
        amount_sat: row.get(5)?,
        spent_sat: row.get(6)?,
        overpaid_sat: row.get(7)?,
        proofs: row.get::<_, Option<String>>(8)?.map(Zeroizing::new),
        outputs: Outputs { keyset, counter: row.get(10)? },
        payee: row.get(11)?,
    })
}

/// The open melts of a mint.
pub(super) fn open(tx: &Transaction<'_>, mint: &str) -> rusqlite::Result<Vec<Melt>> {
    tx.prepare_cached(&format!("SELECT {COLUMNS} FROM l402_melt WHERE mint = ? AND open = 1 ORDER BY payee"))?
        .query_map([mint], read)?
        .collect()
}

/// Records a melt before its mint is asked to pay; `false`: the payee has an open one there already.
pub(super) fn begin(tx: &Transaction<'_>, melt: &Melt) -> rusqlite::Result<bool> {
    let added = tx
        .prepare_cached(&format!(
            "INSERT INTO l402_melt ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0) ON CONFLICT DO NOTHING"
        ))?
        .execute(params![
            melt.quote,
            melt.mint,
            melt.at,
            melt.expiry,
            melt.tries,
            melt.amount_sat,
            melt.spent_sat,
            melt.overpaid_sat,
            melt.proofs.as_deref(),
            melt.outputs.keyset.to_string(),
            melt.outputs.counter,
            melt.payee,
        ])?;
    Ok(added == 1)
}

/// The mint is about to be asked, at this Unix second; returns when it was last asked without answering, 0 for never.
pub(super) fn attempt(tx: &Transaction<'_>, quote: &str, now: u64) -> rusqlite::Result<Option<u64>> {
    let before = tx
        .prepare_cached("SELECT unanswered FROM l402_melt WHERE quote = ? AND open = 1")?
        .query_row([quote], |row| row.get(0))
        .optional()?;
    tx.prepare_cached("UPDATE l402_melt SET tries = tries + 1, unanswered = ? WHERE quote = ? AND open = 1")?
        .execute(params![now, quote])?;
    Ok(before)
}

/// The mint has answered the last request; that of `before` it never did, unless that is 0.
pub(super) fn answered(tx: &Transaction<'_>, quote: &str, before: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE l402_melt SET unanswered = ? WHERE quote = ? AND open = 1")?
        .execute(params![before, quote])?;
    Ok(())
}

/// It was paid, and the change is in the wallet.
pub(super) fn close(tx: &Transaction<'_>, quote: &str, change_sat: u64) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE l402_melt SET open = 0, proofs = NULL, change = ? WHERE quote = ? AND open = 1",
        params![change_sat, quote],
    )?;
    Ok(())
}

/// It was not paid and never will be. The first `count` of its blank outputs, which the mint never signed, may serve another time.
pub(super) fn abandon(tx: &Transaction<'_>, quote: &str, count: u32) -> rusqlite::Result<()> {
    let gone: Option<(String, u32)> = tx
        .query_row(
            "DELETE FROM l402_melt WHERE quote = ? AND open = 1 RETURNING keyset, counter",
            [quote],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    if let Some((keyset, counter)) = gone.filter(|_| count > 0) {
        tx.prepare_cached("INSERT INTO l402_unused (keyset, counter, count) VALUES (?, ?, ?)")?
            .execute(params![keyset, counter, count])?;
    }
    Ok(())
}
