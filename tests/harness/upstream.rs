//! An upstream that counts: it keeps every request that reaches it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::wait::SOON;

/// A request that reached the upstream.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Target, as it was written in the request line.
    pub target: String,
    /// Header lines.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }
}

/// How the upstream answers: status, header lines, body.
pub struct Reply(pub u16, pub Vec<(String, String)>, pub String);

impl Reply {
    /// 200 with this body.
    pub fn ok(body: impl Into<String>) -> Self {
        Self(200, Vec::new(), body.into())
    }

    /// An empty answer of this status.
    pub fn status(status: u16) -> Self {
        Self(status, Vec::new(), String::new())
    }
}

type Answer = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A running upstream; it ends when it is dropped.
pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    ending: Arc<AtomicBool>,
}

impl Upstream {
    /// One that answers `upstream METHOD TARGET`.
    pub fn start() -> Self {
        Self::answering(|seen| Reply::ok(format!("upstream {} {}", seen.method, seen.target)))
    }

    /// One that answers as `answer` says.
    pub fn answering(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let ending = Arc::new(AtomicBool::new(false));
        let answer: Arc<Answer> = Arc::new(answer);
        let (log, end) = (Arc::clone(&seen), Arc::clone(&ending));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &log, answer.as_ref()));
            }
        });
        Self { address, seen, ending }
    }

    /// `host:port`, for `proxy_pass`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has reached it.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic while it is held").clone()
    }

    /// How many requests have reached it.
    pub fn hits(&self) -> usize {
        self.seen().len()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// One request per connection, as nginx asks for by default. A broken connection is nginx's right.
fn serve(stream: TcpStream, log: &Mutex<Vec<Seen>>, answer: &Answer) -> Option<()> {
    stream.set_read_timeout(Some(SOON)).ok()?;
    let mut stream = BufReader::new(stream);
    let seen = read(&mut stream)?;
    log.lock().expect("no panic while it is held").push(seen.clone());
    let Reply(status, headers, body) = answer(&seen);
    let mut text =
        format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    if seen.method != "HEAD" {
        text += &body;
    }
    stream.get_mut().write_all(text.as_bytes()).ok()
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut words = lines.first()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let split =
        |line: &String| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers: Vec<_> = lines[1..].iter().filter_map(split).collect();
    let mut seen = Seen { method, target, headers, body: Vec::new() };
    let length = seen.header("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
    seen.body.resize(length, 0);
    stream.read_exact(&mut seen.body).ok()?;
    Some(seen)
}
