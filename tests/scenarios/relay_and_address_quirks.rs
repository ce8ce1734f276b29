//! Quirks that only wallets behind Nostr Wallet Connect and LNURL can have: what relays do, and what a server's answers hold.

use std::net::SocketAddr;

use lnsim::{Authentication, Hashed, InfoEvent, LnurlOptions, NwcOptions, Tags, VerifyAt, Written};

use super::wallet_quirks::{said, same_invoice, served};
use crate::harness::nwc::keys as nwc_keys;
use crate::harness::quirks::{self, Outcome};
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;
use crate::harness::wallet::block;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("quirk::of_nwc", of_nwc),
    Scenario::on_simulator("quirk::of_nwc_relays_that_refuse", of_nwc_relays_that_refuse),
    Scenario::on_simulator("quirk::of_lnurl", of_lnurl),
];

/// A wallet of Nostr Wallet Connect as `options` have it: sold, and served by the macaroon alone.
fn nwc(stage: &Stage, name: &str, options: NwcOptions, said_once: &str) {
    let door = stage.sim().open_nwc(options).expect("relays");
    stage.keep_secret(&data_encoding::HEXLOWER.encode(&door.client_secret()));
    let before = if said_once.is_empty() { 0 } else { said(stage, said_once) };
    let nginx = stage
        .site()
        .http(&block("other", &nwc_keys(door.uri()), "timeout 10s;"))
        .paid("l402_backend other; l402_auto_detect_payment on; l402_invoice_rate_limit 1000r/s;")
        .start();
    let challenge = wait::until("a challenge", || {
        let answer = nginx.get("/paid/a");
        (answer.status == 402).then(|| answer.challenge())
    });
    same_invoice(&nginx, "/paid/a", &challenge);
    let preimage = stage.pay(&challenge);
    let served = served(stage, &nginx, "/paid/a", &challenge, &preimage);
    let said = if said_once.is_empty() { 0 } else { said(stage, said_once) - before };
    quirks::keep(&format!("nwc {name}"), "nwc", Outcome { sold: true, served, said });
    assert!(served, "{name}");
    assert_eq!(said, usize::from(!said_once.is_empty()), "{name}");
}

fn of_nwc(stage: &Stage) {
    const NO_INFO: &str = "has the wallet's info event";
    let plain = NwcOptions::default;
    let nip44 = || NwcOptions { encryption: Some("nip44_v2"), ..plain() };
    nwc(stage, "info=none", NwcOptions { info: InfoEvent::Purged, ..plain() }, NO_INFO);
    nwc(stage, "info=late", NwcOptions { info: InfoEvent::Late, ..nip44() }, NO_INFO);
    nwc(stage, "info=none enc=nip44", NwcOptions { info: InfoEvent::Purged, ..nip44() }, NO_INFO);
    let silent = NwcOptions { info: InfoEvent::Purged, answers_unreadable: false, ..nip44() };
    nwc(stage, "info=none enc=nip44 silent", silent, NO_INFO);
    let old = NwcOptions { info: InfoEvent::Purged, encryption: None, answers_unreadable: false, ..plain() };
    nwc(stage, "info=none enc=nip04 silent", old, NO_INFO);
    let stale = NwcOptions { announced_encryption: Some("nip04"), ..nip44() };
    nwc(stage, "info=stale enc=nip44", stale, "");
    nwc(stage, "get_info=silent", NwcOptions { silent: &["get_info"], ..plain() }, "");
    nwc(stage, "tags=none", NwcOptions { tagged: false, tags: Tags::ResponsesOnly, ..plain() }, "");
    nwc(stage, "tags=no-p@notifications", NwcOptions { tags: Tags::ResponsesOnly, ..plain() }, "");
    nwc(
        stage,
        "close=tagged",
        NwcOptions { close: Some(("tagged", "error: too many filters")), ..plain() },
        "",
    );
    nwc(stage, "close=answers", NwcOptions { close: Some(("answers", "error: no such tag")), ..plain() }, "");
    nwc(
        stage,
        "close=untagged",
        NwcOptions { close: Some(("untagged", "blocked: too broad")), ..plain() },
        "",
    );
    nwc(stage, "close=info", NwcOptions { close: Some(("info", "error: not kept")), ..plain() }, NO_INFO);
    nwc(stage, "auth=connect", NwcOptions { authenticated: true, ..plain() }, "");
    let lazy = NwcOptions { authenticated: true, authentication: Authentication::Lazy, ..plain() };
    nwc(stage, "auth=lazy", lazy, "");
}

/// What a relay says in place of passing requests on is told to the operator, and nobody is served for nothing.
fn of_nwc_relays_that_refuse(stage: &Stage) {
    let plain = NwcOptions::default;
    for (name, options, told) in [
        (
            "auth=deny",
            NwcOptions { authenticated: true, authentication: Authentication::Deny, ..plain() },
            "restricted: that is not what was asked",
        ),
        ("reject", NwcOptions { reject: Some("blocked: no such kind here"), ..plain() }, "no such kind here"),
        (
            "reject by time",
            NwcOptions { reject: Some("invalid: created_at too far in the future"), ..plain() },
            "set this host's clock by NTP",
        ),
        ("deaf", NwcOptions { deaf: true, ..plain() }, "this host's clock"),
    ] {
        let door = stage.sim().open_nwc(options).expect("relays");
        stage.keep_secret(&data_encoding::HEXLOWER.encode(&door.client_secret()));
        let nginx = stage
            .site()
            .http(&block("other", &nwc_keys(door.uri()), "timeout 2s;"))
            .paid("l402_backend other;")
            .start();
        let answer = nginx.get("/paid/a");
        assert!(matches!(answer.status, 502..=504), "{name}: {}", answer.status);
        let lines = wait::until(&format!("{name}: a word of why"), || {
            Some(said(stage, told)).filter(|lines| *lines > 0)
        });
        quirks::keep(
            &format!("nwc {name}"),
            "nwc",
            Outcome { sold: false, served: false, said: lines.min(1) },
        );
    }
}

/// A server of LNURL as `options` have it. `looks_up`: whether its payments can be looked up.
fn lnurl(stage: &Stage, name: &str, options: LnurlOptions, looks_up: bool, said_once: &str) {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let address = stage.sim().open_lnurl(any, options).expect("a port");
    let before = if said_once.is_empty() { 0 } else { said(stage, said_once) };
    let nginx = stage
        .site()
        .paid(&format!("l402_lnurl_addr http://alice@{address}; l402_auto_detect_payment on; l402_invoice_rate_limit 1000r/s;"))
        .start();
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = stage.pay(&challenge);
    let credential = if looks_up { challenge.alone() } else { challenge.paid_with(&preimage) };
    let served =
        wait::within(wait::SOON, || (nginx.get_paid("/paid/a", &credential).status == 200).then_some(()));
    let said = if said_once.is_empty() { 0 } else { said(stage, said_once) - before };
    quirks::keep(&format!("lnurl {name}"), "lnurl", Outcome { sold: true, served: served.is_some(), said });
    assert!(served.is_some(), "{name}");
    assert_eq!(said, usize::from(!said_once.is_empty()), "{name}");
}

fn of_lnurl(stage: &Stage) {
    const NO_LOOK_UP: &str = "so no payment can be looked up";
    let plain = LnurlOptions::default;
    for (name, bounds) in
        [("bounds=text", Written::Text), ("bounds=float", Written::Float), ("bounds=huge", Written::Huge)]
    {
        lnurl(stage, name, LnurlOptions { bounds, ..plain() }, true, "");
    }
    lnurl(stage, "callback=amount", LnurlOptions { callback_amount: true, ..plain() }, true, "");
    lnurl(
        stage,
        "hash=d",
        LnurlOptions { hash: Hashed::Text, ..plain() },
        true,
        "in place of its metadata's hash",
    );
    lnurl(
        stage,
        "hash=other",
        LnurlOptions { hash: Hashed::Other, ..plain() },
        true,
        "another description hash",
    );
    for (name, verify_at) in [
        ("verify=http", VerifyAt::Http),
        ("verify=private", VerifyAt::Private),
        ("verify=relative", VerifyAt::Relative),
        ("verify=empty", VerifyAt::Empty),
        ("verify=long", VerifyAt::Long),
    ] {
        lnurl(stage, name, LnurlOptions { verify_at, ..plain() }, false, NO_LOOK_UP);
    }
    lnurl(stage, "verify=none", LnurlOptions { verify: false, ..plain() }, false, NO_LOOK_UP);
    // A price out of bounds: the bounds are named.
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let options = LnurlOptions { min_sendable: 50_000, max_sendable: 60_000, ..plain() };
    let address = stage.sim().open_lnurl(any, options).expect("a port");
    let nginx = stage.paid_site(&format!("l402_lnurl_addr http://alice@{address};"));
    assert_eq!(nginx.get("/paid/a").status, 502);
    nginx.wait_for_error("it takes 50000 msat to 60000 msat only", 0);
    quirks::keep("lnurl bounds=MIN:MAX", "lnurl", Outcome { sold: false, served: false, said: 1 });
}
