//! What l402d sends to a front end.
use crate::wire::{self, Opened, Reader, frame, put_option_u32, put_str};
use crate::{
    FrameError, MAX_INVOICE, MAX_KEYS, MAX_OFFER, MAX_REPORT, MAX_REQUEST, MAX_TEXT, RingKey, Secret32,
};

const WELCOME: u8 = 0x81;
const INVOICE: u8 = 0x82;
const GRANTED: u8 = 0x83;
const UNSETTLED: u8 = 0x84;
const USED_UP: u8 = 0x85;
const DEAD: u8 = 0x86;
const CANNOT_LOOK_UP: u8 = 0x87;
const FAILED: u8 = 0x88;
const PAID: u8 = 0x89;
const ECASH_REFUSED: u8 = 0x8a;
const NO_ECASH: u8 = 0x8b;
const EXAMINED: u8 = 0x8c;
const INVOICE_OF_OFFER: u8 = 0x8d;
const UNSETTLED_OF_OFFER: u8 = 0x8e;
/// A `Welcome` with what version 6 can't say behind it.
const WELCOME_MORE: u8 = 0x8f;

const FAULT_REFUSED: u8 = 1;
const FAULT_UNAVAILABLE: u8 = 2;
const FAULT_TIMED_OUT: u8 = 3;
const FAULT_INTERNAL: u8 = 4;
const FAULT_LIMITED: u8 = 5;

/// A frame from l402d to a front end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromAgent {
    /// The answer to `Hello`, and the first frame of a connection. A later one replaces its keys. Without keys, l402d
    /// does not speak the version of the `Hello`.
    Welcome {
        /// The version that the connection goes on in; a decoded one is spoken by this release.
        protocol: u16,
        /// Chosen at random by each l402d when it starts.
        instance: [u8; 16],
        /// Root keys, newest first: the first signs, all verify. At most [`MAX_KEYS`] are sent. A front end that speaks
        /// version 6 is not told those for reusable tokens only.
        keys: Vec<RingKey>,
    },
    /// A new invoice whose hash, amount, network and expiry l402d has checked.
    Invoice {
        /// The request's id.
        id: u64,
        /// The payment hash that the invoice names.
        payment_hash: [u8; 32],
        /// The invoice, as the node wrote it: BOLT11, or of a BOLT12 offer.
        bolt11: String,
        /// 28 random bytes for the token's id.
        nonce: [u8; 28],
        /// When the invoice expires, in Unix seconds.
        expires_at: u64,
        /// What it is over, in millisatoshi: the price that was asked about, or the one that is listed for the path.
        amount_msat: u64,
        /// The request for the same price in ecash (NUT-18); empty where none is taken, left out beyond
        /// [`MAX_REQUEST`] bytes.
        ecash: String,
        /// The BOLT12 offer that the invoice is of; empty where it is of none, left out beyond [`MAX_OFFER`] bytes.
        offer: String,
    },
    /// Settled, and a unit was drawn if there was a limit.
    Granted {
        /// The request's id.
        id: u64,
        /// How many more requests the payment serves; `None`: any number.
        remaining: Option<u32>,
    },
    /// Not paid yet; the same invoice can still be paid.
    Unsettled {
        /// The request's id.
        id: u64,
        /// The invoice, as the node wrote it: BOLT11, or of a BOLT12 offer.
        bolt11: String,
        /// When the invoice expires, in Unix seconds.
        expires_at: u64,
        /// As in [`FromAgent::Invoice`].
        offer: String,
    },
    /// Paid, and all that it bought was served.
    UsedUp {
        /// The request's id.
        id: u64,
    },
    /// Unpaid and never to be paid: expired, cancelled, or unknown to the backend.
    Dead {
        /// The request's id.
        id: u64,
    },
    /// This backend offers no way to look a settlement up: the client must present a preimage.
    CannotLookUp {
        /// The request's id.
        id: u64,
    },
    /// The ecash is a payment; nothing is drawn from it yet.
    Paid {
        /// The request's id.
        id: u64,
        /// What the payment goes by from now on.
        payment_hash: [u8; 32],
        /// Its preimage, as if it had been paid by Lightning.
        preimage: Secret32,
        /// 28 random bytes for the token's id.
        nonce: [u8; 28],
        /// When it was paid, in Unix seconds.
        paid_at: u64,
    },
    /// The ecash is no payment, by the client's fault.
    EcashRefused {
        /// The request's id.
        id: u64,
        /// Why, for the client; holds nothing of the token's, cut to [`MAX_TEXT`] bytes.
        reason: String,
    },
    /// l402d takes no ecash.
    NoEcash {
        /// The request's id.
        id: u64,
    },
    /// How a backend is.
    Examined {
        /// The request's id.
        id: u64,
        /// How many backends there are.
        count: u32,
        /// The report, as JSON; empty where there is no backend of that number. Holds no secret, cut to [`MAX_REPORT`]
        /// bytes.
        report: String,
    },
    /// The request could not be served. Nothing was drawn, or what was drawn is given back.
    Failed {
        /// The request's id.
        id: u64,
        /// Whose fault it is, and so which status the client gets.
        fault: Fault,
        /// For the operator's log; holds no secret, cut to [`MAX_TEXT`] bytes.
        reason: String,
    },
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The backend answered and said no, or something that can't be used (502).
    Refused,
    /// The backend or the store can't be reached (503).
    Unavailable {
        /// When it is worth trying again, in seconds from now.
        retry_after_s: u32,
    },
    /// The backend did not answer before the deadline (504).
    TimedOut,
    /// A fault of l402d itself (500).
    Internal,
    /// The client's: it asks for more challenges than it may have. 429.
    Limited {
        /// When it may have the next, in seconds.
        retry_after_s: u32,
    },
}

impl FromAgent {
    /// The id this frame carries; 0 for `Welcome`.
    pub fn id(&self) -> u64 {
        match self {
            Self::Welcome { .. } => 0,
            Self::Invoice { id, .. }
            | Self::Granted { id, .. }
            | Self::Unsettled { id, .. }
            | Self::UsedUp { id }
            | Self::Dead { id }
            | Self::CannotLookUp { id }
            | Self::Paid { id, .. }
            | Self::EcashRefused { id, .. }
            | Self::NoEcash { id }
            | Self::Examined { id, .. }
            | Self::Failed { id, .. } => *id,
        }
    }

    /// Appends this frame to `out`. `out` then holds root keys or a preimage if the frame does.
    ///
    /// An invoice longer than [`MAX_INVOICE`] is sent as `Failed`: cut, it would be worthless.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Invoice { id, bolt11, .. } | Self::Unsettled { id, bolt11, .. }
                if bolt11.len() > MAX_INVOICE =>
            {
                let reason = format!(
                    "the backend returned an invoice of {} bytes, at most {MAX_INVOICE} can be passed on",
                    bolt11.len()
                );
                put_failed(out, *id, Fault::Refused, &reason);
            }
            Self::Welcome { protocol, instance, keys } => put_welcome(out, *protocol, instance, keys),
            Self::Invoice { id, payment_hash, bolt11, nonce, expires_at, amount_msat, ecash, offer } => {
                frame_of_offer(out, (INVOICE, INVOICE_OF_OFFER), *id, offer, |out| {
                    out.extend_from_slice(payment_hash);
                    put_str(out, bolt11, MAX_INVOICE);
                    out.extend_from_slice(nonce);
                    out.extend_from_slice(&expires_at.to_le_bytes());
                    out.extend_from_slice(&amount_msat.to_le_bytes());
                    // Part of a request is none.
                    let ecash = if ecash.len() > MAX_REQUEST { "" } else { ecash };
                    put_str(out, ecash, MAX_REQUEST);
                });
            }
            Self::Granted { id, remaining } => {
                frame(out, GRANTED, *id, |out| put_option_u32(out, *remaining));
            }
            Self::Unsettled { id, bolt11, expires_at, offer } => {
                frame_of_offer(out, (UNSETTLED, UNSETTLED_OF_OFFER), *id, offer, |out| {
                    put_str(out, bolt11, MAX_INVOICE);
                    out.extend_from_slice(&expires_at.to_le_bytes());
                });
            }
            Self::UsedUp { id } => frame(out, USED_UP, *id, |_| {}),
            Self::Dead { id } => frame(out, DEAD, *id, |_| {}),
            Self::CannotLookUp { id } => frame(out, CANNOT_LOOK_UP, *id, |_| {}),
            Self::Paid { id, payment_hash, preimage, nonce, paid_at } => frame(out, PAID, *id, |out| {
                out.extend_from_slice(payment_hash);
                out.extend_from_slice(preimage.expose());
                out.extend_from_slice(nonce);
                out.extend_from_slice(&paid_at.to_le_bytes());
            }),
            Self::EcashRefused { id, reason } => {
                frame(out, ECASH_REFUSED, *id, |out| put_str(out, reason, MAX_TEXT));
            }
            Self::NoEcash { id } => frame(out, NO_ECASH, *id, |_| {}),
            Self::Examined { id, count, report } => frame(out, EXAMINED, *id, |out| {
                out.extend_from_slice(&count.to_le_bytes());
                put_str(out, report, MAX_REPORT);
            }),
            Self::Failed { id, fault, reason } => put_failed(out, *id, *fault, reason),
        }
    }

    /// Reads the frame that `buf` starts with, and how many bytes it takes; `None` while bytes are
    /// missing.
    ///
    /// # Errors
    /// [`FrameError`]: the connection must be closed.
    pub fn decode(buf: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some(Opened { kind, id, mut body, consumed }) = wire::open(buf)? else { return Ok(None) };
        let decoded = match kind {
            WELCOME | WELCOME_MORE => {
                let protocol = body.version()?;
                // Version 6 has no marks.
                if kind == WELCOME_MORE && protocol < 7 {
                    return Err(FrameError::BadField("marks of keys"));
                }
                Self::Welcome { protocol, instance: body.array()?, keys: read_keys(kind, &mut body)? }
            }
            INVOICE | INVOICE_OF_OFFER => Self::Invoice {
                id,
                payment_hash: body.array()?,
                bolt11: body.string("invoice", MAX_INVOICE)?,
                nonce: body.array()?,
                expires_at: body.u64()?,
                amount_msat: body.u64()?,
                ecash: body.string("ecash", MAX_REQUEST)?,
                offer: read_offer(kind, &mut body)?,
            },
            GRANTED => Self::Granted { id, remaining: body.option_u32("remaining")? },
            UNSETTLED | UNSETTLED_OF_OFFER => Self::Unsettled {
                id,
                bolt11: body.string("invoice", MAX_INVOICE)?,
                expires_at: body.u64()?,
                offer: read_offer(kind, &mut body)?,
            },
            USED_UP => Self::UsedUp { id },
            DEAD => Self::Dead { id },
            CANNOT_LOOK_UP => Self::CannotLookUp { id },
            PAID => Self::Paid {
                id,
                payment_hash: body.array()?,
                preimage: Secret32::new(body.array()?),
                nonce: body.array()?,
                paid_at: body.u64()?,
            },
            ECASH_REFUSED => Self::EcashRefused { id, reason: body.string("reason", MAX_TEXT)? },
            NO_ECASH => Self::NoEcash { id },
            EXAMINED => Self::Examined { id, count: body.u32()?, report: body.string("report", MAX_REPORT)? },
            FAILED => {
                Self::Failed { id, fault: read_fault(&mut body)?, reason: body.string("reason", MAX_TEXT)? }
            }
            other => return Err(FrameError::UnknownKind(other)),
        };
        body.end()?;
        Ok(Some((decoded, consumed)))
    }
}

/// The second of two kinds, with the offer behind the body, where there is one that can be passed on; else the first.
fn frame_of_offer(
    out: &mut Vec<u8>,
    (without, with): (u8, u8),
    id: u64,
    offer: &str,
    body: impl FnOnce(&mut Vec<u8>),
) {
    if offer.is_empty() || offer.len() > MAX_OFFER {
        return frame(out, without, id, body);
    }
    frame(out, with, id, |out| {
        body(out);
        put_str(out, offer, MAX_OFFER);
    });
}

/// There is one way to say that there is no offer: the kind without one.
fn read_offer(kind: u8, body: &mut Reader<'_>) -> Result<String, FrameError> {
    if !matches!(kind, INVOICE_OF_OFFER | UNSETTLED_OF_OFFER) {
        return Ok(String::new());
    }
    let offer = body.string("offer", MAX_OFFER)?;
    if offer.is_empty() { Err(FrameError::BadField("offer")) } else { Ok(offer) }
}

fn put_failed(out: &mut Vec<u8>, id: u64, fault: Fault, reason: &str) {
    frame(out, FAILED, id, |out| {
        match fault {
            Fault::Refused => out.push(FAULT_REFUSED),
            Fault::Unavailable { retry_after_s } => {
                out.push(FAULT_UNAVAILABLE);
                out.extend_from_slice(&retry_after_s.to_le_bytes());
            }
            Fault::TimedOut => out.push(FAULT_TIMED_OUT),
            Fault::Internal => out.push(FAULT_INTERNAL),
            Fault::Limited { retry_after_s } => {
                out.push(FAULT_LIMITED);
                out.extend_from_slice(&retry_after_s.to_le_bytes());
            }
        }
        put_str(out, reason, MAX_TEXT);
    });
}

fn read_fault(body: &mut Reader<'_>) -> Result<Fault, FrameError> {
    match body.u8()? {
        FAULT_REFUSED => Ok(Fault::Refused),
        FAULT_UNAVAILABLE => Ok(Fault::Unavailable { retry_after_s: body.u32()? }),
        FAULT_TIMED_OUT => Ok(Fault::TimedOut),
        FAULT_INTERNAL => Ok(Fault::Internal),
        FAULT_LIMITED => Ok(Fault::Limited { retry_after_s: body.u32()? }),
        _ => Err(FrameError::BadField("fault")),
    }
}

fn put_welcome(out: &mut Vec<u8>, protocol: u16, instance: &[u8; 16], keys: &[RingKey]) {
    let keys: Vec<_> = keys.iter().filter(|key| protocol >= 7 || !key.reusable_only).take(MAX_KEYS).collect();
    let marks = keys.iter().rev().fold(0_u32, |marks, key| marks << 1 | u32::from(key.reusable_only));
    frame(out, if marks == 0 { WELCOME } else { WELCOME_MORE }, 0, |out| {
        out.extend_from_slice(&protocol.to_le_bytes());
        out.extend_from_slice(instance);
        out.push(keys.len() as u8);
        keys.iter().for_each(|key| out.extend_from_slice(key.secret.expose()));
        if marks != 0 {
            out.extend_from_slice(&marks.to_le_bytes());
        }
    });
}

/// Reads the keys; the count is checked before anything is allocated for it. Bit n of the marks is the key of that number.
/// There is one way to say what version 6 can say: its own.
fn read_keys(kind: u8, body: &mut Reader<'_>) -> Result<Vec<RingKey>, FrameError> {
    let count = usize::from(body.u8()?);
    if count > MAX_KEYS {
        return Err(FrameError::BadField("number of keys"));
    }
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        keys.push(RingKey::from(Secret32::new(body.array()?)));
    }
    if kind == WELCOME_MORE {
        let mut marks = body.u32()?;
        if marks == 0 {
            return Err(FrameError::BadField("marks of keys"));
        }
        for key in &mut keys {
            key.reusable_only = marks & 1 == 1;
            marks >>= 1;
        }
        if marks != 0 {
            return Err(FrameError::BadField("marks of keys"));
        }
    }
    Ok(keys)
}
