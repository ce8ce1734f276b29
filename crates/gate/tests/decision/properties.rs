//! Over any input: a grant needs a good signature and a proof of payment, and a failure never is a success.

use gate::Failure;
use l402::credential::{self, Found};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn any_policy() -> impl Strategy<Value = Policy<'static>> {
    let uses = prop_oneof![Just(Uses::Unlimited), (1u32..4).prop_map(Uses::Limited)];
    let server = prop_oneof![Just("example.com"), Just("other.com"), Just("")];
    let amounts = prop_oneof![Just(0), 1u64..30_000];
    (server, any::<bool>(), any::<bool>(), uses, amounts, prop_oneof![Just(0), any::<u64>()]).prop_map(
        |(name, computed_price, auto_detect, uses, amount_msat, timeout_s)| Policy {
            origin: shop(name),
            computed_price,
            auto_detect,
            uses,
            amount_msat,
            timeout_s,
            ..policy()
        },
    )
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let failure = prop_oneof![
        Just(Failure::Refused),
        any::<u32>().prop_map(|retry_after_s| Failure::Unavailable { retry_after_s }),
        Just(Failure::TimedOut),
        any::<u32>().prop_map(|retry_after_s| Failure::AgentGone { retry_after_s }),
        any::<u32>().prop_map(|retry_after_s| Failure::Limited { retry_after_s }),
        Just(Failure::Internal),
    ];
    prop_oneof![
        Just(invoice()),
        any::<Option<u32>>().prop_map(|remaining| Answer::Granted { remaining }),
        ("[a-z0-9\"\r]{0,8}", "[a-z0-9\"\r]{0,8}").prop_map(|(bolt11, offer)| Answer::Unsettled {
            bolt11,
            expires_at: NOW,
            offer
        }),
        Just(Answer::UsedUp),
        Just(Answer::Dead),
        Just(Answer::CannotLookUp),
        Just(Answer::NoEcash),
        Just(Answer::EcashRefused("spent".to_owned())),
        Just(Answer::Paid {
            payment_hash: hash(),
            preimage: super::preimage(),
            nonce: [1; 28],
            paid_at: NOW
        }),
        failure.prop_map(Answer::Failed),
    ]
}

/// Headers from junk to good: a token of our key or another, good caveats or not, a right or wrong preimage, damage.
fn any_header() -> impl Strategy<Value = Vec<u8>> {
    let caveats = prop_oneof![
        Just(SINGLE.to_vec()),
        Just(MANY.to_vec()),
        Just(vec!["uses=unlimited"]),
        Just(single_and("uses=unlimited")),
        Just(single_and("valid_until=1")),
        Just(single_and("amount_msat=5")),
    ];
    let token = (caveats, any::<bool>(), 0u8..3, 0u8..3).prop_map(|(caveats, ours, preimage, form)| {
        let root = if ours { key() } else { RootKey::from_bytes([5; 32]) };
        let mac = Macaroon::mint(&root, &identifier(), "l402", caveats).to_base64();
        let pre = match preimage {
            0 => String::new(),
            1 => super::preimage().expose_hex(),
            _ => "00".repeat(32),
        };
        match form {
            0 => format!("{mac}:{pre}"),
            1 => format!(r#"token="{mac}", preimage="{pre}""#),
            _ => format!("LSAT {mac}:{pre}"),
        }
    });
    let damaged = (vec(token, 1..4), vec((any::<prop::sample::Index>(), any::<u8>()), 0..2)).prop_map(
        |(tokens, damage)| {
            let mut header = format!("L402 {}", tokens.join(", ")).into_bytes();
            for (at, byte) in damage {
                let at = at.index(header.len());
                header[at] = byte;
            }
            header
        },
    );
    prop_oneof![8 => damaged, 1 => vec(any::<u8>(), 0..100), 1 => Just(b"Basic abc".to_vec())]
}

/// The tokens of a header that are signed with our key, for this place, and not expired.
fn good_tokens(found: Found, policy: &Policy<'_>) -> Vec<l402::Credential> {
    let Found::Tokens(tokens) = found else { return Vec::new() };
    let is_good = |token: &l402::Credential| {
        let texts = token.macaroon.first_party_texts();
        token.macaroon.verify_signature(&key())
            && texts.starts_with(&["origin=example.com", "path=/paid", "method=GET"])
            && !texts.contains(&"valid_until=1")
            && policy.origin.name == b"example.com"
    };
    tokens.into_iter().flatten().filter(is_good).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_grant_without_signature_and_proof(
        policy in any_policy(), header in any_header(), answers in vec(any_answer(), 6), metadata: bool,
    ) {
        let (request, found) = match metadata {
            false => (Request { authorization: Some(&header), ..request(None) }, credential::parse(&header)),
            true => (
                Request { metadata_macaroon: Some(&header), ..request(None) },
                credential::parse_metadata(&header),
            ),
        };
        let good = good_tokens(found, &policy);
        let (mut gate, mut step) = Gate::start(&policy, &request, &keys(), NOW);
        let mut last: Option<(Question, Answer)> = None;
        for answer in answers {
            match step {
                Step::Grant(grant) => {
                    let token = good.iter().find(|token| token.payment_hash() == grant.payment_hash);
                    prop_assert!(token.is_some(), "no good token");
                    prop_assert!(policy.amount_msat > 0);
                    match last {
                        None => {
                            // At once: a reusable token with its preimage in this very request.
                            let proven = good.iter().any(|token| {
                                let preimage = token.preimage.as_ref().and_then(|found| found.as_ref().ok());
                                preimage.is_some_and(|pre| pre.matches(&grant.payment_hash))
                                    && token.macaroon.first_party_texts().contains(&"uses=unlimited")
                            });
                            prop_assert!(proven);
                        }
                        Some((Question::Redeem { payment_hash, ref proof, .. }, ref answer)) => {
                            let from_agent = matches!(answer, Answer::Granted { .. });
                            prop_assert!(from_agent || grant.remaining.is_none());
                            if from_agent {
                                prop_assert_eq!(payment_hash, grant.payment_hash);
                                prop_assert!(policy.auto_detect || matches!(proof, Proof::Preimage(_)));
                            }
                        }
                        Some((Question::Invoice { .. } | Question::Ecash { .. }, _)) => {
                            prop_assert!(false, "granted by an invoice, or by ecash that was not sent");
                        }
                    }
                    break;
                }
                Step::Respond(response) => {
                    prop_assert!(matches!(response.status, 401 | 402 | 429 | 500 | 502..=504));
                    // The end is the end.
                    let after = gate.resume(Answer::Granted { remaining: None }, &keys(), NOW);
                    prop_assert_eq!(answered(after).status, 500);
                    break;
                }
                Step::Ask(question) => {
                    step = gate.resume(answer.clone(), &keys(), NOW);
                    last = Some((question, answer));
                }
            }
        }
    }

    /// Ecash is granted after it is said to be a payment, and then after a use of it is drawn, unless they aren't counted.
    #[test]
    fn no_grant_of_ecash_that_is_no_payment(
        policy in any_policy(), token in "cashu[AB][a-z]{0,9}", answers in vec(any_answer(), 4),
    ) {
        let request = Request { ecash: Some(token.as_bytes()), ..request(None) };
        let (mut gate, mut step) = Gate::start(&policy, &request, &keys(), NOW);
        let mut said: Vec<&Answer> = Vec::new();
        for answer in &answers {
            if !matches!(step, Step::Ask(_)) {
                break;
            }
            step = gate.resume(answer.clone(), &keys(), NOW);
            said.push(answer);
        }
        if let Step::Grant(grant) = step {
            match said[..] {
                [Answer::Paid { payment_hash, .. }] => {
                    prop_assert_eq!(policy.uses, Uses::Unlimited);
                    prop_assert_eq!(*payment_hash, grant.payment_hash);
                }
                [Answer::Paid { payment_hash, .. }, Answer::Granted { .. }] => {
                    prop_assert_eq!(*payment_hash, grant.payment_hash);
                }
                _ => prop_assert!(false, "granted after {said:?}"),
            }
        }
    }

    #[test]
    fn a_failure_is_never_a_grant_of_what_was_asked(policy in any_policy(), header in any_header(), answer in any_answer()) {
        prop_assume!(!matches!(answer, Answer::Granted { .. }));
        let (mut gate, step) = start(&policy, std::str::from_utf8(&header).ok());
        if matches!(step, Step::Ask(_))
            && let Step::Grant(grant) = gate.resume(answer, &keys(), NOW)
        {
            // Only another token of the same request, which needs no asking.
            prop_assert_eq!(grant.remaining, None);
        }
    }
}
