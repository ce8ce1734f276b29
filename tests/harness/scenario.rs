//! A scenario as the runner knows it, and how one becomes trials: one for each node that it runs on.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Completion, Failed, Trial};

use super::backends::{self, Backend};
use super::lnd::{self, Pair};
use super::mint;
use super::stage::{FAULTY, Programs, Stage};
use super::wallet::Wallet;

/// How many of a log's last lines a failure shows.
const TAIL: usize = 40;

/// What a scenario needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A node of any kind: it runs on each.
    Node,
    /// The simulator: for its faults, its clock or its counters, or because the node does not matter.
    Simulator,
    /// A simulated backend: it runs on every kind of [`backends::ALL`].
    Backend,
    /// The simulator, and the module that `scripts/faulty.sh` builds.
    Faults,
    /// The simulator, and the programs that `scripts/next-protocol.sh` builds.
    Next,
    /// A real Cashu mint, beside the simulator.
    Mint,
}

/// One scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name, with its topic in front.
    pub name: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// The scenario itself; it panics where something is not as it should be.
    pub run: fn(&Stage),
}

impl Scenario {
    /// One that runs on every kind of node.
    pub const fn on_nodes(name: &'static str, run: fn(&Stage)) -> Self {
        Self { name, needs: Needs::Node, run }
    }

    /// One that runs on every simulated backend.
    pub const fn on_backends(name: &'static str, run: fn(&Stage)) -> Self {
        Self { name, needs: Needs::Backend, run }
    }

    /// One that runs on the simulator only.
    pub const fn on_simulator(name: &'static str, run: fn(&Stage)) -> Self {
        Self { name, needs: Needs::Simulator, run }
    }

    /// One that runs with the module in which callbacks can be made to panic.
    pub const fn on_faults(name: &'static str, run: fn(&Stage)) -> Self {
        Self { name, needs: Needs::Faults, run }
    }

    /// One that runs with the programs that speak the next protocol between the module and l402d.
    pub const fn on_next(name: &'static str, run: fn(&Stage)) -> Self {
        Self { name, needs: Needs::Next, run }
    }

    /// One that runs on the simulator and a real mint.
    pub const fn on_mint(name: &'static str, run: fn(&Stage)) -> Self {
        Self { name, needs: Needs::Mint, run }
    }
}

/// How the scenarios of one kind of node went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
}

/// What all trials of a run share.
pub struct Run {
    /// The run's directory.
    pub dir: PathBuf,
    /// What is under test.
    pub programs: Programs,
    /// Where `rig`, `node` and `btcd` are, if they are.
    pub lnd_programs: PathBuf,
    /// By kind of node.
    pub tallies: Mutex<BTreeMap<&'static str, Tally>>,
    /// By scenario: whether it passed on each node that it ran on.
    pub results: Mutex<BTreeMap<&'static str, bool>>,
    /// By scenario over all backends and by backend.
    pub matrix: Mutex<BTreeMap<(&'static str, &'static str), Outcome>>,
}

/// How a trial went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Passed.
    Passed,
    /// Failed.
    Failed,
    /// Skipped.
    Skipped,
}

/// What a trial runs on.
#[derive(Clone, Copy)]
enum Kind {
    /// One of [`backends::ALL`].
    Simulated(&'static Backend),
    /// The real pair.
    Lnd,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Self::Simulated(backend) => backend.name,
            Self::Lnd => "lnd",
        }
    }
}

/// All trials: on the simulator first, then on the other simulated backends, then on the real pair, which starts
/// meanwhile.
pub fn trials(run: &Arc<Run>, scenarios: &[Scenario]) -> Vec<Trial> {
    let of = |kind: Kind, needs: &'static [Needs]| {
        let concerned = scenarios.iter().filter(|scenario| needs.contains(&scenario.needs));
        concerned.map(move |scenario| trial(run, *scenario, kind))
    };
    const ON_FIRST: &[Needs] =
        &[Needs::Node, Needs::Simulator, Needs::Backend, Needs::Faults, Needs::Next, Needs::Mint];
    let first = of(Kind::Simulated(&backends::ALL[0]), ON_FIRST);
    let others = backends::ALL[1..].iter();
    let others = others.flat_map(|backend| of(Kind::Simulated(backend), &[Needs::Backend]));
    first.chain(others).chain(of(Kind::Lnd, &[Needs::Node])).collect()
}

fn trial(run: &Arc<Run>, scenario: Scenario, kind: Kind) -> Trial {
    let run = Arc::clone(run);
    Trial::ignorable_test(format!("{}::{}", kind.label(), scenario.name), move || {
        let result = perform(&run, scenario, kind);
        let outcome = match &result {
            Ok(Completion::Ignored { .. }) => Outcome::Skipped,
            Ok(Completion::Completed) => Outcome::Passed,
            Err(_) => Outcome::Failed,
        };
        let mut tallies = run.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.entry(kind.label()).or_default();
        match outcome {
            Outcome::Skipped => tally.skipped += 1,
            Outcome::Passed => tally.passed += 1,
            Outcome::Failed => tally.failed += 1,
        }
        drop(tallies);
        if scenario.needs == Needs::Backend {
            let mut matrix = run.matrix.lock().unwrap_or_else(PoisonError::into_inner);
            matrix.insert((scenario.name, kind.label()), outcome);
        }
        if outcome != Outcome::Skipped {
            let mut results = run.results.lock().unwrap_or_else(PoisonError::into_inner);
            *results.entry(scenario.name).or_insert(true) &= result.is_ok();
        }
        result
    })
}

fn perform(run: &Run, scenario: Scenario, kind: Kind) -> Result<Completion, Failed> {
    if scenario.needs == Needs::Faults && !run.programs.built.join(FAULTY).exists() {
        return Ok(Completion::ignored_with("the module with faults was not built (scripts/faulty.sh)"));
    }
    if scenario.needs == Needs::Next && !run.programs.next.exists() {
        return Ok(Completion::ignored_with("the next protocol was not built (scripts/next-protocol.sh)"));
    }
    if scenario.needs == Needs::Mint
        && let Some(reason) = mint::missing(mint::repository())
    {
        return Ok(Completion::ignored_with(reason));
    }
    let wallet: Arc<dyn Wallet> = match kind {
        Kind::Simulated(backend) => (backend.start)(),
        Kind::Lnd => match lnd::missing(&run.lnd_programs) {
            Some(reason) => return Ok(Completion::ignored_with(reason)),
            None => Pair::shared(&run.lnd_programs, &run.dir.join("lnd"))?,
        },
    };
    let stage = Stage::set(&run.dir, &run.programs, wallet, kind.label());
    let played = panic::catch_unwind(AssertUnwindSafe(|| (scenario.run)(&stage)));
    let mut faults = stage.faults();
    if let Err(panic) = played {
        faults.insert(0, said(panic.as_ref()));
    }
    if faults.is_empty() {
        return Ok(stage.skipped().map_or(Completion::Completed, Completion::ignored_with));
    }
    let logs = stage.logs().into_iter().map(|(name, text)| format!("--- {name}\n{}", tail(&text)));
    Err(Failed::from(format!("{}\n{}", faults.join("\n"), logs.collect::<Vec<_>>().join("\n"))))
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps each panic's place for the report of its trial, instead of printing it between the results of others.
pub fn keep_panics() {
    panic::set_hook(Box::new(|info| PANIC.set(Some(info.to_string()))));
}

/// What a panic said, and where if it was on this thread.
fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let text = text.unwrap_or_else(|| "a panic without words".to_owned());
    PANIC.take().filter(|whole| whole.contains(&text)).unwrap_or(text)
}
