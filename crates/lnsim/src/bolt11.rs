//! BOLT11 invoices: made and signed with a node's key, and read again. Time and secrets are parameters.

use std::convert::Infallible;
use std::time::Duration;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{All, PublicKey, Secp256k1, SecretKey};
use lightning_invoice::{
    Currency, InvoiceBuilder, PaymentSecret, RouteHint, RouteHintHop, RoutingFees, SignedRawBolt11Invoice,
};

/// A node's identity: the key that signs its invoices.
pub struct NodeKey {
    secp: Secp256k1<All>,
    secret: SecretKey,
    public: PublicKey,
}

/// The bytes given are no secp256k1 secret key (zero, or not below the order of the curve).
#[derive(Debug, thiserror::Error)]
#[error("these 32 bytes are no secp256k1 secret key")]
pub struct BadKey;

impl NodeKey {
    /// The node whose secret key these 32 bytes are.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BadKey> {
        let secp = Secp256k1::new();
        let secret = SecretKey::from_slice(bytes).map_err(|_| BadKey)?;
        let public = secret.public_key(&secp);
        Ok(Self { secp, secret, public })
    }

    /// The node's public key, 33 bytes compressed.
    pub fn public(&self) -> [u8; 33] {
        self.public.serialize()
    }

    pub(crate) fn secp(&self) -> &Secp256k1<All> {
        &self.secp
    }

    pub(crate) fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// Makes and signs an invoice.
    ///
    /// # Errors
    /// A field that BOLT11 can't express, such as a description over 639 bytes or an amount over 18.4 × 10^15 msat.
    pub fn sign(&self, draft: &Draft<'_>) -> Result<String, Unsignable> {
        self.sign_with(draft, &Extras::default())
    }

    /// As [`NodeKey::sign`], with what few invoices have.
    ///
    /// # Errors
    /// As there.
    pub fn sign_with(&self, draft: &Draft<'_>, extras: &Extras) -> Result<String, Unsignable> {
        let mut builder = InvoiceBuilder::new(draft.network.currency())
            .payment_hash(sha256::Hash::from_byte_array(draft.hash))
            .payment_secret(PaymentSecret(draft.payment_addr))
            .basic_mpp()
            .duration_since_epoch(Duration::from_secs(draft.created))
            .min_final_cltv_expiry_delta(draft.cltv_expiry)
            .expiry_time(Duration::from_secs(draft.expiry_s));
        if draft.amount_msat > 0 {
            builder = builder.amount_milli_satoshis(draft.amount_msat);
        }
        for number in 0..extras.hints {
            builder = builder.private_route(RouteHint(vec![self.hint(number)]));
        }
        let raw = match draft.description_hash {
            _ if extras.undescribed => builder.build_raw(),
            Some(hash) => builder.description_hash(sha256::Hash::from_byte_array(hash)).build_raw(),
            None => builder.description(draft.memo.to_owned()).build_raw(),
        };
        let raw = raw.map_err(|error| Unsignable(error.to_string()))?;
        let signed =
            raw.sign(|message| Ok::<_, Infallible>(self.secp.sign_ecdsa_recoverable(message, &self.secret)));
        match signed {
            Ok(signed) => Ok(signed.to_string()),
            Err(never) => match never {},
        }
    }

    /// A way over a private channel, from a peer that is the node itself: nobody follows it here.
    fn hint(&self, number: usize) -> RouteHintHop {
        RouteHintHop {
            src_node_id: self.public,
            short_channel_id: 450 << 40 | number as u64,
            fees: RoutingFees { base_msat: 1000, proportional_millionths: 1 },
            cltv_expiry_delta: 40,
            htlc_minimum_msat: None,
            htlc_maximum_msat: None,
        }
    }
}

/// What few invoices have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// Neither a description nor its hash.
    pub undescribed: bool,
    /// Ways over so many private channels.
    pub hints: usize,
}

/// Fields that no BOLT11 invoice can hold.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unsignable(String);

impl Unsignable {
    pub(crate) fn because(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A network, as far as invoices tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Network {
    /// `lnbcrt…`, what the simulator is on.
    #[default]
    Regtest,
    /// `lnbc…`.
    Mainnet,
}

impl Network {
    fn currency(self) -> Currency {
        match self {
            Self::Regtest => Currency::Regtest,
            Self::Mainnet => Currency::Bitcoin,
        }
    }
}

/// What an invoice says.
pub struct Draft<'a> {
    /// Network.
    pub network: Network,
    /// Payment hash.
    pub hash: [u8; 32],
    /// Payment secret.
    pub payment_addr: [u8; 32],
    /// Amount, msat; zero leaves it to the payer.
    pub amount_msat: u64,
    /// Description; not written if there is a `description_hash`.
    pub memo: &'a str,
    /// SHA-256 of a description that is kept elsewhere.
    pub description_hash: Option<[u8; 32]>,
    /// Creation, Unix seconds.
    pub created: u64,
    /// Life, seconds.
    pub expiry_s: u64,
    /// CLTV delta of the last hop, blocks.
    pub cltv_expiry: u64,
}

/// An invoice that was read: checksum and signature are good, and it is for regtest.
pub struct Decoded {
    /// Public key of the payee.
    pub payee: [u8; 33],
    /// Payment hash.
    pub hash: [u8; 32],
    /// Payment secret.
    pub payment_addr: [u8; 32],
    /// Amount, msat; `None` leaves it to the payer.
    pub amount_msat: Option<u64>,
    /// Description, or empty.
    pub description: String,
    /// SHA-256 of the description, if that is what it has.
    pub description_hash: Option<[u8; 32]>,
    /// Creation, Unix seconds.
    pub created: u64,
    /// Life, seconds.
    pub expiry_s: u64,
    /// CLTV delta of the last hop, blocks.
    pub cltv_expiry: u64,
}

/// Why an invoice can't be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// For another network; LND's text.
    #[error("invoice not for current active network 'regtest'")]
    OtherNetwork,
    /// Not BOLT11, or its checksum or signature is wrong.
    #[error("{0}")]
    Malformed(String),
}

/// Reads an invoice. A payer who is asked nicely pays one without a description, too.
pub fn decode(text: &str) -> Result<Decoded, DecodeError> {
    let malformed =
        |error: &dyn std::fmt::Display| DecodeError::Malformed(format!("invalid invoice: {error}"));
    let signed: SignedRawBolt11Invoice = text.parse().map_err(|error| malformed(&error))?;
    let payee = signed.recover_payee_pub_key().map_err(|error| malformed(&error))?;
    if !signed.check_signature() {
        return Err(malformed(&"its signature is wrong"));
    }
    let invoice = signed.raw_invoice();
    if invoice.currency() != Currency::Regtest {
        return Err(DecodeError::OtherNetwork);
    }
    let hash = invoice.payment_hash().ok_or_else(|| malformed(&"no payment hash"))?;
    let secret = invoice.payment_secret().ok_or_else(|| malformed(&"no payment secret"))?;
    Ok(Decoded {
        payee: payee.0.serialize(),
        hash: hash.0.to_byte_array(),
        payment_addr: secret.0,
        amount_msat: invoice.amount_pico_btc().map(|pico| pico / 10),
        description: invoice.description().map(|text| text.as_inner().0.clone()).unwrap_or_default(),
        description_hash: invoice.description_hash().map(|hash| hash.0.to_byte_array()),
        created: invoice.data.timestamp.as_unix_timestamp(),
        expiry_s: invoice.expiry_time().map_or(3600, |expiry| expiry.as_duration().as_secs()),
        cltv_expiry: invoice.min_final_cltv_expiry_delta().map_or(18, |delta| delta.0),
    })
}
