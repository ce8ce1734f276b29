//! The record's tables, and what earlier versions made of them.

use rusqlite::{Connection, TransactionBehavior};

use super::urls;

/// The version of these tables (`PRAGMA user_version`): higher where an older l402d would misread them.
pub const VERSION: i32 = 1;

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
    CREATE TABLE IF NOT EXISTS l402_mint (mint TEXT PRIMARY KEY, locks INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS l402_held (mint TEXT PRIMARY KEY, sat INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS l402_exchange (
        id INTEGER PRIMARY KEY AUTOINCREMENT, mint TEXT NOT NULL, payee TEXT NOT NULL, keyset TEXT NOT NULL,
        counter INTEGER NOT NULL, net INTEGER NOT NULL, fee INTEGER NOT NULL, proofs TEXT, open INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX IF NOT EXISTS l402_exchange_for ON l402_exchange (mint, payee) WHERE open = 1;
";

/// Columns that came later. Of what is there already nobody knows the payee, and whether it was locked to us.
const ADDED: [(&str, &str, &str); 11] = [
    ("l402_payment", "payee", "TEXT NOT NULL DEFAULT ''"),
    ("l402_payment", "locked", "INTEGER NOT NULL DEFAULT 1"),
    // Of which bundle it is; NULL: of none yet; 0: it is swapped alone; below 0: so it is since that bundle was given up.
    ("l402_payment", "bundle", "INTEGER"),
    ("l402_payment", "lock_end", "INTEGER"),
    // How often its mint refused it though it is unspent, and from when on it is tried again.
    ("l402_payment", "tries", "INTEGER NOT NULL DEFAULT 0"),
    ("l402_payment", "again", "INTEGER NOT NULL DEFAULT 0"),
    // What somebody else has spent of it, in sat.
    ("l402_payment", "lost", "INTEGER NOT NULL DEFAULT 0"),
    ("l402_bundle", "tries", "INTEGER NOT NULL DEFAULT 0"),
    // Of one that was given up (open = 2): how many outputs it has.
    ("l402_bundle", "count", "INTEGER NOT NULL DEFAULT 0"),
    ("l402_melt", "payee", "TEXT NOT NULL DEFAULT ''"),
    // When the mint was last asked to pay without answering; 0: never.
    ("l402_melt", "unanswered", "INTEGER NOT NULL DEFAULT 0"),
];

/// At most one melt of a mint is open for a payee. So nothing else spends that ecash until its outcome is known.
const INDEXES: &str = "
    DROP INDEX IF EXISTS l402_payment_bundle;
    CREATE INDEX IF NOT EXISTS l402_payment_in ON l402_payment (bundle) WHERE bundle <> 0;
    CREATE INDEX IF NOT EXISTS l402_payment_forgettable ON l402_payment (at) WHERE state = 2 AND locked = 0;
    CREATE INDEX IF NOT EXISTS l402_payment_lost ON l402_payment (mint) WHERE state = 3 OR lost > 0;
    CREATE INDEX IF NOT EXISTS l402_payment_lock_end ON l402_payment (mint, lock_end)
        WHERE state = 1 AND lock_end IS NOT NULL;
    DROP INDEX IF EXISTS l402_melt_open;
    CREATE UNIQUE INDEX IF NOT EXISTS l402_melt_open_for ON l402_melt (mint, payee) WHERE open = 1;
";

/// Keeps the sum of what is held of each mint, whatever version of l402d writes.
const HELD_SUM: &str = "
    INSERT OR REPLACE INTO l402_held
        SELECT mint, sum(net) FROM l402_payment WHERE state = 1 AND state < 2 GROUP BY mint;
    CREATE TRIGGER l402_held_in AFTER INSERT ON l402_payment WHEN NEW.state = 1 BEGIN
        INSERT INTO l402_held VALUES (NEW.mint, NEW.net) ON CONFLICT (mint) DO UPDATE SET sat = sat + excluded.sat;
    END;
    CREATE TRIGGER l402_held_out AFTER DELETE ON l402_payment WHEN OLD.state = 1 BEGIN
        UPDATE l402_held SET sat = sat - OLD.net WHERE mint = OLD.mint;
    END;
    CREATE TRIGGER l402_held_changed AFTER UPDATE OF state, net, mint ON l402_payment
    WHEN OLD.state = 1 OR NEW.state = 1 BEGIN
        UPDATE l402_held SET sat = sat - OLD.net WHERE mint = OLD.mint AND OLD.state = 1;
        INSERT INTO l402_held SELECT NEW.mint, NEW.net WHERE NEW.state = 1
            ON CONFLICT (mint) DO UPDATE SET sat = sat + excluded.sat;
    END;
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
    let triggers: i64 =
        tx.query_row("SELECT count(*) FROM sqlite_master WHERE name = 'l402_held_in'", [], |row| row.get(0))?;
    if triggers == 0 {
        urls::unify(&tx)?;
        tx.execute_batch(HELD_SUM)?;
    }
    if version(&tx)? < VERSION {
        tx.pragma_update(None, "user_version", VERSION)?;
    }
    tx.commit()
}

/// The version that a wallet was last written by; 0 before there were versions.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
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
                 INSERT INTO l402_payment VALUES (x'01', 2, 5, 'm', x'02', 7, x'03', NULL, NULL, NULL),
                     (x'02', 1, 5, 'm', x'02', 7, x'03', '[]', NULL, NULL);
                 INSERT INTO l402_melt VALUES ('q', 'm', 1, 5, 6, 1, 7, 8, 1, 0, '[]', 'k', 0);",
            )
            .unwrap();
        for _ in 0..2 {
            prepare(&mut connection).unwrap();
        }
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?));
        let payment = connection.query_row("SELECT payee, locked FROM l402_payment", [], row).unwrap();
        let held: u64 = connection.query_row("SELECT sat FROM l402_held", [], |row| row.get(0)).unwrap();
        assert_eq!(held, 7);
        assert_eq!(payment, (String::new(), true));
        let melt = connection.query_row("SELECT payee, open FROM l402_melt", [], row).unwrap();
        assert_eq!(melt, (String::new(), true));
    }

    #[test]
    fn a_mint_that_was_recorded_with_its_port_is_the_one_without() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection
            .execute_batch(
                "INSERT INTO l402_payment (id, state, at, mint, bought, net, preimage) VALUES
                     (x'01', 1, 5, 'https://mint.example.com:443', x'02', 7, x'03'),
                     (x'02', 1, 5, 'https://mint.example.com', x'02', 8, x'03');",
            )
            .unwrap();
        prepare(&mut connection).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?));
        let held = connection.query_row("SELECT mint, sat FROM l402_held", [], row).unwrap();
        assert_eq!(held, ("https://mint.example.com".to_owned(), 15));
    }
}
