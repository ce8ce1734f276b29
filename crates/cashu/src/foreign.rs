//! Text of somebody else's, made fit for a log, an error or a terminal.

/// The longest part of a foreign text that is shown, in characters before they are escaped.
const SHOWN: usize = 200;
/// A word as long as this may be a secret: a proof's secret or signature, a key, a token, a macaroon.
const LONG_WORD: usize = 20;
/// What stands for such a word.
const CUT: &str = "[cut]";

/// Returns `text` on one line: at most its first 200 characters, control and format characters escaped, and each word cut out that is
/// long enough to be a secret. Takes constant time, however long the text is.
#[must_use]
pub fn foreign_text(text: &str) -> String {
    shown(text, text.len())
}

/// As [`foreign_text`], of bytes that need not be UTF-8.
#[must_use]
pub fn foreign_bytes(bytes: &[u8]) -> String {
    // A character has four bytes at most.
    let head = bytes.get(..4 * (SHOWN + 1)).unwrap_or(bytes);
    shown(&String::from_utf8_lossy(head), bytes.len())
}

/// The beginning of a text that has so many bytes in all.
fn shown(text: &str, bytes: usize) -> String {
    let end = text.char_indices().nth(SHOWN).map(|(end, _)| end);
    let mut rest = text[..end.unwrap_or(text.len())].trim();
    let mut shown = String::new();
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        if length == 0 {
            push_escaped(&mut shown, first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let word = &rest[..length];
        // The last word may go on behind the end.
        let is_cut_off = end.is_some() && length == rest.len();
        shown.push_str(if is_cut_off || may_be_secret(word) { CUT } else { word });
        rest = &rest[length..];
    }
    match end {
        Some(_) => format!("{shown}… ({bytes} bytes)"),
        None if shown.is_empty() => "no text".into(),
        None => shown,
    }
}

/// What hex, base64 (URL-safe) and bech32 are written with.
fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '=')
}

fn may_be_secret(word: &str) -> bool {
    word.len() >= 2 * LONG_WORD || word.len() >= LONG_WORD && word.bytes().any(|byte| byte.is_ascii_digit())
}

fn push_escaped(shown: &mut String, c: char) {
    match c {
        // These steer nothing.
        '"' | '\'' => shown.push(c),
        _ => shown.extend(c.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_as_they_are() {
        for text in [
            "proofs could not be verified",
            "Maximum inputs exceeded: 1000 provided, max 900",
            "can't connect to https://mint.example.com/Bitcoin/v1/swap \"now\"",
            "nicht verfügbar – später",
            "unknown keyset 009a1f293253e41e",
        ] {
            assert_eq!(foreign_text(text), text);
            assert_eq!(foreign_bytes(text.as_bytes()), text);
        }
        assert_eq!(foreign_text(" \n "), "no text");
    }

    #[test]
    fn no_line_ends_and_no_terminal_is_steered() {
        let shown = foreign_text("a\r\n2030-01-01 INFO forged\u{1b}[2J\u{202e}x\0\\");
        assert_eq!(shown, "a\\r\\n2030-01-01 INFO forged\\u{1b}[2J\\u{202e}x\\0\\\\");
    }

    #[test]
    fn however_long_it_is_little_is_shown() {
        let long = "ab ".repeat(1_000_000);
        for shown in [foreign_text(&long), foreign_bytes(long.as_bytes())] {
            assert!(shown.len() < 250 && shown.ends_with(" bytes)"), "{shown}");
        }
        let escapes = "\u{1b}".repeat(1_000_000);
        assert!(foreign_text(&escapes).len() < 2000);
        assert!(foreign_bytes(&[0xff; 1_000_000]).ends_with(" (1000000 bytes)"));
    }

    #[test]
    fn an_echo_of_a_secret_is_cut_out() {
        let hex = "407915bc212be61a77e3e6d2aeb4c727980bda51cd06a6afc29e2861768a7837";
        let echo = format!(r#"{{"secret":"{hex}","C":"02{hex}"}} cashuBo2FteCJodHRwOi8vbG9jYWxob3N0 done"#);
        assert_eq!(foreign_text(&echo), r#"{"secret":"[cut]","C":"[cut]"} [cut] done"#);
        for length in 1..hex.len() {
            let filler = "x ".repeat((SHOWN - length) / 2);
            let shown = foreign_text(&format!("{filler}{hex}"));
            assert!(!shown.contains(&hex[..6]), "{length}: {shown}");
        }
    }
}
