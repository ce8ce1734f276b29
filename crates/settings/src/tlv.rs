//! The wire form of BOLT 12: bech32 without a checksum around a stream of type-length-value records. No I/O.

/// The letters of bech32 (BIP 173), by value.
const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// The longest text taken, in characters: an invoice with many paths has some thousand.
const LONGEST: usize = 32 * 1024;

/// A record: its type and its value.
pub type Record<'a> = (u64, &'a [u8]);

/// The bytes of a text such as `lni1…`: letters of one case, in pieces joined by `+` and spaces (BOLT 12, "Encoding").
pub fn bytes(prefix: &str, text: &str) -> Option<Vec<u8>> {
    let joined = join(text)?;
    let upper = joined.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = joined.bytes().any(|byte| byte.is_ascii_lowercase());
    if upper && lower {
        return None;
    }
    let joined = joined.to_ascii_lowercase();
    let letters = joined.strip_prefix(prefix)?.strip_prefix('1')?;
    let mut bytes = Vec::with_capacity(letters.len() * 5 / 8);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in letters.bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        bits = bits << 5 | u32::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // What is left over is padding: less than a letter, and zero.
    (count < 5 && bits == 0).then_some(bytes)
}

/// The pieces of a text without what joins them.
fn join(text: &str) -> Option<String> {
    let text = text.trim();
    let mut joined = String::with_capacity(text.len());
    for (at, piece) in text.split('+').enumerate() {
        let piece = if at == 0 { piece } else { piece.trim_start() };
        if piece.is_empty() || piece.chars().any(char::is_whitespace) || text.len() > LONGEST {
            return None;
        }
        joined.push_str(piece);
    }
    Some(joined)
}

/// The records of a stream, in strictly rising order of their types (BOLT 1).
pub fn records(bytes: &[u8]) -> Option<Vec<Record<'_>>> {
    let mut records: Vec<Record<'_>> = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let kind = big_size(&mut rest)?;
        let length = usize::try_from(big_size(&mut rest)?).ok()?;
        let (value, after) = rest.split_at_checked(length)?;
        if records.last().is_some_and(|(last, _)| *last >= kind) {
            return None;
        }
        records.push((kind, value));
        rest = after;
    }
    Some(records)
}

/// A number without leading zero bytes, as in `tu64`.
pub fn truncated(value: &[u8]) -> Option<u64> {
    if value.len() > 8 || value.first() == Some(&0) {
        return None;
    }
    Some(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// BOLT 1's BigSize, in its one shortest form.
fn big_size(rest: &mut &[u8]) -> Option<u64> {
    let (first, after) = rest.split_first()?;
    let (length, least) = match first {
        0xfd => (2, 0xfd),
        0xfe => (4, 0x1_0000),
        0xff => (8, 0x1_0000_0000),
        small => {
            *rest = after;
            return Some(u64::from(*small));
        }
    };
    let (digits, after) = after.split_at_checked(length)?;
    let number = digits.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    *rest = after;
    (number >= least).then_some(number)
}

/// The text of bytes: the way back of [`bytes`].
pub fn text(prefix: &str, bytes: &[u8]) -> String {
    let mut text = format!("{prefix}1");
    let (mut bits, mut count) = (0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(LETTERS[(bits >> count) as usize & 31]));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        text.push(char::from(LETTERS[(bits << (5 - count)) as usize & 31]));
    }
    text
}

/// Whether a record of this type may stand in an offer (BOLT 12).
pub fn is_of_offer(kind: u64) -> bool {
    matches!(kind, 1..=79 | 1_000_000_000..=1_999_999_999)
}

/// The type of the record with an offer's amount.
pub const OFFER_AMOUNT: u64 = 8;
/// The type of the record with the currency of an offer that is not in bitcoin.
pub const OFFER_CURRENCY: u64 = 6;

/// Whether these are the bytes of an offer that asks for msat, or for any amount.
pub fn is_offer(bytes: &[u8]) -> bool {
    let Some(records) = records(bytes) else { return false };
    !records.is_empty()
        && records.iter().all(|(kind, value)| match *kind {
            OFFER_CURRENCY => false,
            OFFER_AMOUNT => truncated(value).is_some(),
            kind => is_of_offer(kind),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_are_none() {
        let good = text("lno", b"\x08\x01\x05");
        assert_eq!(bytes("lno", &good).unwrap(), b"\x08\x01\x05");
        assert_eq!(bytes("lno", &good.to_uppercase()).unwrap(), b"\x08\x01\x05");
        let (head, tail) = good.split_at(5);
        assert_eq!(bytes("lno", &format!("{head}+{tail}")).unwrap(), b"\x08\x01\x05");
        assert_eq!(bytes("lno", &format!("{head}+ \n{tail}")).unwrap(), b"\x08\x01\x05");
        for bad in [
            "",
            "lno",
            "lni1qq",
            "lno1b",
            "lno1q",
            "lno1qqq",
            &format!("{good}+"),
            &format!("+{good}"),
            &format!("{head} {tail}"),
            &format!("{head}{}", tail.to_uppercase()),
            "lno1pz",
        ] {
            assert_eq!(bytes("lno", bad), None, "{bad}");
        }
        assert_eq!(bytes("lno", &format!("lno1{}", "q".repeat(LONGEST))), None);
    }

    #[test]
    fn streams_that_are_none() {
        assert_eq!(records(b"\x02\x01a\x08\x00").unwrap(), [(2, &b"a"[..]), (8, b"")]);
        assert_eq!(records(b"\xfd\x01\x00\x01x").unwrap(), [(256, &b"x"[..])]);
        let bad: [&[u8]; 6] = [
            b"\x02",
            b"\x02\x02a",
            b"\x02\x00\x02\x00",
            b"\x04\x00\x02\x00",
            b"\xfd\x00\x02\x00",
            b"\xfe\x00\x00\x01\x00\x00",
        ];
        for bad in bad {
            assert_eq!(records(bad), None, "{bad:?}");
        }
        assert_eq!((truncated(b""), truncated(b"\x01\x00"), truncated(b"\x00")), (Some(0), Some(256), None));
        assert_eq!(truncated(&[1; 9]), None);
    }

    proptest! {
        #[test]
        fn bytes_come_back(all in any::<Vec<u8>>()) {
            prop_assert_eq!(bytes("lni", &text("lni", &all)), Some(all));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,200}", all in any::<Vec<u8>>()) {
            let _ = bytes("lno", &text);
            if let Some(found) = records(&all) {
                prop_assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }
        }
    }
}
