//! Every order of what a worker, its clients, l402d and their connection can do, up to a depth: a client that stays is
//! served exactly once, also over a break; one that leaves pays nothing.

#[path = "../../src/pending.rs"]
mod pending;
mod world;

use world::{Step, World};

/// Two clients, and how many steps are chosen freely; then everything comes to its end.
const DEPTH: usize = 10;

const STEPS: [Step; 11] = [
    Step::Ask(0),
    Step::Ask(1),
    Step::Leave(0),
    Step::Leave(1),
    Step::Write,
    Step::Read,
    Step::Draw,
    Step::Hear,
    Step::Break,
    Step::Connect,
    Step::GiveUp,
];

#[test]
fn nothing_is_lost_and_nothing_is_drawn_for_one_who_left() {
    let mut tried = 0;
    let mut open = vec![Vec::new()];
    while let Some(steps) = open.pop() {
        let mut world = World::new(2);
        let mut useful = true;
        for step in &steps {
            if *step == Step::Break && world.owes() {
                useful = false;
                break;
            }
            useful = world.step(*step);
        }
        if !useful {
            continue;
        }
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.end()));
        assert!(told.is_ok(), "after {steps:?}");
        tried += 1;
        if steps.len() < DEPTH {
            open.extend(STEPS.map(|step| [steps.as_slice(), &[step]].concat()));
        }
    }
    println!("{tried} orders");
    assert!(tried > 10_000);
}
