//! Packets: a type byte and what belongs to it.

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Opens a connection; both sides say the window.
    Syn {
        /// Packets that may be under way at once.
        window: u8,
    },
    /// One piece of the stream.
    Data {
        /// Its place, modulo window + 1.
        seq: u8,
        /// Whether it ends a payload.
        last: bool,
        /// A sign of life without a payload.
        ping: bool,
        /// The bytes.
        payload: Vec<u8>,
    },
    /// Everything up to and with `seq` has come.
    Ack {
        /// The newest.
        seq: u8,
    },
    /// Everything before `seq` has come; `seq` has not.
    Nack {
        /// The one that is wanted.
        seq: u8,
    },
    /// The sender goes.
    Fin,
    /// The client has the server's SYN.
    SynAck,
}

const SYN: u8 = 0x01;
const DATA: u8 = 0x02;
const ACK: u8 = 0x03;
const NACK: u8 = 0x04;
const FIN: u8 = 0x05;
const SYN_ACK: u8 = 0x06;

impl Packet {
    /// The bytes of the packet.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Packet::Syn { window } => vec![SYN, *window],
            Packet::Data { seq, last, ping, payload } => data(*seq, *last, *ping, payload),
            Packet::Ack { seq } => vec![ACK, *seq],
            Packet::Nack { seq } => vec![NACK, *seq],
            Packet::Fin => vec![FIN],
            Packet::SynAck => vec![SYN_ACK],
        }
    }

    /// Reads a packet. Bytes behind a short one are passed over.
    ///
    /// # Errors
    /// An unknown type, or too few bytes.
    pub fn decode(bytes: &[u8]) -> Result<Packet, PacketError> {
        match bytes {
            [SYN, window, ..] => Ok(Packet::Syn { window: *window }),
            [DATA, seq, last, ping, payload @ ..] => {
                Ok(Packet::Data { seq: *seq, last: *last == 1, ping: *ping == 1, payload: payload.to_vec() })
            }
            [ACK, seq, ..] => Ok(Packet::Ack { seq: *seq }),
            [NACK, seq, ..] => Ok(Packet::Nack { seq: *seq }),
            [FIN, ..] => Ok(Packet::Fin),
            [SYN_ACK, ..] => Ok(Packet::SynAck),
            _ => Err(PacketError),
        }
    }
}

/// The bytes of a DATA packet, from a payload that stays where it is.
pub(super) fn data(seq: u8, last: bool, ping: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + payload.len());
    bytes.extend([DATA, seq, u8::from(last), u8::from(ping)]);
    bytes.extend(payload);
    bytes
}

/// Not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a go-back-N packet")]
pub struct PacketError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_each() {
        for (packet, bytes) in [
            (Packet::Syn { window: 20 }, &[1, 20][..]),
            (Packet::Data { seq: 7, last: true, ping: false, payload: vec![9] }, &[2, 7, 1, 0, 9]),
            (Packet::Data { seq: 0, last: false, ping: true, payload: vec![] }, &[2, 0, 0, 1]),
            (Packet::Ack { seq: 3 }, &[3, 3]),
            (Packet::Nack { seq: 4 }, &[4, 4]),
            (Packet::Fin, &[5]),
            (Packet::SynAck, &[6]),
        ] {
            assert_eq!(packet.encode(), bytes);
            assert_eq!(Packet::decode(bytes), Ok(packet));
        }
    }

    #[test]
    fn what_is_no_packet() {
        for bytes in [&[][..], &[0], &[7], &[1], &[2, 0, 1], &[3], &[4]] {
            assert_eq!(Packet::decode(bytes), Err(PacketError), "{bytes:?}");
        }
    }
}
