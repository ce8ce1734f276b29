//! A wallet that does as a test tells it, and a store that fails when told to.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use l402::{Msat, PaymentHash, Preimage};
use lightning::{
    Calls, Cancelled, Health, Invoice, InvoiceRequest, Lightning, LightningError, Lookup, Reply, Settlement,
};
use store::{BoxFuture, Claim, Claimed, Hash, Model, Rate, RequestId, Settled, Store, StoreError, Taken};
use tokio::{sync::mpsc, time::sleep};

/// The preimage of the `n`th invoice of a [`Wallet`].
pub fn preimage(n: u32) -> Preimage {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    Preimage::from_bytes(bytes)
}

/// Its payment hash.
pub fn hash(n: u32) -> PaymentHash {
    preimage(n).payment_hash()
}

/// A request id.
pub fn id(n: u32) -> RequestId {
    u128::from(n).to_le_bytes()
}

/// When invoices of the [`Wallet`] expire: not while these tests are run.
pub const FAR: u64 = 1 << 40;

#[derive(Clone, Debug)]
pub enum Act<T> {
    Answer(Result<T, LightningError>),
    /// The same after this time.
    Later(Duration, Result<T, LightningError>),
    Hang,
    Panic,
}

pub struct Wallet {
    create: Mutex<Act<()>>,
    look_up: Mutex<Act<Lookup>>,
    pub creates: AtomicUsize,
    pub look_ups: AtomicUsize,
    pub repeat_invoices: AtomicBool,
    /// The offer that all of its invoices are of.
    pub offer: Mutex<Option<Arc<str>>>,
    /// Unix seconds; [`FAR`] unless set.
    pub expires_at: AtomicU64,
    /// How long its invoices live, whatever is asked for, seconds; 0: until `expires_at`.
    pub life_s: AtomicU64,
    /// It refuses invoices that are to live longer, seconds.
    pub most_life_s: AtomicU32,
    cancel: Mutex<Act<Cancelled>>,
    cancelled: Mutex<Vec<PaymentHash>>,
    asked: Mutex<Vec<InvoiceRequest>>,
    running: AtomicUsize,
    pub most_at_once: AtomicUsize,
    push: mpsc::Sender<Settlement>,
    pushed: Mutex<Option<mpsc::Receiver<Settlement>>>,
}

impl Wallet {
    /// Makes invoices 1, 2, 3 …; none of them is paid.
    pub fn new() -> Self {
        let (push, pushed) = mpsc::channel(16);
        Self {
            create: Mutex::new(Act::Answer(Ok(()))),
            look_up: Mutex::new(Act::Answer(Ok(Lookup::Pending { bolt11: None, expires_at: Some(FAR) }))),
            creates: AtomicUsize::new(0),
            look_ups: AtomicUsize::new(0),
            repeat_invoices: AtomicBool::new(false),
            offer: Mutex::default(),
            expires_at: AtomicU64::new(FAR),
            life_s: AtomicU64::new(0),
            most_life_s: AtomicU32::new(u32::MAX),
            cancel: Mutex::new(Act::Answer(Ok(Cancelled::Done))),
            cancelled: Mutex::default(),
            asked: Mutex::default(),
            running: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            push,
            pushed: Mutex::new(Some(pushed)),
        }
    }

    pub fn on_create(&self, act: Act<()>) {
        *self.create.lock().unwrap() = act;
    }

    pub fn on_look_up(&self, act: Act<Lookup>) {
        *self.look_up.lock().unwrap() = act;
    }

    pub fn pay(&self, n: u32, received_msat: u64) {
        let (preimage, received) = (Some(preimage(n)), Some(Msat(received_msat)));
        self.on_look_up(Act::Answer(Ok(Lookup::Settled { preimage, received, remarks: Vec::new() })));
    }

    pub async fn push(&self, n: u32, received_msat: u64) {
        let (preimage, received) = (Some(preimage(n)), Some(Msat(received_msat)));
        let settlement = Settlement { payment_hash: hash(n), preimage, received, remarks: Vec::new() };
        self.push.send(settlement).await.unwrap();
    }

    pub fn on_cancel(&self, act: Act<Cancelled>) {
        *self.cancel.lock().unwrap() = act;
    }

    /// How many invoices it was asked for.
    pub fn creates(&self) -> usize {
        self.creates.load(Ordering::SeqCst)
    }

    /// What was asked for, in order.
    pub fn asked(&self) -> Vec<InvoiceRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// What it was asked to cancel, in order.
    pub fn cancelled(&self) -> Vec<PaymentHash> {
        self.cancelled.lock().unwrap().clone()
    }

    pub fn look_ups(&self) -> usize {
        self.look_ups.load(Ordering::SeqCst)
    }

    async fn act<T>(&self, act: Act<T>) -> Result<T, LightningError> {
        let _running = Running::start(self);
        match act {
            Act::Answer(answer) => answer,
            Act::Later(after, answer) => {
                sleep(after).await;
                answer
            }
            Act::Hang => pending().await,
            Act::Panic => panic!("as the test wants"),
        }
    }
}

struct Running<'a>(&'a Wallet);

impl<'a> Running<'a> {
    fn start(wallet: &'a Wallet) -> Self {
        let now = wallet.running.fetch_add(1, Ordering::SeqCst) + 1;
        wallet.most_at_once.fetch_max(now, Ordering::SeqCst);
        Self(wallet)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Lightning for Wallet {
    fn create<'a>(&'a self, ask: &'a InvoiceRequest) -> Reply<'a, Invoice> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(ask.clone());
            let n = self.creates.fetch_add(1, Ordering::SeqCst) as u32 + 1;
            let n = if self.repeat_invoices.load(Ordering::SeqCst) { 1 } else { n };
            let act = self.create.lock().unwrap().clone();
            self.act(act).await?;
            if ask.expiry_s > self.most_life_s.load(Ordering::SeqCst) {
                return Err(LightningError::Refused("so long a life".into()));
            }
            let expires_at = match self.life_s.load(Ordering::SeqCst) {
                0 => self.expires_at.load(Ordering::SeqCst),
                life_s => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + life_s,
            };
            Ok(Invoice {
                payment_hash: hash(n),
                bolt11: format!("lnbcrt{n}"),
                expires_at,
                remarks: Vec::new(),
            })
        })
    }

    fn look_up(&self, _: PaymentHash) -> Reply<'_, Lookup> {
        Box::pin(async move {
            self.look_ups.fetch_add(1, Ordering::SeqCst);
            let act = self.look_up.lock().unwrap().clone();
            self.act(act).await
        })
    }

    fn cancel(&self, hash: PaymentHash) -> Reply<'_, Cancelled> {
        Box::pin(async move {
            self.cancelled.lock().unwrap().push(hash);
            let act = self.cancel.lock().unwrap().clone();
            self.act(act).await
        })
    }

    fn settlements(&self) -> mpsc::Receiver<Settlement> {
        self.pushed.lock().unwrap().take().unwrap_or_else(|| mpsc::channel(1).1)
    }

    fn health(&self) -> Reply<'_, Health> {
        Box::pin(async { Ok(Health::of("a test")) })
    }

    fn calls(&self) -> Calls {
        Calls {
            kind: "TEST",
            health: "health",
            create: "create",
            look_up: "look_up",
            push: "push",
            cancel: Some("cancel"),
        }
    }

    fn offer(&self) -> Option<Arc<str>> {
        self.offer.lock().unwrap().clone()
    }

    fn try_push(&self) -> Reply<'_, bool> {
        Box::pin(async { Ok(true) })
    }
}

/// A [`Model`] whose claims can be made to fail *after* they were carried out, as a broken commit might.
#[derive(Default)]
pub struct Flaky {
    pub model: Model,
    pub broken: AtomicBool,
}

impl Store for Flaky {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Claimed, StoreError>> {
        Box::pin(async move {
            let claimed = self.model.claim(claim).await?;
            if self.broken.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("disk full".into()));
            }
            Ok(claimed)
        })
    }

    fn release(&self, payment_hash: Hash, request: RequestId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            if self.broken.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("disk full".into()));
            }
            self.model.release(payment_hash, request).await
        })
    }

    fn used(&self, payment_hash: Hash) -> BoxFuture<'_, Result<u32, StoreError>> {
        self.model.used(payment_hash)
    }

    fn settled_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<Settled>, StoreError>> {
        self.model.settled_get(payment_hash)
    }

    fn settled_put(&self, payment_hash: Hash, settled: Settled) -> BoxFuture<'_, Result<(), StoreError>> {
        self.model.settled_put(payment_hash, settled)
    }

    fn rate_take<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Taken> {
        self.model.rate_take(key, rate)
    }

    fn rate_give_back<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, ()> {
        self.model.rate_give_back(key, rate)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn claim_proved(&self, claim: Claim, preimage: Preimage) -> BoxFuture<'_, Result<Claimed, StoreError>> {
        Box::pin(async move {
            let claimed = self.claim(claim).await?;
            if matches!(claimed, Claimed::Granted { .. }) {
                let settled = Settled { preimage: Some(*preimage.expose()), received_msat: 0, at: 0 };
                self.model.settled_put(claim.payment_hash, settled).await?;
            }
            Ok(claimed)
        })
    }
}

/// An error that says when to come back.
pub fn unavailable(retry_after: Duration) -> LightningError {
    LightningError::Unavailable { text: "connection refused".into(), retry_after }
}
