//! How a case is run: in all orders, or in so many random ones.

use std::future::Future;

use shuttle::Runner;
use shuttle::future::block_on;
use shuttle::scheduler::DfsScheduler;

/// Orders of a large case.
const MANY: usize = 20_000;

/// Every order there is; says how many.
pub fn all<F: Future + 'static>(case: fn() -> F) {
    // tokio's `select!` draws lots for which branch comes first: one lot for each order.
    let scheduler = DfsScheduler::new(None, true);
    let orders = Runner::new(scheduler, shuttle::Config::new()).run(move || drop(block_on(case())));
    println!("{orders} orders");
}

/// So many at random, and as many that let few tasks overtake others at the worst moments.
pub fn many<F: Future + 'static>(case: fn() -> F) {
    shuttle::check_random(move || drop(block_on(case())), MANY);
    shuttle::check_pct(move || drop(block_on(case())), MANY, 3);
}
