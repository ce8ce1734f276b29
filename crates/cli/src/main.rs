//! `l402`: a client that pays for what it gets, and decodes what it sees.
//!
//! `args` (text) → `get` or `inspect` (effects) → `report` (all output) → an exit code (`error`).

#![forbid(unsafe_code)]

mod agent_tool;
mod args;
mod ecash;
mod error;
mod get;
mod http;
mod inspect;
mod invoice;
mod offer;
mod pay;
mod place;
mod report;
mod tokens;

use std::io::Read;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;

use args::{AgentArgs, Cli, Command, GetArgs, InspectArgs};
use error::{Failure, Kind};
use report::{Console, Report};
use tokens::Tokens;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    let mut console = Console { out: &mut out, err: &mut err, json: false, quiet: false };
    ExitCode::from(match cli.command {
        Command::Get(args) => {
            console.json = args.json;
            console.quiet = args.quiet;
            get(&args, &mut console)
        }
        Command::Inspect(args) => {
            console.json = args.json;
            inspect(&args, &mut console)
        }
        Command::Doctor(args) => become_l402d("doctor", &args, &mut console),
        Command::Cashu(args) => become_l402d("cashu", &args, &mut console),
    })
}

/// Returns only if that can't be.
fn become_l402d(command: &str, args: &AgentArgs, console: &mut Console<'_>) -> u8 {
    let failure = agent_tool::become_l402d(command, &args.args);
    console.error(&failure);
    failure.kind.code()
}

fn get(args: &GetArgs, console: &mut Console<'_>) -> u8 {
    let mut report = Report::default();
    let result = run_get(args, console, &mut report);
    console.finish(report, result)
}

fn run_get(args: &GetArgs, console: &mut Console<'_>, report: &mut Report) -> Result<(), Failure> {
    // Both TLS clients in here (the site's, the node's) use ring; an error would mean that it was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let path = match &args.tokens {
        Some(path) => path.clone(),
        None => args::default_tokens(&|name| std::env::var_os(name))?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Local, format!("can't start: {error}")))?;
    let (mut get, url) = get::Get::new(args, Tokens::open(&path)?, &now, console)?;
    let result = runtime.block_on(get.run(url));
    *report = get.report;
    result
}

fn inspect(args: &InspectArgs, console: &mut Console<'_>) -> u8 {
    let mut text = String::new();
    if args.text == "-" {
        if let Err(error) = std::io::stdin().lock().take(inspect::MAX_INPUT).read_to_string(&mut text) {
            let failure = Failure::new(Kind::Local, format!("can't read stdin: {error}"));
            console.error(&failure);
            return failure.kind.code();
        }
    } else {
        text.clone_from(&args.text);
    }
    let found = inspect::inspect(&text, now(), args.show_secrets);
    let written = if args.json { console.object(&found) } else { console.text(&found.render(now())) };
    match written {
        Err(_) => Kind::Local.code(),
        Ok(()) if found.problems.is_empty() => 0,
        Ok(()) => Kind::Unusable.code(),
    }
}

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
