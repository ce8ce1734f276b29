//! From a frame to the engine's question, and from its answer to a frame. Always an answer, also after a panic.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use agent_api::{FromAgent, Rate, Secret32, SecretText};

use crate::engine::{Draw, Engine, Failure, Ready, Redeemed, Redemption, Taken, Wanted};

pub(super) enum Question {
    Invoice { backend: String, path: String, wanted: Wanted, rate: Option<Rate> },
    Redeem(Redemption),
    Ecash { backend: String, amount_msat: u64, path: String, terms: String, token: SecretText },
    Examine { number: u32 },
}

impl Question {
    /// What is drawn, where that is counted.
    pub(super) fn draws(&self) -> Option<Draw> {
        match self {
            Self::Redeem(Redemption { request, payment_hash, limit: Some(_), draw: true, .. }) => {
                Some(Draw { payment_hash: payment_hash.0, request: *request })
            }
            Self::Invoice { .. } | Self::Ecash { .. } | Self::Examine { .. } | Self::Redeem(_) => None,
        }
    }

    /// The answer, where it takes nothing but memory: an invoice that is ready.
    pub(super) fn at_once(&self, id: u64, engine: &Engine) -> Option<FromAgent> {
        let Self::Invoice { backend, path, wanted, rate: None } = self else { return None };
        // After a panic the question is asked again, in a task of its own.
        let ready = catch_unwind(AssertUnwindSafe(|| {
            let quote = engine.quote_at_once(path, wanted.amount_msat)?;
            let ready = engine.ready_invoice_to(&quote, backend, &quote.over(wanted))?;
            Some((ready, quote.amount_msat, engine.ecash_request(quote.amount_msat)))
        }));
        let (ready, amount_msat, ecash) = ready.ok()??;
        Some(invoice(id, ready, amount_msat, ecash))
    }

    pub(super) async fn answer(self, id: u64, engine: &Engine) -> FromAgent {
        let draws = self.draws();
        if let Some(answer) = caught(self.ask(id, engine)).await {
            return answer.unwrap_or_else(|Failure { fault, reason }| FromAgent::Failed {
                id,
                fault,
                reason,
            });
        }
        if let Some(draw) = draws {
            engine.undo(draw);
        }
        let Failure { fault, reason } =
            Failure::internal("l402d has a fault, its log says which; please report it");
        FromAgent::Failed { id, fault, reason }
    }

    /// What takes much room while it waits has that made when it is asked: redemptions, which there are most of, need none of it.
    async fn ask(self, id: u64, engine: &Engine) -> Result<FromAgent, Failure> {
        match self {
            Self::Invoice { backend, path, wanted, rate } => {
                Box::pin(async move {
                    if let Some(rate) = rate {
                        engine.admit(&rate).await?;
                    }
                    let quote = engine.quote(&path, wanted.amount_msat).await?;
                    let wanted = quote.over(&wanted).into_owned();
                    let ready = engine.invoice_to(&quote, &backend, wanted).await?;
                    Ok(invoice(id, ready, quote.amount_msat, engine.ecash_request(quote.amount_msat)))
                })
                .await
            }
            Self::Ecash { backend, amount_msat, path, terms, token } => {
                Box::pin(async move {
                    let amount_msat = engine.ecash_price(&path, amount_msat).await;
                    let payee = engine.ecash_payee(&path, backend).await;
                    Ok(match engine.take_ecash(token.expose(), amount_msat, &terms, &payee).await? {
                        Taken::Paid { payment_hash, preimage, nonce, paid_at } => {
                            let preimage = Secret32::new(*preimage);
                            FromAgent::Paid { id, payment_hash, preimage, nonce, paid_at }
                        }
                        Taken::Refused(refusal) => {
                            FromAgent::EcashRefused { id, reason: refusal.to_string() }
                        }
                        Taken::NoEcash => FromAgent::NoEcash { id },
                    })
                })
                .await
            }
            Self::Examine { number } => {
                let (count, report) = engine.examine(number).await?;
                Ok(FromAgent::Examined { id, count, report })
            }
            Self::Redeem(redemption) => Ok(match engine.redeem(redemption).await? {
                Redeemed::Granted { remaining } => FromAgent::Granted { id, remaining },
                Redeemed::Unsettled { bolt11, expires_at, offer } => {
                    FromAgent::Unsettled { id, bolt11, expires_at, offer: told(offer) }
                }
                Redeemed::UsedUp => FromAgent::UsedUp { id },
                Redeemed::Dead => FromAgent::Dead { id },
                Redeemed::CannotLookUp => FromAgent::CannotLookUp { id },
            }),
        }
    }
}

fn invoice(id: u64, ready: Ready, amount_msat: u64, ecash: String) -> FromAgent {
    let Ready { payment_hash, bolt11, offer, nonce, expires_at } = ready;
    let (payment_hash, offer) = (payment_hash.0, told(offer));
    FromAgent::Invoice { id, payment_hash, bolt11, nonce, expires_at, amount_msat, ecash, offer }
}

fn told(offer: Option<Arc<str>>) -> String {
    offer.as_deref().unwrap_or_default().to_owned()
}

/// The future's result; `None` if it panicked. The panic hook has logged where.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        // After a panic the future is only dropped, so nothing sees it half done.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}
