//! What the tests of the NWC module share: a wallet behind simulated relays, and the world around it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use l402::{Msat, PaymentHash};
use lightning::conformance::World;
use lightning::nwc::Nwc;
use lightning::{InvoiceRequest, Lightning, LightningError, Lookup};
use lnsim::{NwcDoor, NwcOptions, Sim, SimOptions};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A deadline to run into.
pub const SHORT: Duration = Duration::from_millis(500);

pub fn sim() -> Sim {
    Sim::start(SimOptions::default()).unwrap()
}

/// A simulator, a door to it of these options, and the wallet of an operator behind it.
pub fn set(options: NwcOptions) -> (Sim, NwcDoor, Nwc) {
    let sim = sim();
    let door = sim.open_nwc(options).unwrap();
    let wallet = wallet(&door, PATIENCE);
    (sim, door, wallet)
}

pub fn wallet(door: &NwcDoor, timeout: Duration) -> Nwc {
    wallet_over(door, &door.relay_urls(), timeout)
}

/// Over other relays than the door's own.
pub fn wallet_over(door: &NwcDoor, relays: &[String], timeout: Duration) -> Nwc {
    let tls = door.certificate().map(trusting);
    Nwc::new(&door.wallet_key(), &door.client_secret(), relays, tls, timeout).unwrap()
}

fn trusting(pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

pub fn ask(msat: u64) -> InvoiceRequest {
    InvoiceRequest { amount: Msat(msat), description: "a test".to_owned(), expiry_s: 600 }
}

/// Repeats a call until it works, waiting as long as each error says.
pub async fn until_available<T, F>(mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, LightningError>>,
{
    let tries = async {
        loop {
            match call().await {
                Ok(value) => return value,
                Err(LightningError::Unavailable { retry_after, .. }) => tokio::time::sleep(retry_after).await,
                Err(LightningError::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE * 2, tries).await.unwrap()
}

/// A look-up of a hash that nobody made.
pub async fn look_up_nothing(wallet: &Nwc) -> Result<Lookup, LightningError> {
    wallet.look_up(PaymentHash([9; 32])).await
}

/// The simulator's payer as the world around its wallet.
pub struct SimWorld<'a>(pub &'a Sim);

impl World for SimWorld<'_> {
    fn pay<'a>(&'a self, bolt11: &'a str) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            self.0.pay(bolt11).unwrap();
        })
    }

    fn cancel(&self, hash: PaymentHash) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.0.cancel(&hash.0).unwrap();
        })
    }
}
