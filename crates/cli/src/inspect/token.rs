//! Tokens, as `inspect` shows them.

use l402::credential::{self, Found};
use l402::{Caveat, CaveatError, Caveats, Identifier, Macaroon, Preimage};
use serde::Serialize;

/// A token, decoded.
#[derive(Debug, Serialize)]
pub struct Token {
    /// The macaroon's location.
    pub location: String,
    /// Version of the identifier; absent in an identifier that isn't of L402.
    pub version: Option<u16>,
    /// Payment hash, hex.
    pub payment_hash: Option<String>,
    /// Token id, hex.
    pub token_id: Option<String>,
    /// Which root key signed it, hex: the first 4 bytes of the token id, by this project's convention.
    pub key_id: Option<String>,
    /// An identifier that isn't of L402, hex.
    pub foreign_identifier: Option<String>,
    /// The caveats in their order; a `preimage=` is hidden.
    pub caveats: Vec<String>,
    /// `absent`, `present, matches`, `present, does not match`, `malformed`.
    pub preimage: &'static str,
    /// The preimage, hex, with `--show-secrets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preimage_hex: Option<String>,
}

/// Reads a credential in any form. Returns its tokens and what is wrong with them.
pub fn read_all(text: &str, now: u64, show_secrets: bool) -> (Vec<Token>, Vec<String>) {
    let (mut tokens, mut problems) = (Vec::new(), Vec::new());
    let mut add = |read: (Option<Token>, Vec<String>)| {
        tokens.extend(read.0);
        problems.extend(read.1);
    };
    if text.contains('"') {
        let with_scheme = if is_scheme(text) { text.to_owned() } else { format!("L402 {text}") };
        match credential::parse(with_scheme.as_bytes()) {
            Found::NotL402 => problems.push("not a credential of L402".to_owned()),
            Found::Tokens(found) => {
                for item in found {
                    match item {
                        Ok(item) => {
                            let preimage = item.preimage.as_ref().and_then(|found| found.as_ref().ok());
                            add(view(&item.macaroon, preimage, now, show_secrets));
                            if let Some(Err(error)) = item.preimage {
                                add((None, vec![error.to_string()]));
                            }
                        }
                        Err(error) => add((None, vec![error.to_string()])),
                    }
                }
            }
        }
        return (tokens, problems);
    }
    let words = text.split([',', ' ', '\t', '\r', '\n']);
    for word in words.filter(|word| !word.is_empty() && !is_scheme(word)) {
        add(bare(word, now, show_secrets));
    }
    if tokens.is_empty() && problems.is_empty() {
        problems.push("the scheme is there, the token is missing".to_owned());
    }
    (tokens, problems)
}

/// `mac` or `mac:preimage`.
fn bare(word: &str, now: u64, show_secrets: bool) -> (Option<Token>, Vec<String>) {
    let (macaroon, preimage) = match word.split_once(':') {
        Some((macaroon, preimage)) => (macaroon, Some(preimage)),
        None => (word, None),
    };
    let mut problems = Vec::new();
    let preimage = preimage.map(Preimage::from_hex);
    if let Some(Err(error)) = &preimage {
        problems.push(error.to_string());
    }
    match Macaroon::from_text(macaroon) {
        Ok(macaroon) => {
            let malformed = matches!(preimage, Some(Err(_)));
            let (mut token, more) =
                view(&macaroon, preimage.and_then(Result::ok).as_ref(), now, show_secrets);
            if let Some(token) = token.as_mut().filter(|_| malformed) {
                token.preimage = "malformed";
            }
            problems.extend(more);
            (token, problems)
        }
        Err(error) => {
            problems.push(format!("not a token: {error}"));
            (None, problems)
        }
    }
}

fn view(macaroon: &Macaroon, given: Option<&Preimage>, now: u64, show: bool) -> (Option<Token>, Vec<String>) {
    let mut problems = Vec::new();
    let identifier = Identifier::decode(&macaroon.identifier);
    if let Err(error) = &identifier {
        problems.push(format!("the identifier is not one of L402: {error}"));
    }
    let identifier = identifier.ok();
    let texts: Vec<String> = macaroon.caveats.iter().map(text).collect();
    let in_caveat = texts.iter().find_map(|text| text.strip_prefix("preimage="));
    let in_caveat = in_caveat.and_then(|hex| Preimage::from_hex(hex).ok());
    let preimage = given.or(in_caveat.as_ref());
    let matches = preimage.zip(identifier.as_ref()).map(|(preimage, id)| preimage.matches(&id.payment_hash));
    if matches == Some(false) {
        problems.push(
            "the preimage does not match the token's payment hash: it is of another payment".to_owned(),
        );
    }
    problems.extend(complaints(macaroon, &texts, now));
    let token = Token {
        location: macaroon.location.clone(),
        version: identifier.as_ref().map(|id| id.version),
        payment_hash: identifier.as_ref().map(|id| id.payment_hash.to_string()),
        token_id: identifier.as_ref().map(|id| id.token_id.to_string()),
        key_id: identifier.as_ref().map(|id| data_encoding::HEXLOWER.encode(&id.token_id.key_id().0)),
        foreign_identifier: match identifier {
            Some(_) => None,
            None => Some(data_encoding::HEXLOWER.encode(&macaroon.identifier)),
        },
        preimage: match (preimage, matches) {
            (None, _) => "absent",
            (Some(_), Some(true)) => "present, matches",
            (Some(_), Some(false)) => "present, does not match",
            (Some(_), None) => "present, can't be checked",
        },
        preimage_hex: preimage.filter(|_| show).map(Preimage::expose_hex),
        caveats: texts.into_iter().map(|text| hidden(text, show)).collect(),
    };
    (Some(token), problems)
}

/// What is wrong with the caveats. Those of the specification are as good as ours.
fn complaints(macaroon: &Macaroon, texts: &[String], now: u64) -> Vec<String> {
    let mut problems = Vec::new();
    let specified = texts.iter().filter(|text| is_specified(text)).count();
    for text in texts.iter().filter(|text| !is_specified(text) && !is_ours(text)) {
        problems.push(format!("the caveat {text:?} is not known: a server must refuse it"));
    }
    match Caveats::read(macaroon) {
        Ok(_) | Err(CaveatError::Unknown) => {}
        Err(CaveatError::NotOurs) if specified > 0 || texts.is_empty() => {}
        Err(error) => problems.push(error.to_string()),
    }
    let ends = texts.iter().filter_map(|text| text.split_once('='));
    let ends = ends.filter(|(key, _)| *key == "valid_until" || key.ends_with("_valid_until"));
    if let Some(end) = ends.filter_map(|(_, value)| value.parse::<u64>().ok()).min().filter(|end| now > *end)
    {
        problems.push(format!("the token expired {} s ago", now - end));
    }
    problems
}

/// The caveats of the L402 specification.
fn is_specified(caveat: &str) -> bool {
    caveat.split_once('=').is_some_and(|(key, _)| {
        key == "services" || key.ends_with("_capabilities") || key.ends_with("_valid_until")
    })
}

/// The caveats of this project.
fn is_ours(caveat: &str) -> bool {
    const KEYS: [&str; 9] =
        ["origin", "path", "method", "realm", "route", "valid_until", "uses", "amount_msat", "preimage"];
    caveat.split_once('=').is_some_and(|(key, _)| KEYS.contains(&key)) || caveat.starts_with(THIRD_PARTY)
}

const THIRD_PARTY: &str = "third party at ";

fn text(caveat: &Caveat) -> String {
    match caveat {
        Caveat::FirstParty(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Caveat::ThirdParty { location, .. } => format!("{THIRD_PARTY}{location}"),
    }
}

fn hidden(caveat: String, show: bool) -> String {
    if !show && caveat.starts_with("preimage=") { "preimage=(hidden)".to_owned() } else { caveat }
}

fn is_scheme(text: &str) -> bool {
    let word = text.split([' ', '\t']).next().unwrap_or_default();
    word.eq_ignore_ascii_case("L402") || word.eq_ignore_ascii_case("LSAT")
}
