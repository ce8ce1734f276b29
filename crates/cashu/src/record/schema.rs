//! The record's tables, and what earlier versions made of them.

use rusqlite::{Connection, TransactionBehavior};

/// As the first version made them. What came later is in [`ADDED`].
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS l402_wallet (fingerprint BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS l402_payment (
        id BLOB PRIMARY KEY, state INTEGER NOT NULL, at INTEGER NOT NULL, mint TEXT NOT NULL,
        bought BLOB NOT NULL, net INTEGER NOT NULL, preimage BLOB NOT NULL, proofs TEXT,
        keyset TEXT, counter INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS l402_payment_unfinished ON l402_payment (mint, state, at) WHERE state < 2;
    CREATE TABLE IF NOT EXISTS l402_proof (y BLOB PRIMARY KEY, payment BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS l402_unused (keyset TEXT NOT NULL, counter INTEGER NOT NULL, count INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS l402_melt (
        quote TEXT PRIMARY KEY, mint TEXT NOT NULL, open INTEGER NOT NULL, at INTEGER NOT NULL, expiry INTEGER NOT NULL,
        tries INTEGER NOT NULL, amount INTEGER NOT NULL, spent INTEGER NOT NULL, overpaid INTEGER NOT NULL,
        change INTEGER NOT NULL, proofs TEXT, keyset TEXT NOT NULL, counter INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS l402_owner (y BLOB PRIMARY KEY, payee TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS l402_proof_of ON l402_proof (payment);
    CREATE TABLE IF NOT EXISTS l402_bundle (
        id INTEGER PRIMARY KEY AUTOINCREMENT, mint TEXT NOT NULL, payee TEXT NOT NULL, keyset TEXT NOT NULL,
        counter INTEGER NOT NULL, net INTEGER NOT NULL, open INTEGER NOT NULL
    );
    CREATE INDEX IF NOT EXISTS l402_bundle_open ON l402_bundle (mint) WHERE open = 1;
";

/// Columns that came later. Of what is there already nobody knows the payee, and whether it was locked to us.
const ADDED: [(&str, &str, &str); 4] = [
    ("l402_payment", "payee", "TEXT NOT NULL DEFAULT ''"),
    ("l402_payment", "locked", "INTEGER NOT NULL DEFAULT 1"),
    // Of which bundle it is; NULL: of none yet; 0: it is swapped alone.
    ("l402_payment", "bundle", "INTEGER"),
    ("l402_melt", "payee", "TEXT NOT NULL DEFAULT ''"),
];

/// At most one melt of a mint is open for a payee. So nothing else spends that ecash until its outcome is known.
const INDEXES: &str = "
    CREATE INDEX IF NOT EXISTS l402_payment_bundle ON l402_payment (bundle) WHERE bundle > 0;
    DROP INDEX IF EXISTS l402_melt_open;
    CREATE UNIQUE INDEX IF NOT EXISTS l402_melt_open_for ON l402_melt (mint, payee) WHERE open = 1;
";

/// Makes what is missing. Any number of processes may do so at once.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(TABLES)?;
    for (table, column, kind) in ADDED {
        let found: i64 = tx.query_row(
            "SELECT count(*) FROM pragma_table_info(?) WHERE name = ?",
            [table, column],
            |row| row.get(0),
        )?;
        if found == 0 {
            tx.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))?;
        }
    }
    tx.execute_batch(INDEXES)?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_wallet_of_the_first_version_keeps_what_it_has() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection
            .execute_batch(
                "CREATE UNIQUE INDEX l402_melt_open ON l402_melt (mint) WHERE open = 1;
                 INSERT INTO l402_payment VALUES (x'01', 2, 5, 'm', x'02', 7, x'03', NULL, NULL, NULL);
                 INSERT INTO l402_melt VALUES ('q', 'm', 1, 5, 6, 1, 7, 8, 1, 0, '[]', 'k', 0);",
            )
            .unwrap();
        for _ in 0..2 {
            prepare(&mut connection).unwrap();
        }
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?));
        let payment = connection.query_row("SELECT payee, locked FROM l402_payment", [], row).unwrap();
        assert_eq!(payment, (String::new(), true));
        let melt = connection.query_row("SELECT payee, open FROM l402_melt", [], row).unwrap();
        assert_eq!(melt, (String::new(), true));
    }
}
