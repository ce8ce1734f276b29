//! What bad credentials get: 401, a text that says why, one line in the error log, and no invoice.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::harness::challenge::Challenge;
use crate::harness::http::Request;
use crate::harness::macaroon::Macaroon;
use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("refused::malformed", malformed),
    Scenario::on_nodes("refused::forged", forged),
    Scenario::on_nodes("refused::caveats", caveats),
    Scenario::on_nodes("refused::preimages", preimages),
    Scenario::on_nodes("refused::path_and_method", path_and_method),
    Scenario::on_nodes("refused::too_much", too_much),
];

/// A token that serves for ever, so that each refusal is for the one thing that is wrong.
struct Bought<'a> {
    stage: &'a Stage,
    nginx: Nginx<'a>,
    challenge: Challenge,
    preimage: String,
}

impl<'a> Bought<'a> {
    fn new(stage: &'a Stage) -> Self {
        let nginx = stage.paid_site("l402_indefinite_access on; l402_macaroon_timeout 1h;");
        let challenge = nginx.get("/paid/a").challenge();
        let preimage = stage.pay(&challenge);
        Self { stage, nginx, challenge, preimage }
    }

    fn macaroon(&self) -> Macaroon {
        self.challenge.macaroon()
    }

    fn with(&self, macaroon: &Macaroon) -> String {
        format!("L402 {}:{}", macaroon.base64(), self.preimage)
    }

    /// Asserts the 401 and its log line; the public text.
    #[track_caller]
    fn refused(&self, credential: &str) -> String {
        let before = self.nginx.error_log().len();
        let answer = self.nginx.get_paid("/paid/a", credential);
        assert_eq!(answer.status, 401, "for {credential}\n{}", answer.text());
        let text = answer.refusal();
        let body = answer.text();
        let secret = credential.split(':').nth(1).filter(|secret| secret.len() > 8);
        assert!(secret.is_none_or(|secret| !body.contains(secret)), "{body}");
        self.nginx.wait_for_error("l402: ", before);
        let log = self.nginx.error_log();
        let lines: Vec<_> = log[before..].lines().filter(|line| line.contains("l402: ")).collect();
        assert_eq!(lines.len(), 1, "one line: {lines:#?}");
        assert!(lines[0].contains("client: 127.0.0.1"), "{lines:?}");
        text
    }

    /// The good one is good to the end, and nothing of all this made an invoice.
    fn finish(self) {
        self.nginx.get_paid("/paid/a", &self.challenge.paid_with(&self.preimage)).expect(200);
        self.stage.assert_invoices(1);
    }
}

fn malformed(stage: &Stage) {
    let bought = Bought::new(stage);
    let (token, preimage) = (&bought.challenge.token, &bought.preimage);
    let cut = &token[..token.len() / 2];
    let mut long = data_encoding::BASE64.decode(token.as_bytes()).unwrap();
    long.push(0);
    for macaroon in ["!!!", "AA==", "%%%%", cut, &format!("{token}{token}"), &HEXLOWER.encode(&long)] {
        bought.refused(&format!("L402 {macaroon}:{preimage}"));
    }
    bought.refused("L402 \"");
    bought.refused("L402 token=\"");
    bought.refused(&format!("L402 token=\"{token}\", preimage="));
    bought.finish();
}

fn forged(stage: &Stage) {
    let bought = Bought::new(stage);
    let good = bought.macaroon();
    for at in [0, 31] {
        let mut bad = good.clone();
        bad.signature[at] ^= 1;
        bought.refused(&bought.with(&bad));
    }
    for caveat in 0..good.caveats.len() {
        let mut bad = good.clone();
        bad.caveats.remove(caveat);
        bought.refused(&bought.with(&bad));
    }
    // A payment hash of the forger's own, whose preimage he knows.
    let mut own = good.clone();
    let preimage = [9; 32];
    own.identifier[2..34].copy_from_slice(&Sha256::digest(preimage));
    bought.refused(&format!("L402 {}:{}", own.base64(), HEXLOWER.encode(&preimage)));
    let mut shuffled = good.clone();
    shuffled.caveats.swap(0, 1);
    bought.refused(&bought.with(&shuffled));
    bought.finish();
}

fn caveats(stage: &Stage) {
    let bought = Bought::new(stage);
    let good = bought.macaroon();
    let bad = [
        "colour=red",
        "services=gold:0",
        "no equals sign",
        "",
        "path=/paid/b",
        "origin=elsewhere",
        "server=elsewhere",
        "route=/paid/b",
        "method=POST",
        "realm=other",
        "valid_until=99999999999",
        "valid_until=soon",
        "uses=0",
        "amount_msat=lots",
        "preimage=00",
        "Path=/paid/a",
    ];
    for caveat in bad {
        bought.refused(&bought.with(&good.clone().with(caveat)));
    }
    bought.refused(&bought.with(&good.clone().with_third_party("ask somebody else")));
    let spent = good.clone().with("uses=1").with("uses=unlimited");
    bought.refused(&bought.with(&spent));
    let contradicted = good.with(&format!("preimage={}", "11".repeat(32)));
    bought.refused(&bought.with(&contradicted));
    bought.finish();
}

fn preimages(stage: &Stage) {
    let bought = Bought::new(stage);
    let with = |preimage: &str| bought.challenge.paid_with(preimage);
    let text = bought.refused(&with(&"ab".repeat(48)));
    assert!(text.contains("32 bytes of hex") && text.contains("48"), "{text}");
    let text = bought.refused(&with(&"ab".repeat(31)));
    assert!(text.contains("32 bytes of hex") && text.contains("31"), "{text}");
    let text = bought.refused(&with(&"zz".repeat(32)));
    assert!(text.contains("32 bytes"), "{text}");
    let text = bought.refused(&with(&data_encoding::BASE64.encode(&[1; 32])));
    assert!(text.contains("32 bytes"), "{text}");
    bought.refused(&with(&"ab".repeat(32)));
    bought.refused(&with(&bought.preimage[..63]));
    bought.refused(&with(""));
    // The payment hash is public.
    bought.refused(&with(&bought.macaroon().payment_hash()));
    bought.finish();
}

fn path_and_method(stage: &Stage) {
    let bought = Bought::new(stage);
    let credential = bought.challenge.paid_with(&bought.preimage);
    let offered = |request: Request| bought.nginx.send(&request.paid(&credential)).stale();
    for path in ["/paid/b", "/paid/", "/paid/a/", "/paid/A"] {
        assert_eq!(
            offered(Request::get(path)),
            "the token is for another path; this buys one for this request"
        );
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let reason = offered(Request::new(method, "/paid/a"));
        assert_eq!(reason, "the token is for another method; this buys one for this request");
    }
    bought.nginx.get_paid("/paid/a", &credential).expect(200);
}

fn too_much(stage: &Stage) {
    let bought = Bought::new(stage);
    let pair = format!("{}:{}", bought.challenge.token, "00".repeat(32));
    bought.refused(&format!("L402 {}", [pair.as_str(); 12].join(",")));
    let mut heavy = bought.macaroon();
    for _ in 0..40 {
        heavy = heavy.with("path=/paid/a");
    }
    bought.refused(&bought.with(&heavy));
    let mut large = bought.macaroon();
    large = large.with(&format!("path=/{}", "x".repeat(4000)));
    bought.refused(&bought.with(&large));
    bought.finish();
}
