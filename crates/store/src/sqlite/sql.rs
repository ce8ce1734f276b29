//! Each operation as its statements. All run inside the batch's transaction.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::Outcome;
use crate::{Claim, Claimed, Hash, RequestId, Settled};

pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(super) fn claim(tx: &Transaction<'_>, claim: &Claim, now: u64) -> rusqlite::Result<Outcome> {
    if let Some(before) = find_request(tx, &claim.request)? {
        return Ok(match before.hash {
            None => Outcome::Claimed(Claimed::Released),
            Some(hash) if hash != claim.payment_hash => Outcome::RequestReused,
            Some(_) => Outcome::Claimed(Claimed::Granted { remaining: before.remaining }),
        });
    }
    let Some(used) = draw(tx, claim)? else { return Ok(Outcome::Claimed(Claimed::UsedUp)) };
    let remaining = claim.limit.saturating_sub(used);
    tx.prepare_cached("INSERT INTO request (id, at, hash, units, remaining) VALUES (?, ?, ?, ?, ?)")?
        .execute(params![claim.request, now, claim.payment_hash, claim.units, remaining])?;
    Ok(Outcome::Claimed(Claimed::Granted { remaining }))
}

/// The units used after the draw, or `None` when the payment has too few left.
fn draw(tx: &Transaction<'_>, claim: &Claim) -> rusqlite::Result<Option<u32>> {
    if claim.units > claim.limit {
        return Ok(None);
    }
    tx.prepare_cached(
        "INSERT INTO payment (hash, used) VALUES (?1, ?2)
         ON CONFLICT (hash) DO UPDATE SET used = used + ?2 WHERE used + ?2 <= ?3
         RETURNING used",
    )?
    .query_row(params![claim.payment_hash, claim.units, claim.limit], |row| row.get(0))
    .optional()
}

pub(super) fn used(connection: &Connection, hash: &Hash) -> rusqlite::Result<u32> {
    let found = connection
        .prepare_cached("SELECT used FROM payment WHERE hash = ?")?
        .query_row([hash], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

pub(super) fn release(tx: &Transaction<'_>, request: &RequestId, now: u64) -> rusqlite::Result<bool> {
    let drawn = find_request(tx, request)?.and_then(|before| Some((before.hash?, before.units)));
    tx.prepare_cached(
        "INSERT INTO request (id, at, hash, units, remaining) VALUES (?, ?, NULL, 0, 0)
         ON CONFLICT (id) DO UPDATE SET at = excluded.at, hash = NULL, units = 0, remaining = 0",
    )?
    .execute(params![request, now])?;
    let Some((hash, units)) = drawn else { return Ok(false) };
    tx.prepare_cached("UPDATE payment SET used = used - ? WHERE hash = ?")?.execute(params![units, hash])?;
    Ok(true)
}

struct Before {
    hash: Option<Hash>,
    units: u32,
    remaining: u32,
}

fn find_request(tx: &Transaction<'_>, request: &RequestId) -> rusqlite::Result<Option<Before>> {
    tx.prepare_cached("SELECT hash, units, remaining FROM request WHERE id = ?")?
        .query_row([request], |row| {
            Ok(Before { hash: row.get(0)?, units: row.get(1)?, remaining: row.get(2)? })
        })
        .optional()
}

/// Forgets up to `at_most` request ids that are older than `before` (Unix seconds).
pub(super) fn prune(tx: &Transaction<'_>, before: u64, at_most: usize) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM request WHERE id IN (SELECT id FROM request WHERE at < ? ORDER BY at LIMIT ?)",
    )?
    .execute(params![before, at_most])?;
    Ok(())
}

pub(super) fn settled_get(connection: &Connection, hash: &Hash) -> rusqlite::Result<Option<Settled>> {
    connection
        .prepare_cached("SELECT preimage, received_msat, at FROM settled WHERE hash = ?")?
        .query_row([hash], |row| {
            Ok(Settled { preimage: row.get(0)?, received_msat: row.get(1)?, at: row.get(2)? })
        })
        .optional()
}

pub(super) fn settled_put(tx: &Transaction<'_>, hash: &Hash, settled: &Settled) -> rusqlite::Result<()> {
    // An INTEGER of SQLite is signed; 2^63 msat is more than there will ever be.
    let received_msat = i64::try_from(settled.received_msat).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "INSERT INTO settled (hash, preimage, received_msat, at) VALUES (?, ?, ?, ?)
         ON CONFLICT (hash) DO UPDATE SET preimage = coalesce(preimage, excluded.preimage)",
    )?
    .execute(params![hash, settled.preimage, received_msat, settled.at])?;
    Ok(())
}

pub(super) fn note_get(connection: &Connection, hash: &Hash) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT text FROM note WHERE hash = ?")?
        .query_row([hash], |row| row.get(0))
        .optional()
}

pub(super) fn note_put(tx: &Transaction<'_>, hash: &Hash, text: &str, now: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO note (hash, at, text) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING")?
        .execute(params![hash, now, text])?;
    Ok(())
}

/// Forgets up to two notes that are older than `before` (Unix seconds), and those that the newest `most` leave no room for.
pub(super) fn prune_notes(tx: &Transaction<'_>, before: u64, most: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM note WHERE number IN (SELECT number FROM note WHERE at < ? ORDER BY at LIMIT 2)
         OR number <= (SELECT max(number) FROM note) - ?",
    )?
    .execute(params![before, most])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn old_notes_and_the_many_make_room() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(super::super::open::NOTES).unwrap();
        let tx = connection.transaction().unwrap();
        let left = |tx: &Transaction<'_>| -> Vec<u8> {
            (1..=6).filter(|n| note_get(tx, &[*n; 32]).unwrap().is_some()).collect()
        };
        for n in 1..=6 {
            note_put(&tx, &[n; 32], "x", 100 * u64::from(n)).unwrap();
        }
        prune_notes(&tx, 100, 100).unwrap();
        assert_eq!(left(&tx), [1, 2, 3, 4, 5, 6]);
        prune_notes(&tx, 250, 100).unwrap();
        assert_eq!(left(&tx), [3, 4, 5, 6]);
        prune_notes(&tx, 0, 3).unwrap();
        assert_eq!(left(&tx), [4, 5, 6]);
    }
}
