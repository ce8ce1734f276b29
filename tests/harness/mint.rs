//! Real Cashu mints and a wallet that pays with their ecash, driven by the rig of `tests/peers/cashu`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

/// The mint that takes no fee.
pub const FREE: usize = 0;
/// The mint that takes 100 ppk for each proof.
pub const FEES: usize = 1;
/// One that takes as much, and whose keyset's id is of version 1. It runs after [`Rig::start_old`].
#[allow(dead_code, reason = "the tests that share this file do without it")]
pub const OLD: usize = 2;

/// The mints that all share who stop none of them.
static SHARED: OnceLock<Rig> = OnceLock::new();

/// The running rig. It ends with this process, and its mints with it.
pub struct Rig {
    /// Where the mints are.
    pub urls: [String; 2],
    /// Where [`OLD`] is.
    #[allow(dead_code, reason = "the tests that share this file do without it")]
    pub old: String,
    pipes: Mutex<Pipes>,
    _child: Child,
    _home: tempfile::TempDir,
}

struct Pipes {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Why there is no real mint in this run.
pub fn missing(root: &Path) -> Option<String> {
    let on_path = |name: &str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).exists()))
    };
    if root.join(".cache/cashu-mint/stamp").exists() {
        None
    } else if on_path("python3") {
        Some("skipped: no mint, run scripts/cashu-mint.sh".to_owned())
    } else {
        Some("skipped: no python3".to_owned())
    }
}

/// The directory of the project.
pub fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().find(|dir| dir.join("scripts/cashu-mint.sh").exists()).expect("within the project")
}

impl Rig {
    /// The mints that all share who stop none of them.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::start(repository()))
    }

    /// Starts both mints and waits until they answer.
    pub fn start(root: &Path) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let program: PathBuf = root.join(".cache/cashu-mint/bin/python");
        let log = std::fs::File::create(home.path().join("log")).expect("a log");
        let mut child = Command::new(program)
            .arg(root.join("tests/peers/cashu/rig.py"))
            .arg(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the rig starts");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut pipes = Pipes { input, output };
        let first = pipes.read();
        let url = |number: usize| first["mints"][number].as_str().expect("the mints' addresses").to_owned();
        let urls = [url(FREE), url(FEES)];
        Self { urls, old: url(OLD), pipes: Mutex::new(pipes), _child: child, _home: home }
    }

    /// Where a mint is.
    #[allow(dead_code, reason = "the tests that share this file do without it")]
    pub fn url(&self, mint: usize) -> &str {
        self.urls.get(mint).unwrap_or(&self.old)
    }

    /// One command of the rig's, as its file describes them.
    pub fn ask(&self, ask: &Value) -> Value {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipes.input, "{ask}").expect("the rig listens");
        let answer = pipes.read();
        assert!(answer["error"].is_null(), "{ask}: {answer}");
        answer
    }

    /// A token: `more` may say `fees`, `lock`, `tags`, `dleq`, `legacy`.
    #[allow(dead_code, reason = "the scenarios, which share this file, look for secrets in every log")]
    pub fn token(&self, mint: usize, sat: u64, more: Value) -> String {
        self.token_with_secrets(mint, sat, more).0
    }

    /// As [`Rig::token`], with what no log may show of it.
    pub fn token_with_secrets(&self, mint: usize, sat: u64, more: Value) -> (String, Vec<String>) {
        let mut ask = json!({"do": "token", "mint": mint, "amount": sat});
        merge(&mut ask, more);
        let answer = self.ask(&ask);
        let secrets = answer["secrets"].as_array().expect("the secrets");
        (text(&answer), secrets.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// The same proofs in another token: `more` may say `reverse`, `legacy`, `unit`, `url`, `dleq`, `forge`, `memo`.
    pub fn reencode(&self, token: &str, more: Value) -> String {
        let mut ask = json!({"do": "reencode", "token": token});
        merge(&mut ask, more);
        text(&self.ask(&ask))
    }

    /// Does something to a mint: `stop`, `start`, `pause`, `resume`.
    pub fn control(&self, what: &str, mint: usize) {
        self.ask(&json!({"do": what, "mint": mint}));
    }

    /// Starts [`OLD`], unless it runs.
    #[allow(dead_code, reason = "the tests that share this file do without it")]
    pub fn start_old(&self) {
        self.control("start", OLD);
    }

    /// Somebody else spends the token.
    pub fn spend(&self, token: &str) {
        self.ask(&json!({"do": "spend", "token": token}));
    }

    /// Its mint takes the token for pending.
    pub fn pend(&self, token: &str) {
        self.ask(&json!({"do": "pend", "token": token}));
    }
}

impl Pipes {
    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the rig answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }
}

fn merge(ask: &mut Value, more: Value) {
    if let (Value::Object(ask), Value::Object(more)) = (ask, more) {
        ask.extend(more);
    }
}

fn text(answer: &Value) -> String {
    answer["token"].as_str().expect("a token").to_owned()
}
