//! Starts l402d: a child in a session of its own that has none of nginx's descriptors.
//!
//! `std::process` is no help here: nginx reaps every child in its signal handler, and `std` treats a child
//! that somebody else has reaped as a fault.
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use agent_api::coprocess::{CONFIG_FD, LIFELINE_FD};
use libc::c_int;
use zeroize::Zeroizing;

/// What is started, and what it is told.
pub struct Program {
    /// Its files, the best one first: an upgrade may have taken some away since they were found.
    pub paths: Vec<CString>,
    /// Its configuration; holds secrets.
    pub config: Zeroizing<Vec<u8>>,
    /// When the configuration was read, as text: nanoseconds since the machine started. Of two l402d the
    /// younger serves.
    pub generation: CString,
}

/// A user and group to become.
#[derive(Clone, Copy)]
pub struct Identity {
    /// The user.
    pub user: libc::uid_t,
    /// The group; no others are kept.
    pub group: libc::gid_t,
}

impl Program {
    /// The best file that is there.
    fn path(&self) -> io::Result<&CString> {
        // SAFETY: reads a C string.
        let is_there = |path: &&CString| unsafe { libc::access(path.as_ptr(), libc::X_OK) } == 0;
        self.paths
            .iter()
            .find(is_there)
            .ok_or_else(|| io::Error::other("its file is gone; install l402d again"))
    }
}

/// Forks and runs the program. What is returned is our end of its lifeline: the child ends when that
/// is closed, and it reads as ended when the child is gone.
///
/// # Errors
/// The system's; nothing was started. That the program can't be run shows at the lifeline.
pub fn spawn(program: &Program, become_user: Option<Identity>) -> io::Result<OwnedFd> {
    let path = program.path()?;
    let (ours, theirs) = socket_pair()?;
    let config = config_file(&program.config)?;
    let arguments = [
        path.as_ptr(),
        c"--coprocess".as_ptr(),
        c"--generation".as_ptr(),
        program.generation.as_ptr(),
        std::ptr::null(),
    ];
    let environment = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".as_ptr(), std::ptr::null()];
    let complaint = c"l402: l402d can't be run\n";
    // SAFETY: between fork and exec the child calls only async-signal-safe functions, on memory that was
    // prepared above. Signals are blocked over the fork, so that no handler of nginx's runs in the child.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let child = libc::fork();
        if child == 0 {
            if prepare_child(config.as_raw_fd(), theirs.as_raw_fd(), become_user) {
                libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
            }
            libc::write(2, complaint.as_ptr().cast(), complaint.count_bytes());
            libc::_exit(127);
        }
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        if child < 0 {
            return Err(error);
        }
    }
    Ok(ours)
}

/// In the child: everything of nginx's goes, the two descriptors come to their places.
///
/// # Safety
/// Only in a child that is about to exec, with signals blocked.
unsafe fn prepare_child(config: RawFd, lifeline: RawFd, become_user: Option<Identity>) -> bool {
    // SAFETY: plain system calls on values; the structs are local.
    unsafe {
        libc::setsid();
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        // Out of the way of the places first, then to them; `dup2` leaves them open over exec.
        let config = libc::fcntl(config, libc::F_DUPFD, 10);
        let lifeline = libc::fcntl(lifeline, libc::F_DUPFD, 10);
        if config < 0 || lifeline < 0 {
            return false;
        }
        if libc::dup2(config, CONFIG_FD) < 0 || libc::dup2(lifeline, LIFELINE_FD) < 0 {
            return false;
        }
        // Standard error stays: nginx's error log, for what goes wrong before l402d has its own.
        close_from(libc::STDERR_FILENO + 1);
        if let Some(Identity { user, group }) = become_user
            && (libc::setgroups(0, std::ptr::null()) != 0
                || libc::setgid(group) != 0
                || libc::setuid(user) != 0)
        {
            return false;
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        true
    }
}

/// Closes every descriptor from `first` on.
///
/// # Safety
/// As [`prepare_child`].
unsafe fn close_from(first: c_int) {
    // SAFETY: plain system calls on values; the struct is local.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, 0) == 0 {
            return;
        }
        // A kernel before 5.9.
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        for fd in first..limit.rlim_cur.min(1 << 20) as c_int {
            libc::close(fd);
        }
    }
}

/// Two connected sockets, closed over exec; ours does not block.
fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut pair: [RawFd; 2] = [-1; 2];
    // SAFETY: fills the two descriptors, which nobody else has.
    unsafe {
        if libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr()) != 0
        {
            return Err(io::Error::last_os_error());
        }
        let (ours, theirs) = (OwnedFd::from_raw_fd(pair[0]), OwnedFd::from_raw_fd(pair[1]));
        if libc::fcntl(ours.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((ours, theirs))
    }
}

/// The configuration as a file in memory that has no name: unlike a pipe it takes any length at once, and
/// like one it reads to its end.
fn config_file(config: &[u8]) -> io::Result<OwnedFd> {
    use std::io::{Seek, Write};
    // SAFETY: makes a descriptor that nobody else has.
    let fd = unsafe {
        let fd = libc::memfd_create(c"l402d configuration".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let mut file = std::fs::File::from(fd);
    file.write_all(config)?;
    file.rewind()?;
    Ok(file.into())
}
