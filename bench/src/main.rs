//! Runs the figures that are named, or all; writes `bench/RESULTS.md` when it was all of them.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;

use bench::harness::lnd::Pair;
use bench::report::{Report, Row};
use bench::stand::Stand;
use bench::{figures, machine};

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = named.iter().find(|name| figures::ALL.iter().all(|(known, _)| known != name)) {
        let known = figures::ALL.map(|(name, _)| name).join(" ");
        say(&format!("bench: no figure {unknown:?}; there are: {known}"));
        return ExitCode::from(2);
    }
    let stand = match Stand::set() {
        Ok(stand) => stand,
        Err(missing) => {
            say(&format!("bench: {missing}"));
            return ExitCode::FAILURE;
        }
    };
    let mut report = Report::new(machine::describe(stand.nginx()));
    let mut failed = false;
    for (name, measure) in figures::ALL {
        if !named.is_empty() && !named.iter().any(|wanted| wanted == name) {
            continue;
        }
        say(&format!("bench: {name} …"));
        let before = machine::load_average();
        if panic::catch_unwind(AssertUnwindSafe(|| measure(&stand, &mut report))).is_err() {
            failed = true;
            report.add(Row::failed(name));
        }
        report.loads.push(format!("{name} {before} → {}", machine::load_average()));
    }
    Pair::end_shared();
    let text = report.markdown();
    say(&text);
    if named.is_empty() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
        if let Err(error) = std::fs::write(&page, &text) {
            say(&format!("bench: {}: {error}", page.display()));
            failed = true;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Writes to standard output.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
