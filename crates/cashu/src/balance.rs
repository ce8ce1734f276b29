//! What there is of each mint's ecash, for whoever may read the wallet's file.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags};

use crate::OpenError;
use crate::record::{self, balances};

/// What there is of one mint's ecash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// The mint.
    pub mint: String,
    /// In the wallet, in sat.
    pub wallet_sat: u64,
    /// The same by payee; under an empty name what nobody is on record for.
    pub payees: BTreeMap<String, u64>,
    /// Paid, locked to us and not redeemed yet, in sat after the mint's fee.
    pub held_sat: u64,
    /// When the first lock of what is held ends, in Unix seconds: from then on others can spend it.
    pub lock_ends_at: Option<u64>,
    /// Paid, locked to us and yet spent by somebody else, in sat.
    pub lost_sat: u64,
    /// Paid out over Lightning so far, in sat.
    pub redeemed_sat: u64,
    /// What paying it out has cost so far, in sat.
    pub redemption_fees_sat: u64,
}

impl Balance {
    /// What there is in this wallet, at one moment. It is only read: it may be in use, or at rest, and no mint is asked.
    ///
    /// # Errors
    /// [`OpenError::NoWallet`], [`OpenError::Database`]
    pub fn read(database: &Path) -> Result<Vec<Self>, OpenError> {
        if !database.exists() {
            return Err(OpenError::NoWallet { path: database.into() });
        }
        let read = || {
            let mut connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.busy_timeout(record::BUSY)?;
            let moment = connection.transaction()?;
            balances::read(&moment)
        };
        read().map_err(|error| OpenError::Unreadable { path: database.into(), reason: error.to_string() })
    }
}
