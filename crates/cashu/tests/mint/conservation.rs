//! The books: over random payments, kills at every step, outages, restarts and mints that misbehave, what clients paid is what there
//! is.
//!
//! The till runs in a process of its own, which is told what to do by lines of JSON and killed at steps that it logs.
//! `ECASH_PAYMENTS` says how many payments there are, `ECASH_SEED` which.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ecash::{
    AcceptError, InvoiceFuture, Invoices, Lock, MeltTerms, Options, RequestFormat, SecretKey, SeedSource,
    Terms, Till,
};
use serde_json::{Value, json};

use crate::rig::{FEES, FREE, OLD, Rig, repository};
use crate::rude_mint::{Act, Answer, Asked, RudeMint};
use crate::steps::{self, OF_A_PAYMENT, Step};
use crate::support::{PAYEE, Shop, mints};

const DEFAULT_PAYMENTS: u64 = 30;
const FEE_PPK: [u64; 2] = [0, 100];
const CONFIG: &str = "ECASH_TEST_BOOKS";
/// Begins a line of the child's, among those of its test harness.
const MARK: &str = "BOOKS ";
/// Proofs that these mints take in one request: a token has fewer, the wallet more after some payments.
const INPUTS_AT_MOST: usize = 25;
/// How long a token may take to be granted after all that went wrong.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn what_clients_paid_is_what_there_is() {
    if mints().is_none() {
        return;
    }
    let number = |name: &str, or: u64| std::env::var(name).map_or(or, |text| text.parse().unwrap());
    let payments = number("ECASH_PAYMENTS", DEFAULT_PAYMENTS);
    let seed = number("ECASH_SEED", 1);
    let rig = Rig::start(repository());
    // Its wallet is paid what is paid out.
    rig.start_old();
    let mut all = Tally::default();
    for locked in [false, true] {
        let mut run = Run::new(&rig, seed + u64::from(locked), locked);
        for _ in 0..payments / 2 {
            run.one();
        }
        run.close();
        all.add(&run.tally);
    }
    eprintln!("conservation, seed {seed}: {all:?}");
    assert_eq!(all.granted, payments / 2 * 2);
}

/// What happened.
#[derive(Debug, Default)]
struct Tally {
    granted: u64,
    refused: u64,
    kills: u64,
    outages: u64,
    /// Answers in a mint's place, or lost after it acted.
    rude: u64,
    restarts: u64,
    melts: u64,
    paid_sat: u64,
    in_wallet_sat: u64,
    exchanges: u64,
    redeemed_sat: u64,
    fees_sat: u64,
    swaps_of_locked: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.granted += other.granted;
        self.refused += other.refused;
        self.kills += other.kills;
        self.outages += other.outages;
        self.rude += other.rude;
        self.restarts += other.restarts;
        self.melts += other.melts;
        self.paid_sat += other.paid_sat;
        self.in_wallet_sat += other.in_wallet_sat;
        self.exchanges += other.exchanges;
        self.redeemed_sat += other.redeemed_sat;
        self.fees_sat += other.fees_sat;
        self.swaps_of_locked += other.swaps_of_locked;
    }
}

/// One till's life, over many processes.
struct Run<'a> {
    rig: &'a Rig,
    /// Before each mint.
    proxies: [RudeMint; 2],
    /// How many answers were rude.
    rude: Arc<AtomicU64>,
    shop: Shop,
    config: Value,
    child: Process,
    random: u64,
    /// Tokens that were granted, by mint, with what they buy; and their payment hashes.
    spent: Vec<(String, u64, u8)>,
    hashes: HashSet<String>,
    /// Gross and the mints' fees of what was granted, by mint, in sat.
    paid: [u64; 2],
    fees: [u64; 2],
    /// What each mint had paid out before.
    before: [u64; 2],
    tally: Tally,
}

impl<'a> Run<'a> {
    fn new(rig: &'a Rig, seed: u64, locked: bool) -> Self {
        let shop = if locked { Shop::locked(rig) } else { Shop::new(rig) };
        let options = shop.options();
        let key = options.key.as_ref().map(SecretKey::to_secret_hex);
        let proxies = [FREE, FEES].map(|mint| RudeMint::start(rig.url(mint)));
        proxies.iter().for_each(|proxy| proxy.rule(usual));
        let mints = proxies.iter().map(|proxy| proxy.url.as_str()).collect::<Vec<_>>();
        let config = json!({"database": options.database, "mints": mints, "key": key});
        let child = Process::start(&config);
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let before = [FREE, FEES].map(|mint| paid_out(rig, mint));
        let (spent, hashes, tally) = (Vec::new(), HashSet::new(), Tally::default());
        let (rude, paid, fees) = (Arc::default(), [0; 2], [0; 2]);
        Self { rig, proxies, rude, shop, config, child, random, spent, hashes, paid, fees, before, tally }
    }

    /// The same token, of the mint as it is known here.
    fn behind(&self, mint: usize, token: &str, mut more: Value) -> String {
        more["url"] = self.proxies[mint].url.as_str().into();
        self.rig.reencode(token, more)
    }

    /// From now on the next few requests of some kind are answered rudely, before the mint has acted or after.
    fn be_rude(&mut self, mint: usize) {
        let answers = rude_answers();
        let answer = answers[self.below(answers.len() as u64) as usize].clone();
        let path = PATHS[self.below(PATHS.len() as u64) as usize];
        let (acts, hangs, most) = (self.below(2) == 0, self.below(20) == 0, 1 + self.below(6));
        let (left, rude) = (AtomicU64::new(most), self.rude.clone());
        self.proxies[mint].rule(move |asked| {
            let take = |left: u64| left.checked_sub(1);
            if !asked.path.starts_with(path)
                || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err()
            {
                return usual(asked);
            }
            rude.fetch_add(1, Ordering::Relaxed);
            match (hangs, acts) {
                (true, _) => Act::Hang,
                (_, true) => Act::Replace(answer.clone()),
                (_, false) => Act::Answer(answer.clone()),
            }
        });
    }

    /// A number below `end` (xorshift64).
    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % end
    }

    /// One payment, with whatever goes wrong on its way, and something else now and then.
    fn one(&mut self) {
        let (mint, sat) = (usize::from(self.below(2) == 1), 1 + self.below(120));
        let mut kind = json!({"fees": true, "legacy": self.below(3) == 0});
        if self.config["key"].is_string() {
            kind["lock"] = self.shop.key().into();
        }
        let (token, secrets) = self.rig.token_with_secrets(mint, sat, kind);
        let token = self.behind(mint, &token, json!({}));
        let bought = self.below(3) as u8;
        let gross = ecash::Offered::parse(&token).unwrap().amount();
        if self.below(3) == 0 {
            self.be_rude(mint);
        }
        match self.below(8) {
            0 | 1 => self.kill_at(OF_A_PAYMENT[self.random as usize % OF_A_PAYMENT.len()]),
            2 => self.outage(mint, &token, sat, bought),
            3 => self.restart(),
            _ => {}
        }
        self.granted(&token, sat, bought);
        self.paid[mint] += gross;
        self.fees[mint] += (FEE_PPK[mint] * secrets.len() as u64).div_ceil(1000);
        self.spent.push((token, sat, bought));
        match self.below(8) {
            0 => self.melt(true),
            1 => self.melt(false),
            2 => self.cheat(mint),
            _ => {}
        }
    }

    /// The token's grant, now or after retries; and once more, as one whose answer was lost asks.
    fn granted(&mut self, token: &str, sat: u64, bought: u8) {
        let end = Instant::now() + PATIENCE;
        let hash = loop {
            match self.ask(&json!({"token": token, "sat": sat, "bought": bought})) {
                Some(answer) if answer["paid"].is_string() => {
                    break answer["paid"].as_str().unwrap().to_owned();
                }
                // Killed, or its mint is not back yet, or is still at what was sent before.
                Some(answer) if answer["refused"].is_null() || answer["refused"] == "Pending" => {}
                None => {}
                Some(answer) => panic!("good ecash is refused: {answer}"),
            }
            assert!(Instant::now() < end, "no grant of a good token");
        };
        assert!(self.hashes.insert(hash.clone()), "two tokens are one payment");
        let again = self.rig.reencode(token, json!({"reverse": true}));
        let answer = self.patient(&json!({"token": again, "sat": sat, "bought": bought}));
        assert_eq!(answer["paid"], hash.as_str(), "a retry is the same payment");
        self.tally.granted += 1;
    }

    /// What must never be granted: a token for something else, a forged one, one that is spent elsewhere.
    fn cheat(&mut self, mint: usize) {
        let (token, sat, bought) = self.spent[self.random as usize % self.spent.len()].clone();
        let lock = self.config["key"].is_string().then(|| self.shop.key());
        let mut kind = json!({"fees": true});
        if let Some(key) = &lock {
            kind["lock"] = key.as_str().into();
        }
        let forged = self.behind(mint, &self.rig.token(mint, 5, kind.clone()), json!({"forge": true}));
        let mut bad = vec![(token, sat, bought + 10), (forged, 5, 0)];
        if lock.is_none() {
            let stolen = self.rig.token(mint, 9, kind);
            self.rig.spend(&stolen);
            bad.push((self.behind(mint, &stolen, json!({})), 9, 0));
        }
        for (token, sat, bought) in bad {
            let answer = self.patient(&json!({"token": token, "sat": sat, "bought": bought}));
            assert!(answer["refused"].is_string(), "{answer}");
            self.tally.refused += 1;
        }
    }

    /// The mint goes away, the token is offered meanwhile, the mint comes back.
    fn outage(&mut self, mint: usize, token: &str, sat: u64, bought: u8) {
        self.rig.control("stop", mint);
        let _ = self.ask(&json!({"token": token, "sat": sat, "bought": bought}));
        self.rig.control("start", mint);
        self.tally.outages += 1;
    }

    fn melt(&mut self, kill: bool) {
        if kill {
            let step = Step::ALL[self.random as usize % Step::ALL.len()];
            self.kill_at(step.message());
        }
        let _ = self.ask(&json!({"melt": true}));
        self.tally.melts += 1;
    }

    fn restart(&mut self) {
        self.child.kill();
        self.child = Process::start(&self.config);
        self.tally.restarts += 1;
    }

    fn kill_at(&mut self, step: &str) {
        let _ = self.ask(&json!({"kill_at": step}));
    }

    /// An answer, asked for until there is one that says something.
    fn patient(&mut self, ask: &Value) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.ask(ask) {
                Some(answer) if answer["unavailable"].is_null() && answer["refused"] != "Pending" => {
                    return answer;
                }
                Some(_) | None => assert!(Instant::now() < end, "no answer to {ask}"),
            }
        }
    }

    /// One command; `None`: the till died of it, and there is another.
    fn ask(&mut self, ask: &Value) -> Option<Value> {
        let mut next = ask.clone();
        loop {
            let Some(answer) = self.child.ask(&next) else {
                self.child.kill();
                self.child = Process::start(&self.config);
                self.tally.kills += 1;
                return None;
            };
            let Some(msat) = answer["invoice"].as_u64() else { return Some(answer) };
            let made = self.rig.ask(&json!({"do": "invoice", "mint": OLD, "amount": msat / 1000}));
            next = json!({"invoice": made["invoice"]});
        }
    }

    /// Everything comes to rest, and the books are compared with the mints'.
    fn close(&mut self) {
        self.proxies.iter().for_each(|proxy| proxy.rule(usual));
        self.tally.rude = self.rude.load(Ordering::Relaxed);
        let end = Instant::now() + PATIENCE;
        let balances = loop {
            let melted = self.patient(&json!({"melt": true}));
            let balances = self.patient(&json!({"balance": true}));
            let held = balances["mints"].as_array().unwrap().iter().any(|mint| mint["held"] != 0);
            if !held && melted["error"].is_null() {
                break balances;
            }
            assert!(Instant::now() < end, "it does not come to rest: {melted} {balances}");
        };
        for mint in [FREE, FEES] {
            let sat = |name: &str| balances["mints"][mint][name].as_u64().unwrap();
            let (wallet, redeemed, redeeming) = (sat("wallet"), sat("redeemed"), sat("fees"));
            assert_eq!(sat("lost"), 0, "mint {mint}");
            // Of what was redeemed together the mint took less.
            let (spared, swaps) = spared(&self.shop.database(), &self.proxies[mint].url);
            let fees = self.fees[mint] - spared;
            assert_eq!(
                wallet + redeemed + redeeming + fees,
                self.paid[mint],
                "mint {mint}: wallet {wallet}, redeemed {redeemed} for {redeeming}, fees {fees}"
            );
            self.tally.swaps_of_locked += swaps;
            self.tally.exchanges = self.shop.number("SELECT count(*) FROM l402_exchange WHERE open = 0");
            assert_eq!(paid_out(self.rig, mint) - self.before[mint], redeemed, "by the books of mint {mint}");
            self.tally.paid_sat += self.paid[mint];
            self.tally.in_wallet_sat += wallet;
            self.tally.redeemed_sat += redeemed;
            self.tally.fees_sat += redeeming + fees;
        }
    }
}

/// What a request may be of that is answered rudely.
const PATHS: [&str; 7] =
    ["/v1/swap", "/v1/swap", "/v1/checkstate", "/v1/restore", "/v1/key", "/v1/melt", "/v1/"];

/// What is answered in a mint's place.
fn rude_answers() -> Vec<Answer> {
    let html = [403, 404, 405, 413, 500, 502, 503].map(Answer::html);
    let long = "\n2030-01-01T00:00:00Z  INFO forged \u{1b}[31m".repeat(70_000);
    let more = [
        Answer::html(429).retry_after(1),
        Answer::html(200),
        Answer::text(403, long),
        Answer::error(0, "no"),
        Answer::json(404, &json!({"detail": "Not Found"})),
    ];
    html.into_iter().chain(more).collect()
}

/// What these mints do all the time: they take few proofs in one request, and list many keysets that they have retired.
fn usual(asked: &Asked) -> Act {
    match asked.path.as_str() {
        _ if asked.inputs() > INPUTS_AT_MOST => Act::Answer(Answer::error(11014, "Maximum inputs exceeded")),
        "/v1/keysets" => Act::Rewrite(Box::new(|told| {
            let keysets = told["keysets"].as_array_mut().unwrap();
            let retired = |number: usize| {
                let unit = ["sat", "usd"][number % 2];
                json!({"id": format!("00{number:014x}"), "unit": unit, "active": false})
            };
            drop(keysets.splice(0..0, (0..200).map(retired)));
        })),
        _ => Act::Pass,
    }
}

/// What swapping payments together has spared, in sat, and how many swaps that were.
fn spared(database: &Path, mint: &str) -> (u64, u64) {
    let wallet = rusqlite::Connection::open(database).unwrap();
    let bundles =
        "SELECT coalesce(sum(net - (SELECT sum(net) FROM l402_payment WHERE bundle = l402_bundle.id)), 0),
                          count(*) FROM l402_bundle WHERE mint = ? AND open = 0";
    wallet.query_row(bundles, [mint], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// What a mint has paid by its own books, in sat.
fn paid_out(rig: &Rig, mint: usize) -> u64 {
    rig.ask(&json!({"do": "paid_out", "mint": mint}))["amount"].as_u64().unwrap()
}

/// The till's process.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(config: &Value) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "conservation::the_process_that_is_killed", "--ignored", "--nocapture"])
            .env(CONFIG, config.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// `None`: it is dead.
    fn ask(&mut self, ask: &Value) -> Option<Value> {
        writeln!(self.input, "{ask}").ok()?;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some((_, answer)) = line.split_once(MARK) {
                return Some(serde_json::from_str(answer).unwrap());
            }
        }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn say(answer: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{answer}").unwrap();
    out.flush().unwrap();
}

fn read() -> Option<Value> {
    let mut line = String::new();
    (std::io::stdin().lock().read_line(&mut line).unwrap() > 0).then(|| serde_json::from_str(&line).unwrap())
}

/// Asks the parent for invoices.
struct Parent;

impl Invoices for Parent {
    fn invoice<'a>(&'a self, _: &'a str, amount_msat: u64) -> InvoiceFuture<'a> {
        say(&json!({"invoice": amount_msat}));
        Box::pin(async {
            let answer = read().ok_or("the parent is gone")?;
            answer["invoice"].as_str().map(str::to_owned).ok_or_else(|| "no invoice".to_owned())
        })
    }
}

/// No test by itself: the other half of the one above.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above, in a process of its own"]
async fn the_process_that_is_killed() {
    let Ok(config) = std::env::var(CONFIG) else { return };
    let config: Value = serde_json::from_str(&config).unwrap();
    let database = PathBuf::from(config["database"].as_str().unwrap());
    let key = config["key"].as_str().map(|hex| SecretKey::from_hex(hex).unwrap());
    let locked = key.is_some();
    let urls: Vec<String> = serde_json::from_value(config["mints"].clone()).unwrap();
    let terms = Terms {
        mints: urls.iter().map(|url| url.parse().unwrap()).collect(),
        lock: key.as_ref().map_or(Lock::None, |key| Lock::Key(key.public_key())),
        require_dleq: false,
        format: RequestFormat::A,
    };
    let seed = SeedSource::Kept(database.with_extension("mnemonic"));
    // Some answers never come.
    let deadline = Duration::from_secs(10);
    let (keep_s, max_held_sat, ledger) = (0, 0, None);
    let till = Till::open(Options { database, seed, terms, key, deadline, keep_s, max_held_sat, ledger })
        .await
        .unwrap();
    while let Some(ask) = read() {
        if let Some(step) = ask["kill_at"].as_str() {
            steps::kill_at(step.to_owned());
            say(&json!({}));
        } else if ask["melt"] == true {
            let done = till.redeem(&MeltTerms::default(), &Parent).await.unwrap();
            let error = done.into_iter().find_map(|done| done.error).map(|error| error.to_string());
            steps::spare();
            say(&json!({"error": error}));
        } else if ask["balance"] == true {
            let all = till.balance().await.unwrap().into_iter().map(|mint| {
                json!({
                    "wallet": mint.wallet_sat, "held": mint.held_sat, "redeemed": mint.redeemed_sat,
                    "fees": mint.redemption_fees_sat, "lost": mint.lost_sat,
                })
            });
            say(&json!({"mints": all.collect::<Vec<_>>()}));
        } else {
            let (token, sat) = (ask["token"].as_str().unwrap(), ask["sat"].as_u64().unwrap());
            let bought = [ask["bought"].as_u64().unwrap() as u8; 32];
            let answer = till.accept(token, sat * 1000, bought, PAYEE).await;
            // What is locked is swapped some time later.
            if !locked {
                steps::spare();
            }
            say(&match answer {
                Ok(paid) => json!({"paid": format!("{:02x?}", paid.payment_hash)}),
                Err(AcceptError::Refused(why)) => json!({"refused": format!("{why:?}")}),
                Err(AcceptError::Unavailable(why)) => json!({"unavailable": why.to_string()}),
            });
        }
    }
}
