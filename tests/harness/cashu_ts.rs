//! A wallet that pays with ecash and that others wrote: cashu-ts, driven by the rig of `tests/peers/cashu-ts`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::mint::repository;

/// The running rig. It ends with its input.
pub struct CashuTs {
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    child: Child,
}

impl CashuTs {
    /// Starts it.
    ///
    /// # Errors
    /// Why there is none in this run.
    pub fn start() -> Result<Self, &'static str> {
        let dir = repository().join(".cache/cashu-ts");
        if !dir.join("stamp").exists() {
            return Err("skipped: no cashu-ts, run scripts/npm-peer.sh cashu-ts (it needs npm)");
        }
        let mut command = Command::new("node");
        command.arg(dir.join("rig.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().map_err(|_| "skipped: no node")?;
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Ok(Self { pipes: Mutex::new((input, output)), child })
    }

    /// A token of that mint's ecash, with its secrets; `more` as for [`super::mint::Rig::token`].
    pub fn token(&self, mint: &str, sat: u64, more: &Value) -> (String, Vec<String>) {
        let mut ask = json!({"mint": mint, "amount": sat});
        ask.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let answer = self.ask(&ask);
        let secrets = answer["secrets"].as_array().expect("the secrets");
        let secrets = secrets.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        (answer["token"].as_str().expect("a token").to_owned(), secrets)
    }

    /// What a payment request says: `amount`, `unit`, `mints`, `lock`.
    pub fn read(&self, request: &str) -> Value {
        self.ask(&json!({"request": request}))
    }

    fn ask(&self, ask: &Value) -> Value {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (input, output) = &mut *pipes;
        writeln!(input, "{ask}").expect("the rig listens");
        let mut line = String::new();
        output.read_line(&mut line).expect("the rig answers");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        assert!(answer["error"].is_null(), "{ask}: {answer}");
        answer
    }
}

impl Drop for CashuTs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
