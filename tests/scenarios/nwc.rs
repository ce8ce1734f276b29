//! What only wallets of Nostr Wallet Connect have: relays, encryptions, and connections that leave something out.

use lnsim::{Method, NwcDoor, NwcOptions};

use super::backends::{auto_detect_at, classic_at};

use crate::harness::nginx::Nginx;
use crate::harness::nwc::keys;
use crate::harness::nwc_service;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;
use crate::harness::wallet::block;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("nwc::without_look_ups", without_look_ups),
    Scenario::on_simulator("nwc::of_old", of_old),
    Scenario::on_simulator("nwc::one_relay_of_two", one_relay_of_two),
    Scenario::on_simulator("nwc::bad_uri", bad_uri),
    Scenario::on_simulator("nwc::service_classic", service_classic),
    Scenario::on_simulator("nwc::service_auto_detect", service_auto_detect),
    Scenario::on_simulator("nwc::service_pushed", service_pushed),
];

const ON: &str = "l402_auto_detect_payment on;";

fn open(stage: &Stage, options: NwcOptions) -> NwcDoor {
    let door = stage.sim().open_nwc(options).expect("relays");
    stage.keep_secret(&data_encoding::HEXLOWER.encode(&door.client_secret()));
    door
}

/// A site that is paid through the wallet behind `uri`.
fn site<'a>(stage: &'a Stage, uri: &str, directives: &str) -> Nginx<'a> {
    stage.site().env("LN_CLIENT_TYPE", "NWC").env("NWC_URI", uri).paid(directives).start()
}

/// Said once at the start and to whoever presents a macaroon alone; with its preimage the payment is good.
fn without_look_ups(stage: &Stage) {
    let methods = &["make_invoice"];
    let door = open(stage, NwcOptions { methods, notifications: false, ..NwcOptions::default() });
    let nginx = site(stage, &door.uri(), ON);
    let challenge = nginx.get("/paid/a").challenge();
    let preimage = stage.pay(&challenge);
    let refusal = nginx.get_paid("/paid/a", &challenge.alone()).refusal();
    assert!(refusal.contains("preimage"), "{refusal}");
    nginx.get_paid("/paid/a", &challenge.paid_with(&preimage)).expect(200);
    assert_eq!(stage.sim().calls(Method::LookupInvoice), 0);
    let logs = stage.logs();
    let said = logs.iter().map(|(_, log)| log.matches("no lookup_invoice").count()).sum::<usize>();
    assert_eq!(said, 1, "said once");
}

/// A wallet that knows NIP-04 only, says no states and does not tag its answers.
fn of_old(stage: &Stage) {
    let door =
        open(stage, NwcOptions { encryption: None, tagged: false, states: false, ..NwcOptions::default() });
    let nginx = site(stage, &door.uri(), ON);
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &credential).expect(200);
    let challenge = nginx.get("/paid/a").challenge();
    assert_eq!(nginx.get_paid("/paid/a", &challenge.alone()).challenge().invoice, challenge.invoice);
    stage.pay(&challenge);
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/paid/a", &challenge.alone()).status == 200).then_some(())
    });
}

/// One relay of the URI does not exist: the other is enough, for calls and for what is pushed.
fn one_relay_of_two(stage: &Stage) {
    let door = open(stage, NwcOptions::default());
    let gone = format!("relay=ws://127.0.0.1:{}&relay=", crate::harness::process::free_port());
    let nginx = site(stage, &door.uri().replacen("relay=", &gone, 1), ON);
    let challenge = nginx.get("/paid/a").challenge();
    stage.pay(&challenge);
    wait::until("the payment to be seen", || {
        (nginx.get_paid("/paid/a", &challenge.alone()).status == 200).then_some(())
    });
}

/// `nginx -t` says what is wrong, and shows nothing of it.
fn bad_uri(stage: &Stage) {
    let door = open(stage, NwcOptions::default());
    let uri = door.uri();
    let secret = uri.split("secret=").nth(1).unwrap();
    for bad in
        [uri.replace("relay=", "rely="), uri.replace("secret=", "secret=0"), "https://wallet".to_owned()]
    {
        let said = stage.site().env("LN_CLIENT_TYPE", "NWC").env("NWC_URI", &bad).paid("").check();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(
            !said.status.success() && text.contains("NWC_URI is not valid; expected nostr+walletconnect"),
            "{text}"
        );
        assert!(!text.contains(&secret[..64]), "{text}");
        let said = stage.site().http(&block("other", &keys(bad), "")).paid("l402_backend other;").check();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && text.contains("uri of l402_backend other is not valid"), "{text}");
        assert!(!text.contains(&secret[..64]), "{text}");
    }
}

/// The wallet service and the relay are real ones, of others.
fn service_classic(stage: &Stage) {
    nwc_service::play(stage, |service| classic_at(stage, &site(stage, service.uri(), "")));
}

fn service_auto_detect(stage: &Stage) {
    nwc_service::play(stage, |service| auto_detect_at(stage, &site(stage, service.uri(), ON)));
}

/// Who waits hears of the payment by the wallet's notification: no look-up is due for as long.
fn service_pushed(stage: &Stage) {
    nwc_service::play(stage, |service| {
        let nginx = site(stage, service.uri(), ON);
        let challenge = nginx.get("/paid/a").challenge();
        stage.pay(&challenge);
        let hash = challenge.macaroon().payment_hash();
        nwc_service::tell(service, stage.sim(), &hash);
        let said = |log: &str| log.lines().any(|line| line.contains(&hash) && line.contains("settled"));
        wait::until("l402d to hear of it", || stage.logs().iter().any(|(_, log)| said(log)).then_some(()));
        nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
    });
}
