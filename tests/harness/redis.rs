//! Real Redis servers, started by a test: stand-alone, with TLS, a replica, Sentinels, a Cluster. Each has a
//! directory of its own, and is ended by its process id when it is dropped.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that a server may take to start or to change its part, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// The program: `REDIS_SERVER` (such as a valkey-server), or Debian's.
pub fn program() -> PathBuf {
    std::env::var_os("REDIS_SERVER").map_or_else(|| "redis-server".into(), PathBuf::from)
}

/// A running server.
pub struct Redis {
    child: Child,
    dir: PathBuf,
    port: u16,
    config: String,
    sentinel: bool,
    login: Option<String>,
}

impl Redis {
    /// One that keeps all it is told, with further lines of configuration.
    pub fn start(dir: &Path, more: &str) -> Self {
        Self::start_on(dir, free_port(), more)
    }

    /// The same on this port.
    pub fn start_on(dir: &Path, port: u16, more: &str) -> Self {
        let config = format!(
            "bind 127.0.0.1\nport {port}\ndir {dir}\nlogfile {dir}/redis.log\nsave \"\"\nappendonly yes\nappendfsync always\n\
             maxmemory-policy noeviction\n{more}\n",
            dir = dir.display()
        );
        Self::start_with(dir, port, &config, false)
    }

    /// A Sentinel that watches the master `mymaster` at this port, and is enough by itself to fail over.
    pub fn start_sentinel(dir: &Path, master_port: u16) -> Self {
        let port = free_port();
        let config = format!(
            "bind 127.0.0.1\nport {port}\ndir {dir}\nlogfile {dir}/sentinel.log\n\
             sentinel monitor mymaster 127.0.0.1 {master_port} 1\nsentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 3000\n",
            dir = dir.display()
        );
        Self::start_with(dir, port, &config, true)
    }

    fn start_with(dir: &Path, port: u16, config: &str, sentinel: bool) -> Self {
        fs::create_dir_all(dir).expect("a directory");
        let child = launch(dir, config, sentinel);
        let mut redis =
            Self { child, dir: dir.to_owned(), port, config: config.to_owned(), sentinel, login: None };
        redis.wait_until_it_answers();
        redis
    }

    /// Logs in with these words of `AUTH` before each command of [`Redis::ask`].
    pub fn log_in(&mut self, words: &str) {
        self.login = Some(words.to_owned());
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would end the process.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again where it was, with what it kept.
    pub fn restart(&mut self) {
        self.kill();
        self.child = launch(&self.dir, &self.config, self.sentinel);
        self.wait_until_it_answers();
    }

    /// Starts it without waiting until it answers.
    fn wait_until_it_answers(&mut self) {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                let said = fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
                panic!("redis-server ended with {status}: {said}");
            }
            let answer = self.try_ask(&["PING"]);
            if answer.is_ok_and(|answer| !answer.contains("LOADING")) {
                return;
            }
            assert!(Instant::now() < end, "redis-server does not answer");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a command and returns the first line of its answer, or the text that follows a length.
    pub fn ask(&self, words: &[&str]) -> String {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same, of a server that may be gone.
    pub fn try_ask(&self, words: &[&str]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut answers = 1;
        if let Some(login) = &self.login {
            write_words(&mut stream, &login.split(' ').collect::<Vec<_>>())?;
            answers += 1;
        }
        write_words(&mut stream, words)?;
        let mut reader = BufReader::new(stream);
        let mut last = String::new();
        for _ in 0..answers {
            last = read_answer(&mut reader)?;
        }
        Ok(last)
    }

    /// Waits until the answer to a command contains a text.
    pub fn wait_for(&self, words: &[&str], text: &str) {
        let end = Instant::now() + LIMIT;
        while !self.try_ask(words).is_ok_and(|answer| answer.contains(text)) {
            assert!(Instant::now() < end, "{words:?} never said {text:?}: {:?}", self.try_ask(words));
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It ends also while it is stopped.
        self.kill();
    }
}

fn launch(dir: &Path, config: &str, sentinel: bool) -> Child {
    let path = dir.join("redis.conf");
    fs::write(&path, config).expect("a file");
    let errors = fs::File::options().create(true).append(true).open(dir.join("stderr")).expect("a file");
    let mut command = Command::new(program());
    command.arg(&path);
    if sentinel {
        command.arg("--sentinel");
    }
    let errors_too = errors.try_clone().expect("a file");
    command
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(errors_too)
        .stderr(errors)
        .spawn()
        .expect("redis-server can be run: scripts/deps.sh installs it")
}

fn write_words(stream: &mut TcpStream, words: &[&str]) -> std::io::Result<()> {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(text.as_bytes())
}

fn read_answer(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end();
    if let Some(count) = line.strip_prefix('*').and_then(|count| count.parse::<usize>().ok()) {
        let items: Result<Vec<_>, _> = (0..count).map(|_| read_answer(reader)).collect();
        return Ok(items?.join(" "));
    }
    match line.strip_prefix('$').map(|length| length.parse::<usize>()) {
        Some(Ok(length)) => {
            let mut bytes = vec![0; length + 2];
            reader.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        Some(Err(_)) => Ok("(nil)".to_owned()),
        None => Ok(line.get(1..).unwrap_or_default().to_owned()),
    }
}

/// A port that nobody listens on, with its 10 000th above it (for a Cluster's bus) as free; below what the kernel
/// takes for outgoing connections.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + ((std::process::id() * 31 + step) % 8_000) as u16;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
}

/// A master and its replica under a Sentinel.
pub struct Watched {
    /// The master at first.
    pub master: Redis,
    /// The one that follows.
    pub replica: Redis,
    /// Who watches them.
    pub sentinel: Redis,
}

impl Watched {
    /// Starts the three; returns when the Sentinel knows the replica, and the replica all of the master's.
    pub fn start(dir: &Path) -> Self {
        let master = Redis::start(&dir.join("master"), "repl-diskless-sync-delay 0");
        let more = format!("replicaof 127.0.0.1 {}\nrepl-diskless-sync-delay 0", master.port());
        let replica = Redis::start(&dir.join("replica"), &more);
        replica.wait_for(&["INFO", "replication"], "master_link_status:up");
        let sentinel = Redis::start_sentinel(&dir.join("sentinel"), master.port());
        sentinel.wait_for(&["SENTINEL", "replicas", "mymaster"], &replica.port().to_string());
        sentinel.wait_for(&["SENTINEL", "ckquorum", "mymaster"], "OK");
        Self { master, replica, sentinel }
    }

    /// Waits until the replica has become the master.
    pub fn wait_for_failover(&self) {
        let port = self.replica.port().to_string();
        self.sentinel.wait_for(&["SENTINEL", "get-master-addr-by-name", "mymaster"], &port);
        self.replica.wait_for(&["INFO", "replication"], "role:master");
    }
}

/// Three masters that share the slots.
pub fn start_cluster(dir: &Path) -> Vec<Redis> {
    const SLOTS: u32 = 16_384;
    let more = "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-node-timeout 2000";
    let nodes: Vec<_> =
        (0..3).map(|number| Redis::start(&dir.join(format!("node-{number}")), more)).collect();
    for (number, node) in (0..).zip(&nodes) {
        let (from, to) = (SLOTS * number / 3, SLOTS * (number + 1) / 3 - 1);
        let (from, to) = (from.to_string(), to.to_string());
        node.ask(&["CLUSTER", "ADDSLOTSRANGE", &from, &to]);
        node.ask(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port().to_string()]);
    }
    for node in &nodes {
        node.wait_for(&["CLUSTER", "INFO"], "cluster_state:ok");
        node.wait_for(&["CLUSTER", "INFO"], "cluster_known_nodes:3");
    }
    nodes
}
