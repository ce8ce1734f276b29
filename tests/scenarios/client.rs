//! `l402`, the client that comes with the module, as a user runs it.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::site::{PRICE_MSAT, content};
use crate::harness::stage::Stage;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("client::pays_and_keeps", pays_and_keeps),
    Scenario::on_nodes("client::auto_detect", auto_detect),
    Scenario::on_nodes("client::budget", budget),
    Scenario::on_nodes("client::inspects", inspects),
];

/// `l402` with these arguments, and no environment but a home of its own.
fn l402(stage: &Stage, arguments: &[&str]) -> Output {
    let mut command = Command::new(stage.built("l402"));
    command.env_clear().env("HOME", stage.dir()).args(arguments);
    command.output().expect("l402 can be run")
}

/// `l402 get` with the node's payer.
fn get(stage: &Stage, nginx: &Nginx<'_>, path: &str, more: &[&str]) -> Output {
    let (address, certificate, macaroon) = stage.node().payer();
    let tokens = stage.dir().join("tokens.json");
    let (address, url) = (address.to_string(), format!("http://{}{path}", nginx.address()));
    let paths = [certificate, macaroon, tokens].map(|path| path.to_string_lossy().into_owned());
    let wallet = ["--lnd-address", &address, "--lnd-cert", &paths[0], "--lnd-macaroon", &paths[1]];
    let arguments = ["get"].into_iter().chain(wallet).chain(["--tokens", &paths[2]]);
    l402(stage, &arguments.chain(more.iter().copied()).chain([url.as_str()]).collect::<Vec<_>>())
}

#[track_caller]
fn body(output: &Output) -> String {
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn pays_and_keeps(stage: &Stage) {
    let nginx = stage.paid_site("l402_max_uses 2;");
    let max = PRICE_MSAT.to_string();
    for paid in [1, 1, 2] {
        let output = get(stage, &nginx, "/paid/a", &["--max-msat", &max]);
        assert_eq!(body(&output), content("paid/a"));
        stage.assert_invoices(paid);
    }
    assert_eq!(body(&get(stage, &nginx, "/free/a", &["--max-msat", "0"])), content("free/a"));
}

fn auto_detect(stage: &Stage) {
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    let output = get(stage, &nginx, "/paid/a", &["--max-msat", "20000", "--auto-detect"]);
    assert_eq!(body(&output), content("paid/a"));
}

fn budget(stage: &Stage) {
    let nginx = stage.paid_site("");
    let output = get(stage, &nginx, "/paid/a", &["--max-msat", "9999"]);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("9999") && said.contains("10000"), "{said}");
}

fn inspects(stage: &Stage) {
    let nginx = stage.paid_site("");
    let answer = nginx.get("/paid/a");
    let challenge = answer.challenge();
    let header = answer.header("WWW-Authenticate").unwrap();
    let hash = challenge.macaroon().payment_hash();
    for what in [header, &challenge.token, &challenge.invoice] {
        let said = body(&l402(stage, &["inspect", what]));
        assert!(said.contains(&hash), "{said}");
        let said = body(&l402(stage, &["inspect", "--json", what]));
        assert!(serde_json::from_str::<Value>(&said).unwrap().to_string().contains(&hash), "{said}");
    }
}
