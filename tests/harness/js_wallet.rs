//! Wallets in JavaScript that others wrote, driven by the rigs of `tests/peers`; the money behind them is the simulator's.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use lnsim::Sim;
use serde_json::Value;

use super::mint::repository;
use super::stage::Stage;

/// What the wallet asks of the node behind it, by method and parameters: its `result` or `error`.
pub type Node = fn(&Sim, &str, &Value) -> Value;

/// The running rig.
pub struct Service {
    child: Mutex<Child>,
    input: Mutex<Option<ChildStdin>>,
    uri: String,
}

/// Plays a scenario on the wallet of this name, or skips it with a word where there is none.
pub fn play(stage: &Stage, name: &str, node: Node, scenario: impl FnOnce(&Service)) {
    // Where `scripts/npm-peer.sh` puts it.
    let dir = repository().join(".cache").join(name);
    if !dir.join("stamp").exists() {
        return stage.skip("skipped: not installed, run scripts/npm-peer.sh (it needs npm)");
    }
    let (service, output) = Service::start(&dir, &stage.dir().join("peer.log"));
    thread::scope(|scope| {
        scope.spawn(|| service.answer(output, stage.sim(), node));
        // The rig ends with its input, and so the thread that answers it, even if the scenario panics.
        let _end = End(&service);
        scenario(&service);
    });
}

impl Service {
    /// Returns when it serves.
    fn start(dir: &Path, log: &Path) -> (Service, BufReader<ChildStdout>) {
        let mut command = Command::new("node");
        command.arg(dir.join("rig.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(File::create(log).expect("a file")).spawn().expect("node");
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut ready = String::new();
        output.read_line(&mut ready).expect("what the rig says");
        let said: Value = serde_json::from_str(&ready).unwrap_or_default();
        let Some(uri) = said["uri"].as_str() else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the rig did not start: {}", std::fs::read_to_string(log).unwrap_or_default());
        };
        let uri = uri.to_owned();
        (Service { child: Mutex::new(child), input: Mutex::new(input), uri }, output)
    }

    /// What an operator pastes.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Answers the wallet's questions out of the simulator, until the rig ends.
    fn answer(&self, questions: impl BufRead, sim: &Sim, node: Node) {
        for line in questions.lines().map_while(Result::ok) {
            let Ok(question) = serde_json::from_str::<Value>(&line) else { continue };
            let mut answer = node(sim, question["method"].as_str().unwrap_or_default(), &question["params"]);
            answer["id"] = question["id"].clone();
            self.say(&answer);
        }
    }

    /// Tells the rig.
    pub fn say(&self, value: &Value) {
        if let Some(input) = self.input.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // A rig that is gone is noticed by who waits for its answer.
            let _ = writeln!(input, "{value}");
        }
    }
}

/// Ends the rig when it goes.
struct End<'a>(&'a Service);

impl Drop for End<'_> {
    fn drop(&mut self) {
        drop(self.0.input.lock().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.0.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}
