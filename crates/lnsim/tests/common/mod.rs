//! A simulator and a gRPC client of it.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use std::time::Duration;

use lnd_rpc::channel::{Authorized, Node};
use lnd_rpc::invoicesrpc::invoices_client::InvoicesClient;
use lnd_rpc::lnrpc::lightning_client::LightningClient;
use lnd_rpc::lnrpc::{self, Payment};
use lnd_rpc::routerrpc::SendPaymentRequest;
use lnd_rpc::routerrpc::router_client::RouterClient;
use lnsim::{Method, Permit, Sim};
use tonic::Status;

/// What no call here should ever take.
pub const LONG: Duration = Duration::from_secs(20);

pub struct Client {
    pub lightning: LightningClient<Authorized>,
    pub router: RouterClient<Authorized>,
    pub invoices: InvoicesClient<Authorized>,
}

pub fn node(sim: &Sim, macaroon: &[u8]) -> Node {
    let certificate = std::fs::read(sim.tls_cert_path()).unwrap();
    Node::new(&sim.lnd_address(), &certificate, macaroon, None, Duration::from_secs(5)).unwrap()
}

pub fn client_with(sim: &Sim, macaroon: &[u8]) -> Client {
    let node = node(sim, macaroon);
    let channel = node.channel();
    Client {
        lightning: node.lightning(channel.clone()),
        router: node.router(channel.clone()),
        invoices: node.invoices(channel),
    }
}

pub fn client(sim: &Sim, permit: Permit) -> Client {
    client_with(sim, &std::fs::read(sim.macaroon_path(permit)).unwrap())
}

impl Client {
    pub async fn add(&mut self, value_msat: i64) -> Result<lnrpc::AddInvoiceResponse, Status> {
        let ask = lnrpc::Invoice { value_msat, memo: "test".to_owned(), ..Default::default() };
        self.lightning.add_invoice(ask).await.map(tonic::Response::into_inner)
    }

    pub async fn look_up(&mut self, hash: &[u8]) -> Result<lnrpc::Invoice, Status> {
        let ask = lnrpc::PaymentHash { r_hash: hash.to_vec(), ..Default::default() };
        self.lightning.lookup_invoice(ask).await.map(tonic::Response::into_inner)
    }

    /// All updates of a payment.
    pub async fn send(&mut self, ask: SendPaymentRequest) -> Result<Vec<Payment>, Status> {
        let mut updates = self.router.send_payment_v2(ask).await?.into_inner();
        let mut all = Vec::new();
        while let Some(update) = updates.message().await? {
            all.push(update);
        }
        Ok(all)
    }

    pub async fn pay(&mut self, bolt11: &str) -> Result<Vec<Payment>, Status> {
        self.send(SendPaymentRequest {
            payment_request: bolt11.to_owned(),
            timeout_seconds: 5,
            ..Default::default()
        })
        .await
    }
}

pub fn hash32(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().unwrap()
}

/// Waits for calls without holding up the runtime of the test.
pub async fn wait(sim: &Sim, method: Method, at_least: u64) {
    while sim.calls(method) < at_least {
        tokio::task::yield_now().await;
    }
}
