//! Redeems a payment: verifies its settlement, then claims one use durably before replying.

use std::sync::Arc;

use agent_api::{Proof, Rate};
use l402::{PaymentHash, Preimage};
use store::{Claim, Claimed, RequestId};

use super::{
    Engine, Failure, admit::LookUpPermit, backend::Backend, draws::Undrawn, lookup::Verdict, unix_now,
};

/// What a client presents.
#[derive(Clone, Debug)]
pub struct Redemption {
    /// Unique to this redemption; a resend repeats it.
    pub request: RequestId,
    /// The names of the backends one of which was paid, separated by a space.
    pub backend: String,
    /// The payment.
    pub payment_hash: PaymentHash,
    /// How the client shows that it paid.
    pub proof: Proof,
    /// How many requests the payment buys; `None`: any number, and nothing is drawn.
    pub limit: Option<u32>,
    /// True: one is drawn. False: one must be left.
    pub draw: bool,
}

/// Outcome of a redemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// Paid, and drawn or left if there was a limit.
    Granted {
        /// How many more requests the payment serves; `None`: any number.
        remaining: Option<u32>,
    },
    /// Not paid yet; the same invoice can still be paid.
    Unsettled {
        /// The invoice.
        bolt11: String,
        /// When it expires, in Unix seconds.
        expires_at: u64,
        /// The BOLT 12 offer that it is of, where it is of one.
        offer: Option<Arc<str>>,
    },
    /// Paid, and all that it bought was served.
    UsedUp,
    /// Never to be paid.
    Dead,
    /// The wallet can't tell whether it is paid.
    CannotLookUp,
}

impl Engine {
    /// Checks that the payment arrived, and draws one unit of what it bought if that is asked for.
    ///
    /// # Errors
    /// [`Failure`]; nothing is drawn then, or what was drawn is being given back.
    pub async fn redeem(&self, redemption: Redemption) -> Result<Redeemed, Failure> {
        let Redemption { request, backend, payment_hash, proof, limit, draw } = redemption;
        let mut proved = None;
        match proof {
            // The front end has checked this; nothing is granted on its word alone.
            Proof::Preimage(preimage) => {
                let preimage = Preimage::from_bytes(*preimage.expose());
                if !preimage.matches(&payment_hash) {
                    return Err(Failure::internal("a preimage was sent that is not of the payment hash"));
                }
                proved = Some(preimage);
            }
            Proof::LookUp(rate) => match Box::pin(self.look_up(&backend, payment_hash, rate)).await? {
                Verdict::Paid => {}
                Verdict::Unsettled { bolt11, expires_at, offer } => {
                    return Ok(Redeemed::Unsettled { bolt11, expires_at, offer });
                }
                Verdict::Dead => return Ok(Redeemed::Dead),
                Verdict::CannotLookUp => return Ok(Redeemed::CannotLookUp),
            },
            Proof::Known if self.store.settled_get(payment_hash.0).await?.is_some() => {}
            Proof::Known => return Ok(Redeemed::CannotLookUp),
        }
        match limit {
            None => Ok(Redeemed::Granted { remaining: None }),
            Some(limit) if !draw => self.left(payment_hash, limit).await,
            Some(limit) => {
                let claim = Claim { payment_hash: payment_hash.0, request, limit, units: 1 };
                let Some((preimage, maker)) =
                    proved.and_then(|preimage| Some((preimage, self.untold(&backend, &payment_hash)?)))
                else {
                    return self.draw(claim, None).await;
                };
                let drawn = self.draw(claim, Some(preimage)).await?;
                if matches!(drawn, Redeemed::Granted { .. }) {
                    maker.issued().settle(payment_hash, unix_now());
                }
                Ok(drawn)
            }
        }
    }

    /// Looks a settlement up, as often as the client may have that.
    async fn look_up(
        &self,
        backend: &str,
        payment_hash: PaymentHash,
        rate: Option<Rate>,
    ) -> Result<Verdict, Failure> {
        let permit = LookUpPermit::new(self.store.clone(), rate);
        let verdict = self.verdict(backend, payment_hash, &permit).await?;
        if verdict == Verdict::Paid {
            permit.give_back().await;
        }
        Ok(verdict)
    }

    /// Says if the payment has a use left.
    async fn left(&self, payment_hash: PaymentHash, limit: u32) -> Result<Redeemed, Failure> {
        let used = self.store.used(payment_hash.0).await?;
        match limit.checked_sub(used) {
            None | Some(0) => Ok(Redeemed::UsedUp),
            left @ Some(_) => Ok(Redeemed::Granted { remaining: left }),
        }
    }

    /// Whose payment it is, where other hosts may not know yet that it is settled.
    fn untold(&self, backend: &str, payment_hash: &PaymentHash) -> Option<&Arc<Backend>> {
        if !self.store.is_shared() {
            return None;
        }
        self.maker(backend, payment_hash).filter(|maker| !maker.issued().is_settled(payment_hash))
    }

    async fn draw(&self, claim: Claim, preimage: Option<Preimage>) -> Result<Redeemed, Failure> {
        match self.draws.draw(claim, preimage).await {
            Ok(Claimed::Granted { remaining }) => Ok(Redeemed::Granted { remaining: Some(remaining) }),
            Ok(Claimed::UsedUp) => Ok(Redeemed::UsedUp),
            Ok(Claimed::Released) => {
                Err(Failure::internal("a redemption was sent again after it was cancelled"))
            }
            Err(Undrawn::InDoubt) => {
                Err(Failure::busy("what another request drew from this payment can't be given back yet"))
            }
            Err(Undrawn::Store(error)) => Err(error.into()),
        }
    }
}
