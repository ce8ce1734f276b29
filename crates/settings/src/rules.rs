//! Rules between settings: what is right alone and wrong together.
use crate::{BACKEND, BackendSettings, Complaint, DEFAULT_BACKEND, L402, LN_CLIENT_TYPE, REALM, Setting};

/// A realm is worth something only to tokens that serve more than once.
///
/// # Errors
/// The realm's name, and what it needs.
pub fn realm_has_reuse(name: &str, indefinite_access: bool, max_uses: u32) -> Result<(), Complaint> {
    if indefinite_access || max_uses > 1 {
        return Ok(());
    }
    let expected = "l402_indefinite_access on, or l402_max_uses of at least 2, in the same location";
    Err(Complaint::new(REALM.name(), "needs tokens that serve more than once", expected)
        .with_value(name.as_bytes()))
}

/// A location that sells must name a backend that exists, or there must be the default one.
///
/// # Errors
/// The name, and those that exist.
pub fn backend_exists<'b>(
    name: &str,
    backends: &'b [BackendSettings],
) -> Result<&'b BackendSettings, Complaint> {
    if let Some(found) = backends.iter().find(|backend| backend.name == name) {
        return Ok(found);
    }
    if name == DEFAULT_BACKEND {
        let expected =
            "LN_CLIENT_TYPE in the environment of nginx, or an l402_backend block and its name here";
        return Err(Complaint::new(
            L402.name(),
            "is on and there is no backend to be paid through",
            expected,
        ));
    }
    let known: Vec<&str> = backends.iter().map(|backend| backend.name.as_str()).collect();
    let expected = if known.is_empty() {
        "an l402_backend block of that name in http".to_owned()
    } else {
        format!("one of {}", known.join(", "))
    };
    Err(Complaint::new(BACKEND.name(), "is not defined", expected).with_value(name.as_bytes()))
}

/// No two backends may bear one name; the environment's is called `default`.
pub(crate) fn names_are_unique(backends: &[BackendSettings]) -> impl Iterator<Item = Complaint> {
    let again = backends
        .iter()
        .enumerate()
        .filter(|(at, backend)| backends[..*at].iter().any(|earlier| earlier.name == backend.name));
    again.map(|(_, backend)| {
        let expected = if backend.name == DEFAULT_BACKEND {
            format!("another name, or no {} in the environment", LN_CLIENT_TYPE.name())
        } else {
            "each name once".to_owned()
        };
        Complaint::new(BACKEND.name(), "is defined twice", expected).with_value(backend.name.as_bytes())
    })
}

/// The record of a directive; for a table that must agree with nginx's own.
pub fn find_directive(name: &str) -> Option<&'static Setting> {
    let named = |setting: &&&Setting| setting.directive.as_ref().is_some_and(|found| found.name == name);
    crate::SETTINGS.iter().find(named).copied()
}

/// Variables of the former module that are set and that this version does not read: worth a warning.
pub fn set_but_not_read(env: crate::Env<'_>) -> impl Iterator<Item = &'static str> {
    let set = move |name: &&&'static str| env(name).is_some_and(|value| !value.is_empty());
    crate::NOT_READ_YET.iter().filter(set).copied()
}
