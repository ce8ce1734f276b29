//! Answers to gRPC clients: HTTP 200 without a body, the status and its message in headers that end the stream.

use std::fmt::Write;

use crate::response::Response;

/// Is a request of this content type one of gRPC? `application/grpc`, alone or followed by `+` or `;` (gRPC over HTTP2,
/// "Requests"). gRPC-Web is not: it reads HTTP statuses.
pub fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type.split_at_checked(GRPC.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(GRPC) && matches!(rest, [] | [b'+' | b';', ..])
    })
}

/// The headers that say how a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStatus {
    /// `grpc-status`
    pub code: u8,
    /// `grpc-message`, percent-encoded.
    pub message: String,
}

impl GrpcStatus {
    /// The code for `INVALID_ARGUMENT`.
    const INVALID_ARGUMENT: u8 = 3;
    /// The code for `DEADLINE_EXCEEDED`.
    const DEADLINE_EXCEEDED: u8 = 4;
    /// The code for `RESOURCE_EXHAUSTED`.
    const RESOURCE_EXHAUSTED: u8 = 8;
    /// The code for `INTERNAL`. Aperture answers so to who has not paid, and clients that pay wait for it.
    const INTERNAL: u8 = 13;
    /// The code for `UNAVAILABLE`.
    const UNAVAILABLE: u8 = 14;
    /// The code for `UNAUTHENTICATED`.
    const UNAUTHENTICATED: u8 = 16;

    /// The status of an answer.
    pub fn of(response: &Response) -> GrpcStatus {
        let (code, message) = match response.status {
            402 => (Self::INTERNAL, "payment required"),
            status => (Self::code(status), &*response.detail),
        };
        GrpcStatus { code, message: percent_encoded(message) }
    }

    fn code(http_status: u16) -> u8 {
        match http_status {
            400 => Self::INVALID_ARGUMENT,
            401 => Self::UNAUTHENTICATED,
            429 => Self::RESOURCE_EXHAUSTED,
            502 | 503 => Self::UNAVAILABLE,
            504 => Self::DEADLINE_EXCEEDED,
            _ => Self::INTERNAL,
        }
    }
}

/// Printable ASCII but `%` as it is, all else as `%XX` (gRPC over HTTP2, "Responses").
fn percent_encoded(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' | 0..b' ' | 0x7f.. => {
                // Writing to a string can't fail.
                let _ = write!(out, "%{byte:02X}");
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_from_its_neighbours() {
        for grpc in ["application/grpc", "application/grpc+proto", "Application/gRPC; charset=x"] {
            assert!(is_grpc(grpc.as_bytes()), "{grpc}");
        }
        for other in ["application/grpc-web", "application/grpcx", "application/json", "", "application/grp"]
        {
            assert!(!is_grpc(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn messages_are_printable() {
        assert_eq!(percent_encoded("50% of\r\né"), "50%25 of%0D%0A%C3%A9");
    }
}
