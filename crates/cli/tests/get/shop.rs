//! A shop for the tests: a few lines of HTTP over a real socket, selling what lnsim's invoices pay for.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use l402::challenge::{Challenge, error_header};
use l402::credential::{self, Found};
use l402::{Identifier, Macaroon, Origin, PaymentHash, Place, RootKey, Scope, Terms, TokenId, Uses};
use lnsim::{InvoiceSpec, Sim, State};

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// How the shop behaves, besides what the path says.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// msat; zero makes invoices without an amount.
    pub price: u64,
    /// The token is for another payment than the invoice.
    pub mismatched: bool,
    /// Refuses every token with 402.
    pub greedy: bool,
    /// Refuses every token with 401.
    pub forgetful: bool,
    /// Answers tokens with 500.
    pub broken: bool,
    /// Takes a macaroon alone if its invoice is settled, but only from so many requests with it on.
    pub auto_detect_after: Option<usize>,
    /// Answers a macaroon alone with a new challenge.
    pub fresh_for_alone: bool,
    /// Writes the challenge with this instead of its own form.
    pub challenge: Option<fn(&str, &str) -> String>,
}

/// The shop: `/once/…` sells one use, `/free` costs nothing, `/realm/…` sells the realm gold without limit, `/to?URL`
/// redirects, anything else is sold without limit.
pub struct Shop {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    /// Serves until the shop closes; what it holds of the simulator ends with it.
    server: Option<JoinHandle<()>>,
}

struct Inner {
    sim: Arc<Sim>,
    root: RootKey,
    manner: Mutex<Manner>,
    spent: Mutex<HashSet<PaymentHash>>,
    alone: Mutex<usize>,
    seen: Mutex<Vec<Seen>>,
    closing: AtomicBool,
}

impl Shop {
    pub fn open(sim: Arc<Sim>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            sim,
            root: RootKey::from_material(&[5; 32]).unwrap(),
            manner: Mutex::new(manner),
            spent: Mutex::default(),
            alone: Mutex::default(),
            seen: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        let shared = inner.clone();
        let server = thread::spawn(move || {
            thread::scope(|scope| {
                for stream in listener.incoming() {
                    if shared.closing.load(Ordering::SeqCst) {
                        return;
                    }
                    let (stream, shop) = (stream.unwrap(), &shared);
                    scope.spawn(move || shop.serve(stream));
                }
            });
        });
        Self { address, inner, server: Some(server) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn manner(&self, edit: impl FnOnce(&mut Manner)) {
        edit(&mut self.inner.manner.lock().unwrap());
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.inner.closing.store(true, Ordering::SeqCst);
        // Wakes the server, which sees that it is to end.
        let _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

impl Inner {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").map_or(0, |value| value.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let request = Seen { method, path, headers, body };
        self.seen.lock().unwrap().push(request.clone());
        let (status, header, text) = self.answer(&request);
        let length = text.len();
        let head =
            format!("HTTP/1.1 {status} X\r\n{header}Connection: close\r\nContent-Length: {length}\r\n\r\n");
        let mut stream = stream;
        // A client that has gone is no matter of the shop.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(text.as_bytes()));
    }

    fn answer(&self, request: &Seen) -> (u16, String, String) {
        let manner = self.manner.lock().unwrap().clone();
        if let Some((_, target)) = request.path.split_once("/to?") {
            return (302, format!("Location: {target}\r\n"), String::new());
        }
        if request.path == "/free" {
            return (200, String::new(), "free\n".into());
        }
        let token = request.headers.get("authorization").map(|value| credential::parse(value.as_bytes()));
        let Some(Found::Tokens(mut tokens)) = token else { return self.challenge(request, &manner) };
        let credential = tokens.remove(0).unwrap();
        let hash = credential.payment_hash();
        if manner.greedy {
            return self.challenge(request, &manner);
        }
        if manner.forgetful {
            let error = error_header("the token was signed with a key that is gone");
            return (401, format!("WWW-Authenticate: {error}\r\n"), String::new());
        }
        assert!(credential.macaroon.verify_signature(&self.root));
        let Some(Ok(preimage)) = credential.preimage else {
            if manner.fresh_for_alone {
                return self.challenge(request, &manner);
            }
            return self.alone(&hash, &credential.macaroon, &manner);
        };
        assert!(preimage.matches(&hash));
        if request.path.starts_with("/once") && !self.spent.lock().unwrap().insert(hash) {
            return self.challenge(request, &manner);
        }
        if manner.broken {
            return (500, String::new(), "broken\n".into());
        }
        (200, "X-Shop: open\r\n".into(), format!("bought by {}\n", request.method))
    }

    /// A macaroon without its preimage.
    fn alone(&self, hash: &PaymentHash, macaroon: &Macaroon, manner: &Manner) -> (u16, String, String) {
        let Some(after) = manner.auto_detect_after else {
            let error = error_header("a preimage is needed");
            return (401, format!("WWW-Authenticate: {error}\r\n"), String::new());
        };
        let mut alone = self.alone.lock().unwrap();
        *alone += 1;
        let invoice = self.sim.invoice(&hash.0).unwrap();
        if *alone > after && invoice.state == State::Settled {
            return (200, String::new(), "looked up\n".into());
        }
        let macaroon_b64 = macaroon.to_base64();
        let value =
            Challenge { macaroon_b64: &macaroon_b64, invoice: &invoice.bolt11, offer: None, error: None }
                .header_value();
        (402, format!("WWW-Authenticate: {value}\r\n"), String::new())
    }

    fn challenge(&self, request: &Seen, manner: &Manner) -> (u16, String, String) {
        let spec = InvoiceSpec {
            amount_msat: manner.price,
            memo: "goods".into(),
            expiry_s: 600,
            ..Default::default()
        };
        let invoice = self.sim.create(spec).unwrap();
        let hash = if manner.mismatched { PaymentHash([1; 32]) } else { PaymentHash(invoice.hash) };
        let path = request.path.split('?').next().unwrap();
        let scope = if path.starts_with("/realm/") {
            Scope::Realm { name: "gold", shared: false }
        } else {
            Scope::Request
        };
        let uses = if path.starts_with("/once") { Uses::Limited(1) } else { Uses::Unlimited };
        let origin = Origin { name: b"shop.test", names: None, port: None };
        let place = Place { origin, path: path.as_bytes(), method: &request.method, route: None };
        let terms = Terms { place, scope, valid_until: None, uses, amount: None };
        let identifier = Identifier::new(hash, TokenId::new(self.root.id(), [9; 28]));
        let token = Macaroon::mint(&self.root, &identifier, "shop.test", terms.caveats()).to_base64();
        let value = match manner.challenge {
            Some(form) => form(&token, &invoice.bolt11),
            None => Challenge { macaroon_b64: &token, invoice: &invoice.bolt11, offer: None, error: None }
                .header_value(),
        };
        (402, format!("WWW-Authenticate: {value}\r\n"), "pay first\n".into())
    }
}
