//! A stream socket as a connection of nginx's event loop, for the module's own use.
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use ngx::ffi::{
    ngx_close_connection, ngx_connection_t, ngx_cycle, ngx_get_connection, ngx_handle_read_event,
    ngx_handle_write_event,
};

use crate::nginx;
use crate::timer::EventHandler;

/// Room made for each read.
const READ_BYTES: usize = 16 * 1024;

/// What became of a read or a write.
pub enum Io {
    /// So many bytes, not 0.
    Done(usize),
    /// Nothing now; the event loop will call again.
    Blocked,
    /// The other end is gone.
    Closed,
    /// An error.
    Failed(io::Error),
}

/// An open socket; closed when dropped.
pub struct Socket(NonNull<ngx_connection_t>);

impl Socket {
    /// Connects to a Unix socket, which never waits: it works at once or not at all.
    ///
    /// # Errors
    /// Nobody listens there, the listener is overrun, or nginx has no connection to spare.
    pub fn connect(path: &Path, on_readable: EventHandler, on_writable: EventHandler) -> io::Result<Self> {
        // SAFETY: makes a descriptor; nothing is passed by pointer.
        let fd = unsafe {
            libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let address = unix_address(path)?;
        let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        // SAFETY: reads `length` bytes of a local struct of that size.
        if unsafe { libc::connect(fd.as_raw_fd(), (&raw const address).cast(), length) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Self::adopt(fd, on_readable, on_writable)
    }

    /// Makes a connected, non-blocking socket part of the event loop.
    ///
    /// # Errors
    /// nginx has no connection to spare (`worker_connections`), or the event loop refuses.
    pub fn adopt(fd: OwnedFd, on_readable: EventHandler, on_writable: EventHandler) -> io::Result<Self> {
        let refused = || io::Error::other("nginx has no connection to spare: raise worker_connections");
        // SAFETY: in a worker `ngx_cycle` is the running cycle. `ngx_get_connection` returns null or a
        // zeroed connection with both events, which is ours until it is closed; from there on the
        // descriptor is closed with it.
        unsafe {
            let log = (*ngx_cycle).log;
            let connection = NonNull::new(ngx_get_connection(fd.as_raw_fd(), log)).ok_or_else(refused)?;
            let socket = Self(connection);
            let _ = fd.into_raw_fd();
            let c = connection.as_ptr();
            (*(*c).read).handler = Some(on_readable);
            (*(*c).write).handler = Some(on_writable);
            (*(*c).read).log = log;
            (*(*c).write).log = log;
            // Writability is asked for when a write blocks: else each byte that the other end takes would
            // wake the event loop.
            if ngx_handle_read_event((*c).read, 0) != nginx::OK { Err(refused()) } else { Ok(socket) }
        }
    }

    /// Is this the connection?
    pub fn is(&self, connection: NonNull<ngx_connection_t>) -> bool {
        self.0 == connection
    }

    /// Appends what can be read now.
    pub fn read(&mut self, into: &mut Vec<u8>) -> Io {
        into.reserve(READ_BYTES);
        let c = self.0.as_ptr();
        // SAFETY: the connection is open until `self` is dropped; `recv` writes at most `READ_BYTES`
        // into the reserved room, and `set_len` counts only what it wrote.
        unsafe {
            let got = libc::recv((*c).fd, into.as_mut_ptr().add(into.len()).cast(), READ_BYTES, 0);
            if got > 0 {
                into.set_len(into.len() + got as usize);
            }
            let outcome = outcome(got);
            if let Io::Blocked = outcome {
                (*(*c).read).set_ready(0);
                ngx_handle_read_event((*c).read, 0);
            }
            outcome
        }
    }

    /// Writes what can be written now.
    pub fn write(&mut self, bytes: &[u8]) -> Io {
        let c = self.0.as_ptr();
        // SAFETY: the connection is open until `self` is dropped; `send` reads `bytes` only.
        unsafe {
            let put = libc::send((*c).fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL);
            let outcome = outcome(put);
            if let Io::Blocked = outcome {
                (*(*c).write).set_ready(0);
                ngx_handle_write_event((*c).write, 0);
            }
            outcome
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: opened by `adopt` and closed here only.
        unsafe { ngx_close_connection(self.0.as_ptr()) };
    }
}

fn outcome(result: isize) -> Io {
    match result {
        0 => Io::Closed,
        1.. => Io::Done(result as usize),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Io::Blocked,
            error if error.kind() == io::ErrorKind::Interrupted => Io::Done(0),
            error => Io::Failed(error),
        },
    }
}

fn unix_address(path: &Path) -> io::Result<libc::sockaddr_un> {
    // SAFETY: a plain C struct for which all-zero is a valid value.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    let path = path.as_os_str().as_bytes();
    let room = size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path);
    if path.len() >= room {
        return Err(io::Error::other("the socket's path is too long"));
    }
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as libc::c_char;
    }
    Ok(address)
}
