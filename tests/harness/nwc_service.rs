//! A wallet service and a relay of Nostr Wallet Connect that others wrote, driven by the rig of `tests/peers/nwc`; the
//! money behind them is the simulator's.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use data_encoding::HEXLOWER;
use lnsim::{InvoiceSpec, InvoiceView, Sim, State};
use serde_json::{Value, json};

use super::sim::hash_from;
use super::stage::Stage;

/// The running rig.
pub struct Service {
    child: Mutex<Child>,
    input: Mutex<Option<ChildStdin>>,
    uri: String,
}

/// Plays a scenario on such a service, or skips it with a word where there is none.
pub fn play(stage: &Stage, scenario: impl FnOnce(&Service)) {
    let dir = place();
    if let Some(reason) = missing(&dir) {
        return stage.skip(reason);
    }
    let (service, output) = Service::start(&dir, &stage.dir().join("nwc-service.log"));
    let secret = service.uri.rsplit("secret=").next().expect("a secret");
    stage.keep_secret(secret);
    thread::scope(|scope| {
        scope.spawn(|| service.answer(output, stage.sim()));
        // The rig ends with its input, and so the thread that answers it, even if the scenario panics.
        let _end = End(&service);
        scenario(&service);
    });
}

/// Where `scripts/npm-peer.sh nwc` puts it.
fn place() -> PathBuf {
    let default =
        || Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join(".cache/nwc");
    std::env::var_os("L402_NWC_DIR").map_or_else(default, PathBuf::from)
}

fn missing(dir: &Path) -> Option<&'static str> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let on_path = |name: &str| std::env::split_paths(&paths).any(|dir| dir.join(name).exists());
    if !on_path("npm") || !on_path("node") {
        Some("skipped: no npm")
    } else if !dir.join("stamp").exists() {
        Some("skipped: not installed, run scripts/npm-peer.sh nwc")
    } else {
        None
    }
}

impl Service {
    /// Returns when the relay serves and the wallet listens.
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

    /// Lets the wallet tell its client of a payment, by the payment hash in hex.
    pub fn tell(&self, sim: &Sim, hash: &str) {
        let invoice = sim.invoice(&hash_from(hash)).expect("an invoice");
        self.say(&json!({ "paid": transaction(&invoice) }));
    }

    /// Answers the wallet's questions out of the simulator, until the rig ends.
    fn answer(&self, questions: impl BufRead, sim: &Sim) {
        for line in questions.lines().map_while(Result::ok) {
            let Ok(question) = serde_json::from_str::<Value>(&line) else { continue };
            let params = &question["params"];
            let mut answer = match question["method"].as_str() {
                Some("make_invoice") => make_invoice(sim, params),
                Some("lookup_invoice") => look_up(sim, params),
                _ => json!({ "result": { "alias": "service", "network": "regtest", "methods": [] } }),
            };
            answer["id"] = question["id"].clone();
            self.say(&answer);
        }
    }

    fn say(&self, value: &Value) {
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

fn make_invoice(sim: &Sim, params: &Value) -> Value {
    let made = sim.create(InvoiceSpec {
        amount_msat: params["amount"].as_u64().expect("an amount"),
        memo: params["description"].as_str().unwrap_or_default().to_owned(),
        expiry_s: params["expiry"].as_u64().unwrap_or_default(),
        ..InvoiceSpec::default()
    });
    match made {
        Ok(invoice) => json!({ "result": transaction(&invoice) }),
        Err(error) => json!({ "error": { "code": "OTHER", "message": error.to_string() } }),
    }
}

fn look_up(sim: &Sim, params: &Value) -> Value {
    match params["payment_hash"].as_str().and_then(|hash| sim.invoice(&hash_from(hash))) {
        Some(invoice) => json!({ "result": transaction(&invoice) }),
        None => json!({ "error": { "code": "NOT_FOUND", "message": "no such invoice" } }),
    }
}

/// As a wallet reports an invoice; its preimage once it is settled.
fn transaction(invoice: &InvoiceView) -> Value {
    let settled = invoice.state == State::Settled;
    json!({
        "type": "incoming", "state": if settled { "settled" } else { "pending" }, "invoice": invoice.bolt11,
        "description": invoice.memo, "description_hash": "",
        "preimage": if settled { HEXLOWER.encode(&invoice.preimage) } else { String::new() },
        "payment_hash": HEXLOWER.encode(&invoice.hash), "amount": invoice.amount_msat, "fees_paid": 0,
        "created_at": invoice.created, "expires_at": invoice.created + invoice.expiry_s,
        "settled_at": settled.then_some(invoice.settled_at),
    })
}
