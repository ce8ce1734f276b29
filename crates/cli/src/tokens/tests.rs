//! The token store: what parallel runs and crashes must not lose.

use std::os::unix::fs::PermissionsExt;

use super::*;

const NOW: u64 = 1_800_000_000;

fn place(path: &str) -> Place {
    Place::of(&format!("http://shop.test{path}").parse().unwrap(), "GET")
}

fn entry(path: &str, hash: &str) -> Entry {
    Entry::new(Scope::exact(&place(path)), "AgEB", "lnbcrt1", hash, 1000)
}

fn store() -> (tempfile::TempDir, Tokens) {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::open(&dir.path().join("deep/tokens.json")).unwrap();
    (dir, tokens)
}

#[test]
fn keeps_what_was_put_and_finds_the_newest_first() {
    let (_dir, tokens) = store();
    tokens.put(&entry("/a", "01"), NOW).unwrap();
    tokens.put(&entry("/b", "02"), NOW).unwrap();
    tokens.put(&entry("/a", "03"), NOW).unwrap();
    let found = tokens.candidates(&place("/a?page=2"), None).unwrap();
    assert_eq!(found.iter().map(|entry| entry.payment_hash.as_str()).collect::<Vec<_>>(), ["03", "01"]);
    tokens.drop_entry("03").unwrap();
    assert_eq!(tokens.candidates(&place("/a"), None).unwrap().len(), 1);
    assert!(tokens.candidates(&place("/c"), None).unwrap().is_empty());
}

#[test]
fn the_file_and_its_directory_are_private() {
    let (dir, tokens) = store();
    tokens.put(&entry("/a", "01"), NOW).unwrap();
    let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("deep/tokens.json"), 0o600);
    assert_eq!(mode("deep"), 0o700);
}

#[test]
fn parallel_runs_lose_nothing() {
    let (_dir, tokens) = store();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let tokens = &tokens;
            scope.spawn(move || {
                for step in 0..10 {
                    tokens.put(&entry("/a", &format!("{writer}-{step}")), NOW).unwrap();
                }
            });
        }
    });
    assert_eq!(tokens.candidates(&place("/a"), None).unwrap().len(), 40);
}

#[test]
fn what_another_run_is_buying_is_left_alone_until_that_run_ends() {
    let (_dir, tokens) = store();
    let claim = tokens.claim("01").unwrap().unwrap();
    tokens.put(&entry("/a", "01"), NOW).unwrap();
    assert!(tokens.candidates(&place("/a"), None).unwrap().is_empty());
    assert!(tokens.claim("01").unwrap().is_none());
    drop(claim);
    assert_eq!(tokens.candidates(&place("/a"), None).unwrap().len(), 1);
    assert!(tokens.claim("01").unwrap().is_some());
}

#[test]
fn a_damaged_or_newer_file_is_left_alone() {
    let (dir, tokens) = store();
    let path = dir.path().join("deep/tokens.json");
    for text in ["{\"version\":1,\"tokens\":[{\"token\":\"s3cret", "{\"version\":2,\"tokens\":[]}", ""] {
        std::fs::write(&path, text).unwrap();
        let failure = tokens.put(&entry("/a", "01"), NOW).unwrap_err();
        assert_eq!(failure.kind, Kind::Local);
        assert!(!failure.to_string().contains("s3cret"), "{failure}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_token_for_several_paths_is_remembered_where_it_served() {
    let (_dir, tokens) = store();
    let scope = Scope::named(&place("/a"), "realm=gold");
    let gold = Entry::new(scope.clone(), "AgEB", "lnbcrt1", "01", 1000);
    tokens.put(&gold, NOW).unwrap();
    assert_eq!(tokens.candidates(&place("/a"), None).unwrap().len(), 1);
    assert!(tokens.candidates(&place("/b"), None).unwrap().is_empty(), "not known to be of the realm");
    assert_eq!(tokens.candidates(&place("/b"), Some(&scope)).unwrap().len(), 1, "a challenge named it");
    tokens.served(&gold, &place("/b")).unwrap();
    assert_eq!(tokens.candidates(&place("/b"), None).unwrap().len(), 1);
}

#[test]
fn a_token_that_serves_once_is_spent_by_it() {
    let (_dir, tokens) = store();
    let mut once = entry("/a", "01");
    once.once = true;
    tokens.put(&once, NOW).unwrap();
    tokens.served(&once, &place("/a")).unwrap();
    assert!(tokens.get("01").unwrap().is_none());
}

#[test]
fn tokens_long_expired_are_forgotten() {
    let (_dir, tokens) = store();
    let mut old = entry("/a", "01");
    old.valid_until = Some(NOW - KEEP_EXPIRED);
    tokens.put(&old, NOW - KEEP_EXPIRED).unwrap();
    tokens.put(&entry("/b", "02"), NOW).unwrap();
    assert!(tokens.candidates(&place("/a"), None).unwrap().is_empty());
}

#[test]
fn debug_shows_no_credential() {
    let mut paid = entry("/a", "01");
    paid.settle(&Preimage::from_hex(&"7a".repeat(32)).unwrap());
    let shown = format!("{paid:?}");
    assert!(!shown.contains("7a7a") && !shown.contains("AgEB"), "{shown}");
    assert_eq!(paid.authorization(false), format!("L402 AgEB:{}", "7a".repeat(32)));
    assert_eq!(paid.authorization(true), "L402 AgEB");
}
