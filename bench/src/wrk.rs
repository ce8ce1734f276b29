//! Runs of `wrk`: what it is told, and what it says (see `wrk.lua`).

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What one run of wrk saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Answers.
    pub requests: u64,
    /// How long it ran.
    pub elapsed: Duration,
    /// The 99th percentile of the latency.
    pub p99: Duration,
    /// Answers with a status of 400 or more.
    pub refused: u64,
    /// Connections that failed, and requests that got no answer.
    pub broken: u64,
}

/// One thread of wrk with so many connections.
pub struct Wrk<'a> {
    /// Where to.
    pub address: SocketAddr,
    /// The target of each request.
    pub target: &'a str,
    /// Connections.
    pub connections: u32,
    /// Whole seconds.
    pub seconds: u32,
    /// A file of credentials, one a line.
    pub credentials: Option<&'a Path>,
    /// A connection for each request.
    pub close: bool,
}

/// A running wrk.
pub struct Running(Child);

impl Wrk<'_> {
    /// Runs it to its end.
    pub fn run(&self) -> Seen {
        self.start().finish()
    }

    /// Starts it.
    pub fn start(&self) -> Running {
        let mut command = Command::new("wrk");
        command.args(["-t1", "--timeout", "10s"]);
        command.arg(format!("-c{}", self.connections)).arg(format!("-d{}s", self.seconds));
        command.arg("-s").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("wrk.lua"));
        command.arg(format!("http://{}{}", self.address, self.target)).arg("--");
        command.arg(self.credentials.unwrap_or(Path::new("-")));
        if self.close {
            command.arg("close");
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Running(child.expect("wrk can be run (scripts/bench.sh installs it)"))
    }
}

impl Running {
    /// Waits for its end.
    pub fn finish(self) -> Seen {
        let said = self.0.wait_with_output().expect("our child").stdout;
        let said = String::from_utf8_lossy(&said);
        let line = said.lines().find_map(|line| line.strip_prefix("figures "));
        let line = line.unwrap_or_else(|| panic!("wrk said: {said}"));
        let number = |name: &str| -> u64 {
            let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
            let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.parse());
            values.next().and_then(Result::ok).unwrap_or_else(|| panic!("no {name} in {line:?}"))
        };
        Seen {
            requests: number("requests"),
            elapsed: Duration::from_micros(number("microseconds")),
            p99: Duration::from_micros(number("p99")),
            refused: number("status"),
            broken: number("socket"),
        }
    }
}
