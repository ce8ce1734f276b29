//! The Unix socket: bound so that a predecessor serves until this one does, open to whom it concerns only.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    accounts::{Peers, SocketRights},
    connection::{self, DRAIN, Identity},
    engine::Engine,
    place::{self, Generation, Place},
};

/// The longest path of a Unix socket (`sun_path` less its final zero).
const MAX_PATH: usize = 107;
/// Front ends at once: workers, and those of a former nginx that still serve.
const MAX_CONNECTIONS: usize = 1024;
/// After `accept` failed, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the socket can't be made: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The system takes no path as long as this.
    #[error("the socket path {} is too long; choose a shorter state directory or --listen", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("can't make the socket {}: {source}; its directory must exist and be writable for this user", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Binds beside `path` under a name of this process's own, and takes the name `path` if that is due
/// ([`Place`]): at no moment is there no socket, or one with other permissions. The socket of another process is replaced,
/// never removed.
///
/// # Errors
/// [`BindError`]
pub async fn bind(
    path: &Path,
    rights: SocketRights,
    generation: Generation,
) -> Result<(UnixListener, Place), BindError> {
    let failed = |source| BindError::Io { path: path.into(), source };
    let own = place::beside(path, &std::process::id().to_string());
    if own.as_os_str().len() > MAX_PATH {
        return Err(BindError::TooLong { path: path.into() });
    }
    place::sweep(path);
    // Left by a process that had this id before, which is not alive any more.
    match fs::remove_file(&own) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&own).map_err(failed)?;
    let mut place = Place::new(path, own.clone(), generation);
    if let Some(group) = rights.group {
        std::os::unix::fs::chown(&own, None, Some(group)).map_err(failed)?;
    }
    fs::set_permissions(&own, fs::Permissions::from_mode(rights.mode)).map_err(failed)?;
    place.look().await.map_err(failed)?;
    Ok((listener, place))
}

/// The socket that systemd bound and keeps: it is neither renamed nor removed, and has systemd's permissions.
///
/// # Errors
/// It can't be made non-blocking.
pub fn take(inherited: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    inherited.set_nonblocking(true)?;
    UnixListener::from_std(inherited)
}

/// Serves front ends until `stop` becomes true, then lets what is in flight end.
pub async fn run(
    listener: UnixListener,
    peers: &Peers,
    engine: Arc<Engine>,
    identity: Arc<Identity>,
    mut stop: watch::Receiver<bool>,
) {
    let (mut connections, for_each) = (JoinSet::new(), stop.clone());
    loop {
        tokio::select! {
            // An error means that the sender is gone, which is a stop as well.
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => if is_allowed(&stream, peers) {
                    connections.spawn(connection::serve(stream, engine.clone(), identity.clone(), for_each.clone()));
                },
                Err(error) => {
                    tracing::error!(%error, "can't accept connections; raise the limit of open files");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let end = async {
        while connections.join_next().await.is_some() {}
        engine.settle_undos().await;
    };
    if timeout(DRAIN, end).await.is_err() {
        tracing::info!("stopped before everything in flight had ended");
    }
}

fn is_allowed(stream: &UnixStream, peers: &Peers) -> bool {
    match stream.peer_cred() {
        Ok(peer) if peers.allow(&peer) => true,
        Ok(peer) => {
            tracing::warn!(
                uid = peer.uid(),
                gid = peer.gid(),
                pid = peer.pid(),
                "a connection of another user is refused; name the user of nginx's workers in `allow` (l402d.toml)"
            );
            false
        }
        Err(error) => {
            tracing::warn!(%error, "a connection is refused: the system does not tell whose it is");
            false
        }
    }
}
