//! Go-back-N packets: the codec, and a connection of either side under any packets and any passing of time.
#![no_main]

use std::time::{Duration, Instant};

// Counts loads, as all that is built for fuzzing does.
use l402_fuzz as _;
use libfuzzer_sys::fuzz_target;
use lnc::gbn::{Connection, Event, Packet, Timing};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = Packet::decode(bytes) {
        let encoded = packet.encode();
        assert_eq!(Packet::decode(&encoded).as_ref(), Ok(&packet));
    }

    let mut now = Instant::now();
    let Some((side, mut script)) = bytes.split_first() else { return };
    let mut connection = match side % 2 {
        0 => Connection::client(now, Timing::CLIENT),
        _ => Connection::server(now, Timing::SERVER),
    };
    let mut closed = false;
    // Each step: a byte that says what, and how long the packet is or the time passes.
    while let [what, rest @ ..] = script {
        let length = usize::from(what >> 2).min(rest.len());
        match what & 3 {
            0 => {
                let (packet, tail) = rest.split_at(length);
                connection.receive(now, packet);
                script = tail;
            }
            1 => {
                now += Duration::from_millis(u64::from(what >> 2) * 100);
                connection.handle_timeout(now);
                script = rest;
            }
            2 => {
                let room = connection.has_room();
                assert_eq!(connection.send(now, vec![*what]).is_ok(), room);
                script = rest;
            }
            _ => {
                connection.link_is_back(now);
                script = rest;
            }
        }
        while let Some(packet) = connection.poll_transmit() {
            assert!(Packet::decode(&packet).is_ok());
        }
        while let Some(event) = connection.poll_event() {
            assert!(!closed, "nothing follows the end");
            closed = matches!(event, Event::Closed(_));
        }
        assert!(!closed || (!connection.has_room() && connection.timeout().is_none()));
    }
});
