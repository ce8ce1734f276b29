//! The wallet: an LND node that pays an invoice, or says what became of a payment.
//!
//! Whether money moved is decided by the node's record of the payment alone. Where a call ends without a final state
//! (connection lost, deadline), the record is asked for; where it can't be had, the outcome is [`Outcome::Undecided`]
//! and the purchase stays recorded.

use std::path::Path;
use std::time::Duration;

use l402::{PaymentHash, Preimage};
use lnd_rpc::channel::{Node, connect_error, innermost, is_transport};
use lnd_rpc::lnrpc::payment::PaymentStatus;
use lnd_rpc::lnrpc::{GetInfoRequest, Payment, PaymentFailureReason};
use lnd_rpc::routerrpc::{SendPaymentRequest, TrackPaymentRequest};
use tonic::{Code, Status, Streaming};

use crate::args::WalletPaths;
use crate::error::{Failure, Kind};

/// Bounds the way to the node, up to the end of the TLS handshake, and its answer to a question about itself.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Beyond the time that the node was given to pay: it answers a little after that.
const GRACE: Duration = Duration::from_secs(10);

/// A wallet that answered.
#[derive(Debug)]
pub struct Wallet {
    node: Node,
    channel: tonic::transport::Channel,
    /// The node's public key or, where it won't say, its address.
    pub id: String,
    /// `bitcoin`, `testnet`, `signet`, `simnet` or `regtest`, where the node says.
    pub network: Option<String>,
}

/// What became of a payment.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Paid.
    Paid {
        /// The proof. Its hash is the one that was asked for.
        preimage: Preimage,
        /// Routing fee, msat.
        fee_msat: u64,
    },
    /// Failed for good, or never begun: no money moved.
    Failed(String),
    /// Under way, or not to be found out now.
    Undecided(String),
}

impl Wallet {
    /// Reads the files, connects, and learns who the node is.
    pub async fn open(paths: &WalletPaths<'_>) -> Result<Self, Failure> {
        let cert = read(paths.cert, "LND's certificate")?;
        let macaroon = read(paths.macaroon, "LND's macaroon")?;
        let node = Node::new(paths.address, &cert, &macaroon, paths.socks5, CONNECT_TIMEOUT)
            .map_err(|error| Failure::new(Kind::Usage, format!("the wallet's settings: {error}")))?;
        let channel = node.channel();
        let asked = tokio::time::timeout(CONNECT_TIMEOUT, async {
            node.lightning(channel.clone()).get_info(GetInfoRequest {}).await
        })
        .await;
        let (mut id, mut network) = (node.address(), None);
        match asked {
            Ok(Ok(info)) => {
                let info = info.into_inner();
                if !info.identity_pubkey.is_empty() {
                    id = info.identity_pubkey;
                }
                network = info.chains.into_iter().next().map(|chain| named(&chain.network));
            }
            // A macaroon that may pay need not be one that may ask: the node is there, and that is enough.
            Ok(Err(status)) if !is_transport(&status) => {}
            Ok(Err(status)) => return Err(no_wallet(&node, &reason(&status))),
            Err(_) => return Err(no_wallet(&node, "it does not answer")),
        }
        Ok(Self { node, channel, id, network })
    }

    /// Pays an invoice with its own amount. `fee_limit`: msat, 0 allows no fee. `time`: how long the node may try.
    pub async fn pay(&self, invoice: &str, hash: &PaymentHash, fee_limit: u64, time: u32) -> Outcome {
        let request = SendPaymentRequest {
            payment_request: invoice.to_owned(),
            timeout_seconds: i32::try_from(time).unwrap_or(i32::MAX),
            fee_limit_msat: i64::try_from(fee_limit).unwrap_or(i64::MAX),
            no_inflight_updates: true,
            ..SendPaymentRequest::default()
        };
        let deadline = Duration::from_secs(time.into()) + GRACE;
        let mut router = self.node.router(self.channel.clone());
        let sent = tokio::time::timeout(deadline, async {
            last_update(router.send_payment_v2(request).await?.into_inner()).await
        });
        match sent.await {
            Ok(Ok(Some(payment))) if is_final(&payment) => outcome(&payment, hash),
            Ok(Err(status)) => self.after_error(hash, &status).await,
            Ok(Ok(_)) | Err(_) => self.track(hash, GRACE).await,
        }
    }

    /// What became of a payment, waiting for its end at most so long.
    pub async fn track(&self, hash: &PaymentHash, wait: Duration) -> Outcome {
        match tokio::time::timeout(wait, self.record(hash)).await {
            Ok(Ok(Some(payment))) if is_final(&payment) => outcome(&payment, hash),
            Ok(Ok(_)) | Err(_) => Outcome::Undecided("the payment is under way".to_owned()),
            Ok(Err(status)) if status.code() == Code::NotFound && !is_transport(&status) => {
                Outcome::Failed("the wallet never began the payment".to_owned())
            }
            Ok(Err(status)) => Outcome::Undecided(reason(&status)),
        }
    }

    /// A call to pay that ended in an error. The node refuses before it begins, except where the payment exists
    /// already; a broken transport says nothing. In either case its record decides, if it can be had.
    async fn after_error(&self, hash: &PaymentHash, error: &Status) -> Outcome {
        let refused = !is_transport(error) && error.code() != Code::AlreadyExists;
        match tokio::time::timeout(GRACE, self.record(hash)).await {
            Ok(Ok(Some(payment))) if is_final(&payment) => outcome(&payment, hash),
            Ok(Ok(_)) | Err(_) => Outcome::Undecided("the payment is under way".to_owned()),
            Ok(Err(status)) if is_transport(&status) => Outcome::Undecided(reason(&status)),
            Ok(Err(status)) if refused || status.code() == Code::NotFound => Outcome::Failed(reason(error)),
            Ok(Err(status)) => Outcome::Undecided(reason(&status)),
        }
    }

    async fn record(&self, hash: &PaymentHash) -> Result<Option<Payment>, Status> {
        let request = TrackPaymentRequest { payment_hash: hash.0.to_vec(), no_inflight_updates: true };
        let mut router = self.node.router(self.channel.clone());
        last_update(router.track_payment_v2(request).await?.into_inner()).await
    }
}

/// Follows a payment to its final state or the end of the stream.
async fn last_update(mut updates: Streaming<Payment>) -> Result<Option<Payment>, Status> {
    let mut last = None;
    while let Some(payment) = updates.message().await? {
        let done = is_final(&payment);
        last = Some(payment);
        if done {
            break;
        }
    }
    Ok(last)
}

fn is_final(payment: &Payment) -> bool {
    matches!(payment.status(), PaymentStatus::Succeeded | PaymentStatus::Failed)
}

fn outcome(payment: &Payment, hash: &PaymentHash) -> Outcome {
    match payment.status() {
        PaymentStatus::Succeeded => match Preimage::from_hex(&payment.payment_preimage) {
            Ok(preimage) if preimage.matches(hash) => {
                Outcome::Paid { preimage, fee_msat: u64::try_from(payment.fee_msat).unwrap_or(0) }
            }
            _ => Outcome::Undecided(
                "the wallet says it paid, but its preimage is not the invoice's".to_owned(),
            ),
        },
        PaymentStatus::Failed => Outcome::Failed(why(payment.failure_reason()).to_owned()),
        _ => Outcome::Undecided("the payment is under way".to_owned()),
    }
}

fn why(reason: PaymentFailureReason) -> &'static str {
    match reason {
        PaymentFailureReason::None => "the wallet gives no reason",
        PaymentFailureReason::Timeout => "no route worked within --pay-timeout",
        PaymentFailureReason::NoRoute => {
            "no route to the payee within the fee limit; raise --max-msat or open a channel"
        }
        PaymentFailureReason::Error => "the payment met an error that no other route can mend",
        PaymentFailureReason::IncorrectPaymentDetails => {
            "the payee does not accept this payment (paid or expired invoice)"
        }
        PaymentFailureReason::InsufficientBalance => "the wallet's channels hold too little",
        PaymentFailureReason::Canceled => "the payment was cancelled in the wallet",
    }
}

/// LND's `mainnet` is BOLT 11's `bitcoin`.
fn named(network: &str) -> String {
    match network {
        "mainnet" => "bitcoin",
        "testnet4" => "testnet",
        other => other,
    }
    .to_owned()
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::new(Kind::Local, format!("can't read {what}, {}: {error}", path.display())))
}

fn no_wallet(node: &Node, why: &str) -> Failure {
    let text = format!("the wallet at {} can't be used, nothing was paid: {why}", node.address());
    Failure::new(Kind::PaymentFailed, text)
}

/// What a status says: the node's own words, or what happened to the connection.
fn reason(status: &Status) -> String {
    match connect_error(status) {
        Some(error) => error.to_string(),
        None if is_transport(status) => innermost(status),
        None => format!("the node says: {}", status.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(status: PaymentStatus, preimage: &str) -> Payment {
        Payment {
            status: status.into(),
            payment_preimage: preimage.to_owned(),
            fee_msat: 7,
            ..Payment::default()
        }
    }

    #[test]
    fn only_a_matching_preimage_is_a_payment() {
        let preimage = Preimage::from_bytes([9; 32]);
        let hash = preimage.payment_hash();
        let paid = outcome(&payment(PaymentStatus::Succeeded, &"09".repeat(32)), &hash);
        assert_eq!(paid, Outcome::Paid { preimage, fee_msat: 7 });
        for wrong in [&"08".repeat(32), "", &"09".repeat(48)] {
            let other = outcome(&payment(PaymentStatus::Succeeded, wrong), &hash);
            assert!(matches!(other, Outcome::Undecided(_)), "{other:?}");
        }
        assert!(matches!(outcome(&payment(PaymentStatus::Failed, ""), &hash), Outcome::Failed(_)));
        assert!(matches!(outcome(&payment(PaymentStatus::InFlight, ""), &hash), Outcome::Undecided(_)));
    }

    #[test]
    fn networks_have_one_name() {
        assert_eq!(named("mainnet"), "bitcoin");
        assert_eq!(named("regtest"), "regtest");
    }
}
