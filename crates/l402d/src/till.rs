//! The till, as the configuration says.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ecash::{Ledger, Lock, MeltTerms, Options, RequestFormat, SecretKey, SeedSource, Terms, Till};
use settings::{CASHU_P2PK_PRIVATE_KEY, CASHU_WHITELISTED_MINTS, Complaint, EcashSettings};
use zeroize::Zeroizing;

use crate::{
    apart::Apart,
    engine::{Counter, Payout},
};

/// The wallet's file in the state directory.
pub const DATABASE: &str = "cashu.db";
/// Of a mint's answer. A mint that is well answers in well under a second; nginx waits for 15 s by default.
const DEADLINE: Duration = Duration::from_secs(10);

/// How ecash is taken.
///
/// # Errors
/// What only cdk can see: an address or a key that is none.
pub fn options(settings: &EcashSettings, state_dir: &Path) -> Result<Options, Complaint> {
    let mints = settings.mints.iter().map(|mint| mint.parse()).collect::<Result<_, _>>();
    let mints = mints.map_err(|_| {
        let setting = &CASHU_WHITELISTED_MINTS;
        Complaint::new(setting.name(), "is not valid", setting.kind.expected())
    })?;
    let key = settings.p2pk_key.as_ref().map(|key| SecretKey::from_hex(key.expose())).transpose();
    let key = key.map_err(|_| {
        let setting = &CASHU_P2PK_PRIVATE_KEY;
        Complaint::new(setting.name(), "is not valid", setting.kind.expected())
    })?;
    let database = database(Some(settings), state_dir);
    let seed = match &settings.mnemonic {
        Some(words) => SeedSource::Words(Zeroizing::new(words.expose().clone())),
        None => SeedSource::Kept(database.with_extension("mnemonic")),
    };
    let terms = Terms {
        mints,
        lock: key.as_ref().map_or(Lock::None, |key| Lock::Key(key.public_key())),
        require_dleq: settings.require_dleq,
        format: if settings.request_b { RequestFormat::B } else { RequestFormat::A },
    };
    let (keep_s, max_held_sat) = (settings.token_ttl_s, settings.max_held_sat);
    Ok(Options { database, seed, terms, key, deadline: DEADLINE, keep_s, max_held_sat, ledger: None })
}

/// The wallet's file. Where the configuration knows of no ecash, it is where it is by default.
pub fn database(settings: Option<&EcashSettings>, state_dir: &Path) -> PathBuf {
    let named = settings.and_then(|settings| settings.database.clone());
    named.unwrap_or_else(|| state_dir.join(DATABASE))
}

/// How what was taken is paid out; `None`: it stays.
pub fn payout(settings: &EcashSettings) -> Option<Payout> {
    let payout = settings.payout.as_ref()?;
    let terms = MeltTerms {
        min_balance_sat: payout.min_balance_sat,
        fee_reserve_percent: payout.fee_reserve_percent,
        min_fee_reserve_sat: payout.min_fee_reserve_sat,
        max_proofs: usize::try_from(payout.max_proofs).unwrap_or(usize::MAX),
    };
    Some(Payout { every: Duration::from_secs(payout.interval_s), terms })
}

/// Opens it, on threads of its own: its cryptography must not hold up other answers. Hosts that share a ledger take each
/// piece of ecash once.
///
/// # Errors
/// The operator's to mend.
pub async fn open(
    settings: &EcashSettings,
    state_dir: &Path,
    ledger: Option<Arc<dyn Ledger>>,
) -> Result<Counter, Box<dyn std::error::Error + Send + Sync>> {
    let options = Options { ledger, ..options(settings, state_dir)? };
    let mints: Vec<String> = options.terms.mints.iter().map(ToString::to_string).collect();
    let mode = if options.key.is_some() { "locked to our key" } else { "plain" };
    tracing::info!(wallet = %options.database.display(), mints = mints.join(" "), mode, "ecash is taken");
    let apart = Apart::start()?;
    let till = apart.run(Till::open(options)).await??;
    Ok(Counter::new(till, apart))
}
