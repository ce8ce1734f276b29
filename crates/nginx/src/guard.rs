//! The one place where a panic stops: nothing unwinds into nginx.
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::nginx::{self, Level};

/// Runs what a callback of nginx has to do; a panic becomes one line in the error log and `fallback`.
///
/// Whatever `body` was changing stays as the panic left it. That is safe here because every state that
/// outlives a callback is held in a `RefCell` or replaced as a whole, and because `fallback` is always
/// an error, never a grant.
pub fn guard<T, F: FnOnce() -> T>(fallback: T, body: F) -> T {
    let body = || {
        #[cfg(feature = "faulty")]
        crate::faulty::strike(std::any::type_name::<F>());
        body()
    };
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            nginx::log(Level::Alert, &format!("l402: a fault of the module, please report it: {text}"));
            fallback
        }
    }
}
