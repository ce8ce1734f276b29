//! Caveats, one a line: a token allows what each of its caveats allows, and appending never widens it.
#![no_main]

use l402::macaroon::MAX_CAVEATS;
use l402::{
    Caveat, CaveatError, Caveats, Identifier, Macaroon, Msat, Names, PaymentHash, RootKey, TokenId, Uses,
};
use l402_fuzz::caveats::{Asked, allow, uses};
use l402_fuzz::percent_decoded;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|lines: &[u8]| {
    let caveats: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').take(MAX_CAVEATS).collect();
    let mut holder = token();
    let mut before: Option<Caveats> = None;
    let mut refused = false;
    for appended in 1..=caveats.len() {
        holder.add(Caveat::FirstParty(caveats[appended - 1].to_vec()));
        match Caveats::read(&holder) {
            Ok(read) => {
                assert!(!refused, "a refused token was mended by appending to it");
                let texts = holder.first_party_texts();
                assert_eq!(texts.len(), appended, "a caveat that isn't text was read");
                check(&texts, &read, before.as_ref());
                before = Some(read);
            }
            Err(error) => {
                l402_fuzz::assert_plain(&error.to_string());
                // What is only incomplete is no token yet: its minter goes on.
                refused = before.is_some() || error != CaveatError::NotOurs;
            }
        }
    }
});

fn token() -> Macaroon {
    let identifier = Identifier::new(PaymentHash([1; 32]), TokenId([2; 32]));
    Macaroon::mint::<&str>(&RootKey::from_bytes([3; 32]), &identifier, "l402", [])
}

fn check(texts: &[&str], read: &Caveats, before: Option<&Caveats>) {
    assert_eq!(read.uses, uses(texts));
    if let Some(before) = before {
        let within = match (read.uses, before.uses) {
            (_, Uses::Unlimited) => true,
            (Uses::Limited(now), Uses::Limited(then)) => now <= then,
            (Uses::Unlimited, Uses::Limited(_)) => false,
        };
        assert!(within && read.sold_as == before.sold_as);
    }

    // Requests for what the first caveats of their kind say, and for what the last say.
    for last in [false, true] {
        requests(texts, read, before, last);
    }
}

fn requests(texts: &[&str], read: &Caveats, before: Option<&Caveats>, last: bool) {
    let value = |key: &str| {
        let mut all = texts.iter().filter_map(|text| percent_decoded(text.strip_prefix(key)?));
        if last { all.next_back() } else { all.next() }
    };
    let text = |key: &str| value(key).and_then(|value| String::from_utf8(value).ok()).unwrap_or_default();
    let (origin, realm, method) = (text("origin="), text("realm="), text("method="));
    let (name, port) = match origin.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => (name.to_owned(), port.parse().ok()),
        _ => (origin, None),
    };
    let name: String = name.chars().take(40).collect();
    let names: Names = [b"other.example".as_slice(), name.as_bytes()].map(Box::from).into();
    let short = |key: &str| value(key).filter(|path| path.len() <= 100);
    let (path, route) = (short("path=").unwrap_or_default(), short("route="));
    let (until, amount) = (read.valid_until.unwrap_or(7), read.amount.map_or(7, |amount| amount.0));
    let exact = Asked {
        name: &name,
        names: None,
        port,
        realm: None,
        path: &path,
        method: &method,
        route: route.as_deref(),
        now: until,
        price: amount,
    };
    for realm in [None, Some((realm.as_str(), false)), Some((realm.as_str(), true)), Some(("other", true))] {
        let exact = Asked { realm, ..exact };
        let requests = [
            exact,
            Asked { name: "other.example", ..exact },
            Asked { name: "other.example", names: Some(&names), ..exact },
            Asked { port: Some(8443), ..exact },
            Asked { port: None, ..exact },
            Asked { route: Some(b"/other"), ..exact },
            Asked { route: None, ..exact },
            Asked { path: b"/other", ..exact },
            Asked { method: "OTHER", ..exact },
            Asked { now: until.saturating_add(1), ..exact },
            Asked { price: amount.saturating_add(1), ..exact },
        ];
        for asked in requests {
            let allowed = allows(read, &asked);
            assert_eq!(allowed, allow(texts, &asked), "{asked:?} with {texts:?}");
            assert!(
                !allowed || before.is_none_or(|before| allows(before, &asked)),
                "{asked:?} with {texts:?}"
            );
        }
    }
}

fn allows(caveats: &Caveats, asked: &Asked<'_>) -> bool {
    caveats.covers(&asked.place(), asked.scope()).is_ok()
        && !caveats.is_expired(asked.now)
        && caveats.affords(Msat(asked.price))
}
