//! Frames from a front end, as l402d reads them from whoever may open its socket.
#![no_main]

use agent_api::ToAgent;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| l402_fuzz::check_frames(bytes, ToAgent::decode, ToAgent::encode));
