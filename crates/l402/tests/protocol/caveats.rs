//! Caveats: the order we write, what a holder may append, what refuses a token.

use l402::caveat::{Key, MAX_PATH, SoldAs, encode_value};
use l402::{CaveatError, Caveats, Msat, PreimageError, Scope, Terms, Uses};
use proptest::prelude::*;

use super::{mint, preimage};

const PATH: Scope<'static> = Scope::Request { path: b"/a b", method: "GET" };
const REALM: Scope<'static> = Scope::Realm { name: "gold", shared: false };
const SHARED: Scope<'static> = Scope::Realm { name: "gold", shared: true };

fn terms(scope: Scope<'_>) -> Terms<'_> {
    Terms {
        server: "example.com",
        scope,
        valid_until: Some(100),
        uses: Uses::Limited(5),
        amount: Some(Msat(1000)),
    }
}

/// A token on these terms, with caveats appended.
fn read(terms: Terms<'_>, appended: &[&str]) -> Result<Caveats, CaveatError> {
    let minted = terms.caveats();
    let all: Vec<&str> = minted.iter().map(String::as_str).chain(appended.iter().copied()).collect();
    Caveats::read(&mint(&all))
}

fn covers(caveats: &Caveats, server: &str, scope: Scope<'_>) -> Result<(), CaveatError> {
    caveats.covers(server, scope, b"/a b", "GET")
}

#[test]
fn minted_caveats_in_their_order() {
    assert_eq!(
        terms(PATH).caveats(),
        ["server=example.com", "path=/a%20b", "method=GET", "valid_until=100", "uses=5", "amount_msat=1000"]
    );
    assert_eq!(
        terms(REALM).caveats(),
        ["server=example.com", "realm=gold", "valid_until=100", "uses=5", "amount_msat=1000"]
    );
    assert_eq!(terms(SHARED).caveats(), ["realm=gold", "valid_until=100", "uses=5", "amount_msat=1000"]);
    let least = Terms { valid_until: None, amount: None, uses: Uses::Unlimited, ..terms(PATH) };
    assert_eq!(least.caveats(), ["server=example.com", "path=/a%20b", "method=GET", "uses=unlimited"]);
    let one = Terms { uses: Uses::Limited(1), ..least };
    assert_eq!(one.caveats().last().unwrap(), "uses=1");
}

#[test]
fn minted_caveats_are_read_back() {
    let caveats = read(terms(PATH), &[]).unwrap();
    assert_eq!(caveats.sold_as, SoldAs::Request);
    assert_eq!(caveats.valid_until, Some(100));
    assert_eq!(caveats.issued_valid_until, Some(100));
    assert_eq!(caveats.uses, Uses::Limited(5));
    assert_eq!(caveats.amount, Some(Msat(1000)));
    assert_eq!(covers(&caveats, "example.com", PATH), Ok(()));
    assert_eq!(covers(&read(terms(REALM), &[]).unwrap(), "example.com", REALM), Ok(()));
    assert_eq!(covers(&read(terms(SHARED), &[]).unwrap(), "any.example", SHARED), Ok(()));
}

#[test]
fn a_holder_may_narrow() {
    let pre = format!("preimage={}", preimage().expose_hex().to_uppercase());
    let appended =
        ["valid_until=50", "uses=2", "amount_msat=900", "path=/a%20b", "server=example.com", &pre, &pre];
    let caveats = read(terms(PATH), &appended).unwrap();
    assert_eq!(caveats.valid_until, Some(50));
    assert_eq!(caveats.issued_valid_until, Some(100));
    assert_eq!(caveats.uses, Uses::Limited(2));
    assert_eq!(caveats.amount, Some(Msat(900)));
    assert_eq!(caveats.preimage, Some(preimage()));
    let unlimited = Terms { uses: Uses::Unlimited, valid_until: None, amount: None, ..terms(PATH) };
    let caveats = read(unlimited, &["uses=unlimited", "uses=3", "valid_until=7", "amount_msat=1"]).unwrap();
    assert_eq!(caveats.uses, Uses::Limited(3));
    assert_eq!((caveats.valid_until, caveats.issued_valid_until), (Some(7), None));
}

#[test]
fn a_realm_s_token_narrowed_to_a_request_serves_no_other() {
    let narrowed = read(terms(SHARED), &["server=b.example", "path=/x", "method=POST"]).unwrap();
    assert_eq!(narrowed.covers("b.example", SHARED, b"/x", "POST"), Ok(()));
    assert_eq!(narrowed.covers("a.example", SHARED, b"/x", "POST"), Err(CaveatError::Unmet(Key::Server)));
    assert_eq!(narrowed.covers("b.example", SHARED, b"/y", "POST"), Err(CaveatError::Unmet(Key::Path)));
    assert_eq!(narrowed.covers("b.example", SHARED, b"/x", "GET"), Err(CaveatError::Unmet(Key::Method)));
}

#[test]
fn wider_other_unknown_and_unreadable_caveats_refuse() {
    let contradiction = CaveatError::Contradiction;
    for (appended, error) in [
        ("valid_until=101", contradiction(Key::ValidUntil)),
        ("uses=6", contradiction(Key::Uses)),
        ("uses=unlimited", contradiction(Key::Uses)),
        ("amount_msat=1001", contradiction(Key::AmountMsat)),
        ("server=other.example", contradiction(Key::Server)),
        ("path=/b", contradiction(Key::Path)),
        ("path=/a b", contradiction(Key::Path)),
        ("method=POST", contradiction(Key::Method)),
        ("realm=gold", contradiction(Key::Realm)),
        ("uses=0", CaveatError::BadValue(Key::Uses)),
        ("uses=4294967296", CaveatError::BadValue(Key::Uses)),
        ("uses=", CaveatError::BadValue(Key::Uses)),
        ("uses=+1", CaveatError::BadValue(Key::Uses)),
        ("uses=Unlimited", CaveatError::BadValue(Key::Uses)),
        ("valid_until=-1", CaveatError::BadValue(Key::ValidUntil)),
        ("valid_until=050", CaveatError::BadValue(Key::ValidUntil)),
        ("valid_until=18446744073709551616", CaveatError::BadValue(Key::ValidUntil)),
        ("amount_msat=1e3", CaveatError::BadValue(Key::AmountMsat)),
        ("preimage=00", CaveatError::Preimage(PreimageError::WrongLength { bytes: 1 })),
        ("services=svc:0", CaveatError::Unknown),
        ("valid_until", CaveatError::Unknown),
        ("valid_until =50", CaveatError::Unknown),
        ("Valid_until=50", CaveatError::Unknown),
        ("", CaveatError::Unknown),
        ("=", CaveatError::Unknown),
    ] {
        assert_eq!(read(terms(PATH), &[appended]), Err(error), "{appended}");
    }
    let two = [format!("preimage={}", "00".repeat(32)), format!("preimage={}", "01".repeat(32))];
    assert_eq!(read(terms(PATH), &[&two[0], &two[1]]), Err(contradiction(Key::Preimage)));
}

#[test]
fn a_caveat_appended_twice_only_gets_narrower() {
    assert_eq!(
        read(terms(PATH), &["uses=2", "uses=3"]),
        Err(CaveatError::Contradiction(Key::Uses)),
        "wider than the one before, though within what was sold"
    );
}

#[test]
fn one_kind_of_token_can_not_be_made_another() {
    // A path's token is not a realm's, whatever is appended, nor the reverse, nor is a shared realm's a server's.
    let path = read(terms(PATH), &[]).unwrap();
    assert_eq!(covers(&path, "example.com", REALM), Err(CaveatError::Unmet(Key::Realm)));
    let realm = read(terms(REALM), &["path=/a%20b", "method=GET"]).unwrap();
    assert_eq!(covers(&realm, "example.com", PATH), Err(CaveatError::Unmet(Key::Realm)));
    let shared = read(terms(SHARED), &["server=example.com"]).unwrap();
    assert_eq!(covers(&shared, "example.com", REALM), Err(CaveatError::Unmet(Key::Server)));
    assert_eq!(covers(&shared, "example.com", SHARED), Ok(()));
    // A server's realm token is good at its own server once the realm is shared, and nowhere else.
    let own = read(terms(REALM), &[]).unwrap();
    assert_eq!(covers(&own, "example.com", SHARED), Ok(()));
    assert_eq!(covers(&own, "other.example", SHARED), Err(CaveatError::Unmet(Key::Server)));
    assert_eq!(
        covers(&own, "example.com", Scope::Realm { name: "silver", shared: false }),
        Err(CaveatError::Unmet(Key::Realm))
    );
}

#[test]
fn minted_caveats_out_of_order_or_missing_are_not_ours() {
    for caveats in [
        &[][..],
        &["uses=1"],
        &["server=a", "uses=1"],
        &["server=a", "path=/", "uses=1"],
        &["server=a", "method=GET", "path=/", "uses=1"],
        &["path=/", "method=GET", "uses=1"],
        &["path=/", "method=GET", "server=a", "uses=1"],
        &["realm=x", "server=a"],
        &["server=a", "path=/", "method=GET"],
        &["server=a", "path=/", "method=GET", "valid_until=5"],
        &["server=a", "path=/", "method=GET", "amount_msat=5", "uses=1"],
        &["server=a", "path=/", "method=GET", "realm=x", "uses=1"],
        &["preimage=00", "server=a", "path=/", "method=GET", "uses=1"],
    ] {
        assert_eq!(Caveats::read(&mint(caveats)), Err(CaveatError::NotOurs), "{caveats:?}");
    }
}

#[test]
fn good_in_the_last_second_and_not_in_the_next() {
    let caveats = read(terms(PATH), &[]).unwrap();
    assert!(!caveats.is_expired(0));
    assert!(!caveats.is_expired(100));
    assert!(caveats.is_expired(101));
    let forever = read(Terms { valid_until: None, ..terms(PATH) }, &[]).unwrap();
    assert!(!forever.is_expired(u64::MAX));
}

#[test]
fn a_price_up_to_the_one_paid() {
    let caveats = read(terms(PATH), &[]).unwrap();
    assert!(caveats.affords(Msat(1000)));
    assert!(!caveats.affords(Msat(1001)));
    assert!(read(Terms { amount: None, ..terms(PATH) }, &[]).unwrap().affords(Msat(u64::MAX)));
}

#[test]
fn long_paths_are_bound_by_their_hash() {
    let long = vec![b'/'; MAX_PATH + 1];
    let request = |path| Scope::Request { path, method: "GET" };
    let caveats = read(terms(request(&long)), &[]).unwrap();
    assert!(caveats.path.as_ref().unwrap().starts_with("sha256:"));
    assert_eq!(caveats.covers("example.com", request(&long), &long, "GET"), Ok(()));
    let other = vec![b'/'; MAX_PATH + 2];
    assert_eq!(
        caveats.covers("example.com", request(&other), &other, "GET"),
        Err(CaveatError::Unmet(Key::Path))
    );
    assert_eq!(read(terms(request(&long[1..])), &[]).unwrap().path.unwrap().len(), MAX_PATH);
}

#[test]
fn texts_name_our_keys_only() {
    assert_eq!(CaveatError::Unmet(Key::Path).to_string(), "the token is for another path");
    assert_eq!(
        CaveatError::Contradiction(Key::ValidUntil).to_string(),
        "the token's valid_until caveats contradict each other"
    );
}

proptest! {
    #[test]
    fn encoding_is_printable_and_one_to_one(a: Vec<u8>, b: Vec<u8>) {
        prop_assert!(encode_value(&a).bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
        prop_assert_eq!(encode_value(&a) == encode_value(&b), a == b);
    }

    #[test]
    fn whatever_is_appended_never_widens(appended in prop::collection::vec(
        ("(server|path|method|realm|valid_until|uses|amount_msat|preimage|other)", "=", "(example.com|/a%20b|GET|POST|gold|[0-9]{1,5}|unlimited|[ -~]{0,9})")
            .prop_map(|(key, equals, value)| format!("{key}{equals}{value}")), 0..4), kind in 0..3) {
        let scope = [PATH, REALM, SHARED][kind as usize];
        let appended: Vec<&str> = appended.iter().map(String::as_str).collect();
        if let Ok(caveats) = read(terms(scope), &appended) {
            let minted = read(terms(scope), &[]).unwrap();
            prop_assert_eq!(caveats.sold_as, minted.sold_as);
            prop_assert!(caveats.valid_until <= minted.valid_until);
            prop_assert!(caveats.amount <= minted.amount);
            prop_assert!(matches!(caveats.uses, Uses::Limited(1..=5)));
            for server in ["example.com", "other.example"] {
                for scope in [PATH, REALM, SHARED] {
                    for (path, method) in [(&b"/a b"[..], "GET"), (b"/b", "GET"), (b"/a b", "POST")] {
                        let narrow = caveats.covers(server, scope, path, method).is_ok();
                        prop_assert!(!narrow || minted.covers(server, scope, path, method).is_ok());
                    }
                }
            }
        }
    }

    #[test]
    fn any_caveat_is_read_or_refused(caveats in prop::collection::vec(any::<String>(), 0..6)) {
        let caveats: Vec<&str> = caveats.iter().map(String::as_str).collect();
        let _ = Caveats::read(&mint(&caveats));
    }
}
