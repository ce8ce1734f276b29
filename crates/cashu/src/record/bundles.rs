//! The statements for payments that are swapped together. All run inside the batch's transaction.

use rusqlite::{Transaction, params};
use zeroize::Zeroizing;

use super::rows::{COLUMNS, Outputs, Row, State, read};
use crate::PaymentId;

/// Payments of one mint and one payee that are swapped together.
#[derive(Clone)]
pub(crate) struct Bundle {
    /// From when it is on record.
    pub(crate) id: i64,
    pub(crate) payee: String,
    /// The worth of all of them after the mint's fee, in sat.
    pub(crate) net_sat: u64,
    pub(crate) outputs: Outputs,
    /// Each with its proofs as JSON.
    pub(crate) payments: Vec<(PaymentId, Zeroizing<String>)>,
}

impl Bundle {
    pub(crate) fn ids(&self) -> Vec<PaymentId> {
        self.payments.iter().map(|(id, _)| *id).collect()
    }
}

/// Payments of a mint that are held: the constant 2 lets the index of unfinished ones be used.
const HELD: &str = "mint = ? AND state = 1 AND state < 2";

pub(super) fn unbundled(tx: &Transaction<'_>, mint: &str, at_most: usize) -> rusqlite::Result<Vec<Row>> {
    tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM l402_payment WHERE {HELD} AND bundle IS NULL AND counter IS NULL ORDER BY at LIMIT ?"
    ))?
    .query_map(params![mint, at_most], read)?
    .collect()
}

pub(super) fn alone(
    tx: &Transaction<'_>,
    mint: &str,
    at_most: usize,
    without: usize,
) -> rusqlite::Result<Vec<Row>> {
    tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM l402_payment WHERE {HELD} AND (bundle = 0 OR bundle IS NULL AND counter IS NOT NULL)
         ORDER BY at LIMIT ? OFFSET ?"
    ))?
    .query_map(params![mint, at_most, without], read)?
    .collect()
}

pub(super) fn begin(
    tx: &Transaction<'_>,
    mint: &str,
    mut bundle: Bundle,
) -> rusqlite::Result<Option<Bundle>> {
    let mut free = tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM l402_payment WHERE id = ? AND state = ? AND bundle IS NULL AND counter IS NULL)",
    )?;
    for (id, _) in &bundle.payments {
        if !free.query_row(params![id.0, State::Held as i64], |row| row.get::<_, bool>(0))? {
            return Ok(None);
        }
    }
    tx.prepare_cached(
        "INSERT INTO l402_bundle (mint, payee, keyset, counter, net, open) VALUES (?, ?, ?, ?, ?, 1)",
    )?
    .execute(params![
        mint,
        bundle.payee,
        bundle.outputs.keyset.to_string(),
        bundle.outputs.counter,
        bundle.net_sat
    ])?;
    bundle.id = tx.last_insert_rowid();
    let mut join = tx.prepare_cached("UPDATE l402_payment SET bundle = ? WHERE id = ?")?;
    for (id, _) in &bundle.payments {
        join.execute(params![bundle.id, id.0])?;
    }
    Ok(Some(bundle))
}

pub(super) fn open(tx: &Transaction<'_>, mint: &str) -> rusqlite::Result<Vec<Bundle>> {
    let mut payments = tx.prepare_cached(
        "SELECT id, proofs FROM l402_payment WHERE bundle = ? AND bundle > 0 AND proofs IS NOT NULL ORDER BY id",
    )?;
    let mut bundles = tx.prepare_cached(
        "SELECT id, payee, net, keyset, counter FROM l402_bundle WHERE mint = ? AND open = 1 ORDER BY id",
    )?;
    let mut all = Vec::new();
    let mut rows = bundles.query([mint])?;
    while let Some(row) = rows.next()? {
        let (id, keyset): (i64, String) = (row.get(0)?, row.get(3)?);
        let keyset = keyset.parse().map_err(|_| {
            rusqlite::Error::InvalidColumnType(3, "keyset".into(), rusqlite::types::Type::Text)
        })?;
        let of_it =
            payments.query_map([id], |row| Ok((PaymentId(row.get(0)?), Zeroizing::new(row.get(1)?))))?;
        all.push(Bundle {
            id,
            payee: row.get(1)?,
            net_sat: row.get(2)?,
            outputs: Outputs { keyset, counter: row.get(4)? },
            payments: of_it.collect::<rusqlite::Result<_>>()?,
        });
    }
    Ok(all)
}

/// By their ids: another process may have taken the bundle for refused meanwhile.
pub(super) fn finish(tx: &Transaction<'_>, id: i64, payments: &[PaymentId]) -> rusqlite::Result<()> {
    for payment in payments {
        tx.prepare_cached("UPDATE l402_payment SET state = ?, proofs = NULL WHERE id = ?")?
            .execute(params![State::Finished as i64, payment.0])?;
    }
    tx.prepare_cached("UPDATE l402_bundle SET open = 0 WHERE id = ?")?.execute([id])?;
    Ok(())
}

pub(super) fn refuse(tx: &Transaction<'_>, id: i64, count: u32) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO l402_unused (keyset, counter, count)
         SELECT keyset, counter, ? FROM l402_bundle WHERE id = ? AND open = 1",
    )?
    .execute(params![count, id])?;
    release(tx, id, Some(0))
}

/// It is none any more; its payments are of `other`.
pub(super) fn release(tx: &Transaction<'_>, id: i64, other: Option<i64>) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE l402_payment SET bundle = ? WHERE bundle = ? AND bundle > 0 AND state = ?")?
        .execute(params![other, id, State::Held as i64])?;
    tx.prepare_cached("DELETE FROM l402_bundle WHERE id = ? AND open = 1")?.execute([id])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rusqlite::Connection;

    use super::super::{rows, schema};
    use super::*;

    const MINT: &str = "https://mint.example.com";

    fn record() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::prepare(&mut connection).unwrap();
        connection
    }

    fn outputs(counter: u32) -> Outputs {
        Outputs { keyset: "00ad268c4d1f5826".parse().unwrap(), counter }
    }

    fn held(tx: &Transaction<'_>, number: u8) -> (PaymentId, Zeroizing<String>) {
        let proofs = Zeroizing::new(format!("[{number}]"));
        let row = Row {
            id: PaymentId([number; 32]),
            state: State::Held,
            at: u64::from(number),
            mint: MINT.into(),
            bought: [0; 32],
            payee: "default".into(),
            net_sat: 8,
            preimage: Zeroizing::new([number; 32]),
            proofs: Some(proofs.clone()),
            outputs: None,
        };
        rows::put(tx, &row, &[[number; 33]]).unwrap();
        (row.id, proofs)
    }

    fn bundle(payments: &[(PaymentId, Zeroizing<String>)], counter: u32) -> Bundle {
        let (payee, net_sat, payments) = ("default".to_owned(), 20, payments.to_vec());
        Bundle { id: 0, payee, net_sat, outputs: outputs(counter), payments }
    }

    #[test]
    fn a_payment_is_of_one_swap_at_a_time() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let held = [held(&tx, 1), held(&tx, 2), held(&tx, 3)];
        let begun = begin(&tx, MINT, bundle(&held[..2], 0)).unwrap().unwrap();
        assert!(begin(&tx, MINT, bundle(&held[1..], 5)).unwrap().is_none());
        assert_eq!(rows::assign(&tx, held[0].0, &outputs(9)).unwrap(), None, "not alone either");
        let free = unbundled(&tx, MINT, 9).unwrap();
        assert_eq!(free.iter().map(|row| row.id).collect::<Vec<_>>(), [held[2].0]);
        assert!(alone(&tx, MINT, 9, 0).unwrap().is_empty());
        rows::assign(&tx, held[2].0, &outputs(9)).unwrap().unwrap();
        assert!(begin(&tx, MINT, bundle(&held[2..], 5)).unwrap().is_none(), "it has outputs of its own");
        assert_eq!(alone(&tx, MINT, 9, 0).unwrap()[0].id, held[2].0);
        let found = open(&tx, MINT).unwrap().remove(0);
        assert_eq!((found.id, found.net_sat, found.outputs.clone()), (begun.id, 20, outputs(0)));
        assert_eq!(found.payments, held[..2]);
    }

    #[test]
    fn a_finished_one_is_over() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let held = [held(&tx, 1), held(&tx, 2)];
        let begun = begin(&tx, MINT, bundle(&held, 0)).unwrap().unwrap();
        finish(&tx, begun.id, &begun.ids()).unwrap();
        assert!(open(&tx, MINT).unwrap().is_empty());
        for (id, _) in &held {
            let row = rows::find(&tx, *id).unwrap().unwrap();
            assert!(row.state == State::Finished && row.proofs.is_none());
        }
    }

    #[test]
    fn a_refused_one_is_tried_one_by_one_and_its_outputs_serve_another() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let held = [held(&tx, 1), held(&tx, 2)];
        let begun = begin(&tx, MINT, bundle(&held, 7)).unwrap().unwrap();
        for _ in 0..2 {
            refuse(&tx, begun.id, 3).unwrap();
        }
        assert!(unbundled(&tx, MINT, 9).unwrap().is_empty());
        assert_eq!(alone(&tx, MINT, 9, 0).unwrap().len(), 2);
        assert_eq!(alone(&tx, MINT, 9, 1).unwrap()[0].id, held[1].0);
        let unused = || rows::unused(&tx, &outputs(7).keyset.to_string(), 3).unwrap();
        assert_eq!((unused(), unused()), (Some(7), None));
        // Another process had it signed all the same.
        finish(&tx, begun.id, &begun.ids()).unwrap();
        assert!(alone(&tx, MINT, 9, 0).unwrap().is_empty());
    }

    #[test]
    fn with_other_outputs_they_stay_together() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let held = [held(&tx, 1), held(&tx, 2)];
        let first = begin(&tx, MINT, bundle(&held, 0)).unwrap().unwrap();
        release(&tx, first.id, None).unwrap();
        assert_eq!(unbundled(&tx, MINT, 9).unwrap().len(), 2);
        let second = begin(&tx, MINT, bundle(&held, 4)).unwrap().unwrap();
        assert_ne!(first.id, second.id, "an id is never another's");
    }
}
