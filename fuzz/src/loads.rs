//! Counts what code costs: each time that it reads memory, in all crates that are built for fuzzing, and the bytes that crate
//! l402 says it looks at. The standard library's own loops are not counted.

use std::sync::atomic::{AtomicU64, Ordering};

static LOADS: AtomicU64 = AtomicU64::new(0);

/// The cost of `act`. Targets run on one thread.
pub fn of<T>(act: impl FnOnce() -> T) -> u64 {
    let before = LOADS.load(Ordering::Relaxed);
    let bytes = l402::work::of(act);
    LOADS.load(Ordering::Relaxed) - before + bytes as u64
}

/// Called before a load of so many bytes (`-sanitizer-coverage-trace-loads`).
macro_rules! count {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name(_: *const u8) {
                LOADS.store(LOADS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            }
        )*
    };
}

count! {
    __sanitizer_cov_load1 __sanitizer_cov_load2 __sanitizer_cov_load4 __sanitizer_cov_load8 __sanitizer_cov_load16
}
