//! Caveats: the order we write, what a holder may append, what refuses a token.

use l402::caveat::{Key, MAX_PATH, SoldAs, encode_value};
use l402::{CaveatError, Caveats, Msat, Names, Origin, Place, Scope, Terms, Uses};
use proptest::prelude::*;

use super::{mint, preimage};

const PATH: Scope<'static> = Scope::Request;
const REALM: Scope<'static> = Scope::Realm { name: "gold", shared: false };
const SHARED: Scope<'static> = Scope::Realm { name: "gold", shared: true };

fn shop(name: &str) -> Origin<'_> {
    Origin { name: name.as_bytes(), names: None, port: None }
}

/// `GET /a b`, at this shop.
fn at(name: &str) -> Place<'_> {
    Place { origin: shop(name), path: b"/a b", method: "GET", route: None }
}

fn terms(scope: Scope<'_>) -> Terms<'_> {
    Terms {
        place: at("example.com"),
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

fn covers(caveats: &Caveats, shop: &str, scope: Scope<'_>) -> Result<(), CaveatError> {
    caveats.covers(&at(shop), scope)
}

#[test]
fn minted_caveats_in_their_order() {
    assert_eq!(
        terms(PATH).caveats(),
        ["origin=example.com", "path=/a%20b", "method=GET", "valid_until=100", "uses=5", "amount_msat=1000"]
    );
    assert_eq!(
        terms(REALM).caveats(),
        ["origin=example.com", "realm=gold", "valid_until=100", "uses=5", "amount_msat=1000"]
    );
    assert_eq!(terms(SHARED).caveats(), ["realm=gold", "valid_until=100", "uses=5", "amount_msat=1000"]);
    let least = Terms { valid_until: None, amount: None, uses: Uses::Unlimited, ..terms(PATH) };
    assert_eq!(least.caveats(), ["origin=example.com", "path=/a%20b", "method=GET", "uses=unlimited"]);
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
        ["valid_until=50", "uses=2", "amount_msat=900", "path=/a%20b", "origin=example.com", &pre, &pre];
    let caveats = read(terms(PATH), &appended).unwrap();
    assert_eq!(caveats.valid_until, Some(50));
    assert_eq!(caveats.issued_valid_until, Some(100));
    assert_eq!(caveats.uses, Uses::Limited(2));
    assert_eq!(caveats.amount, Some(Msat(900)));
    let unlimited = Terms { uses: Uses::Unlimited, valid_until: None, amount: None, ..terms(PATH) };
    let caveats = read(unlimited, &["uses=unlimited", "uses=3", "valid_until=7", "amount_msat=1"]).unwrap();
    assert_eq!(caveats.uses, Uses::Limited(3));
    assert_eq!((caveats.valid_until, caveats.issued_valid_until), (Some(7), None));
}

#[test]
fn a_realm_s_token_narrowed_to_a_request_serves_no_other() {
    let appended = ["origin=b.example", "path=/x", "method=POST", "route=/r"];
    let narrowed = read(terms(SHARED), &appended).unwrap();
    let place = Place { origin: shop("b.example"), path: b"/x", method: "POST", route: Some(b"/r") };
    let unmet = |place| narrowed.covers(&place, SHARED);
    assert_eq!(unmet(place), Ok(()));
    assert_eq!(unmet(Place { origin: shop("a.example"), ..place }), Err(CaveatError::Unmet(Key::Origin)));
    assert_eq!(unmet(Place { path: b"/y", ..place }), Err(CaveatError::Unmet(Key::Path)));
    assert_eq!(unmet(Place { method: "GET", ..place }), Err(CaveatError::Unmet(Key::Method)));
    assert_eq!(unmet(Place { route: Some(b"/s"), ..place }), Err(CaveatError::Unmet(Key::Route)));
    assert_eq!(unmet(Place { route: None, ..place }), Err(CaveatError::Unmet(Key::Route)));
}

#[test]
fn wider_other_unknown_and_unreadable_caveats_refuse() {
    let contradiction = CaveatError::Contradiction;
    for (appended, error) in [
        ("valid_until=101", contradiction(Key::ValidUntil)),
        ("uses=6", contradiction(Key::Uses)),
        ("uses=unlimited", contradiction(Key::Uses)),
        ("amount_msat=1001", contradiction(Key::AmountMsat)),
        ("origin=other.example", contradiction(Key::Origin)),
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
        ("route=/r", contradiction(Key::Route)),
        ("services=svc:0", CaveatError::Unknown),
        ("valid_until", CaveatError::Unknown),
        ("valid_until =50", CaveatError::Unknown),
        ("Valid_until=50", CaveatError::Unknown),
        ("", CaveatError::Unknown),
        ("=", CaveatError::Unknown),
    ] {
        assert_eq!(read(terms(PATH), &[appended]), Err(error), "{appended}");
    }
}

#[test]
fn a_route_can_not_be_appended_to_a_token_of_a_path() {
    // Whatever else is appended, also right behind the minted caveats.
    let least = Terms { valid_until: None, amount: None, ..terms(PATH) };
    for appended in
        [&["route=/full"][..], &["route=/full", "amount_msat=9"], &["amount_msat=9", "route=/full"]]
    {
        assert_eq!(read(least, appended), Err(CaveatError::Contradiction(Key::Route)), "{appended:?}");
    }
}

#[test]
fn a_token_of_a_path_is_good_on_its_own_route_only() {
    let place = |route| Place { route, ..at("example.com") };
    let sold = |route| read(Terms { place: place(route), ..terms(PATH) }, &[]).unwrap();
    let routes: [Option<&[u8]>; 3] = [None, Some(b"/full/a"), Some(b"@dear")];
    for bought in routes {
        for asked in routes {
            let expected = if bought == asked { Ok(()) } else { Err(CaveatError::Unmet(Key::Route)) };
            assert_eq!(sold(bought).covers(&place(asked), PATH), expected, "{bought:?} {asked:?}");
        }
    }
    // What a realm sells is the same on every route.
    assert_eq!(read(terms(REALM), &[]).unwrap().covers(&place(Some(b"@dear")), REALM), Ok(()));
}

#[test]
fn an_origin_is_one_of_the_shops_names_and_its_port() {
    let names: Names = ["example.com", "www.example.com"].map(|name| Box::from(name.as_bytes())).into();
    let at = |name: &'static str, names, port| Place {
        origin: Origin { name: name.as_bytes(), names, port },
        ..at("example.com")
    };
    let minted = |place| read(Terms { place, ..terms(PATH) }, &[]).unwrap();
    let first = minted(at("example.com", Some(&names), Some(8443)));
    assert_eq!(first.origin.as_deref(), Some("example.com:8443"));
    // Another order of the names, or another first one.
    let second = minted(at("www.example.com", Some(&names), Some(8443)));
    for token in [&first, &second] {
        assert_eq!(token.covers(&at("example.com", Some(&names), Some(8443)), PATH), Ok(()));
    }
    let elsewhere = Err(CaveatError::Unmet(Key::Origin));
    for place in [
        at("example.com", Some(&names), None),
        at("example.com", Some(&names), Some(443)),
        at("example.com", Some(&names), Some(844)),
        at("other.example", None, Some(8443)),
        at("www.example.com", None, Some(8443)),
    ] {
        assert_eq!(first.covers(&place, PATH), elsewhere, "{place:?}");
    }
    let v6 = minted(at("[::1]", None, Some(81)));
    assert_eq!(v6.covers(&at("[::1]", None, Some(81)), PATH), Ok(()));
    assert_eq!(v6.covers(&at("[::1]:81", None, None), PATH), Ok(()), "the text is all that counts");
    assert_eq!(v6.covers(&at("[:", None, Some(1)), PATH), elsewhere);
    // Whatever port a token was minted with, it covers.
    let zero = at("example.com", None, Some(0));
    assert_eq!(minted(zero).covers(&zero, PATH), Ok(()));
}

#[test]
fn tokens_of_before_the_first_release_are_not_ours() {
    let former = ["server=example.com", "path=/a%20b", "method=GET", "uses=1"];
    assert_eq!(Caveats::read(&mint(&former)), Err(CaveatError::NotOurs));
    // Appended, it is a caveat like any other unknown one.
    assert_eq!(read(terms(PATH), &["server=example.com"]), Err(CaveatError::Unknown));
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
    let shared = read(terms(SHARED), &["origin=example.com"]).unwrap();
    assert_eq!(covers(&shared, "example.com", REALM), Err(CaveatError::Unmet(Key::Origin)));
    assert_eq!(covers(&shared, "example.com", SHARED), Ok(()));
    // A server's realm token is good at its own server once the realm is shared, and nowhere else.
    let own = read(terms(REALM), &[]).unwrap();
    assert_eq!(covers(&own, "example.com", SHARED), Ok(()));
    assert_eq!(covers(&own, "other.example", SHARED), Err(CaveatError::Unmet(Key::Origin)));
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
        &["origin=a", "uses=1"],
        &["origin=a", "path=/", "uses=1"],
        &["origin=a", "method=GET", "path=/", "uses=1"],
        &["path=/", "method=GET", "uses=1"],
        &["path=/", "method=GET", "origin=a", "uses=1"],
        &["realm=x", "origin=a"],
        &["origin=a", "path=/", "method=GET"],
        &["origin=a", "path=/", "method=GET", "valid_until=5"],
        &["origin=a", "path=/", "method=GET", "amount_msat=5", "uses=1"],
        &["origin=a", "path=/", "method=GET", "realm=x", "uses=1"],
        &["preimage=00", "origin=a", "path=/", "method=GET", "uses=1"],
        &["origin=a", "path=/", "route=/r", "method=GET", "uses=1"],
        &["origin=a", "realm=x", "route=/r", "uses=1"],
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
    fn to(path: &[u8]) -> Place<'_> {
        Place { path, ..at("example.com") }
    }
    let of = |path| read(Terms { place: to(path), ..terms(PATH) }, &[]).unwrap();
    let caveats = of(&long);
    assert!(caveats.path.as_ref().unwrap().starts_with("sha256:"));
    assert_eq!(caveats.covers(&to(&long), PATH), Ok(()));
    let other = vec![b'/'; MAX_PATH + 2];
    assert_eq!(caveats.covers(&to(&other), PATH), Err(CaveatError::Unmet(Key::Path)));
    assert_eq!(of(&long[1..]).path.unwrap().len(), MAX_PATH);
    let name = "n".repeat(MAX_PATH + 1);
    let caveats = read(Terms { place: at(&name), ..terms(PATH) }, &[]).unwrap();
    assert_eq!(caveats.origin.as_ref().unwrap().len(), "sha256:".len() + 64);
    assert_eq!(caveats.covers(&at(&name), PATH), Ok(()));
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
        ("(origin|path|method|realm|route|valid_until|uses|amount_msat|preimage|other)", "=", "(example.com|/a%20b|GET|POST|gold|[0-9]{1,5}|unlimited|[ -~]{0,9})")
            .prop_map(|(key, equals, value)| format!("{key}{equals}{value}")), 0..4), kind in 0..3) {
        let scope = [PATH, REALM, SHARED][kind as usize];
        let appended: Vec<&str> = appended.iter().map(String::as_str).collect();
        if let Ok(caveats) = read(terms(scope), &appended) {
            let minted = read(terms(scope), &[]).unwrap();
            prop_assert_eq!(caveats.sold_as, minted.sold_as);
            prop_assert!(caveats.valid_until <= minted.valid_until);
            prop_assert!(caveats.amount <= minted.amount);
            prop_assert!(matches!(caveats.uses, Uses::Limited(1..=5)));
            for name in ["example.com", "other.example"] {
                for scope in [PATH, REALM, SHARED] {
                    for (path, method) in [(&b"/a b"[..], "GET"), (b"/b", "GET"), (b"/a b", "POST")] {
                        for route in [None, Some(&b"/a b"[..])] {
                            let place = Place { path, method, route, ..at(name) };
                            let narrow = caveats.covers(&place, scope).is_ok();
                            prop_assert!(!narrow || minted.covers(&place, scope).is_ok());
                        }
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
