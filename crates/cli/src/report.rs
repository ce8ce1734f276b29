//! All that the program says: the body and the JSON object to stdout, notes and errors to stderr.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use reqwest::Response;
use serde::Serialize;

use crate::error::{Failure, Kind};
use crate::http::unreachable;

/// The largest body that `--json` holds; a larger one belongs into a file (`-o`).
const MAX_JSON_BODY: usize = 16 << 20;

/// Where output goes.
pub struct Console<'a> {
    /// The body, or the JSON object.
    pub out: &'a mut dyn Write,
    /// Notes and errors.
    pub err: &'a mut dyn Write,
    /// One JSON object instead of text.
    pub json: bool,
    /// No notes.
    pub quiet: bool,
}

/// What `get --json` prints. Holds no secret.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The URL that gave the final answer.
    pub url: String,
    /// Its status; null when there was none.
    pub status: Option<u16>,
    /// What this run paid, msat, without the fee. A payment recovered after a crash counts here.
    pub paid_msat: u64,
    /// The routing fee of it, msat.
    pub fee_msat: u64,
    /// The final answer was for a token of an earlier run.
    pub token_reused: bool,
    /// The token's payment was begun by an earlier run that did not live to see it.
    pub recovered: bool,
    /// What the final answer was given for: `preimage` (macaroon and preimage), `macaroon` (alone), `ecash`, or null.
    pub credential: Option<&'static str>,
    /// Hash of the payment that the final answer was given for, or that would be made.
    pub payment_hash: Option<String>,
    /// The challenge, where it was not paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<ChallengeView>,
    /// The headers, with `--include`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<(String, String)>>,
    /// The body, if it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body, if it isn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// The file that the body was written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What a human would have been told on the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What went wrong; null when nothing did.
    pub error: Option<ErrorView>,
}

/// A challenge that was not paid.
#[derive(Clone, Debug, Serialize)]
pub struct ChallengeView {
    /// Price, msat.
    pub amount_msat: u64,
    /// Description of the invoice, if it has one.
    pub description: Option<String>,
    /// When the invoice expires, Unix seconds.
    pub expires_at: u64,
    /// `bitcoin`, `testnet`, `signet`, `simnet` or `regtest`.
    pub network: &'static str,
    /// The invoice.
    pub invoice: String,
    /// The BOLT12 offer that the server says it is of. Only the invoice pays for this token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    /// The macaroon.
    pub token: String,
}

/// An error in `--json`.
#[derive(Debug, Serialize)]
pub struct ErrorView {
    /// The exit code.
    pub exit_code: u8,
    /// Its name.
    pub kind: &'static str,
    /// Whose fault, and what to do.
    pub message: String,
}

impl Console<'_> {
    /// A note: what was paid, what is odd. Never a secret.
    pub fn note(&mut self, report: &mut Report, text: String) {
        if !self.json && !self.quiet {
            // stderr that can't be written to is no reason to stop.
            let _ = writeln!(self.err, "l402: {}", printable(&text));
        }
        report.notes.push(text);
    }

    /// Passes the body (and, with `include`, the head) of the final answer on.
    pub async fn deliver(
        &mut self,
        mut response: Response,
        output: Option<&Path>,
        include: bool,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let url = response.url().clone();
        let head = include.then(|| head(&response));
        let mut body = Vec::new();
        let mut file = match output {
            Some(path) => {
                report.file = Some(path.display().to_string());
                Some((path, File::create(path).map_err(|error| cannot_write(path, &error))?))
            }
            None => None,
        };
        if let Some(head) = head {
            if self.json {
                report.headers = Some(headers(&response));
            } else {
                self.out.write_all(&head).map_err(stdout_gone)?;
            }
        }
        while let Some(piece) = response.chunk().await.map_err(|error| unreachable(&url, error))? {
            match &mut file {
                Some((path, file)) => file.write_all(&piece).map_err(|error| cannot_write(path, &error))?,
                None if self.json && body.len() + piece.len() > MAX_JSON_BODY => {
                    let text =
                        format!("the body is larger than {MAX_JSON_BODY} bytes: name a file with --output");
                    return Err(Failure::new(Kind::Local, text));
                }
                None if self.json => body.extend_from_slice(&piece),
                None => self.out.write_all(&piece).map_err(stdout_gone)?,
            }
        }
        self.out.flush().map_err(stdout_gone)?;
        if self.json && file.is_none() {
            match String::from_utf8(body) {
                Ok(text) => report.body = Some(text),
                Err(error) => report.body_base64 = Some(data_encoding::BASE64.encode(error.as_bytes())),
            }
        }
        Ok(())
    }

    /// The end of a run: the JSON object, or the error on stderr. Returns the exit code.
    pub fn finish(&mut self, mut report: Report, result: Result<(), Failure>) -> u8 {
        let code = result.as_ref().err().map_or(0, |failure| failure.kind.code());
        report.error = result.as_ref().err().map(ErrorView::of);
        if self.json {
            let _ = self.object(&report);
        } else if let Err(failure) = result {
            self.error(&failure);
        }
        code
    }

    /// The one place where errors become text.
    pub fn error(&mut self, failure: &Failure) {
        let _ = writeln!(self.err, "l402: {}", printable(&failure.to_string()));
    }

    /// One line of text on stdout.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{}", printable(text)).and_then(|()| self.out.flush()).map_err(stdout_gone)
    }

    /// Lines of text on stdout, already safe for a terminal.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// One JSON object.
    pub fn object(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self.out, value)?;
        writeln!(self.out)?;
        self.out.flush()
    }
}

impl ErrorView {
    /// The view of a failure.
    pub fn of(failure: &Failure) -> Self {
        Self { exit_code: failure.kind.code(), kind: failure.kind.name(), message: failure.to_string() }
    }
}

/// Text that may hold a server's words, made safe for a terminal: control characters are shown as escapes.
pub fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn head(response: &Response) -> Vec<u8> {
    let mut head = format!("{:?} {}\n", response.version(), response.status()).into_bytes();
    for (name, value) in response.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.push(b'\n');
    }
    head.push(b'\n');
    head
}

fn headers(response: &Response) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    response.headers().iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Local, format!("can't write {}: {error}", path.display()))
}

fn stdout_gone(error: io::Error) -> Failure {
    Failure::new(Kind::Local, format!("can't write to stdout: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_can_not_drive_the_terminal() {
        assert_eq!(printable("pay\u{1b}[2J now\n"), "pay\\u{1b}[2J now\\n");
        assert_eq!(printable("naïve ₿"), "naïve ₿");
    }

    #[test]
    fn an_error_is_one_line_or_one_object() {
        for (json, expected_err) in [(false, "l402: too dear\n"), (true, "")] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut console = Console { out: &mut out, err: &mut err, json, quiet: false };
            let failure = Failure::new(Kind::OverBudget, "too dear");
            assert_eq!(console.finish(Report::default(), Err(failure)), 3);
            assert_eq!(String::from_utf8(err).unwrap(), expected_err);
            if json {
                let object: serde_json::Value = serde_json::from_slice(&out).unwrap();
                assert_eq!(object["error"]["kind"], "over_budget");
                assert_eq!(object["error"]["exit_code"], 3);
                assert_eq!(object["status"], serde_json::Value::Null);
            } else {
                assert!(out.is_empty());
            }
        }
    }
}
