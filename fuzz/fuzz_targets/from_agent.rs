//! Frames from l402d, as a worker of nginx reads them.
#![no_main]

use agent_api::FromAgent;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| l402_fuzz::check_frames(bytes, FromAgent::decode, FromAgent::encode));
