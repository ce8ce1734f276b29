//! `l402 get`: ask, pay where it must and may, ask again.
//!
//! The order: tokens that are kept (a payment that a crash left open is settled first), then a request without one, then
//! tokens that the challenge names (a realm), then one payment. There is never a second payment in one run, and none at all
//! after a 401: then buying another token would not help.

mod ecash;

use std::collections::HashSet;
use std::io::Read;
use std::time::Duration;

use l402::PaymentHash;
use l402::challenge::{self, ChallengeError, ParsedChallenge};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, Url};

use crate::args::GetArgs;
use crate::error::{Failure, Kind};
use crate::http::{self, Ask, Web};
use crate::offer::{self, Offer};
use crate::pay::{Outcome, Wallet};
use crate::place::Place;
use crate::report::{Console, Report};
use crate::tokens::{Claim, Entry, Tokens};

/// A server that looks payments up by itself may hear of one a little later than the payer: it is asked again after
/// these pauses, then given the preimage.
const AUTO_DETECT_PAUSES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// One run.
pub struct Get<'a, 'c> {
    args: &'a GetArgs,
    console: &'a mut Console<'c>,
    /// Unix seconds.
    clock: &'a dyn Fn() -> u64,
    tokens: Tokens,
    web: Web,
    ask: Ask,
    wallet: Option<Wallet>,
    /// The `X-Cashu` of the latest 402.
    payment_request: Option<String>,
    /// What `--json` prints at the end, also of a run that fails.
    pub report: Report,
}

/// What a request with a token led to.
enum Tried {
    /// The server took the token (whatever its status says beyond that).
    Taken(Response),
    /// It did not.
    Refused(Response),
}

impl<'a, 'c> Get<'a, 'c> {
    /// Reads the arguments that need reading; sends nothing.
    pub fn new(
        args: &'a GetArgs,
        tokens: Tokens,
        clock: &'a dyn Fn() -> u64,
        console: &'a mut Console<'c>,
    ) -> Result<(Self, Url), Failure> {
        let url: Url = args
            .url
            .parse()
            .map_err(|error| Failure::new(Kind::Usage, format!("the URL can't be read: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::new(Kind::Usage, "the URL must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let text = "the URL holds a password, which would end up in reports: send it with -H 'Authorization: Basic …'";
            return Err(Failure::new(Kind::Usage, text));
        }
        args.wallet.given()?;
        args.wallet.ecash()?;
        let web = Web::new(Duration::from_secs(args.timeout), url.scheme() == "http")?;
        let report = Report { url: url.to_string(), ..Report::default() };
        Ok((
            Self {
                args,
                console,
                clock,
                tokens,
                web,
                ask: ask(args)?,
                wallet: None,
                payment_request: None,
                report,
            },
            url,
        ))
    }

    /// Fetches and delivers.
    pub async fn run(&mut self, url: Url) -> Result<(), Failure> {
        let mut here = url;
        let mut tried = HashSet::new();
        let mut asked: Option<Result<Offer, Failure>> = None;
        let mut refused: Option<Failure> = None;
        let offer = loop {
            let place = self.place(&here);
            let named = asked.as_ref().and_then(|offer| offer.as_ref().ok()).map(|offer| offer.scope.clone());
            let next = self.tokens.candidates(&place, named.as_ref())?;
            if let Some(entry) = next.into_iter().find(|entry| tried.insert(entry.payment_hash.clone())) {
                let Some((entry, claim)) = self.settled(entry).await? else { continue };
                match self.with_token(&entry, &here).await? {
                    Tried::Taken(response) => {
                        self.report.token_reused = claim.is_none();
                        return self.served(&entry, response).await;
                    }
                    Tried::Refused(response) if response.status() == 402 => {
                        self.note(format!(
                            "the server no longer takes the token kept for {}: dropped{}",
                            here.path(),
                            refusal(response.headers())
                        ));
                        self.tokens.drop_entry(&entry.payment_hash)?;
                        here = response.url().clone();
                        asked = Some(self.asked(&response));
                    }
                    Tried::Refused(response) => {
                        self.report.status = Some(response.status().as_u16());
                        refused = Some(self.refused(&entry, &here, response.headers()));
                    }
                }
            } else if let Some(refused) = refused {
                return Err(refused);
            } else if let Some(offer) = asked {
                break offer;
            } else {
                let response = self.web.send(&self.ask, &here, None).await?;
                if response.status() != 402 {
                    return self.finish(response).await;
                }
                here = response.url().clone();
                asked = Some(self.asked(&response));
            }
        };
        match self.args.wallet.ecash()? {
            Some(file) => self.buy_with_ecash(file, &here).await,
            None => self.buy(&offer?, &here).await,
        }
    }

    /// A token was answered 401: whatever spoiled it would spoil the next one.
    fn refused(&self, entry: &Entry, here: &Url, headers: &HeaderMap) -> Failure {
        let text = format!(
            "the server refuses the token kept for {} (401){}: another one would fare no better, so none is bought; the token \
             is kept (payment hash {}), remove it from {} to buy anew",
            here.path(),
            refusal(headers),
            entry.payment_hash,
            self.tokens.path().display()
        );
        Failure::new(Kind::Refused, text)
    }

    /// What a 402 asks for.
    fn asked(&mut self, response: &Response) -> Result<Offer, Failure> {
        let request = response.headers().get("x-cashu").and_then(|value| value.to_str().ok());
        self.payment_request = request.map(str::to_owned);
        Offer::read(response.headers(), &self.place(response.url()), (self.clock)())
    }

    /// Pays an offer and comes back with what was bought.
    async fn buy(&mut self, offer: &Offer, here: &Url) -> Result<(), Failure> {
        self.report.status = Some(402);
        self.report.url = here.to_string();
        self.report.payment_hash = Some(offer.payment_hash.clone());
        self.report.challenge = Some(offer.view.clone());
        if let Some(note) = &offer.note {
            self.note(note.clone());
        }
        let fee_limit = offer.within(self.args.max_msat, self.args.max_fee_msat)?;
        if self.args.dry_run {
            return self.dry_run(offer, fee_limit);
        }
        let hash = hash(&offer.payment_hash)?;
        let (claim, mut entry) = self.begin(offer).await?;
        let Some(wallet) = &self.wallet else { return Err(not_paid()) };
        match wallet.pay(&offer.invoice, &hash, fee_limit, self.args.pay_timeout).await {
            Outcome::Paid { preimage, fee_msat } => {
                self.report.paid_msat = offer.amount_msat;
                self.report.fee_msat = fee_msat;
                self.report.challenge = None;
                entry.settle(&preimage);
                self.tokens.put(&entry, (self.clock)())?;
                self.note(format!("paid {} msat (fee {fee_msat} msat) for {here}", offer.amount_msat));
            }
            Outcome::Failed(why) => {
                self.tokens.drop_entry(&entry.payment_hash)?;
                return Err(Failure::new(
                    Kind::PaymentFailed,
                    format!("the payment failed, nothing was paid: {why}"),
                ));
            }
            Outcome::Undecided(why) => {
                // Once the payment settles, the macaroon of the challenge is worth it.
                self.report.challenge = None;
                return Err(undecided(&entry, &why));
            }
        }
        let result = match self.with_token(&entry, here).await? {
            Tried::Taken(response) => self.served(&entry, response).await,
            Tried::Refused(response) => {
                self.report.status = Some(response.status().as_u16());
                let text = format!(
                    "the server took {} msat and still answers {}{}: its fault; the token is kept and tried once more \
                     by the next run (payment hash {})",
                    offer.amount_msat,
                    response.status(),
                    refusal(response.headers()),
                    entry.payment_hash
                );
                Err(Failure::new(Kind::Refused, text))
            }
        };
        drop(claim);
        result
    }

    /// Makes sure that there is a wallet for this invoice, and records the purchase before any money moves.
    async fn begin(&mut self, offer: &Offer) -> Result<(Claim, Entry), Failure> {
        if !self.has_wallet().await? {
            let view = &offer.view;
            self.note(format!(
                "{} msat are asked for{}; invoice {}",
                view.amount_msat,
                view.description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default(),
                view.invoice
            ));
            return Err(not_paid());
        }
        let Some(wallet) = &self.wallet else { return Err(not_paid()) };
        if let Some(network) = &wallet.network
            && network != offer.view.network
        {
            let text = format!(
                "the server's invoice is of the network {}, the wallet of {network}: nothing was paid",
                offer.view.network
            );
            return Err(Failure::new(Kind::Unusable, text));
        }
        let claim = self.tokens.claim(&offer.payment_hash)?.ok_or_else(|| {
            Failure::new(
                Kind::PaymentFailed,
                "another run is paying this very invoice: run again when it is done",
            )
        })?;
        let now = (self.clock)();
        let mut entry = Entry::new(
            offer.scope.clone(),
            &offer.token,
            &offer.invoice,
            &offer.payment_hash,
            offer.amount_msat,
        );
        entry.wallet.clone_from(&wallet.id);
        entry.started_at = now;
        entry.valid_until = offer.valid_until;
        entry.once = offer.once;
        self.tokens.put(&entry, now)?;
        Ok((claim, entry))
    }

    /// A kept entry, ready for use; one that a crash left without its preimage is looked up first. The claim is there
    /// for the latter. `None`: of no use now.
    async fn settled(&mut self, entry: Entry) -> Result<Option<(Entry, Option<Claim>)>, Failure> {
        if self.args.dry_run && entry.settled() {
            self.note("a token that is kept for this place would be tried first".to_owned());
            return Ok(None);
        }
        if entry.settled() {
            return Ok(Some((entry, None)));
        }
        if self.args.dry_run || !self.has_wallet().await? {
            self.note(format!(
                "an earlier run left a payment of {} msat open (payment hash {}): a run with its wallet recovers it",
                entry.amount_msat, entry.payment_hash
            ));
            return Ok(None);
        }
        let Some(wallet) = &self.wallet else { return Ok(None) };
        if wallet.id != entry.wallet {
            let text = format!(
                "an earlier run left a payment of {} msat open at another wallet ({}): skipped",
                entry.amount_msat, entry.wallet
            );
            self.note(text);
            return Ok(None);
        }
        let Some(claim) = self.tokens.claim(&entry.payment_hash)? else { return Ok(None) };
        // Whoever held the claim may have finished just now.
        let Some(mut entry) = self.tokens.get(&entry.payment_hash)? else { return Ok(None) };
        if entry.settled() {
            return Ok(Some((entry, None)));
        }
        let wait = Duration::from_secs(self.args.pay_timeout.into());
        match wallet.track(&hash(&entry.payment_hash)?, wait).await {
            Outcome::Paid { preimage, fee_msat } => {
                entry.settle(&preimage);
                self.tokens.put(&entry, (self.clock)())?;
                self.report.paid_msat += entry.amount_msat;
                self.report.fee_msat += fee_msat;
                self.report.recovered = true;
                self.note(format!(
                    "recovered a payment of {} msat that an earlier run began",
                    entry.amount_msat
                ));
                Ok(Some((entry, Some(claim))))
            }
            Outcome::Failed(_) => {
                self.tokens.drop_entry(&entry.payment_hash)?;
                Ok(None)
            }
            Outcome::Undecided(why) => Err(undecided(&entry, &why)),
        }
    }

    /// Asks with a token: the macaroon alone with `--auto-detect`, else with its preimage.
    async fn with_token(&mut self, entry: &Entry, here: &Url) -> Result<Tried, Failure> {
        self.report.payment_hash = Some(entry.payment_hash.clone());
        if self.args.auto_detect {
            for pause in AUTO_DETECT_PAUSES.iter().map(Some).chain([None]) {
                self.report.credential = Some("macaroon");
                let response = self.web.send(&self.ask, here, Some(&entry.authorization(true))).await?;
                match self.judge(response) {
                    // The same invoice again: the server has not heard of the payment yet.
                    Tried::Refused(response) if same_invoice(&response, entry) => {
                        if let Some(pause) = pause {
                            tokio::time::sleep(*pause).await;
                        }
                    }
                    // A server without auto-detect refuses a macaroon alone, with 401 or with a new challenge.
                    Tried::Refused(_) => break,
                    taken => return Ok(taken),
                }
            }
            self.note("the server did not take the macaroon alone: giving it the preimage".to_owned());
        }
        self.report.credential = Some("preimage");
        let response = self.web.send(&self.ask, here, Some(&entry.authorization(false))).await?;
        Ok(self.judge(response))
    }

    fn judge(&mut self, response: Response) -> Tried {
        if offer::asks_for_payment(response.status().as_u16(), response.headers()) {
            self.report.credential = None;
            Tried::Refused(response)
        } else {
            Tried::Taken(response)
        }
    }

    /// The final answer, to a token.
    async fn served(&mut self, entry: &Entry, response: Response) -> Result<(), Failure> {
        if response.status().is_success() {
            self.tokens.served(entry, &self.place(response.url()))?;
        }
        self.finish(response).await
    }

    fn dry_run(&mut self, offer: &Offer, fee_limit: u64) -> Result<(), Failure> {
        let text = format!(
            "would pay {} msat and at most {fee_limit} msat of fees on {}{}; invoice {}{}",
            offer.amount_msat,
            offer.view.network,
            offer.view.description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default(),
            offer.invoice,
            offer.view.offer.as_deref().map(|text| format!("; of the offer {text}")).unwrap_or_default()
        );
        self.say(text)
    }

    /// What a dry run ends with.
    fn say(&mut self, text: String) -> Result<(), Failure> {
        if self.console.json {
            self.report.notes.push(text);
            return Ok(());
        }
        self.console.line(&text)
    }

    /// The final answer.
    async fn finish(&mut self, response: Response) -> Result<(), Failure> {
        let status = response.status();
        self.report.url = response.url().to_string();
        self.report.status = Some(status.as_u16());
        if self.report.credential.is_none() {
            self.report.payment_hash = None;
        }
        let location = response.headers().get(reqwest::header::LOCATION).cloned();
        let output = self.args.output.as_deref();
        self.console.deliver(response, output, self.args.include, &mut self.report).await?;
        if status.is_success() {
            return Ok(());
        }
        let mut text = format!("the server answered {status}");
        if let (true, Some(location)) = (status.is_redirection(), location) {
            text.push_str(&format!(
                " and points to {}: not followed, a token goes to no other site",
                String::from_utf8_lossy(location.as_bytes())
            ));
        } else if self.report.paid_msat > 0 {
            text.push_str("; the token is kept for the next run");
        }
        Err(Failure::new(Kind::Status, text))
    }

    async fn has_wallet(&mut self) -> Result<bool, Failure> {
        if self.wallet.is_none()
            && let Some(paths) = self.args.wallet.given()?
        {
            self.wallet = Some(Wallet::open(&paths).await?);
        }
        Ok(self.wallet.is_some())
    }

    fn place(&self, url: &Url) -> Place {
        Place::of(url, self.ask.method.as_str())
    }

    fn note(&mut self, text: String) {
        self.console.note(&mut self.report, text);
    }
}

/// What the command line asks for.
fn ask(args: &GetArgs) -> Result<Ask, Failure> {
    let body = args.data.as_deref().map(data).transpose()?;
    let name = args.method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" });
    let method = Method::from_bytes(name.as_bytes())
        .map_err(|_| Failure::new(Kind::Usage, format!("--method {name:?} is no HTTP method")))?;
    let mut headers = HeaderMap::new();
    for text in &args.headers {
        let (name, value) = http::header(text)?;
        headers.append(name, value);
    }
    if body.is_some() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    }
    Ok(Ask { method, headers, body })
}

/// The body: the text itself, `@FILE`, or `@-` for stdin.
fn data(text: &str) -> Result<Vec<u8>, Failure> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.as_bytes().to_vec()) };
    let read = if path == "-" {
        let mut body = Vec::new();
        std::io::stdin().lock().read_to_end(&mut body).map(|_| body)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| Failure::new(Kind::Local, format!("can't read the body from {path}: {error}")))
}

fn same_invoice(response: &Response, entry: &Entry) -> bool {
    offer::header(response.headers())
        .and_then(|text| challenge::parse(&text).ok())
        .is_some_and(|challenge| challenge.invoice == entry.invoice)
}

/// The server's reason for refusing a token, if it gives one.
fn refusal(headers: &HeaderMap) -> String {
    match offer::header(headers).map(|text| challenge::parse(&text)) {
        Some(Err(ChallengeError::Refused(why)) | Ok(ParsedChallenge { error: Some(why), .. })) => {
            format!(" ({why})")
        }
        _ => String::new(),
    }
}

fn hash(hex: &str) -> Result<PaymentHash, Failure> {
    hex.parse()
        .map_err(|_| Failure::new(Kind::Local, "the token store holds an entry without a payment hash"))
}

fn not_paid() -> Failure {
    Failure::new(
        Kind::NotPaid,
        "payment required (402) and no wallet to pay with: give --lnd-address, --lnd-cert and --lnd-macaroon, or --wallet",
    )
}

fn undecided(entry: &Entry, why: &str) -> Failure {
    let text = format!(
        "the payment of {} msat (payment hash {}) is not decided yet: {why}; run the same command again, it pays nothing \
         twice",
        entry.amount_msat, entry.payment_hash
    );
    Failure::new(Kind::Undecided, text)
}
