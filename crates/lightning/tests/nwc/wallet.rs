//! Wallets of all kinds: what every wallet keeps, in each encryption and manner, and what each refusal becomes.
use l402::Msat;
use lightning::nwc::Nwc;
use lightning::{Lightning, LightningError, Lookup, conformance};
use lnsim::{Fault, FaultKind, Method, NwcOptions};
use tokio::time::timeout;

use crate::support::{PATIENCE, SHORT, SimWorld, ask, look_up_nothing, set, wallet};

async fn conforms(options: NwcOptions) {
    let (sim, _door, wallet) = set(options);
    conformance::all(&wallet, &SimWorld(&sim)).await;
    assert!(sim.calls(Method::LookupInvoice) > 0, "it looked up");
}

#[tokio::test]
async fn it_conforms() {
    conforms(NwcOptions::default()).await;
}

#[tokio::test]
async fn it_conforms_with_nip44_only() {
    conforms(NwcOptions { encryption: Some("nip44_v2"), ..NwcOptions::default() }).await;
}

#[tokio::test]
async fn it_conforms_with_a_wallet_of_old() {
    let old = NwcOptions {
        encryption: None,
        tagged: false,
        states: false,
        methods: &["make_invoice", "lookup_invoice"],
        ..NwcOptions::default()
    };
    conforms(old).await;
}

#[tokio::test]
async fn it_conforms_over_three_relays_and_untagged_answers() {
    conforms(NwcOptions { relays: 3, tagged: false, ..NwcOptions::default() }).await;
}

#[tokio::test]
async fn it_conforms_over_tls() {
    conforms(NwcOptions { tls: true, relays: 2, ..NwcOptions::default() }).await;
}

#[tokio::test]
async fn it_conforms_without_an_info_event() {
    conforms(NwcOptions { info_event: false, encryption: None, ..NwcOptions::default() }).await;
}

#[tokio::test]
async fn it_conforms_over_a_relay_that_asks_who_comes() {
    let (sim, _door, wallet) = set(NwcOptions { authenticated: true, ..NwcOptions::default() });
    crate::support::until_available(|| wallet.health()).await;
    conformance::all(&wallet, &SimWorld(&sim)).await;
}

/// It makes invoices and pushes; a look-up says that there is none.
#[tokio::test]
async fn a_wallet_without_look_ups() {
    let (sim, _door, wallet) = set(NwcOptions { methods: &["make_invoice"], ..NwcOptions::default() });
    conformance::all(&wallet, &SimWorld(&sim)).await;
    let made = wallet.create(&ask(1000)).await.unwrap();
    sim.pay(&made.bolt11).unwrap();
    assert_eq!(wallet.look_up(made.payment_hash).await, Ok(Lookup::CannotLookUp));
    assert_eq!(sim.calls(Method::LookupInvoice), 0, "it is not even asked");
}

/// The info event promises more than the wallet has.
#[tokio::test]
async fn a_wallet_that_only_finds_out_that_it_cannot_look_up() {
    let (sim, _door, wallet) = set(NwcOptions::default());
    sim.fault(Fault::refuse(0, "NOT_IMPLEMENTED: what?").at(Method::LookupInvoice).times(1));
    for _ in 0..3 {
        assert_eq!(look_up_nothing(&wallet).await, Ok(Lookup::CannotLookUp));
    }
    assert_eq!(sim.calls(Method::LookupInvoice), 1, "it is not asked again");
}

#[tokio::test]
async fn a_connection_that_may_not_make_invoices_is_named() {
    let (sim, _door, wallet) = set(NwcOptions { methods: &["lookup_invoice"], ..NwcOptions::default() });
    let refused = wallet.create(&ask(1000)).await;
    assert!(
        matches!(&refused, Err(LightningError::Refused(text)) if text.contains("make_invoice")),
        "{refused:?}"
    );
    assert_eq!(sim.calls(Method::AddInvoice), 0);
}

#[tokio::test]
async fn a_wrong_invoice_never_gets_through() {
    let (sim, _door, wallet) = set(NwcOptions::default());
    for (kind, said) in [
        (FaultKind::WrongAmount(1), "1 msat"),
        (FaultKind::WrongHash, "payment hash"),
        (FaultKind::WrongNetwork, "mainnet"),
        (FaultKind::Expired, "invoice"),
    ] {
        sim.fault(Fault::new(kind.clone()).times(1));
        match wallet.create(&ask(1000)).await {
            Err(LightningError::Wrong(text)) => assert!(text.contains(said), "{kind:?}: {text}"),
            other => panic!("{kind:?}: {other:?}"),
        }
    }
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn another_network_than_before_is_noticed_without_get_info() {
    let methods = &["make_invoice", "lookup_invoice"];
    let (sim, _door, wallet) = set(NwcOptions { methods, ..NwcOptions::default() });
    wallet.create(&ask(1000)).await.unwrap();
    sim.fault(Fault::new(FaultKind::WrongNetwork).times(1));
    let wrong = wallet.create(&ask(1000)).await;
    assert!(matches!(wrong, Err(LightningError::Wrong(_))), "{wrong:?}");
}

#[tokio::test]
async fn the_wallet_is_asked_about_itself_once() {
    let (sim, _door, wallet) = set(NwcOptions::default());
    for _ in 0..3 {
        wallet.create(&ask(1000)).await.unwrap();
        look_up_nothing(&wallet).await.unwrap();
    }
    assert_eq!(sim.calls(Method::GetInfo), 1);
    let health = wallet.health().await.unwrap();
    assert_eq!(health.network.as_deref(), Some("regtest"));
    assert!(health.node.contains("lnsim"), "{}", health.node);
}

#[tokio::test]
async fn every_code_becomes_the_right_error() {
    let (sim, _door, wallet) = set(NwcOptions::default());
    wallet.create(&ask(1000)).await.unwrap();
    for (code, unavailable) in [
        ("RATE_LIMITED", true),
        ("INTERNAL", true),
        ("NOT_IMPLEMENTED", false),
        ("QUOTA_EXCEEDED", false),
        ("RESTRICTED", false),
        ("UNAUTHORIZED", false),
        ("UNSUPPORTED_ENCRYPTION", false),
        ("NOT_FOUND", false),
        ("OTHER", false),
        ("SOMETHING_NEW", false),
    ] {
        sim.fault(Fault::refuse(0, &format!("{code}: not now")).at(Method::AddInvoice).times(1));
        match wallet.create(&ask(1000)).await {
            Err(LightningError::Unavailable { text, .. }) if unavailable => {
                assert!(text.contains("not now"), "{text}")
            }
            Err(LightningError::Refused(text)) if !unavailable => assert!(text.contains("not now"), "{text}"),
            other => panic!("{code}: {other:?}"),
        }
    }
    wallet.create(&ask(1000)).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_removed_is_named() {
    let (_sim, door, _) = set(NwcOptions::default());
    let stranger = Nwc::new(&door.wallet_key(), &[7; 32], &door.relay_urls(), None, PATIENCE).unwrap();
    for result in [stranger.create(&ask(1000)).await.map(drop), stranger.health().await.map(drop)] {
        assert!(
            matches!(&result, Err(LightningError::Refused(text)) if text.contains("NWC_URI")),
            "{result:?}"
        );
    }
}

/// The request can't be decrypted, so nobody answers.
#[tokio::test]
async fn a_wallet_of_another_key_is_silent() {
    let (_sim, door, _) = set(NwcOptions::default());
    let other = crate::support::sim().open_nwc(NwcOptions::default()).unwrap();
    let lost = Nwc::new(&other.wallet_key(), &door.client_secret(), &door.relay_urls(), None, SHORT).unwrap();
    assert_eq!(lost.create(&ask(1000)).await, Err(LightningError::TimedOut));
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_deadline() {
    let (sim, door, _) = set(NwcOptions::default());
    // Longer than a loaded machine needs, so that the relay's own answers are not missed.
    let wallet = wallet(&door, SHORT * 4);
    crate::support::until_available(|| wallet.create(ASK.get_or_init(|| ask(1000)))).await;
    for method in [Method::AddInvoice, Method::LookupInvoice] {
        sim.fault(Fault::hang().at(method).times(1));
        let result = match method {
            Method::AddInvoice => wallet.create(&ask(1000)).await.map(drop),
            _ => look_up_nothing(&wallet).await.map(drop),
        };
        assert_eq!(result, Err(LightningError::TimedOut), "{method}");
    }
    crate::support::until_available(|| wallet.create(ASK.get_or_init(|| ask(1000)))).await;
}

/// The preimage is reported all the while.
#[tokio::test]
async fn only_settled_is_settled() {
    for states in [true, false] {
        let (sim, _door, wallet) = set(NwcOptions { states, ..NwcOptions::default() });
        sim.fault(Fault::new(FaultKind::SettleLater).times(1));
        let later = wallet.create(&ask(1000)).await.unwrap();
        sim.pay(&later.bolt11).unwrap();
        sim.fault(Fault::new(FaultKind::Hold).times(1));
        let held = wallet.create(&ask(2000)).await.unwrap();
        assert!(sim.pay(&held.bolt11).is_err());
        for (invoice, msat) in [(&later, 1000), (&held, 2000)] {
            let found = wallet.look_up(invoice.payment_hash).await.unwrap();
            assert!(matches!(found, Lookup::Pending { .. }), "{found:?}");
            sim.settle_now(&invoice.payment_hash.0).unwrap();
            let found = wallet.look_up(invoice.payment_hash).await.unwrap();
            assert!(
                matches!(found, Lookup::Settled { received: Some(Msat(got)), .. } if got == msat),
                "{found:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_expired_invoice_dies() {
    let (sim, _door, wallet) = set(NwcOptions::default());
    let made = wallet.create(&ask(1000)).await.unwrap();
    sim.advance_clock(601);
    assert_eq!(wallet.look_up(made.payment_hash).await.unwrap(), Lookup::Dead);
}

// Waits by blocking its thread, so the wallet needs others.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_push_leaves_look_ups() {
    let (sim, _door, wallet) = set(NwcOptions::default());
    sim.fault(FaultKind::PushSilent);
    let mut settlements = wallet.settlements();
    sim.wait_for_calls(Method::SubscribeInvoices, 1).unwrap();
    let made = wallet.create(&ask(1000)).await.unwrap();
    sim.pay(&made.bolt11).unwrap();
    let found = wallet.look_up(made.payment_hash).await.unwrap();
    assert!(matches!(found, Lookup::Settled { .. }), "{found:?}");
    assert!(settlements.try_recv().is_err());
}

/// What the wallet says again, or a relay, is about the same payment and no other.
#[tokio::test]
async fn old_frames_settle_nothing_else() {
    let (sim, door, wallet) = set(NwcOptions::default());
    let mut settlements = conformance::listen(&wallet, &SimWorld(&sim)).await;
    let paid = wallet.create(&ask(1000)).await.unwrap();
    sim.pay(&paid.bolt11).unwrap();
    while timeout(PATIENCE, settlements.recv()).await.unwrap().unwrap().payment_hash != paid.payment_hash {}
    assert!(matches!(wallet.look_up(paid.payment_hash).await, Ok(Lookup::Settled { .. })));

    let unpaid = wallet.create(&ask(1000)).await.unwrap();
    let old = door.passed_on(0);
    assert!(old.len() > 4, "responses and notifications");
    // While a look-up of the unpaid one is under way, the relay says everything again that it ever passed on.
    sim.fault(Fault::delay(200).at(Method::LookupInvoice).times(1));
    let (found, ()) = tokio::join!(wallet.look_up(unpaid.payment_hash), async {
        for frame in &old {
            door.say(0, frame);
            tokio::task::yield_now().await;
        }
    });
    assert!(matches!(found, Ok(Lookup::Pending { .. })), "{found:?}");
    while let Ok(again) = settlements.try_recv() {
        assert_ne!(again.payment_hash, unpaid.payment_hash);
    }
}

static ASK: std::sync::OnceLock<lightning::InvoiceRequest> = std::sync::OnceLock::new();
