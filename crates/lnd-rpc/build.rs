//! Generates the gRPC clients and servers from the list below; no protoc and no .proto file is needed.
//! Package, service and method names are those of LND's public interface: they are the URL of each call.

use tonic_build::manual::{Builder, Method, Service};

/// How a method answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reply {
    /// One message.
    Once,
    /// A stream of messages.
    Stream,
}

use Reply::{Once, Stream};

/// (Rust name, route, request, response, reply)
type Row = (&'static str, &'static str, &'static str, &'static str, Reply);

const LIGHTNING: &[Row] = &[
    ("add_invoice", "AddInvoice", "lnrpc::Invoice", "lnrpc::AddInvoiceResponse", Once),
    ("lookup_invoice", "LookupInvoice", "lnrpc::PaymentHash", "lnrpc::Invoice", Once),
    ("subscribe_invoices", "SubscribeInvoices", "lnrpc::InvoiceSubscription", "lnrpc::Invoice", Stream),
    ("decode_pay_req", "DecodePayReq", "lnrpc::PayReqString", "lnrpc::PayReq", Once),
    ("get_info", "GetInfo", "lnrpc::GetInfoRequest", "lnrpc::GetInfoResponse", Once),
    ("new_address", "NewAddress", "lnrpc::NewAddressRequest", "lnrpc::NewAddressResponse", Once),
    ("wallet_balance", "WalletBalance", "lnrpc::WalletBalanceRequest", "lnrpc::WalletBalanceResponse", Once),
    ("connect_peer", "ConnectPeer", "lnrpc::ConnectPeerRequest", "lnrpc::ConnectPeerResponse", Once),
    ("open_channel_sync", "OpenChannelSync", "lnrpc::OpenChannelRequest", "lnrpc::ChannelPoint", Once),
    ("list_channels", "ListChannels", "lnrpc::ListChannelsRequest", "lnrpc::ListChannelsResponse", Once),
];

const ROUTER: &[Row] = &[
    ("send_payment_v2", "SendPaymentV2", "routerrpc::SendPaymentRequest", "lnrpc::Payment", Stream),
    ("track_payment_v2", "TrackPaymentV2", "routerrpc::TrackPaymentRequest", "lnrpc::Payment", Stream),
];

const INVOICES: &[Row] = &[(
    "cancel_invoice",
    "CancelInvoice",
    "invoicesrpc::CancelInvoiceMsg",
    "invoicesrpc::CancelInvoiceResp",
    Once,
)];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    Builder::new().compile(&[
        service("lnrpc", "Lightning", LIGHTNING),
        service("routerrpc", "Router", ROUTER),
        service("invoicesrpc", "Invoices", INVOICES),
    ]);
}

fn service(package: &str, name: &str, rows: &[Row]) -> Service {
    let mut service = Service::builder().name(name).package(package);
    for (rust, route, request, response, reply) in rows {
        let mut method = Method::builder()
            .name(rust)
            .route_name(route)
            .input_type(format!("crate::{request}"))
            .output_type(format!("crate::{response}"))
            .codec_path("tonic_prost::ProstCodec");
        if *reply == Stream {
            method = method.server_streaming();
        }
        service = service.method(method.build());
    }
    service.build()
}
