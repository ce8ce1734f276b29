//! How ecash is configured, and what goes wrong with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::with;
use crate::harness::site::Site;
use crate::harness::stage::Stage;

const KEY: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// Where no ecash is taken, it is as if none were sent.
pub fn off(stage: &Stage) {
    let nginx = stage.paid_site("");
    let asked = nginx.send(&with("cashuBo2F0"));
    asked.challenge();
    assert_eq!(asked.header("X-Cashu"), None);
}

#[track_caller]
fn refused(site: &Site<'_>, words: &[&str]) {
    let said = site.check();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success(), "accepted, where {words:?} was expected: {text}");
    let found =
        text.lines().any(|line| line.contains("[emerg]") && words.iter().all(|word| line.contains(word)));
    assert!(found, "no line with all of {words:?} in: {text}");
    assert!(!text.contains(KEY) && !text.contains("abandon"), "a secret is shown: {text}");
}

pub fn mistakes(stage: &Stage) {
    let site = || stage.site().env("CASHU_ECASH_SUPPORT", "on").paid("");
    refused(&site(), &["CASHU_WHITELISTED_MINTS", "is missing", "CASHU_ECASH_SUPPORT"]);
    let with_mint = || site().env("CASHU_WHITELISTED_MINTS", "https://mint.example.com");
    refused(
        &with_mint().env("CASHU_P2PK_MODE", "on"),
        &["CASHU_P2PK_PRIVATE_KEY", "is missing", "CASHU_P2PK_MODE"],
    );
    let bad_key = with_mint().env("CASHU_P2PK_MODE", "on").env("CASHU_P2PK_PRIVATE_KEY", &KEY[1..]);
    refused(&bad_key, &["CASHU_P2PK_PRIVATE_KEY", "32 bytes in hex"]);
    refused(
        &site().env("CASHU_WHITELISTED_MINTS", "mint.example.com"),
        &["CASHU_WHITELISTED_MINTS", "https://"],
    );
    refused(&with_mint().env("CASHU_P2PK_MODE", "maybe"), &["CASHU_P2PK_MODE \"maybe\"", "on or off"]);
    refused(&with_mint().env("CASHU_DB_PATH", "cashu.db"), &["CASHU_DB_PATH", "an absolute path"]);
    refused(&with_mint().env("CASHU_REQUEST_FORMAT", "creqC"), &["CASHU_REQUEST_FORMAT", "creqA or creqB"]);
    refused(
        &with_mint().env("CASHU_WALLET_MNEMONIC", "abandon abandon"),
        &["CASHU_WALLET_MNEMONIC", "12, 15"],
    );
    for (name, wrong, expected) in [
        ("CASHU_REDEEM_ON_LIGHTNING", "maybe", "on or off"),
        ("CASHU_REDEMPTION_INTERVAL_SECS", "0", "seconds from 1"),
        ("CASHU_MELT_MIN_BALANCE_SATS", "-1", "satoshi"),
        ("CASHU_MELT_FEE_RESERVE_PERCENT", "51", "from 0 to 50"),
        ("CASHU_MELT_MIN_FEE_RESERVE_SATS", "few", "satoshi"),
        ("CASHU_MAX_PROOFS_PER_MELT", "1001", "0 means as many as the mint takes"),
        ("CASHU_MAX_HELD_SATS", "some", "satoshi"),
        ("L402_CASHU_TOKEN_TTL_SECONDS", "1d", "0 means for ever"),
    ] {
        refused(&with_mint().env(name, wrong), &[name, expected]);
    }
    let file = stage.dir().join("mnemonic");
    fs::write(&file, WORDS).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let path = file.to_str().unwrap();
    let in_file = || with_mint().env("CASHU_WALLET_MNEMONIC_FILE", path);
    refused(&in_file(), &["CASHU_WALLET_MNEMONIC_FILE", "every user may read"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    refused(&in_file().env("CASHU_WALLET_MNEMONIC", WORDS), &["is set together with CASHU_WALLET_MNEMONIC"]);

    // All is well, and prices that ecash can't pay exactly are named.
    let odd = in_file().env("CASHU_P2PK_MODE", "on").env("CASHU_P2PK_PRIVATE_KEY", KEY);
    let odd = odd.server("location /other/ { l402 on; l402_amount_msat_default 1500; }");
    let said = odd.check();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{text}");
    let warnings: Vec<&str> = text.lines().filter(|line| line.contains("[warn]")).collect();
    assert_eq!(warnings.len(), 1, "{text}");
    assert!(warnings[0].contains("1500 msat") && warnings[0].contains("2000"), "{text}");
}
