//! Where a process spends its time, by `perf`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::process::Pid;

/// Symbols with less than this share, in percent, are left out.
const LEAST: &str = "0.8";

/// Symbols that are shown at most.
const TOP: usize = 18;

/// Samples a process for two seconds; its top symbols as lines of text, or why there are none.
///
/// # Errors
/// There is no perf, or it may not look.
pub fn top(pid: Pid, dir: &Path) -> Result<String, String> {
    let data = dir.join("perf.data");
    let mut record = Command::new("perf");
    record.args(["record", "-q", "-e", "cpu-clock", "-F", "1999", "-p", &pid.to_string(), "-o"]).arg(&data);
    record.args(["--", "sleep", "2"]).stdin(Stdio::null());
    let recorded = record.output().map_err(|error| format!("perf: {error}"))?;
    if !recorded.status.success() {
        return Err(format!("perf: {}", String::from_utf8_lossy(&recorded.stderr).trim()));
    }
    let by = |keys: &str, least: &str| -> Result<Vec<String>, String> {
        let mut report = Command::new("perf");
        report.args(["report", "--stdio", "--fields", keys, "--percent-limit", least, "-i"]).arg(&data);
        let said = report.stdin(Stdio::null()).output().map_err(|error| format!("perf: {error}"))?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(lines.map(str::to_owned).collect())
    };
    let objects = by("overhead,dso", LEAST)?;
    let symbols = by("overhead,dso,sym", LEAST)?;
    let symbols = symbols.into_iter().take(TOP);
    Ok(objects.into_iter().chain([String::new()]).chain(symbols).collect::<Vec<_>>().join("\n"))
}
