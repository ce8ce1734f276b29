//! Forgetting payments that are over.

use rusqlite::{Transaction, params};

use super::Record;
use crate::Unavailable;

/// The literal conditions are those of an index: nothing else is looked at.
const OLD: &str = "SELECT id FROM l402_payment WHERE state = 2 AND locked = 0 AND at < ? LIMIT ?";

impl Record {
    /// Forgets payments before this Unix second that can't be made again, at most so many, and says how many.
    pub(crate) async fn forget(&self, before: u64, at_most: usize) -> Result<usize, Unavailable> {
        self.run(move |tx| forget(tx, before, at_most)).await
    }
}

/// Their proofs are spent at the mint, and were not locked to us: those would be taken on sight again.
fn forget(tx: &Transaction<'_>, before: u64, at_most: usize) -> rusqlite::Result<usize> {
    let mut old = tx.prepare_cached(OLD)?;
    let old: Vec<[u8; 32]> =
        old.query_map(params![before, at_most], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for id in &old {
        tx.prepare_cached("DELETE FROM l402_proof WHERE payment = ?")?.execute([id])?;
        tx.prepare_cached("DELETE FROM l402_payment WHERE id = ?")?.execute([id])?;
    }
    Ok(old.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rusqlite::Connection;

    use super::super::rows::{State, find, finish, held, put};
    use super::super::schema;
    use super::*;
    use crate::record::Row;

    #[test]
    fn what_could_be_taken_on_sight_again_is_never_forgotten() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::prepare(&mut connection).unwrap();
        let tx = connection.transaction().unwrap();
        let put_as = |number: u8, state, locked| {
            let row = Row { state, locked, ..held(number, 10) };
            put(&tx, &row, &[], 0).unwrap();
            row.id
        };
        let (plain, locked) = (put_as(1, State::Offered, false), put_as(2, State::Held, true));
        let (held, offered) = (put_as(3, State::Held, true), put_as(4, State::Offered, false));
        finish(&tx, plain).unwrap();
        finish(&tx, locked).unwrap();
        assert_eq!(forget(&tx, 2, 9).unwrap(), 0, "it was paid a moment ago");
        assert_eq!(forget(&tx, u64::from(u32::MAX), 9).unwrap(), 1);
        assert!(find(&tx, plain).unwrap().is_none());
        for kept in [locked, held, offered] {
            assert!(find(&tx, kept).unwrap().is_some(), "{kept:?}");
        }
    }

    /// In a file of a million payments the scan would hold up every writer.
    #[test]
    fn nothing_but_what_may_be_forgotten_is_looked_at() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::prepare(&mut connection).unwrap();
        let plan: String = connection
            .query_row(&format!("EXPLAIN QUERY PLAN {OLD}"), params![1, 1], |row| row.get(3))
            .unwrap();
        assert!(plan.starts_with("SEARCH") && plan.contains("l402_payment_forgettable"), "{plan}");
    }
}
