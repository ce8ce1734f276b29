//! The configuration of the README, to the letter but for its ports.

use std::fs;

use crate::harness::http::Request;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::upstream::Upstream;

pub const ALL: &[Scenario] = &[Scenario::on_simulator("documented::readme", readme)];

fn readme(stage: &Stage) {
    let text = fs::read_to_string(crate::repository().join("README.md")).expect("the README");
    let (_, block) = text.split_once("```nginx\n").expect("a configuration");
    let (block, _) = block.split_once("```").expect("its end");
    assert!(block.starts_with("load_module modules/ngx_http_l402_module.so;\n"), "{block}");
    let (_, server) = block.split_once("    server {\n").expect("a server");
    let (server, _) = server.split_once("\n    }\n").expect("its end");
    let (site, upstream) = (stage.site(), Upstream::start());
    let address = site.second_address();
    let server = server
        .replace("listen 8080;", &format!("listen {address};"))
        .replace("127.0.0.1:3000", &upstream.address().to_string());
    let nginx = site.http(&format!("server {{\n{server}\n}}")).start();
    let request = Request::get("/article/1").host("shop.example");
    let challenge = request.send(address).challenge();
    assert_eq!(challenge.amount_msat(), 10_000);
    let credential = stage.buy(&challenge);
    request.clone().paid(&credential).send(address).expect(200);
    assert!(request.paid(&credential).send(address).stale().contains("used up"));
    assert_eq!(upstream.seen()[0].header("Authorization"), None);
    drop(nginx);
}
