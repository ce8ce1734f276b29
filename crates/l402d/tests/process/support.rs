//! A real l402d process on a simulated node, and a front end to talk to it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use agent_api::{FromAgent, PROTOCOL, Proof, RingKey, Secret32, ToAgent};
use lnsim::{Permit, Sim};
use settings::{Access, AgentConfig, RootKeys, named_backend};

/// No answer takes this long, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the environment of a standalone l402d says of the simulated node.
pub fn command(sim: &Sim, state_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_l402d"));
    command
        .env_clear()
        .env("LN_CLIENT_TYPE", "LND")
        .env("LND_ADDRESS", sim.lnd_address())
        .env("MACAROON_FILE_PATH", sim.macaroon_path(Permit::Invoice))
        .env("CERT_FILE_PATH", sim.tls_cert_path())
        .env("RUST_LOG", "debug")
        .args(["--state-dir".as_ref(), state_dir.as_os_str()]);
    command
}

/// The same as nginx hands it over.
pub fn agent_config(sim: &Sim, state_dir: &Path) -> AgentConfig {
    let path = |path: PathBuf| path.to_str().unwrap().to_owned();
    let pairs = [
        ("type", "lnd".to_owned()),
        ("address", sim.lnd_address()),
        ("macaroon", path(sim.macaroon_path(Permit::Invoice))),
        ("cert", path(sim.tls_cert_path())),
    ];
    AgentConfig {
        state_dir: state_dir.into(),
        socket: state_dir.join("l402d.sock"),
        log_file: Some(state_dir.join("l402d.log")),
        log: "trace".into(),
        backends: vec![named_backend("default", &pairs, &|path: &Path| std::fs::read(path)).unwrap()],
        redis: None,
        root_keys: RootKeys::default(),
        ecash: None,
        access: Access::default(),
    }
}

/// A running l402d. Killed when it is dropped.
pub struct Daemon {
    child: Child,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    pub socket: PathBuf,
}

impl Daemon {
    /// Starts it by itself and waits until it listens.
    pub fn start(sim: &Sim, state_dir: &Path) -> Self {
        Self::start_with(command(sim, state_dir), state_dir)
    }

    pub fn start_with(mut command: Command, state_dir: &Path) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("l402d listens") {
            assert_ne!(lines.read_line(&mut said).unwrap(), 0, "it ended: {said}");
        }
        Self::with(child, lines, said, state_dir)
    }

    /// Starts it as nginx does, and waits for the byte that says that it listens.
    pub fn start_coprocess(config: &AgentConfig) -> (Self, UnixStream) {
        let (read, mut write) = std::io::pipe().unwrap();
        let (mut lifeline, theirs) = UnixStream::pair().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_l402d"))
            .env_clear()
            .arg("--coprocess")
            .stdin(OwnedFd::from(read))
            .stdout(OwnedFd::from(theirs))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        write.write_all(&config.to_pairs()).unwrap();
        drop(write);
        let lines = BufReader::new(child.stderr.take().unwrap());
        let daemon = Self::with(child, lines, String::new(), &config.state_dir);
        lifeline.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut ready = [0];
        let read = lifeline.read(&mut ready).unwrap();
        assert_eq!((read, ready), (1, [agent_api::coprocess::READY]), "{}", daemon.stderr());
        (daemon, lifeline)
    }

    fn with(child: Child, mut lines: BufReader<ChildStderr>, said: String, state_dir: &Path) -> Self {
        let stderr = Arc::new(Mutex::new(said));
        let into = stderr.clone();
        let reader = thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                into.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Self { child, stderr, reader: Some(reader), socket: state_dir.join("l402d.sock") }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub fn connect(&self) -> Front {
        Front::connect(&self.socket)
    }

    /// Sends a signal by the shell's own `kill`.
    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Sends a signal and waits for the end.
    pub fn stop(mut self, signal: &str) -> (ExitStatus, String) {
        self.signal(signal);
        self.wait()
    }

    /// Waits until it has logged this.
    pub fn wait_for(&self, text: &str) {
        let end = std::time::Instant::now() + PATIENCE;
        while !self.stderr().contains(text) {
            assert!(std::time::Instant::now() < end, "no {text:?} in {}", self.stderr());
            thread::yield_now();
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status, self.stderr())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A front end: says Hello, asks, and reads answers.
pub struct Front {
    pub stream: UnixStream,
    buffer: Vec<u8>,
    next_id: u64,
    pub keys: Vec<Secret32>,
}

fn secrets(keys: Vec<RingKey>) -> Vec<Secret32> {
    keys.into_iter().map(|key| key.secret).collect()
}

impl Front {
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut front = Self { stream, buffer: Vec::new(), next_id: 1, keys: Vec::new() };
        front.send(&ToAgent::Hello { protocol: PROTOCOL, pid: std::process::id() });
        let Some(FromAgent::Welcome { keys, .. }) = front.read() else { panic!("no welcome") };
        front.keys = secrets(keys);
        front
    }

    pub fn send(&mut self, frame: &ToAgent) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next frame; `None` when the connection is closed.
    pub fn read(&mut self) -> Option<FromAgent> {
        loop {
            if let Some((frame, consumed)) = FromAgent::decode(&self.buffer).unwrap() {
                self.buffer.drain(..consumed);
                return Some(frame);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    /// Keys that come by themselves.
    pub fn read_keys(&mut self) -> Vec<Secret32> {
        match self.read() {
            Some(FromAgent::Welcome { keys, .. }) => secrets(keys),
            other => panic!("{other:?}"),
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn invoice(&mut self, amount_msat: u64) -> FromAgent {
        let id = self.id();
        let (backend, description) = ("default".to_owned(), "GET /a".to_owned());
        self.send(&ToAgent::Invoice {
            id,
            backend,
            amount_msat,
            description,
            path: String::new(),
            rate: None,
        });
        self.read().unwrap()
    }

    /// An invoice that is there: its hash and text.
    pub fn new_invoice(&mut self) -> ([u8; 32], String) {
        match self.invoice(10_000) {
            FromAgent::Invoice { payment_hash, bolt11, .. } => (payment_hash, bolt11),
            other => panic!("{other:?}"),
        }
    }

    /// Asks without waiting for the answer.
    pub fn ask(&mut self, request: u128, payment_hash: [u8; 32], proof: Proof) -> u64 {
        let (id, request, backend) = (self.id(), request.to_le_bytes(), "default".to_owned());
        self.send(&ToAgent::Redeem { id, request, backend, payment_hash, proof, limit: Some(1), draw: true });
        id
    }

    pub fn look_up(&mut self, request: u128, payment_hash: [u8; 32]) -> FromAgent {
        self.ask(request, payment_hash, Proof::LookUp(None));
        self.read().unwrap()
    }

    pub fn prove(&mut self, request: u128, payment_hash: [u8; 32], preimage: [u8; 32]) -> FromAgent {
        self.ask(request, payment_hash, Proof::Preimage(preimage.into()));
        self.read().unwrap()
    }
}

pub fn is_granted(answer: &FromAgent) -> bool {
    matches!(answer, FromAgent::Granted { remaining: Some(0), .. })
}

pub fn is_used_up(answer: &FromAgent) -> bool {
    matches!(answer, FromAgent::UsedUp { .. })
}
