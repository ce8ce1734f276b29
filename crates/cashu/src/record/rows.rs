//! Each operation on the record as its statements. All run inside the batch's transaction.

use std::fmt;

use cdk::nuts::Id;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use zeroize::Zeroizing;

use crate::PaymentId;

/// How far a payment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Offered: its swap is under way, or its outcome unknown. Not paid.
    Offered = 0,
    /// Paid: its proofs are ours alone, and not yet swapped.
    Held = 1,
    /// Paid, and in the wallet.
    Finished = 2,
    /// Paid, and yet the mint refused the swap.
    Lost = 3,
}

/// Which outputs a payment is swapped for: so many from this counter on (NUT-13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outputs {
    pub(crate) keyset: Id,
    pub(crate) counter: u32,
}

/// A payment. `Debug` shows neither proofs nor the preimage.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) id: PaymentId,
    pub(crate) state: State,
    /// When it was offered first, until it is paid; then when it was paid. In Unix seconds.
    pub(crate) at: u64,
    pub(crate) mint: String,
    /// What was bought with it.
    pub(crate) bought: [u8; 32],
    /// Who is to get its worth; empty in what an earlier version recorded.
    pub(crate) payee: String,
    /// Its worth after the mint's fee, in sat.
    pub(crate) net_sat: u64,
    pub(crate) preimage: Zeroizing<[u8; 32]>,
    /// As JSON; `None` once they are spent.
    pub(crate) proofs: Option<Zeroizing<String>>,
    pub(crate) outputs: Option<Outputs>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("id", &self.id)
            .field("state", &self.state)
            .field("net_sat", &self.net_sat)
            .finish()
    }
}

impl Row {
    pub(crate) fn is_paid(&self) -> bool {
        match self.state {
            State::Offered => false,
            State::Held | State::Finished | State::Lost => true,
        }
    }
}

/// What became of recording a payment.
#[derive(Debug)]
pub(crate) enum Put {
    /// It is recorded.
    New,
    /// It was recorded before.
    Known(Box<Row>),
    /// One of its proofs belongs to another payment.
    Taken {
        /// Is that one paid?
        paid: bool,
    },
}

/// Whether the file belongs to this seed; a new one does from now on.
pub(super) fn belongs_to(connection: &mut Connection, fingerprint: &[u8]) -> rusqlite::Result<bool> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known: Option<Vec<u8>> =
        tx.query_row("SELECT fingerprint FROM l402_wallet", [], |row| row.get(0)).optional()?;
    if known.is_none() {
        tx.execute("INSERT INTO l402_wallet (fingerprint) VALUES (?)", [fingerprint])?;
    }
    tx.commit()?;
    Ok(known.is_none_or(|known| known == fingerprint))
}

pub(super) const COLUMNS: &str = "id, state, at, mint, bought, net, preimage, proofs, keyset, counter, payee";

pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let keyset: Option<String> = row.get(8)?;
    let counter: Option<u32> = row.get(9)?;
    let outputs = keyset.and_then(|text| text.parse().ok()).zip(counter);
    Ok(Row {
        id: PaymentId(row.get(0)?),
        state: match row.get(1)? {
            0_i64 => State::Offered,
            1 => State::Held,
            2 => State::Finished,
            _ => State::Lost,
        },
        at: row.get(2)?,
        mint: row.get(3)?,
        bought: row.get(4)?,
        net_sat: row.get(5)?,
        preimage: Zeroizing::new(row.get(6)?),
        proofs: row.get::<_, Option<String>>(7)?.map(Zeroizing::new),
        outputs: outputs.map(|(keyset, counter)| Outputs { keyset, counter }),
        payee: row.get(10)?,
    })
}

pub(super) fn find(tx: &Transaction<'_>, id: PaymentId) -> rusqlite::Result<Option<Row>> {
    tx.prepare_cached(&format!("SELECT {COLUMNS} FROM l402_payment WHERE id = ?"))?
        .query_row([id.0], read)
        .optional()
}

pub(super) fn put(tx: &Transaction<'_>, new: &Row, ys: &[[u8; 33]]) -> rusqlite::Result<Put> {
    if let Some(known) = find(tx, new.id)? {
        return Ok(Put::Known(Box::new(known)));
    }
    let mut owner = tx.prepare_cached(
        "SELECT state FROM l402_proof JOIN l402_payment ON l402_payment.id = payment WHERE y = ?",
    )?;
    for y in ys {
        if let Some(state) = owner.query_row([y], |row| row.get::<_, i64>(0)).optional()? {
            return Ok(Put::Taken { paid: state != State::Offered as i64 });
        }
    }
    let mut proof = tx.prepare_cached("INSERT INTO l402_proof (y, payment) VALUES (?, ?)")?;
    for y in ys {
        proof.execute(params![y, new.id.0])?;
    }
    tx.prepare_cached(&format!(
        "INSERT INTO l402_payment ({COLUMNS}, locked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))?
    .execute(params![
        new.id.0,
        new.state as i64,
        new.at,
        new.mint,
        new.bought,
        new.net_sat,
        *new.preimage,
        new.proofs.as_deref(),
        new.outputs.as_ref().map(|outputs| outputs.keyset.to_string()),
        new.outputs.as_ref().map(|outputs| outputs.counter),
        new.payee,
        // What is taken without its mint is locked to us.
        new.state == State::Held,
    ])?;
    Ok(Put::New)
}

pub(super) fn assign(
    tx: &Transaction<'_>,
    id: PaymentId,
    outputs: &Outputs,
) -> rusqlite::Result<Option<Outputs>> {
    tx.prepare_cached(
        "UPDATE l402_payment SET keyset = ?, counter = ? WHERE id = ? AND counter IS NULL AND coalesce(bundle, 0) = 0",
    )?
    .execute(params![outputs.keyset.to_string(), outputs.counter, id.0])?;
    Ok(find(tx, id)?.and_then(|row| row.outputs))
}

pub(super) fn finish(tx: &Transaction<'_>, id: PaymentId) -> rusqlite::Result<()> {
    // What ends some time after the payment must not end before it: an offer may be old when it is swapped.
    tx.prepare_cached(
        "UPDATE l402_payment SET at = CASE state WHEN 0 THEN unixepoch() ELSE at END, state = ?, proofs = NULL
         WHERE id = ?",
    )?
    .execute(params![State::Finished as i64, id.0])?;
    Ok(())
}

pub(super) fn refuse(tx: &Transaction<'_>, id: PaymentId, count: u32) -> rusqlite::Result<()> {
    let Some(row) = find(tx, id)? else { return Ok(()) };
    match row.state {
        State::Finished | State::Lost => return Ok(()),
        State::Held => {
            tx.execute("UPDATE l402_payment SET state = ? WHERE id = ?", params![State::Lost as i64, id.0])?;
        }
        State::Offered => {
            tx.execute("DELETE FROM l402_proof WHERE payment = ?", [id.0])?;
            tx.execute("DELETE FROM l402_payment WHERE id = ?", [id.0])?;
        }
    }
    if let Some(outputs) = row.outputs {
        tx.prepare_cached("INSERT INTO l402_unused (keyset, counter, count) VALUES (?, ?, ?)")?
            .execute(params![outputs.keyset.to_string(), outputs.counter, count])?;
    }
    Ok(())
}

/// What no mint was asked about yet.
const UNBEGUN: &str = "id = ? AND state IN (0, 1) AND counter IS NULL AND bundle IS NULL";

/// Forgets a payment whose swap was not begun.
pub(super) fn leave(tx: &Transaction<'_>, id: PaymentId) -> rusqlite::Result<()> {
    if tx.prepare_cached(&format!("DELETE FROM l402_payment WHERE {UNBEGUN}"))?.execute([id.0])? > 0 {
        tx.prepare_cached("DELETE FROM l402_proof WHERE payment = ?")?.execute([id.0])?;
    }
    Ok(())
}

pub(super) fn ys(tx: &Transaction<'_>, id: PaymentId) -> rusqlite::Result<Vec<[u8; 33]>> {
    tx.prepare_cached("SELECT y FROM l402_proof WHERE payment = ?")?
        .query_map([id.0], |row| row.get(0))?
        .collect()
}

pub(super) fn unassign(tx: &Transaction<'_>, id: PaymentId) -> rusqlite::Result<()> {
    tx.execute("UPDATE l402_payment SET keyset = NULL, counter = NULL WHERE id = ?", [id.0])?;
    Ok(())
}

pub(super) fn unused(tx: &Transaction<'_>, keyset: &str, count: u32) -> rusqlite::Result<Option<u32>> {
    tx.prepare_cached(
        "DELETE FROM l402_unused WHERE rowid =
           (SELECT rowid FROM l402_unused WHERE keyset = ? AND count >= ? ORDER BY count, counter LIMIT 1)
         RETURNING counter",
    )?
    .query_row(params![keyset, count], |row| row.get(0))
    .optional()
}

pub(super) fn rebind(
    tx: &Transaction<'_>,
    id: PaymentId,
    bought: [u8; 32],
    payee: &str,
) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE l402_payment SET bought = ?, payee = ? WHERE id = ? AND state = 0",
        params![bought, payee, id.0],
    )?;
    Ok(())
}

/// Forgets payments before this time, at most so many, and says how many. Their proofs are spent at the mint, and were not
/// locked to us: those would be taken on sight again.
pub(super) fn forget(tx: &Transaction<'_>, before: u64, at_most: usize) -> rusqlite::Result<usize> {
    let mut old =
        tx.prepare_cached("SELECT id FROM l402_payment WHERE state = ? AND locked = 0 AND at < ? LIMIT ?")?;
    let old: Vec<[u8; 32]> = old
        .query_map(params![State::Finished as i64, before, at_most], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in &old {
        tx.prepare_cached("DELETE FROM l402_proof WHERE payment = ?")?.execute([id])?;
        tx.prepare_cached("DELETE FROM l402_payment WHERE id = ?")?.execute([id])?;
    }
    Ok(old.len())
}

pub(super) fn unfinished(
    tx: &Transaction<'_>,
    mint: &str,
    state: State,
    at_most: usize,
) -> rusqlite::Result<Vec<Row>> {
    tx.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM l402_payment WHERE mint = ? AND state = ? AND state < 2 ORDER BY at LIMIT ?"
    ))?
    .query_map(params![mint, state as i64, at_most], read)?
    .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The payment after it was offered at second 1 in this state, and finished.
    fn finished(state: State) -> Row {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::prepare(&mut connection).unwrap();
        let tx = connection.transaction().unwrap();
        let (id, preimage) = (PaymentId([1; 32]), Zeroizing::new([2; 32]));
        let (mint, bought) = ("https://mint.example.com".to_owned(), [3; 32]);
        let payee = "default".to_owned();
        let row =
            Row { id, state, at: 1, mint, bought, payee, net_sat: 10, preimage, proofs: None, outputs: None };
        put(&tx, &row, &[]).unwrap();
        finish(&tx, id).unwrap();
        find(&tx, id).unwrap().unwrap()
    }

    #[test]
    fn a_payment_dates_from_when_it_was_paid() {
        assert!(finished(State::Offered).at > 1_700_000_000, "an old offer that was swapped now");
        assert_eq!(finished(State::Held).at, 1, "it was paid when it was taken");
    }

    #[test]
    fn what_another_host_has_is_left_unless_its_swap_was_begun() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::prepare(&mut connection).unwrap();
        let tx = connection.transaction().unwrap();
        let outputs = Outputs { keyset: "00ad268c4d1f5826".parse().unwrap(), counter: 1 };
        for (number, outputs) in [(1, None), (2, Some(outputs))] {
            let (id, preimage) = (PaymentId([number; 32]), Zeroizing::new([2; 32]));
            let (mint, payee, bought) =
                ("https://mint.example.com".to_owned(), "default".to_owned(), [3; 32]);
            let (state, at, net_sat, proofs) = (State::Held, 1, 10, None);
            put(
                &tx,
                &Row { id, state, at, mint, bought, payee, net_sat, preimage, proofs, outputs },
                &[[number; 33]],
            )
            .unwrap();
            assert_eq!(ys(&tx, id).unwrap(), [[number; 33]]);
            leave(&tx, id).unwrap();
            assert_eq!(find(&tx, id).unwrap().is_some(), number == 2);
            assert_eq!(ys(&tx, id).unwrap().is_empty(), number == 1);
        }
    }

    #[test]
    fn what_could_be_taken_on_sight_again_is_never_forgotten() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::prepare(&mut connection).unwrap();
        let tx = connection.transaction().unwrap();
        let put_as = |number: u8, state| {
            let id = PaymentId([number; 32]);
            let (payee, mint) = ("default".to_owned(), "https://mint.example.com".to_owned());
            let (bought, preimage) = ([3; 32], Zeroizing::new([number; 32]));
            let (proofs, outputs) = (None, None);
            let row = Row { id, state, at: 1, mint, bought, payee, net_sat: 10, preimage, proofs, outputs };
            put(&tx, &row, &[[number; 33]]).unwrap();
            id
        };
        let (plain, locked, held) =
            (put_as(1, State::Offered), put_as(2, State::Held), put_as(3, State::Held));
        let offered = put_as(4, State::Offered);
        finish(&tx, plain).unwrap();
        finish(&tx, locked).unwrap();
        assert_eq!(forget(&tx, 2, 9).unwrap(), 0, "it was paid a moment ago");
        assert_eq!(forget(&tx, u64::from(u32::MAX), 9).unwrap(), 1);
        assert!(find(&tx, plain).unwrap().is_none());
        for kept in [locked, held, offered] {
            assert!(find(&tx, kept).unwrap().is_some(), "{kept:?}");
        }
        let proofs: i64 = tx.query_row("SELECT count(*) FROM l402_proof", [], |row| row.get(0)).unwrap();
        assert_eq!(proofs, 3);
    }
}
