//! The text of `l402d.toml` → entries with their lines; what they mean is said in `settings`.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use settings::{Complaint, ConfigFile, Entry, Secret, Value};
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};
use zeroize::Zeroizing;

/// What a file of configuration holds.
const EXPECTED: &str = "TOML, as docs/reference/l402d-toml.md shows it";

/// Reads the file. What can't be parsed is left out, and is among the complaints.
///
/// # Errors
/// It can't be read, or anyone may write it.
pub fn read(path: &Path) -> Result<(ConfigFile, Vec<Complaint>), Complaint> {
    let shown = path.display().to_string();
    let failed = |error| {
        let expected = "a file that the user l402d runs as can read";
        Complaint::new(&shown, format!("can't be read: {error}"), expected)
    };
    let path = std::path::absolute(path).map_err(failed)?;
    let mode = fs::metadata(&path).map_err(failed)?.mode() & 0o7777;
    if mode & 0o002 != 0 {
        return Err(Complaint::new(
            shown,
            format!("can be written by every user (mode {mode:04o})"),
            "chmod o-w",
        ));
    }
    let text = Zeroizing::new(fs::read_to_string(&path).map_err(failed)?);
    let lines = Lines(&text);
    let (table, errors) = DeTable::parse_recoverable(&text);
    let complaint = |error: &toml::de::Error| {
        let line = error.span().map_or(1, |span| lines.of(span.start));
        // Only its first line: the others show the text.
        let problem = error.message().lines().next().unwrap_or_default();
        let problem = format!("is not understood: {problem}");
        Complaint::new(&shown, problem, EXPECTED).at(Some(format!("{}:{line}", path.display())))
    };
    let complaints = errors.iter().map(complaint).collect();
    let entries = entries(table.get_ref(), lines);
    Ok((ConfigFile::new(path, mode, entries), complaints))
}

/// A text whose offsets become line numbers.
#[derive(Clone, Copy)]
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn of(self, offset: usize) -> usize {
        let before = self.0.as_bytes().get(..offset).unwrap_or(self.0.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

fn entries(table: &DeTable<'_>, lines: Lines<'_>) -> Vec<Entry> {
    let entry = |(key, held): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| Entry {
        key: key.get_ref().to_string(),
        line: lines.of(key.span().start),
        value: value(held.get_ref(), lines),
    };
    table.iter().map(entry).collect()
}

fn value(held: &DeValue<'_>, lines: Lines<'_>) -> Value {
    match held {
        DeValue::String(text) => Value::Text(Secret::new(text.to_string())),
        DeValue::Integer(number) if number.radix() == 10 => Value::Number(number.as_str().to_owned()),
        DeValue::Integer(_) => Value::Other("a number that is not decimal"),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Boolean(_) => Value::Other("true or false"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(items) => Value::List(items.iter().map(|item| value(item.get_ref(), lines)).collect()),
        DeValue::Table(table) => Value::Table(entries(table, lines)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use settings::{AgentConfig, Flags};

    use super::*;

    fn complaints(text: &str, mode: u32) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l402d.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let shorten = |complaint: &Complaint| complaint.to_string().replace(path.to_str().unwrap(), "FILE");
        let (file, mut all) = match read(&path) {
            Ok(read) => read,
            Err(complaint) => return vec![shorten(&complaint)],
        };
        let read = |path: &Path| fs::read(path);
        let config = AgentConfig::from_file(&file, &|_| None, &read, &read, Flags::default());
        all.extend(config.err().into_iter().flatten());
        all.iter().map(shorten).collect()
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let text = "\n# a comment\nstate_dir = \"here\"\n\n[backend.main]\ntype = \"lnd\"\ntimeout = true\n";
        let all = complaints(text, 0o644);
        let ends = ["FILE:3", "FILE:5", "FILE:5", "FILE:5", "FILE:7"];
        assert_eq!(all.len(), ends.len(), "{all:#?}");
        assert!(all.iter().zip(ends).all(|(complaint, end)| complaint.ends_with(end)), "{all:#?}");
        assert!(
            all[4].starts_with("timeout of [backend.main] is true or false; expected a time"),
            "{all:#?}"
        );
    }

    #[test]
    fn what_is_no_toml_is_named_with_all_the_rest() {
        let text = "state_dir = here\nlog_filter = \"a\"\nlog_filter = \"b\"\ncolour = 1979-05-27\nroot_key = \"hunter2";
        let all = complaints(text, 0o600);
        let lines = [1, 3, 4, 5].map(|line| format!("FILE:{line}"));
        for line in &lines {
            assert!(all.iter().any(|complaint| complaint.ends_with(line)), "{line}: {all:#?}");
        }
        assert!(all.iter().all(|complaint| !complaint.contains("hunter2")), "{all:#?}");
    }

    #[test]
    fn a_file_that_anyone_may_write_is_not_read() {
        let all = complaints("", 0o666);
        assert_eq!(all, ["FILE can be written by every user (mode 0666); expected chmod o-w"]);
        let gone = read(Path::new("/nowhere/l402d.toml")).unwrap_err().to_string();
        assert!(gone.starts_with("/nowhere/l402d.toml can't be read: No such file"), "{gone}");
    }
}
