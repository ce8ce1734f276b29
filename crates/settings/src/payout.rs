//! Paying ecash out over Lightning: its records, and what they come to.
use crate::pairs::Taken;
use crate::{Kind, Setting, value};

/// Default of `CASHU_REDEMPTION_INTERVAL_SECS`.
pub const DEFAULT_REDEMPTION_INTERVAL_S: u64 = 3600;
/// Default of `CASHU_MELT_MIN_BALANCE_SATS`.
pub const DEFAULT_MELT_MIN_BALANCE_SAT: u64 = 10;
/// Default of `CASHU_MELT_FEE_RESERVE_PERCENT`.
pub const DEFAULT_MELT_FEE_RESERVE_PERCENT: u64 = 1;
/// Default of `CASHU_MELT_MIN_FEE_RESERVE_SATS`.
pub const DEFAULT_MELT_MIN_FEE_RESERVE_SAT: u64 = 4;
/// Default of `CASHU_MAX_PROOFS_PER_MELT`: as many as the mint takes.
pub const DEFAULT_MAX_PROOFS_PER_MELT: u64 = 0;

/// `CASHU_REDEEM_ON_LIGHTNING`
pub static CASHU_REDEEM_ON_LIGHTNING: Setting = Setting {
    key: "cashu_redeem_on_lightning",
    env: Some("CASHU_REDEEM_ON_LIGHTNING"),
    directive: None,
    block_key: None,
    kind: Kind::Flag,
    default: "off",
    why: "It costs a Lightning payment's fee each time; the ecash can as well be taken out with a wallet.",
    doc: "Has the mints pay what was taken to the backend of the location that it was taken at, over Lightning. Each location's \
          part goes to its own `l402_backend` or `l402_lnurl_addr`. Off, the ecash stays in the wallet. \
          [How it works](../guides/cashu.md#paying-out).",
    example: "on",
};

/// `CASHU_REDEMPTION_INTERVAL_SECS`
pub static CASHU_REDEMPTION_INTERVAL: Setting = Setting {
    key: "cashu_redemption_interval",
    env: Some("CASHU_REDEMPTION_INTERVAL_SECS"),
    directive: None,
    block_key: None,
    kind: Kind::Interval,
    default: "3600",
    why: "An hour's ecash in one payment costs less than each by itself; more of it lies at the mint meanwhile.",
    doc: "How often ecash is paid out, in seconds. The first time is when l402d starts; a payment that was under way then is \
          concluded first.",
    example: "600",
};

/// `CASHU_MELT_MIN_BALANCE_SATS`
pub static CASHU_MELT_MIN_BALANCE: Setting = Setting {
    key: "cashu_melt_min_balance",
    env: Some("CASHU_MELT_MIN_BALANCE_SATS"),
    directive: None,
    block_key: None,
    kind: Kind::Sat,
    default: "10",
    why: "Less than this is hardly worth the fee that is set aside for it.",
    doc: "Ecash of one mint is paid out to a payee once it is worth this much, in satoshi.",
    example: "1000",
};

/// `CASHU_MELT_FEE_RESERVE_PERCENT`
pub static CASHU_MELT_FEE_RESERVE_PERCENT: Setting = Setting {
    key: "cashu_melt_fee_reserve_percent",
    env: Some("CASHU_MELT_FEE_RESERVE_PERCENT"),
    directive: None,
    block_key: None,
    kind: Kind::Percent,
    default: "1",
    why: "What a mint sets aside for the fee of a Lightning payment by its usual settings.",
    doc: "How much of the ecash is set aside for the payment's fee, in percent, rounded up. If the mint wants more, more is set \
          aside. What the fee does not take comes back as ecash, where the mint gives change (NUT-08).",
    example: "2",
};

/// `CASHU_MELT_MIN_FEE_RESERVE_SATS`
pub static CASHU_MELT_MIN_FEE_RESERVE: Setting = Setting {
    key: "cashu_melt_min_fee_reserve",
    env: Some("CASHU_MELT_MIN_FEE_RESERVE_SATS"),
    directive: None,
    block_key: None,
    kind: Kind::Sat,
    default: "4",
    why: "One percent of a small amount pays for no route.",
    doc: "How much is set aside at least, in satoshi.",
    example: "2",
};

/// `CASHU_MAX_PROOFS_PER_MELT`
pub static CASHU_MAX_PROOFS_PER_MELT: Setting = Setting {
    key: "cashu_max_proofs_per_melt",
    env: Some("CASHU_MAX_PROOFS_PER_MELT"),
    directive: None,
    block_key: None,
    kind: Kind::Proofs,
    default: "0",
    why: "One Lightning payment costs less than several.",
    doc: "How many proofs go into one payment; the largest go first, and the rest into further payments. `0` means as many as the \
          mint takes: half as many are tried when it refuses, and where there are more the mint swaps small ones for few large \
          ones first.",
    example: "500",
};

/// `L402_CASHU_TOKEN_TTL_SECONDS`
pub static CASHU_TOKEN_TTL: Setting = Setting {
    key: "cashu_token_ttl",
    env: Some("L402_CASHU_TOKEN_TTL_SECONDS"),
    directive: None,
    block_key: None,
    kind: Kind::Seconds,
    default: "0",
    why: "For ever: the record is small, and with it a client can ask again for what it has paid.",
    doc: "How long it is kept on record what a token has paid for, in seconds. It concerns only plain ecash that was swapped: its \
          mint refuses it for ever. Of ecash that was locked to our key the record is kept for ever whatever is written here, \
          since it would be taken on sight again, and so is that of ecash that is not swapped yet. `0` means for ever.",
    example: "2592000",
};

/// How ecash is paid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayoutSettings {
    /// How often, in seconds.
    pub interval_s: u64,
    /// What there must be, in sat.
    pub min_balance_sat: u64,
    /// What is set aside for the fee, in percent.
    pub fee_reserve_percent: u64,
    /// What is set aside at least, in sat.
    pub min_fee_reserve_sat: u64,
    /// Proofs in one payment; 0: as many as the mint takes.
    pub max_proofs: u64,
}

impl PayoutSettings {
    /// Looks each setting up with `find`, which gives the number if one is written.
    pub(crate) fn of(mut find: impl FnMut(&Setting) -> Option<u64>) -> Self {
        let mut or = |setting: &Setting, default| find(setting).unwrap_or(default);
        Self {
            interval_s: or(&CASHU_REDEMPTION_INTERVAL, DEFAULT_REDEMPTION_INTERVAL_S),
            min_balance_sat: or(&CASHU_MELT_MIN_BALANCE, DEFAULT_MELT_MIN_BALANCE_SAT),
            fee_reserve_percent: or(&CASHU_MELT_FEE_RESERVE_PERCENT, DEFAULT_MELT_FEE_RESERVE_PERCENT),
            min_fee_reserve_sat: or(&CASHU_MELT_MIN_FEE_RESERVE, DEFAULT_MELT_MIN_FEE_RESERVE_SAT),
            max_proofs: or(&CASHU_MAX_PROOFS_PER_MELT, DEFAULT_MAX_PROOFS_PER_MELT),
        }
    }

    /// Its pairs for the configuration pipe. They are there if and only if ecash is paid out.
    pub(crate) fn write(&self, mut pair: impl FnMut(&Setting, &[u8])) {
        let mut number = |setting, value: u64| pair(setting, value.to_string().as_bytes());
        number(&CASHU_REDEMPTION_INTERVAL, self.interval_s);
        number(&CASHU_MELT_MIN_BALANCE, self.min_balance_sat);
        number(&CASHU_MELT_FEE_RESERVE_PERCENT, self.fee_reserve_percent);
        number(&CASHU_MELT_MIN_FEE_RESERVE, self.min_fee_reserve_sat);
        number(&CASHU_MAX_PROOFS_PER_MELT, self.max_proofs);
    }

    /// Reads what [`PayoutSettings::write`] wrote.
    pub(crate) fn read(taken: &mut Taken<'_>) -> Option<Self> {
        let of = |setting: &'static Setting| move |text: &[u8]| number(setting, text);
        let interval = &CASHU_REDEMPTION_INTERVAL;
        let interval_s = taken.optional(interval.key, of(interval))?;
        let mut rest = |setting: &'static Setting| taken.required(setting.key, of(setting));
        Some(Self {
            interval_s,
            min_balance_sat: rest(&CASHU_MELT_MIN_BALANCE)?,
            fee_reserve_percent: rest(&CASHU_MELT_FEE_RESERVE_PERCENT)?,
            min_fee_reserve_sat: rest(&CASHU_MELT_MIN_FEE_RESERVE)?,
            max_proofs: rest(&CASHU_MAX_PROOFS_PER_MELT)?,
        })
    }
}

/// A number of this setting's kind.
pub(crate) fn number(setting: &Setting, text: &[u8]) -> Option<u64> {
    let range = match setting.kind {
        Kind::Interval => 1..=31_536_000,
        Kind::Sat => 0..=2_100_000_000_000_000,
        Kind::Percent => 0..=50,
        Kind::Proofs => 0..=1000,
        Kind::Seconds => 0..=3_153_600_000,
        _ => return None,
    };
    value::number(text).filter(|number| range.contains(number))
}
