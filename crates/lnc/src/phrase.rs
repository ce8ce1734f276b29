//! The pairing phrase: ten words that name the session and prove, once, that we were meant.

use std::fmt;

use bip39::Language;
use zeroize::Zeroizing;

use crate::StreamId;

/// Words in a pairing phrase.
pub const WORDS: usize = 10;

/// Bits that each word stands for: it is one of 2048.
const BITS_PER_WORD: usize = 11;

/// Bytes that hold ten words, zero-padded at the end.
pub const ENTROPY_LEN: usize = (WORDS * BITS_PER_WORD).div_ceil(8);

/// What the words stand for, most significant bit first. A secret.
#[derive(Clone)]
pub struct PairingPhrase(Zeroizing<[u8; ENTROPY_LEN]>);

impl PairingPhrase {
    /// Reads the words, in any case, with any white space around them. The list is that of aezeed, which is BIP 39's
    /// English one.
    ///
    /// # Errors
    /// The operator's: too many words or too few, or one that is not in the list. The error names places, never words.
    pub fn parse(text: &str) -> Result<PairingPhrase, PhraseError> {
        let count = text.split_whitespace().count();
        if count != WORDS {
            return Err(PhraseError::Count(count));
        }
        let mut entropy = Zeroizing::new([0; ENTROPY_LEN]);
        for (place, word) in text.split_whitespace().enumerate() {
            let word = Zeroizing::new(word.to_ascii_lowercase());
            let index = Language::English.find_word(&word).ok_or(PhraseError::Unknown(place + 1))?;
            for bit in 0..BITS_PER_WORD {
                if index >> (BITS_PER_WORD - 1 - bit) & 1 == 1 {
                    let at = place * BITS_PER_WORD + bit;
                    entropy[at / 8] |= 0x80 >> (at % 8);
                }
            }
        }
        Ok(PairingPhrase(entropy))
    }

    /// From entropy; the last two bits are not part of a phrase and are cleared.
    pub fn from_entropy(entropy: [u8; ENTROPY_LEN]) -> PairingPhrase {
        let mut entropy = Zeroizing::new(entropy);
        entropy[ENTROPY_LEN - 1] &= 0xff << (ENTROPY_LEN * 8 - WORDS * BITS_PER_WORD);
        PairingPhrase(entropy)
    }

    /// The ten words. A secret.
    pub fn expose_words(&self) -> Zeroizing<String> {
        let words = Language::English.word_list();
        // One allocation, so that growing leaves no copy behind: no word is longer than eight letters.
        let mut text = Zeroizing::new(String::with_capacity(WORDS * 9));
        for place in 0..WORDS {
            let index = (0..BITS_PER_WORD).fold(0, |index, bit| {
                let at = place * BITS_PER_WORD + bit;
                index << 1 | usize::from(self.0[at / 8] >> (7 - at % 8) & 1)
            });
            if place > 0 {
                text.push(' ');
            }
            text.push_str(words[index]);
        }
        text
    }

    /// The bytes that the words stand for. A secret.
    pub fn expose_entropy(&self) -> &[u8; ENTROPY_LEN] {
        &self.0
    }

    /// The stream under which the node waits until it has been paired with.
    pub fn stream_id(&self) -> StreamId {
        StreamId::hash(self.0.as_slice())
    }
}

/// Shows nothing of it.
impl fmt::Debug for PairingPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingPhrase(redacted)")
    }
}

/// Why a text is no pairing phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Another number of words.
    #[error("a pairing phrase has {WORDS} words, this has {0}")]
    Count(usize),
    /// A word that the list doesn't have, by its place, from 1.
    #[error("word {0} of the pairing phrase is not in the word list (a typing mistake?)")]
    Unknown(usize),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use data_encoding::HEXLOWER;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_list_is_the_one_of_bip_39() {
        let list: String = Language::English.word_list().iter().flat_map(|word| [word, "\n"]).collect();
        let want = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda";
        assert_eq!(HEXLOWER.encode(&Sha256::digest(list)), want);
    }

    #[test]
    fn words_are_eleven_bits_each() {
        let first = PairingPhrase::parse(
            "zoo abandon abandon abandon abandon abandon abandon abandon abandon abandon",
        );
        let mut want = [0; ENTROPY_LEN];
        (want[0], want[1]) = (0xff, 0xe0);
        assert_eq!(first.unwrap().expose_entropy(), &want);
        let last = "abandon ".repeat(9) + "ZOO\n";
        let mut want = [0; ENTROPY_LEN];
        (want[12], want[13]) = (0x1f, 0xfc);
        assert_eq!(PairingPhrase::parse(&last).unwrap().expose_entropy(), &want);
    }

    #[test]
    fn mistakes_are_named_by_place() {
        assert_eq!(PairingPhrase::parse("zoo zoo").unwrap_err(), PhraseError::Count(2));
        let typo = "zoo zoo zooo zoo zoo zoo zoo zoo zoo zoo";
        let error = PairingPhrase::parse(typo).unwrap_err();
        assert_eq!(error, PhraseError::Unknown(3));
        assert!(!error.to_string().contains("zooo"));
    }

    #[test]
    fn debug_shows_nothing() {
        let phrase = PairingPhrase::from_entropy([0xab; ENTROPY_LEN]);
        assert_eq!(format!("{phrase:?}"), "PairingPhrase(redacted)");
    }

    proptest::proptest! {
        #[test]
        fn words_and_entropy_are_the_same_thing(bytes: [u8; ENTROPY_LEN]) {
            let phrase = PairingPhrase::from_entropy(bytes);
            let again = PairingPhrase::parse(&phrase.expose_words()).unwrap();
            proptest::prop_assert_eq!(phrase.expose_entropy(), again.expose_entropy());
        }
    }
}
