//! From a configuration to a running l402d, and to its end.

use std::{
    error::Error,
    future::{Future, pending},
    io::{self, Write},
    os::unix::net::UnixListener,
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, set_dumpable_behavior},
};
use settings::{AgentConfig, Complaint};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    Args,
    accounts::{self, Peers, SocketRights},
    args::{Command, RotateKey},
    cashu, config,
    connection::Identity,
    doctor,
    engine::Engine,
    kept,
    keys::{self, Former},
    lifeline::{self, Lifeline},
    listed_payees, log,
    notes::Notes,
    open_store::{self, Opened},
    place::{self, Generation},
    reload::{self, Origin},
    server, systemd, till,
};

/// Threads that serve. The work is waiting, and what is left of it is hashing and frames: handing it over to another thread
/// costs more than it takes. What computes for long does so elsewhere (`apart.rs`).
const THREADS: usize = 1;

type Failed = Box<dyn Error + Send + Sync>;

/// The program: runs until it is stopped. What keeps it from starting is told on standard error, for nginx's
/// error log or the terminal, one line each.
pub fn main(args: &Args) -> ExitCode {
    if let Err(error) = keep_private() {
        return failed(&error.into());
    }
    let result = match &args.command {
        Some(Command::Doctor(args)) => return doctor::main(args),
        Some(Command::Cashu(command)) => return cashu::main(command),
        Some(Command::Backup(args)) => return kept::backup(args),
        Some(Command::Verify(args)) => return kept::verify(args),
        Some(Command::Restore(args)) => return kept::restore(args),
        Some(Command::RotateKey(which)) => rotate_key(which),
        None if args.coprocess => run_coprocess(args.generation),
        None => run_standalone(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Failed) -> ExitCode {
    for line in error.to_string().lines() {
        // If nobody reads it, nobody is there to be told.
        let _ = writeln!(io::stderr(), "l402d: {line}");
    }
    ExitCode::FAILURE
}

fn run_standalone(args: &Args) -> Result<(), Failed> {
    let inherited = systemd::inherited_socket()?;
    let config = config::from_arguments(args).map_err(in_lines)?;
    let (peers, rights) = accounts::resolve(&config.access, own_user()).map_err(in_lines)?;
    if args.check {
        return check(&config);
    }
    let origin = Origin::Arguments(Box::new((args.clone(), config.clone())));
    let tied = Tied { lifeline: None, inherited, peers, rights, origin, generation: place::now() };
    runtime()?.block_on(serve(config, tied))
}

fn run_coprocess(generation: Option<Generation>) -> Result<(), Failed> {
    let (pipe, lifeline) =
        lifeline::inherited().map_err(|error| format!("--coprocess is for the nginx module: {error}"))?;
    let config = config::from_pipe(pipe).map_err(in_lines)?;
    let (peers, rights) = accounts::resolve(&config.access, own_user()).map_err(in_lines)?;
    let origin = Origin::Nginx { given: config.root_keys.clone(), state_dir: config.state_dir.clone() };
    runtime()?.block_on(async {
        let lifeline = Some(Lifeline::new(lifeline)?);
        let generation = generation.unwrap_or_else(place::now);
        serve(config, Tied { lifeline, inherited: None, peers, rights, origin, generation }).await
    })
}

fn rotate_key(which: &RotateKey) -> Result<(), Failed> {
    let file = match (&which.config, &which.state_dir, &which.key_file) {
        (Some(config), _, _) => config::key_file(config).map_err(in_lines)?,
        (_, Some(state_dir), _) => state_dir.join(keys::FILE),
        (_, _, Some(file)) => file.clone(),
        (None, None, None) => return Err("one of --config, --state-dir and --key-file is needed".into()),
    };
    let keep = which.keep.map(|keep| usize::try_from(keep).unwrap_or(usize::MAX));
    let keys = keys::rotate(&file, Former { keep, reusable_only: which.reusable_only })?;
    let mut ids = keys.iter().map(|key| key.id().to_string());
    let (newest, others): (_, Vec<_>) = (ids.next().unwrap_or_default(), ids.collect());
    let others = if others.is_empty() {
        "no other is left".into()
    } else {
        let which = if which.reusable_only { " reusable tokens" } else { "" };
        format!("{} still verify{which}", others.join(", "))
    };
    let file = file.display();
    writeln!(io::stdout(), "{file}: {newest} is new and signs after a reload; {others}")?;
    Ok(())
}

/// The user that l402d runs as.
fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What a start differs in from the other.
struct Tied {
    /// To nginx, for a co-process.
    lifeline: Option<Lifeline>,
    /// The socket that systemd hands over.
    inherited: Option<UnixListener>,
    peers: Peers,
    rights: SocketRights,
    origin: Origin,
    generation: Generation,
}

/// What is made from now on is for this user only, and what is in memory for this process: in a co-process other programs run
/// as the same user. Neither can they trace it, nor does a crash leave the keys in a core file.
fn keep_private() -> io::Result<()> {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Where everything waits.
///
/// # Errors
/// The system's.
pub(crate) fn runtime() -> io::Result<runtime::Runtime> {
    runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()
}

fn in_lines(complaints: Vec<Complaint>) -> Failed {
    complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into()
}

fn check(config: &AgentConfig) -> Result<(), Failed> {
    let runtime = runtime()?;
    let _inside = runtime.enter();
    // Nothing is asked of a wallet here, so it has nothing to note down.
    let notes: Arc<dyn lightning::Notes> = Arc::new(Notes(Arc::new(store::Model::new())));
    for backend in &config.backends {
        lightning::open(backend, &notes, &config.state_dir)?;
    }
    if let Some(settings) = &config.ecash {
        till::options(settings, &config.state_dir)?;
    }
    let backends: Vec<_> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    writeln!(
        io::stdout(),
        "the configuration can be used: state directory {}, socket {}, backends {}",
        config.state_dir.display(),
        config.socket.display(),
        backends.join(", ")
    )?;
    Ok(())
}

async fn serve(config: AgentConfig, tied: Tied) -> Result<(), Failed> {
    let Tied { mut lifeline, inherited, peers, rights, origin, generation } = tied;
    config::prepare_state_dir(&config.state_dir)?;
    let log = log::start(config.log_file.as_deref(), &config.log)?;
    let keys = keys::root_keys(&config.root_keys, &config.state_dir)?;
    let Opened { store, notes, prices, ledger } = open_store::open(&config)?;
    let record = open_store::issued(&config.state_dir);
    let mut wallets = Vec::new();
    for backend in &config.backends {
        // One that can't be opened costs its own locations only; the first call of it says so in the log.
        let wallet = lightning::open(backend, &notes, &config.state_dir)
            .unwrap_or_else(|error| Arc::new(lightning::Unusable::new(backend.config.kind().name(), &error)));
        wallets.push((backend.name.clone(), wallet));
    }
    let till = match &config.ecash {
        Some(settings) => Some(till::open(settings, &config.state_dir, ledger).await?),
        None => None,
    };
    let payout = config.ecash.as_ref().and_then(till::payout);
    let stopped = stopped()?;
    let (ring, told) = watch::channel(keys::to_frames(&keys));
    let reloads = reload::on_signal(origin, log, ring)?;
    let (listener, socket, place) = match inherited {
        Some(socket) => {
            let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
            (server::take(socket)?, path.unwrap_or_default(), None)
        }
        None => {
            let (listener, place) = server::bind(&config.socket, rights, generation).await?;
            (listener, config.socket.clone(), Some(place))
        }
    };
    let mut instance = [0; 16];
    getrandom::fill(&mut instance)?;
    let identity = Arc::new(Identity { instance, keys: told });
    let leaving: Vec<_> = wallets.iter().map(|(_, wallet)| Arc::clone(wallet)).collect();
    let listing = prices.map(|prices| listed_payees::listing(&config, prices, notes));
    let engine = Engine::start_with(wallets, store, record, till, listing);
    reload::report(&keys);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        socket = %socket.display(),
        "l402d listens"
    );
    systemd::ready();
    drop((config, keys));

    let (stop, stopping) = watch::channel(false);
    let server = server::run(listener, &peers, engine.clone(), identity, stopping);
    tokio::pin!(server);
    if let Some(lifeline) = &mut lifeline {
        // A failure means that nginx is gone, and is seen next.
        let _ = lifeline.ready().await;
    }
    let cut = async {
        match lifeline {
            Some(lifeline) => lifeline.cut().await,
            None => pending().await,
        }
    };
    let paid_out = async {
        if let Some(payout) = payout {
            engine.clone().pay_out(payout).await;
        }
        pending::<()>().await;
    };
    let kept = async {
        match place {
            Some(place) => place.keep().await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = &mut server => {}
        () = kept => {}
        () = paid_out => {}
        reason = stopped => tracing::info!(reason, "stopping"),
        () = cut => tracing::info!("nginx is gone or has another l402d; stopping"),
        () = reloads => {}
    }
    systemd::stopping();
    let _ = stop.send(true);
    tokio::join!(server, engine.close());
    // What a wallet gives to one client at a time is wanted by the next l402d.
    for wallet in leaving {
        wallet.close().await;
    }
    Ok(())
}

/// Ends with the name of the signal that stops l402d. It is caught from now on, not from the first poll.
fn stopped() -> io::Result<impl Future<Output = &'static str>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        }
    })
}
