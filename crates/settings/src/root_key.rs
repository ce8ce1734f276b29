//! The root keys' material, from the environment, `l402d.toml` or a file.
use crate::source::{Found, Layers};
use crate::{Complaint, Env, MAX_ROOT_KEYS, ROOT_KEY, ROOT_KEY_FILE, Read, Secret, Setting, files};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The least characters of a root key; of hex they hold 128 bits.
const LEAST: usize = 32;

/// The root keys that the operator gives; none: l402d makes one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootKeys {
    /// The material of each, at least 32 bytes, the newest first.
    pub keys: Vec<Secret<Vec<u8>>>,
    /// The file that they were read from.
    pub file: Option<PathBuf>,
}

/// The root keys' material from `ROOT_KEY` or `ROOT_KEY_FILE`. `read` should refuse a file that other
/// users can read ([`check_private_mode`](crate::check_private_mode)).
///
/// # Errors
/// A short key (an empty one included), an unreadable file, or both variables at once.
pub fn root_keys(env: Env<'_>, read: Read<'_>) -> Result<RootKeys, Complaint> {
    of_layers(Layers { env, file: None }, read)
}

/// As [`root_keys`]; where neither variable is set, the file's keys count.
pub(crate) fn of_layers(layers: Layers<'_>, read: Read<'_>) -> Result<RootKeys, Complaint> {
    let key = (layers.env)("ROOT_KEY").map(|text| Found::new("ROOT_KEY".to_owned(), text, None));
    let path = layers.in_env(&ROOT_KEY_FILE);
    match (key, path, layers.file) {
        (None, None, Some(file)) => of(file.find(&ROOT_KEY)?, file.find(&ROOT_KEY_FILE)?, read),
        (key, path, _) => of(key, path, read),
    }
}

/// The lines of a file of root keys, the newest key first. Empty ones and line ends don't count.
pub fn key_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.trim_ascii().is_empty())
}

fn of(key: Option<Found>, path: Option<Found>, read: Read<'_>) -> Result<RootKeys, Complaint> {
    match (key, path) {
        (None, None) => Ok(RootKeys::default()),
        (Some(key), Some(path)) => {
            let problem = format!("is set together with {}", key.name);
            let complaint = Complaint::new(path.name, problem, "only one of the two").at(path.place);
            Err(complaint.with_value(path.text.as_bytes()))
        }
        (Some(key), None) => {
            let material = check(key.text.as_bytes());
            let material = material.map_err(|found| bad(&ROOT_KEY, &key, &has(found)))?;
            Ok(RootKeys { keys: vec![material], file: None })
        }
        (None, Some(path)) => {
            let bytes = files::load(&ROOT_KEY_FILE, &path.name, &path.text, read);
            let bytes = bytes.map(Zeroizing::new).map_err(|complaint| complaint.at(path.place.clone()))?;
            let wrong = |problem: &str| bad(&ROOT_KEY_FILE, &path, problem).with_value(path.text.as_bytes());
            let lines: Vec<&[u8]> = key_lines(&bytes).collect();
            let mut keys: Vec<Secret<Vec<u8>>> = Vec::new();
            for (number, line) in lines.iter().enumerate() {
                let place = if lines.len() > 1 { format!(" in key {}", number + 1) } else { String::new() };
                let key = check(line).map_err(|found| wrong(&(has(found) + &place)))?;
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            match keys.len() {
                0 => Err(wrong(&has(0))),
                1..=MAX_ROOT_KEYS => Ok(RootKeys { keys, file: Some(path.text.as_str().into()) }),
                more => Err(wrong(&format!("has {more} keys, and {MAX_ROOT_KEYS} are the most"))),
            }
        }
    }
}

fn check(key: &[u8]) -> Result<Secret<Vec<u8>>, usize> {
    let characters = String::from_utf8_lossy(key).chars().count();
    if characters >= LEAST { Ok(Secret::new(key.to_vec())) } else { Err(characters) }
}

fn has(characters: usize) -> String {
    format!("has {characters} characters")
}

fn bad(setting: &Setting, found: &Found, problem: &str) -> Complaint {
    Complaint::new(&found.name, problem, setting.kind.expected()).at(found.place.clone())
}
