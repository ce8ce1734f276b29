//! The mailbox's frames over WebSocket: JSON text, bytes in standard base64.
//!
//! The same messages over gRPC are `hashmailrpc.HashMail`'s; what they mean and how they fail is the same.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::StreamId;

/// Path and query that a box is read at. The first frame names the box.
pub const RECEIVE_PATH: &str = "/v1/lightning-node-connect/hashmail/receive?method=POST";

/// Path and query that boxes are written at. Each frame names its box.
pub const SEND_PATH: &str = "/v1/lightning-node-connect/hashmail/send?method=POST";

/// The longest frame that is read, bytes. The node's are cut at 32 KiB, and base64 adds a third.
pub const MAX_FRAME: usize = 256 * 1024;

/// The frame that asks for everything in a box.
pub fn encode_receive(stream: &StreamId) -> String {
    to_text(&Desc { stream_id: BASE64.encode(stream.expose()) })
}

/// The frame that puts `packet` into a box.
pub fn encode_send(stream: &StreamId, packet: &[u8]) -> String {
    let desc = Desc { stream_id: BASE64.encode(stream.expose()) };
    to_text(&CipherBox { desc: Some(desc), msg: BASE64.encode(packet) })
}

/// The packet in a frame that the mailbox sent.
///
/// # Errors
/// The mailbox says that it can't serve the box, or sends something else than a frame.
pub fn decode(frame: &[u8]) -> Result<Vec<u8>, MailboxError> {
    match serde_json::from_slice(frame).map_err(|_| MailboxError::Malformed)? {
        Received { error: Some(Failure { message }), .. } => Err(MailboxError::from_message(&message)),
        Received { result: Some(found), .. } => {
            BASE64.decode(found.msg.as_bytes()).map_err(|_| MailboxError::Malformed)
        }
        Received { message: Some(message), .. } => Err(MailboxError::from_message(&message)),
        Received { result: None, error: None, message: None } => Err(MailboxError::Malformed),
    }
}

fn to_text(message: &impl Serialize) -> String {
    match serde_json::to_string(message) {
        Ok(text) => text,
        Err(_) => unreachable!("strings are always JSON"),
    }
}

#[derive(Serialize, Deserialize)]
struct Desc {
    stream_id: String,
}

#[derive(Serialize, Deserialize)]
struct CipherBox {
    #[serde(default)]
    desc: Option<Desc>,
    #[serde(default)]
    msg: String,
}

#[derive(Deserialize)]
struct Received {
    #[serde(default)]
    result: Option<CipherBox>,
    #[serde(default)]
    error: Option<Failure>,
    /// A failure without the wrapper: the connection that a box is written on has no frames, only one answer at its end.
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    message: String,
}

/// What a mailbox says instead of a packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// There is no such box: the node has not made it (again) yet, the session is over, or the phrase is another one.
    #[error("the mailbox knows no such session")]
    NotFound,
    /// Another client has the box open.
    #[error("another client holds the session (the mailbox says that the stream is occupied)")]
    Occupied,
    /// Something else, in its words.
    #[error("the mailbox says: {0}")]
    Other(String),
    /// Not a frame of a mailbox.
    #[error("the mailbox sends something else than its frames")]
    Malformed,
}

impl MailboxError {
    /// Tells apart what the mailbox says in words only.
    pub fn from_message(message: &str) -> MailboxError {
        if message.contains("stream not found") {
            MailboxError::NotFound
        } else if message.contains("stream occupied") {
            MailboxError::Occupied
        } else {
            // A foreign text that lands in a log: printable and short.
            MailboxError::Other(message.chars().filter(|c| !c.is_control()).take(200).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn stream() -> StreamId {
        StreamId::from_bytes(&[0xff; 64]).unwrap()
    }

    #[test]
    fn frames_that_we_send() {
        let id = "/".repeat(85) + "w==";
        assert_eq!(encode_receive(&stream()), format!(r#"{{"stream_id":"{id}"}}"#));
        let want = format!(r#"{{"desc":{{"stream_id":"{id}"}},"msg":"AhQ="}}"#);
        assert_eq!(encode_send(&stream(), &[2, 20]), want);
    }

    #[test]
    fn frames_that_we_receive() {
        let with_desc = br#"{"result":{"desc":{"stream_id":"AA=="},"msg":"AhQ="}}"#;
        assert_eq!(decode(with_desc).unwrap(), [2, 20]);
        assert_eq!(decode(br#"{"result":{"msg":""}}"#).unwrap(), b"");
    }

    #[test]
    fn errors_that_we_receive() {
        let error = |text: &str| {
            let bare = serde_json::json!({ "code": 2, "message": text, "details": [] });
            let wrapped = serde_json::json!({ "error": bare });
            let [read, written] =
                [wrapped, bare].map(|frame| decode(frame.to_string().as_bytes()).unwrap_err());
            assert_eq!(read, written, "of the box that is read, and of the one that is written");
            read
        };
        assert_eq!(error("stream not found"), MailboxError::NotFound);
        assert_eq!(error("read stream occupied"), MailboxError::Occupied);
        assert_eq!(error("write stream occupied"), MailboxError::Occupied);
        assert_eq!(error("teapot\n"), MailboxError::Other("teapot".to_owned()));
        for frame in [
            &b""[..],
            b"{}",
            b"[]",
            br#"{"result":null}"#,
            br#"{"code":2}"#,
            br#"{"message":2}"#,
            br#"{"result":{"msg":"?"}}"#,
            b"\xff",
        ] {
            assert_eq!(decode(frame), Err(MailboxError::Malformed), "{frame:?}");
        }
    }
}
