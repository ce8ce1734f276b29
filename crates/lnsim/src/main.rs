//! The program `lnsim`: a simulated node until SIGTERM, SIGINT or, if asked for, the end of its standard input.
#![forbid(unsafe_code)]

mod doors;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lnsim::{Fault, Sim, SimOptions};

/// A simulated Lightning node that answers as LND does, and through other doors as other wallets do.
///
/// Prints `ready lnd=ADDRESS dir=DIR` when it serves; for each door there is a file DIR/DOOR.env then, with the environment that
/// leads l402d to it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// LND's directory: certificate and macaroons are written below it.
    #[arg(long)]
    dir: PathBuf,
    /// Where LND's gRPC interface listens; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What else is opened, with commas between them.
    #[arg(long = "door", value_name = "DOOR", value_delimiter = ',')]
    doors: Vec<doors::Door>,
    /// What goes wrong, as KIND[=ARGUMENT][@CALL][*COUNT], such as delay=200@AddInvoice, refuse=14:busy*3,
    /// expiry=60 or unknown,until=settled@LookupInvoice; repeatable.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// What the payer begins with, msat.
    #[arg(long, default_value_t = SimOptions::default().balance_msat)]
    balance_msat: u64,
    /// What the routing of each payment costs, msat.
    #[arg(long, default_value_t = 0)]
    fee_msat: u64,
    /// Stop when standard input ends.
    #[arg(long)]
    until_stdin_closes: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("lnsim: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text.push_str(&format!(": {error}"));
                cause = error.source();
            }
            // Standard error is the last resort; if it is gone, the exit code still tells.
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before anything is said: who reads "ready" may send a signal at once.
    let end = {
        let _guard = runtime.enter();
        End::new()?
    };
    let sim = Sim::start(SimOptions {
        listen: arguments.listen,
        dir: Some(arguments.dir),
        balance_msat: arguments.balance_msat,
        fee_msat: arguments.fee_msat,
        faults: arguments.faults,
    })?;
    let _open = doors::Open::all(&sim, &arguments.doors)?;
    let mut out = io::stdout();
    writeln!(out, "ready lnd={} dir={}", sim.lnd_address(), sim.dir().display())?;
    out.flush()?;
    runtime.block_on(end.wait(arguments.until_stdin_closes));
    // A blocked read of standard input must not keep the program alive.
    runtime.shutdown_background();
    Ok(())
}

/// The signals that end the program.
struct End {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl End {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self, or_stdin: bool) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = stdin_end(), if or_stdin => {}
        }
    }
}

/// Waits for the end of standard input; what comes before is thrown away.
async fn stdin_end() {
    // An error of the read or of its thread is an end, too.
    let _ = tokio::task::spawn_blocking(|| {
        let mut stdin = io::stdin().lock();
        let mut bytes = [0; 1024];
        while stdin.read(&mut bytes).is_ok_and(|count| count > 0) {}
    })
    .await;
}
