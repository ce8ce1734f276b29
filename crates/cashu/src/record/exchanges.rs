//! The record of exchanges: the wallet's own proofs that are swapped for others of the same payee.

use std::fmt;

use rusqlite::{OptionalExtension, Transaction, params};
use zeroize::Zeroizing;

use super::rows::Outputs;
use super::{Record, owners};
use crate::Unavailable;

/// An exchange. `Debug` shows no proofs.
#[derive(Clone)]
pub(crate) struct Exchange {
    /// From when it is on record.
    pub(crate) id: i64,
    pub(crate) mint: String,
    /// Whose the proofs are, and what they are swapped for.
    pub(crate) payee: String,
    /// What the outputs are worth, and what the mint takes, in sat.
    pub(crate) net_sat: u64,
    pub(crate) fee_sat: u64,
    pub(crate) outputs: Outputs,
    /// As JSON.
    pub(crate) proofs: Zeroizing<String>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("id", &self.id).field("mint", &self.mint).finish_non_exhaustive()
    }
}

impl Record {
    /// The exchange of a payee's proofs of a mint whose outcome is not known.
    pub(crate) async fn open_exchange(
        &self,
        mint: String,
        payee: String,
    ) -> Result<Option<Exchange>, Unavailable> {
        self.run(move |tx| open(tx, &mint, &payee)).await
    }

    /// Records an exchange before its mint is asked, and returns it with its id; `None`: the payee has one there already.
    pub(crate) async fn begin_exchange(&self, exchange: Exchange) -> Result<Option<Exchange>, Unavailable> {
        self.run(move |tx| begin(tx, exchange)).await
    }

    /// What the proofs were swapped for is in the wallet, and these Y values are not any more.
    pub(crate) async fn finish_exchange(&self, id: i64, spent: Vec<[u8; 33]>) -> Result<(), Unavailable> {
        self.run(move |tx| {
            owners::disown(tx, &spent)?;
            tx.prepare_cached("UPDATE l402_exchange SET open = 0, proofs = NULL WHERE id = ?")?
                .execute([id])
                .map(drop)
        })
        .await
    }

    /// Outputs that no mint was asked to sign may serve a swap of `count` outputs.
    pub(crate) async fn free_outputs(&self, outputs: Outputs, count: u32) -> Result<(), Unavailable> {
        self.run(move |tx| {
            tx.prepare_cached("INSERT INTO l402_unused (keyset, counter, count) VALUES (?, ?, ?)")?
                .execute(params![outputs.keyset.to_string(), outputs.counter, count])
                .map(drop)
        })
        .await
    }

    /// The payees of a mint that have one.
    pub(crate) async fn exchanging(&self, mint: String) -> Result<Vec<String>, Unavailable> {
        self.run(move |tx| {
            tx.prepare_cached("SELECT payee FROM l402_exchange WHERE mint = ? AND open = 1")?
                .query_map([mint], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// The proofs are not swapped. The `count` outputs, which the mint never signed, may serve another swap.
    pub(crate) async fn abandon_exchange(&self, id: i64, count: u32) -> Result<(), Unavailable> {
        self.run(move |tx| abandon(tx, id, count)).await
    }
}

fn open(tx: &Transaction<'_>, mint: &str, payee: &str) -> rusqlite::Result<Option<Exchange>> {
    tx.prepare_cached(
        "SELECT id, net, keyset, counter, proofs, fee FROM l402_exchange WHERE mint = ? AND payee = ? AND open = 1",
    )?
    .query_row([mint, payee], |row| {
        let keyset: String = row.get(2)?;
        let keyset = keyset.parse().map_err(|_| {
            rusqlite::Error::InvalidColumnType(2, "keyset".into(), rusqlite::types::Type::Text)
        })?;
        Ok(Exchange {
            id: row.get(0)?,
            mint: mint.to_owned(),
            payee: payee.to_owned(),
            net_sat: row.get(1)?,
            fee_sat: row.get(5)?,
            outputs: Outputs { keyset, counter: row.get(3)? },
            proofs: Zeroizing::new(row.get(4)?),
        })
    })
    .optional()
}

fn begin(tx: &Transaction<'_>, mut exchange: Exchange) -> rusqlite::Result<Option<Exchange>> {
    let added = tx
        .prepare_cached(
            "INSERT INTO l402_exchange (mint, payee, keyset, counter, net, fee, proofs, open) VALUES (?, ?, ?, ?, ?, ?, ?, 1)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            exchange.mint,
            exchange.payee,
            exchange.outputs.keyset.to_string(),
            exchange.outputs.counter,
            exchange.net_sat,
            exchange.fee_sat,
            *exchange.proofs,
        ])?;
    exchange.id = tx.last_insert_rowid();
    Ok((added == 1).then_some(exchange))
}

fn abandon(tx: &Transaction<'_>, id: i64, count: u32) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO l402_unused (keyset, counter, count) SELECT keyset, counter, ? FROM l402_exchange WHERE id = ? AND ? > 0",
    )?
    .execute(params![count, id, count])?;
    tx.prepare_cached("DELETE FROM l402_exchange WHERE id = ?")?.execute([id])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rusqlite::Connection;

    use super::super::{rows, schema};
    use super::*;

    const MINT: &str = "https://mint.example.com";

    #[test]
    fn a_payee_has_one_at_a_time_and_its_outputs_are_not_lost() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::prepare(&mut connection).unwrap();
        let tx = connection.transaction().unwrap();
        let outputs = Outputs { keyset: "00ad268c4d1f5826".parse().unwrap(), counter: 7 };
        let exchange = |payee: &str| Exchange {
            id: 0,
            mint: MINT.into(),
            payee: payee.into(),
            net_sat: 20,
            fee_sat: 1,
            outputs: outputs.clone(),
            proofs: Zeroizing::new("[1]".into()),
        };
        let begun = begin(&tx, exchange("alice")).unwrap().unwrap();
        assert!(begin(&tx, exchange("alice")).unwrap().is_none());
        assert!(begin(&tx, exchange("bob")).unwrap().is_some());
        let found = open(&tx, MINT, "alice").unwrap().unwrap();
        assert_eq!((found.id, found.net_sat, found.outputs), (begun.id, 20, outputs.clone()));
        abandon(&tx, begun.id, 3).unwrap();
        assert!(open(&tx, MINT, "alice").unwrap().is_none());
        let unused = || rows::unused(&tx, &outputs.keyset.to_string(), 3).unwrap();
        assert_eq!((unused(), unused()), (Some(7), None));
    }
}
