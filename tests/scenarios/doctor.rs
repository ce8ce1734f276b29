//! `l402 doctor` beside an nginx that sells: it asks the l402d that nginx started, which alone knows the configuration.

use std::process::{Command, Output};

use lnsim::{Fault, Method};

use crate::harness::nginx::Nginx;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wallet::block;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("doctor::what_nginx_configured", what_nginx_configured),
    Scenario::on_simulator("doctor::what_is_wrong", what_is_wrong),
];

/// The environment's backend, and one of a block.
fn site(stage: &Stage) -> Nginx<'_> {
    stage.site().http(&block("spare", &stage.wallet().keys(), "")).paid("l402_backend default spare;").start()
}

/// With no wallet in its own environment.
fn doctor(stage: &Stage, nginx: &Nginx<'_>) -> Output {
    let mut command = Command::new(stage.built("l402"));
    command.env_clear().arg("doctor").arg("--state-dir").arg(nginx.dir().join("state"));
    command.output().expect("the program")
}

fn what_nginx_configured(stage: &Stage) {
    let nginx = site(stage);
    nginx.get("/paid/a").challenge();
    let output = doctor(stage, &nginx);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for part in ["backend default (LND)", "backend spare (LND)", "CancelInvoice: the invoice is taken back"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(said.ends_with("all is well\n") && !said.contains("FAILED"), "{said}");
    for secret in stage.wallet().secrets() {
        assert!(!said.contains(&secret), "{said}");
    }
}

/// It fails, says whose turn it is, and nginx sells on.
fn what_is_wrong(stage: &Stage) {
    let nginx = site(stage);
    let challenge = nginx.get("/paid/a").challenge();
    stage.sim().fault(Fault::refuse(2, "permission denied").at(Method::SubscribeInvoices));
    let output = doctor(stage, &nginx);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("FAILED   push        SubscribeInvoices: "), "{said}");
    assert!(said.contains("the macaroon lacks invoices:read") && said.contains("-> yours to mend"), "{said}");
    stage.sim().clear_faults();
    let credential = stage.buy(&challenge);
    nginx.get_paid("/paid/a", &credential).expect(200);
}
