//! LND's gRPC front door: the calls, each in LND's manner, over the shared [`World`].

use std::pin::Pin;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use lnd_rpc::invoicesrpc::invoices_server::Invoices;
use lnd_rpc::invoicesrpc::{CancelInvoiceMsg, CancelInvoiceResp};
use lnd_rpc::lnrpc;
use lnd_rpc::lnrpc::lightning_server::Lightning;
use lnd_rpc::routerrpc::router_server::Router;
use lnd_rpc::routerrpc::{SendPaymentRequest, TrackPaymentRequest};
use tokio::sync::watch;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, async_trait};

use crate::bolt11;
use crate::call::{Call, ConnectionId};
use crate::ledger::{Hash32, LedgerError, Payment, PaymentStatus};
use crate::messages::{amount, exact_hash, looked_up, rpc_invoice, rpc_payment, signed, spec};
use crate::method::Method;
use crate::permits::Oven;
use crate::world::{Channels, World};

/// How one call too many is refused.
const LIMITED: (i32, &str) = (8, "too many requests");

/// The front door. Cloning it makes another handle of the same.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) world: Arc<World>,
    pub(crate) oven: Arc<Oven>,
}

type Answer<T> = Result<Response<T>, Status>;
type Updates<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Front {
    /// Lets a call in if its macaroon permits it, and counts it.
    fn enter<T>(&self, request: &Request<T>, method: Method) -> Result<Call<'_>, Status> {
        self.world.calls.add(method);
        self.admit(request, method)
    }

    fn admit<T>(&self, request: &Request<T>, method: Method) -> Result<Call<'_>, Status> {
        self.oven.check(request.metadata(), method.permission()).map_err(unknown)?;
        let connection = request.extensions().get::<ConnectionId>().copied();
        Ok(Call::new(&self.world, method, connection))
    }
}

/// The way of an ordinary call: effect and answer are one.
async fn answer<T>(mut call: Call<'_>, work: impl FnOnce(&World) -> Result<T, Status>) -> Answer<T> {
    before(&mut call).await?;
    let answer = work(call.world)?;
    call.after().await;
    Ok(Response::new(answer))
}

async fn before(call: &mut Call<'_>) -> Result<(), Status> {
    call.before(LIMITED).await.map_err(|(code, text)| Status::new(Code::from_i32(code), text))
}

#[async_trait]
impl Lightning for Front {
    async fn add_invoice(&self, request: Request<lnrpc::Invoice>) -> Answer<lnrpc::AddInvoiceResponse> {
        let call = self.enter(&request, Method::AddInvoice)?;
        let spec = spec(request.into_inner())?;
        answer(call, |world| {
            let (invoice, reported_hash) = world.create(spec).map_err(unknown)?;
            Ok(lnrpc::AddInvoiceResponse {
                r_hash: reported_hash.to_vec(),
                payment_request: invoice.bolt11,
                add_index: invoice.add_index,
                payment_addr: invoice.payment_addr.to_vec(),
            })
        })
        .await
    }

    async fn lookup_invoice(&self, request: Request<lnrpc::PaymentHash>) -> Answer<lnrpc::Invoice> {
        let call = self.enter(&request, Method::LookupInvoice)?;
        let hash = looked_up(request.get_ref())?;
        answer(call, |world| {
            let report = world.faults().report(Method::LookupInvoice);
            match world.look_up(&hash) {
                Ok(invoice) => Ok(rpc_invoice(invoice, &report)),
                Err(Some((code, text))) => Err(Status::new(Code::from_i32(code), text)),
                Err(None) => {
                    let missing = world.with_ledger(|ledger, now| ledger.look_up(&hash, now)).err();
                    Err(Status::not_found(missing.unwrap_or(LedgerError::NotFound).to_string()))
                }
            }
        })
        .await
    }

    type SubscribeInvoicesStream = Updates<lnrpc::Invoice>;

    /// As with LND, the headers of the answer come with the first event: until then the caller only waits.
    async fn subscribe_invoices(
        &self,
        request: Request<lnrpc::InvoiceSubscription>,
    ) -> Answer<Self::SubscribeInvoicesStream> {
        // Counted once the subscription stands, so that who waits for the count knows that no event is lost.
        let admitted = self.admit(&request, Method::SubscribeInvoices);
        let from = request.get_ref();
        let mut events = match &admitted {
            Ok(_) => self.world.subscribe(from.add_index, from.settle_index),
            Err(_) => tokio::sync::mpsc::unbounded_channel().1,
        };
        self.world.calls.add(Method::SubscribeInvoices);
        let mut call = admitted?;
        before(&mut call).await?;
        call.after().await;
        let first = events.recv().await;
        let events = tokio_stream::iter(first).chain(UnboundedReceiverStream::new(events));
        let world = self.world.clone();
        let reported = events.map(move |invoice| {
            let report = world.faults().report(Method::SubscribeInvoices);
            Ok(rpc_invoice(invoice, &report))
        });
        Ok(Response::new(Box::pin(reported)))
    }

    async fn decode_pay_req(&self, request: Request<lnrpc::PayReqString>) -> Answer<lnrpc::PayReq> {
        let call = self.enter(&request, Method::DecodePayReq)?;
        answer(call, |_| {
            let invoice = bolt11::decode(&request.get_ref().pay_req).map_err(unknown)?;
            let amount_msat = signed(invoice.amount_msat.unwrap_or_default());
            Ok(lnrpc::PayReq {
                destination: HEXLOWER.encode(&invoice.payee),
                payment_hash: HEXLOWER.encode(&invoice.hash),
                num_satoshis: amount_msat / 1000,
                timestamp: signed(invoice.created),
                expiry: signed(invoice.expiry_s),
                description: invoice.description,
                description_hash: invoice
                    .description_hash
                    .map(|hash| HEXLOWER.encode(&hash))
                    .unwrap_or_default(),
                fallback_addr: String::new(),
                cltv_expiry: signed(invoice.cltv_expiry),
                payment_addr: invoice.payment_addr.to_vec(),
                num_msat: amount_msat,
            })
        })
        .await
    }

    async fn get_info(&self, request: Request<lnrpc::GetInfoRequest>) -> Answer<lnrpc::GetInfoResponse> {
        let call = self.enter(&request, Method::GetInfo)?;
        answer(call, |world| {
            Ok(lnrpc::GetInfoResponse {
                identity_pubkey: HEXLOWER.encode(&world.receiver.public()),
                alias: "lnsim".to_owned(),
                num_pending_channels: 0,
                num_active_channels: 1,
                num_peers: 1,
                block_height: 450,
                block_hash: "00".repeat(32),
                synced_to_chain: true,
                testnet: true,
                uris: Vec::new(),
                best_header_timestamp: signed(world.now()),
                version: concat!("0.20.0-beta commit=lnsim-", env!("CARGO_PKG_VERSION")).to_owned(),
                num_inactive_channels: 0,
                chains: vec![lnrpc::Chain { chain: "bitcoin".to_owned(), network: "regtest".to_owned() }],
                color: "#3399ff".to_owned(),
                synced_to_graph: true,
                commit_hash: String::new(),
            })
        })
        .await
    }

    async fn wallet_balance(
        &self,
        request: Request<lnrpc::WalletBalanceRequest>,
    ) -> Answer<lnrpc::WalletBalanceResponse> {
        // There is no chain: the payer's money is all in its channel.
        let call = self.enter(&request, Method::WalletBalance)?;
        answer(call, |_| Ok(lnrpc::WalletBalanceResponse::default())).await
    }

    async fn list_channels(
        &self,
        request: Request<lnrpc::ListChannelsRequest>,
    ) -> Answer<lnrpc::ListChannelsResponse> {
        let call = self.enter(&request, Method::ListChannels)?;
        answer(call, |world| {
            let (balance, received) =
                world.with_ledger(|ledger, _| (ledger.balance_msat(), ledger.received_msat()));
            let (remote, local) = (signed(balance / 1000), signed(received / 1000));
            let channel = lnrpc::Channel {
                active: true,
                remote_pubkey: HEXLOWER.encode(&world.payer.public()),
                channel_point: format!("{}:0", "00".repeat(32)),
                chan_id: 450 << 40,
                capacity: remote + local,
                local_balance: local,
                remote_balance: remote,
                private: matches!(world.channels(), Channels::Private(_)),
                initiator: false,
            };
            let channels = match world.channels() {
                Channels::Public => vec![channel],
                Channels::Private(count) => vec![channel; count.into()],
                Channels::None => Vec::new(),
            };
            Ok(lnrpc::ListChannelsResponse { channels })
        })
        .await
    }

    async fn new_address(&self, _: Request<lnrpc::NewAddressRequest>) -> Answer<lnrpc::NewAddressResponse> {
        Err(no_chain())
    }

    async fn connect_peer(
        &self,
        _: Request<lnrpc::ConnectPeerRequest>,
    ) -> Answer<lnrpc::ConnectPeerResponse> {
        Err(no_chain())
    }

    async fn open_channel_sync(&self, _: Request<lnrpc::OpenChannelRequest>) -> Answer<lnrpc::ChannelPoint> {
        Err(no_chain())
    }
}

#[async_trait]
impl Invoices for Front {
    async fn cancel_invoice(&self, request: Request<CancelInvoiceMsg>) -> Answer<CancelInvoiceResp> {
        let call = self.enter(&request, Method::CancelInvoice)?;
        let hash = exact_hash(&request.get_ref().payment_hash)?;
        answer(call, |world| world.cancel(&hash).map(|()| CancelInvoiceResp {}).map_err(unknown)).await
    }
}

#[async_trait]
impl Router for Front {
    type SendPaymentV2Stream = Updates<lnrpc::Payment>;

    async fn send_payment_v2(
        &self,
        request: Request<SendPaymentRequest>,
    ) -> Answer<Self::SendPaymentV2Stream> {
        let mut call = self.enter(&request, Method::SendPaymentV2)?;
        let ask = request.into_inner();
        before(&mut call).await?;
        let amount_msat = amount(ask.amt, ask.amt_msat)?;
        let fee_limit_msat = amount(ask.fee_limit_sat, ask.fee_limit_msat)?;
        if ask.payment_request.is_empty() {
            return Err(Status::unknown("lnsim pays invoices only: payment_request must be set"));
        }
        let order = call.world.order(&ask.payment_request, amount_msat, fee_limit_msat).map_err(unknown)?;
        let hash = order.hash;
        let registered = call.world.register(order).map_err(|error| match error {
            LedgerError::AlreadyPaid | LedgerError::InTransition => Status::already_exists(error.to_string()),
            other => unknown(other),
        })?;
        let changes = self.world.payment_changes();
        self.world.attempt(&hash);
        call.after().await;
        let first = (!ask.no_inflight_updates).then_some(registered);
        follow(self.world.clone(), hash, first, changes).await
    }

    type TrackPaymentV2Stream = Updates<lnrpc::Payment>;

    async fn track_payment_v2(
        &self,
        request: Request<TrackPaymentRequest>,
    ) -> Answer<Self::TrackPaymentV2Stream> {
        let mut call = self.enter(&request, Method::TrackPaymentV2)?;
        before(&mut call).await?;
        let hash = exact_hash(&request.get_ref().payment_hash)?;
        let changes = self.world.payment_changes();
        let Some(payment) = self.world.payment(&hash) else {
            return Err(Status::not_found("payment isn't initiated"));
        };
        call.after().await;
        let in_flight = payment.status == PaymentStatus::InFlight && !request.get_ref().no_inflight_updates;
        follow(self.world.clone(), hash, in_flight.then_some(payment), changes).await
    }
}

/// The updates of a payment: `first`, then its end. Without `first`, even the headers of the answer wait for the end.
async fn follow(
    world: Arc<World>,
    hash: Hash32,
    first: Option<Payment>,
    changes: watch::Receiver<u64>,
) -> Answer<Updates<lnrpc::Payment>> {
    let Some(first) = first else {
        let last = ended(&world, hash, changes).await?;
        return Ok(Response::new(Box::pin(tokio_stream::once(Ok(rpc_payment(&last))))));
    };
    // A task of its own, which ends with its payment or with the node: LND's payments outlive their callers, too.
    let (sender, updates) = tokio::sync::mpsc::unbounded_channel();
    let _ = sender.send(Ok(rpc_payment(&first)));
    tokio::spawn(async move {
        tokio::select! {
            last = ended(&world, hash, changes) => {
                let _ = sender.send(last.map(|payment| rpc_payment(&payment)));
            }
            () = sender.closed() => {}
        }
    });
    Ok(Response::new(Box::pin(UnboundedReceiverStream::new(updates))))
}

/// Waits for the end of a payment.
async fn ended(world: &World, hash: Hash32, mut changes: watch::Receiver<u64>) -> Result<Payment, Status> {
    loop {
        changes.borrow_and_update();
        match world.payment(&hash) {
            Some(payment) if payment.status != PaymentStatus::InFlight => return Ok(payment),
            Some(_) => changes.changed().await.map_err(|_| Status::unavailable("the node stops"))?,
            None => return Err(Status::not_found("payment isn't initiated")),
        }
    }
}

/// An error without a gRPC code of its own, as `grpc-go` sends it.
fn unknown(error: impl std::fmt::Display) -> Status {
    Status::unknown(error.to_string())
}

fn no_chain() -> Status {
    Status::unimplemented("lnsim has no chain and one channel, which is always there")
}
