//! A proxy in front of a real mint that answers in its place as a rule says: what firewalls, deploys, rate limits and mints that
//! differ from the specification have answered.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// How long something may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request to the mint.
pub struct Asked {
    /// `GET` or `POST`.
    pub method: String,
    /// Such as `/v1/swap`.
    pub path: String,
    /// The body, read as JSON; null if it is none.
    pub body: Value,
}

impl Asked {
    /// How many proofs it is to spend.
    pub fn inputs(&self) -> usize {
        self.body["inputs"].as_array().map_or(0, Vec::len)
    }
}

/// An answer in the mint's place.
#[derive(Clone)]
pub struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    /// The page of a firewall, a load balancer or a web server.
    pub fn html(status: u16) -> Self {
        let body = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
        Self { status, headers: "Content-Type: text/html\r\n".into(), body: body.into_bytes() }
    }

    /// JSON that is no error body of a mint's.
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = "Content-Type: application/json\r\n".to_owned();
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    /// A mint's error body (NUT-00), with this code.
    pub fn error(code: i64, detail: &str) -> Self {
        Self::json(400, &json!({"code": code, "detail": detail}))
    }

    /// This text, whatever it is.
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: "Content-Type: text/plain\r\n".into(), body: body.into() }
    }

    /// Asks to be left alone for so many seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.headers += &format!("Retry-After: {seconds}\r\n");
        self
    }
}

/// What becomes of a request.
pub enum Act {
    /// The mint answers.
    Pass,
    /// The mint is not asked.
    Answer(Answer),
    /// The mint does what it is asked for, and its answer is lost.
    Replace(Answer),
    /// Nobody answers until the rule changes; then the connection is closed.
    Hang,
    /// The mint's answer, changed.
    Rewrite(Box<dyn FnOnce(&mut Value) + Send>),
}

type Rule = Arc<dyn Fn(&Asked) -> Act + Send + Sync>;

struct State {
    rule: Rule,
    /// Counts the rules.
    version: u64,
    ended: bool,
    asked: Vec<String>,
    streams: Vec<TcpStream>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    mint: SocketAddr,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running proxy. Dropping it ends it.
pub struct RudeMint {
    /// Where the mint seems to be.
    pub url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl RudeMint {
    /// A proxy in front of the mint of this address, which it lets speak.
    pub fn start(mint: &str) -> Self {
        let to = mint.trim_start_matches("http://").parse().expect("an address and a port");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (asked, streams) = (Vec::new(), Vec::new());
        let state = State { rule: Arc::new(|_| Act::Pass), version: 0, ended: false, asked, streams };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), mint: to });
        let inner = Arc::clone(&shared);
        thread::spawn(move || listen(&listener, &inner));
        Self { url: format!("http://{address}"), address, shared }
    }

    /// From now on this is what becomes of each request.
    pub fn rule(&self, rule: impl Fn(&Asked) -> Act + Send + Sync + 'static) {
        let mut state = self.shared.lock();
        state.rule = Arc::new(rule);
        state.version += 1;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Answers every request whose path begins so in the mint's place.
    pub fn answer(&self, path: &'static str, answer: Answer) {
        self.rule(
            move |asked| {
                if asked.path.starts_with(path) { Act::Answer(answer.clone()) } else { Act::Pass }
            },
        );
    }

    /// The mint speaks again.
    pub fn polite(&self) {
        self.rule(|_| Act::Pass);
    }

    /// How many requests there were whose path begins so.
    pub fn count(&self, path: &str) -> usize {
        self.shared.lock().asked.iter().filter(|asked| asked.starts_with(path)).count()
    }

    /// Waits until there were so many requests whose path begins so.
    pub fn wait_for(&self, path: &str, count: usize) {
        let few =
            |state: &mut State| state.asked.iter().filter(|asked| asked.starts_with(path)).count() < count;
        let waiting = self.shared.changed.wait_timeout_while(self.shared.lock(), PATIENCE, few);
        let (_state, waited) = waiting.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "no {count} requests of {path}");
    }
}

impl Drop for RudeMint {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the thread that waits in accept.
        let _ = TcpStream::connect(self.address);
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        let mut state = shared.lock();
        if state.ended {
            return;
        }
        if let Ok(copy) = stream.try_clone() {
            state.streams.push(copy);
        }
        drop(state);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // Whatever fails ends the connection, as it would at a real mint.
            let _ = serve(&stream, &shared);
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

/// One request after the other.
fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut input = BufReader::new(stream);
    while let Some((method, path, body)) = read_request(&mut input)? {
        let asked = Asked { method, path, body: serde_json::from_slice(&body).unwrap_or(Value::Null) };
        let (rule, version) = {
            let mut state = shared.lock();
            state.asked.push(asked.path.clone());
            (Arc::clone(&state.rule), state.version)
        };
        shared.changed.notify_all();
        let answer = match rule(&asked) {
            Act::Pass => forward(&asked, &body, shared.mint)?,
            Act::Answer(answer) => answer,
            Act::Replace(answer) => {
                forward(&asked, &body, shared.mint)?;
                answer
            }
            Act::Hang => {
                let hangs = |state: &mut State| state.version == version && !state.ended;
                drop(shared.changed.wait_while(shared.lock(), hangs).unwrap_or_else(PoisonError::into_inner));
                return Ok(());
            }
            Act::Rewrite(change) => {
                let answer = forward(&asked, &body, shared.mint)?;
                let mut told = serde_json::from_slice(&answer.body)?;
                change(&mut told);
                Answer::json(answer.status, &told)
            }
        };
        write_answer(stream, &answer)?;
    }
    Ok(())
}

fn read_request(input: &mut impl BufRead) -> io::Result<Option<(String, String, Vec<u8>)>> {
    let mut first = String::new();
    if input.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split_ascii_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut body = vec![0; read_headers(input)?];
    input.read_exact(&mut body)?;
    Ok(Some((method.to_owned(), path.to_owned(), body)))
}

/// Reads to the end of the head; the length of the body that it announces.
fn read_headers(input: &mut impl BufRead) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            return Ok(length);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
}

fn forward(asked: &Asked, body: &[u8], mint: SocketAddr) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(mint)?;
    write!(
        stream,
        "{} {} HTTP/1.1\r\nHost: {mint}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        asked.method,
        asked.path,
        body.len()
    )?;
    stream.write_all(body)?;
    let mut input = BufReader::new(stream);
    let mut first = String::new();
    input.read_line(&mut first)?;
    let status = first.split_ascii_whitespace().nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut body = vec![0; read_headers(&mut input)?];
    input.read_exact(&mut body)?;
    Ok(Answer { status, headers: "Content-Type: application/json\r\n".into(), body })
}

fn write_answer(mut stream: &TcpStream, answer: &Answer) -> io::Result<()> {
    let Answer { status, headers, body } = answer;
    write!(stream, "HTTP/1.1 {status} Answer\r\n{headers}Content-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    stream.flush()
}
