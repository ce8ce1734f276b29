//! The stage of one scenario: a directory of its own, the products linked into it, a backend, and the checks that
//! every scenario ends with: nothing left running, nothing alarming and no secret in any log.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lnsim::Sim;
use tempfile::TempDir;

use super::challenge::Challenge;
use super::node::Node;
use super::process::{self, Signal};
use super::wait;
use super::wallet::Wallet;

/// l402d finishes what is in flight for 2 s when nginx ends; some room for a busy machine.
const AGENT_ENDS: Duration = Duration::from_secs(8);

/// What in nginx's error log is wrong in every scenario that doesn't say otherwise.
const ALARMS: [&str; 6] = ["[alert]", "[crit]", "[emerg]", "panicked", "open socket", "AddressSanitizer"];

/// The module in which any callback can be made to panic, beside the programs if it was built.
pub const FAULTY: &str = "faulty_module.so";

/// Where the things under test are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The nginx binary.
    pub nginx: PathBuf,
    /// A copy of the build directory that users other than ours can read.
    pub built: PathBuf,
    /// The same of what speaks the next protocol; missing where that was not built.
    pub next: PathBuf,
}

/// One scenario's stage.
pub struct Stage {
    dir: TempDir,
    programs: Programs,
    wallet: Arc<dyn Wallet>,
    label: &'static str,
    secrets: Mutex<Vec<String>>,
    tolerated: Mutex<Vec<&'static str>>,
    skipped: Mutex<Option<&'static str>>,
}

impl Stage {
    /// Sets the stage below `under`.
    pub fn set(under: &Path, programs: &Programs, wallet: Arc<dyn Wallet>, label: &'static str) -> Self {
        let dir = tempfile::Builder::new().prefix("stage-").tempdir_in(under).expect("a directory");
        open_to_all(dir.path());
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).expect("a directory");
        for entry in fs::read_dir(&programs.built).expect("the built programs").flatten() {
            fs::hard_link(entry.path(), bin.join(entry.file_name())).expect("a link");
        }
        Self {
            dir,
            programs: programs.clone(),
            secrets: Mutex::new(wallet.secrets()),
            wallet,
            label,
            tolerated: Mutex::default(),
            skipped: Mutex::default(),
        }
    }

    /// A directory of the scenario that every user may enter.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A program or the module, linked into this stage: what runs from there belongs to this scenario.
    pub fn built(&self, name: &str) -> PathBuf {
        self.dir().join("bin").join(name)
    }

    /// The module or l402d that speaks the next protocol.
    pub fn next(&self, name: &str) -> PathBuf {
        self.programs.next.join(name)
    }

    /// The nginx under test.
    pub fn nginx(&self) -> &Path {
        &self.programs.nginx
    }

    /// The backend of this scenario.
    pub fn wallet(&self) -> &dyn Wallet {
        self.wallet.as_ref()
    }

    /// The name of its kind.
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// The node of this scenario, which is about LND.
    pub fn node(&self) -> &dyn Node {
        self.wallet.as_node().expect("a scenario on LND")
    }

    /// The simulator's controls, in a scenario that runs on it only.
    pub fn sim(&self) -> &Sim {
        self.wallet.sim().expect("a scenario on the simulator")
    }

    /// Where the node is.
    pub fn node_address(&self) -> SocketAddr {
        self.node().address()
    }

    /// Asserts how many invoices were asked of the node since the scenario's start, where the node counts. Each is one
    /// that went to a client: nothing is made ahead of what was asked for three times at most, by its price and location.
    #[track_caller]
    pub fn assert_invoices(&self, count: u64) {
        if let Some(sim) = self.wallet.sim() {
            assert_eq!(sim.calls(lnsim::Method::AddInvoice), count, "invoices made");
        }
    }

    /// Pays a challenge; the preimage in hex. No log may ever hold it.
    #[track_caller]
    pub fn pay(&self, challenge: &Challenge) -> String {
        let preimage = self.wallet.pay(&challenge.invoice).unwrap_or_else(|error| panic!("paying: {error}"));
        self.keep_secret(&preimage);
        preimage
    }

    /// Pays a challenge; the credential that follows from it.
    #[track_caller]
    pub fn buy(&self, challenge: &Challenge) -> String {
        challenge.paid_with(&self.pay(challenge))
    }

    /// Says why this backend can't play the scenario, which then returns.
    pub fn skip(&self, reason: &'static str) {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// What [`Stage::skip`] was told.
    pub fn skipped(&self) -> Option<&'static str> {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on no log may hold this text.
    pub fn keep_secret(&self, text: &str) {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }

    /// Lines with this text in them are no alarm: the scenario itself causes them.
    pub fn tolerate(&self, text: &'static str) {
        self.tolerated.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// The l402d processes of this scenario.
    pub fn agents(&self) -> Vec<process::Pid> {
        process::running_from(&self.dir().join("bin"))
    }

    /// Waits until l402d has written so many times that a worker is connected.
    pub fn wait_for_connections(&self, count: usize) {
        const WORDS: &str = "a front end is connected";
        let said = || self.logs().iter().map(|(_, log)| log.matches(WORDS).count()).sum::<usize>();
        wait::until("each worker's connection to l402d", || (said() >= count).then_some(()));
    }

    /// Waits until l402d has heard from the wallet that this was paid.
    pub fn wait_until_settled(&self, challenge: &Challenge) {
        let hash = challenge.macaroon().payment_hash();
        let says_so = |line: &str| line.contains("settled") && line.contains(&hash);
        let said = || self.logs().iter().any(|(_, log)| log.lines().any(says_so));
        wait::until("l402d to hear of the payment", || said().then_some(()));
    }

    /// What is wrong after the scenario's end, whatever it was about. Ends what was left running.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if wait::within(AGENT_ENDS, || self.agents().is_empty().then_some(())).is_none() {
            for pid in self.agents() {
                faults.push(format!("left running: {pid} {}", process::command_line(pid)));
                process::signal(pid, Signal::KILL);
            }
        }
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let tolerated = self.tolerated.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, text) in self.logs() {
            for line in text.lines() {
                let alarm = ALARMS.iter().any(|alarm| line.contains(alarm));
                if alarm && !tolerated.iter().any(|text| line.contains(text)) {
                    faults.push(format!("{path}: {line}"));
                }
                if secrets.iter().any(|secret| line.contains(secret.as_str())) {
                    faults.push(format!("{path} holds a secret: {line}"));
                }
            }
        }
        faults
    }

    /// Every log of the scenario: its name and its text.
    pub fn logs(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        gather(self.dir(), self.dir(), &mut found);
        found.sort();
        found
    }
}

/// Lets every user enter and read a directory.
pub fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("our own directory");
}

fn gather(root: &Path, dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            gather(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let text = fs::read(&path).unwrap_or_default();
            found.push((name, String::from_utf8_lossy(&text).into_owned()));
        }
    }
}
