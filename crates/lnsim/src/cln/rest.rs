//! clnrest: `POST /v1/<method>` with a rune, within TLS.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Cln, RpcError, rune};
use crate::http::{Answer, Ask, Door, json as answer};

/// clnrest in front of a node.
pub(crate) struct Rest(pub(crate) Arc<Cln>);

impl Door for Rest {
    fn answer(self: Arc<Self>, ask: Ask) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(async move {
            let (status, body) = match respond(&self.0, &ask).await {
                Ok(result) => (201, result),
                Err((status, RpcError { code, message })) => {
                    (status, json!({ "code": code, "message": message, "data": null }))
                }
            };
            answer(status, &body)
        })
    }
}

async fn respond(cln: &Cln, ask: &Ask) -> Result<Value, (u16, RpcError)> {
    let method = ask.path.strip_prefix("/v1/").unwrap_or_default();
    if ask.method != hyper::Method::POST || method.is_empty() || method.contains('/') {
        return Err((404, RpcError::new(-32601, "Path not registered")));
    }
    let Some(rune) = ask.headers.get("rune").and_then(|value| value.to_str().ok()) else {
        return Err((403, RpcError::new(1501, "Not authorized: Missing rune")));
    };
    let params = match ask.body.as_ref() {
        b"" => json!({}),
        body => serde_json::from_slice(body).map_err(|error| (500, RpcError::new(-1, error.to_string())))?,
    };
    rune::check(&cln.rune_secret, rune, method, &params).map_err(|error| (401, error))?;
    cln.call(Some(ask.connection()), method, &params).await.map_err(|error| {
        let status = if error.code == -32601 { 404 } else { 500 };
        (status, error)
    })
}
