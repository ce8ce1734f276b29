//! The tie to the nginx that started a co-process: when nginx's end closes, however it died, l402d stops.

use std::{
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net,
    },
};

use agent_api::coprocess::READY;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// Takes over the two descriptors that nginx left open: the configuration's ([`agent_api::coprocess::CONFIG_FD`],
/// standard input) and the lifeline's ([`agent_api::coprocess::LIFELINE_FD`], standard output).
///
/// # Errors
/// One of them is not there.
pub fn inherited() -> io::Result<(OwnedFd, OwnedFd)> {
    let config = io::stdin().as_fd().try_clone_to_owned()?;
    let lifeline = io::stdout().as_fd().try_clone_to_owned()?;
    let nothing = fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    Ok((config, lifeline))
}

/// The socket pair's end that nginx left open for l402d.
pub struct Lifeline(UnixStream);

impl Lifeline {
    /// Takes the descriptor over.
    ///
    /// # Errors
    /// It is no socket.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let socket = net::UnixStream::from(fd);
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket).map(Self)
    }

    /// Tells nginx that the socket is there.
    ///
    /// # Errors
    /// nginx is gone.
    pub async fn ready(&mut self) -> io::Result<()> {
        self.0.write_all(&[READY]).await
    }

    /// Ends when nginx's end closes.
    pub async fn cut(mut self) {
        let mut ignored = [0; 64];
        while matches!(self.0.read(&mut ignored).await, Ok(read) if read > 0) {}
    }
}
