//! What processes have used: processor time and memory, as `/proc` counts them.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::process::Pid;

/// Linux counts in hundredths of a second on every machine that we know (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A process that used less than a tick in so long a time is at rest.
const QUIET: Duration = Duration::from_millis(300);

/// Processor time of a process so far, user and system, in steps of 10 ms.
pub fn cpu(pid: Pid) -> Duration {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = line.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
    // utime and stime are the fields 14 and 15; the state, 3, comes first here.
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

/// Waits until a process is at rest, at most `limit`.
pub fn settle(pid: Pid, limit: Duration) {
    let end = Instant::now() + limit;
    let mut before = cpu(pid);
    while Instant::now() < end {
        thread::sleep(QUIET);
        let now = cpu(pid);
        if now == before {
            return;
        }
        before = now;
    }
}

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// All its resident pages.
    pub rss: u64,
    /// The same, each shared page divided by the number of its users.
    pub pss: u64,
}

/// Memory of a process now.
pub fn memory(pid: Pid) -> Memory {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Memory { rss: of("Rss:").unwrap_or(0), pss: of("Pss:").unwrap_or(0) }
}
