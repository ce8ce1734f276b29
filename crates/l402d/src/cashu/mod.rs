//! `l402d cashu`: what an operator does with the ecash wallet, beside an l402d that runs, or without one.
//!
//! ```text
//! balance: the wallet's file ─▶ report
//! redeem:  the wallet, its mints, the payees' backends (redeem.rs) ─▶ report
//! restore: the wallet's words, its mints ─▶ report
//! retry:   the wallet's lost payments, its mints ─▶ report
//! ```

mod redeem;
mod report;

use std::{
    error::Error,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use ecash::{Balance, OpenError, Restored, Retried, Till};
use settings::{AgentConfig, CASHU_ECASH_SUPPORT, Complaint, EcashSettings};

use crate::{
    Args,
    args::{Cashu, CashuArgs},
    config, log, till,
};
use report::Report;

/// Nothing could be done: the command line, the configuration, or who runs this.
const USAGE: u8 = 2;

/// What goes wrong deeper down is told as well, on standard error.
const LOGGED: &str = "warn";

type Failed = Box<dyn Error + Send + Sync>;

/// Does it, prints what came of it, and says by the exit code how it went.
pub fn main(command: &Cashu) -> ExitCode {
    // Text for people, where nobody can be told that it can't be written.
    let complain = |text: String| {
        text.lines().for_each(|line| drop(writeln!(io::stderr(), "l402d cashu: {line}")));
        ExitCode::from(USAGE)
    };
    let (Cashu::Balance(args) | Cashu::Redeem(args) | Cashu::Restore(args) | Cashu::Retry(args)) = command;
    let report = match run(command, args) {
        Ok(report) => report,
        Err(error) => return complain(error.to_string()),
    };
    match report.print(&mut io::stdout().lock(), args.json) {
        Err(error) => complain(format!("can't write: {error}")),
        Ok(()) if report.ok => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

fn run(command: &Cashu, args: &CashuArgs) -> Result<Report, Failed> {
    log::start(None, LOGGED)?;
    let arguments =
        Args { config: args.config.clone(), state_dir: args.state_dir.clone(), ..Args::default() };
    let config = config::of_wallet(&arguments).map_err(in_lines)?;
    let database = till::database(config.ecash.as_ref(), &config.state_dir);
    if let Cashu::Balance(_) = command {
        return Ok(Report::of_balances(database.clone(), Balance::read(&database)?));
    }
    let runtime = crate::run::runtime()?;
    let report = runtime.block_on(async {
        match command {
            Cashu::Restore(_) => Ok(Report::of_restored(database, restore(&config).await?)),
            Cashu::Retry(_) => Ok(Report::of_retried(database.clone(), retry(&config, database).await?)),
            Cashu::Redeem(_) | Cashu::Balance(_) => {
                Ok(Report::of_redeemed(database, redeem::redeem(&config).await?))
            }
        }
    });
    // A wallet's task that is stuck is not waited for.
    runtime.shutdown_background();
    report
}

async fn restore(config: &AgentConfig) -> Result<Vec<Restored>, Failed> {
    let options = till::options(ecash_of(config)?, &config.state_dir)?;
    Ok(Till::at_rest(options).await?.restore().await?)
}

async fn retry(config: &AgentConfig, database: PathBuf) -> Result<Vec<Retried>, Failed> {
    let options = till::options(ecash_of(config)?, &config.state_dir)?;
    if !database.exists() {
        return Err(OpenError::NoWallet { path: database }.into());
    }
    Ok(Till::at_rest(options).await?.retry().await?)
}

/// How ecash is taken: without that there are neither mints nor words.
fn ecash_of(config: &AgentConfig) -> Result<&EcashSettings, Failed> {
    let missing = || {
        let expected = "the configuration that l402d has: --config FILE, or the variables of its environment, on with them";
        Complaint::new(CASHU_ECASH_SUPPORT.name(), "is off here", expected).to_string().into()
    };
    config.ecash.as_ref().ok_or_else(missing)
}

fn in_lines(complaints: Vec<Complaint>) -> Failed {
    complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into()
}
