//! A wallet that pays with ecash and that others wrote: cdk's, in memory.

use std::sync::Arc;

use cdk::Amount;
use cdk::amount::SplitTarget;
use cdk::nuts::nut00::ProofsMethods;
use cdk::nuts::{Conditions, CurrencyUnit, PaymentMethod, PublicKey, SigFlag, SpendingConditions, Token};
use cdk::wallet::{HttpClient, MintConnector, SendOptions, Wallet};
use cdk_sqlite::wallet::memory;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const FLOAT_SAT: u64 = 100_000;

/// A funded wallet of one mint's ecash.
pub struct CdkWallet {
    wallet: Wallet,
    runtime: Runtime,
}

impl CdkWallet {
    /// Has ecash issued.
    pub fn start(mint: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let wallet = runtime.block_on(async {
            let store = Arc::new(memory::empty().await.expect("a store"));
            // Of the mint's address: the same mint never sees the same secret twice, as its port is its own.
            let mut seed = [0; 64];
            seed.iter_mut()
                .zip(mint.bytes().chain(std::process::id().to_le_bytes()))
                .for_each(|(byte, from)| *byte = from);
            let wallet = Wallet::new(mint, CurrencyUnit::Sat, store, seed, None).expect("a wallet");
            let amount = Some(Amount::from(FLOAT_SAT));
            let quote = wallet.mint_quote(PaymentMethod::BOLT11, amount, None, None).await.expect("a quote");
            while wallet.check_mint_quote_status(&quote.id).await.expect("its state").state
                != cdk::nuts::MintQuoteState::Paid
            {
                tokio::task::yield_now().await;
            }
            wallet.mint(&quote.id, SplitTarget::default(), None).await.expect("ecash");
            wallet
        });
        Self { wallet, runtime }
    }

    /// A token with its secrets; `more` as for [`super::mint::Rig::token`].
    pub fn token(&self, sat: u64, more: &Value) -> (String, Vec<String>) {
        let options = SendOptions {
            include_fee: more["fees"] == true,
            conditions: more["lock"].as_str().map(|key| lock(key, &more["tags"])),
            ..SendOptions::default()
        };
        self.runtime.block_on(async {
            let prepared = self.wallet.prepare_send(Amount::from(sat), options).await.expect("enough");
            let token = prepared.confirm(None).await.expect("a token");
            let mint = token.mint_url().expect("its mint");
            let keysets = HttpClient::new(mint.clone(), None).get_mint_keysets().await.expect("keysets");
            let mut proofs = token.proofs(&keysets.keysets).expect("proofs");
            if more["dleq"] == false {
                proofs = proofs.without_dleqs();
            }
            let secrets = proofs.iter().map(|proof| proof.secret.to_string()).collect();
            let token = Token::new(mint, proofs, None, CurrencyUnit::Sat);
            (if more["legacy"] == true { token.to_v3_string() } else { token.to_string() }, secrets)
        })
    }
}

fn lock(holder: &str, tags: &Value) -> SpendingConditions {
    let key = |text: &str| PublicKey::from_hex(text).expect("a key");
    let tag = |name: &str| {
        let tags = tags.as_array().map(Vec::as_slice).unwrap_or_default();
        tags.iter().find(|tag| tag[0] == name).and_then(|tag| tag[1].as_str())
    };
    let conditions = Conditions {
        locktime: tag("locktime").map(|end| end.parse().expect("seconds")),
        pubkeys: tag("pubkeys").map(|other| vec![key(other)]),
        refund_keys: tag("refund").map(|other| vec![key(other)]),
        num_sigs: tag("n_sigs").map(|count| count.parse().expect("a number")),
        sig_flag: SigFlag::SigInputs,
        num_sigs_refund: None,
    };
    SpendingConditions::new_p2pk(key(holder), Some(conditions))
}
