//! The machine that the figures are from.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Its processor, cores, kernel, nginx and the date, on one line.
pub fn describe(nginx: &Path) -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = Command::new(nginx).arg("-v").output().map(|said| said.stderr).unwrap_or_default();
    let version = String::from_utf8_lossy(&version).trim().replace("nginx version: ", "");
    let date = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    let date = date.map(|said| said.stdout).unwrap_or_default();
    format!(
        "{}, {cores} cores, Linux {}, {version}, {}",
        model.trim_start_matches([':', '\t', ' ']),
        kernel.trim(),
        String::from_utf8_lossy(&date).trim(),
    )
}

/// The load average of the last minute.
pub fn load_average() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split(' ').next().unwrap_or("?").to_owned()
}
