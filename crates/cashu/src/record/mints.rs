//! What is on record of each mint: whether it enforces locks, how much is held of it, and until when that is ours alone.

use rusqlite::{OptionalExtension, Transaction, params};

use super::Record;
use crate::Unavailable;

/// Held ecash whose lock ends soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndingLocks {
    /// When the first of them ends, in Unix seconds.
    pub(crate) first: u64,
    /// What is locked so, in sat.
    pub(crate) sat: u64,
}

impl Record {
    /// Whether this mint enforces locks (NUT-11), if it has ever said so.
    pub(crate) async fn enforces_locks(&self, mint: String) -> Result<Option<bool>, Unavailable> {
        self.run(move |tx| enforces_locks(tx, &mint)).await
    }

    /// Keeps what the mint says about locks.
    pub(crate) async fn keep_enforces_locks(&self, mint: String, does: bool) -> Result<(), Unavailable> {
        self.run(move |tx| keep_enforces_locks(tx, &mint, does)).await
    }

    /// The held ecash of a mint whose lock ends before this Unix second.
    pub(crate) async fn ending_locks(
        &self,
        mint: String,
        before: u64,
    ) -> Result<Option<EndingLocks>, Unavailable> {
        self.run(move |tx| ending_locks(tx, &mint, before)).await
    }
}

fn enforces_locks(tx: &Transaction<'_>, mint: &str) -> rusqlite::Result<Option<bool>> {
    tx.prepare_cached("SELECT locks FROM l402_mint WHERE mint = ?")?
        .query_row([mint], |row| row.get(0))
        .optional()
}

fn keep_enforces_locks(tx: &Transaction<'_>, mint: &str, does: bool) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO l402_mint (mint, locks) VALUES (?, ?)")?
        .execute(params![mint, does])?;
    Ok(())
}

fn ending_locks(tx: &Transaction<'_>, mint: &str, before: u64) -> rusqlite::Result<Option<EndingLocks>> {
    let (first, sat): (Option<u64>, Option<u64>) = tx
        .prepare_cached(
            "SELECT min(lock_end), sum(net) FROM l402_payment WHERE state = 1 AND lock_end IS NOT NULL AND mint = ? AND lock_end < ?",
        )?
        .query_row(params![mint, before], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(first.zip(sat).map(|(first, sat)| EndingLocks { first, sat }))
}

/// What is held of a mint, in sat. Triggers of the schema keep the sum.
pub(super) fn held_sat(tx: &Transaction<'_>, mint: &str) -> rusqlite::Result<u64> {
    let sat = tx
        .prepare_cached("SELECT sat FROM l402_held WHERE mint = ?")?
        .query_row([mint], |row| row.get(0))
        .optional()?;
    Ok(sat.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rusqlite::Connection;

    use super::super::{lost, rows, schema};
    use super::*;
    use crate::record::Row;

    const MINT: &str = "https://mint.example.com";

    fn record() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::prepare(&mut connection).unwrap();
        connection
    }

    #[test]
    fn what_is_held_is_known_without_adding_it_up() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let held = || held_sat(&tx, MINT).unwrap();
        for number in 1..=4 {
            rows::put(&tx, &rows::held(number, 10), &[[number; 33]], 0).unwrap();
        }
        rows::put(&tx, &Row { mint: "https://other.example.com".into(), ..rows::held(9, 7) }, &[[9; 33]], 0)
            .unwrap();
        assert_eq!(held(), 40);
        rows::finish(&tx, crate::PaymentId([1; 32])).unwrap();
        assert_eq!(held(), 30);
        rows::leave(&tx, crate::PaymentId([2; 32])).unwrap();
        assert_eq!(held(), 20);
        lost::lose(&tx, crate::PaymentId([3; 32]), 0).unwrap();
        assert_eq!(held(), 10);
        lost::reopen(&tx, crate::PaymentId([3; 32])).unwrap();
        let rest = lost::Rest { proofs: String::from("[]").into(), net_sat: 4 };
        lost::shrink(&tx, crate::PaymentId([3; 32]), &rest, 0).unwrap();
        assert_eq!(held(), 14);
    }

    #[test]
    fn no_more_is_held_than_may_be() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let put = |number, sat, at_most| {
            let put = rows::put(&tx, &rows::held(number, sat), &[[number; 33]], at_most).unwrap();
            matches!(put, rows::Put::New)
        };
        assert!(put(1, 60, 100) && put(2, 40, 100));
        assert!(!put(3, 1, 100));
        assert!(put(4, 1000, 0), "0 is no bound");
        rows::finish(&tx, crate::PaymentId([4; 32])).unwrap();
        rows::finish(&tx, crate::PaymentId([1; 32])).unwrap();
        assert!(put(5, 60, 100));
    }

    #[test]
    fn the_first_lock_to_end_is_known() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        for (number, lock_end) in [(1, Some(500)), (2, None), (3, Some(300)), (4, Some(900))] {
            rows::put(&tx, &Row { lock_end, ..rows::held(number, 10) }, &[[number; 33]], 0).unwrap();
        }
        assert_eq!(ending_locks(&tx, MINT, 300).unwrap(), None);
        assert_eq!(ending_locks(&tx, MINT, 600).unwrap(), Some(EndingLocks { first: 300, sat: 20 }));
        rows::finish(&tx, crate::PaymentId([3; 32])).unwrap();
        assert_eq!(ending_locks(&tx, MINT, 600).unwrap(), Some(EndingLocks { first: 500, sat: 10 }));
    }

    #[test]
    fn what_a_mint_says_about_locks_is_kept() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        assert_eq!(enforces_locks(&tx, MINT).unwrap(), None);
        for does in [true, false] {
            keep_enforces_locks(&tx, MINT, does).unwrap();
            assert_eq!(enforces_locks(&tx, MINT).unwrap(), Some(does));
        }
    }
}
