//! The payment request of a 402, in both of its forms and both modes, as the wallets of others read it.

use cdk::nuts::{CurrencyUnit, PaymentRequest};

use super::locked::{PRIVATE, PUBLIC};
use super::{FREE, PRICE_SAT, pay, site, token};
use crate::harness::cashu_ts::CashuTs;
use crate::harness::mint::Rig;
use crate::harness::stage::Stage;

/// More mints than fit a header: the invoice is asked for, without a request that would be cut, and ecash is taken.
pub fn too_many_mints(stage: &Stage) {
    let rig = Rig::shared();
    let further = (0..14).map(|number| format!("https://mint.example/{number}/{}", "m".repeat(300)));
    let mints: Vec<String> = rig.urls.iter().cloned().chain(further).collect();
    let nginx = stage
        .site()
        .env("CASHU_ECASH_SUPPORT", "on")
        .env("CASHU_WHITELISTED_MINTS", &mints.join(","))
        .paid("")
        .start();
    let asked = nginx.get("/paid/a");
    asked.challenge();
    assert_eq!(asked.header("X-Cashu"), None);
    let bought = token(stage, rig, FREE, PRICE_SAT, serde_json::json!({}));
    pay(&nginx, &bought).expect(200);
}

pub fn requests(stage: &Stage) {
    stage.keep_secret(PRIVATE);
    let rig = Rig::shared();
    let cashu_ts = CashuTs::start();
    for (format, prefix) in [("creqA", "creqA"), ("creqB", "CREQB1")] {
        for lock in [None, Some(PUBLIC)] {
            let mut site = site(stage, rig).env("CASHU_REQUEST_FORMAT", format);
            if lock.is_some() {
                site = site.env("CASHU_P2PK_MODE", "on").env("CASHU_P2PK_PRIVATE_KEY", PRIVATE);
            }
            let nginx = site.paid("").start();
            let asked = nginx.get("/paid/a");
            asked.challenge();
            let text = asked.header("X-Cashu").unwrap();
            assert!(text.starts_with(prefix), "{text}");

            let read: PaymentRequest = text.parse().unwrap();
            assert_eq!(read.amount.map(|sat| sat.to_u64()), Some(PRICE_SAT));
            assert_eq!(read.unit, Some(CurrencyUnit::Sat));
            assert_eq!(read.mints.iter().map(ToString::to_string).collect::<Vec<_>>(), rig.urls);
            assert_eq!(read.nut10.map(|nut10| nut10.data).as_deref(), lock);
            assert!(read.transports.is_empty(), "it is answered in the header");

            if let Ok(wallet) = &cashu_ts {
                let read = wallet.read(text);
                assert_eq!((&read["amount"], &read["unit"]), (&PRICE_SAT.into(), &"sat".into()));
                assert_eq!(read["mints"], serde_json::json!(rig.urls));
                assert_eq!(read["lock"].as_str(), lock);
            }
        }
    }
}
