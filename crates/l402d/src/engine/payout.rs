//! Paying the till's ecash out over Lightning, to the wallets of the locations that it was taken at.

use std::{sync::Arc, time::Duration};

use ecash::{InvoiceFuture, Invoices, MeltError, MeltTerms, Till};
use l402::Msat;
use lightning::InvoiceRequest;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Engine, Failure, INVOICE_EXPIRY_S, backend::Backend, health::Call};

/// How long a wallet may take for an invoice before the next one of its list is asked.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the wallet shows of such a payment.
const DESCRIPTION: &str = "ecash of l402d, paid out";

/// How ecash is paid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payout {
    /// How often. The first time is at once.
    pub every: Duration,
    /// How much, and what it may cost.
    pub terms: MeltTerms,
}

impl Engine {
    /// Pays out for ever. May be dropped at any point: the next time, also of another process, goes on from there.
    pub async fn pay_out(self: Arc<Self>, payout: Payout) {
        let Some(counter) = &self.till else { return };
        let mut rounds = interval(payout.every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.pay_out_once(counter.till(), &payout.terms).await;
        }
    }

    async fn pay_out_once(&self, till: &Till, terms: &MeltTerms) {
        let all = match till.redeem(terms, self).await {
            Ok(all) => all,
            Err(error) => return tracing::error!(%error, "no ecash is paid out"),
        };
        for done in all {
            let (mint, payee) = (&done.mint, &done.payee);
            match &done.error {
                None => {}
                // What is under way is no fault yet.
                Some(error @ MeltError::UnderWay { .. }) => {
                    tracing::warn!(mint, payee, %error, "ecash is being paid out");
                }
                Some(error) => {
                    tracing::error!(mint, payee, %error, "ecash is not paid out; it is tried again, and nothing is lost");
                }
            }
        }
    }

    /// The wallets of a payee. What was taken before payees were recorded can be only one's where there is only one.
    fn paid_out_to(&self, payee: &str) -> Result<Vec<Arc<Backend>>, Failure> {
        if let Some(listed) = self.listed_payee(payee) {
            return Ok(vec![listed?]);
        }
        if !payee.is_empty() {
            return Ok(self.payees(payee)?.into_iter().cloned().collect());
        }
        match self.backends.values().collect::<Vec<_>>().as_slice() {
            [only] => Ok(vec![Arc::clone(only)]),
            _ => Err(Failure::internal(
                "an earlier version took it, and it is not on record for which of the backends",
            )),
        }
    }

    async fn invoice_to_pay_out(&self, payee: &str, amount_msat: u64) -> Result<String, String> {
        let ask = InvoiceRequest {
            amount: Msat(amount_msat),
            description: DESCRIPTION.to_owned(),
            expiry_s: INVOICE_EXPIRY_S,
        };
        let mut reason = "there is no backend".to_owned();
        for backend in self.paid_out_to(payee).map_err(|failure| failure.reason)? {
            match timeout(PATIENCE, backend.call_behind(Call::Create, backend.lightning.create(&ask))).await {
                Ok(Ok(made)) => return Ok(made.bolt11),
                Ok(Err(failure)) => reason = failure.reason,
                Err(_) => reason = format!("the backend {} did not answer within {PATIENCE:?}", backend.name),
            }
        }
        Err(reason)
    }
}

impl Invoices for Engine {
    fn invoice<'a>(&'a self, payee: &'a str, amount_msat: u64) -> InvoiceFuture<'a> {
        Box::pin(self.invoice_to_pay_out(payee, amount_msat))
    }
}

#[cfg(test)]
mod tests {
    use store::Model;

    use super::*;
    use crate::testing::{Act, Wallet, unavailable};

    fn engine(names: &[&str]) -> (Arc<Engine>, Vec<Arc<Wallet>>) {
        let wallets: Vec<_> = names.iter().map(|_| Arc::new(Wallet::new())).collect();
        let named = names.iter().zip(&wallets);
        let named = named.map(|(name, wallet)| ((*name).to_owned(), wallet.clone() as Arc<_>));
        (Engine::start(named.collect(), Arc::new(Model::new())), wallets)
    }

    fn asked(wallet: &Wallet) -> Vec<u64> {
        wallet.asked().iter().map(|ask| ask.amount.0).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_payee_is_paid_through_its_own_wallets() {
        let (engine, wallets) = engine(&["a", "b", "c"]);
        engine.invoice_to_pay_out("b", 5000).await.unwrap();
        assert_eq!(
            wallets.iter().map(|wallet| asked(wallet)).collect::<Vec<_>>(),
            [vec![], vec![5000], vec![]]
        );
        // A spare takes over from the one before it, and no other does.
        wallets[0].on_create(Act::Answer(Err(unavailable(Duration::ZERO))));
        engine.invoice_to_pay_out("a c", 6000).await.unwrap();
        assert_eq!(asked(&wallets[2]), [6000]);
        wallets[2].on_create(Act::Hang);
        engine.invoice_to_pay_out("a c", 7000).await.unwrap_err();
        assert_eq!(asked(&wallets[1]), [5000]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_gets_what_may_be_anothers() {
        let (several, wallets) = engine(&["a", "b"]);
        several.invoice_to_pay_out("", 5000).await.unwrap_err();
        several.invoice_to_pay_out("gone", 5000).await.unwrap_err();
        assert!(wallets.iter().all(|wallet| asked(wallet).is_empty()));
        let (single, wallets) = engine(&["a"]);
        single.invoice_to_pay_out("", 5000).await.unwrap();
        single.invoice_to_pay_out("gone", 5000).await.unwrap_err();
        assert_eq!(asked(&wallets[0]), [5000]);
    }
}
