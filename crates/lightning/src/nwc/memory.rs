//! Keeps in mind, over restarts, that a wallet speaks NIP-44: a relay that hides its info event can't lead back to NIP-04.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use data_encoding::HEXLOWER;

/// A file whose being there says it; `None` within keeps nothing.
pub(super) struct Memory {
    file: Option<PathBuf>,
    noted: AtomicBool,
}

impl Memory {
    /// Of the wallet of this public key, in `dir`.
    pub(super) fn of(dir: Option<&Path>, wallet: &[u8; 32]) -> Memory {
        let file = dir.map(|dir| dir.join(format!("nwc-{}.nip44", HEXLOWER.encode(&wallet[..8]))));
        let noted = file.as_ref().is_some_and(|file| file.exists());
        Memory { file, noted: AtomicBool::new(noted) }
    }

    /// Whether it is known.
    pub(super) fn had_nip44(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
    }

    /// Notes it, the first time.
    pub(super) fn note_nip44(&self) {
        if self.noted.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(file) = &self.file
            && let Err(error) = fs::write(file, b"")
        {
            tracing::warn!(file = %file.display(), %error, "that the wallet speaks NIP-44 is not kept for the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_is_known_to_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let memory = |wallet| Memory::of(Some(dir.path()), wallet);
        assert!(!memory(&[1; 32]).had_nip44());
        memory(&[1; 32]).note_nip44();
        assert!(memory(&[1; 32]).had_nip44());
        assert!(!memory(&[2; 32]).had_nip44());
        Memory::of(None, &[1; 32]).note_nip44();
    }
}
