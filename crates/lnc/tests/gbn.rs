//! Go-back-N over links that lose, repeat, delay and reorder, in a time of their own.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use lnc::gbn::{Closed, Connection, Event, Packet, Timing, WINDOW};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

/// A link between two sides, with a clock that jumps to whatever comes next.
struct Net {
    now: Instant,
    random: Random,
    weather: Weather,
    /// (when it arrives, order, for the server, packet)
    flying: Vec<(Instant, u64, bool, Vec<u8>)>,
    sent: u64,
    client: Connection,
    server: Connection,
}

#[derive(Clone, Copy, Debug)]
struct Weather {
    lost_percent: u64,
    repeated_percent: u64,
    /// Of a packet's way, at least.
    delay: Duration,
    /// More of it, up to so much: packets overtake each other.
    jitter: Duration,
}

const FAIR: Weather = Weather { lost_percent: 0, repeated_percent: 0, delay: MS, jitter: Duration::ZERO };

impl Net {
    fn new(seed: u64, weather: Weather) -> Net {
        let now = Instant::now();
        Net {
            now,
            random: Random(seed),
            weather,
            flying: Vec::new(),
            sent: 0,
            client: Connection::client(now, Timing::CLIENT),
            server: Connection::server(now, Timing::SERVER),
        }
    }

    /// Puts what both sides have to say onto the link.
    fn load(&mut self) {
        for for_server in [true, false] {
            let from = if for_server { &mut self.client } else { &mut self.server };
            while let Some(packet) = from.poll_transmit() {
                if self.random.percent(self.weather.lost_percent) {
                    continue;
                }
                let copies = if self.random.percent(self.weather.repeated_percent) { 2 } else { 1 };
                for _ in 0..copies {
                    let jitter = self.random.below(self.weather.jitter.as_micros() as u64 + 1);
                    let at = self.now + self.weather.delay + Duration::from_micros(jitter);
                    self.sent += 1;
                    self.flying.push((at, self.sent, for_server, packet.clone()));
                }
            }
        }
    }

    /// Goes on to the next arrival or time-out; false if nothing is to come.
    fn step(&mut self) -> bool {
        self.load();
        let arrival = self.flying.iter().map(|(at, order, ..)| (*at, *order)).min();
        let timeout = [self.client.timeout(), self.server.timeout()].into_iter().flatten().min();
        match (arrival, timeout) {
            (Some((at, order)), timeout) if timeout.is_none_or(|timeout| at <= timeout) => {
                self.now = at;
                let index = self.flying.iter().position(|flying| flying.1 == order).unwrap();
                let (_, _, for_server, packet) = self.flying.swap_remove(index);
                let to = if for_server { &mut self.server } else { &mut self.client };
                to.receive(at, &packet);
            }
            (_, Some(timeout)) => {
                self.now = self.now.max(timeout);
                self.client.handle_timeout(self.now);
                self.server.handle_timeout(self.now);
            }
            (_, None) => return false,
        }
        true
    }

    /// Sends `count` numbered payloads each way; both sides must get all of them, in order.
    fn exchange(&mut self, count: u32) {
        assert_eq!(self.exchange_while_alive(count), Ok(()));
    }

    /// The same, but one side may give the other one up.
    fn exchange_while_alive(&mut self, count: u32) -> Result<(), Closed> {
        let (mut given, mut taken) = ([0; 2], [0; 2]);
        while taken != [count; 2] {
            for (side, from) in [&mut self.client, &mut self.server].into_iter().enumerate() {
                while given[side] < count && from.has_room() {
                    from.send(self.now, payload(side, given[side])).unwrap();
                    given[side] += 1;
                }
            }
            assert!(self.step(), "both sides wait forever");
            for (side, to) in [&mut self.server, &mut self.client].into_iter().enumerate() {
                while let Some(event) = to.poll_event() {
                    match event {
                        Event::Open => {}
                        Event::Payload(got) => {
                            assert_eq!(got, payload(side, taken[side]), "of side {side}");
                            taken[side] += 1;
                        }
                        Event::Closed(why) => return Err(why),
                    }
                }
            }
        }
        Ok(())
    }
}

fn payload(side: usize, number: u32) -> Vec<u8> {
    [[side as u8].as_slice(), &number.to_be_bytes(), &vec![b'x'; number as usize % 50]].concat()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[test]
fn ten_thousand_payloads_each_way_through_a_storm() {
    let storm =
        Weather { lost_percent: 20, repeated_percent: 5, delay: 20 * MS, jitter: Duration::from_millis(15) };
    for seed in 0..4 {
        Net::new(seed, storm).exchange(10_000);
    }
}

/// However late: a whole round trip, but not more.
#[test]
fn through_packets_that_overtake_each_other() {
    let wind = Weather { lost_percent: 1, repeated_percent: 30, delay: 10 * MS, jitter: 20 * MS };
    for seed in 0..4 {
        Net::new(seed, wind).exchange(2_000);
    }
}

#[test]
fn in_fair_weather_nothing_is_sent_twice() {
    let mut net = Net::new(0, FAIR);
    net.exchange(1000);
    // SYN, SYN, SYNACK, and a packet and its ACK for each payload.
    assert!(net.sent <= 3 + 4 * 1000, "{}", net.sent);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_the_weather(
        seed: u64, lost_percent in 0..35_u64, repeated_percent in 0..20_u64, delay in 5..200_u32, jitter in 0..80_u32,
    ) {
        let delay = delay * MS;
        let weather = Weather { lost_percent, repeated_percent, delay, jitter: delay * jitter / 100 };
        // So many may be lost in a row that it looks like death; what arrived is whole and in order all the same.
        let end = Net::new(seed, weather).exchange_while_alive(300);
        prop_assert!(matches!(end, Ok(()) | Err(Closed::Silent)), "{:?}", end);
    }
}

/// Both sides, open.
fn open() -> Net {
    let mut net = Net::new(0, FAIR);
    while !(net.client.is_open() && net.server.is_open()) {
        assert!(net.step());
    }
    assert_eq!(net.client.poll_event(), Some(Event::Open));
    assert_eq!(net.server.poll_event(), Some(Event::Open));
    net
}

#[test]
fn an_idle_connection_lives_on_pings() {
    let mut net = open();
    let until = net.now + Duration::from_secs(600);
    while net.now < until {
        assert!(net.step());
    }
    assert!(net.client.is_open() && net.server.is_open());
    assert_eq!((net.client.poll_event(), net.server.poll_event()), (None, None));
    assert!(net.sent < 600, "{}", net.sent);
}

#[test]
fn a_dead_line_is_noticed_within_ten_seconds() {
    let mut net = open();
    let since = net.now;
    net.weather.lost_percent = 100;
    net.flying.clear();
    let mut closed = [None; 2];
    while closed.contains(&None) {
        assert!(net.step());
        for (closed, side) in closed.iter_mut().zip([&mut net.client, &mut net.server]) {
            while let Some(event) = side.poll_event() {
                assert_eq!(event, Event::Closed(Closed::Silent));
                *closed = Some(net.now - since);
            }
        }
    }
    assert!(closed[0] <= Some(Duration::from_secs(10)), "{closed:?}");
    assert!(closed[1] <= Some(Duration::from_secs(8)), "{closed:?}");
    assert_eq!((net.client.timeout(), net.server.timeout()), (None, None));
}

#[test]
fn a_gap_of_hours_is_asked_about_before_it_is_held_against_anyone() {
    let mut net = open();
    net.now += Duration::from_secs(7200);
    let now = net.now;
    net.client.handle_timeout(now);
    assert!(net.client.is_open());
    net.server.handle_timeout(now);
    net.exchange(10);
}

#[test]
fn a_link_that_is_back_makes_up_at_once_for_what_was_lost() {
    let mut net = open();
    for number in 0..5 {
        net.client.send(net.now, payload(0, number)).unwrap();
    }
    while net.client.poll_transmit().is_some() {}
    net.client.link_is_back(net.now);
    let since = net.now;
    let mut taken = 0;
    while taken < 5 {
        assert!(net.step());
        while let Some(Event::Payload(got)) = net.server.poll_event() {
            assert_eq!(got, payload(0, taken));
            taken += 1;
        }
    }
    assert!(net.now - since < 10 * MS);
}

#[test]
fn fin_ends_it_on_both_sides() {
    let mut net = open();
    net.client.close();
    net.client.close();
    assert_eq!(net.client.poll_transmit(), Some(Packet::Fin.encode()));
    assert_eq!(net.client.poll_transmit(), None);
    assert_eq!(net.client.poll_event(), Some(Event::Closed(Closed::Here)));
    net.server.receive(net.now, &Packet::Fin.encode());
    assert_eq!(net.server.poll_event(), Some(Event::Closed(Closed::There)));
    assert_eq!(net.server.poll_transmit(), None, "it is not answered");
    assert!(!net.client.has_room() && net.client.send(net.now, vec![1]).is_err());
}

#[test]
fn what_is_left_in_the_box_of_an_older_connection_is_passed_over() {
    let now = Instant::now();
    let mut client = Connection::client(now, Timing::CLIENT);
    for packet in [
        Packet::Data { seq: 3, last: true, ping: false, payload: vec![1] },
        Packet::Ack { seq: 3 },
        Packet::Nack { seq: 0 },
        Packet::Fin,
        Packet::SynAck,
    ] {
        client.receive(now, &packet.encode());
        client.receive(now, b"rubbish");
    }
    assert!(!client.is_open() && client.poll_event().is_none());
    client.receive(now, &Packet::Syn { window: WINDOW }.encode());
    assert_eq!(client.poll_event(), Some(Event::Open));
}

#[test]
fn another_window_than_proposed_is_refused() {
    let now = Instant::now();
    let mut client = Connection::client(now, Timing::CLIENT);
    client.receive(now, &Packet::Syn { window: 19 }.encode());
    assert!(matches!(client.poll_event(), Some(Event::Closed(Closed::Broken(_)))));
    for window in [0, 255] {
        let mut server = Connection::server(now, Timing::SERVER);
        server.receive(now, &Packet::Syn { window }.encode());
        assert!(matches!(server.poll_event(), Some(Event::Closed(Closed::Broken(_)))));
    }
}

#[test]
fn a_syn_goes_out_again_soon_and_with_growing_patience() {
    let start = Instant::now();
    let mut client = Connection::client(start, Timing::CLIENT);
    let mut waits = Vec::new();
    let mut now = start;
    for _ in 0..6 {
        assert_eq!(client.poll_transmit(), Some(vec![1, WINDOW]));
        let next = client.timeout().unwrap();
        waits.push((next - now).as_millis());
        client.handle_timeout(next);
        now = next;
    }
    assert_eq!(waits, [250, 500, 1000, 2000, 2000, 2000]);
}

#[test]
fn pieces_are_put_together() {
    let mut net = open();
    for (seq, last) in [(0, false), (1, false), (2, true)] {
        let packet = Packet::Data { seq, last, ping: false, payload: vec![seq] };
        net.client.receive(net.now, &packet.encode());
    }
    assert_eq!(net.client.poll_event(), Some(Event::Payload(vec![0, 1, 2])));
}

#[test]
fn one_ack_covers_what_comes_together_and_a_full_window_is_not_waited_for() {
    let mut net = open();
    let data = |seq| Packet::Data { seq, last: true, ping: false, payload: vec![seq] }.encode();
    let start = net.now;
    for seq in 0..3 {
        net.client.receive(start, &data(seq));
    }
    assert_eq!(net.client.poll_transmit(), None);
    let due = net.client.timeout().unwrap();
    assert_eq!(due - start, Timing::CLIENT.ack);
    net.client.handle_timeout(due);
    assert_eq!(net.client.poll_transmit(), Some(Packet::Ack { seq: 2 }.encode()));
    assert_eq!(net.client.poll_transmit(), None);
    for seq in 3..3 + WINDOW / 2 {
        net.client.receive(due, &data(seq));
    }
    assert_eq!(net.client.poll_transmit(), Some(Packet::Ack { seq: 10 }.encode()), "at once");
    assert_eq!(net.client.poll_transmit(), None);
}
