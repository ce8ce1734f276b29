//! Many at once: exactly what was paid for, and nothing for those who paid nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::http::{Connection, Request, Response};
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::upstream::Upstream;
use crate::harness::wait::at_once;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("race::one_single_use", one_single_use),
    Scenario::on_nodes("race::three_uses", three_uses),
    Scenario::on_nodes("race::auto_detect", auto_detect),
    Scenario::on_nodes("race::two_forms", two_forms),
    Scenario::on_nodes("race::two_nginx_on_one_state", two_nginx_on_one_state),
    Scenario::on_nodes("race::unpaid_never_reach_the_upstream", unpaid_never_reach_the_upstream),
];

fn granted(answers: &[Response]) -> usize {
    for answer in answers {
        assert!(matches!(answer.status, 200 | 402), "{}: {}", answer.status, answer.text());
    }
    answers.iter().filter(|answer| answer.status == 200).count()
}

/// 500 copies over four workers: one 200, and everybody else is asked to pay.
fn one_single_use(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    let request = Request::get("/paid/a").paid(nginx.buy("/paid/a"));
    let answers = at_once(500, |_| nginx.send(&request));
    assert_eq!(granted(&answers), 1);
    assert_eq!(upstream.hits(), 1);
}

fn three_uses(stage: &Stage) {
    let nginx = stage.paid_site("l402_max_uses 3;");
    let request = Request::get("/paid/a").paid(nginx.buy("/paid/a"));
    let answers = at_once(50, |_| nginx.send(&request));
    assert_eq!(granted(&answers), 3);
    assert_eq!(nginx.send(&request).status, 402);
}

fn auto_detect(stage: &Stage) {
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    let challenge = nginx.get("/paid/a").challenge();
    stage.pay(&challenge);
    let request = Request::get("/paid/a").paid(challenge.alone());
    let answers = at_once(50, |_| nginx.send(&request));
    assert_eq!(granted(&answers), 1);
}

/// One payment, a classic credential and a look-up at the same time.
fn two_forms(stage: &Stage) {
    let nginx = stage.paid_site("l402_auto_detect_payment on;");
    for _ in 0..5 {
        let challenge = nginx.get("/paid/a").challenge();
        let forms = [stage.buy(&challenge), challenge.alone()];
        let answers = at_once(8, |number| nginx.get_paid("/paid/a", &forms[number % 2]));
        assert_eq!(granted(&answers), 1);
    }
}

/// Two instances of nginx, each with an l402d of its own, on one state directory: one payment, one 200.
fn two_nginx_on_one_state(stage: &Stage) {
    let state = stage.dir().join("state");
    let both = [(); 2].map(|()| stage.site().state_in(&state).paid("").start());
    for round in 0..5 {
        let request = Request::get("/paid/a").paid(both[round % 2].buy("/paid/a"));
        let answers = at_once(16, |number| both[number % 2].send(&request));
        assert_eq!(granted(&answers), 1);
    }
}

/// 10 000 requests that pay nothing (1 000 where each invoice is a real node's): with and without bodies, on fresh and
/// kept connections, with bad credentials, beside clients that are slow.
fn unpaid_never_reach_the_upstream(stage: &Stage) {
    let upstream = Upstream::start();
    let nginx = stage.paid_site(&format!("proxy_pass http://{};", upstream.address()));
    let challenge = nginx.get("/paid/a").challenge();
    let forged = challenge.paid_with(&"00".repeat(32));
    let sent = AtomicUsize::new(1);
    let rounds = if stage.node().sim().is_some() { 1250 } else { 125 };
    // Their bodies never come to an end.
    let mut slow: Vec<_> = (0..16)
        .map(|_| {
            let mut client = nginx.connect();
            client.write(&Request::post("/paid/a", "0123456789").head()).unwrap();
            client
        })
        .collect();
    at_once(8, |client| {
        let mut kept = nginx.connect();
        for round in 0..rounds {
            let request = match (client + round) % 5 {
                0 => Request::get("/paid/a"),
                1 => Request::post("/paid/a", vec![b'x'; 3000]),
                2 => Request::get("/paid/a").paid(&forged),
                3 => Request::post("/paid/a", "x").paid(&forged),
                _ => Request::new("HEAD", "/paid/a"),
            };
            let answer = match round % 4 {
                0..=2 => kept.exchange(&request),
                _ => Request::send(&request, nginx.address()),
            };
            assert!(matches!(answer.status, 401 | 402), "{}: {}", answer.status, answer.text());
            sent.fetch_add(1, Ordering::Relaxed);
            if answer.header("Connection") == Some("close") {
                kept = Connection::open(nginx.address()).unwrap();
            }
        }
    });
    assert_eq!((sent.load(Ordering::Relaxed), upstream.hits()), (8 * rounds + 1, 0));
    for client in &mut slow {
        client.write(b"01234").unwrap();
        client.read("POST").unwrap().challenge();
    }
    assert_eq!(upstream.hits(), 0);
    nginx.get_paid("/paid/a", &stage.buy(&challenge)).expect(200);
    assert_eq!(upstream.hits(), 1);
}
