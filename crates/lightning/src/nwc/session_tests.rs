//! The protocol against a wallet made by hand: who is believed, what belongs to what, and what is said twice.
#![allow(clippy::unwrap_used, clippy::panic)]

use nostr::event::{EventBuilder, FinalizeEvent, Tag};
use nostr::key::Keys;
use nostr::nips::{nip04, nip44};
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;
const URL: &str = "wss://relay.example/v1";

struct Wallet {
    keys: Keys,
    client: Keys,
}

impl Wallet {
    fn new() -> Wallet {
        Wallet { keys: Keys::generate(), client: Keys::generate() }
    }

    fn session(&self) -> Session {
        let secret = self.client.secret_key().to_secret_bytes();
        Session::new(Account::new(self.keys.public_key().as_bytes(), &secret).unwrap(), false)
    }

    /// A session that knows this wallet's info.
    fn informed(&self) -> Session {
        let mut session = self.session();
        assert!(matches!(hear(&mut session, &self.info("nip44_v2 nip04", NOW)), Heard::Info));
        session
    }

    fn info(&self, encryption: &str, at: u64) -> Event {
        let tags =
            [Tag::custom("encryption", [encryption]), Tag::custom("notifications", ["payment_received"])];
        let event = EventBuilder::new(Kind::WalletConnectInfo, "make_invoice lookup_invoice").tags(tags);
        event.custom_created_at(Timestamp::from(at)).finalize(&self.keys).unwrap()
    }

    fn sealed(&self, text: &str) -> String {
        nip44::encrypt(self.keys.secret_key(), &self.client.public_key(), text, nip44::Version::V2).unwrap()
    }

    fn response(&self, to: EventId, text: &str, tags: impl IntoIterator<Item = Tag>) -> Event {
        let event = EventBuilder::new(Kind::WalletConnectResponse, self.sealed(text));
        event.tag(Tag::event(to)).tags(tags).finalize(&self.keys).unwrap()
    }

    fn for_client(&self) -> Tag {
        Tag::public_key(self.client.public_key())
    }
}

fn said_by_relay(event: &Event) -> String {
    RelayMessage::event(SubscriptionId::new(OURS), event.clone()).as_json()
}

fn hear(session: &mut Session, event: &Event) -> Heard {
    session.hear(&said_by_relay(event), URL, NOW)
}

fn ask(session: &mut Session) -> EventId {
    session.request(Method::LookupInvoice, &json!({}), Encryption::Nip44, NOW).unwrap().id
}

const FOUND: &str = r#"{"result_type":"lookup_invoice","error":null,"result":{"state":"settled"}}"#;

fn is_found(heard: &Heard, id: EventId) -> bool {
    matches!(heard, Heard::Answer(of, Ok(Ok(result))) if *of == id && result["state"] == "settled")
}

fn is_nothing(heard: &Heard) -> bool {
    matches!(heard, Heard::Nothing)
}

#[test]
fn a_request_is_readable_by_the_wallet_alone() {
    let wallet = Wallet::new();
    for (encryption, nip44) in [("nip04 nip44_v2", true), ("nip04", false)] {
        let mut session = wallet.session();
        hear(&mut session, &wallet.info(encryption, NOW));
        let encryption = session.encryption().unwrap().unwrap();
        let asked =
            session.request(Method::MakeInvoice, &json!({ "amount": 10_001 }), encryption, NOW).unwrap();
        let [subscribe, send] = asked.frames;
        assert!(subscribe.starts_with(r#"["REQ","answers","#) && subscribe.contains(&asked.id.to_hex()));
        let sent: Value = serde_json::from_str(&send).unwrap();
        let event = Event::from_json(sent[1].to_string()).unwrap();
        assert!(event.verify().is_ok() && event.pubkey == wallet.client.public_key());
        assert_eq!((event.kind.as_u16(), event.created_at.as_secs()), (23194, NOW));
        assert!(event.tags.public_keys().any(|key| key == wallet.keys.public_key()));
        let tagged = event.tags.iter().any(|tag| tag.as_slice() == ["encryption", "nip44_v2"]);
        assert_eq!(tagged, nip44);
        let (secret, client) = (wallet.keys.secret_key(), wallet.client.public_key());
        let text = if nip44 {
            nip44::decrypt(secret, &client, &event.content).unwrap()
        } else {
            nip04::decrypt(secret, &client, event.content.as_str()).unwrap()
        };
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({ "method": "make_invoice", "params": { "amount": 10_001 } })
        );
    }
}

#[test]
fn an_unknown_encryption_is_named() {
    let wallet = Wallet::new();
    let mut session = wallet.session();
    hear(&mut session, &wallet.info("nip99", NOW));
    match session.encryption() {
        Err(LightningError::Refused(text)) => assert!(text.contains("nip99"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_belongs_to_its_request_with_or_without_our_key() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    for tag in [Some(wallet.for_client()), None] {
        let id = ask(&mut session);
        assert!(is_found(&hear(&mut session, &wallet.response(id, FOUND, tag)), id));
    }
}

#[test]
fn an_answer_counts_once() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    let (id, other) = (ask(&mut session), ask(&mut session));
    assert_ne!(id, other, "the same question is not asked twice with one id");
    let response = wallet.response(id, FOUND, [wallet.for_client()]);
    assert!(is_found(&hear(&mut session, &response), id));
    // The copies of other relays, and whatever is said of requests that are over.
    assert!(is_nothing(&hear(&mut session, &response)));
    session.forget(&other);
    assert!(is_nothing(&hear(&mut session, &wallet.response(other, FOUND, []))));
}

#[test]
fn a_relay_can_say_nothing_in_the_wallets_name() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    let id = ask(&mut session);
    let stranger = Wallet { keys: Keys::generate(), client: wallet.client.clone() };
    assert!(is_nothing(&hear(&mut session, &stranger.response(id, FOUND, [wallet.for_client()]))));

    // The wallet's author written over it, or any part of a true answer changed.
    let good = wallet.response(ask(&mut session), FOUND, [wallet.for_client()]);
    let mut forged = stranger.response(id, FOUND, []);
    forged.pubkey = wallet.keys.public_key();
    assert!(is_nothing(&hear(&mut session, &forged)));
    let mut moved = good.clone();
    moved.tags = wallet.response(id, FOUND, []).tags;
    assert!(is_nothing(&hear(&mut session, &moved)));
    moved.id = EventId::compute(&moved.pubkey, &moved.created_at, &moved.kind, &moved.tags, &moved.content);
    assert!(is_nothing(&hear(&mut session, &moved)));
    let mut other_text = good.clone();
    other_text.content = wallet.sealed(FOUND);
    assert!(is_nothing(&hear(&mut session, &other_text)));

    // Notifications and info alike.
    let told = EventBuilder::new(Kind::WalletConnectNotificationNip44V2, stranger.sealed("{}"));
    let mut told = told.finalize(&stranger.keys).unwrap();
    told.pubkey = wallet.keys.public_key();
    assert!(is_nothing(&hear(&mut session, &told)));
    let mut info = stranger.info("nip04", NOW + 1);
    info.pubkey = wallet.keys.public_key();
    assert!(is_nothing(&hear(&mut session, &info)));
    // The requests are still waited for.
    assert!(is_found(&hear(&mut session, &wallet.response(id, FOUND, [])), id));
}

#[test]
fn what_is_for_another_connection_of_the_wallet_is_not_ours() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    let id = ask(&mut session);
    let other = Tag::public_key(Keys::generate().public_key());
    assert!(is_nothing(&hear(&mut session, &wallet.response(id, FOUND, [other]))));
}

#[test]
fn an_answer_that_cannot_be_read_ends_the_call() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    let id = ask(&mut session);
    let event = EventBuilder::new(Kind::WalletConnectResponse, "garbage").tag(Tag::event(id));
    let heard = hear(&mut session, &event.finalize(&wallet.keys).unwrap());
    assert!(matches!(heard, Heard::Answer(of, Err(LightningError::Wrong(_))) if of == id));
}

#[test]
fn notifications_in_either_encryption_once_each() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    let preimage = l402::Preimage::from_bytes([3; 32]);
    let hash = preimage.payment_hash();
    let hex = data_encoding::HEXLOWER.encode(&hash.0);
    let text = json!({
        "notification_type": "payment_received",
        "notification": { "type": "incoming", "payment_hash": hex, "amount": 5000, "settled_at": NOW },
    });
    let text = text.to_string();
    let (secret, client) = (wallet.keys.secret_key(), wallet.client.public_key());
    let old = nip04::encrypt(secret, &client, &text).unwrap();
    for (kind, sealed) in [
        (Kind::WalletConnectNotificationNip44V2, wallet.sealed(&text)),
        (Kind::WalletConnectNotification, old),
    ] {
        let event = EventBuilder::new(kind, sealed).tag(wallet.for_client()).finalize(&wallet.keys).unwrap();
        match hear(&mut session, &event) {
            Heard::Settled(payment) => assert_eq!(payment.about, Some(hash)),
            _ => panic!("a settlement"),
        }
        assert!(is_nothing(&hear(&mut session, &event)), "the copy of another relay");
    }
}

#[test]
fn the_newest_info_counts() {
    let wallet = Wallet::new();
    let mut session = wallet.session();
    hear(&mut session, &wallet.info("nip04", NOW));
    assert_eq!(session.encryption(), Ok(Some(Encryption::Nip04)));
    assert!(is_nothing(&hear(&mut session, &wallet.info("nip99", NOW - 1))), "a relay that kept an old one");
    assert!(is_nothing(&hear(&mut session, &wallet.info("nip04", NOW + 1))), "said again");
    assert!(matches!(hear(&mut session, &wallet.info("nip44_v2 nip04", NOW + 2)), Heard::Info));
    assert_eq!(session.encryption(), Ok(Some(Encryption::Nip44)));
}

#[test]
fn what_once_had_nip44_stays_there() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    hear(&mut session, &wallet.info("nip04", NOW + 2));
    assert_eq!(session.encryption(), Ok(Some(Encryption::Nip44)));
    let secret = wallet.client.secret_key().to_secret_bytes();
    let account = Account::new(wallet.keys.public_key().as_bytes(), &secret).unwrap();
    let mut known = Session::new(account, true);
    known.assume();
    assert_eq!(known.encryption(), Ok(Some(Encryption::Nip44)), "from an earlier process");
    // An answer in NIP-44 shows it as well.
    let mut session = wallet.session();
    session.assume();
    let id = session.request(Method::LookupInvoice, &json!({}), Encryption::Nip04, NOW).unwrap().id;
    hear(&mut session, &wallet.response(id, FOUND, [wallet.for_client()]));
    assert!(session.has_nip44());
}

#[test]
fn without_an_info_event_the_encryption_is_found_out() {
    let wallet = Wallet::new();
    let mut session = wallet.session();
    session.assume();
    assert_eq!(session.encryption(), Ok(None));
    assert!(session.info().unwrap().can(Method::LookupInvoice));
    session.learn(Encryption::Nip04);
    assert_eq!(session.encryption(), Ok(Some(Encryption::Nip04)));
    assert!(matches!(hear(&mut session, &wallet.info("nip44_v2", 1)), Heard::Info));
    assert_eq!(session.encryption(), Ok(Some(Encryption::Nip44)));
}

#[test]
fn a_wallet_that_never_answers_may_not_read_what_its_info_names() {
    let wallet = Wallet::new();
    let mut session = wallet.session();
    hear(&mut session, &wallet.info("nip04", NOW));
    session.doubt();
    assert_eq!(session.encryption(), Ok(None));
    let id = session.request(Method::LookupInvoice, &json!({}), Encryption::Nip44, NOW).unwrap().id;
    hear(&mut session, &wallet.response(id, FOUND, []));
    assert_eq!(session.encryption(), Ok(Some(Encryption::Nip44)));
}

#[test]
fn a_notification_without_our_key_is_heard_if_it_is_for_us() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    let text = json!({ "notification_type": "payment_received",
        "notification": { "payment_hash": "03".repeat(32), "settled_at": NOW } });
    let of = |client: &Keys| {
        let sealed = nip44::encrypt(
            wallet.keys.secret_key(),
            &client.public_key(),
            text.to_string(),
            nip44::Version::V2,
        );
        EventBuilder::new(Kind::WalletConnectNotificationNip44V2, sealed.unwrap())
            .finalize(&wallet.keys)
            .unwrap()
    };
    assert!(matches!(hear(&mut session, &of(&wallet.client)), Heard::Settled(_)));
    assert!(is_nothing(&hear(&mut session, &of(&Keys::generate()))));
}

#[test]
fn a_relay_reached_again_is_told_everything() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    let quiet = session.greeting(NOW);
    assert_eq!(quiet.len(), 3);
    let ours: Value = serde_json::from_str(&quiet[1]).unwrap();
    assert_eq!(ours[2]["since"], NOW - SKEW_S);
    assert_eq!(ours[2]["#p"], json!([wallet.client.public_key().to_hex()]));
    let told: Value = serde_json::from_str(&quiet[2]).unwrap();
    assert_eq!((&told[2]["#p"], &told[2]["since"]), (&json!(null), &json!(NOW - SKEW_S)));
    let asked = session.request(Method::GetInfo, &json!({}), Encryption::Nip44, NOW).unwrap();
    let busy = session.greeting(NOW);
    assert_eq!(busy[3..], asked.frames, "the subscription comes before the request");
}

#[test]
fn what_relays_say_of_themselves() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    let id = ask(&mut session);
    let mut say = |text: Value| session.hear(&text.to_string(), URL, NOW);
    let rejected = say(json!(["OK", id.to_hex(), false, "blocked: no"]));
    assert!(matches!(rejected, Heard::Rejected(of, reason) if of == id && reason == "blocked: no"));
    assert!(is_nothing(&say(json!(["OK", id.to_hex(), true, ""]))));
    assert!(is_nothing(&say(json!(["OK", id.to_hex(), false, "duplicate: have it"]))));
    assert!(is_nothing(&say(json!(["OK", "00".repeat(32), false, "blocked: not ours"]))));
    assert!(matches!(say(json!(["OK", id.to_hex(), false, "auth-required: who?"])), Heard::Asked(_)));
    assert!(matches!(say(json!(["CLOSED", "info", "auth-required: who?"])), Heard::Asked(_)));
    assert!(matches!(say(json!(["EOSE", "info"])), Heard::EndOfInfo));
    assert!(is_nothing(&say(json!(["EOSE", "ours"]))));
    assert!(matches!(say(json!(["CLOSED", "ours", "error: no"])), Heard::Closed(Subscription::Ours, _)));
    assert!(is_nothing(&say(json!(["CLOSED", "another", "error: no"]))));
    for text in [json!(["NOTICE", "hello"]), json!([]), json!({}), json!(["EVENT", "ours", {}])] {
        assert!(is_nothing(&say(text)));
    }
    assert!(is_nothing(&session.hear("not JSON", URL, NOW)));
}

/// NIP-42: the relay is told who we are, and everything that it refused before.
#[test]
fn a_relay_that_asks_who_we_are_is_told() {
    let wallet = Wallet::new();
    let mut session = wallet.informed();
    let id = ask(&mut session);
    let Heard::Reply(frames) = session.hear(r#"["AUTH","prove it"]"#, URL, NOW) else { panic!("a reply") };
    let first: Value = serde_json::from_str(&frames[0]).unwrap();
    let event = Event::from_json(first[1].to_string()).unwrap();
    assert!(first[0] == "AUTH" && event.verify().is_ok() && event.kind.as_u16() == 22242);
    assert_eq!(event.pubkey, wallet.client.public_key());
    for tag in [["relay", URL], ["challenge", "prove it"]] {
        assert!(event.tags.iter().any(|found| found.as_slice() == tag));
    }
    assert!(frames[1..].iter().any(|frame| frame.starts_with(r#"["EVENT""#) && frame.contains(&id.to_hex())));
    let denied = json!(["OK", event.id.to_hex(), false, "restricted: members only"]).to_string();
    assert!(
        matches!(session.hear(&denied, URL, NOW), Heard::Denied(reason) if reason == "restricted: members only")
    );
}

#[test]
fn debug_shows_no_secret() {
    let wallet = Wallet::new();
    let secret = wallet.client.secret_key().to_secret_bytes();
    let account = Account::new(wallet.keys.public_key().as_bytes(), &secret).unwrap();
    let shown = format!("{account:?}");
    assert!(!shown.contains(&wallet.client.secret_key().to_secret_hex()), "{shown}");
    assert!(shown.contains(&wallet.client.public_key().to_hex()), "{shown}");
    let error = Account::new(wallet.keys.public_key().as_bytes(), &[0; 32]).unwrap_err();
    assert!(!error.contains("00"), "{error}");
}
