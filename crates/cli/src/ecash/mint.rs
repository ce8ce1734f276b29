//! A mint, as far as a payer needs it: keysets, swap, restore, the state of proofs (NUT-01, 02, 03, 07, 09).

use std::time::Duration;

use cashu::amount::FeeAndAmounts;
use cashu::{
    BlindSignature, BlindedMessage, CheckStateRequest, CheckStateResponse, CurrencyUnit, Id, KeySetInfo,
    Keys, KeysResponse, KeysetResponse, MintUrl, Proof, Proofs, RestoreRequest, RestoreResponse, State,
    SwapRequest, SwapResponse,
};
use reqwest::Client;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Failure, Kind, with_causes};

/// The mint's own codes (NUT-00): the inputs are in use by another request, for now.
const PENDING: i64 = 11002;
/// More than any of its answers has.
const MAX_ANSWER: usize = 8 << 20;

/// One mint, and its keysets in sat.
pub struct Mint {
    /// Where it is.
    pub url: MintUrl,
    client: Client,
    /// Its keysets in sat, retired ones too.
    pub keysets: Vec<KeySetInfo>,
}

/// What became of proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// None of them is spent.
    No,
    /// All of them are, or some.
    Yes,
    /// The mint does not say, or is at it.
    Unknown,
}

/// Why a mint did not do what it was asked to.
pub enum Refused {
    /// It says no: its code, and its words.
    No(i64, String),
    /// It can't be reached, or does not answer as a mint does.
    Away(String),
}

impl Mint {
    /// Asks a mint for its keysets.
    pub async fn open(url: &MintUrl, step: Duration) -> Result<Self, Failure> {
        let builder = || {
            let builder = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
            builder.connect_timeout(step).timeout(step)
        };
        let client = match builder().build() {
            Err(_) if url.to_string().starts_with("http://") => builder().tls_certs_only([]).build(),
            other => other,
        };
        let client = client.map_err(|error| {
            Failure::new(Kind::Local, format!("no TLS client can be made: {}", with_causes(&error)))
        })?;
        let mut mint = Self { url: url.clone(), client, keysets: Vec::new() };
        let answer: KeysetResponse = mint.get("v1/keysets").await.map_err(|error| mint.failure(error))?;
        mint.keysets = answer.keysets.into_iter().filter(|keyset| keyset.unit == CurrencyUnit::Sat).collect();
        Ok(mint)
    }

    /// The keyset for new ecash: active, and the cheapest to spend; its keys, which make up its id.
    pub async fn active(&self) -> Result<(KeySetInfo, Keys), Failure> {
        let active = self.keysets.iter().filter(|keyset| keyset.active);
        let info = active.min_by_key(|keyset| keyset.input_fee_ppk);
        let info = info.ok_or_else(|| self.failure(Refused::Away("it issues no ecash in sat".to_owned())))?;
        Ok((info.clone(), self.keys(info.id).await?))
    }

    /// The keys of a keyset.
    pub async fn keys(&self, id: Id) -> Result<Keys, Failure> {
        let answer: KeysResponse =
            self.get(&format!("v1/keys/{id}")).await.map_err(|error| self.failure(error))?;
        let keyset = answer.keysets.into_iter().find(|keyset| keyset.id == id && keyset.verify_id().is_ok());
        let wrong = || self.failure(Refused::Away("its keys do not belong to its keyset".to_owned()));
        keyset.map(|keyset| keyset.keys).ok_or_else(wrong)
    }

    /// What it keeps of proofs when they are spent, in sat (NUT-02); `None`: one is of no keyset of its.
    pub fn fee_sat(&self, proofs: &[Proof]) -> Option<u64> {
        let ppk = |proof: &Proof| {
            self.keysets.iter().find(|info| info.id == proof.keyset_id).map(|info| info.input_fee_ppk)
        };
        let sum: u64 = proofs.iter().map(ppk).sum::<Option<u64>>()?;
        Some(sum.div_ceil(1000))
    }

    /// Swaps (NUT-03).
    pub async fn swap(
        &self,
        inputs: Proofs,
        outputs: Vec<BlindedMessage>,
    ) -> Result<Vec<BlindSignature>, Refused> {
        let answer: SwapResponse = self.post("v1/swap", &SwapRequest::new(inputs, outputs)).await?;
        Ok(answer.signatures)
    }

    /// Its signatures on these outputs, if it has signed them all (NUT-09).
    pub async fn restore(
        &self,
        outputs: Vec<BlindedMessage>,
    ) -> Result<Option<Vec<BlindSignature>>, Refused> {
        let request = RestoreRequest { outputs };
        let answer: RestoreResponse = self.post("v1/restore", &request).await?;
        let pairs: Vec<_> = answer.outputs.iter().zip(&answer.signatures).collect();
        let of = |output: &BlindedMessage| {
            let found = pairs.iter().find(|(other, _)| other.blinded_secret == output.blinded_secret);
            found.map(|(_, signature)| (*signature).clone())
        };
        Ok(request.outputs.iter().map(of).collect())
    }

    /// The state of each proof, in order (NUT-07).
    pub async fn states(&self, proofs: &[Proof]) -> Result<Vec<State>, Refused> {
        let strange = || Refused::Away("it answers for other proofs".to_owned());
        let ys: Vec<_> = proofs.iter().map(Proof::y).collect::<Result<_, _>>().map_err(|_| strange())?;
        let answer: CheckStateResponse =
            self.post("v1/checkstate", &CheckStateRequest { ys: ys.clone() }).await?;
        let of = |y| answer.states.iter().find(|found| found.y == y).map(|found| found.state);
        ys.into_iter().map(of).collect::<Option<_>>().ok_or_else(strange)
    }

    /// What became of proofs as a whole.
    pub async fn spent(&self, proofs: &[Proof]) -> Spent {
        match self.states(proofs).await {
            Ok(states) if states.iter().all(|state| *state == State::Unspent) => Spent::No,
            Ok(states) if states.contains(&State::Spent) => Spent::Yes,
            Ok(_) | Err(_) => Spent::Unknown,
        }
    }

    /// A refusal in words. Nothing was paid.
    pub fn failure(&self, refused: Refused) -> Failure {
        let why = match refused {
            Refused::No(_, why) => format!("refuses: {why}"),
            Refused::Away(why) => format!("can't be used: {why}"),
        };
        Failure::new(Kind::PaymentFailed, format!("the mint {} {why}; nothing was paid", self.url))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refused> {
        answer(self.client.get(self.address(path)?)).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Refused> {
        let body = serde_json::to_vec(body).map_err(|error| Refused::Away(error.to_string()))?;
        let request = self.client.post(self.address(path)?).body(body);
        answer(request.header(reqwest::header::CONTENT_TYPE, "application/json")).await
    }

    fn address(&self, path: &str) -> Result<String, Refused> {
        self.url.join(path).map(|url| url.to_string()).map_err(|error| Refused::Away(error.to_string()))
    }
}

impl Refused {
    /// Whether another request is at the same proofs.
    pub const fn is_pending(&self) -> bool {
        matches!(self, Self::No(PENDING, _))
    }
}

/// The denominations of a keyset.
pub fn denominations(info: &KeySetInfo, keys: &Keys) -> FeeAndAmounts {
    (info.input_fee_ppk, keys.iter().map(|(amount, _)| amount.to_u64()).collect()).into()
}

async fn answer<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, Refused> {
    let away = |error: reqwest::Error| Refused::Away(with_causes(&error.without_url()));
    let mut response = request.send().await.map_err(away)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(away)? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(Refused::Away("its answer is too long".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    if status.is_client_error() && !matches!(status.as_u16(), 408 | 425 | 429) {
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let code = said["code"].as_i64().unwrap_or_default();
        return Err(Refused::No(code, said["detail"].as_str().unwrap_or("without a word").to_owned()));
    }
    if !status.is_success() {
        return Err(Refused::Away(format!("it answers {status}")));
    }
    serde_json::from_slice(&body).map_err(|_| Refused::Away("its answer can't be read".to_owned()))
}
