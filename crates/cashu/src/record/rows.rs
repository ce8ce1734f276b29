//! Each operation on the record as its statements. All run inside the batch's transaction.

use std::fmt;

use cdk::nuts::Id;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use zeroize::Zeroizing;

use super::{bundles, mints};
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
    /// Paid, and yet somebody else has spent it.
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
    /// Its proofs were locked to our key: it is never forgotten.
    pub(crate) locked: bool,
    /// When the first of its locks ends, in Unix seconds.
    pub(crate) lock_end: Option<u64>,
    /// The bundle that it was swapped in, and that was given up.
    pub(crate) former_bundle: Option<i64>,
    /// How often its swap was put off.
    pub(crate) tries: u32,
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
    /// It is not recorded: more would be held of its mint than may be.
    TooMuch,
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

pub(super) const COLUMNS: &str = "id, state, at, mint, bought, net, preimage, proofs, keyset, counter, payee, locked, lock_end, bundle, tries";

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
        locked: row.get(11)?,
        lock_end: row.get(12)?,
        // A bundle that was given up stands there with a minus sign.
        former_bundle: row.get::<_, Option<i64>>(13)?.filter(|bundle| *bundle < 0).map(|bundle| -bundle),
        tries: row.get(14)?,
    })
}

pub(super) fn find(tx: &Transaction<'_>, id: PaymentId) -> rusqlite::Result<Option<Row>> {
    tx.prepare_cached(&format!("SELECT {COLUMNS} FROM l402_payment WHERE id = ?"))?
        .query_row([id.0], read)
        .optional()
}

/// Records a payment. If it is held, no more than `held_at_most` sat are held of its mint then; 0: no bound.
pub(super) fn put(
    tx: &Transaction<'_>,
    new: &Row,
    ys: &[[u8; 33]],
    held_at_most: u64,
) -> rusqlite::Result<Put> {
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
    let is_bounded = new.state == State::Held && held_at_most > 0;
    if is_bounded && mints::held_sat(tx, &new.mint)?.saturating_add(new.net_sat) > held_at_most {
        return Ok(Put::TooMuch);
    }
    let mut proof = tx.prepare_cached("INSERT INTO l402_proof (y, payment) VALUES (?, ?)")?;
    for y in ys {
        proof.execute(params![y, new.id.0])?;
    }
    tx.prepare_cached(&format!(
        "INSERT INTO l402_payment ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)"
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
        new.locked,
        new.lock_end,
        new.tries,
    ])?;
    Ok(Put::New)
}

pub(super) fn assign(
    tx: &Transaction<'_>,
    id: PaymentId,
    outputs: &Outputs,
) -> rusqlite::Result<Option<Outputs>> {
    tx.prepare_cached(
        "UPDATE l402_payment SET keyset = ?, counter = ? WHERE id = ? AND counter IS NULL AND coalesce(bundle, 0) <= 0",
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
    bundles::settle_former(tx, id)
}

/// Forgets an offered payment that its mint refuses. Its `count` outputs, which the mint never signed, may serve another.
pub(super) fn refuse(tx: &Transaction<'_>, id: PaymentId, count: u32) -> rusqlite::Result<()> {
    let Some(row) = find(tx, id)?.filter(|row| row.state == State::Offered) else { return Ok(()) };
    tx.execute("DELETE FROM l402_proof WHERE payment = ?", [id.0])?;
    tx.execute("DELETE FROM l402_payment WHERE id = ?", [id.0])?;
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

/// A payment in the tests of the record, held, made at second 1.
#[cfg(test)]
pub(super) fn held(number: u8, net_sat: u64) -> Row {
    Row {
        id: PaymentId([number; 32]),
        state: State::Held,
        at: 1,
        mint: "https://mint.example.com".into(),
        bought: [0; 32],
        payee: "default".into(),
        net_sat,
        preimage: Zeroizing::new([number; 32]),
        proofs: Some(Zeroizing::new(format!("[{number}]"))),
        outputs: None,
        locked: true,
        lock_end: None,
        former_bundle: None,
        tries: 0,
    }
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
        let row = Row { state, ..held(1, 10) };
        put(&tx, &row, &[], 0).unwrap();
        finish(&tx, row.id).unwrap();
        find(&tx, row.id).unwrap().unwrap()
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
            let row = Row { outputs, ..held(number, 10) };
            put(&tx, &row, &[[number; 33]], 0).unwrap();
            assert_eq!(ys(&tx, row.id).unwrap(), [[number; 33]]);
            leave(&tx, row.id).unwrap();
            assert_eq!(find(&tx, row.id).unwrap().is_some(), number == 2);
            assert_eq!(ys(&tx, row.id).unwrap().is_empty(), number == 1);
        }
    }
}
