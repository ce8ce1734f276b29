//! The channel: which certificates it trusts, and what its errors say.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use lnd_rpc::channel::{ConnectError, Node, NodeError, connect_error, is_transport, never_sent};
use lnd_rpc::lnrpc::GetInfoRequest;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const PATIENCE: Duration = Duration::from_secs(10);

/// A certificate and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    params: CertificateParams,
    key: KeyPair,
}

/// Self-signed and a CA, as LND makes its own.
fn self_signed(name: &str) -> Identity {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity { pem: certificate.pem(), certificate: certificate.der().clone(), params, key }
}

/// Signed by `ca`.
fn signed_by(ca: &Identity, name: &str) -> Identity {
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&ca.params, &ca.key);
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Identity { pem: certificate.pem(), certificate: certificate.der().clone(), params, key }
}

/// Serves TLS with `identity` and closes each connection once something was said on it; gives the port.
async fn serve(identity: &Identity) -> u16 {
    serve_protocol(identity, b"h2").await
}

/// The same, speaking `protocol`.
async fn serve_protocol(identity: &Identity, protocol: &[u8]) -> u16 {
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut tls) = acceptor.accept(stream).await {
                assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                let _ = tls.read_u8().await;
            }
        }
    });
    port
}

fn node(host: &str, port: u16, pem: &str) -> Node {
    Node::new(&format!("{host}:{port}"), pem.as_bytes(), &[2, 1, 3], None, PATIENCE).unwrap()
}

async fn is_refused(node: &Node) -> bool {
    match node.connect().await {
        Ok(_) => false,
        Err(ConnectError::Certificate { .. } | ConnectError::OtherName { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_pinned_certificate_is_trusted_under_any_name() {
    let lnd = self_signed("some.other.name");
    let port = serve(&lnd).await;
    assert!(!is_refused(&node("127.0.0.1", port, &lnd.pem)).await);
    assert!(!is_refused(&node("localhost", port, &lnd.pem)).await);
}

#[tokio::test]
async fn one_of_several_pins_is_enough() {
    let (old, new) = (self_signed("localhost"), self_signed("localhost"));
    let port = serve(&new).await;
    assert!(!is_refused(&node("localhost", port, &format!("{}{}", old.pem, new.pem))).await);
}

#[tokio::test]
async fn another_certificate_is_refused_though_it_looks_the_same() {
    let port = serve(&self_signed("localhost")).await;
    assert!(is_refused(&node("localhost", port, &self_signed("localhost").pem)).await);
}

#[tokio::test]
async fn a_certificate_that_chains_to_the_file_is_trusted_for_its_name_only() {
    let ca = self_signed("ca");
    let port = serve(&signed_by(&ca, "localhost")).await;
    assert!(!is_refused(&node("localhost", port, &ca.pem)).await);
    assert!(is_refused(&node("127.0.0.1", port, &ca.pem)).await);
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_called_so() {
    let ca = self_signed("ca");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &Issuer::from_params(&ca.params, &ca.key)).unwrap();
    let old = Identity { pem: certificate.pem(), certificate: certificate.der().clone(), params, key };
    let port = serve(&old).await;
    let error = node("localhost", port, &ca.pem).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Expired { .. }), "{error}");
    // The very certificate that is in the file is taken, whatever its dates: so nodes do.
    assert!(!is_refused(&node("localhost", port, &old.pem)).await);
}

/// As LND's REST interface answers.
#[tokio::test]
async fn a_port_that_speaks_no_http2_is_called_so() {
    let identity = self_signed("localhost");
    let port = serve_protocol(&identity, b"http/1.1").await;
    let error = node("localhost", port, &identity.pem).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::NotGrpc { .. }), "{error}");
    assert!(error.to_string().contains("10009"), "{error}");
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let lnd = self_signed("localhost");
    let thief = Identity { key: KeyPair::generate().unwrap(), ..self_signed("localhost") };
    let forged = Identity { certificate: lnd.certificate.clone(), ..thief };
    let key = PrivateKeyDer::try_from(forged.key.serialize_der()).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let signing = provider.key_provider.load_private_key(key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![forged.certificate], signing);
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = acceptor.accept(stream).await;
    });
    assert!(is_refused(&node("localhost", port, &lnd.pem)).await);
}

#[tokio::test]
async fn one_connection_is_never_replaced() {
    let lnd = self_signed("localhost");
    let node = node("localhost", serve(&lnd).await, &lnd.pem);
    let channel = node.connect().await.unwrap();
    let mut client = node.lightning(channel);
    // The server closes at the first byte, so that this call fails; those after it are never sent.
    let status = client.get_info(GetInfoRequest {}).await.unwrap_err();
    assert!(is_transport(&status), "{status:?}");
    let unsent = tokio::time::timeout(PATIENCE, async {
        loop {
            let status = client.get_info(GetInfoRequest {}).await.unwrap_err();
            assert!(is_transport(&status), "{status:?}");
            if never_sent(&status) {
                return;
            }
        }
    });
    unsent.await.unwrap();
}

#[tokio::test]
async fn a_lazy_channel_says_why_it_has_no_connection() {
    let port = serve(&self_signed("localhost")).await;
    let node = node("localhost", port, &self_signed("localhost").pem);
    let status = node.lightning(node.channel()).get_info(GetInfoRequest {}).await.unwrap_err();
    assert!(matches!(connect_error(&status), Some(ConnectError::Certificate { .. })), "{status:?}");
}

#[tokio::test]
async fn connecting_ends_with_its_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let pem = self_signed("localhost").pem;
    let node = Node::new(&address, pem.as_bytes(), &[2], None, Duration::from_millis(100)).unwrap();
    assert_eq!(node.connect().await.unwrap_err(), ConnectError::TimedOut { address });
}

#[test]
fn what_is_wrong_with_settings_is_said() {
    let pem = self_signed("localhost").pem;
    let try_new = |address: &str, pem: &str, macaroon: &[u8], proxy: Option<&str>| {
        Node::new(address, pem.as_bytes(), macaroon, proxy, PATIENCE).map(|_| ())
    };
    assert_eq!(try_new("localhost", &pem, &[2], Some("127.0.0.1:9050")), Ok(()));
    assert_eq!(try_new("https://localhost", &pem, &[2], None), Err(NodeError::Address));
    assert_eq!(try_new("localhost", "no certificate", &[2], None), Err(NodeError::Certificate));
    assert_eq!(try_new("localhost", &pem, b"\n", None), Err(NodeError::Macaroon));
    assert_eq!(try_new("localhost", &pem, &[2], Some("http://proxy")), Err(NodeError::Proxy));
}
