//! A raw HTTP/1.1 client: it sends what it is told to, byte by byte, and shows what came back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::challenge::Challenge;
use super::wait::SOON;

/// A request, to be sent as it is written here.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    host: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// `method target` to `Host: localhost`.
    pub fn new(method: &str, target: &str) -> Self {
        let host = Some("localhost".to_owned());
        Self { method: method.to_owned(), target: target.to_owned(), host, headers: Vec::new(), body: None }
    }

    /// A GET request.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST request with a body.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// The same for another target.
    #[allow(dead_code, reason = "the benchmarks, which share this file, send one request to two locations")]
    pub fn to(mut self, target: &str) -> Self {
        self.target = target.to_owned();
        self
    }

    /// Another `Host`.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// One more header line.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// An `Authorization` line.
    pub fn paid(self, credential: impl Into<String>) -> Self {
        self.header("Authorization", credential)
    }

    /// A body, with its `Content-Length`.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The request head.
    pub fn head(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if let Some(host) = &self.host {
            text += &format!("Host: {host}\r\n");
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        text.into_bytes()
    }

    /// The whole request.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone().unwrap_or_default()].concat()
    }

    /// Sends this over a connection of its own and reads the answer.
    pub fn send(&self, to: SocketAddr) -> Response {
        self.try_send(to).unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.target))
    }

    /// The same, where the connection may fail.
    pub fn try_send(&self, to: SocketAddr) -> io::Result<Response> {
        let mut connection = Connection::open(to)?;
        connection.write(&self.clone().header("Connection", "close").bytes())?;
        connection.read(&self.method)
    }
}

/// A connection to nginx, for keep-alive, pipelining and rude clients.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects; reads and writes on it have a deadline.
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, SOON)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends these bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends `request` and reads its answer; the connection stays open.
    pub fn exchange(&mut self, request: &Request) -> Response {
        let answer = self.write(&request.bytes()).and_then(|()| self.read(&request.method));
        answer.unwrap_or_else(|error| panic!("{} {}: {error}", request.method, request.target))
    }

    /// Reads the answer to a request of this method; `1xx` answers count.
    pub fn read(&mut self, method: &str) -> io::Result<Response> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| bad(format!("no status line: {status_line:?}")))?;
        let mut response = Response { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad(format!("no header: {line:?}")))?;
            response.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        if method != "HEAD" && status >= 200 && status != 204 && status != 304 {
            response.body = self.body(&response)?;
        }
        Ok(response)
    }

    /// Whether nginx has closed the connection; waits for that.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([])) || self.stream.fill_buf().is_err()
    }

    /// Leaves without a word.
    pub fn leave(self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        let text = line.strip_suffix(b"\r\n").ok_or_else(|| bad("the connection ended within a line"))?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if response.header("Transfer-Encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).map_err(|_| bad("no chunk size"))?;
                let mut chunk = vec![0; size];
                self.stream.read_exact(&mut chunk)?;
                self.line()?;
                if size == 0 {
                    return Ok(body);
                }
                body.append(&mut chunk);
            }
        }
        match response.header("Content-Length") {
            Some(length) => {
                body.resize(length.parse().map_err(|_| bad("no length"))?, 0);
                self.stream.read_exact(&mut body)?;
            }
            None => {
                self.stream.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }
}

fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// In the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, out of its chunks.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All headers of this name.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let named = self.headers.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Asserts the status; returns itself.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:#?}\n{}", self.headers, self.text());
        self
    }

    /// Asserts a 402 that may not be cached and whose one challenge is well-formed.
    #[track_caller]
    pub fn challenge(&self) -> Challenge {
        self.clone().expect(402);
        let challenges: Vec<_> = self.all("WWW-Authenticate").collect();
        assert_eq!(challenges.len(), 1, "{challenges:?}");
        assert_eq!(self.header("Cache-Control"), Some("no-store"));
        Challenge::parse(challenges[0])
    }

    /// Asserts a 402 that offers another token in place of the one that was presented; the reason.
    #[track_caller]
    pub fn stale(&self) -> String {
        let reason = self.challenge().error.expect("a reason");
        assert!(self.text().contains(&format!("\"detail\":\"{reason}\"")), "{}", self.text());
        reason
    }

    /// Asserts a 401 that may not be cached; the text of its `error="…"`.
    #[track_caller]
    pub fn refusal(&self) -> String {
        self.clone().expect(401);
        assert_eq!(self.header("Cache-Control"), Some("no-store"));
        let value = self.header("WWW-Authenticate").unwrap_or_default();
        let text = value.strip_prefix("L402 error=\"").and_then(|rest| rest.strip_suffix('"'));
        text.unwrap_or_else(|| panic!("WWW-Authenticate: {value}")).to_owned()
    }
}
