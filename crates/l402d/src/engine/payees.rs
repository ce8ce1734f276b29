//! Several wallets for one location, in order of preference: who is asked next, and when the first is tried again.

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_api::Fault;
use l402::PaymentHash;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{Engine, Failure, Ready, Wanted, admit::LookUpPermit, backend::Backend, lookup::Verdict};

/// All the wallets of a list together have as long as one wallet's own time-out is by default: less than nginx waits.
const ALL: Duration = Duration::from_secs(10);
/// How long a wallet may take before the next one is asked, if there is one: an invoice takes a node far less, also through Tor.
const EACH: Duration = Duration::from_secs(3);
/// How long a wallet that failed is asked last. Then one client's request tries it first again.
const COOLING: Duration = Duration::from_secs(5);

/// What is remembered of a wallet's last failure.
#[derive(Default)]
pub(super) struct Circuit(Mutex<Option<Instant>>);

/// Where a wallet stands in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is known against it.
    Good,
    /// It failed a while ago: worth a try.
    OnTrial,
    /// It just failed: the last choice.
    Failing,
}

impl Circuit {
    /// It has failed just now.
    pub(super) fn failed(&self, now: Instant) {
        *self.lock() = Some(now + COOLING);
    }

    /// It does what it is asked.
    pub(super) fn works(&self) {
        *self.lock() = None;
    }

    fn standing(&self, now: Instant) -> Standing {
        match *self.lock() {
            None => Standing::Good,
            Some(until) if now < until => Standing::Failing,
            Some(_) => Standing::OnTrial,
        }
    }

    /// Takes the trial, if there is one to be had: others who come meanwhile don't wait for its outcome.
    fn try_again(&self, now: Instant) -> Standing {
        let standing = self.standing(now);
        if standing == Standing::OnTrial {
            self.failed(now);
        }
        standing
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // Nothing that holds it can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// The wallets that `names` lists, separated by a space, in that order; at least one.
    pub(super) fn payees(&self, names: &str) -> Result<Vec<&Arc<Backend>>, Failure> {
        names.split(' ').map(|name| self.backend(name)).collect()
    }

    /// A ready invoice of the wallet that would be asked first; `None` also where that one has to be tried.
    pub(super) fn ready_of_first(&self, names: &str, wanted: &Wanted) -> Option<Ready> {
        let now = Instant::now();
        let Ok(payees) = self.payees(names) else { return None };
        let [only] = payees.as_slice() else {
            let standing = |payee: &&&Arc<Backend>| payee.circuit.standing(now);
            let first = payees.iter().find(|payee| standing(payee) != Standing::Failing)?;
            return (standing(&first) == Standing::Good).then(|| first.ready(wanted)).flatten();
        };
        only.ready(wanted)
    }

    /// An invoice of the first wallet that makes one, within one deadline.
    pub(super) async fn invoice_of_any(&self, names: &str, wanted: Wanted) -> Result<Ready, Failure> {
        let payees = self.payees(names)?;
        if let [only] = payees.as_slice() {
            return only.invoice(wanted).await;
        }
        let start = Instant::now();
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for payee in payees {
            match payee.circuit.try_again(start) {
                Standing::Failing => last.push((payee, Standing::Failing)),
                standing => first.push((payee, standing)),
            }
        }
        first.append(&mut last);
        let mut failure = Failure::internal("there is no backend");
        let count = first.len();
        for (at, (payee, standing)) in first.into_iter().enumerate() {
            let left = ALL.saturating_sub(start.elapsed());
            let patience = if at + 1 < count { EACH.min(left / 2) } else { left };
            // On trial, an invoice that was ready before would tell nothing.
            if standing != Standing::OnTrial
                && let Some(ready) = payee.ready(&wanted)
            {
                return Ok(ready);
            }
            failure = match timeout(patience, payee.invoice(wanted.clone())).await {
                Ok(Ok(made)) => return Ok(made),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    let reason = format!("the Lightning node did not answer within {patience:?}");
                    Failure { fault: Fault::TimedOut, reason }
                }
            };
            payee.circuit.failed(Instant::now());
            if at + 1 < count {
                tracing::warn!(
                    backend = payee.name,
                    reason = failure.reason,
                    "makes no invoice; the next backend is asked"
                );
            }
        }
        Err(failure)
    }

    /// Whether it is paid, to whichever of the wallets made the invoice.
    pub(super) async fn verdict_of_any(
        &self,
        names: &str,
        hash: PaymentHash,
        permit: &Arc<LookUpPermit>,
    ) -> Result<Verdict, Failure> {
        let payees = self.payees(names)?;
        let mut maker = payees.iter().find(|payee| payee.issued().contains(&hash));
        for payee in &payees {
            if maker.is_none() && payee.recalls(hash).await {
                maker = Some(payee);
            }
        }
        if let (Some(only), _) | (None, [only]) = (maker, payees.as_slice()) {
            return only.verdict(hash, permit).await;
        }
        // Made before this process was started, and not on record. One that is down must not keep the others from telling.
        let mut asked = JoinSet::new();
        for payee in payees {
            let (payee, permit) = (payee.clone(), permit.clone());
            asked.spawn(async move { payee.verdict(hash, &permit).await });
        }
        let mut answer = Ok(Verdict::Dead);
        while let Some(verdict) = asked.join_next().await {
            let verdict =
                verdict.unwrap_or_else(|error| Err(Failure::internal(format!("a look-up ended: {error}"))));
            answer = match (verdict, answer) {
                (found @ Ok(Verdict::Paid | Verdict::Unsettled { .. }), _) => return found,
                // Who did not answer may be the one who made it: then nothing is known.
                (failed @ Err(_), _) | (_, failed @ Err(_)) => failed,
                (Ok(Verdict::CannotLookUp), _) | (_, Ok(Verdict::CannotLookUp)) => Ok(Verdict::CannotLookUp),
                (dead, _) => dead,
            };
        }
        answer
    }

    /// The wallet that made the invoice, as far as that is remembered, or else the first.
    pub(super) fn maker(&self, names: &str, hash: &PaymentHash) -> Option<&Arc<Backend>> {
        let payees = self.payees(names).ok()?;
        let maker = payees.iter().find(|payee| payee.issued().contains(hash));
        maker.or(payees.first()).copied()
    }
}
