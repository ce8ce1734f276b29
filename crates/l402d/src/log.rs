//! What is logged, and where to. No line holds a secret, whatever `RUST_LOG` says.

use std::{
    fs,
    io::{self, IsTerminal},
    os::unix::fs::OpenOptionsExt,
    panic,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, filter::FilterExt, filter::filter_fn, fmt, layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Whose details may be logged. Other crates are cut at `info`: HTTP/2 and TLS layers print headers, and so
/// macaroons, when they are asked for more.
const OURS: [&str; 3] = ["l402d", "lightning", "store"];

/// Why the log can't be written: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file can't be opened.
    #[error("can't open the log {}: {source}", path.display())]
    File {
        /// The log.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `RUST_LOG` is not understood.
    #[error("RUST_LOG is not understood: {0}; expected for example info or l402d=debug")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
}

/// The file that the log goes to; it can be opened anew.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: Mutex<fs::File>,
}

impl LogFile {
    fn open(path: &Path) -> Result<Self, LogError> {
        Ok(Self { path: path.into(), file: Mutex::new(open(path)?) })
    }

    /// Opens the file of that name again, for when it was moved away.
    ///
    /// # Errors
    /// [`LogError`]; the log then goes on where it was.
    pub fn reopen(&self) -> Result<(), LogError> {
        let file = open(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

/// Each line comes as one write.
impl io::Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> Result<fs::File, LogError> {
    let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.map_err(|source| LogError::File { path: path.into(), source })
}

/// Logs to `file` (made with mode 0600), or to standard error.
///
/// # Errors
/// [`LogError`]
pub fn start(file: Option<&Path>, filter: &str) -> Result<Option<Arc<LogFile>>, LogError> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(filter)?
        .and(filter_fn(is_loggable));
    let layer = fmt::layer().with_target(false);
    let registry = tracing_subscriber::registry();
    let file = file.map(LogFile::open).transpose()?.map(Arc::new);
    match file.clone() {
        // Colours are for terminals.
        None => {
            let colours = io::stderr().is_terminal();
            registry.with(layer.with_ansi(colours).with_writer(io::stderr).with_filter(filter)).init();
        }
        Some(file) => registry.with(layer.with_ansi(false).with_writer(file).with_filter(filter)).init(),
    }
    panic::set_hook(Box::new(|info| {
        // Without the message: it may show a value.
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "l402d has a fault; please report this place");
    }));
    Ok(file)
}

fn is_loggable(metadata: &Metadata<'_>) -> bool {
    let root = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO || OURS.contains(&root)
}
