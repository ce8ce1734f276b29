//! The statements for payments that are swapped together. All run inside the batch's transaction.

use rusqlite::{OptionalExtension, Transaction, params};
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
    /// How often its swap failed while its mint answered other questions.
    pub(crate) tries: u32,
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

/// What is lost first if it is redeemed too late comes first.
const MOST_URGENT: &str = "ORDER BY coalesce(lock_end, 1 << 62), at";

pub(super) fn unbundled(tx: &Transaction<'_>, mint: &str, at_most: usize) -> rusqlite::Result<Vec<Row>> {
    tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM l402_payment WHERE {HELD} AND bundle IS NULL AND counter IS NULL {MOST_URGENT} LIMIT ?"
    ))?
    .query_map(params![mint, at_most], read)?
    .collect()
}

/// Those that are to be tried by this Unix second.
pub(super) fn alone(
    tx: &Transaction<'_>,
    mint: &str,
    now: u64,
    at_most: usize,
    without: usize,
) -> rusqlite::Result<Vec<Row>> {
    tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM l402_payment
         WHERE {HELD} AND (bundle <= 0 OR bundle IS NULL AND counter IS NOT NULL) AND again <= ? {MOST_URGENT} LIMIT ? OFFSET ?"
    ))?
    .query_map(params![mint, now, at_most, without], read)?
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

const BUNDLE: &str = "id, payee, net, keyset, counter, tries";

pub(super) fn open(tx: &Transaction<'_>, mint: &str) -> rusqlite::Result<Vec<Bundle>> {
    let mut bundles = tx.prepare_cached(&format!(
        "SELECT {BUNDLE} FROM l402_bundle WHERE mint = ? AND open = 1 ORDER BY id"
    ))?;
    bundles.query_map([mint], |row| read_bundle(tx, row, "bundle = ?"))?.collect()
}

/// A bundle that was given up, with those of its payments that are held.
pub(super) fn given_up(tx: &Transaction<'_>, id: i64) -> rusqlite::Result<Option<Bundle>> {
    tx.prepare_cached(&format!("SELECT {BUNDLE} FROM l402_bundle WHERE id = ? AND open = 2"))?
        .query_row([id], |row| read_bundle(tx, row, "bundle = -?"))
        .optional()
}

fn read_bundle(tx: &Transaction<'_>, row: &rusqlite::Row<'_>, of_it: &str) -> rusqlite::Result<Bundle> {
    let (id, keyset): (i64, String) = (row.get(0)?, row.get(3)?);
    let keyset = keyset
        .parse()
        .map_err(|_| rusqlite::Error::InvalidColumnType(3, "keyset".into(), rusqlite::types::Type::Text))?;
    let mut payments = tx.prepare_cached(&format!(
        "SELECT id, proofs FROM l402_payment WHERE {of_it} AND bundle <> 0 AND proofs IS NOT NULL ORDER BY id"
    ))?;
    let payments =
        payments.query_map([id], |row| Ok((PaymentId(row.get(0)?), Zeroizing::new(row.get(1)?))))?;
    Ok(Bundle {
        id,
        payee: row.get(1)?,
        net_sat: row.get(2)?,
        outputs: Outputs { keyset, counter: row.get(4)? },
        tries: row.get(5)?,
        payments: payments.collect::<rusqlite::Result<_>>()?,
    })
}

/// By their ids: it may have been given up meanwhile.
pub(super) fn finish(tx: &Transaction<'_>, id: i64, payments: &[PaymentId]) -> rusqlite::Result<()> {
    for payment in payments {
        tx.prepare_cached("UPDATE l402_payment SET state = ?, proofs = NULL, bundle = ? WHERE id = ?")?
            .execute(params![State::Finished as i64, id, payment.0])?;
    }
    tx.prepare_cached("UPDATE l402_bundle SET open = 0 WHERE id = ?")?.execute([id])?;
    Ok(())
}

/// Its payments are swapped alone from now on. As the swap may have gone through all the same, its outputs are kept until the last
/// of them is over: there are `count` of them.
pub(super) fn give_up(tx: &Transaction<'_>, id: i64, count: u32) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE l402_bundle SET open = 2, count = ? WHERE id = ? AND open = 1")?
        .execute(params![count, id])?;
    tx.prepare_cached(
        "UPDATE l402_payment SET bundle = -bundle WHERE bundle = ? AND bundle > 0 AND state = ?",
    )?
    .execute(params![id, State::Held as i64])?;
    Ok(())
}

/// The outputs of the bundle that this payment was in, if that was given up and none of its payments is held any more, may serve
/// another: what they were for was swapped otherwise.
pub(super) fn settle_former(tx: &Transaction<'_>, payment: PaymentId) -> rusqlite::Result<()> {
    let former: Option<i64> = tx
        .prepare_cached("SELECT -bundle FROM l402_payment WHERE id = ? AND bundle < 0")?
        .query_row([payment.0], |row| row.get(0))
        .optional()?;
    let Some(former) = former else { return Ok(()) };
    let held: bool = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM l402_payment WHERE bundle = -? AND bundle <> 0 AND state = 1)",
        )?
        .query_row([former], |row| row.get(0))?;
    if !held {
        tx.prepare_cached(
            "INSERT INTO l402_unused (keyset, counter, count)
             SELECT keyset, counter, count FROM l402_bundle WHERE id = ? AND open = 2",
        )?
        .execute([former])?;
        tx.prepare_cached("DELETE FROM l402_bundle WHERE id = ? AND open = 2")?.execute([former])?;
    }
    Ok(())
}

/// A held payment is never to be part of a bundle.
pub(super) fn swap_alone(tx: &Transaction<'_>, id: PaymentId) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE l402_payment SET bundle = 0 WHERE id = ? AND bundle IS NULL AND state = 1")?
        .execute([id.0])?;
    Ok(())
}

/// Counts a try that failed while the mint answered something else.
pub(super) fn count_try(tx: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE l402_bundle SET tries = tries + 1 WHERE id = ? AND open = 1")?.execute([id])?;
    Ok(())
}

/// The mint refuses its outputs: it is none any more, and its payments may be swapped together for others.
pub(super) fn release(tx: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE l402_payment SET bundle = NULL WHERE bundle = ? AND bundle > 0 AND state = ?")?
        .execute(params![id, State::Held as i64])?;
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
        let row = Row { at: u64::from(number), ..rows::held(number, 8) };
        rows::put(tx, &row, &[[number; 33]], 0).unwrap();
        (row.id, row.proofs.unwrap())
    }

    fn tried_alone(tx: &Transaction<'_>) -> Vec<PaymentId> {
        alone(tx, MINT, 0, 9, 0).unwrap().iter().map(|row| row.id).collect()
    }

    fn bundle(payments: &[(PaymentId, Zeroizing<String>)], counter: u32) -> Bundle {
        let (payee, net_sat, payments) = ("default".to_owned(), 20, payments.to_vec());
        Bundle { id: 0, payee, net_sat, outputs: outputs(counter), tries: 0, payments }
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
        assert!(tried_alone(&tx).is_empty());
        rows::assign(&tx, held[2].0, &outputs(9)).unwrap().unwrap();
        assert!(begin(&tx, MINT, bundle(&held[2..], 5)).unwrap().is_none(), "it has outputs of its own");
        assert_eq!(tried_alone(&tx), [held[2].0]);
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
    fn one_that_is_given_up_is_tried_one_by_one() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let held = [held(&tx, 1), held(&tx, 2)];
        let begun = begin(&tx, MINT, bundle(&held, 7)).unwrap().unwrap();
        for _ in 0..2 {
            give_up(&tx, begun.id, 3).unwrap();
        }
        assert!(unbundled(&tx, MINT, 9).unwrap().is_empty() && open(&tx, MINT).unwrap().is_empty());
        assert_eq!(tried_alone(&tx), [held[0].0, held[1].0]);
        assert_eq!(alone(&tx, MINT, 0, 9, 1).unwrap()[0].id, held[1].0);
        // Another process had it signed all the same.
        let former = rows::find(&tx, held[0].0).unwrap().unwrap().former_bundle.unwrap();
        let found = given_up(&tx, former).unwrap().unwrap();
        assert_eq!((found.outputs, found.net_sat), (outputs(7), 20));
        assert_eq!(found.payments, held);
        finish(&tx, begun.id, &begun.ids()).unwrap();
        assert!(tried_alone(&tx).is_empty());
    }

    #[test]
    fn outputs_that_were_given_up_serve_another_when_nothing_can_be_swapped_for_them_any_more() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let held = [held(&tx, 1), held(&tx, 2)];
        let begun = begin(&tx, MINT, bundle(&held, 7)).unwrap().unwrap();
        give_up(&tx, begun.id, 3).unwrap();
        let unused = || rows::unused(&tx, &outputs(7).keyset.to_string(), 3).unwrap();
        rows::finish(&tx, held[0].0).unwrap();
        assert_eq!(unused(), None);
        assert!(given_up(&tx, begun.id).unwrap().is_some());
        rows::finish(&tx, held[1].0).unwrap();
        assert_eq!((unused(), unused()), (Some(7), None));
        assert!(given_up(&tx, begun.id).unwrap().is_none());
    }

    #[test]
    fn what_ends_first_is_redeemed_first() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        for (number, lock_end) in [(1, None), (2, Some(900)), (3, Some(500))] {
            rows::put(&tx, &Row { lock_end, ..rows::held(number, 8) }, &[[number; 33]], 0).unwrap();
        }
        let order: Vec<_> = unbundled(&tx, MINT, 9).unwrap().iter().map(|row| row.id.0[0]).collect();
        assert_eq!(order, [3, 2, 1]);
    }

    #[test]
    fn with_other_outputs_they_stay_together() {
        let mut connection = record();
        let tx = connection.transaction().unwrap();
        let held = [held(&tx, 1), held(&tx, 2)];
        let first = begin(&tx, MINT, bundle(&held, 0)).unwrap().unwrap();
        release(&tx, first.id).unwrap();
        assert_eq!(unbundled(&tx, MINT, 9).unwrap().len(), 2);
        let second = begin(&tx, MINT, bundle(&held, 4)).unwrap().unwrap();
        assert_ne!(first.id, second.id, "an id is never another's");
    }
}
