//! A server and a client of gRPC that others wrote (PyPI `grpcio`), driven by the rig of `tests/peers/grpc`.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::mint::repository;
use super::stage::Stage;

/// The running rig. It ends with this value.
pub struct Peer {
    upstream: String,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    child: Child,
}

impl Peer {
    /// Starts the server; `None`, and the scenario is skipped, where there is no `grpcio`.
    pub fn start(stage: &Stage) -> Option<Self> {
        let home = repository().join(".cache/grpc-peer");
        if !home.join("stamp").exists() {
            stage.skip("skipped: no gRPC peer, run scripts/grpc-peer.sh");
            return None;
        }
        let mut child = Command::new(home.join("bin/python"))
            .arg(repository().join("tests/peers/grpc/rig.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python can be run");
        let input = child.stdin.take().expect("a pipe");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let upstream = read(&mut output)["upstream"].as_str().expect("an address").to_owned();
        Some(Self { upstream, pipes: Mutex::new((input, output)), child })
    }

    /// The server's address, for `grpc_pass`.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// The number of calls that have reached the server.
    pub fn calls(&self) -> u64 {
        self.ask(&json!({"do": "calls"}))["calls"].as_u64().expect("a number")
    }

    /// Calls a method of `shop.Goods` at nginx, with this metadata: `code`, `details`, `answers` and `trailers`.
    pub fn call(&self, to: SocketAddr, method: &str, metadata: Value) -> Value {
        self.ask(&json!({"do": "call", "to": to.to_string(), "method": method, "metadata": metadata}))
    }

    /// The answers of a method to a call that reaches the server.
    pub fn expected(&self, method: &str) -> Value {
        match method {
            "Get" => json!(["one"]),
            "List" => json!(["one", "two", "three"]),
            "Echo" => json!(["a", "b"]),
            other => panic!("no method {other}"),
        }
    }

    fn ask(&self, question: &Value) -> Value {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipes.0, "{question}").expect("the rig reads");
        read(&mut pipes.1)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(from: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).expect("the rig writes");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("the rig wrote {line:?}: {error}"))
}
