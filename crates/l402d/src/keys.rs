//! The root keys: the operator's, or those in the state directory, where one is made if there is none; the
//! newest signs, all verify.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use agent_api::{MAX_KEYS, RingKey, Secret32};
use data_encoding::HEXLOWER;
use l402::RootKey;
use rustix::fs::FlockOperation;
use settings::{RootKeys, key_lines};
use zeroize::Zeroizing;

/// The file in the state directory, where the operator gives no key.
pub const FILE: &str = "root.key";

/// What stands before a key in its line where it verifies tokens for any number of requests only.
const REUSABLE_ONLY: &[u8] = b"reusable-only ";

/// Bytes of randomness in a key that is made; the file holds them in hex.
const RANDOM_BYTES: usize = 32;

/// Why there is no root key: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or made.
    #[error("can't read or make the root key {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file can be read by others.
    #[error("the root key {} can be read by other users (mode {mode:03o}): chmod 600 it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key is too short, or the file was cut.
    #[error("{origin}: {source}")]
    Short {
        /// Where it comes from.
        origin: String,
        /// How short it is.
        source: l402::keys::ShortKey,
    },
    /// No front end could be told all of them.
    #[error("{} has {count} keys, and {MAX_KEYS} are the most: remove the lowest, or rotate with --keep", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// How many there are.
        count: usize,
    },
    /// No key may sign.
    #[error("{origin}: its first key is for reusable tokens only, and none signs: l402d rotate-key")]
    NoneSigns {
        /// Where they come from.
        origin: String,
    },
    /// There is nothing to rotate.
    #[error("{} holds no key", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The operator's keys, or those of the state directory; at least one, the newest first.
///
/// # Errors
/// [`KeyError`]
pub fn root_keys(given: &RootKeys, state_dir: &Path) -> Result<Vec<RootKey>, KeyError> {
    if given.keys.is_empty() {
        return own_keys(&state_dir.join(FILE));
    }
    let origin = || match &given.file {
        Some(path) => path.display().to_string(),
        None => "ROOT_KEY or ROOT_KEY_FILE".to_owned(),
    };
    let keys =
        given.keys.iter().map(|material| derive(material.expose(), origin)).collect::<Result<_, _>>()?;
    signs(keys, origin)
}

/// The same keys, of which the first signs.
fn signs(keys: Vec<RootKey>, origin: impl Fn() -> String) -> Result<Vec<RootKey>, KeyError> {
    if keys.first().is_some_and(RootKey::is_for_reusable_only) {
        return Err(KeyError::NoneSigns { origin: origin() });
    }
    Ok(keys)
}

/// As they go to a front end.
pub fn to_frames(keys: &[RootKey]) -> Vec<RingKey> {
    let told = |key: &RootKey| {
        let reusable_only = key.is_for_reusable_only();
        RingKey { secret: Secret32::new(*key.expose()), reusable_only }
    };
    keys.iter().map(told).collect()
}

/// Reads the keys, and makes one first if there is no file.
fn own_keys(path: &Path) -> Result<Vec<RootKey>, KeyError> {
    let failed = |source| KeyError::File { path: path.into(), source };
    let text = match read(path)? {
        Some(text) => text,
        None => {
            make(path).map_err(failed)?;
            read(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?
        }
    };
    parse(path, &text)
}

/// Checks that a file holds keys that can be used.
///
/// # Errors
/// [`KeyError`]
pub fn check(path: &Path) -> Result<(), KeyError> {
    let text = read(path)?.ok_or_else(|| KeyError::Empty { path: path.into() })?;
    parse(path, &text).map(drop)
}

/// Each line is a key, as with ROOT_KEY_FILE: pointing that at this file changes nothing.
fn parse(path: &Path, text: &[u8]) -> Result<Vec<RootKey>, KeyError> {
    let mut keys: Vec<RootKey> = Vec::new();
    for line in key_lines(text) {
        let key = derive(line, || path.display().to_string())?;
        if !keys.iter().any(|known| known.expose() == key.expose()) {
            keys.push(key);
        }
    }
    match keys.len() {
        0 => Err(KeyError::Empty { path: path.into() }),
        1..=MAX_KEYS => signs(keys, || path.display().to_string()),
        count => Err(KeyError::TooMany { path: path.into(), count }),
    }
}

/// A key that is marked with [`REUSABLE_ONLY`] is the key behind the mark.
fn derive(material: &[u8], origin: impl Fn() -> String) -> Result<RootKey, KeyError> {
    let marked = material.strip_prefix(REUSABLE_ONLY);
    let key = RootKey::from_material(marked.unwrap_or(material));
    let key = key.map_err(|source| KeyError::Short { origin: origin(), source })?;
    Ok(key.for_reusable_only(marked.is_some()))
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    let failed = |source| KeyError::File { path: path.into(), source };
    let material = match fs::read(path) {
        Ok(material) => Zeroizing::new(material),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = fs::metadata(path).map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path: path.into(), mode });
    }
    Ok(Some(material))
}

/// What becomes of the former keys when a new one is added.
#[derive(Clone, Copy, Debug, Default)]
pub struct Former {
    /// How many keys are kept, the new one included; `None`: all.
    pub keep: Option<usize>,
    /// They verify reusable tokens only from now on.
    pub reusable_only: bool,
}

/// Adds a new key above those in the file, which is made if it is not there, and keeps so many of them all.
/// The file is replaced whole: whoever reads it meanwhile gets the former keys or the new ones. Returns the
/// keys that are in it now.
///
/// # Errors
/// [`KeyError`]; the file is then as it was.
pub fn rotate(path: &Path, kept: Former) -> Result<Vec<RootKey>, KeyError> {
    let failed = |source| KeyError::File { path: path.into(), source };
    // A link, such as one to a mounted secret, stays; what it points to is replaced.
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(failed(error)),
    };
    let directory = fs::File::open(directory_of(&path)).map_err(failed)?;
    // Two rotations at once: the second one builds on the first.
    rustix::fs::flock(&directory, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    let former = match read(&path) {
        Ok(former) => former,
        // A group may read an operator's file.
        Err(KeyError::Open { mode, .. }) if mode & 0o007 == 0 => {
            Some(Zeroizing::new(fs::read(&path).map_err(failed)?))
        }
        Err(error) => return Err(error),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(64 * 1024));
    text.extend_from_slice(new_key().map_err(failed)?.as_bytes());
    let lines = former.iter().flat_map(|text| key_lines(text));
    for line in lines.take(kept.keep.unwrap_or(usize::MAX) - 1) {
        if kept.reusable_only && !line.starts_with(REUSABLE_ONLY) {
            text.extend_from_slice(REUSABLE_ONLY);
        }
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    let keys = parse(&path, &text)?;
    // Root may rotate the keys of l402d's user, who must be able to read them afterwards.
    let like = |file: &fs::File| {
        let former = fs::metadata(&path).ok();
        let owner = former.as_ref().map_or_else(|| directory.metadata(), |former| Ok(former.clone()))?;
        if rustix::process::geteuid().is_root() {
            fchown(file, Some(owner.uid()), Some(owner.gid()))?;
        }
        match former {
            Some(former) => file.set_permissions(fs::Permissions::from_mode(former.mode() & 0o660)),
            None => Ok(()),
        }
    };
    let draft = draft(&path, &text, like);
    let draft = draft.map_err(failed)?;
    if let Err(error) = fs::rename(&draft, &path) {
        let _ = fs::remove_file(&draft);
        return Err(failed(error));
    }
    directory.sync_all().map_err(failed)?;
    Ok(keys)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new key at random, as a line.
fn new_key() -> io::Result<Zeroizing<String>> {
    let mut random = Zeroizing::new([0; RANDOM_BYTES]);
    getrandom::fill(&mut *random).map_err(io::Error::other)?;
    Ok(Zeroizing::new(HEXLOWER.encode(&*random) + "\n"))
}

/// Writes a text to a file of its own beside `path`, whole and on the disk; its path.
fn draft(path: &Path, text: &[u8], own: impl Fn(&fs::File) -> io::Result<()>) -> io::Result<PathBuf> {
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(io::Error::other)?;
    let draft = directory_of(path).join(format!(".{FILE}.{}", HEXLOWER.encode(&name)));
    let written =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut file| {
            own(&file).and_then(|()| file.write_all(text)).and_then(|()| file.sync_all())
        });
    match written {
        Ok(()) => Ok(draft),
        Err(error) => {
            let _ = fs::remove_file(&draft);
            Err(error)
        }
    }
}

/// Writes a new key beside `path` and links it there: it appears whole and on the disk, and when two make one
/// at once, one of them stays and both read that.
fn make(path: &Path) -> io::Result<()> {
    let draft = draft(path, new_key()?.as_bytes(), |_| Ok(()))?;
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    let _ = fs::remove_file(&draft);
    linked?;
    fs::File::open(directory_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{chown, symlink},
        thread,
    };

    use settings::{MAX_ROOT_KEYS, Secret};

    use super::*;

    fn keep(count: usize) -> Former {
        Former { keep: Some(count), ..Former::default() }
    }

    fn own(dir: &Path) -> Result<Vec<RootKey>, KeyError> {
        root_keys(&RootKeys::default(), dir)
    }

    fn bytes(keys: &[RootKey]) -> Vec<[u8; 32]> {
        keys.iter().map(|key| *key.expose()).collect()
    }

    #[test]
    fn is_made_once_by_whoever_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let keys: Vec<_> = thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| own(dir.path()).unwrap())).collect();
            all.into_iter().map(|one| bytes(&one.join().unwrap())).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]) && keys[0].len() == 1);
        let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap()).collect();
        assert_eq!(files.len(), 1, "no draft is left");
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(files[0].metadata().unwrap().len(), 65);
        // The same key, given by its file.
        let text = fs::read(files[0].path()).unwrap().trim_ascii().to_vec();
        let given = RootKeys { keys: vec![Secret::new(text)], file: None };
        assert_eq!(bytes(&root_keys(&given, dir.path()).unwrap()), keys[0]);
        assert_ne!(bytes(&own(tempfile::tempdir().unwrap().path()).unwrap()), keys[0]);
    }

    #[test]
    fn rotation_adds_a_key_above_and_keeps_as_many_as_are_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let first = bytes(&rotate(&path, Former::default()).unwrap());
        assert_eq!(first.len(), 1, "the first one");
        let second = bytes(&rotate(&path, Former::default()).unwrap());
        assert_eq!((second.len(), second[1]), (2, first[0]));
        assert_ne!(second[0], first[0]);
        assert_eq!(bytes(&own(dir.path()).unwrap()), second);
        let third = bytes(&rotate(&path, keep(2)).unwrap());
        assert_eq!((third.len(), third[1]), (2, second[0]));
        let fourth = bytes(&rotate(&path, keep(1)).unwrap());
        assert_eq!(fourth.len(), 1);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");

        for _ in 1..MAX_KEYS {
            rotate(&path, Former::default()).unwrap();
        }
        let all = bytes(&own(dir.path()).unwrap());
        let many = rotate(&path, Former::default()).unwrap_err().to_string();
        assert!(many.contains("33 keys") && many.contains("--keep"), "{many}");
        assert_eq!((bytes(&own(dir.path()).unwrap()), all.len()), (all, MAX_ROOT_KEYS));
        assert_eq!(MAX_KEYS, MAX_ROOT_KEYS);
    }

    #[test]
    fn rotations_at_once_lose_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let made: Vec<_> = thread::scope(|scope| {
            let all: Vec<_> =
                (0..8).map(|_| scope.spawn(|| rotate(&path, Former::default()).unwrap())).collect();
            all.into_iter().map(|one| *one.join().unwrap()[0].expose()).collect()
        });
        let kept = bytes(&own(dir.path()).unwrap());
        assert_eq!(kept.len(), 8);
        assert!(made.iter().all(|key| kept.contains(key)));
    }

    #[test]
    fn rotation_keeps_the_owner_and_the_link() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, "an operator's key of thirty-two letters").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        let owner =
            if rustix::process::geteuid().is_root() { 61_001 } else { rustix::process::geteuid().as_raw() };
        chown(&real, Some(owner), None).unwrap();
        assert_eq!(rotate(&link, Former::default()).unwrap().len(), 2);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let after = fs::metadata(&real).unwrap();
        assert_eq!((after.uid(), after.mode() & 0o777), (owner, 0o640));
        assert!(fs::read_to_string(&real).unwrap().ends_with("\nan operator's key of thirty-two letters\n"));
    }

    #[test]
    fn former_keys_can_be_left_for_reusable_tokens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let first = rotate(&path, Former::default()).unwrap();
        let reusable_only = Former { reusable_only: true, ..Former::default() };
        for marks in [vec![false, true], vec![false, true, true]] {
            let keys = rotate(&path, reusable_only).unwrap();
            let found: Vec<_> = keys.iter().map(RootKey::is_for_reusable_only).collect();
            assert_eq!(found, marks);
            assert_eq!(keys.last().unwrap().id(), first[0].id(), "it is the same key");
        }
        rotate(&path, Former::default()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("reusable-only ").count(), 2);
        let without_newest: String = text.lines().skip(2).map(|line| format!("{line}\n")).collect();
        fs::write(&path, without_newest).unwrap();
        let unsigned = own(dir.path()).unwrap_err().to_string();
        assert!(unsigned.contains("none signs"), "{unsigned}");
    }

    #[test]
    fn says_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, "short").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        for wrong in [own(dir.path()), rotate(&path, Former::default())] {
            let open = wrong.unwrap_err().to_string();
            assert!(open.contains("chmod 600"), "{open}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for wrong in [own(dir.path()), rotate(&path, Former::default())] {
            let short = wrong.unwrap_err().to_string();
            assert!(short.contains("root.key") && short.contains("32 bytes"), "{short}");
        }
        assert_eq!(fs::read(&path).unwrap(), b"short", "it is as it was");
        fs::write(&path, "\n").unwrap();
        let empty = own(dir.path()).unwrap_err().to_string();
        assert!(empty.contains("holds no key"), "{empty}");
        for wrong in
            [own(&dir.path().join("no")), rotate(&dir.path().join("no").join(FILE), Former::default())]
        {
            let nowhere = wrong.unwrap_err().to_string();
            assert!(nowhere.contains("No such file"), "{nowhere}");
        }
    }
}
