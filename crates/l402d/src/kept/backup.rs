//! Making a backup. Nothing of what is copied is changed, and nobody who writes to it waits.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

use store::snapshot;

use super::{Failed, KEYS, Places, STORE, WALLET, WORDS, files, manifest};
use manifest::Manifest;

/// Copies all there is into a folder that is new or empty.
pub(super) fn backup(places: &Places, dir: &Path) -> Result<Manifest, Failed> {
    let names = present(places)?;
    if names.is_empty() {
        let state_dir = places.config.state_dir.display();
        return Err(format!("there is nothing of l402d's in {state_dir}; name another --state-dir").into());
    }
    prepare(dir)?;
    for name in &names {
        let (from, to) = (places.place(name), dir.join(name));
        match name.as_str() {
            STORE | WALLET => snapshot::copy(&from, &to)?,
            _ => files::copy(&from, &to, None).map_err(files::at(&from))?,
        }
    }
    let manifest = Manifest::of(dir, &names)?;
    manifest.write(dir)?;
    files::sync(&files::directory_of(dir)).map_err(files::at(dir))?;
    Ok(manifest)
}

/// The names of the files that are there.
fn present(places: &Places) -> Result<Vec<String>, Failed> {
    let state_dir = &places.config.state_dir;
    let mut names = Vec::new();
    for name in [KEYS, WORDS, WALLET, STORE] {
        let path = places.place(name);
        if path.try_exists().map_err(files::at(&path))? {
            names.push(name.to_owned());
        }
    }
    for entry in fs::read_dir(state_dir).map_err(files::at(state_dir))? {
        let name = entry.map_err(files::at(state_dir))?.file_name();
        names.extend(name.to_str().filter(|name| manifest::is_lnc_keys(name)).map(str::to_owned));
    }
    Ok(names)
}

/// Makes the folder, for this user only.
fn prepare(dir: &Path) -> Result<(), Failed> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(files::at(dir)(error)),
    }
    if fs::read_dir(dir).map_err(files::at(dir))?.next().is_some() {
        return Err(format!("{} is not empty; name a folder that is new", dir.display()).into());
    }
    let found = fs::metadata(dir).map_err(files::at(dir))?;
    if found.mode() & 0o077 != 0 || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("{} must be yours and closed to others: chmod 700 it", dir.display()).into());
    }
    Ok(())
}
