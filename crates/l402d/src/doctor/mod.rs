//! `l402d doctor`: whether each backend can do what selling needs of it, and if not, whose turn it is.
//!
//! ```text
//! without --config: the l402d that runs is asked over its socket ─▶ engine ─▶ exam
//! with --config, or where none runs and the environment names a wallet:      exam
//! ```

mod exam;
mod report;
mod running;

use std::{
    fs,
    io::{self, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use serde::Serialize;
use settings::{AgentConfig, BackendKind, Complaint, LN_CLIENT_TYPE};
use tokio::task::JoinSet;

use crate::{Args, args::Doctor, config, notes::Notes};

pub use exam::examine;
pub use report::{Check, Outcome, Report};
use running::AskError;

/// Nothing could be examined: the command line, the configuration, or who runs this.
const USAGE: u8 = 2;

/// The socket of an l402d that systemd runs (packaging/systemd/l402d.socket).
const SYSTEMD_SOCKET: &str = "/run/l402d/l402d.sock";

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    /// Nothing failed.
    ok: bool,
    /// The socket of the l402d that was asked; null where none was.
    asked: Option<String>,
    backends: &'a [Report],
}

/// The reports, and who was asked for them.
type Found = (Option<String>, Vec<Report>);

/// Examines, prints, and says by the exit code how it went.
pub fn main(args: &Doctor) -> ExitCode {
    // Text for people, where nobody can be told that it can't be written.
    let complain = |line: &str| drop(writeln!(io::stderr(), "l402d doctor: {line}"));
    let found = crate::run::runtime().map_err(|error| vec![error.to_string()]).and_then(|runtime| {
        let found = runtime.block_on(find(args));
        // A wallet's task that is stuck is not waited for.
        runtime.shutdown_background();
        found
    });
    let (asked, backends) = match found {
        Ok(found) => found,
        Err(lines) => {
            lines.iter().for_each(|line| complain(line));
            return ExitCode::from(USAGE);
        }
    };
    let ok = backends.iter().all(Report::is_well);
    if print(&Document { ok, asked, backends: &backends }, args.json).is_err() {
        return ExitCode::from(USAGE);
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(document: &Document<'_>, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, document)?;
        return writeln!(out);
    }
    if let Some(socket) = &document.asked {
        writeln!(out, "asked the l402d at {socket}")?;
    }
    for report in document.backends {
        write!(out, "{report}")?;
    }
    let failing: Vec<_> = document
        .backends
        .iter()
        .filter(|report| !report.is_well())
        .map(|report| report.backend.as_str())
        .collect();
    match failing.as_slice() {
        [] => writeln!(out, "all is well"),
        failing => writeln!(out, "not well: {}", failing.join(", ")),
    }
}

async fn find(args: &Doctor) -> Result<Found, Vec<String>> {
    let given = args.config.is_some();
    let in_env = std::env::var(LN_CLIENT_TYPE.name()).is_ok_and(|kind| !kind.is_empty());
    let arguments = Args {
        config: args.config.clone(),
        listen: args.socket.clone(),
        state_dir: args.state_dir.clone(),
        ..Args::default()
    };
    if given {
        let config = config::from_arguments(&arguments).map_err(in_lines)?;
        return Ok((None, examine_all(&config).await));
    }
    let socket = config::socket(&arguments).map_err(in_lines)?;
    let elsewhere = args.socket.is_none() && args.state_dir.is_none();
    let sockets = [Some(socket), elsewhere.then(|| SYSTEMD_SOCKET.into())];
    let mut nobody = Vec::new();
    for socket in sockets.into_iter().flatten() {
        let shown = socket.display().to_string();
        match running::ask(&socket).await {
            Ok(reports) => return Ok((Some(shown), reports)),
            Err(error @ AskError::Nobody(_)) => nobody.push(format!("{shown}: {error}")),
            Err(error) => return Err(vec![format!("{shown}: {error}")]),
        }
    }
    if in_env {
        let config = config::from_arguments(&arguments).map_err(in_lines)?;
        return Ok((None, examine_all(&config).await));
    }
    nobody.push(
        "start nginx or l402d, say with --state-dir or --socket where its socket is, or what to examine with --config or \
         LN_CLIENT_TYPE"
            .to_owned(),
    );
    Err(nobody)
}

fn in_lines(complaints: Vec<Complaint>) -> Vec<String> {
    complaints.iter().map(ToString::to_string).collect()
}

/// All backends of a configuration at the same time, over connections of this process's own.
async fn examine_all(config: &AgentConfig) -> Vec<Report> {
    // What is noted down here is of no use to anyone else.
    let notes: Arc<dyn lightning::Notes> = Arc::new(Notes(Arc::new(store::Model::new())));
    let mut exams = JoinSet::new();
    let mut reports = Vec::new();
    for backend in &config.backends {
        let mut report = Report {
            backend: backend.name.clone(),
            kind: backend.config.kind().name().to_owned(),
            lines: Vec::new(),
        };
        if let Some(reason) =
            (backend.config.kind() == BackendKind::Lnc).then(|| in_the_way(config)).flatten()
        {
            report.line(Check::Reachable, Outcome::Skipped, reason);
            reports.push(report);
            continue;
        }
        match lightning::open(backend, &notes, &config.state_dir) {
            Ok(wallet) => {
                let name = backend.name.clone();
                exams.spawn(async move {
                    let report = examine(&name, wallet.as_ref()).await;
                    wallet.close().await;
                    report
                });
            }
            Err(error) => {
                report.wrong_setting(error.to_string());
                reports.push(report);
            }
        }
    }
    while let Some(examined) = exams.join_next().await {
        reports.extend(examined.ok());
    }
    reports.sort_by(|one, other| one.backend.cmp(&other.backend));
    reports
}

/// Why a session that serves one client at a time, and whose keys are files in the state directory, is left alone.
pub fn in_the_way(config: &AgentConfig) -> Option<String> {
    if UnixStream::connect(&config.socket).is_ok() {
        return Some("an l402d runs and has this session: leave --config away, and it is asked".to_owned());
    }
    let (Ok(state_dir), Ok(own)) = (fs::metadata(&config.state_dir), fs::metadata(Path::new("/proc/self")))
    else {
        return Some(format!(
            "there is no {} to keep its keys in: start l402d once",
            config.state_dir.display()
        ));
    };
    (state_dir.uid() != own.uid()).then(|| {
        format!("its keys are those of the user with number {}: run this as that user", state_dir.uid())
    })
}
