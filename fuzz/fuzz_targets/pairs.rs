//! The text of l402d's configuration pipe: what is read can be written and reads the same; no value is told.
#![no_main]

// Counts loads, as all that is built for fuzzing does.
use l402_fuzz as _;
use libfuzzer_sys::fuzz_target;
use settings::AgentConfig;

fuzz_target!(|text: &[u8]| {
    match AgentConfig::from_pairs(text) {
        Ok(config) => {
            let written = config.to_pairs();
            assert_eq!(AgentConfig::from_pairs(&written), Ok(config));
        }
        Err(complaints) => {
            assert!(!complaints.is_empty());
            let told: String = complaints.iter().map(|complaint| format!("{complaint}\n")).collect();
            // Keys are told; what is 32 hex digits or more and in no key can only be a secret.
            let pairs = || text.split(|byte| *byte == 0).filter_map(split);
            let is_secret = |value: &[u8]| value.len() >= 32 && value.iter().all(u8::is_ascii_hexdigit);
            for (_, secret) in pairs().filter(|(_, value)| is_secret(value)) {
                let in_a_key = pairs().any(|(key, _)| contains(key, secret));
                assert!(in_a_key || !contains(told.as_bytes(), secret), "{told}");
            }
        }
    }
});

fn split(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = pair.iter().position(|byte| *byte == b'=')?;
    Some((&pair[..at], &pair[at + 1..]))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
