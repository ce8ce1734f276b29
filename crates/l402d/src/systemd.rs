//! What systemd hands over and is told: the listening socket, readiness.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
};

use listenfd::ListenFd;

/// The listening socket of `l402d.socket`, if systemd started this process for it. Call once, before there
/// are threads.
///
/// # Errors
/// The descriptors are not one Unix stream socket.
pub fn inherited_socket() -> io::Result<Option<UnixListener>> {
    // listenfd takes descriptors without LISTEN_PID too; they would be none of ours.
    if env::var("LISTEN_PID").ok().and_then(|pid| pid.parse().ok()) != Some(std::process::id()) {
        return Ok(None);
    }
    let mut inherited = ListenFd::from_env();
    match inherited.len() {
        0 => Ok(None),
        1 => inherited.take_unix_listener(0),
        more => Err(io::Error::other(format!(
            "systemd handed over {more} sockets; one ListenStream= is expected"
        ))),
    }
}

/// Tells systemd (`Type=notify`) that l402d serves.
pub fn ready() {
    tell("READY=1");
}

/// Tells it that a reload is under way; [`ready`] ends it.
pub fn reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

/// Tells it that l402d ends.
pub fn stopping() {
    tell("STOPPING=1");
}

/// Nothing depends on it: without systemd there is nobody to tell.
fn tell(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return };
    let name = socket.as_encoded_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&socket),
    };
    let told = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = told {
        tracing::warn!(%error, "can't tell systemd: {state}");
    }
}
