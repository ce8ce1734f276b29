//! The keys of one session, in a file of their own in the state directory.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ::lnc::{PairingPhrase, PublicKey, SecretKey};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

/// Bytes of the session's name that its file is called by: enough to tell sessions apart, of no use to anyone else.
const FINGERPRINT: usize = 8;

/// Where the keys of a session are.
pub(super) struct Keyring(PathBuf);

/// The keys of a session.
pub(super) struct Keys {
    /// The one that the node knows us by.
    pub(super) local: SecretKey,
    /// The node's, once it is paired with.
    pub(super) remote: Option<PublicKey>,
    /// Whether the node has shown that it knows us: then the phrase is of no use any more.
    pub(super) confirmed: bool,
}

impl Keyring {
    pub(super) fn new(state_dir: &Path, phrase: &PairingPhrase) -> Keyring {
        let name = HEXLOWER.encode(&phrase.stream_id().expose()[..FINGERPRINT]);
        Keyring(state_dir.join(format!("lnc-{name}.keys")))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The keys; a session that was never used gets a new one of ours.
    ///
    /// # Errors
    /// The system's, or the file is not what was written.
    pub(super) fn load(&self) -> io::Result<Keys> {
        match fs::File::open(&self.0) {
            Ok(file) => {
                if file.metadata()?.mode() & 0o077 != 0 {
                    return Err(io::Error::other("others may read it (chmod 600)"));
                }
                let text = Zeroizing::new(io::read_to_string(file)?);
                parse(&text).ok_or_else(|| io::Error::other("it is damaged; make a new session"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let local = SecretKey::generate().map_err(io::Error::other)?;
                let keys = Keys { local, remote: None, confirmed: false };
                self.save(&keys)?;
                Ok(keys)
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps the keys: on return they outlive a loss of power.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn save(&self, keys: &Keys) -> io::Result<()> {
        let draft = self.0.with_extension("new");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(format(keys).as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.0)?;
        let directory = self.0.parent().unwrap_or(Path::new("."));
        fs::File::open(directory)?.sync_all()
    }
}

/// The file's text: a word and its value on each line.
fn format(keys: &Keys) -> Zeroizing<String> {
    let local = Zeroizing::new(HEXLOWER.encode(keys.local.expose().as_slice()));
    // One allocation, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str("local ");
    text.push_str(&local);
    text.push('\n');
    if let Some(remote) = &keys.remote {
        text.push_str("remote ");
        text.push_str(&HEXLOWER.encode(&remote.to_bytes()));
        text.push('\n');
    }
    if keys.confirmed {
        text.push_str("confirmed yes\n");
    }
    text
}

fn parse(text: &str) -> Option<Keys> {
    let (mut local, mut remote, mut confirmed) = (None, None, false);
    for line in text.lines() {
        match line.split_once(' ')? {
            ("local", hex) => {
                let bytes = Zeroizing::new(HEXLOWER.decode(hex.as_bytes()).ok()?);
                local = Some(SecretKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()?);
            }
            ("remote", hex) => {
                remote = Some(PublicKey::from_bytes(&HEXLOWER.decode(hex.as_bytes()).ok()?).ok()?);
            }
            ("confirmed", "yes") => confirmed = true,
            _ => return None,
        }
    }
    Some(Keys { local: local?, remote, confirmed })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_made_once_and_kept_for_this_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::new(dir.path(), &PairingPhrase::from_entropy([1; 14]));
        let first = keyring.load().unwrap();
        assert!(first.remote.is_none() && !first.confirmed);
        let remote = SecretKey::generate().unwrap().public_key();
        keyring.save(&Keys { remote: Some(remote), confirmed: true, ..first }).unwrap();
        let again = keyring.load().unwrap();
        assert_eq!((again.remote, again.confirmed), (Some(remote), true));
        assert_eq!(keyring.load().unwrap().local.expose(), again.local.expose());
        assert_eq!(fs::metadata(keyring.path()).unwrap().mode() & 0o777, 0o600);
        let other = Keyring::new(dir.path(), &PairingPhrase::from_entropy([2; 14]));
        assert_ne!(other.path(), keyring.path(), "each session has its own");
    }

    #[test]
    fn a_file_that_is_open_to_others_or_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::new(dir.path(), &PairingPhrase::from_entropy([1; 14]));
        keyring.load().unwrap();
        fs::set_permissions(keyring.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(keyring.load().is_err());
        fs::set_permissions(keyring.path(), fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "local 00\n", "nonsense", "remote 02\n"] {
            fs::write(keyring.path(), text).unwrap();
            assert!(keyring.load().is_err(), "{text}");
        }
    }
}
