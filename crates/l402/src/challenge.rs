//! Challenges: the `WWW-Authenticate` header of a 402, written for every known client and read back.

use std::fmt;

use crate::text;

/// What a client is asked to pay for.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// The token's macaroon in standard base64.
    pub macaroon_b64: &'a str,
    /// The invoice, BOLT 11 or BOLT 12.
    pub invoice: &'a str,
    /// The BOLT 12 offer that the invoice is of. For the client's information: only the invoice pays for this token.
    pub offer: Option<&'a str>,
    /// Why the token that the client presented does not serve its request.
    pub error: Option<&'a str>,
}

impl Challenge<'_> {
    /// The header's value in the one form that every known client parses: macaroon first, comma and space between,
    /// all quoted. The current specification's `token` and `version` come after them, then the offer and the error; older
    /// clients skip these.
    pub fn header_value(&self) -> String {
        let macaroon = text::quoted(self.macaroon_b64);
        let invoice = text::quoted(self.invoice);
        let further = |name: &str, value: Option<&str>| {
            value.map(|value| ["\", ", name, "=\"", &text::quoted(value)].concat()).unwrap_or_default()
        };
        [
            r#"L402 macaroon=""#,
            &macaroon,
            r#"", invoice=""#,
            &invoice,
            r#"", version="0", token=""#,
            &macaroon,
            &further("offer", self.offer),
            &further("error", self.error),
            "\"",
        ]
        .concat()
    }
}

/// The `WWW-Authenticate` of a 401: why a credential was refused.
pub fn error_header(text: &str) -> String {
    format!(r#"L402 error="{}""#, text::quoted(text))
}

/// A challenge as read by a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedChallenge {
    /// From `token` or `macaroon`, base64 as sent.
    pub token: String,
    /// The invoice to pay.
    pub invoice: String,
    /// `offer`, where it is given: the BOLT 12 offer that the invoice is of.
    pub offer: Option<String>,
    /// `error`, where it is given: why the token that was presented does not serve.
    pub error: Option<String>,
    /// `version`, where it is given.
    pub version: Option<String>,
    /// Every parameter in its order, these included.
    pub params: Vec<(String, String)>,
}

/// Reads the challenge for us out of a `WWW-Authenticate` value. The value may be several headers joined by `, `
/// with other schemes among them (RFC 9110 §11.6.1), as a browser's `fetch` joins them; `L402` is preferred to `LSAT`.
///
/// # Errors
/// The server's fault, or there is nothing to pay for.
pub fn parse(value: &str) -> Result<ParsedChallenge, ChallengeError> {
    let all = split_challenges(value)?;
    let of = |scheme: &str| all.iter().find(|(found, _)| found.eq_ignore_ascii_case(scheme));
    let (_, params) = of("L402").or_else(|| of("LSAT")).ok_or(ChallengeError::NoL402)?;
    let get = |name: &str| {
        params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    let (invoice, error) = (get("invoice"), get("error"));
    if let (None, Some(error)) = (&invoice, &error) {
        return Err(ChallengeError::Refused(error.clone()));
    }
    Ok(ParsedChallenge {
        token: get("token").or_else(|| get("macaroon")).ok_or(ChallengeError::NoToken)?,
        invoice: invoice.ok_or(ChallengeError::NoInvoice)?,
        offer: get("offer"),
        error,
        version: get("version"),
        params: params.clone(),
    })
}

type Params = Vec<(String, String)>;

/// Cuts a header into its challenges: a word that no `=` follows is a scheme and opens one.
fn split_challenges(value: &str) -> Result<Vec<(&str, Params)>, ChallengeError> {
    let mut challenges: Vec<(&str, Params)> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        if rest.is_empty() {
            return Ok(challenges);
        }
        let end = rest.find([',', ' ', '\t', '=', '"']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return Err(ChallengeError::Syntax);
        }
        let Some(after) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            challenges.push((word, Params::new()));
            rest = after;
            continue;
        };
        let (param, after) = split_value(after.trim_start_matches([' ', '\t']))?;
        let (_, params) = challenges.last_mut().ok_or(ChallengeError::Syntax)?;
        params.push((word.to_owned(), param));
        rest = after;
    }
}

/// Reads one quoted string or token off the front.
fn split_value(text: &str) -> Result<(String, &str), ChallengeError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &quoted[at + 1..])),
            '\\' => out.push(chars.next().ok_or(ChallengeError::Syntax)?.1),
            _ => out.push(c),
        }
    }
    Err(ChallengeError::Syntax)
}

/// Why a header holds nothing that could be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChallengeError {
    /// No challenge of the L402 (or LSAT) scheme.
    NoL402,
    /// Neither `token` nor `macaroon`.
    NoToken,
    /// No `invoice`.
    NoInvoice,
    /// Not a list of challenges.
    Syntax,
    /// The server refused a credential, and says why.
    Refused(String),
}

impl fmt::Display for ChallengeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChallengeError::NoL402 => f.write_str("the server's challenge is not of the L402 scheme"),
            ChallengeError::NoToken => f.write_str("the server's challenge has no token"),
            ChallengeError::NoInvoice => f.write_str("the server's challenge has no invoice"),
            ChallengeError::Syntax => f.write_str("the server's challenge can't be read"),
            ChallengeError::Refused(text) => write!(f, "the server refused the credential: {text}"),
        }
    }
}

impl std::error::Error for ChallengeError {}
