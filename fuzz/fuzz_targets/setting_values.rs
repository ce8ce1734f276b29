//! The values of settings and of variables at run time: within their bounds, and told in one line if not.
#![no_main]

// Counts loads, as all that is built for fuzzing does.
use l402_fuzz as _;
use libfuzzer_sys::fuzz_target;
use settings::value::{
    self, MAX_BACKEND_NAME, MAX_LIFE_S, MAX_MSAT, MAX_REALM, MAX_SOCKET_PATH, MAX_STATE_DIR, TIMEOUT_MS,
};
use settings::{AGENT_TIMEOUT, AMOUNT_MSAT_DEFAULT, Complaint, L402, MACAROON_TIMEOUT, MAX_USES};

fuzz_target!(|text: &[u8]| {
    check(L402.flag(text), |_| true);
    check(AMOUNT_MSAT_DEFAULT.msat(text), |msat| (1..=MAX_MSAT).contains(msat));
    check(MAX_USES.uses(text), |uses| *uses >= 1);
    check(MACAROON_TIMEOUT.life(text), |life| *life <= MAX_LIFE_S);
    check(AGENT_TIMEOUT.timeout(text), |timeout| TIMEOUT_MS.contains(timeout));
    if let Some(realm) = value::realm(&[text]).flatten() {
        assert!((1..=MAX_REALM).contains(&realm.name.len()) && !realm.shared);
    }
    if let Some(name) = value::backend_name(text) {
        assert!((1..=MAX_BACKEND_NAME).contains(&name.len()));
    }
    if let Some(path) = value::unix_socket(text) {
        assert!(path.starts_with('/') && path.len() <= MAX_SOCKET_PATH && !path.contains('\0'));
    }
    if let Some(path) = value::state_dir(text) {
        assert!(path.starts_with('/') && path.len() <= MAX_STATE_DIR && !path.ends_with('/'));
    }
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Some(address) = value::address(text, 10_009) {
        assert_eq!(value::address(&address, 1), Some(address.clone()), "read from {text:?}");
        assert!(value::socks5(&address).is_some());
    }
    if let Some(address) = value::socks5(text) {
        assert_eq!(value::socks5(&address), Some(address.clone()), "read from {text:?}");
    }
});

fn check<T: std::fmt::Debug>(read: Result<T, Complaint>, fits: impl Fn(&T) -> bool) {
    match read {
        Ok(value) => assert!(fits(&value), "{value:?}"),
        Err(complaint) => {
            let line = complaint.to_string();
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
