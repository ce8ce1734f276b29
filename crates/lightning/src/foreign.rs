//! Text that somebody else wrote, made fit for a log: on one line, short, and without any secret of ours in it.

use std::collections::HashSet;
use std::fmt;

use zeroize::Zeroizing;

/// The longest part of another party's text that is passed on, characters.
const LONGEST: usize = 200;

/// What is cut out in a secret's place.
const CUT: &str = "[secret]";

/// So many bytes of a secret in a row are cut out, also where the rest is missing: too few to be of use to anyone.
const PIECE: usize = 8;

/// Words of our own texts, in lower case. A password that has a piece of them in it does not take them out.
const OWN_WORDS: &[&str] = &["eclair.api.password", "eclair_password", "macaroon", "readonly.macaroon"];

/// The secrets that a wallet is reached with, in every form that the other side may repeat them in.
#[derive(Clone, Default)]
pub struct Secrets(Vec<Zeroizing<Vec<u8>>>);

/// Shows how many there are.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// None.
    pub fn none() -> Secrets {
        Secrets::default()
    }

    /// Adds a secret that is text. Its forms: as it is, and in base64.
    #[must_use]
    pub fn text(mut self, secret: &str) -> Secrets {
        self.add(secret.as_bytes());
        for form in [
            data_encoding::BASE64.encode(secret.as_bytes()),
            data_encoding::BASE64URL.encode(secret.as_bytes()),
        ] {
            self.add(form.trim_end_matches('=').as_bytes());
        }
        self
    }

    /// Adds a secret that is bytes. Its forms: hex and base64.
    #[must_use]
    pub fn bytes(mut self, secret: &[u8]) -> Secrets {
        let base64 = [data_encoding::BASE64.encode(secret), data_encoding::BASE64URL.encode(secret)];
        self.add(data_encoding::HEXLOWER.encode(secret).as_bytes());
        base64.iter().for_each(|form| self.add(form.trim_end_matches('=').as_bytes()));
        self
    }

    fn add(&mut self, form: &[u8]) {
        let form = form.trim_ascii().to_ascii_lowercase();
        if !form.is_empty() {
            self.0.push(Zeroizing::new(form));
        }
    }

    /// The text without the secrets: each piece of one that is [`PIECE`] bytes or longer, in any case of letters, and each
    /// whole one that is shorter. Takes time in proportion to the text.
    pub fn cut(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        let lower = text.to_ascii_lowercase();
        let secret = self.covered(lower.as_bytes());
        let mut out = String::with_capacity(text.len());
        let mut was_secret = false;
        for (at, letter) in text.char_indices() {
            // A letter of several bytes is in a secret where any of them is.
            let is_secret = secret[at..at + letter.len_utf8()].contains(&true);
            match (is_secret, was_secret) {
                (true, false) => out.push_str(CUT),
                (true, true) => {}
                (false, _) => out.push(letter),
            }
            was_secret = is_secret;
        }
        out
    }

    /// Which bytes of the text belong to a secret.
    fn covered(&self, text: &[u8]) -> Vec<bool> {
        let mut covered = vec![false; text.len()];
        let mut pieces: HashSet<&[u8]> = HashSet::new();
        for secret in &self.0 {
            if secret.len() >= PIECE {
                let is_own = |piece: &&[u8]| !OWN_WORDS.iter().any(|word| holds(word.as_bytes(), piece));
                pieces.extend(secret.windows(PIECE).filter(is_own));
            } else {
                for at in 0..text.len().saturating_sub(secret.len() - 1) {
                    if text[at..].starts_with(secret) {
                        covered[at..at + secret.len()].fill(true);
                    }
                }
            }
        }
        for (at, window) in text.windows(PIECE).enumerate() {
            if pieces.contains(window) {
                covered[at..at + PIECE].fill(true);
            }
        }
        covered
    }
}

fn holds(text: &[u8], piece: &[u8]) -> bool {
    text.windows(piece.len()).any(|window| window == piece)
}

/// Another party's text: on one line, of at most 200 characters.
pub(crate) fn shown(text: &str) -> String {
    let visible = |c: char| if c.is_control() || is_invisible(c) { ' ' } else { c };
    let text: String = text.trim().chars().map(visible).take(LONGEST).collect();
    match text.trim() {
        "" => "no reason given".to_owned(),
        text => text.to_owned(),
    }
}

/// Letters that a terminal does not show, or that change how it shows the others.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RUNE: &str = "tU-RLjMiDpY2U0o3W1oFowar36RFGpWloPbW9-RuZdo9MyZpZD0wMjRiOWE1";

    #[test]
    fn a_secret_is_cut_out_in_every_form() {
        let secrets = Secrets::none().text(RUNE);
        for said in [
            RUNE.to_owned(),
            format!("{RUNE}!"),
            RUNE[..40].to_owned(),
            RUNE[17..].to_owned(),
            data_encoding::BASE64.encode(RUNE.as_bytes()),
            RUNE.to_uppercase(),
        ] {
            let cut = secrets.cut(&format!("Not authorized: Not derived from master ({said})"));
            assert!(cut.starts_with("Not authorized: Not derived from master ([secret]"), "{cut}");
            let pieces =
                RUNE.as_bytes().windows(PIECE).map(|piece| std::str::from_utf8(piece).unwrap_or("?"));
            assert!(pieces.into_iter().all(|piece| !cut.contains(piece)), "{cut}");
        }
        let macaroon = Secrets::none().bytes(&[0xab; 60]);
        assert_eq!(macaroon.cut(&format!("got {}", "AB".repeat(60))), "got [secret]");
    }

    #[test]
    fn a_short_one_is_cut_out_whole() {
        assert_eq!(
            Secrets::none().text("1234").cut("password 1234 is wrong, 123 too"),
            "password [secret] is wrong, 123 too"
        );
        assert_eq!(Secrets::none().cut("nothing to hide"), "nothing to hide");
    }

    #[test]
    fn a_password_of_our_own_words_leaves_them_in_place() {
        let secrets = Secrets::none().text("this-password-of-mine");
        assert_eq!(secrets.cut("ECLAIR_PASSWORD is wrong"), "ECLAIR_PASSWORD is wrong");
        assert_eq!(secrets.cut("got this-password-of-mine"), "got [secret]");
    }

    #[test]
    fn what_is_shown_is_one_short_line() {
        assert_eq!(shown(" no\nroute\u{1b}[31m\u{202e} "), "no route [31m");
        assert_eq!(shown(&"\u{20ac}".repeat(1000)).chars().count(), LONGEST);
        assert_eq!(shown(" \n"), "no reason given");
    }

    proptest! {
        #[test]
        fn no_piece_of_a_secret_is_left(before in ".{0,40}", after in ".{0,40}", from in 0_usize..50, long in 8_usize..60) {
            let secrets = Secrets::none().text(RUNE);
            let to = (from + long).min(RUNE.len());
            prop_assume!(to - from >= PIECE);
            let cut = secrets.cut(&format!("{before}{}{after}", &RUNE[from..to])).to_ascii_lowercase();
            let lower = RUNE.to_ascii_lowercase();
            for piece in lower.as_bytes().windows(PIECE) {
                prop_assert!(!cut.contains(std::str::from_utf8(piece).unwrap_or("?")));
            }
        }
    }
}
