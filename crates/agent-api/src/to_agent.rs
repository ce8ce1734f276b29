//! What a front end sends to l402d.
use crate::wire::{self, Opened, Reader, frame, put_option_u32, put_str};
use crate::{FrameError, MAX_ECASH, MAX_NAME, MAX_PATH, MAX_TERMS, MAX_TEXT, Secret32, SecretText};

const HELLO: u8 = 0x01;
const INVOICE: u8 = 0x02;
const REDEEM: u8 = 0x03;
const CANCEL: u8 = 0x04;
const ECASH: u8 = 0x05;
const EXAMINE: u8 = 0x06;
/// A `Redeem` with what version 6 can't say behind it.
const REDEEM_MORE: u8 = 0x07;

const PROOF_LOOK_UP: u8 = 0;
const PROOF_PREIMAGE: u8 = 1;
const PROOF_KNOWN: u8 = 2;

/// A frame from a front end to l402d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToAgent {
    /// Opens a connection.
    Hello {
        /// The version that the front end goes on in; a decoded one is spoken by this release.
        protocol: u16,
        /// The process id of the front end, for l402d's log.
        pid: u32,
    },
    /// Asks for a new invoice. Answered by `Invoice` or `Failed`. A resend may return another one.
    Invoice {
        /// Pairs the answer with this request.
        id: u64,
        /// Which backend is paid: a name, or several separated by a space, each to be asked where the one before it fails.
        backend: String,
        /// The location's price in millisatoshi, unless another is listed for the path.
        amount_msat: u64,
        /// What the payer's wallet shows; cut to [`MAX_TEXT`] bytes.
        description: String,
        /// The client's path, under which a price or a payee may be listed; empty: none is looked up. One longer than
        /// [`MAX_PATH`] bytes is sent as empty.
        path: String,
        /// How often whoever asks may be challenged: beyond it the answer is `Failed` with
        /// [`Fault::Limited`](crate::Fault::Limited), and no invoice is made.
        rate: Option<Rate>,
    },
    /// Asks whether a payment is settled and something of what it bought is left, and draws one unit of it. Answered by
    /// `Granted`, `Unsettled`, `UsedUp`, `Dead`, `CannotLookUp` or `Failed`.
    Redeem {
        /// Pairs the answer with this request; it may change between resends.
        id: u64,
        /// Unique to this redemption. A resend repeats it, and then nothing is drawn twice.
        request: [u8; 16],
        /// Which backend was paid, as it was said when the invoice was asked for.
        backend: String,
        /// The payment that the credential names.
        payment_hash: [u8; 32],
        /// How the client shows that it paid.
        proof: Proof,
        /// How many requests one payment buys; `None`: any number, so that nothing is drawn.
        limit: Option<u32>,
        /// True: one unit is drawn. False: one must be left.
        draw: bool,
    },
    /// Asks to take ecash. Answered by `Paid`, `EcashRefused`, `NoEcash` or `Failed`. The same ecash for the same
    /// terms is one payment however often it is asked for, so a resend draws nothing twice.
    Ecash {
        /// Pairs the answer with this request.
        id: u64,
        /// Which backend its worth is paid out to, as for an invoice, unless another payee is listed for the path.
        backend: String,
        /// The location's price in millisatoshi, unless another is listed for the path.
        amount_msat: u64,
        /// As in `Invoice`.
        path: String,
        /// What is bought, in words that differ wherever two sales do; at most [`MAX_TERMS`] bytes.
        terms: String,
        /// The Cashu token as the client sent it; at most [`MAX_ECASH`] bytes.
        token: SecretText,
    },
    /// Asks how a backend is: each of its calls is tried, and an invoice over one satoshi made. For the operator.
    /// Answered by `Examined` or `Failed`.
    Examine {
        /// Pairs the answer with this request.
        id: u64,
        /// Which backend, counted from 0 in the order of their names.
        number: u32,
    },
    /// The client has left: stop working on request `id`, and give back what it drew. Has no answer.
    Cancel {
        /// The `id` of the request.
        id: u64,
    },
}

/// So many in a window, for all that have the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The name of what is counted together; cut to [`MAX_TEXT`] bytes.
    pub key: String,
    /// How many.
    pub limit: u32,
    /// In how many seconds.
    pub window_s: u32,
}

/// How a client shows that it paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It presents the preimage, which the front end has checked against the payment hash.
    Preimage(Secret32),
    /// It presents nothing: l402d looks the settlement up (auto-detect). Beyond this rate it asks no wallet, and answers
    /// `Failed` with [`Fault::Limited`](crate::Fault::Limited).
    LookUp(Option<Rate>),
    /// It presents nothing, and l402d answers from what it knows, else `CannotLookUp`.
    Known,
}

impl ToAgent {
    /// The id this frame carries; 0 for `Hello`.
    pub fn id(&self) -> u64 {
        match self {
            Self::Hello { .. } => 0,
            Self::Invoice { id, .. }
            | Self::Redeem { id, .. }
            | Self::Ecash { id, .. }
            | Self::Examine { id, .. }
            | Self::Cancel { id } => *id,
        }
    }

    /// Does an l402d that speaks that version draw a unit for this frame?
    pub fn draws_in(&self, version: u16) -> bool {
        matches!(self, Self::Redeem { limit: Some(_), draw, .. } if *draw || version < 7)
    }

    /// Appends this frame to `out`, for an l402d that speaks only that version. What the version can't say is left out:
    /// then l402d looks up or draws more than it need.
    pub fn encode_in(&self, version: u16, out: &mut Vec<u8>) {
        match self {
            Self::Redeem { id, request, backend, payment_hash, proof, limit, .. } if version < 7 => {
                let proof = match proof {
                    Proof::LookUp(_) | Proof::Known => Proof::LookUp(None),
                    Proof::Preimage(preimage) => Proof::Preimage(preimage.clone()),
                };
                let (id, request, payment_hash, limit) = (*id, *request, *payment_hash, *limit);
                let backend = backend.clone();
                Self::Redeem { id, request, backend, payment_hash, proof, limit, draw: true }.encode(out);
            }
            frame => frame.encode(out),
        }
    }

    /// Appends this frame to `out`. `out` then holds a preimage or ecash if the frame does.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { protocol, pid } => frame(out, HELLO, 0, |out| {
                out.extend_from_slice(&protocol.to_le_bytes());
                out.extend_from_slice(&pid.to_le_bytes());
            }),
            Self::Invoice { id, backend, amount_msat, description, path, rate } => {
                frame(out, INVOICE, *id, |out| {
                    put_str(out, backend, MAX_NAME);
                    out.extend_from_slice(&amount_msat.to_le_bytes());
                    put_str(out, description, MAX_TEXT);
                    put_path(out, path);
                    put_rate(out, rate.as_ref());
                })
            }
            Self::Redeem { id, request, backend, payment_hash, proof, limit, draw } => {
                let more = says_more(proof, *draw);
                frame(out, if more { REDEEM_MORE } else { REDEEM }, *id, |out| {
                    out.extend_from_slice(request);
                    put_str(out, backend, MAX_NAME);
                    out.extend_from_slice(payment_hash);
                    match proof {
                        Proof::LookUp(_) => out.push(PROOF_LOOK_UP),
                        Proof::Known => out.push(PROOF_KNOWN),
                        Proof::Preimage(preimage) => {
                            out.push(PROOF_PREIMAGE);
                            out.extend_from_slice(preimage.expose());
                        }
                    }
                    put_option_u32(out, *limit);
                    if more {
                        out.push(u8::from(*draw));
                        if let Proof::LookUp(rate) = proof {
                            put_rate(out, rate.as_ref());
                        }
                    }
                });
            }
            Self::Ecash { id, backend, amount_msat, path, terms, token } => frame(out, ECASH, *id, |out| {
                put_str(out, backend, MAX_NAME);
                out.extend_from_slice(&amount_msat.to_le_bytes());
                put_path(out, path);
                put_str(out, terms, MAX_TERMS);
                put_str(out, token.expose(), MAX_ECASH);
            }),
            Self::Examine { id, number } => {
                frame(out, EXAMINE, *id, |out| out.extend_from_slice(&number.to_le_bytes()));
            }
            Self::Cancel { id } => frame(out, CANCEL, *id, |_| {}),
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
            HELLO => Self::Hello { protocol: body.version()?, pid: body.u32()? },
            INVOICE => Self::Invoice {
                id,
                backend: body.string("backend", MAX_NAME)?,
                amount_msat: body.u64()?,
                description: body.string("description", MAX_TEXT)?,
                path: body.string("path", MAX_PATH)?,
                rate: read_rate(&mut body)?,
            },
            REDEEM | REDEEM_MORE => read_redeem(kind, id, &mut body)?,
            ECASH => Self::Ecash {
                id,
                backend: body.string("backend", MAX_NAME)?,
                amount_msat: body.u64()?,
                path: body.string("path", MAX_PATH)?,
                terms: body.string("terms", MAX_TERMS)?,
                token: SecretText::new(body.string("token", MAX_ECASH)?),
            },
            EXAMINE => Self::Examine { id, number: body.u32()? },
            CANCEL => Self::Cancel { id },
            other => return Err(FrameError::UnknownKind(other)),
        };
        body.end()?;
        Ok(Some((decoded, consumed)))
    }
}

/// Does a `Redeem` say what version 6 can't?
fn says_more(proof: &Proof, draw: bool) -> bool {
    !draw || matches!(proof, Proof::LookUp(Some(_)) | Proof::Known)
}

/// There is one way to say what version 6 can say: its own.
fn read_redeem(kind: u8, id: u64, body: &mut Reader<'_>) -> Result<ToAgent, FrameError> {
    let (request, backend) = (body.array()?, body.string("backend", MAX_NAME)?);
    let payment_hash = body.array()?;
    let mut proof = match body.u8()? {
        PROOF_LOOK_UP => Proof::LookUp(None),
        PROOF_KNOWN if kind == REDEEM_MORE => Proof::Known,
        PROOF_PREIMAGE => Proof::Preimage(Secret32::new(body.array()?)),
        _ => return Err(FrameError::BadField("proof")),
    };
    let limit = body.option_u32("limit")?;
    let mut draw = true;
    if kind == REDEEM_MORE {
        draw = match body.u8()? {
            0 => false,
            1 => true,
            _ => return Err(FrameError::BadField("draw")),
        };
        if let Proof::LookUp(rate) = &mut proof {
            *rate = read_rate(body)?;
        }
        if !says_more(&proof, draw) {
            return Err(FrameError::BadField("redemption"));
        }
    }
    Ok(ToAgent::Redeem { id, request, backend, payment_hash, proof, limit, draw })
}

fn put_rate(out: &mut Vec<u8>, rate: Option<&Rate>) {
    put_option_u32(out, rate.map(|rate| rate.limit));
    if let Some(Rate { key, window_s, .. }) = rate {
        out.extend_from_slice(&window_s.to_le_bytes());
        put_str(out, key, MAX_TEXT);
    }
}

fn read_rate(body: &mut Reader<'_>) -> Result<Option<Rate>, FrameError> {
    let Some(limit) = body.option_u32("rate")? else { return Ok(None) };
    Ok(Some(Rate { limit, window_s: body.u32()?, key: body.string("rate", MAX_TEXT)? }))
}

/// Cut, it would be another path.
fn put_path(out: &mut Vec<u8>, path: &str) {
    put_str(out, if path.len() > MAX_PATH { "" } else { path }, MAX_PATH);
}
