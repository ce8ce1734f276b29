//! JSON-RPC 2.0 as lightningd speaks it, without I/O: requests to bytes, bytes to replies.

use serde_json::{Value, json};

/// The longest reply: far more than any call here has, little enough to bound what a node can cost us.
const LARGEST: usize = 256 * 1024;

/// What ends a reply: no JSON text has an empty line within.
const END: &[u8] = b"\n\n";

/// An error that the node answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// Its number in lightningd's list; 0 where there was none.
    pub code: i64,
    /// Its text, the node's own.
    pub message: String,
}

/// Bytes that are no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// More than any reply has.
    #[error("an answer of more than {LARGEST} bytes")]
    TooLong,
    /// Not JSON-RPC.
    #[error("an answer that is no JSON-RPC")]
    Malformed,
}

/// The text of a call.
pub fn request(id: &str, method: &str, params: &Value) -> Vec<u8> {
    let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    [request.to_string().as_bytes(), END].concat()
}

/// Collects the bytes that come until they hold the reply to one call.
#[derive(Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// The start of the reply that is not whole yet.
    start: usize,
    /// No reply ends before here.
    searched: usize,
}

impl Reader {
    /// Takes what came; the reply to the call `id`, once it is whole. What belongs to no call (a notification), or to
    /// another one, is passed over.
    ///
    /// # Errors
    /// [`NoReply`]: nothing good can come of this connection.
    pub fn push(&mut self, id: &str, bytes: &[u8]) -> Result<Option<Result<Value, RpcError>>, NoReply> {
        // What was taken goes once a call, so that many short messages in one piece cost no more than one long one.
        self.bytes.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        if self.bytes.len() + bytes.len() > LARGEST {
            return Err(NoReply::TooLong);
        }
        self.bytes.extend_from_slice(bytes);
        loop {
            let rest = &self.bytes[self.searched..];
            let Some(at) = rest.windows(END.len()).position(|window| window == END) else {
                self.searched = self.searched.max((self.bytes.len() + 1).saturating_sub(END.len()));
                return Ok(None);
            };
            let end = self.searched + at + END.len();
            let text = &self.bytes[self.start..end];
            (self.start, self.searched) = (end, end);
            // More empty lines than one between replies are none.
            if text.trim_ascii().is_empty() {
                continue;
            }
            if let Some(reply) = reply(id, text)? {
                return Ok(Some(reply));
            }
        }
    }
}

/// Reads one message; `None` if it is no reply to the call `id`.
fn reply(id: &str, text: &[u8]) -> Result<Option<Result<Value, RpcError>>, NoReply> {
    let Ok(Value::Object(mut message)) = serde_json::from_slice(text) else { return Err(NoReply::Malformed) };
    if message.get("id").and_then(Value::as_str) != Some(id) {
        return Ok(None);
    }
    match (message.remove("result"), message.remove("error")) {
        (_, Some(found)) if !found.is_null() => Ok(Some(Err(error(&found)))),
        (Some(result), _) => Ok(Some(Ok(result))),
        (None, _) => Err(NoReply::Malformed),
    }
}

/// An error object, as far as it is one.
pub(super) fn error(value: &Value) -> RpcError {
    let message = value["message"].as_str().unwrap_or_default().to_owned();
    RpcError { code: value["code"].as_i64().unwrap_or_default(), message }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str =
        "{\n  \"jsonrpc\": \"2.0\",\n  \"id\": \"7\",\n  \"result\": {\"a\": \"x\\n\\ny\"}\n}\n\n";

    #[test]
    fn a_request_is_one_text_with_its_end() {
        let text = request("7", "getinfo", &json!({}));
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.ends_with("}\n\n"), "{text}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!((value["method"].as_str(), value["id"].as_str()), (Some("getinfo"), Some("7")));
    }

    #[test]
    fn an_error_is_one() {
        let text = b"{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"error\":{\"code\":900,\"message\":\"Duplicate label\"}}\n\n";
        let error = RpcError { code: 900, message: "Duplicate label".to_owned() };
        assert_eq!(Reader::default().push("7", text), Ok(Some(Err(error))));
    }

    #[test]
    fn what_belongs_to_another_call_is_passed_over() {
        let other = "{\"jsonrpc\":\"2.0\",\"method\":\"message\",\"params\":{}}\n\n\n\n{\"id\":\"6\",\"result\":1}\n\n";
        let text = format!("{other}{GOOD}");
        assert!(matches!(Reader::default().push("7", text.as_bytes()), Ok(Some(Ok(_)))));
    }

    #[test]
    fn a_piece_of_many_messages_is_read_to_its_reply() {
        let mut reader = Reader::default();
        assert_eq!(reader.push("7", &vec![b'\n'; LARGEST - 1]), Ok(None));
        assert!(matches!(reader.push("7", GOOD.as_bytes()), Ok(Some(Ok(_)))));
        assert_eq!(reader.push("7", b"{\"id\""), Ok(None));
        assert_eq!(reader.push("7", b":\"7\",\"result\":1}\n"), Ok(None));
        assert_eq!(reader.push("7", b"\n"), Ok(Some(Ok(json!(1)))));
    }

    #[test]
    fn what_is_no_reply() {
        for text in ["null\n\n", "[]\n\n", "x\n\n", "{\"id\":\"7\"}\n\n"] {
            assert_eq!(Reader::default().push("7", text.as_bytes()), Err(NoReply::Malformed), "{text}");
        }
        let mut reader = Reader::default();
        assert_eq!(reader.push("7", &vec![b' '; LARGEST]), Ok(None));
        assert_eq!(reader.push("7", b" "), Err(NoReply::TooLong));
    }

    proptest! {
        /// However the bytes are cut, the reply is the same.
        #[test]
        fn pieces_make_a_reply(cuts in prop::collection::vec(1_usize..9, 0..80)) {
            let mut reader = Reader::default();
            let (mut rest, mut found) = (GOOD.as_bytes(), None);
            let mut cuts = cuts.into_iter();
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(cuts.next().unwrap_or(usize::MAX).min(rest.len()));
                found = reader.push("7", head).unwrap();
                prop_assert_eq!(found.is_some(), tail.is_empty());
                rest = tail;
            }
            prop_assert_eq!(found, Some(Ok(json!({ "a": "x\n\ny" }))));
        }

        #[test]
        fn any_bytes_are_answered(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
            let mut reader = Reader::default();
            for piece in pieces {
                let _ = reader.push("7", &piece);
            }
        }
    }
}
