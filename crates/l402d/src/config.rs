//! Where the configuration comes from: command line, environment and file, or nginx's pipe.

use std::{
    fs, io,
    io::Read,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use settings::{AgentConfig, Complaint, Flags, LN_CLIENT_TYPE, SOCKET_GROUP, STATE_DIR, check_private_mode};
use zeroize::Zeroizing;

use crate::{Args, keys, toml_file};

/// The longest configuration that nginx may write: hundreds of backends.
const MAX_PIPE_BYTES: u64 = 4 << 20;

/// What is wrong with the state directory: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It is not there and can't be made.
    #[error("can't make the state directory {}: {source}; make it, owned by the user that l402d runs as, mode 700", path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anyone could put a socket or a database of their own there.
    #[error("the state directory {} can be written by every user (mode {mode:04o}); chmod 700 it", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// From the command line, the environment, and the file that the command line may name: each wins over the next.
///
/// # Errors
/// All that is wrong with it.
pub fn from_arguments(args: &Args) -> Result<AgentConfig, Vec<Complaint>> {
    let (mut config, no_backend) = whatever(args)?;
    if config.backends.is_empty() {
        return Err(vec![no_backend]);
    }
    if let Some(text) = &args.group {
        let group = settings::value::account(text);
        let group = group.ok_or_else(|| vec![SOCKET_GROUP.invalid_as("--group", text.as_bytes())])?;
        config.access.group = Some(group);
    }
    Ok(config)
}

/// The same, where it may name no backend.
///
/// # Errors
/// All that is wrong with it.
pub fn of_wallet(args: &Args) -> Result<AgentConfig, Vec<Complaint>> {
    Ok(whatever(args)?.0)
}

/// What there is, and the complaint for who needs a backend.
fn whatever(args: &Args) -> Result<(AgentConfig, Complaint), Vec<Complaint>> {
    let flags = Flags {
        state_dir: args.state_dir.as_deref().map(|text| ("--state-dir", text)),
        listen: args.listen.as_deref().map(|text| ("--listen", text)),
        ..Flags::default()
    };
    let env = |name: &str| std::env::var(name).ok();
    let read = |path: &Path| fs::read(path);
    let (config, expected) = match &args.config {
        None => (AgentConfig::from_env(&env, &read, &read_private, flags), LN_CLIENT_TYPE.missing()),
        Some(path) => {
            let (file, mut complaints) = toml_file::read(path).map_err(|complaint| vec![complaint])?;
            let config = AgentConfig::from_file(&file, &env, &read, &read_private, flags);
            let config = match config {
                Ok(config) if complaints.is_empty() => Ok(config),
                Ok(_) => Err(complaints),
                Err(more) => {
                    complaints.extend(more);
                    Err(complaints)
                }
            };
            let problem = "defines no backend";
            let expected = "a table [backend.default], or LN_CLIENT_TYPE in the environment";
            (config, Complaint::new(path.display().to_string(), problem, expected))
        }
    };
    Ok((config?, expected))
}

/// Where the l402d listens that these arguments and the environment mean.
///
/// # Errors
/// All that is wrong with it.
pub fn socket(args: &Args) -> Result<PathBuf, Vec<Complaint>> {
    let flags = Flags {
        state_dir: args.state_dir.as_deref().map(|text| ("--state-dir", text)),
        listen: args.listen.as_deref().map(|text| ("--socket", text)),
        ..Flags::default()
    };
    // Of the environment only this: the rest may be for another process.
    let env = |name: &str| std::env::var(name).ok().filter(|_| Some(name) == STATE_DIR.env);
    let read = |path: &Path| fs::read(path);
    AgentConfig::from_env(&env, &read, &read_private, flags).map(|config| config.socket)
}

fn read_private(path: &Path) -> io::Result<Vec<u8>> {
    check_private_mode(fs::metadata(path)?.mode())?;
    fs::read(path)
}

/// The file of root keys that this configuration's l402d reads.
///
/// # Errors
/// All that is wrong with the configuration, or a key that is written in it.
pub fn key_file(config: &Path) -> Result<PathBuf, Vec<Complaint>> {
    let args = Args { config: Some(config.into()), ..Args::default() };
    let config = from_arguments(&args)?;
    match (config.root_keys.file, config.root_keys.keys.is_empty()) {
        (Some(file), _) => Ok(file),
        (None, true) => Ok(config.state_dir.join(keys::FILE)),
        (None, false) => {
            let expected = "a root_key_file, with that key as its first line";
            Err(vec![Complaint::new("root_key", "is written where it can't be replaced", expected)])
        }
    }
}

/// From the pipe that nginx left open, up to its end.
///
/// # Errors
/// The pipe can't be read, or holds something else.
pub fn from_pipe(pipe: OwnedFd) -> Result<AgentConfig, Vec<Complaint>> {
    let mut text = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let pipe = fs::File::from(pipe);
    if let Err(error) = pipe.take(MAX_PIPE_BYTES).read_to_end(&mut text) {
        let problem = format!("can't be read: {error}");
        return Err(vec![Complaint::new(
            "the configuration pipe",
            problem,
            "to be started by the nginx module",
        )]);
    }
    AgentConfig::from_pairs(&text)
}

/// Makes the state directory if it is not there, for this user only.
///
/// # Errors
/// [`StateDirError`]
pub fn prepare_state_dir(path: &Path) -> Result<(), StateDirError> {
    let failed = |source| StateDirError::Make { path: path.into(), source };
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let mode = fs::metadata(path).map_err(failed)?.mode() & 0o7777;
    if mode & 0o002 != 0 {
        return Err(StateDirError::Open { path: path.into(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_state_dir_is_made_private_and_no_open_one_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        prepare_state_dir(&state).unwrap();
        assert_eq!(fs::metadata(&state).unwrap().mode() & 0o777, 0o700);
        prepare_state_dir(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
        let open = prepare_state_dir(&state).unwrap_err().to_string();
        assert!(open.contains("chmod 700"), "{open}");
        let missing = prepare_state_dir(&dir.path().join("a/b")).unwrap_err().to_string();
        assert!(missing.contains("make it"), "{missing}");
    }
}
