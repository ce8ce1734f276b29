//! The variables: in logs, in `map`, in headers to the upstream and to the client.

use crate::harness::http::Request;
use crate::harness::scenario::Scenario;
use crate::harness::site::PRICE_MSAT;
use crate::harness::stage::Stage;
use crate::harness::upstream::Upstream;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("variables::access_log", access_log),
    Scenario::on_nodes("variables::to_the_upstream", to_the_upstream),
    Scenario::on_nodes("variables::in_map_and_headers", in_map_and_headers),
];

fn access_log(stage: &Stage) {
    let site = stage.site();
    let log = site.dir().join("l402.log");
    let nginx = site
        .http("log_format l402 '$l402_status $l402_payment_hash $l402_token_id $l402_amount_msat $l402_remaining_uses';")
        .server(&format!("access_log {} l402;", log.display()))
        .paid("l402_max_uses 2; l402_auto_detect_payment on;")
        .start();
    let mut lines = 0;
    let mut line = || {
        lines += 1;
        wait::until("a line of the access log", || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.lines().nth(lines - 1).map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        })
    };
    let challenge = nginx.get("/paid/a").challenge();
    let (hash, token) = (challenge.macaroon().payment_hash(), challenge.macaroon().token_id());
    let price = PRICE_MSAT.to_string();
    assert_eq!(line(), ["challenged", &hash, &token, &price, "-"]);
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    assert_eq!(line(), ["unpaid", &hash, &token, &price, "-"]);
    let credential = stage.buy(&challenge);
    nginx.get_paid("/paid/a", &credential).expect(200);
    assert_eq!(line(), ["granted", &hash, &token, &price, "1"]);
    nginx.get_paid("/paid/a", &credential).expect(200);
    assert_eq!(line(), ["granted", &hash, &token, &price, "0"]);
    let fresh = nginx.get_paid("/paid/a", &credential).challenge();
    let said = line();
    assert_eq!((said[0].as_str(), &said[1]), ("challenged", &fresh.macaroon().payment_hash()));
    nginx.get_paid("/paid/b", &credential).stale();
    assert_eq!(line()[0], "challenged");
    nginx.get_paid("/paid/b", "L402 rubbish").refusal();
    assert_eq!(line()[0], "refused");
    nginx.get("/free/a").expect(200);
    assert_eq!(line(), ["-", "-", "-", "-", "-"]);
}

fn to_the_upstream(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!(
        "proxy_set_header X-Status $l402_status; proxy_set_header X-Hash $l402_payment_hash; \
         proxy_set_header X-Amount $l402_amount_msat; proxy_set_header X-Token $l402_token_id; \
         proxy_set_header X-Left $l402_remaining_uses; proxy_pass http://{};",
        upstream.address()
    ));
    let challenge = nginx.get("/paid/a").challenge();
    // What a client claims about itself does not get through.
    let request = Request::get("/paid/a").paid(stage.buy(&challenge)).header("X-Hash", "mine");
    nginx.send(&request).expect(200);
    let seen = &upstream.seen()[0];
    assert_eq!(seen.header("X-Status"), Some("granted"));
    assert_eq!(seen.header("X-Hash"), Some(challenge.macaroon().payment_hash().as_str()));
    assert_eq!(seen.header("X-Token"), Some(challenge.macaroon().token_id().as_str()));
    assert_eq!(seen.header("X-Amount"), Some(PRICE_MSAT.to_string().as_str()));
    assert_eq!(seen.header("X-Left"), Some("0"));
}

fn in_map_and_headers(stage: &Stage) {
    let nginx = stage
        .site()
        .http("map $l402_status $said { default other; granted thanks; challenged please; refused sorry; }")
        .paid("l402_indefinite_access on; add_header X-Said $said always; add_header X-Left \"$l402_remaining_uses\" always;")
        .start();
    let answer = nginx.get("/paid/a");
    assert_eq!(answer.header("X-Said"), Some("please"));
    let credential = stage.buy(&answer.challenge());
    let answer = nginx.get_paid("/paid/a", &credential).expect(200);
    assert_eq!((answer.header("X-Said"), answer.header("X-Left")), (Some("thanks"), None));
    let answer = nginx.get_paid("/paid/b", "L402 rubbish");
    answer.refusal();
    assert_eq!(answer.header("X-Said"), Some("sorry"));
}
