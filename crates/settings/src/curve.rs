//! What makes 32 bytes a key of secp256k1, as BIP 340 has them: secret keys, and public keys by their x alone. Nothing here
//! computes with a secret beyond comparing it with a public bound.

/// The field's prime, 2^256 - 2^32 - 977, as four words, the lowest first.
const P: [u64; 4] = [0xffff_fffe_ffff_fc2f, u64::MAX, u64::MAX, u64::MAX];

/// 2^256 modulo the prime.
const FOLD: u128 = 0x1_0000_03d1;

/// The group's order, big end first.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
    0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// Whether this is a secret key: neither 0 nor beyond the group's order.
pub(crate) fn is_secret_key(key: &[u8; 32]) -> bool {
    *key != [0; 32] && *key < ORDER
}

/// Whether this is the x of a point: below the prime, and x³ + 7 is a square.
pub(crate) fn is_public_key(key: &[u8; 32]) -> bool {
    let mut x = [0; 4];
    for (word, bytes) in x.iter_mut().rev().zip(key.as_chunks::<8>().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    if !is_less(&x, &P) {
        return false;
    }
    let cube = times(&times(&x, &x), &x);
    let right = reduced([cube[0], cube[1], cube[2], cube[3], 0, 0, 0, 0], 7);
    // Euler's criterion: to the power of (p - 1) / 2 it is 1.
    let mut power = [1, 0, 0, 0];
    for bit in (1..256).rev() {
        power = times(&power, &power);
        if (P[bit / 64] >> (bit % 64)) & 1 == 1 {
            power = times(&power, &right);
        }
    }
    power == [1, 0, 0, 0]
}

fn is_less(one: &[u64; 4], other: &[u64; 4]) -> bool {
    one.iter().rev().lt(other.iter().rev())
}

fn times(one: &[u64; 4], other: &[u64; 4]) -> [u64; 4] {
    let mut wide = [0; 8];
    for (at, factor) in one.iter().enumerate() {
        let mut carry = 0;
        for (offset, other) in other.iter().enumerate() {
            let sum = u128::from(wide[at + offset]) + u128::from(*factor) * u128::from(*other) + carry;
            wide[at + offset] = sum as u64;
            carry = sum >> 64;
        }
        wide[at + 4] = carry as u64;
    }
    reduced(wide, 0)
}

/// `wide + more` modulo the prime.
fn reduced(wide: [u64; 8], more: u64) -> [u64; 4] {
    let (mut words, mut carry) = ([0; 4], u128::from(more));
    for at in 0..4 {
        let sum = u128::from(wide[at]) + u128::from(wide[at + 4]) * FOLD + carry;
        words[at] = sum as u64;
        carry = sum >> 64;
    }
    // What is beyond 256 bits comes back in at the bottom; a second time it is a single bit at most.
    while carry > 0 {
        let mut sum = carry * FOLD;
        for word in &mut words {
            sum += u128::from(*word);
            *word = sum as u64;
            sum >>= 64;
        }
        carry = sum;
    }
    if !is_less(&words, &P) {
        let mut borrow = false;
        for (word, prime) in words.iter_mut().zip(P) {
            let (less, first) = word.overflowing_sub(prime);
            let (less, second) = less.overflowing_sub(borrow.into());
            (*word, borrow) = (less, first || second);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hex: &str) -> [u8; 32] {
        crate::files::from_hex(hex.as_bytes()).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
    }

    #[test]
    fn secrets_are_below_the_order() {
        let mut below = ORDER;
        below[31] -= 1;
        assert!(is_secret_key(&below) && is_secret_key(&key(&format!("{}1", "0".repeat(63)))));
        assert!(!is_secret_key(&ORDER) && !is_secret_key(&[0; 32]) && !is_secret_key(&[0xff; 32]));
    }

    /// The vectors of BIP 340 with valid keys, and those whose key is none.
    #[test]
    fn points_of_bip_340() {
        for good in [
            "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
            "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
            "dd308afec5777e13121fa72b9cc1b7cc0139715309b086c960e18fd969774eb8",
            "25d1dff95105f5253c4022f628a996ad3a0d95fbf21d468a1b33f8c160d8f517",
            "d69c3509bb99e412e68b0fe8544e72837dfa30746d8be2aa65975f29d22dc7b9",
        ] {
            assert!(is_public_key(&key(good)), "{good}");
        }
        for bad in [
            "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34",
            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30",
            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
        ] {
            assert!(!is_public_key(&key(bad)), "{bad}");
        }
    }
}
