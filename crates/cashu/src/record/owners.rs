//! Whose the wallet's ecash is: for each proof in it, the payee it is to be paid out to.

use std::collections::HashMap;

use rusqlite::{Transaction, params};

pub(super) fn own(tx: &Transaction<'_>, ys: &[[u8; 33]], payee: &str) -> rusqlite::Result<()> {
    let mut one = tx.prepare_cached("INSERT OR REPLACE INTO l402_owner (y, payee) VALUES (?, ?)")?;
    ys.iter().try_for_each(|y| one.execute(params![y, payee]).map(drop))
}

pub(super) fn own_if_nobodys(tx: &Transaction<'_>, ys: &[[u8; 33]]) -> rusqlite::Result<()> {
    let mut one = tx.prepare_cached("INSERT OR IGNORE INTO l402_owner (y, payee) VALUES (?, '')")?;
    ys.iter().try_for_each(|y| one.execute([y]).map(drop))
}

pub(super) fn disown(tx: &Transaction<'_>, ys: &[[u8; 33]]) -> rusqlite::Result<()> {
    let mut one = tx.prepare_cached("DELETE FROM l402_owner WHERE y = ?")?;
    ys.iter().try_for_each(|y| one.execute([y]).map(drop))
}

pub(super) fn all(tx: &Transaction<'_>) -> rusqlite::Result<HashMap<[u8; 33], String>> {
    tx.prepare_cached("SELECT y, payee FROM l402_owner")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
