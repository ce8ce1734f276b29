//! A client of HTTP/2 that writes its frames by hand: it sends what no library would, such as one header field hundreds of
//! times by its place in the table (RFC 7541, 6.1).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::wait::SOON;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The first place of the table that a connection fills (RFC 7541, 2.3.3).
const FIRST_DYNAMIC: u8 = 62;

/// A connection.
pub struct Http2 {
    stream: TcpStream,
    next_stream: u32,
    /// The field that the next request adds to the table.
    new_field: Option<(String, String)>,
}

impl Http2 {
    /// Connects with prior knowledge.
    pub fn connect(to: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(to).expect("nginx accepts");
        stream.set_read_timeout(Some(SOON)).expect("a time-out");
        stream.write_all(PREFACE).expect("nginx reads");
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).expect("nginx reads");
        // Room for all bodies: a connection has 65 535 bytes without it (RFC 9113, 6.9.2).
        stream.write_all(&frame(WINDOW_UPDATE, 0, 0, &0x4000_0000_u32.to_be_bytes())).expect("nginx reads");
        Self { stream, next_stream: 1, new_field: None }
    }

    /// Has the next request put a field into the table.
    pub fn remember(&mut self, name: &str, value: &str) {
        self.new_field = Some((name.to_owned(), value.to_owned()));
    }

    /// GET with the remembered field so many times; the status.
    pub fn get(&mut self, path: &str, times: usize) -> u16 {
        // `:method GET` and `:scheme http` of the static table, `:path` and `:authority` as literals.
        let mut block = vec![0x82, 0x86];
        literal(&mut block, 0x04, path);
        literal(&mut block, 0x01, "localhost");
        let mut references = times;
        if let Some((name, value)) = self.new_field.take() {
            block.push(0x40);
            string(&mut block, &name);
            string(&mut block, &value);
            references -= 1;
        }
        block.extend(std::iter::repeat_n(0x80 | FIRST_DYNAMIC, references));
        let id = self.next_stream;
        self.next_stream += 2;
        self.stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, id, &block)).expect("nginx reads");
        self.status(id)
    }

    /// Reads frames up to the answer's header; its status.
    fn status(&mut self, id: u32) -> u16 {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).expect("a frame");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).expect("a whole frame");
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match head[3] {
                SETTINGS if head[4] & ACK == 0 => {
                    self.stream.write_all(&frame(SETTINGS, ACK, 0, &[])).expect("nginx reads");
                }
                HEADERS if stream == id => return status(&payload),
                GOAWAY => panic!("nginx closed the connection: {payload:?}"),
                _ => {}
            }
        }
    }
}

/// The status that a header block begins with, as nginx writes it: by its place in the static table, or as three digits.
fn status(block: &[u8]) -> u16 {
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match block {
        [first, ..] if (0x88..=0x8e).contains(first) => STATIC[usize::from(first - 0x88)],
        [_, 3, digits @ ..] => {
            std::str::from_utf8(&digits[..3]).ok().and_then(|text| text.parse().ok()).expect("a status")
        }
        // Huffman-coded digits: nine of them, by RFC 7541, appendix B, are five or six bits long.
        [_, length, rest @ ..] if length & 0x80 != 0 => huffman_digits(&rest[..usize::from(length & 0x7f)]),
        other => panic!("no status in {other:?}"),
    }
}

/// Reads three digits: `0`, `1`, `2` have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let (mut number, mut at) = (0u16, 0);
    for _ in 0..3 {
        let value = |from: usize, count: usize| {
            bits[from..from + count].iter().fold(0u16, |sum, bit| sum << 1 | u16::from(*bit))
        };
        let (digit, length) = match value(at, 5) {
            short @ 0..=2 => (short, 5),
            _ => (value(at, 6) - 0x19 + 3, 6),
        };
        number = number * 10 + digit;
        at += length;
    }
    number
}

fn literal(out: &mut Vec<u8>, name: u8, value: &str) {
    out.push(name);
    string(out, value);
}

/// A string without Huffman coding (RFC 7541, 5.2).
fn string(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        out.push(length as u8);
    } else {
        out.push(127);
        length -= 127;
        while length >= 128 {
            out.push((length % 128 + 128) as u8);
            length /= 128;
        }
        out.push(length as u8);
    }
    out.extend_from_slice(text.as_bytes());
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}
