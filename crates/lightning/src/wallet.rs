//! A wallet of any kind with the one judgement before it: what its module brings is judged, said and made fit for a log here.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use l402::PaymentHash;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::api::Pending;
use crate::connector::{Bounds, Connector, Push};
use crate::foreign::Secrets;
use crate::judgement::{
    Asked, Fact, Network, Remark, fit_description, judge_found, judge_invoice, judge_push, short_description,
};
use crate::{
    Calls, Cancelled, Health, Invoice, InvoiceRequest, Lightning, LightningError, Lookup, Reply, Settlement,
    unix_now,
};

/// Settlements that may wait for the engine.
const BACKLOG: usize = 1024;

/// Remarks that are remembered as said; a wallet that finds ever new ones is not listened to beyond that.
const MOST_REMARKS: usize = 64;

/// What is said of a wallet that takes short descriptions only.
const SHORTENED: &str = "it refuses descriptions that are long or beyond ASCII; from now on its invoices have at most 100 bytes of ASCII";

/// A wallet of the kind `C`.
pub struct Wallet<C> {
    connector: C,
    timeout: Duration,
    /// The network that the wallet named; `None` within if it does not tell.
    told: OnceCell<Option<Network>>,
    /// The network of the first good invoice.
    seen: OnceLock<Network>,
    /// The wallet refused a description that it takes in a shorter form.
    short: AtomicBool,
    log: Arc<Log>,
}

/// What is logged of a wallet.
struct Log {
    backend: OnceLock<String>,
    secrets: Secrets,
    said: Mutex<HashSet<(Fact, String)>>,
}

impl<C: Connector> Wallet<C> {
    /// The wallet behind `connector`; every call takes at most `timeout`.
    pub(crate) fn of(connector: C, timeout: Duration) -> Wallet<C> {
        let log = Log { backend: OnceLock::new(), secrets: connector.secrets(), said: Mutex::default() };
        Wallet {
            connector,
            timeout,
            told: OnceCell::new(),
            seen: OnceLock::new(),
            short: AtomicBool::new(false),
            log: Arc::new(log),
        }
    }

    /// Its module, while nobody uses it yet.
    pub(crate) fn connector_mut(&mut self) -> &mut C {
        &mut self.connector
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    async fn create_invoice(&self, ask: &InvoiceRequest) -> Result<Invoice, LightningError> {
        let (deadline, asked_at) = (self.deadline(), unix_now());
        let network = self.network(deadline).await?;
        let made = self.make(ask, deadline).await?;
        let asked = Asked { amount: ask.amount, network, asked_at };
        let judged = judge_invoice(made, &asked, unix_now())?;
        let first = *self.seen.get_or_init(|| judged.network);
        if first != judged.network {
            let (now, before) = (judged.network.name(), first.name());
            return Err(LightningError::Wrong(format!(
                "an invoice on {now}, but earlier ones were on {before}"
            )));
        }
        self.log.say(&judged.invoice.remarks);
        Ok(judged.invoice)
    }

    /// Asks for the invoice; again with a short description where the wallet refuses a long one, or one beyond ASCII.
    async fn make(
        &self,
        ask: &InvoiceRequest,
        deadline: Instant,
    ) -> Result<crate::connector::Made, LightningError> {
        let with = |description: String| InvoiceRequest { description, ..ask.clone() };
        let short = short_description(&ask.description).filter(|_| self.connector.describes());
        match (&short, self.short.load(Ordering::Relaxed)) {
            (Some(short), true) => {
                let mut made = self.connector.make(&with(short.clone()), deadline).await?;
                made.findings.push(Remark::new(Fact::DescriptionLimit, SHORTENED));
                Ok(made)
            }
            (None, _) => self.connector.make(ask, deadline).await,
            (Some(short), false) => {
                let fitted = with(fit_description(&ask.description).to_owned());
                let refused = match self.connector.make(&fitted, deadline).await {
                    Err(error @ LightningError::Refused(_)) => error,
                    other => return other,
                };
                // What is refused for another reason is refused again, and that reason is told.
                let mut made =
                    self.connector.make(&with(short.clone()), deadline).await.map_err(|_| refused)?;
                self.short.store(true, Ordering::Relaxed);
                made.findings.push(Remark::new(Fact::DescriptionLimit, SHORTENED));
                Ok(made)
            }
        }
    }

    /// The network that invoices must be on, as far as it is known. Asked once.
    async fn network(&self, deadline: Instant) -> Result<Option<Network>, LightningError> {
        let ask = self.told.get_or_try_init(|| self.connector.network(deadline));
        // Whoever asks first may hold the others up, but no longer than their own deadline.
        match timeout_at(deadline, ask).await {
            Ok(told) => Ok(told?.or_else(|| self.seen.get().copied())),
            Err(_) => Err(LightningError::TimedOut),
        }
    }

    async fn look_up_invoice(&self, hash: PaymentHash) -> Result<Lookup, LightningError> {
        let found = judge_found(hash, self.connector.find(hash, self.deadline()).await?)?;
        match &found {
            Lookup::Settled { remarks, .. } => self.log.say(remarks),
            Lookup::Unclear(said) => {
                let text = format!("a look-up is answered with an error of the wallet's own: {said}");
                self.log.say(&[Remark::new(Fact::LookUpAnswer, text)]);
            }
            Lookup::Pending { .. } | Lookup::Dead | Lookup::Unknown | Lookup::CannotLookUp => {}
        }
        Ok(found)
    }

    async fn wallet_health(&self) -> Result<Health, LightningError> {
        let health = self.connector.health(self.deadline()).await?;
        let node = self.log.secrets.cut(&health.node);
        let network = health.network.or_else(|| self.seen.get().map(|network| network.name().to_owned()));
        self.log.say(&health.remarks);
        Ok(Health { node, network, ..health })
    }

    /// An error without a secret in it, whoever wrote its text.
    fn clean<T>(&self, result: Result<T, LightningError>) -> Result<T, LightningError> {
        result.map_err(|error| self.log.clean(error))
    }
}

impl<C: Connector> Lightning for Wallet<C> {
    fn create<'a>(&'a self, ask: &'a InvoiceRequest) -> Reply<'a, Invoice> {
        Box::pin(async { self.clean(self.create_invoice(ask).await) })
    }

    fn look_up(&self, hash: PaymentHash) -> Reply<'_, Lookup> {
        Box::pin(async move {
            match self.clean(self.look_up_invoice(hash).await)? {
                Lookup::Unclear(said) => Ok(Lookup::Unclear(self.log.secrets.cut(&said))),
                found => Ok(found),
            }
        })
    }

    fn cancel(&self, hash: PaymentHash) -> Reply<'_, Cancelled> {
        Box::pin(async move { self.clean(self.connector.cancel(hash, self.deadline()).await) })
    }

    fn settlements(&self) -> mpsc::Receiver<Settlement> {
        let (to, settlements) = mpsc::channel(BACKLOG);
        tokio::spawn(judge_pushes(self.connector.pushes(), to, Arc::clone(&self.log)));
        settlements
    }

    fn health(&self) -> Reply<'_, Health> {
        Box::pin(async { self.clean(self.wallet_health().await) })
    }

    fn calls(&self) -> Calls {
        self.connector.calls()
    }

    fn offer(&self) -> Option<Arc<str>> {
        self.connector.offer()
    }

    fn bounds(&self) -> Reply<'_, Bounds> {
        Box::pin(async { self.clean(self.connector.bounds(self.deadline()).await) })
    }

    fn when_silent(&self) -> &'static str {
        self.connector.when_silent()
    }

    fn most_ahead(&self) -> usize {
        self.connector.most_ahead()
    }

    fn try_push(&self) -> Reply<'_, bool> {
        Box::pin(async { self.clean(self.connector.try_push(self.deadline()).await) })
    }

    fn close(&self) -> Pending<'_, ()> {
        self.connector.close()
    }

    fn set_backend(&self, name: &str) {
        // It is named once, when it is opened.
        let _ = self.log.backend.set(name.to_owned());
    }
}

/// Passes on what a wallet pushes, judged, until either end is gone.
async fn judge_pushes(mut pushes: mpsc::Receiver<Push>, to: mpsc::Sender<Settlement>, log: Arc<Log>) {
    // What was logged last; the same is not logged again.
    let mut complaint: Option<LightningError> = None;
    loop {
        let push = tokio::select! {
            () = to.closed() => return,
            push = pushes.recv() => push,
        };
        match push {
            None => return,
            Some(Push::Paid(payment)) => match judge_push(&payment) {
                Ok(settlement) => {
                    log.say(&settlement.remarks);
                    if to.send(settlement).await.is_err() {
                        return;
                    }
                }
                Err(error) => log.pass_over(&error),
            },
            Some(Push::Unreadable(error)) => log.pass_over(&error),
            Some(Push::Live) => {
                if complaint.take().is_some() {
                    tracing::info!(backend = log.backend(), "settlements are pushed again");
                }
            }
            Some(Push::Lost(error)) => {
                if !complaint.as_ref().is_some_and(|before| before.says_the_same(&error)) {
                    let text = log.clean(error.clone());
                    tracing::warn!(
                        backend = log.backend(),
                        "no settlements are pushed, only look-ups find them: {text}"
                    );
                    complaint = Some(error);
                }
            }
        }
    }
}

impl Log {
    fn backend(&self) -> &str {
        self.backend.get().map_or("", String::as_str)
    }

    /// Logs each remark the first time.
    fn say(&self, remarks: &[Remark]) {
        for remark in remarks {
            // Of most facts one is enough, whatever its numbers; a node's warnings are different ones.
            let detail = if remark.fact == Fact::NodeWarning { remark.text.clone() } else { String::new() };
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            let new = said.len() < MOST_REMARKS && said.insert((remark.fact, detail));
            drop(said);
            if new {
                tracing::warn!(
                    backend = self.backend(),
                    "the wallet is different: {}",
                    self.secrets.cut(&remark.text)
                );
            }
        }
    }

    fn pass_over(&self, error: &LightningError) {
        let error = self.clean(error.clone());
        tracing::warn!(backend = self.backend(), "what the wallet pushed is passed over: {error}");
    }

    fn clean(&self, error: LightningError) -> LightningError {
        error.map_text(|text| self.secrets.cut(text))
    }
}
