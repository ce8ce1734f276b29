//! The spending conditions of a proof (NUT-10, NUT-11): is it ours, and only ours?

use cdk::nuts::{Kind, Nut10Secret, Proof, PublicKey};

use crate::Refusal;

/// How far ahead the end of a lock must be, in seconds. Until it ends nobody but us can spend the ecash; by then it must have
/// been redeemed, even if the mint was away for most of the time. Common wallets lock for a day.
pub const REDEMPTION_WINDOW_S: u64 = 3600;

/// The tags of NUT-11. Each may stand once: of two, one reader takes the first and another the last.
const TAGS: [&str; 6] = ["sigflag", "n_sigs", "locktime", "refund", "pubkeys", "n_sigs_refund"];

/// Who can spend a proof.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Spendable {
    /// Whoever holds it.
    ByHolder,
    /// Only by a signature of this key, until this Unix second if there is an end.
    ByKey(Option<u64>),
    /// By others, or not by this key.
    Otherwise(Refusal),
}

/// Who can spend `proof` at Unix second `now` and until the redemption window is over, seen by the owner of `key`.
pub(crate) fn spendable(proof: &Proof, key: Option<&PublicKey>, now: u64) -> Spendable {
    let Ok(secret) = Nut10Secret::try_from(&proof.secret) else {
        // What looks like a condition and can't be read as one is not for us to interpret.
        let is_condition = proof.secret.as_bytes().trim_ascii_start().first() == Some(&b'[');
        return if is_condition { Spendable::Otherwise(Refusal::LockTerms) } else { Spendable::ByHolder };
    };
    let Some(key) = key else { return Spendable::Otherwise(Refusal::LockedToOther) };
    if secret.kind() != Kind::P2PK || proof.p2pk_e.is_some() {
        return Spendable::Otherwise(Refusal::LockedToOther);
    }
    let data = secret.secret_data();
    let same = |text: &str| {
        PublicKey::from_hex(text).is_ok_and(|found| found.x_only_public_key() == key.x_only_public_key())
    };
    if !same(data.data()) {
        return Spendable::Otherwise(Refusal::LockedToOther);
    }
    match conditions(data.tags().map(Vec::as_slice).unwrap_or_default(), now) {
        Ok(end) => Spendable::ByKey(end),
        Err(refusal) => Spendable::Otherwise(refusal),
    }
}

/// Whether the tags leave the proof to the one key alone, for long enough; and until which Unix second, if there is an end.
///
/// The trap is the locktime: once it has passed, and without refund keys, anyone can spend the proof. A refund key is of no
/// use to anyone before then, so it is allowed.
fn conditions(tags: &[Vec<String>], now: u64) -> Result<Option<u64>, Refusal> {
    let (mut seen, mut lock_end): (Vec<&str>, _) = (Vec::new(), None);
    for tag in tags {
        let Some((name, values)) = tag.split_first() else { return Err(Refusal::LockTerms) };
        if !TAGS.contains(&name.as_str()) || seen.contains(&name.as_str()) {
            return Err(Refusal::LockTerms);
        }
        seen.push(name);
        match (name.as_str(), values) {
            ("sigflag", [flag]) if flag == "SIG_INPUTS" => {}
            ("n_sigs", [count]) if count == "1" => {}
            // Further keys could spend it too, or would have to sign with us.
            ("pubkeys", []) => {}
            ("locktime", [end]) => {
                let digits = !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
                let end: u64 = end.parse().ok().filter(|_| digits).ok_or(Refusal::LockTerms)?;
                if end <= now.saturating_add(REDEMPTION_WINDOW_S) {
                    return Err(Refusal::Locktime);
                }
                lock_end = Some(end);
            }
            ("refund" | "n_sigs_refund", _) => {}
            _ => return Err(Refusal::LockTerms),
        }
    }
    Ok(lock_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn tags(list: &[&[&str]]) -> Vec<Vec<String>> {
        list.iter().map(|tag| tag.iter().map(|text| (*text).to_owned()).collect()).collect()
    }

    #[test]
    fn a_lock_is_ours_alone_and_lasts() {
        let day = (NOW + 86_400).to_string();
        let key = "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2";
        for good in [
            tags(&[]),
            tags(&[&["sigflag", "SIG_INPUTS"]]),
            tags(&[&["locktime", &day], &["refund", key]]),
            tags(&[&["locktime", &day]]),
            tags(&[&["n_sigs", "1"]]),
        ] {
            let end = good.iter().any(|tag| tag[0] == "locktime").then_some(NOW + 86_400);
            assert_eq!(conditions(&good, NOW), Ok(end), "{good:?}");
        }
    }

    #[test]
    fn the_end_of_a_lock_is_the_end_of_the_money() {
        for end in [NOW - 1, NOW, NOW + REDEMPTION_WINDOW_S, 0] {
            let ended = tags(&[&["locktime", &end.to_string()]]);
            assert_eq!(conditions(&ended, NOW), Err(Refusal::Locktime), "{end}");
        }
        let after = NOW + REDEMPTION_WINDOW_S + 1;
        assert_eq!(conditions(&tags(&[&["locktime", &after.to_string()]]), NOW), Ok(Some(after)));
    }

    #[test]
    fn what_leaves_it_to_others_or_can_be_read_in_two_ways_is_refused() {
        let (day, key) = (
            (NOW + 86_400).to_string(),
            "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2",
        );
        for bad in [
            tags(&[&["pubkeys", key]]),
            tags(&[&["n_sigs", "2"], &["pubkeys", key]]),
            tags(&[&["sigflag", "SIG_ALL"]]),
            tags(&[&["locktime", &day], &["locktime", "1"]]),
            tags(&[&["locktime", "+99999999999"]]),
            tags(&[&["locktime", ""]]),
            tags(&[&["locktime", &day, "1"]]),
            tags(&[&["locktime"]]),
            tags(&[&["something", "new"]]),
            tags(&[&[]]),
        ] {
            assert_eq!(conditions(&bad, NOW), Err(Refusal::LockTerms), "{bad:?}");
        }
    }
}
