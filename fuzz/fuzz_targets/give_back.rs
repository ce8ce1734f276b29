//! The module's table of questions against l402d, over a wire that breaks: each byte is a step. What `cargo test` tries
//! in every order for two clients is tried here at any length for four, and with places for three.
#![no_main]

#[allow(dead_code)]
#[path = "../../crates/nginx/src/pending.rs"]
mod pending;
#[path = "../../crates/nginx/tests/give_back/world.rs"]
mod world;

// Counts loads, as all that is built for fuzzing does.
use l402_fuzz as _;
use libfuzzer_sys::fuzz_target;
use world::{Step, World};

fuzz_target!(|steps: &[u8]| {
    let mut world = World::new(3);
    for step in steps {
        let client = step >> 4 & 3;
        match step & 15 {
            0 | 1 => world.step(Step::Ask(client)),
            2 | 3 => world.step(Step::Leave(client)),
            4 | 5 => world.step(Step::Write),
            6 | 7 => world.step(Step::Read),
            8 | 9 => world.step(Step::Draw),
            10 | 11 => world.step(Step::Hear),
            12 => world.step(Step::GiveUp),
            13 | 14 => world.step(Step::Connect),
            _ => !world.owes() && world.step(Step::Break),
        };
    }
    world.end();
});
