//! The SQLite store: the conformance suite, two handles, kill and reopen, pruning, the model.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use store::{Claim, Claimed, Model, Notes, OpenError, Options, Settled, SqliteStore, Store, conformance};
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::JoinSet};

fn id(n: u32) -> [u8; 16] {
    u128::from(n).to_le_bytes()
}

fn single_use(payment: u8, request: u32) -> Claim {
    Claim { payment_hash: [payment; 32], request: id(request), limit: 1, units: 1 }
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_conformance_suite() {
    let dir = TempDir::new().unwrap();
    let files = AtomicU32::new(0);
    conformance::check(|| async {
        let name = format!("{}.db", files.fetch_add(1, Ordering::Relaxed));
        Arc::new(SqliteStore::open(&dir.path().join(name)).unwrap()) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn notes_are_kept_over_a_reopening() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("l402.db");
    conformance::check_notes(&SqliteStore::open(&path).unwrap()).await;
    conformance::check_notes(&Model::new()).await;
    let again = SqliteStore::open(&path).unwrap();
    assert!(again.note_get([1; 32]).await.unwrap().is_some_and(|note| note.starts_with("one")));
}

/// A database as the first version made it gets what is new, and keeps what it has.
#[tokio::test]
async fn a_database_of_the_first_version_is_brought_up_to_date() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("l402.db");
    let settled = Settled { preimage: None, received_msat: 7, at: 1 };
    SqliteStore::open(&path).unwrap().settled_put([1; 32], settled.clone()).await.unwrap();
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE note; PRAGMA user_version = 1").unwrap();
    drop(old);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.settled_get([1; 32]).await.unwrap(), Some(settled));
    conformance::check_notes(&store).await;
}

#[tokio::test]
async fn the_model_passes_too() {
    conformance::check(|| async { Arc::new(Model::new()) as Arc<dyn Store> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_handles_on_one_file_grant_one_of_200_copies() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("l402.db");
    let handles: Vec<_> = (0..2).map(|_| Arc::new(SqliteStore::open(&path).unwrap())).collect();
    for payment in 0..5 {
        let mut copies = JoinSet::new();
        for n in 0..200 {
            let store = handles[n as usize % 2].clone();
            copies
                .spawn(async move { store.claim(single_use(payment, 1000 * u32::from(payment) + n)).await });
        }
        let answers = copies.join_all().await;
        let granted = answers.iter().filter(|a| matches!(a, Ok(Claimed::Granted { remaining: 0 }))).count();
        assert_eq!(granted, 1);
        assert_eq!(answers.iter().filter(|a| matches!(a, Ok(Claimed::UsedUp))).count(), 199);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_may_create_the_file_at_once() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("l402.db");
    let mut openers = JoinSet::new();
    for n in 0..8 {
        let path = path.clone();
        openers.spawn_blocking(move || (n, SqliteStore::open(&path).unwrap()));
    }
    for (n, store) in openers.join_all().await {
        let claimed = store.claim(single_use(n, u32::from(n))).await.unwrap();
        assert_eq!(claimed, Claimed::Granted { remaining: 0 });
    }
}

/// Not a test by itself: the process that the next one kills. Claims until it is killed, and says so.
#[test]
fn child_that_claims() {
    let Some(path) = std::env::var_os("STORE_TEST_CHILD") else { return };
    let store = SqliteStore::open(Path::new(&path)).unwrap();
    let runtime = Runtime::new().unwrap();
    for n in 0.. {
        let mut claim = single_use(0, n);
        claim.payment_hash[..4].copy_from_slice(&n.to_le_bytes());
        assert_eq!(runtime.block_on(store.claim(claim)), Ok(Claimed::Granted { remaining: 0 }));
        // stderr: the test runner does not write on it by itself.
        writeln!(std::io::stderr(), "granted {n}").unwrap();
    }
}

#[tokio::test]
async fn what_was_granted_before_a_kill_is_there_after() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("l402.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_claims", "--nocapture"])
        .env("STORE_TEST_CHILD", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for n in 0..50 {
        assert_eq!(lines.next().unwrap().unwrap(), format!("granted {n}"));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had said before it died, beyond the first 50.
    let granted = 50 + lines.map_while(Result::ok).filter(|line| line.starts_with("granted")).count() as u32;

    let store = SqliteStore::open(&path).unwrap();
    for n in 0..granted {
        let mut claim = single_use(0, n);
        claim.payment_hash[..4].copy_from_slice(&n.to_le_bytes());
        let copy = Claim { request: id(1_000_000 + n), ..claim };
        assert_eq!(store.claim(copy).await, Ok(Claimed::UsedUp), "claim {n}");
        assert_eq!(store.claim(claim).await, Ok(Claimed::Granted { remaining: 0 }), "resend {n}");
    }
}

#[tokio::test]
async fn a_reopened_store_remembers() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("l402.db");
    let settled = Settled { preimage: Some([7; 32]), received_msat: 10_000, at: 5 };
    let store = SqliteStore::open(&path).unwrap();
    store.claim(single_use(1, 1)).await.unwrap();
    store.settled_put([1; 32], settled.clone()).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.claim(single_use(1, 2)).await, Ok(Claimed::UsedUp));
    assert_eq!(store.settled_get([1; 32]).await, Ok(Some(settled)));
    assert_eq!(store.release([1; 32], id(1)).await, Ok(true));
    assert_eq!(store.claim(single_use(1, 3)).await, Ok(Claimed::Granted { remaining: 0 }));
}

#[tokio::test]
async fn old_request_ids_are_forgotten_and_never_what_they_drew() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("l402.db");
    let store = SqliteStore::open(&path).unwrap();
    store.claim(single_use(1, 1)).await.unwrap();
    drop(store);
    // As if an hour had passed.
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute("UPDATE request SET at = at - 3601", []).unwrap();
    drop(raw);
    let store = SqliteStore::open(&path).unwrap();
    store.claim(single_use(2, 2)).await.unwrap();
    assert_eq!(store.release([1; 32], id(1)).await, Ok(false), "forgotten");
    assert_eq!(store.release([2; 32], id(2)).await, Ok(true), "remembered");
    assert_eq!(store.claim(single_use(1, 3)).await, Ok(Claimed::UsedUp), "the draw stands");
}

#[tokio::test]
async fn a_locked_file_is_an_error_and_grants_nothing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("l402.db");
    let options = Options { busy_timeout: Duration::from_millis(20), ..Options::default() };
    let store = SqliteStore::open_with(&path, options).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.claim(single_use(1, 1)).await.unwrap_err();
    assert!(error.to_string().contains("locked"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.claim(single_use(1, 1)).await, Ok(Claimed::Granted { remaining: 0 }));
}

#[test]
fn files_are_private() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("l402.db");
    std::fs::write(&path, b"").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _store = SqliteStore::open(&path).unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap()).collect();
    assert_eq!(files.len(), 3, "the database, its log and its index");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}

#[test]
fn opening_says_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    let open = |path: &Path| SqliteStore::open(path).err().unwrap();
    let missing = open(&dir.path().join("no/l402.db"));
    assert!(matches!(missing, OpenError::NoDirectory { .. }) && missing.to_string().contains("create it"));

    let foreign = dir.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(open(&foreign), OpenError::Foreign { .. }));

    let newer = dir.path().join("newer.db");
    drop(SqliteStore::open(&newer).unwrap());
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(open(&newer), OpenError::Newer { found: 99, .. }));

    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, [0x55; 4096]).unwrap();
    assert!(matches!(open(&garbage), OpenError::Sqlite { .. }));
}

#[derive(Clone, Debug)]
enum Act {
    Claim(Claim),
    Release(u32),
    Reopen,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let claim = (0..3_u8, 0..30_u32, 0..6_u32, 1..3_u32).prop_map(|(payment, request, limit, units)| {
        Act::Claim(Claim { payment_hash: [payment; 32], request: id(request), limit, units })
    });
    let act = prop_oneof![6 => claim, 3 => (0..30_u32).prop_map(Act::Release), 1 => Just(Act::Reopen)];
    prop::collection::vec(act, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is claimed, resent and released in whatever order, over reopenings: as the model says.
    #[test]
    fn counts_as_the_model_does(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("l402.db");
        let model = Model::new();
        let mut store = Some(SqliteStore::open(&path).unwrap());
        for act in acts {
            let opened = store.get_or_insert_with(|| SqliteStore::open(&path).unwrap());
            match act {
                Act::Claim(claim) => {
                    let (ours, theirs) = (runtime.block_on(opened.claim(claim)), runtime.block_on(model.claim(claim)));
                    prop_assert_eq!(ours, theirs);
                }
                Act::Release(n) => {
                    let (ours, theirs) = (runtime.block_on(opened.release([0; 32], id(n))), runtime.block_on(model.release([0; 32], id(n))));
                    prop_assert_eq!(ours, theirs);
                }
                Act::Reopen => drop(store.take()),
            }
        }
    }
}
