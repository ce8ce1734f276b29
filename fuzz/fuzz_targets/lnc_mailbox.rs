//! Frames from a mailbox, and what they carry: MsgData and auth data.
#![no_main]

// Counts loads, as all that is built for fuzzing does.
use l402_fuzz as _;
use libfuzzer_sys::fuzz_target;
use lnc::mailbox::{self, MAX_FRAME};
use lnc::{AuthData, StreamId, msg_data};

fuzz_target!(|bytes: &[u8]| {
    match mailbox::decode(bytes) {
        Ok(packet) => assert!(packet.len() <= bytes.len() && packet.len() < MAX_FRAME.max(bytes.len())),
        Err(error) => assert!(!error.to_string().contains(['\n', '\r', '\u{0}'])),
    }
    if let Ok(content) = msg_data::decode(bytes) {
        assert_eq!(msg_data::encode(content), bytes);
    }
    assert_eq!(msg_data::decode(&msg_data::encode(bytes)), Ok(bytes));

    // What we send is a frame that a mailbox passes on as it is.
    if let Some(stream) = StreamId::from_bytes(&[7; 64]) {
        let sent = mailbox::encode_send(&stream, bytes);
        assert_eq!(mailbox::decode(format!("{{\"result\":{sent}}}").as_bytes()).as_deref(), Ok(bytes));
    }

    let auth_data = AuthData::new(bytes.to_vec().into());
    for (name, value) in auth_data.expose_metadata() {
        assert!(!name.contains("\r\n") && !value.contains("\r\n"));
    }
    assert_eq!(format!("{auth_data:?}"), "AuthData(redacted)");
});
