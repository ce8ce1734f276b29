//! Where a process spends its time, by `perf`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::process::Pid;
use crate::report::Report;

/// Symbols with less than this share, in percent, are left out.
const LEAST: &str = "0.8";

/// Symbols that are shown at most.
const TOP: usize = 18;

/// Samples a process for some seconds, in which it has something to do; the top symbols as a part of the report, or why there
/// are none.
pub fn add(of: &str, pid: Pid, seconds: u64, dir: &Path, report: &mut Report) {
    let text = top(pid, seconds, dir).unwrap_or_else(|error| error);
    report.cost(format!("Share of the CPU time of {of} (perf, cpu-clock):\n\n```text\n{text}\n```"));
}

fn top(pid: Pid, seconds: u64, dir: &Path) -> Result<String, String> {
    let data = dir.join("perf.data");
    let mut record = Command::new("perf");
    record.args(["record", "-q", "-e", "cpu-clock", "-F", "1999", "-p", &pid.to_string(), "-o"]).arg(&data);
    record.args(["--", "sleep", &seconds.to_string()]).stdin(Stdio::null());
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
