//! gRPC: a client that has not paid reads a status and the challenge in its metadata; one that has is served.

use serde_json::{Value, json};

use crate::harness::curl::http2;
use crate::harness::grpc_peer::Peer;
use crate::harness::http::Request;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("grpc::unpaid_and_paid", unpaid_and_paid),
    Scenario::on_simulator("grpc::refused_and_unavailable", refused_and_unavailable),
    Scenario::on_simulator("grpc::beside_pages_and_caches", beside_pages_and_caches),
];

/// The challenge in a call's metadata.
fn challenge(answer: &Value) -> crate::harness::challenge::Challenge {
    let metadata = &answer["trailers"];
    assert_eq!(metadata["cache-control"], "no-store", "{answer}");
    crate::harness::challenge::Challenge::parse(metadata["www-authenticate"].as_str().expect("a challenge"))
}

fn unpaid_and_paid(stage: &Stage) {
    let Some(peer) = Peer::start(stage) else { return };
    let pass = format!("grpc_pass grpc://{};", peer.upstream());
    let nginx = stage
        .site()
        .with_http2()
        .server(&format!("location /shop.Goods/ {{ l402 on; l402_max_uses 2; {pass} }}"))
        .start();
    let to = nginx.second_address();
    for method in ["Get", "List", "Echo"] {
        let call = |metadata: Value| peer.call(to, method, metadata);
        let unpaid = call(json!([]));
        assert_eq!(
            (&unpaid["code"], &unpaid["details"]),
            (&json!("INTERNAL"), &json!("payment required")),
            "{unpaid}"
        );
        let challenge = challenge(&unpaid);
        let preimage = stage.pay(&challenge);
        let with_preimage = challenge.macaroon().with(&format!("preimage={preimage}")).hex();
        // As Aperture's clients send it, and as others do.
        let paid = call(json!([["macaroon", with_preimage]]));
        assert_eq!((&paid["code"], &paid["answers"]), (&json!("OK"), &peer.expected(method)), "{paid}");
        let paid = call(json!([["authorization", challenge.paid_with(&preimage)]]));
        assert_eq!(paid["code"], "OK", "{paid}");
        let used_up = call(json!([["macaroon", with_preimage]]));
        assert_eq!(used_up["details"], "payment required", "{used_up}");
        let _ = self::challenge(&used_up);
    }
    assert_eq!(peer.calls(), 6);
}

fn refused_and_unavailable(stage: &Stage) {
    let Some(peer) = Peer::start(stage) else { return };
    let nginx = stage
        .site()
        .with_http2()
        .http("l402_agent_timeout 2s;")
        .server(&format!(
            "location /shop.Goods/ {{ l402 on; l402_invoice_rate_limit 2r/h; grpc_pass grpc://{}; }}",
            peer.upstream()
        ))
        .start();
    let to = nginx.second_address();
    let refused = peer.call(to, "Get", json!([["authorization", "L402 rubbish"]]));
    assert_eq!(refused["code"], "UNAUTHENTICATED", "{refused}");
    assert!(
        refused["trailers"]["www-authenticate"].as_str().unwrap().starts_with("L402 error="),
        "{refused}"
    );
    for _ in 0..2 {
        let _ = challenge(&peer.call(to, "Get", json!([])));
    }
    let limited = peer.call(to, "Get", json!([]));
    assert_eq!(limited["code"], "RESOURCE_EXHAUSTED", "{limited}");
    let agent = nginx.agent(None);
    crate::harness::process::stop(agent);
    let away = peer.call(to, "Get", json!([]));
    crate::harness::process::signal(agent, crate::harness::process::Signal::CONT);
    assert_eq!(away["code"], "UNAVAILABLE", "{away}");
    assert_eq!(peer.calls(), 0);
}

/// What the operator has for people and caches does not touch a call; over HTTP/1.1 there is no call of gRPC.
fn beside_pages_and_caches(stage: &Stage) {
    let nginx = stage
        .site()
        .with_http2()
        .server("error_page 402 /free/a; location /shop.Goods/ { l402 on; expires 1h; add_header Cache-Control public always; grpc_pass grpc://127.0.0.1:1; }")
        .start();
    let call = |content_type: &str| {
        http2(nginx.second_address(), "/shop.Goods/Get", &[&format!("Content-Type: {content_type}")])
    };
    let answer = call("application/grpc+proto").expect(200);
    assert_eq!(
        (answer.header("grpc-status"), answer.header("grpc-message")),
        (Some("13"), Some("payment required"))
    );
    assert_eq!(answer.all("cache-control").collect::<Vec<_>>(), ["no-store"]);
    assert!(
        answer.header("www-authenticate").is_some_and(|value| value.starts_with("L402 macaroon=")),
        "{answer:?}"
    );
    assert!(answer.body.is_empty());
    let over_http1 = Request::post("/shop.Goods/Get", "").header("Content-Type", "application/grpc");
    assert_eq!(nginx.send(&over_http1).status, 402);
    call("application/grpc-web").expect(402);
}
