//! A credential in a header line that nginx had no room for: nginx answers such a request by itself, before it asks any module, and
//! would not say what is to be done.

use crate::response::{Complaint, Outcome, Response, answer};

/// What sets nginx's room for a header line: 32 KiB hold all ecash but the most unusual, and any token of ours.
const RAISE: &str = "large_client_header_buffers 4 32k; in http or server of the nginx configuration";

/// The answer to a request whose header `line`, of which this much is there, did not fit; `None`: the line is no credential of
/// ours, and nginx's own page is as good as any. Where the answer is given the status is 400, as nginx's is.
pub fn too_long(line: &[u8], may_take_ecash: bool) -> Option<Response> {
    let is_ecash = match what(line)? {
        Credential::Ecash if !may_take_ecash => return None,
        Credential::Ecash => true,
        Credential::Token => false,
    };
    let instead = if is_ecash { "send fewer and larger proofs, or ask" } else { "ask" };
    let header = if is_ecash { "ecash" } else { "L402 token" };
    let detail = format!(
        "the {header} is longer than one header line may be here: {instead} the operator to set {RAISE}"
    );
    let log =
        format!("the header line of a client's {header} is too long for nginx; to take it, set {RAISE}");
    let refused = answer(400, "header_too_long", detail, "", Outcome::Refused);
    Some(Response { log: Some(Complaint::Client(log)), ..refused })
}

enum Credential {
    Ecash,
    Token,
}

/// What stands in the line.
fn what(line: &[u8]) -> Option<Credential> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    if name.eq_ignore_ascii_case(b"x-cashu") {
        return Some(Credential::Ecash);
    }
    if !name.eq_ignore_ascii_case(b"authorization") {
        return None;
    }
    let value = value.get(1..)?.trim_ascii_start();
    let is = |scheme: &[u8]| {
        value
            .split_at_checked(scheme.len())
            .is_some_and(|(found, rest)| found.eq_ignore_ascii_case(scheme) && rest.first() == Some(&b' '))
    };
    match () {
        () if is(b"Cashu") => Some(Credential::Ecash),
        () if is(b"L402") || is(b"LSAT") => Some(Credential::Token),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn credentials_are_told_what_to_raise_and_nothing_of_them_is_repeated() {
        for (line, word) in [
            (&b"X-Cashu: cashuBsecret"[..], "fewer and larger proofs"),
            (b"x-cashu:cashuBsecret", "fewer and larger proofs"),
            (b"authorization:  cashu cashuBsecret", "fewer and larger proofs"),
            (b"Authorization: L402 secret", "L402 token"),
            (b"Authorization: LSAT secret", "L402 token"),
        ] {
            let answer = too_long(line, true).unwrap();
            assert_eq!(answer.status, 400);
            assert!(
                answer.body.contains(word) && answer.body.contains("large_client_header_buffers"),
                "{answer:?}"
            );
            assert!(answer.body.len() < 600 && !format!("{answer:?}").contains("secret"), "{answer:?}");
        }
    }

    #[test]
    fn other_lines_are_nginxs() {
        for line in [
            &b"Cookie: X-Cashu: a"[..],
            b"X-Cashu",
            b"X-Cashu-Other: a",
            b"Authorization: Basic L402 a",
            b"Authorization: L402secret",
            b"Authorization:",
            b"",
        ] {
            assert_eq!(too_long(line, true), None, "{line:?}");
        }
        assert_eq!(too_long(b"X-Cashu: a", false), None);
        assert_eq!(too_long(b"Authorization: Cashu a", false), None);
        assert!(too_long(b"Authorization: L402 a", false).is_some());
    }
}
