//! Through a link that drops, repeats, delays and reorders packets: both go-back-Ns in a time of their own, and a real
//! session in ours.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use lnc::gbn::{Connection, Event, Timing};
use lnsim::{Gbn, LncOptions, Sky, Weather};

use super::support::{add_invoice, by_phrase, connected, lightning, server, sim};

const MS: Duration = Duration::from_millis(1);

/// Our client and the simulator's node, and what flies between them.
struct Storm {
    start: Instant,
    now: Duration,
    sky: Sky,
    /// (when it arrives, order, for the node, packet)
    flying: Vec<(Duration, u64, bool, Vec<u8>)>,
    sent: u64,
    client: Connection,
    node: Gbn,
}

impl Storm {
    fn new(weather: Weather, seed: u64) -> Storm {
        let start = Instant::now();
        Storm {
            start,
            now: Duration::ZERO,
            sky: Sky::new(weather, seed),
            flying: Vec::new(),
            sent: 0,
            client: Connection::client(start, Timing::CLIENT),
            node: Gbn::new(0, true),
        }
    }

    fn now_ms(&self) -> u64 {
        self.now.as_millis() as u64
    }

    fn launch(&mut self) {
        let from_client = std::iter::from_fn(|| self.client.poll_transmit()).map(|packet| (true, packet));
        let packets: Vec<_> = from_client.collect();
        let from_node = self.node.take_packets().into_iter().map(|packet| (false, packet));
        for (for_node, packet) in packets.into_iter().chain(from_node) {
            for delay in self.sky.fate() {
                self.sent += 1;
                self.flying.push((self.now + delay, self.sent, for_node, packet.clone()));
            }
        }
    }

    /// Goes on to whatever comes next.
    fn step(&mut self) {
        self.launch();
        let arrival = self.flying.iter().map(|(at, order, ..)| (*at, *order)).min();
        let client_due = self.client.timeout().map(|at| at - self.start);
        let node_due = match self.node.next_tick_ms() {
            u64::MAX => None,
            at => Some(Duration::from_millis(at)),
        };
        let due = client_due.into_iter().chain(node_due).min();
        match arrival {
            Some((at, order)) if due.is_none_or(|due| at <= due) => {
                self.now = at;
                let index = self.flying.iter().position(|flying| flying.1 == order).unwrap();
                let (_, _, for_node, packet) = self.flying.swap_remove(index);
                if for_node {
                    self.node.packet(self.now_ms(), &packet);
                } else {
                    self.client.receive(self.start + self.now, &packet);
                }
            }
            _ => {
                self.now = self.now.max(due.expect("somebody waits for something"));
                self.client.handle_timeout(self.start + self.now);
                self.node.tick(self.now_ms());
            }
        }
    }
}

#[test]
fn ten_thousand_messages_each_way_arrive_whole_and_in_order() {
    let weather = Weather { lost: 20, twice: 5, delay: 20 * MS, jitter: 15 * MS };
    for seed in [1, 2, 3] {
        let mut storm = Storm::new(weather, seed);
        let (mut given, mut taken) = ([0_u32; 2], [0_u32; 2]);
        while taken != [10_000; 2] {
            let now = storm.start + storm.now;
            while given[0] < 10_000 && storm.client.has_room() {
                storm.client.send(now, given[0].to_be_bytes().to_vec()).unwrap();
                given[0] += 1;
            }
            while given[1] < 10_000 && storm.node.has_room() {
                let now = storm.now_ms();
                storm.node.send(now, &given[1].to_be_bytes());
                given[1] += 1;
            }
            storm.step();
            while let Some(payload) = storm.node.take_payload() {
                assert_eq!(payload, taken[0].to_be_bytes(), "at the node, seed {seed}");
                taken[0] += 1;
            }
            while let Some(event) = storm.client.poll_event() {
                match event {
                    Event::Open => {}
                    Event::Payload(payload) => {
                        assert_eq!(payload, taken[1].to_be_bytes(), "at the client, seed {seed}");
                        taken[1] += 1;
                    }
                    Event::Closed(why) => panic!("seed {seed}: {why} after {taken:?}"),
                }
            }
            assert!(!storm.node.is_over(), "seed {seed}: the node gave up after {taken:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_through_bad_weather_are_answered() {
    let sim = sim();
    let session = sim.lnc_session(LncOptions { careful: true, ..LncOptions::default() }).unwrap();
    let connected = connected(&server(&sim, ""), &by_phrase(&session)).await;
    let mut client = lightning(connected.stream, &connected.auth_data).await;
    add_invoice(&mut client).await.unwrap();
    sim.mailbox_weather(Weather { lost: 5, twice: 5, delay: 2 * MS, jitter: MS }, 7);
    for _ in 0..20 {
        add_invoice(&mut client).await.unwrap();
    }
    assert_eq!(session.handshakes(), [1, 1]);
    assert_eq!(connected.session.ended(), None);
}
