//! Any frame survives its round trip; no bytes, however cut or forged, do more than fail; no secret
//! shows in `Debug`.
#![allow(clippy::unwrap_used)]

use agent_api::{
    Fault, FrameError, FromAgent, LENGTH_BYTES, MAX_ECASH, MAX_FRAME, MAX_INVOICE, MAX_KEYS, MAX_NAME,
    MAX_OFFER, MAX_PATH, MAX_REPORT, MAX_REQUEST, MAX_TERMS, MAX_TEXT, PROTOCOL, Proof, Rate, RingKey,
    Secret32, SecretText, ToAgent,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn text(max: usize) -> impl Strategy<Value = String> {
    "\\PC{0,80}".prop_filter("within its bound", move |text| text.len() <= max)
}

fn secret() -> impl Strategy<Value = Secret32> {
    any::<[u8; 32]>().prop_map(Secret32::new)
}

fn to_agent() -> impl Strategy<Value = ToAgent> {
    let rate = (text(MAX_TEXT), any::<u32>(), any::<u32>());
    let rate = rate.prop_map(|(key, limit, window_s)| Rate { key, limit, window_s }).boxed();
    let proof = prop_oneof![
        proptest::option::of(rate.clone()).prop_map(Proof::LookUp),
        Just(Proof::Known),
        secret().prop_map(Proof::Preimage)
    ];
    let redeem = (any::<u64>(), any::<[u8; 16]>(), text(MAX_NAME), any::<[u8; 32]>(), proof);
    prop_oneof![
        any::<u32>().prop_map(|pid| ToAgent::Hello { protocol: PROTOCOL, pid }),
        (
            any::<u64>(),
            text(MAX_NAME),
            any::<u64>(),
            text(MAX_TEXT),
            text(MAX_PATH),
            proptest::option::of(rate)
        )
            .prop_map(|(id, backend, amount_msat, description, path, rate)| {
                ToAgent::Invoice { id, backend, amount_msat, description, path, rate }
            }),
        (redeem, any::<Option<u32>>(), any::<bool>()).prop_map(
            |((id, request, backend, payment_hash, proof), limit, draw)| {
                ToAgent::Redeem { id, request, backend, payment_hash, proof, limit, draw }
            }
        ),
        (any::<u64>(), text(MAX_NAME), any::<u64>(), text(MAX_PATH), text(MAX_TERMS), text(MAX_ECASH))
            .prop_map(|(id, backend, amount_msat, path, terms, token)| {
                let token = SecretText::new(token);
                ToAgent::Ecash { id, backend, amount_msat, path, terms, token }
            }),
        (any::<u64>(), any::<u32>()).prop_map(|(id, number)| ToAgent::Examine { id, number }),
        any::<u64>().prop_map(|id| ToAgent::Cancel { id }),
    ]
}

fn ring_key() -> impl Strategy<Value = RingKey> {
    (secret(), any::<bool>()).prop_map(|(secret, reusable_only)| RingKey { secret, reusable_only })
}

fn from_agent() -> impl Strategy<Value = FromAgent> {
    let fault = prop_oneof![
        Just(Fault::Refused),
        any::<u32>().prop_map(|retry_after_s| Fault::Unavailable { retry_after_s }),
        Just(Fault::TimedOut),
        Just(Fault::Internal),
        any::<u32>().prop_map(|retry_after_s| Fault::Limited { retry_after_s }),
    ];
    prop_oneof![
        (any::<[u8; 16]>(), vec(ring_key(), 0..=MAX_KEYS)).prop_map(|(instance, keys)| FromAgent::Welcome {
            protocol: PROTOCOL,
            instance,
            keys
        }),
        (
            any::<u64>(),
            any::<[u8; 32]>(),
            text(MAX_INVOICE),
            any::<[u8; 28]>(),
            any::<u64>(),
            any::<u64>(),
            text(MAX_REQUEST),
            text(MAX_OFFER)
        )
            .prop_map(|(id, payment_hash, bolt11, nonce, expires_at, amount_msat, ecash, offer)| {
                FromAgent::Invoice { id, payment_hash, bolt11, nonce, expires_at, amount_msat, ecash, offer }
            }),
        (any::<u64>(), any::<[u8; 32]>(), secret(), any::<[u8; 28]>(), any::<u64>()).prop_map(
            |(id, payment_hash, preimage, nonce, paid_at)| {
                FromAgent::Paid { id, payment_hash, preimage, nonce, paid_at }
            }
        ),
        (any::<u64>(), text(MAX_TEXT)).prop_map(|(id, reason)| FromAgent::EcashRefused { id, reason }),
        any::<u64>().prop_map(|id| FromAgent::NoEcash { id }),
        (any::<u64>(), any::<u32>(), text(MAX_REPORT)).prop_map(|(id, count, report)| FromAgent::Examined {
            id,
            count,
            report
        }),
        (any::<u64>(), any::<Option<u32>>()).prop_map(|(id, remaining)| FromAgent::Granted { id, remaining }),
        (any::<u64>(), text(MAX_INVOICE), any::<u64>(), text(MAX_OFFER)).prop_map(
            |(id, bolt11, expires_at, offer)| FromAgent::Unsettled { id, bolt11, expires_at, offer }
        ),
        any::<u64>().prop_map(|id| FromAgent::UsedUp { id }),
        any::<u64>().prop_map(|id| FromAgent::Dead { id }),
        any::<u64>().prop_map(|id| FromAgent::CannotLookUp { id }),
        (any::<u64>(), fault, text(MAX_TEXT)).prop_map(|(id, fault, reason)| FromAgent::Failed {
            id,
            fault,
            reason
        }),
    ]
}

fn bytes_of(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

/// A complete frame around `content`, whatever it is.
fn framed(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&length.to_le_bytes()[..], content].concat()
}

proptest! {
    #[test]
    fn to_agent_round_trips_at_the_front_of_a_stream(frames in vec(to_agent(), 1..5), tail in vec(any::<u8>(), 0..4)) {
        let mut stream = bytes_of(|out| frames.iter().for_each(|frame| frame.encode(out)));
        stream.extend_from_slice(&tail[..tail.len().min(LENGTH_BYTES - 1)]);
        let mut rest = &stream[..];
        for frame in frames {
            let (decoded, used) = ToAgent::decode(rest).unwrap().unwrap();
            prop_assert_eq!(decoded, frame);
            rest = &rest[used..];
        }
        prop_assert_eq!(ToAgent::decode(rest), Ok(None));
    }

    #[test]
    fn from_agent_round_trips_at_the_front_of_a_stream(frames in vec(from_agent(), 1..5)) {
        let stream = bytes_of(|out| frames.iter().for_each(|frame| frame.encode(out)));
        let mut rest = &stream[..];
        for frame in frames {
            let (decoded, used) = FromAgent::decode(rest).unwrap().unwrap();
            prop_assert_eq!(decoded, frame);
            rest = &rest[used..];
        }
        prop_assert!(rest.is_empty());
    }

    /// Cut anywhere, a frame asks for more bytes; with its length mended to the cut, it is an error.
    #[test]
    fn a_cut_frame_is_never_another_frame(frame in to_agent(), answer in from_agent()) {
        let whole = bytes_of(|out| frame.encode(out));
        for end in 0..whole.len() {
            prop_assert_eq!(ToAgent::decode(&whole[..end]), Ok(None));
        }
        for end in LENGTH_BYTES..whole.len() {
            prop_assert_eq!(ToAgent::decode(&framed(&whole[LENGTH_BYTES..end])), Err(FrameError::Truncated));
        }
        let whole = bytes_of(|out| answer.encode(out));
        for end in 0..whole.len() {
            prop_assert_eq!(FromAgent::decode(&whole[..end]), Ok(None));
        }
        for end in LENGTH_BYTES..whole.len() {
            prop_assert_eq!(FromAgent::decode(&framed(&whole[LENGTH_BYTES..end])), Err(FrameError::Truncated));
        }
    }

    /// What decodes, encodes to the same bytes: there is one way to write a frame, and a decoded frame
    /// holds nothing that its bytes did not.
    #[test]
    fn decoding_is_canonical_and_never_panics(kind in any::<u8>(), id in any::<u64>(), body in vec(any::<u8>(), 0..200)) {
        for kind in [kind, 1 + kind % 4, 0x81 + kind % 8] {
            let bytes = framed(&[&[kind][..], &id.to_le_bytes(), &body].concat());
            if let Ok(Some((frame, used))) = ToAgent::decode(&bytes) {
                prop_assert_eq!(used, bytes.len());
                let again = bytes_of(|out| frame.encode(out));
                // Hello carries no id, and writes 0.
                let opening = matches!(frame, ToAgent::Hello { .. });
                prop_assert!(again == bytes || opening);
            }
            if let Ok(Some((frame, used))) = FromAgent::decode(&bytes) {
                prop_assert_eq!(used, bytes.len());
                let again = bytes_of(|out| frame.encode(out));
                let opening = matches!(frame, FromAgent::Welcome { .. });
                prop_assert!(again == bytes || opening);
            }
        }
    }

    #[test]
    fn raw_noise_never_panics(bytes in vec(any::<u8>(), 0..300)) {
        let _ = ToAgent::decode(&bytes);
        let _ = FromAgent::decode(&bytes);
    }

    #[test]
    fn a_flipped_byte_never_panics(frame in from_agent(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = bytes_of(|out| frame.encode(out));
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = FromAgent::decode(&bytes);
    }

    #[test]
    fn text_beyond_its_bound_is_cut_at_a_character(text in "\\PC{1100,1400}") {
        let frame = ToAgent::Invoice {
            id: 1,
            backend: text.clone(),
            amount_msat: 1,
            description: text.repeat(4),
            path: text.repeat(4),
            rate: None,
        };
        let bytes = bytes_of(|out| frame.encode(out));
        prop_assert!(bytes.len() <= MAX_FRAME);
        let Ok(Some((ToAgent::Invoice { backend, description, path, .. }, _))) = ToAgent::decode(&bytes) else {
            return Err(TestCaseError::fail("not decoded"));
        };
        prop_assert!(text.starts_with(&backend) && backend.len() > MAX_NAME - 4);
        prop_assert!(text.repeat(4).starts_with(&description) && description.len() <= MAX_TEXT);
        prop_assert_eq!(path, "", "cut, it would be another");
    }
}

#[test]
fn a_frame_beyond_the_bound_is_refused_before_it_arrives() {
    for length in [MAX_FRAME as u32 + 1, u32::MAX] {
        let bytes = length.to_le_bytes();
        assert_eq!(ToAgent::decode(&bytes), Err(FrameError::TooLong { length }));
        assert_eq!(FromAgent::decode(&bytes), Err(FrameError::TooLong { length }));
    }
    assert_eq!(ToAgent::decode(&(MAX_FRAME as u32).to_le_bytes()), Ok(None));
}

fn unsettled(id: u64, bolt11: String, offer: String) -> FromAgent {
    FromAgent::Unsettled { id, bolt11, expires_at: 0, offer }
}

#[test]
fn the_largest_frames_are_within_the_bound() {
    let keys = vec![RingKey { secret: Secret32::new([9; 32]), reusable_only: true }; MAX_KEYS + 1];
    let bytes =
        bytes_of(|out| FromAgent::Welcome { protocol: PROTOCOL, instance: [0; 16], keys }.encode(out));
    assert!(bytes.len() <= MAX_FRAME);
    let Ok(Some((FromAgent::Welcome { keys, .. }, _))) = FromAgent::decode(&bytes) else {
        panic!("{bytes:?}")
    };
    assert_eq!(keys.len(), MAX_KEYS);

    let bolt11 = "l".repeat(MAX_INVOICE);
    let bytes = bytes_of(|out| unsettled(1, bolt11, "o".repeat(MAX_OFFER)).encode(out));
    let Ok(Some((FromAgent::Unsettled { offer, .. }, _))) = FromAgent::decode(&bytes) else {
        panic!("no offer")
    };
    assert_eq!(offer.len(), MAX_OFFER);
}

/// The invoice can be paid without it; a part of an offer is none.
#[test]
fn an_offer_that_is_too_long_is_left_out() {
    let bytes = bytes_of(|out| unsettled(1, "l".to_owned(), "o".repeat(MAX_OFFER + 1)).encode(out));
    let without = unsettled(1, "l".to_owned(), String::new());
    assert_eq!(FromAgent::decode(&bytes), Ok(Some((without, bytes.len()))));
}

/// The same holds for a request of ecash.
#[test]
fn a_request_that_is_too_long_is_left_out() {
    for (length, kept) in [(MAX_REQUEST, MAX_REQUEST), (MAX_REQUEST + 1, 0), (70_000, 0)] {
        let invoice = FromAgent::Invoice {
            id: 1,
            payment_hash: [1; 32],
            bolt11: "l".to_owned(),
            nonce: [2; 28],
            expires_at: 3,
            amount_msat: 4,
            ecash: "c".repeat(length),
            offer: String::new(),
        };
        let bytes = bytes_of(|out| invoice.encode(out));
        let Ok(Some((FromAgent::Invoice { ecash, .. }, _))) = FromAgent::decode(&bytes) else {
            panic!("no invoice")
        };
        assert_eq!(ecash.len(), kept);
    }
}

/// There is one way to say that there is no offer.
#[test]
fn an_empty_offer_is_refused() {
    let frame = framed(&[&[0x8e][..], &[0; 8], &[1, 0, b'l'], &[0; 8], &[0, 0]].concat());
    assert_eq!(FromAgent::decode(&frame), Err(FrameError::BadField("offer")));
}

#[test]
fn an_invoice_that_is_too_long_becomes_a_failure() {
    let bolt11 = "l".repeat(MAX_INVOICE + 1);
    let bytes = bytes_of(|out| unsettled(5, bolt11, String::new()).encode(out));
    let Ok(Some((FromAgent::Failed { id: 5, fault: Fault::Refused, reason }, _))) = FromAgent::decode(&bytes)
    else {
        panic!("not a failure")
    };
    assert!(reason.contains("8193 bytes"), "{reason}");
}

#[test]
fn counts_and_lengths_that_lie_are_refused() {
    let welcome =
        |count: u8| framed(&[&[0x81][..], &[0; 8], &PROTOCOL.to_le_bytes(), &[0; 16], &[count]].concat());
    assert_eq!(FromAgent::decode(&welcome(1)), Err(FrameError::Truncated));
    assert_eq!(FromAgent::decode(&welcome(255)), Err(FrameError::BadField("number of keys")));
    let marked = |protocol: u16, marks: u32| {
        let head = [&[0x8f][..], &[0; 8], &protocol.to_le_bytes(), &[0; 16], &[1], &[9; 32]].concat();
        FromAgent::decode(&framed(&[head, marks.to_le_bytes().to_vec()].concat()))
    };
    assert!(marked(PROTOCOL, 1).is_ok());
    for (protocol, marks) in [(PROTOCOL, 0), (PROTOCOL, 3), (6, 1)] {
        assert_eq!(marked(protocol, marks), Err(FrameError::BadField("marks of keys")));
    }
    let unsettled = framed(&[&[0x84][..], &[0; 8], &[0xff, 0xff]].concat());
    assert_eq!(FromAgent::decode(&unsettled), Err(FrameError::BadField("invoice")));
    let not_text = framed(&[&[0x84][..], &[0; 8], &[2, 0, 0xc3, 0x28], &[0; 8]].concat());
    assert_eq!(FromAgent::decode(&not_text), Err(FrameError::BadField("invoice")));
    let trailing = framed(&[&[0x85][..], &[0; 8], &[0]].concat());
    assert_eq!(FromAgent::decode(&trailing), Err(FrameError::Trailing));
    let tag = framed(&[&[0x83][..], &[0; 8], &[2]].concat());
    assert_eq!(FromAgent::decode(&tag), Err(FrameError::BadField("remaining")));
    assert_eq!(FromAgent::decode(&framed(&[0x85])), Err(FrameError::Truncated));
}

#[test]
fn a_frame_of_the_other_direction_is_unknown() {
    let bytes = bytes_of(|out| ToAgent::Cancel { id: 1 }.encode(out));
    assert_eq!(FromAgent::decode(&bytes), Err(FrameError::UnknownKind(4)));
    let bytes = bytes_of(|out| FromAgent::Dead { id: 1 }.encode(out));
    assert_eq!(ToAgent::decode(&bytes), Err(FrameError::UnknownKind(0x86)));
}

/// Another version may have another layout after the version itself.
#[test]
fn another_version_is_named() {
    for rest in [&[][..], &[1, 2, 3][..], &[0; 100][..]] {
        let hello = framed(&[&[0x01][..], &[0; 8], &[1, 0], rest].concat());
        assert_eq!(ToAgent::decode(&hello), Err(FrameError::Version { theirs: 1 }));
        let welcome = framed(&[&[0x81][..], &[0; 8], &[9, 1], rest].concat());
        assert_eq!(FromAgent::decode(&welcome), Err(FrameError::Version { theirs: 265 }));
    }
    let text = FrameError::Version { theirs: 1 }.to_string();
    assert!(text.contains("protocol 1") && text.contains(&format!("to {PROTOCOL}:")), "{text}");
}

#[test]
fn debug_shows_no_secret() {
    let secret = Secret32::new([0xab; 32]);
    let redeem = ToAgent::Redeem {
        id: 1,
        request: [0; 16],
        backend: "main".into(),
        payment_hash: [0; 32],
        proof: Proof::Preimage(secret.clone()),
        limit: None,
        draw: true,
    };
    let welcome =
        FromAgent::Welcome { protocol: PROTOCOL, instance: [0; 16], keys: vec![secret.clone().into()] };
    for shown in [format!("{secret:?}"), format!("{redeem:#?}"), format!("{welcome:?}")] {
        assert!(shown.contains("[redacted]"), "{shown}");
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("ab, ab"), "{shown}");
        assert!(!shown.contains("abab"), "{shown}");
    }
}
