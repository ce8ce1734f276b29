//! Scenarios through a real nginx: what operators configure and clients do, on the simulated node and on a real pair
//! of LND nodes.
//!
//! `L402_BUILD_DIR` (default: `build` of this repository) holds the module, `l402d`, `l402` and `lnsim`; `NGINX_BIN`
//! (default: `/usr/sbin/nginx`) is the nginx they were built for; `L402_LND_DIR` (default: `.cache/lnd`) holds what
//! `scripts/build-lnd.sh` makes. `cargo test --release -p scenarios -- lnsim::expiry` runs one. With `L402_THREATS` set only
//! the scenarios of `threats.rs` run, and its table is printed.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic what is wrong")]

mod harness;
mod scenarios;
mod threats;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, getrlimit, setrlimit};

use harness::backends::{self, Backend};
use harness::figures;
use harness::lnd::{self, Pair};
use harness::quirks;
use harness::scenario::{self, Outcome, Run, Tally};
use harness::stage::{FAULTY, Programs, open_to_all};

/// Trials mostly wait for other processes, so more run side by side than there are cores.
const SIDE_BY_SIDE: usize = 6;

/// What the scenarios run.
const PRODUCTS: [&str; 3] = ["ngx_http_l402_module.so", "l402d", "l402"];

/// As many as may be: a crowd of clients is a descriptor each, here and in nginx.
fn open_more_files() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    // Where it can't be had, the scenario that needs it says so.
    let _ = setrlimit(Resource::Nofile, files);
}

fn main() -> ExitCode {
    let mut arguments = libtest_mimic::Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(SIDE_BY_SIDE));
    open_more_files();
    let dir = tempfile::Builder::new().prefix("l402-").tempdir().expect("a temporary directory");
    open_to_all(dir.path());
    let run = Arc::new(run(dir.path()));
    let all = scenarios::all();
    let threats_only = std::env::var_os("L402_THREATS").is_some();
    let wanted = if threats_only { threats::named(&all) } else { all.clone() };
    let mut trials = scenario::trials(&run, &wanted);
    trials.extend(threats::checks(&all));
    if arguments.list {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    if let Err(missing) = copy_products(&run.programs) {
        report(&format!("scenarios: {missing}; run `make build` first"));
        return ExitCode::FAILURE;
    }
    scenario::keep_panics();
    if arguments.filter.is_none() && lnd::missing(&run.lnd_programs).is_none() {
        let run = Arc::clone(&run);
        // The trials that need the pair wait for it and say what is wrong with it.
        std::thread::spawn(move || Pair::shared(&run.lnd_programs, &run.dir.join("lnd")).map(drop));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    Pair::end_shared();
    report(&table(&run));
    report(&matrix(&run));
    report(&figures::table());
    report(&quirks::table());
    if threats_only {
        report(&threats::table(&run.results.lock().unwrap_or_else(PoisonError::into_inner)));
    }
    conclusion.exit_code()
}

fn run(dir: &Path) -> Run {
    let nginx = place("NGINX_BIN", "/usr/sbin/nginx".into());
    Run {
        dir: dir.to_owned(),
        programs: Programs { nginx, built: dir.join("built"), next: dir.join("next") },
        lnd_programs: place("L402_LND_DIR", repository().join(".cache/lnd")),
        tallies: Mutex::default(),
        results: Mutex::default(),
        matrix: Mutex::default(),
    }
}

/// Copies what is under test to where the workers' user can read it.
fn copy_products(programs: &Programs) -> Result<(), String> {
    let from = place("L402_BUILD_DIR", repository().join("build"));
    copy_all(&from, &PRODUCTS, &programs.built)?;
    let faulty = from.join("faulty").join(PRODUCTS[0]);
    if faulty.exists() {
        let to = programs.built.join(FAULTY);
        fs::copy(&faulty, to).map_err(|error| format!("{}: {error}", faulty.display()))?;
    }
    let next = from.join("next");
    if next.exists() { copy_all(&next, &PRODUCTS[..2], &programs.next) } else { Ok(()) }
}

fn copy_all(from: &Path, names: &[&str], to: &Path) -> Result<(), String> {
    fs::create_dir(to).map_err(|error| error.to_string())?;
    open_to_all(to);
    for name in names {
        let product = from.join(name);
        fs::copy(&product, to.join(name)).map_err(|error| format!("{}: {error}", product.display()))?;
    }
    Ok(())
}

/// Where something is: as the environment says, or by default.
fn place(variable: &str, default: PathBuf) -> PathBuf {
    std::env::var_os(variable).map_or(default, PathBuf::from)
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

/// How the scenarios went, a row for each kind of node; and a line for what was skipped.
fn table(run: &Run) -> String {
    let tallies: BTreeMap<_, Tally> = run.tallies.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut text =
        format!("{:<12}{:>10}{:>8}{:>8}{:>9}\n", "backend", "scenarios", "ok", "failed", "skipped");
    for (kind, Tally { passed, failed, skipped }) in &tallies {
        let all = passed + failed + skipped;
        text += &format!("{kind:<12}{all:>10}{passed:>8}{failed:>8}{skipped:>9}\n");
    }
    let skipped = tallies.get("lnd").map_or(0, |tally| tally.skipped);
    if let Some(reason) = lnd::missing(&run.lnd_programs).filter(|_| skipped > 0) {
        text += &format!("{reason} ({skipped} scenarios on a real LND pair)\n");
    }
    text
}

/// Each scenario over all backends, and how it went on each; nothing if none of them ran.
fn matrix(run: &Run) -> String {
    let matrix = run.matrix.lock().unwrap_or_else(PoisonError::into_inner);
    let names: BTreeSet<_> = matrix.keys().map(|(scenario, _)| *scenario).collect();
    if names.is_empty() {
        return String::new();
    }
    let heads: String = backends::ALL.iter().map(|backend| format!("{:>12}", backend.name)).collect();
    let mut text = format!("{:<34}{heads}\n", "scenario over all backends");
    for name in names {
        let cell = |backend: &Backend| match matrix.get(&(name, backend.name)) {
            Some(Outcome::Passed) => "ok",
            Some(Outcome::Failed) => "FAILED",
            Some(Outcome::Skipped) => "skipped",
            None => "-",
        };
        let cells: String = backends::ALL.iter().map(|backend| format!("{:>12}", cell(backend))).collect();
        text += &format!("{name:<34}{cells}\n");
    }
    text
}

/// Writes to standard output.
fn report(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
