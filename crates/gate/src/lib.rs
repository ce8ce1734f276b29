//! The decision, sans-IO: policy and request in, grant, question or response out.
//!
//! A front end starts a [`Gate`] for each request and gets a [`Step`]: let it through, answer it, or put a
//! [`Question`] to l402d and [`Gate::resume`] with the [`Answer`]. Time comes in as a parameter, nothing waits here,
//! and whatever goes wrong ends in an answer that isn't a 2xx.
//!
//! Read in this order: `policy.rs` (what comes in), `step.rs` (what goes out and back), `machine.rs` (the steps),
//! `judge.rs` (one credential against one sale), `memory.rs` (those verified before), `ecash.rs` (a
//! payment in the request itself), `response.rs` (every answer that is ever given), `grpc.rs` (how gRPC clients read it),
//! `too_long.rs` (one to what nginx did not even read). Beside them: `target.rs` (requests that are never sold) and
//! `cache.rs` (what answers say to caches).
#![forbid(unsafe_code)]

pub mod cache;
mod ecash;
mod grpc;
mod judge;
mod machine;
mod memory;
mod policy;
mod response;
mod step;
pub mod target;
mod too_long;

pub use grpc::{GrpcStatus, is_grpc};
pub use l402::{Names, Origin, PaymentHash, Preimage, TokenId, Uses};
pub use machine::Gate;
pub use memory::Memory;
pub use policy::{Policy, Rate, Realm, Request};
pub use response::{Complaint, Outcome, Response};
pub use step::{Answer, ClientRate, Ecash, Failure, Grant, Issued, Proof, Question, Step};
pub use too_long::too_long;
