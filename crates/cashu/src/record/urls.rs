//! Mints that earlier versions recorded under another spelling of their address.

use cdk::mint_url::MintUrl;
use rusqlite::Transaction;

use crate::mint_url::canonical;

/// Where the address of a mint stands. The last tables are cdk's, and may not be there yet.
const PLACES: [(&str, &str); 7] = [
    ("l402_payment", "mint"),
    ("l402_bundle", "mint"),
    ("l402_melt", "mint"),
    ("l402_exchange", "mint"),
    ("mint", "mint_url"),
    ("keyset", "mint_url"),
    ("proof", "mint_url"),
];

/// Writes each address as it is written now.
pub(super) fn unify(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for (table, column) in PLACES {
        let exists: bool = tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?)",
            [table],
            |row| row.get(0),
        )?;
        if !exists {
            continue;
        }
        let found: Vec<String> = tx
            .prepare(&format!("SELECT DISTINCT {column} FROM {table}"))?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for old in found {
            let Some(new) = old.parse::<MintUrl>().ok().map(|url| canonical(&url).to_string()) else {
                continue;
            };
            if new != old {
                tx.execute(
                    &format!("UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} = ?"),
                    [new, old],
                )?;
            }
        }
    }
    Ok(())
}
