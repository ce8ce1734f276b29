//! Names in other letters, as the network has them (RFC 3492): whether a label `xn--…` can be shown.

const BASE: u32 = 36;

/// Whether a label is none of these, or one that stands for letters in lower case, of the scripts below. Which letters of
/// others may stand beside each other is a matter of tables (RFC 5893, UTS 46) that nothing here has.
pub(crate) fn is_fine(label: &str) -> bool {
    let Some((head, rest)) = label.split_at_checked(4) else { return true };
    if !head.eq_ignore_ascii_case("xn--") {
        return true;
    }
    decoded(&rest.to_ascii_lowercase()).is_some_and(|letters| {
        letters.iter().any(|letter| !letter.is_ascii())
            && letters.iter().all(|letter| {
                let ascii = letter.is_ascii_alphanumeric() || *letter == '-';
                ascii || (is_of_a_known_script(*letter) && letter.to_lowercase().eq([*letter]))
            })
    })
}

/// Latin, Greek, Cyrillic, Japanese, Chinese and Korean, without letters that stand for others.
fn is_of_a_known_script(letter: char) -> bool {
    matches!(
        letter,
        '\u{df}'..='\u{f6}' | '\u{f8}'..='\u{131}' | '\u{134}'..='\u{13e}' | '\u{141}'..='\u{148}' | '\u{14a}'..='\u{17e}'
            | '\u{3ac}'..='\u{3ce}' | '\u{430}'..='\u{45f}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}'
            | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
    )
}

/// The letters (RFC 3492, section 6.2).
fn decoded(text: &str) -> Option<Vec<char>> {
    if text.starts_with('-') {
        return None;
    }
    let (basic, rest) = text.rsplit_once('-').unwrap_or(("", text));
    let mut letters: Vec<char> = basic.chars().collect();
    let (mut code, mut at, mut bias, mut first) = (128_u32, 0_u32, 72_u32, true);
    let mut digits = rest.bytes();
    while digits.len() > 0 {
        let (before, mut weight, mut k) = (at, 1_u32, BASE);
        loop {
            let digit = match digits.next()? {
                letter @ b'a'..=b'z' => u32::from(letter - b'a'),
                number @ b'0'..=b'9' => u32::from(number - b'0') + 26,
                _ => return None,
            };
            at = at.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(1, 26);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
            k += BASE;
        }
        let count = u32::try_from(letters.len()).ok()? + 1;
        let mut delta = (at - before) / if first { 700 } else { 2 };
        (first, delta) = (false, delta + delta / count);
        bias = 0;
        while delta > 455 {
            (delta, bias) = (delta / (BASE - 1), bias + BASE);
        }
        bias += BASE * delta / (delta + 38);
        code = code.checked_add(at / count)?;
        at %= count;
        letters.insert(usize::try_from(at).ok()?, char::from_u32(code)?);
        at += 1;
    }
    Some(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_stand_for_letters() {
        assert_eq!(decoded("bcher-kva").map(String::from_iter).as_deref(), Some("b\u{fc}cher"));
        assert_eq!(decoded("wgv71a119e").map(String::from_iter).as_deref(), Some("\u{65e5}\u{672c}\u{8a9e}"));
        for good in ["plain", "xn--bcher-kva", "XN--BCHER-KVA", "xn--wgv71a119e"] {
            assert!(is_fine(good), "{good}");
        }
        for bad in ["xn--", "xn--a", "xn---b1a", "xn--a-", "xn--99999999", "xn--\u{e9}"] {
            assert!(!is_fine(bad), "{bad}");
        }
    }
}
