//! What of Redis' own configuration would forget a claim: looked at when a connection is made, told to the operator.

use redis::{ErrorKind, RedisResult, ServerErrorKind, Value, aio::ConnectionLike};

use super::link::Connection;

/// What an operator should know.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// In whole sentences.
    pub(super) warnings: Vec<String>,
}

/// Looks at the server. Where it does not tell (an ACL may forbid it), nothing is said.
///
/// # Errors
/// The server can't be written to, or not yet; or the connection is lost.
pub(super) async fn look(connection: &mut Connection) -> RedisResult<Report> {
    let mut warnings = Vec::new();
    let info = match connection.req_packed_command(&redis::cmd("INFO")).await {
        Ok(info) => texts(&info),
        Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => {
            tracing::debug!(%error, "Redis does not tell how it is configured");
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    for text in &info {
        if let (Connection::One(_), Some(problem)) = (&connection, unusable(text)) {
            return Err(problem);
        }
        warnings.extend(warnings_of(text));
    }
    if !warnings.iter().any(|warning| warning.starts_with(NO_LOG)) {
        let mut ask = redis::cmd("CONFIG");
        ask.arg("GET").arg("appendfsync");
        if let Ok(answer) = connection.req_packed_command(&ask).await
            && texts(&answer).iter().any(|text| matches!(text.as_str(), "everysec" | "no"))
        {
            warnings.push(NO_FSYNC.into());
        }
    }
    warnings.sort();
    warnings.dedup();
    Ok(Report { warnings })
}

const NO_LOG: &str = "Redis does not log what it is told";
const NO_FSYNC: &str = "Redis' `appendfsync` is not `always`: when its machine fails, payments spent in the last second \
                        may serve once more. See docs/guides/redis.md";

/// The texts in an answer: of one server, or of each node of a Cluster.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Map(pairs) => pairs.iter().flat_map(|(_, value)| texts(value)).collect(),
        _ => Vec::new(),
    }
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Why nothing can be written there now.
fn unusable(text: &str) -> Option<redis::RedisError> {
    if field(text, "role") == Some("slave") {
        return Some(
            (ErrorKind::Server(ServerErrorKind::ReadOnly), "it is a replica, which can only be read").into(),
        );
    }
    let loads = field(text, "loading") == Some("1");
    loads.then(|| (ErrorKind::Server(ServerErrorKind::BusyLoading), "it is loading what it had kept").into())
}

fn warnings_of(text: &str) -> impl Iterator<Item = String> {
    let evicts = field(text, "maxmemory_policy").filter(|policy| *policy != "noeviction").map(|policy| {
        let what = if policy.starts_with("allkeys") { "spent marks, so that payments serve again" } else { "request ids" };
        format!("Redis' `maxmemory-policy` is `{policy}`: when its memory is full it may drop {what}. Set it to `noeviction`")
    });
    let forgets = (field(text, "aof_enabled") == Some("0")).then(|| {
        format!(
            "{NO_LOG} (`appendonly no`): after a crash of Redis, payments spent since its last snapshot serve again. \
             Set `appendonly yes`; see docs/guides/redis.md"
        )
    });
    evicts.into_iter().chain(forgets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_forget_a_claim_is_told() {
        let good = "# Memory\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:master\r\nloading:0\r\n";
        assert_eq!(warnings_of(good).count(), 0);
        assert!(unusable(good).is_none());
        let bad = "maxmemory_policy:allkeys-lru\r\naof_enabled:0\r\n";
        let all: Vec<_> = warnings_of(bad).collect();
        assert!(all[0].contains("allkeys-lru") && all[0].contains("spent marks"), "{all:?}");
        assert!(all[1].contains("appendonly yes"), "{all:?}");
        let volatile = warnings_of("maxmemory_policy:volatile-ttl").next().unwrap();
        assert!(volatile.contains("request ids"), "{volatile}");
        assert!(unusable("role:slave").is_some() && unusable("loading:1").is_some());
    }
}
