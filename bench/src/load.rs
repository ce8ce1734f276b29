//! A client for what wrk can't do: a set number of requests, each another one, with a count of every status.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Longer answers than this are not asked for here.
const BUFFER: usize = 16 * 1024;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// After so many requests.
    Requests(usize),
    /// After so long.
    Time(Duration),
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Came {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Answers, by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a whole answer.
    pub broken: u64,
    /// How long each answer took.
    times: Vec<Duration>,
}

impl Came {
    /// Answers with this status.
    pub fn with(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// What 99 of 100 answers took no longer than.
    pub fn p99(&self) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
    }

    /// All requests that did not get this status.
    pub fn other_than(&self, status: u16) -> u64 {
        self.statuses.values().sum::<u64>() - self.with(status) + self.broken
    }
}

struct Work {
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
    amount: Amount,
    start: Instant,
}

impl Work {
    fn next(&self) -> Option<&[u8]> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let more = match self.amount {
            Amount::Requests(count) => turn < count,
            Amount::Time(limit) => self.start.elapsed() < limit,
        };
        more.then(|| self.requests[turn % self.requests.len()].as_slice())
    }
}

/// Sends these requests in turns over so many connections, on one thread.
pub fn run(to: SocketAddr, connections: usize, requests: Vec<Vec<u8>>, amount: Amount) -> Came {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let work = Arc::new(Work { requests, next: AtomicUsize::new(0), amount, start: Instant::now() });
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(client(to, Arc::clone(&work)));
        }
        let mut came = Came::default();
        for of_client in clients.join_all().await {
            came.broken += of_client.broken;
            came.times.extend(of_client.times);
            for (status, count) in of_client.statuses {
                *came.statuses.entry(status).or_default() += count;
            }
        }
        came.elapsed = work.start.elapsed();
        came
    })
}

async fn client(to: SocketAddr, work: Arc<Work>) -> Came {
    let mut came = Came::default();
    let mut buffer = vec![0; BUFFER];
    let mut stream = None;
    while let Some(request) = work.next() {
        let sent = Instant::now();
        match exchange(to, &mut stream, request, &mut buffer).await {
            Ok(status) => {
                *came.statuses.entry(status).or_default() += 1;
                came.times.push(sent.elapsed());
            }
            Err(_) => {
                came.broken += 1;
                stream = None;
            }
        }
    }
    came
}

async fn exchange(
    to: SocketAddr,
    stream: &mut Option<TcpStream>,
    request: &[u8],
    buffer: &mut [u8],
) -> io::Result<u16> {
    let open = match stream.take() {
        Some(open) => open,
        None => {
            let new = TcpStream::connect(to).await?;
            new.set_nodelay(true)?;
            new
        }
    };
    let open = stream.insert(open);
    open.write_all(request).await?;
    let mut filled = 0;
    let mut whole = None;
    while whole.is_none_or(|whole| filled < whole) {
        let count = open.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += count;
        if whole.is_none() {
            whole = length(&buffer[..filled]);
        }
    }
    let status = std::str::from_utf8(&buffer[9..12]).ok().and_then(|code| code.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The length of the answer that begins with these bytes, if its head is there.
fn length(bytes: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let from = find(&bytes[..head], NAME)? + NAME.len();
    let digits = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(head + digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

/// Where this text is first, in whatever case.
fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window.eq_ignore_ascii_case(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p99_is_what_few_take_longer_than() {
        let of = |count| Came { times: (1..=count).map(Duration::from_micros).collect(), ..Came::default() };
        for (count, p99) in [(0, 0), (1, 1), (100, 99), (1000, 990)] {
            assert_eq!(of(count).p99(), Duration::from_micros(p99));
        }
    }

    #[test]
    fn length_of_an_answer() {
        let head = b"HTTP/1.1 402 Payment Required\r\nContent-Length: 12\r\nX: y\r\n\r\n";
        assert_eq!(length(head), Some(head.len() + 12));
        assert_eq!(length(&head[..head.len() - 1]), None);
    }
}
