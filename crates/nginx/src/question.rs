//! The gate's questions as frames, and l402d's frames as the gate's answers.
use agent_api::{Fault, FromAgent, Rate, Secret32, SecretText, ToAgent};
use gate::{Answer, ClientRate, Failure, PaymentHash, Preimage, Proof, Question};

/// The frame that asks `question`. `request` names a redemption for good, so that a repetition draws once.
pub fn to_frame(question: Question, id: u64, request: [u8; 16]) -> ToAgent {
    match question {
        Question::Invoice { backend, amount_msat, description, path, rate } => ToAgent::Invoice {
            id,
            backend,
            amount_msat,
            description,
            path: text(path),
            rate: rate.map(to_rate),
        },
        Question::Ecash { backend, amount_msat, path, terms, token } => ToAgent::Ecash {
            id,
            backend,
            amount_msat,
            path: text(path),
            terms,
            token: SecretText::new(token.expose().to_owned()),
        },
        Question::Redeem { backend, payment_hash, proof, limit, draw, .. } => ToAgent::Redeem {
            id,
            request,
            backend,
            payment_hash: payment_hash.0,
            proof: match proof {
                Proof::Preimage(preimage) => agent_api::Proof::Preimage(Secret32::new(*preimage.expose())),
                Proof::LookUp(rate) => agent_api::Proof::LookUp(Some(to_rate(rate))),
                Proof::Known => agent_api::Proof::Known,
            },
            limit,
            draw,
        },
    }
}

fn to_rate(ClientRate { key, limit, window_s }: ClientRate) -> Rate {
    Rate { key, limit, window_s }
}

/// What a frame answers, and why, where l402d has something to tell the operator.
pub fn to_answer(frame: FromAgent) -> (Answer, Option<String>) {
    let answer = match frame {
        FromAgent::Invoice { payment_hash, bolt11, nonce, expires_at, amount_msat, ecash, offer, .. } => {
            let payment_hash = PaymentHash(payment_hash);
            Answer::Invoice { payment_hash, bolt11, nonce, expires_at, amount_msat, ecash, offer }
        }
        FromAgent::Paid { payment_hash, preimage, nonce, paid_at, .. } => Answer::Paid {
            payment_hash: PaymentHash(payment_hash),
            preimage: Preimage::from_bytes(*preimage.expose()),
            nonce,
            paid_at,
        },
        FromAgent::EcashRefused { reason, .. } => Answer::EcashRefused(reason),
        FromAgent::NoEcash { .. } => Answer::NoEcash,
        FromAgent::Granted { remaining, .. } => Answer::Granted { remaining },
        FromAgent::Unsettled { bolt11, expires_at, offer, .. } => {
            Answer::Unsettled { bolt11, expires_at, offer }
        }
        FromAgent::UsedUp { .. } => Answer::UsedUp,
        FromAgent::Dead { .. } => Answer::Dead,
        FromAgent::CannotLookUp { .. } => Answer::CannotLookUp,
        FromAgent::Failed { fault, reason, .. } => {
            let failure = match fault {
                Fault::Refused => Failure::Refused,
                Fault::Unavailable { retry_after_s } => Failure::Unavailable { retry_after_s },
                Fault::TimedOut => Failure::TimedOut,
                Fault::Limited { retry_after_s } => Failure::Limited { retry_after_s },
                Fault::Internal => Failure::Internal,
            };
            return (Answer::Failed(failure), (!reason.is_empty()).then_some(reason));
        }
        // The operator's answer, which no request asks for.
        FromAgent::Examined { .. } | FromAgent::Welcome { .. } => Answer::Failed(Failure::Internal),
    };
    (answer, None)
}

/// A path as a name to look up; one that is no UTF-8 has none.
fn text(path: Vec<u8>) -> String {
    String::from_utf8(path).unwrap_or_default()
}
