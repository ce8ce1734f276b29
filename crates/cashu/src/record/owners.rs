//! Whose the wallet's ecash is: for each proof in it, the payee it is to be paid out to.

use std::collections::BTreeSet;

use rusqlite::{Transaction, params};

use super::Record;
use crate::Unavailable;

/// The unspent ecash of a mint, with whose it is. The first table is cdk's.
const IN_WALLET: &str = "
    FROM proof LEFT JOIN l402_owner ON l402_owner.y = proof.y
   WHERE proof.mint_url = ? AND proof.state = 'UNSPENT' AND proof.unit = 'sat'";

/// Which of a payee's proofs come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The largest.
    Largest,
    /// The smallest.
    Smallest,
}

impl Record {
    /// Records whose ecash that is going into the wallet is, by its Y values.
    pub(crate) async fn own(&self, ys: Vec<[u8; 33]>, payee: String) -> Result<(), Unavailable> {
        self.run(move |tx| own(tx, &ys, &payee)).await
    }

    /// As [`Record::own`], of what came back from its mint: whose it is is not known, unless that is on record.
    pub(crate) async fn own_if_nobodys(&self, ys: Vec<[u8; 33]>) -> Result<(), Unavailable> {
        self.run(move |tx| own_if_nobodys(tx, &ys)).await
    }

    /// Whose ecash of this mint is in the wallet; an empty name for what nobody is on record for.
    pub(crate) async fn owners(&self, mint: String) -> Result<BTreeSet<String>, Unavailable> {
        self.run(move |tx| owners(tx, &mint)).await
    }

    /// The Y values of a payee's ecash of a mint and of these keysets, at most so many, in this order.
    pub(crate) async fn owned(
        &self,
        mint: String,
        payee: String,
        keysets: Vec<String>,
        order: Order,
        at_most: usize,
    ) -> Result<Vec<[u8; 33]>, Unavailable> {
        self.run(move |tx| owned(tx, &mint, &payee, &keysets, order, at_most)).await
    }
}

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

fn owners(tx: &Transaction<'_>, mint: &str) -> rusqlite::Result<BTreeSet<String>> {
    tx.prepare_cached(&format!("SELECT DISTINCT coalesce(payee, '') {IN_WALLET}"))?
        .query_map([mint], |row| row.get(0))?
        .collect()
}

fn owned(
    tx: &Transaction<'_>,
    mint: &str,
    payee: &str,
    keysets: &[String],
    order: Order,
    at_most: usize,
) -> rusqlite::Result<Vec<[u8; 33]>> {
    let order = match order {
        Order::Largest => "DESC",
        Order::Smallest => "ASC",
    };
    // As JSON: how many there are is the mint's choice.
    let keysets = serde_json::to_string(keysets)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    tx.prepare_cached(&format!(
        "SELECT proof.y {IN_WALLET} AND coalesce(payee, '') = ? AND keyset_id IN (SELECT value FROM json_each(?))
         ORDER BY amount {order}, proof.y LIMIT ?"
    ))?
    .query_map(params![mint, payee, keysets, at_most], |row| row.get(0))?
    .collect()
}
