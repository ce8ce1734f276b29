//! What there is of each mint's ecash, as the wallet's file says at one moment.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::Balance;

/// The ecash that is not spent, with whose it is. The first table is cdk's.
const IN_WALLET: &str = "
    SELECT proof.mint_url, coalesce(payee, ''), sum(proof.amount)
      FROM proof LEFT JOIN l402_owner ON l402_owner.y = proof.y
     WHERE proof.state = 'UNSPENT' AND proof.unit = 'sat' GROUP BY 1, 2";
const HELD: &str =
    "SELECT mint, sum(net), min(lock_end) FROM l402_payment WHERE state = 1 AND state < 2 GROUP BY mint";
const LOST: &str = "
    SELECT mint, sum(lost + CASE state WHEN 3 THEN net ELSE 0 END)
      FROM l402_payment WHERE state = 3 OR lost > 0 GROUP BY mint";
const PAID_OUT: &str =
    "SELECT mint, sum(amount), sum(spent - amount - change) FROM l402_melt WHERE open = 0 GROUP BY mint";
const EXCHANGED: &str = "SELECT mint, sum(fee) FROM l402_exchange WHERE open = 0 GROUP BY mint";

/// Sees one moment if it is called in a transaction.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Vec<Balance>> {
    let mut all = BTreeMap::new();
    let mut query = connection.prepare_cached(IN_WALLET)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (balance, sat) = (of(&mut all, row.get(0)?), row.get::<_, u64>(2)?);
        balance.wallet_sat += sat;
        balance.payees.insert(row.get(1)?, sat);
    }
    let mut query = connection.prepare_cached(HELD)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let balance = of(&mut all, row.get(0)?);
        (balance.held_sat, balance.lock_ends_at) = (row.get(1)?, row.get(2)?);
    }
    let mut query = connection.prepare_cached(LOST)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        of(&mut all, row.get(0)?).lost_sat = row.get(1)?;
    }
    let mut query = connection.prepare_cached(PAID_OUT)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let balance = of(&mut all, row.get(0)?);
        (balance.redeemed_sat, balance.redemption_fees_sat) = (row.get(1)?, row.get(2)?);
    }
    let mut query = connection.prepare_cached(EXCHANGED)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        of(&mut all, row.get(0)?).redemption_fees_sat += row.get::<_, u64>(1)?;
    }
    Ok(all.into_values().collect())
}

fn of(all: &mut BTreeMap<String, Balance>, mint: String) -> &mut Balance {
    all.entry(mint.clone()).or_insert_with(|| Balance { mint, ..Balance::default() })
}
