//! The way of `l402 get` that pays with ecash: set aside, send, and settle by what the server and the mint say.
//!
//! Ecash that was sent stays on record until it has bought something, or is known to be ours still, or the server's for
//! nothing. What is sent again is the same token, which a server counts as the same payment.

use std::path::Path;
use std::time::Duration;

use cashu::{Proofs, Token};
use l402::{Macaroon, Preimage};
use reqwest::header::HeaderMap;
use reqwest::{Response, Url};

use super::Get;
use crate::ecash::{Asked, Mint, Payer, Purse, Sent, Spent};
use crate::error::{Failure, Kind};
use crate::tokens::Entry;

/// The longest reason of a server that is repeated.
const MAX_REASON: usize = 300;

/// How a payment ended that did not buy what was asked for.
enum End {
    /// The ecash is in the wallet again.
    Back,
    /// It is the server's, which has served something else than 2xx.
    Taken,
    /// It is gone, and has bought nothing.
    Gone,
    /// It is locked to a server that refuses it.
    Kept,
    /// Not known yet.
    Open,
}

impl Get<'_, '_> {
    /// Pays the request of a 402 with ecash and comes back with what was bought.
    pub(super) async fn buy_with_ecash(&mut self, file: &Path, here: &Url) -> Result<(), Failure> {
        self.report.status = Some(402);
        self.report.url = here.to_string();
        let text = self.payment_request.take().ok_or_else(|| {
            let text = "the server takes no ecash: its 402 has no X-Cashu header; nothing was paid";
            Failure::new(Kind::Unusable, text)
        })?;
        let asked = Asked::read(&text)?;
        let place = self.place(here);
        let max_msat = self.args.max_msat;
        if asked.sat.saturating_mul(1000) > max_msat {
            let text = format!(
                "the price is {} sat, the budget {max_msat} msat: nothing was paid; raise --max-msat to buy",
                asked.sat
            );
            return Err(Failure::new(Kind::OverBudget, text));
        }
        if self.args.dry_run {
            let text = format!("would pay {} sat of ecash and the mint's fee", asked.sat);
            return self.say(text);
        }
        let step = Duration::from_secs(self.args.timeout);
        let mut payer = Payer { purse: Purse::open(file)?, step };
        for note in payer.recover().await? {
            self.note(note);
        }
        if let Some(sent) = payer.purse.sent_to(&place) {
            self.note(format!("sending the ecash again that an earlier run paid with ({} sat)", sent.to.sat));
            self.report.recovered = true;
            let response = self.web.send_ecash(&self.ask, here, &sent.token).await?;
            let refused = response.status().as_u16();
            match self.settle(&mut payer, &sent, response).await? {
                None => return Ok(()),
                // The price may have changed: what came back may be spent anew.
                Some(failure) if matches!(refused, 400 | 402) => self.note(failure.to_string()),
                Some(failure) => return Err(failure),
            }
            self.report.recovered = false;
            if payer.purse.sent_to(&place).is_some() {
                return Err(open(&sent, "the mint does not say what became of it"));
            }
        }
        let sent = payer.prepare(&asked, max_msat, &place).await?;
        let response = self
            .web
            .send_ecash(&self.ask, here, &sent.token)
            .await
            .map_err(|error| open(&sent, &error.to_string()))?;
        self.settle(&mut payer, &sent, response).await?.map_or(Ok(()), Err)
    }

    /// What the answer to ecash means for the money. `Some`: it bought nothing.
    async fn settle(
        &mut self,
        payer: &mut Payer,
        sent: &Sent,
        response: Response,
    ) -> Result<Option<Failure>, Failure> {
        let status = response.status();
        self.report.status = Some(status.as_u16());
        if status.is_success() {
            // What it brings for later is kept before the ecash is forgotten.
            self.keep_token(sent, &response)?;
            payer.purse.settle(sent, None)?;
            self.paid(sent);
            self.finish(response).await?;
            return Ok(None);
        }
        let about_payment = matches!(status.as_u16(), 400..=402);
        let end = match (self.state(payer, sent).await, sent.to.locked) {
            // It may be at it, or come back to it: the same token buys the same then.
            _ if status.is_server_error() => End::Open,
            (Spent::Yes, _) if about_payment => End::Gone,
            (Spent::Yes, _) => End::Taken,
            (Spent::No, false) => End::Back,
            (_, true) if about_payment => End::Kept,
            (Spent::No, true) | (Spent::Unknown, _) => End::Open,
        };
        if matches!(end, End::Taken) {
            payer.purse.settle(sent, None)?;
            self.paid(sent);
            return self.finish(response).await.map(|()| None);
        }
        let why = reason(response).await;
        let (kind, text) = match end {
            End::Back => {
                let token = sent.token.parse::<Token>().map_err(|_| open(sent, "it can't be read"))?;
                payer.purse.settle(sent, Some(crate::ecash::money(token)))?;
                (Kind::Refused, "nothing was paid, the ecash is in the wallet again".to_owned())
            }
            End::Gone => {
                payer.purse.settle(sent, None)?;
                let text = "the mint says that this ecash is spent: by an earlier request that was served, or by who \
                            else had a copy; it was taken out of the wallet";
                (Kind::Refused, text.to_owned())
            }
            End::Kept => {
                payer.purse.settle(sent, Some(crate::ecash::refused(sent.clone())))?;
                (
                    Kind::Refused,
                    "the ecash is locked to this server; it is kept in the wallet as refused".to_owned(),
                )
            }
            End::Open | End::Taken => return Err(open(sent, &format!("the server answers {status}{why}"))),
        };
        Ok(Some(Failure::new(
            kind,
            format!("the server answers {status} to {} sat of ecash{why}: {text}", sent.to.sat),
        )))
    }

    /// What the mint says of a payment.
    async fn state(&self, payer: &Payer, sent: &Sent) -> Spent {
        let Ok(token) = sent.token.parse::<Token>() else { return Spent::Unknown };
        let Ok(url) = token.mint_url() else { return Spent::Unknown };
        let Ok(mint) = Mint::open(&url, payer.step).await else { return Spent::Unknown };
        let Ok(proofs): Result<Proofs, _> = token.proofs(&mint.keysets) else { return Spent::Unknown };
        mint.spent(&proofs).await
    }

    /// Keeps the L402 token that comes with the answer, where the payment bought more than one request.
    fn keep_token(&mut self, sent: &Sent, response: &Response) -> Result<(), Failure> {
        let Some((token, preimage)) = credential(response.headers()) else { return Ok(()) };
        let hash = preimage.payment_hash().to_string();
        let macaroon = Macaroon::from_text(&token).ok();
        let caveats =
            || macaroon.iter().flat_map(|macaroon| &macaroon.caveats).filter_map(crate::offer::first_party);
        let place = self.place(response.url());
        let scope = crate::place::Scope::of_caveats(&place, caveats());
        let mut entry = Entry::new(scope, &token, "", &hash, sent.to.sat.saturating_mul(1000));
        entry.started_at = (self.clock)();
        entry.valid_until = caveats().filter_map(crate::offer::expiry).min();
        entry.settle(&preimage);
        self.tokens.put(&entry, (self.clock)())
    }

    fn paid(&mut self, sent: &Sent) {
        self.report.credential = Some("ecash");
        self.report.paid_msat = sent.to.sat.saturating_mul(1000);
        self.note(format!("paid {} sat of ecash", sent.to.sat));
    }
}

/// `Authentication-Info: token="M", preimage="P"`.
fn credential(headers: &HeaderMap) -> Option<(String, Preimage)> {
    let text = headers.get("authentication-info")?.to_str().ok()?;
    let value = |name: &str| {
        let (_, after) = text.split_once(&format!("{name}=\""))?;
        after.split_once('"').map(|(value, _)| value.to_owned())
    };
    Some((value("token")?, Preimage::from_hex(&value("preimage")?).ok()?))
}

/// Why a server refuses, in its own words.
async fn reason(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < 8 * MAX_REASON {
        match response.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) | Err(_) => break,
        }
    }
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    match said["detail"].as_str() {
        Some(detail) => format!(" ({})", detail.chars().take(MAX_REASON).collect::<String>()),
        None => String::new(),
    }
}

fn open(sent: &Sent, why: &str) -> Failure {
    let text = format!(
        "{} sat of ecash were sent and it is not known whether they were taken: {why}; they are on record in the \
         wallet, run the same command again, it sends the same ecash",
        sent.to.sat
    );
    Failure::new(Kind::Undecided, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_with_its_preimage_or_not_at_all() {
        let mut headers = HeaderMap::new();
        assert!(credential(&headers).is_none());
        let hex = "09".repeat(32);
        headers.insert("authentication-info", format!("token=\"M\", preimage=\"{hex}\"").parse().unwrap());
        let (token, preimage) = credential(&headers).unwrap();
        assert_eq!((token.as_str(), preimage.expose_hex()), ("M", hex));
        headers.insert("authentication-info", "token=\"M\"".parse().unwrap());
        assert!(credential(&headers).is_none());
    }
}
