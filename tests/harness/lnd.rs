//! The real pair: btcd and two LND nodes, driven by the rig of `tests/peers/lnd`, started once a run.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use lnsim::Sim;
use serde_json::Value;

use super::node::{self, Node};
use super::wallet::{Keys, Wallet};

/// The rig gives a payment 30 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(45);

/// Past the rig's own limits for each step of its start.
const START_LIMIT: Duration = Duration::from_secs(180);

type Waiting = Arc<Mutex<HashMap<String, Sender<Value>>>>;

static PAIR: OnceLock<Result<Arc<Pair>, String>> = OnceLock::new();

/// The running pair.
pub struct Pair {
    rig: Mutex<Rig>,
    waiting: Waiting,
    address: SocketAddr,
    certificate: PathBuf,
    macaroons: PathBuf,
    payer: (SocketAddr, PathBuf, PathBuf),
}

struct Rig {
    child: Child,
    input: Option<ChildStdin>,
    asked: u64,
}

/// Why there is no real pair in this run.
pub fn missing(programs: &Path) -> Option<String> {
    let on_path = |name: &str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).exists()))
    };
    if ["rig", "node", "btcd"].iter().all(|name| programs.join(name).exists()) {
        None
    } else if on_path("go") {
        Some("skipped: not built, run scripts/build-lnd.sh".to_owned())
    } else {
        Some("skipped: no go".to_owned())
    }
}

impl Pair {
    /// The pair of this run; the first caller starts it in `dir`, others wait.
    pub fn shared(programs: &Path, dir: &Path) -> Result<Arc<Self>, String> {
        PAIR.get_or_init(|| Self::start(programs, dir).map(Arc::new)).clone()
    }

    fn start(programs: &Path, dir: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        let log_path = dir.join("rig.log");
        let log = File::create(&log_path).map_err(|error| error.to_string())?;
        let mut command = Command::new(programs.join("rig"));
        command.arg(dir).arg(programs).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(|error| format!("rig: {error}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("piped"));
        let waiting = Waiting::default();
        let (first, started) = mpsc::channel();
        waiting.lock().unwrap_or_else(PoisonError::into_inner).insert("ready".to_owned(), first);
        let inbox = Arc::clone(&waiting);
        thread::spawn(move || sort_answers(BufReader::new(output), &inbox));
        let ready = started.recv_timeout(START_LIMIT).map_err(|_| {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            format!("the LND pair did not start: {log}")
        });
        let mut rig = Rig { child, input, asked: 0 };
        let ready = ready.inspect_err(|_| rig.end())?;
        let (address, certificate, macaroons) = place(&ready)?;
        let payer = place(&ready["payer"])?;
        let payer = (payer.0, payer.1, payer.2.join("admin.macaroon"));
        Ok(Self { rig: Mutex::new(rig), waiting, address, certificate, macaroons, payer })
    }

    /// Ends the pair of this run, if there is one: the rig stops its nodes when its input ends.
    pub fn end_shared() {
        if let Some(Ok(pair)) = PAIR.get() {
            pair.rig.lock().unwrap_or_else(PoisonError::into_inner).end();
        }
    }

    fn ask(&self, verb: &str, argument: &str) -> Result<Value, String> {
        let (sender, receiver) = mpsc::channel();
        self.send(verb, argument, sender)?;
        let answer: Value =
            Receiver::recv_timeout(&receiver, ANSWER_LIMIT).map_err(|error| error.to_string())?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }

    fn send(&self, verb: &str, argument: &str, to: Sender<Value>) -> Result<(), String> {
        let mut rig = self.rig.lock().unwrap_or_else(PoisonError::into_inner);
        rig.asked += 1;
        let id = rig.asked.to_string();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), to);
        let input = rig.input.as_mut().ok_or("the pair has ended")?;
        writeln!(input, "{id} {verb} {argument}").map_err(|error| format!("the rig is gone: {error}"))
    }
}

impl Rig {
    fn end(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Address, certificate and directory of macaroons, as the rig announces them.
fn place(said: &Value) -> Result<(SocketAddr, PathBuf, PathBuf), String> {
    let text = |key: &str| said[key].as_str().ok_or_else(|| format!("no {key} in what the rig said: {said}"));
    let address = text("address")?.parse().map_err(|_| format!("the rig said {said}"))?;
    Ok((address, text("certificate")?.into(), text("macaroons")?.into()))
}

/// Gives each line to who asked for it; the first, which has no id, to who waits for the start.
fn sort_answers(lines: impl BufRead, waiting: &Waiting) {
    for line in lines.lines().map_while(Result::ok) {
        let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
        let id = value["id"].as_str().unwrap_or("ready").to_owned();
        if let Some(asker) = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
            let _ = asker.send(value);
        }
    }
    // The senders go with the map's entries: whoever waits learns at once that the rig has ended.
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

impl Node for Pair {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn certificate(&self) -> PathBuf {
        self.certificate.clone()
    }

    fn macaroon(&self, name: &str) -> PathBuf {
        self.macaroons.join(format!("{name}.macaroon"))
    }

    fn payer(&self) -> (SocketAddr, PathBuf, PathBuf) {
        self.payer.clone()
    }
}

impl Wallet for Pair {
    fn environment(&self) -> Keys {
        node::environment(self)
    }

    fn keys(&self) -> Keys {
        node::keys(self, "invoice")
    }

    fn keys_not_accepted(&self) -> Option<Keys> {
        Some(node::keys(self, "readonly"))
    }

    fn secrets(&self) -> Vec<String> {
        node::secrets(self)
    }

    fn pay(&self, bolt11: &str) -> Result<String, String> {
        let answer = self.ask("pay", bolt11)?;
        answer["preimage"].as_str().map(str::to_owned).ok_or_else(|| format!("no preimage: {answer}"))
    }

    fn cancel(&self, hash: &str) -> Result<(), String> {
        self.ask("cancel", hash).map(drop)
    }

    fn sim(&self) -> Option<&Sim> {
        None
    }

    fn refusal(&self) -> i32 {
        2
    }

    fn as_node(&self) -> Option<&dyn Node> {
        Some(self)
    }
}
