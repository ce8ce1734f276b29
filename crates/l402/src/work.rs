//! What reading a header costs, counted in bytes looked at and blocks hashed. Tests and fuzz targets bound it; a build for
//! use counts nothing.

#[cfg(not(any(test, fuzzing)))]
#[inline(always)]
pub(crate) fn spend(_units: usize) {}

#[cfg(any(test, fuzzing))]
pub use counted::of;
#[cfg(any(test, fuzzing))]
pub(crate) use counted::spend;

#[cfg(any(test, fuzzing))]
mod counted {
    use std::cell::Cell;

    thread_local! {
        static SPENT: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts some work of this thread.
    pub(crate) fn spend(units: usize) {
        SPENT.set(SPENT.get() + units);
    }

    /// The cost of `act`.
    pub fn of<T>(act: impl FnOnce() -> T) -> usize {
        let before = SPENT.get();
        act();
        SPENT.get() - before
    }
}
