//! Held payments that their mint does not swap: put off, made smaller, lost, and taken up again.

use rusqlite::{OptionalExtension, Transaction, params};
use zeroize::Zeroizing;

use super::rows::{COLUMNS, Row, State, read};
use super::{Record, bundles};
use crate::{PaymentId, Unavailable};

/// The first pause before a payment is tried again that its mint refused, and the longest, in seconds.
const FIRST_PAUSE_S: u64 = 60;
const LONGEST_PAUSE_S: u64 = 600;

/// What is left of a payment of which a part was spent by somebody else.
pub(crate) struct Rest {
    /// As JSON.
    pub(crate) proofs: Zeroizing<String>,
    /// Its worth after the mint's fee, in sat.
    pub(crate) net_sat: u64,
}

impl Record {
    /// A held payment is tried again some time after `now` only, later each time.
    pub(crate) async fn postpone(&self, id: PaymentId, now: u64) -> Result<(), Unavailable> {
        self.run(move |tx| postpone(tx, id, now)).await
    }

    /// A held payment was spent by somebody else. Its `count` outputs, which the mint will never sign, may serve another swap.
    pub(crate) async fn lose(&self, id: PaymentId, count: u32) -> Result<(), Unavailable> {
        self.run(move |tx| lose(tx, id, count)).await
    }

    /// A part of a held payment was spent by somebody else. Its `count` outputs may serve another swap.
    pub(crate) async fn shrink(&self, id: PaymentId, rest: Rest, count: u32) -> Result<(), Unavailable> {
        self.run(move |tx| shrink(tx, id, &rest, count)).await
    }

    /// The payments of a mint that are lost.
    pub(crate) async fn lost(&self, mint: String) -> Result<Vec<Row>, Unavailable> {
        self.run(move |tx| lost(tx, &mint)).await
    }

    /// A lost payment is held again, and swapped by itself.
    pub(crate) async fn reopen(&self, id: PaymentId) -> Result<(), Unavailable> {
        self.run(move |tx| reopen(tx, id)).await
    }
}

fn postpone(tx: &Transaction<'_>, id: PaymentId, now: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE l402_payment SET tries = tries + 1, again = ? + min(? << min(tries, 8), ?) WHERE id = ? AND state = ?",
    )?
    .execute(params![now, FIRST_PAUSE_S, LONGEST_PAUSE_S, id.0, State::Held as i64])?;
    Ok(())
}

pub(super) fn lose(tx: &Transaction<'_>, id: PaymentId, count: u32) -> rusqlite::Result<()> {
    free_outputs(tx, id, count)?;
    tx.prepare_cached("UPDATE l402_payment SET state = ? WHERE id = ? AND state = ?")?.execute(params![
        State::Lost as i64,
        id.0,
        State::Held as i64
    ])?;
    bundles::settle_former(tx, id)
}

pub(super) fn shrink(tx: &Transaction<'_>, id: PaymentId, rest: &Rest, count: u32) -> rusqlite::Result<()> {
    free_outputs(tx, id, count)?;
    // As many outputs as before would be too many, and those of a bundle were for all of it.
    tx.prepare_cached(
        "UPDATE l402_payment SET lost = lost + net - ?, net = ?, proofs = ?, again = 0 WHERE id = ? AND state = ? AND net > ?",
    )?
    .execute(params![rest.net_sat, rest.net_sat, *rest.proofs, id.0, State::Held as i64, rest.net_sat])?;
    Ok(())
}

/// The outputs of a held payment serve another.
fn free_outputs(tx: &Transaction<'_>, id: PaymentId, count: u32) -> rusqlite::Result<()> {
    let freed: Option<(String, u32)> = tx
        .prepare_cached(
            "SELECT keyset, counter FROM l402_payment WHERE id = ? AND state = ? AND counter IS NOT NULL",
        )?
        .query_row(params![id.0, State::Held as i64], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((keyset, counter)) = freed else { return Ok(()) };
    tx.prepare_cached("UPDATE l402_payment SET keyset = NULL, counter = NULL WHERE id = ?")?
        .execute([id.0])?;
    tx.prepare_cached("INSERT INTO l402_unused (keyset, counter, count) VALUES (?, ?, ?)")?
        .execute(params![keyset, counter, count])?;
    Ok(())
}

fn lost(tx: &Transaction<'_>, mint: &str) -> rusqlite::Result<Vec<Row>> {
    tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM l402_payment WHERE mint = ? AND state = 3 AND (state = 3 OR lost > 0) AND proofs IS NOT NULL ORDER BY at"
    ))?
    .query_map([mint], read)?
    .collect()
}

/// Whatever outputs an earlier version left with it may serve another by now.
pub(super) fn reopen(tx: &Transaction<'_>, id: PaymentId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE l402_payment SET state = ?, keyset = NULL, counter = NULL, bundle = 0, tries = 0, again = 0
         WHERE id = ? AND state = ?",
    )?
    .execute(params![State::Held as i64, id.0, State::Lost as i64])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rusqlite::Connection;

    use super::super::{rows, schema};
    use super::*;
    use crate::record::Outputs;

    const MINT: &str = "https://mint.example.com";

    fn record() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::prepare(&mut connection).unwrap();
        connection
    }

    fn outputs() -> Outputs {
        Outputs { keyset: "00ad268c4d1f5826".parse().unwrap(), counter: 7 }
    }

    /// A held payment that is swapped alone, for outputs of its own.
    fn held(tx: &Transaction<'_>) -> PaymentId {
        let id = PaymentId([1; 32]);
        rows::put(tx, &Row { outputs: Some(outputs()), ..rows::held(1, 20) }, &[[1; 33]], 0).unwrap();
        id
    }

    fn unused(tx: &Transaction<'_>) -> Option<u32> {
        rows::unused(tx, &outputs().keyset.to_string(), 1).unwrap()
    }

    #[test]
    fn a_refused_payment_waits_longer_each_time() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let id = held(&tx);
        let due = |now| bundles::alone(&tx, MINT, now, 9, 0).unwrap().len();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            postpone(&tx, id, 1000).unwrap();
            pauses.push((0..2000).find(|after| due(1000 + after) == 1).unwrap());
        }
        assert_eq!(pauses, [60, 120, 240, 480, 600, 600]);
    }

    #[test]
    fn a_lost_payment_comes_back_without_the_outputs_that_serve_another() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let id = held(&tx);
        for _ in 0..2 {
            lose(&tx, id, 3).unwrap();
        }
        let row = lost(&tx, MINT).unwrap().remove(0);
        assert_eq!((row.id, row.state, row.outputs), (id, State::Lost, None));
        assert_eq!((unused(&tx), unused(&tx)), (Some(7), None));
        reopen(&tx, id).unwrap();
        assert!(lost(&tx, MINT).unwrap().is_empty());
        assert_eq!(bundles::alone(&tx, MINT, 0, 9, 0).unwrap()[0].id, id);
    }

    #[test]
    fn a_payment_of_which_a_part_is_gone_is_worth_the_rest() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let id = held(&tx);
        for _ in 0..2 {
            shrink(&tx, id, &Rest { proofs: Zeroizing::new("[8]".into()), net_sat: 8 }, 3).unwrap();
        }
        let row = rows::find(&tx, id).unwrap().unwrap();
        assert_eq!((row.net_sat, row.outputs, row.proofs.unwrap().as_str()), (8, None, "[8]"));
        let lost: u64 = tx.query_row("SELECT lost FROM l402_payment", [], |row| row.get(0)).unwrap();
        assert_eq!((lost, unused(&tx)), (12, Some(7)));
    }
}
