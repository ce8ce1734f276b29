//! Connections: kept, pipelined, HTTP/2, and clients that leave.

use lnsim::{Fault, FaultKind, Method};

use crate::harness::curl::http2;
use crate::harness::http::Request;
use crate::harness::process::{self, Signal};
use crate::harness::scenario::Scenario;
use crate::harness::site::content;
use crate::harness::stage::Stage;
use crate::harness::upstream::Upstream;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("transport::keep_alive", keep_alive),
    Scenario::on_nodes("transport::pipelining", pipelining),
    Scenario::on_nodes("transport::http2", http_2),
    Scenario::on_simulator("transport::client_leaves_while_suspended", client_leaves_while_suspended),
    Scenario::on_simulator("transport::client_leaves_during_redemption", client_leaves_during_redemption),
    Scenario::on_simulator("transport::many_leave_at_once", many_leave_at_once),
    Scenario::on_simulator("transport::body_arrives_while_suspended", body_arrives_while_suspended),
    Scenario::on_simulator("transport::http2_reset_while_suspended", http2_reset_while_suspended),
];

fn keep_alive(stage: &Stage) {
    let nginx = stage.paid_site("l402_max_uses 5;");
    let mut kept = nginx.connect();
    let challenge = kept.exchange(&Request::get("/paid/a")).challenge();
    let credential = stage.buy(&challenge);
    for _ in 0..5 {
        let answer = kept.exchange(&Request::get("/paid/a").paid(&credential)).expect(200);
        assert_eq!(answer.text(), content("paid/a"));
        kept.exchange(&Request::get("/free/a")).expect(200);
        kept.exchange(&Request::get("/paid/b").paid(&credential)).stale();
    }
    kept.exchange(&Request::get("/paid/a").paid(&credential)).challenge();
}

fn pipelining(stage: &Stage) {
    let nginx = stage.paid_site("l402_max_uses 2;");
    let credential = nginx.buy("/paid/a");
    let paid = Request::get("/paid/a").paid(&credential);
    let asked = [
        Request::get("/free/a"),
        Request::get("/paid/b"),
        paid.clone(),
        Request::get("/paid/b"),
        Request::post("/paid/b", "some body"),
        paid.clone(),
        Request::get("/free/a"),
        paid,
    ];
    let mut line = nginx.connect();
    line.write(&asked.iter().flat_map(Request::bytes).collect::<Vec<_>>()).unwrap();
    let mut read = |method| line.read(method).unwrap();
    assert_eq!(read("GET").expect(200).text(), content("free/a"));
    let first = read("GET").challenge();
    assert_eq!(read("GET").expect(200).text(), content("paid/a"));
    let second = read("GET").challenge();
    assert_ne!(first.invoice, second.invoice);
    let third = read("POST").challenge();
    assert!(third.macaroon().texts().contains(&"method=POST".to_owned()));
    assert_eq!(read("GET").expect(200).text(), content("paid/a"));
    assert_eq!(read("GET").expect(200).text(), content("free/a"));
    read("GET").challenge();
}

fn http_2(stage: &Stage) {
    let nginx = stage.site().with_http2().paid("").start();
    let to = nginx.second_address();
    let challenge = http2(to, "/paid/a", &[]).challenge();
    let credential = format!("Authorization: {}", stage.buy(&challenge));
    let answer = http2(to, "/paid/a", &[&credential]).expect(200);
    assert_eq!(answer.text(), content("paid/a"));
    http2(to, "/paid/a", &[&credential]).challenge();
    http2(to, "/paid/b", &[&credential]).stale();
    http2(to, "/free/a", &[]).expect(200);
}

/// The node hangs, the client gives up: its request ends, the worker is free, and the next client is served.
fn client_leaves_while_suspended(stage: &Stage) {
    let sim = stage.sim();
    let mut nginx = stage.paid_site("");
    nginx.get("/paid/a").challenge();
    sim.fault(Fault::hang().at(Method::AddInvoice).times(1));
    let mut client = nginx.connect();
    client.write(&Request::get("/paid/a").bytes()).unwrap();
    sim.wait_for_calls(Method::AddInvoice, 2).unwrap();
    client.leave();
    nginx.wait_for_error("client prematurely closed connection", 0);
    wait::until("the request's end", || nginx.access_log().contains(" 499 ").then_some(()));
    nginx.get("/paid/a").challenge();
    nginx.end(Signal::QUIT);
}

/// The client leaves between its redemption and the grant: nothing was served, so nothing is drawn.
fn client_leaves_during_redemption(stage: &Stage) {
    let sim = stage.sim();
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    let challenge = nginx.get("/paid/a").challenge();
    let before = sim.calls(Method::LookupInvoice);
    nginx.reload(); // l402d's memory of the invoice goes; it has to look up
    // As it does once by itself, to see how the node is.
    let before = sim.wait_for_calls(Method::LookupInvoice, before + 1).expect("the new l402d");
    sim.fault(FaultKind::PushSilent);
    stage.pay(&challenge);
    sim.fault(Fault::hang().at(Method::LookupInvoice).times(1));
    let mut client = nginx.connect();
    client.write(&Request::get("/paid/a").paid(challenge.alone()).bytes()).unwrap();
    sim.wait_for_calls(Method::LookupInvoice, before + 1).unwrap();
    client.leave();
    wait::until("the request's end", || nginx.access_log().contains(" 499 ").then_some(()));
    wait::until("a look-up to see the payment", || {
        (nginx.get_paid("/paid/a", &challenge.alone()).status == 200).then_some(())
    });
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
}

fn many_leave_at_once(stage: &Stage) {
    let sim = stage.sim();
    let mut nginx = stage.paid_site("");
    nginx.get("/paid/a").challenge();
    stage.wait_for_connections(4);
    let open = || nginx.workers().into_iter().map(|pid| process::open_files(pid).len()).sum::<usize>();
    let before = open();
    sim.fault(Fault::hang().at(Method::AddInvoice));
    let request = Request::get("/paid/a").bytes();
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut client = nginx.connect();
            client.write(&request).unwrap();
            client
        })
        .collect();
    sim.wait_for_calls(Method::AddInvoice, 51).unwrap();
    nginx.get("/free/a").expect(200);
    for client in clients {
        client.leave();
    }
    let ended = || nginx.access_log().matches(" 499 ").count();
    wait::until("all requests' ends", || (ended() == 50).then_some(()));
    wait::until("the sockets' ends", || (open() <= before).then_some(()));
    sim.clear_faults();
    nginx.get("/paid/a").challenge();
    nginx.end(Signal::QUIT);
}

/// While the request waits for l402d its body comes in; when it is granted the body is all there.
fn body_arrives_while_suspended(stage: &Stage) {
    let sim = stage.sim();
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    nginx.get("/paid/a").challenge();
    sim.fault(Fault::delay(500).at(Method::AddInvoice).times(1));
    let body = vec![b'b'; 100_000];
    let post = Request::post("/paid/a", body.clone());
    let mut client = nginx.connect();
    client.write(&post.bytes()).unwrap();
    let challenge = client.read("POST").unwrap().challenge();
    assert_eq!(upstream.hits(), 0);
    nginx.send(&post.paid(stage.buy(&challenge))).expect(200);
    assert_eq!(upstream.seen()[0].body, body);
}

fn http2_reset_while_suspended(stage: &Stage) {
    let sim = stage.sim();
    let mut nginx = stage.site().with_http2().paid("").start();
    let to = nginx.second_address();
    http2(to, "/paid/a", &[]).challenge();
    sim.fault(Fault::hang().at(Method::AddInvoice).times(1));
    let mut curl = std::process::Command::new("curl")
        .args(["--silent", "--http2-prior-knowledge", &format!("http://{to}/paid/a")])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    sim.wait_for_calls(Method::AddInvoice, 2).unwrap();
    curl.kill().unwrap();
    curl.wait().unwrap();
    wait::until("the request's end", || nginx.access_log().contains(" 499 ").then_some(()));
    http2(to, "/paid/a", &[]).challenge();
    nginx.end(Signal::QUIT);
}
