//! The pages under `docs/reference/` say what the records say.
#![allow(clippy::unwrap_used)]

use settings::{
    AGENT_TIMEOUT, BACKEND_TIMEOUT, BackendKind, LN_CLIENT_TYPE, MACAROON_TIMEOUT, MAX_USES, SETTINGS,
    STATE_DIR, VARIABLES,
};
use std::collections::HashSet;
use std::path::Path;

#[test]
fn reference_is_fresh() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for (name, text) in settings::reference::pages() {
        let path = directory.join(name);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "docs/reference/{name} is stale: run 'make docs'");
    }
}

#[test]
fn every_record_is_complete_and_no_name_is_used_twice() {
    let (mut keys, mut envs, mut directives) = (HashSet::new(), HashSet::new(), HashSet::new());
    for setting in SETTINGS.iter() {
        assert!(keys.insert(setting.key), "{}", setting.key);
        assert!(setting.env.is_none_or(|env| envs.insert(env)), "{}", setting.key);
        let directive = setting.directive.as_ref();
        assert!(directive.is_none_or(|directive| directives.insert(directive.name)), "{}", setting.key);
        assert!(!setting.doc.is_empty() && !setting.why.is_empty() && !setting.example.is_empty());
        assert!(
            directive.is_some() || setting.block_key.is_some() || setting.is_in_file(),
            "{}",
            setting.key
        );
        assert!(
            setting.env.is_none() || setting.block_key.is_some() || setting.is_in_file(),
            "{}",
            setting.key
        );
    }
    assert_eq!(VARIABLES.len(), 5);
    assert!(settings::NOT_READ_YET.iter().all(|name| !envs.contains(name)));
}

/// A key of a block means one thing in each kind of backend; every kind is named to the operator.
#[test]
fn every_kind_has_its_keys() {
    for kind in BackendKind::ALL {
        let mut keys = HashSet::from(["type", "timeout"]);
        for setting in kind.settings() {
            assert!(keys.insert(setting.block_key.unwrap()), "{}: {}", kind.name(), setting.key);
            assert!(SETTINGS.iter().any(|known| known.key == setting.key), "{}", setting.key);
        }
        assert!(LN_CLIENT_TYPE.kind.expected().contains(kind.name()), "{}", kind.name());
    }
}

/// The constants that code uses are the defaults that the pages show.
#[test]
fn defaults_are_what_the_pages_say() {
    assert_eq!(MACAROON_TIMEOUT.life(MACAROON_TIMEOUT.default), Ok(settings::DEFAULT_MACAROON_TIMEOUT_S));
    assert_eq!(MAX_USES.uses(MAX_USES.default), Ok(settings::DEFAULT_MAX_USES));
    assert_eq!(AGENT_TIMEOUT.timeout(AGENT_TIMEOUT.default), Ok(settings::DEFAULT_AGENT_TIMEOUT_MS));
    assert_eq!(BACKEND_TIMEOUT.timeout(BACKEND_TIMEOUT.default), Ok(settings::DEFAULT_BACKEND_TIMEOUT_MS));
    assert_eq!(STATE_DIR.state_dir(STATE_DIR.default.as_bytes()), Ok(settings::DEFAULT_STATE_DIR));
    let payout = [
        (&settings::CASHU_REDEMPTION_INTERVAL, settings::DEFAULT_REDEMPTION_INTERVAL_S),
        (&settings::CASHU_MELT_MIN_BALANCE, settings::DEFAULT_MELT_MIN_BALANCE_SAT),
        (&settings::CASHU_MELT_FEE_RESERVE_PERCENT, settings::DEFAULT_MELT_FEE_RESERVE_PERCENT),
        (&settings::CASHU_MELT_MIN_FEE_RESERVE, settings::DEFAULT_MELT_MIN_FEE_RESERVE_SAT),
        (&settings::CASHU_MAX_PROOFS_PER_MELT, settings::DEFAULT_MAX_PROOFS_PER_MELT),
        (&settings::CASHU_MAX_HELD, settings::DEFAULT_MAX_HELD_SAT),
    ];
    for (setting, default) in payout {
        assert_eq!(setting.default, default.to_string(), "{}", setting.key);
    }
    for setting in SETTINGS.iter().filter(|setting| setting.kind == settings::Kind::Flag) {
        assert_eq!(setting.flag(setting.default), Ok(false), "{}", setting.key);
    }
}

/// A complaint names a place that the pages have.
#[test]
fn every_page_anchor_exists() {
    let pages = settings::reference::pages();
    let has_page = |setting: &&&settings::Setting| {
        setting.directive.is_some() || setting.env.is_some() || setting.is_in_file()
    };
    for setting in SETTINGS.iter().filter(has_page) {
        let address = setting.page();
        let (file, anchor) = address.split_once('#').unwrap();
        let (_, text) = pages.iter().find(|(name, _)| file.ends_with(name)).unwrap();
        let found = text.lines().any(|line| {
            line.trim_start_matches('#').trim_start().to_lowercase() == anchor && line.starts_with('#')
        });
        assert!(found, "{address}");
    }
}
