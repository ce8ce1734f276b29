//! Putting a backup back, where no l402d is and none of the files.
//!
//! The root keys come first, and the former ones are for reusable tokens only before any of them is in its place: whatever
//! goes wrong afterwards, nothing that was used since the backup is sold again.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use super::{Failed, KEYS, Places, WALLET, files, manifest::Manifest};
use crate::{
    config,
    keys::{self, Former},
};

/// Restores, and says what the operator does next.
pub(super) fn restore(places: &Places, dir: &Path, manifest: &Manifest) -> Result<String, Failed> {
    let state_dir = &places.config.state_dir;
    config::prepare_state_dir(state_dir)?;
    refuse_where_one_runs(places)?;
    let names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    if let Some(path) = names.iter().flat_map(|name| occupied(&places.place(name))).next() {
        let error = format!("{} is there already: move it away first, and keep it", path.display());
        return Err(error.into());
    }
    let keys_rotated = restore_keys(places, dir, &names)?;
    for name in names.iter().filter(|name| **name != KEYS) {
        let to = places.place(name);
        put(&dir.join(name), &to, state_dir, |_| Ok(()))?;
    }
    Ok(next(keys_rotated, names.contains(&WALLET)))
}

fn refuse_where_one_runs(places: &Places) -> Result<(), Failed> {
    let own = places.config.state_dir.join("l402d.sock");
    for socket in [&places.config.socket, &own] {
        if UnixStream::connect(socket).is_ok() {
            return Err(format!("an l402d runs and listens at {}: stop it first", socket.display()).into());
        }
    }
    Ok(())
}

/// The file, and what SQLite keeps beside it, as far as they are there.
fn occupied(path: &Path) -> Vec<PathBuf> {
    let beside = ["", "-wal", "-shm", "-journal"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    beside.into_iter().filter(|path| fs::symlink_metadata(path).is_ok()).collect()
}

/// Adds a key, and leaves the others to reusable tokens. `false`: this command does not know where they are.
fn restore_keys(places: &Places, dir: &Path, names: &[&str]) -> Result<bool, Failed> {
    let former = Former { reusable_only: true, ..Former::default() };
    let given = &places.config.root_keys;
    if let Some(file) = &given.file {
        keys::rotate(file, former)?;
        return Ok(true);
    }
    if !given.keys.is_empty() {
        let error = "ROOT_KEY is written where it can't be replaced: write it to a file, name that with ROOT_KEY_FILE \
                     in its place, and restore again";
        return Err(error.into());
    }
    if !names.contains(&KEYS) {
        return Ok(false);
    }
    put(&dir.join(KEYS), &places.place(KEYS), &places.config.state_dir, |draft| {
        keys::rotate(draft, former)?;
        Ok(())
    })?;
    Ok(true)
}

/// Copies a file beside its place, changes it there, and moves it in.
fn put(
    from: &Path,
    to: &Path,
    state_dir: &Path,
    change: impl FnOnce(&Path) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let directory = files::directory_of(to);
    let draft = directory.join(format!(".restored.{}", std::process::id()));
    let moved = files::copy(from, &draft, Some(state_dir))
        .map_err(files::at(&draft))
        .and_then(|()| change(&draft))
        .and_then(|()| fs::rename(&draft, to).map_err(files::at(to)))
        .and_then(|()| files::sync(&directory).map_err(files::at(&directory)));
    if moved.is_err() {
        // It may be gone already; what matters is told.
        let _ = fs::remove_file(&draft);
    }
    moved
}

fn next(keys_rotated: bool, ecash: bool) -> String {
    let mut text = String::from("next:\n");
    if keys_rotated {
        text += "  a new root key signs; tokens of the former ones are good only where they are reusable\n";
    } else {
        text += "  BEFORE l402d starts: l402d rotate-key --key-file FILE --reusable-only, with the file of your root keys\n";
    }
    if ecash {
        text += "  ecash: with CASHU_P2PK_MODE, make a new CASHU_P2PK_PRIVATE_KEY; then l402 cashu restore\n";
    }
    text + "  then start l402d; docs/guides/backup.md says why\n"
}

#[cfg(test)]
mod tests {
    use super::{super::STORE, *};

    #[test]
    fn what_sqlite_keeps_beside_a_database_is_in_the_way_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(STORE);
        assert!(occupied(&path).is_empty());
        fs::write(dir.path().join("l402.db-wal"), "").unwrap();
        assert_eq!(occupied(&path), [dir.path().join("l402.db-wal")]);
    }
}
