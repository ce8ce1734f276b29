//! Whose turn it is with a wallet's ecash: one at a time pays out of it, or gets it back from its mints, over all processes.
//!
//! What is paid out leaves the wallet, so nobody may meanwhile put it in again. Taking payments needs no turn: it only adds.

use std::{fs::File, io, path::Path, time::Duration};

use rustix::fs::{FlockOperation, flock};
use tokio::time::sleep;

use crate::Unavailable;
use crate::private_file;

/// Between two looks at whether the other is done.
const PAUSE: Duration = Duration::from_millis(100);

/// The turn. It ends with this, or with the process.
#[derive(Debug)]
pub(crate) struct Turn {
    _locked: File,
}

impl Turn {
    /// Waits for it. May be dropped meanwhile.
    pub(crate) async fn take(database: &Path) -> Result<Self, Unavailable> {
        let path = database.with_extension("lock");
        let failed =
            |error: io::Error| Unavailable::Store(format!("{} can't be locked: {error}", path.display()));
        let file = private_file::open(&path, database).map_err(failed)?;
        let mut told = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _locked: file }),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error.into())),
            }
            if !told {
                tracing::info!(
                    "another process pays this wallet's ecash out, or restores it; waiting for it"
                );
            }
            told = true;
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn one_has_it_and_the_next_waits() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("cashu.db");
        std::fs::write(&database, "").unwrap();
        let turn = Turn::take(&database).await.unwrap();
        let mode = dir.path().join("cashu.lock").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let next = Turn::take(&database);
        tokio::pin!(next);
        timeout(PAUSE * 3, &mut next).await.unwrap_err();
        drop(turn);
        next.await.unwrap();
    }
}
