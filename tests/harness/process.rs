//! Processes as `/proc` shows them, signals by pid, and the users that tests run as.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

pub use rustix::process::Signal;

use super::wait;

/// A process id.
pub type Pid = u32;

/// Sends `signal` to one process; one that is gone already is no error.
pub fn signal(pid: Pid, signal: Signal) {
    let target = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a pid is positive");
    match rustix::process::kill_process(target, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("signal {signal:?} to {pid}: {error}"),
    }
}

/// Stops a process until [`Signal::CONT`], and returns when all its threads stand: the signal alone returns while some of
/// them may still answer.
pub fn stop(pid: Pid) {
    signal(pid, Signal::STOP);
    wait::until("all its threads to stop", || {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let mut states = threads.map(|thread| stat_in(&thread.path()).map(|(state, _)| state));
        // One that has ended meanwhile has none.
        states.all(|state| matches!(state, Some('T' | 'Z' | 'X') | None)).then_some(())
    });
}

/// Whether the process exists and is no zombie.
pub fn alive(pid: Pid) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

/// The children of a process, zombies excluded.
pub fn children(parent: Pid) -> Vec<Pid> {
    let mut found: Vec<Pid> =
        pids().filter(|pid| stat(*pid).is_some_and(|(state, of)| of == parent && state != 'Z')).collect();
    found.sort_unstable();
    found
}

/// The live processes whose program lies under `dir`.
pub fn running_from(dir: &Path) -> Vec<Pid> {
    let from_here = |pid: &Pid| program(*pid).is_some_and(|program| program.starts_with(dir)) && alive(*pid);
    let mut found: Vec<Pid> = pids().filter(from_here).collect();
    found.sort_unstable();
    found
}

/// The program of a process. Who is not root learns of some, such as l402d, only what they call themselves.
pub fn program(pid: Pid) -> Option<PathBuf> {
    let by_name = || Some(PathBuf::from(command_line(pid).split(' ').next()?));
    fs::read_link(format!("/proc/{pid}/exe")).ok().or_else(by_name)
}

/// The arguments of a process, with spaces between them.
pub fn command_line(pid: Pid) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ").trim().to_owned()
}

/// What the file descriptors of a process point at.
pub fn open_files(pid: Pid) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
}

/// The inodes of all TCP sockets of this machine that listen.
pub fn listening_inodes() -> HashSet<String> {
    const LISTEN: &str = "0A";
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|columns| columns.get(3) == Some(&LISTEN))
        .filter_map(|columns| columns.get(9).map(|inode| (*inode).to_owned()))
        .collect()
}

/// The user id a process runs under.
pub fn user_of(pid: Pid) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Whether the tests run as root, and nginx's workers therefore as [`nobody`].
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// User and group id of `nobody`.
pub fn nobody() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let fields = users.lines().find_map(|line| line.strip_prefix("nobody:")).expect("a user nobody");
    let mut numbers = fields.split(':').skip(1).map(|id| id.parse().expect("a number"));
    (numbers.next().expect("a user id"), numbers.next().expect("a group id"))
}

/// A TCP port of 127.0.0.1 that nobody listens on and that no other caller of this run gets. It lies below
/// the range that the kernel takes for outgoing connections.
pub fn free_port() -> u16 {
    const FIRST: u16 = 18_000;
    const COUNT: u16 = 14_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (u32::from(start) * 7 + u32::from(step)).rem_euclid(u32::from(COUNT)) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn pids() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// State letter and parent.
fn stat(pid: Pid) -> Option<(char, Pid)> {
    stat_in(&PathBuf::from(format!("/proc/{pid}")))
}

/// The same of a process or a thread, by its folder in `/proc`.
fn stat_in(folder: &Path) -> Option<(char, Pid)> {
    let line = fs::read_to_string(folder.join("stat")).ok()?;
    let mut fields = line.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
