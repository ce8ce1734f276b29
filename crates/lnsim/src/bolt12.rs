//! BOLT12 offers and invoices: made and signed with a node's key, and read again. Time and secrets are parameters.

use bitcoin::bech32::primitives::decode::CheckedHrpstring;
use bitcoin::bech32::{self, Hrp, NoChecksum};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, PublicKey, XOnlyPublicKey};
use sha2::{Digest, Sha256};

use crate::bolt11::{DecodeError, Decoded, Draft, Network, NodeKey, Unsignable};

/// The genesis block of regtest, as the wire has it.
const REGTEST: [u8; 32] = [
    0x06, 0x22, 0x6e, 0x46, 0x11, 0x1a, 0x0b, 0x59, 0xca, 0xaf, 0x12, 0x60, 0x43, 0xeb, 0x5b, 0xbf, 0x28,
    0xc3, 0x4f, 0x3a, 0x5e, 0x33, 0x2a, 0x1f, 0xc7, 0xb2, 0xb7, 0x3c, 0xf1, 0x88, 0x91, 0x0f,
];

/// The types of records that are written and read (BOLT 12).
const METADATA: u64 = 0;
const OFFER_CHAINS: u64 = 2;
const OFFER_DESCRIPTION: u64 = 10;
const OFFER_ISSUER_ID: u64 = 22;
const CHAIN: u64 = 80;
const REQUESTED: u64 = 82;
const PAYER_ID: u64 = 88;
const PATHS: u64 = 160;
const PATH_TERMS: u64 = 162;
const CREATED_AT: u64 = 164;
const RELATIVE_EXPIRY: u64 = 166;
const PAYMENT_HASH: u64 = 168;
const AMOUNT: u64 = 170;
const NODE_ID: u64 = 176;
const SIGNATURE: u64 = 240;

/// What the signature of an invoice is over.
const TAG: &[u8] = b"lightninginvoicesignature";

/// The ends of a blinded path's fixed parts: two keys and a count, then a key and a length.
const HEAD: usize = 33 + 33 + 1 + 33 + 2;

/// A record: its type and its value.
type Record = (u64, Vec<u8>);

impl NodeKey {
    /// An offer of this node, for any amount.
    pub fn offer(&self, description: &str) -> String {
        let records = [
            (OFFER_CHAINS, REGTEST.to_vec()),
            (OFFER_DESCRIPTION, description.as_bytes().to_vec()),
            (OFFER_ISSUER_ID, self.public().to_vec()),
        ];
        text("lno", &stream(&records))
    }

    /// Makes and signs an invoice of an offer, asked for by `payer`, who chose these 16 bytes.
    ///
    /// # Errors
    /// `offer` is none, or not this node's.
    pub fn sign_bolt12(
        &self,
        offer: &str,
        payer: &NodeKey,
        nonce: [u8; 16],
        draft: &Draft<'_>,
    ) -> Result<String, Unsignable> {
        let records = records("lno", offer).ok_or_else(|| Unsignable::because("unreadable offer"))?;
        if value(&records, OFFER_ISSUER_ID) != Some(&self.public()) {
            return Err(Unsignable::because("an offer of another node"));
        }
        // The one hop of the path is the node itself; what only it can read is the secret of the payment.
        let path = [&self.public()[..], &payer.public(), &[1], &self.public(), &[0, 32], &draft.payment_addr]
            .concat();
        let cltv = u16::try_from(draft.cltv_expiry).unwrap_or(u16::MAX).to_be_bytes();
        let least_and_most = [1_u64.to_be_bytes(), draft.amount_msat.to_be_bytes()].concat();
        let terms = [&[0; 8][..], &cltv, &least_and_most, &[0, 0]].concat();
        let mut all = vec![(METADATA, nonce.to_vec())];
        all.extend(records);
        if draft.network == Network::Regtest {
            all.push((CHAIN, REGTEST.to_vec()));
        }
        all.extend([
            (REQUESTED, truncated(draft.amount_msat)),
            (PAYER_ID, payer.public().to_vec()),
            (PATHS, path),
            (PATH_TERMS, terms),
            (CREATED_AT, truncated(draft.created)),
            (RELATIVE_EXPIRY, truncated(draft.expiry_s)),
            (PAYMENT_HASH, draft.hash.to_vec()),
            (AMOUNT, truncated(draft.amount_msat)),
            (NODE_ID, self.public().to_vec()),
        ]);
        let signature = self.sign_schnorr(&digest(&all));
        all.push((SIGNATURE, signature.serialize().to_vec()));
        Ok(text("lni", &stream(&all)))
    }

    fn sign_schnorr(&self, digest: &[u8; 32]) -> Signature {
        let pair = Keypair::from_secret_key(self.secp(), self.secret());
        self.secp().sign_schnorr_no_aux_rand(&Message::from_digest(*digest), &pair)
    }
}

/// Reads an invoice and checks its signature.
pub fn decode(text: &str) -> Result<Decoded, DecodeError> {
    let malformed = || DecodeError::Malformed("invalid BOLT12 invoice".to_owned());
    let records = records("lni", text).ok_or_else(malformed)?;
    let find = |kind| value(&records, kind).ok_or_else(malformed);
    if find(CHAIN).ok() != Some(&REGTEST[..]) {
        return Err(DecodeError::OtherNetwork);
    }
    let payee = find(NODE_ID)?;
    let unsigned: Vec<Record> = records.iter().filter(|(kind, _)| *kind != SIGNATURE).cloned().collect();
    let signature = Signature::from_slice(find(SIGNATURE)?).map_err(|_| malformed())?;
    let key = PublicKey::from_slice(payee).map(XOnlyPublicKey::from).map_err(|_| malformed())?;
    let message = Message::from_digest(digest(&unsigned));
    bitcoin::secp256k1::Secp256k1::verification_only()
        .verify_schnorr(&signature, &message, &key)
        .map_err(|_| DecodeError::Malformed("invalid BOLT12 invoice: its signature is wrong".to_owned()))?;
    let number =
        |kind| find(kind).map(|value| value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
    let array = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(|_| malformed());
    Ok(Decoded {
        payee: <[u8; 33]>::try_from(payee).map_err(|_| malformed())?,
        hash: array(find(PAYMENT_HASH)?)?,
        payment_addr: array(find(PATHS)?.get(HEAD..).ok_or_else(malformed)?)?,
        amount_msat: Some(number(AMOUNT)?),
        description: String::from_utf8_lossy(find(OFFER_DESCRIPTION)?).into_owned(),
        description_hash: None,
        created: number(CREATED_AT)?,
        expiry_s: number(RELATIVE_EXPIRY)?,
        cltv_expiry: 0,
    })
}

/// The description in an offer.
pub(crate) fn description(offer: &str) -> Option<String> {
    let records = records("lno", offer)?;
    value(&records, OFFER_DESCRIPTION).map(|text| String::from_utf8_lossy(text).into_owned())
}

/// What is signed: the root of the Merkle tree over the records, tagged (BOLT 12, "Signature Calculation").
fn digest(records: &[Record]) -> [u8; 32] {
    let first = records.first().map(|record| stream(std::slice::from_ref(record))).unwrap_or_default();
    let nonce_tag = [b"LnNonce", &first[..]].concat();
    let mut level: Vec<[u8; 32]> = records
        .iter()
        .map(|record| {
            let leaf = tagged(b"LnLeaf", &stream(std::slice::from_ref(record)));
            branch(&leaf, &tagged(&nonce_tag, &big_size(record.0)))
        })
        .collect();
    // The deepest branches are the lowest: one that is left over goes up as it is.
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => branch(left, right),
                [single] => *single,
                _ => [0; 32],
            })
            .collect();
    }
    tagged(TAG, level.first().map_or(&[], |root| &root[..]))
}

fn branch(one: &[u8; 32], other: &[u8; 32]) -> [u8; 32] {
    let (lesser, greater) = if one < other { (one, other) } else { (other, one) };
    tagged(b"LnBranch", &[&lesser[..], greater].concat())
}

fn tagged(tag: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = Sha256::digest(tag);
    Sha256::new().chain_update(tag).chain_update(tag).chain_update(message).finalize().into()
}

fn text(prefix: &str, bytes: &[u8]) -> String {
    let prefix = Hrp::parse(prefix).expect("a prefix of ours");
    bech32::encode_lower::<NoChecksum>(prefix, bytes).expect("no length is too much without a checksum")
}

fn records(prefix: &str, text: &str) -> Option<Vec<Record>> {
    let decoded = CheckedHrpstring::new::<NoChecksum>(text).ok()?;
    if decoded.hrp().to_lowercase() != prefix {
        return None;
    }
    let bytes: Vec<u8> = decoded.byte_iter().collect();
    let (mut rest, mut found) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let kind = read_big_size(&mut rest)?;
        let length = usize::try_from(read_big_size(&mut rest)?).ok()?;
        let (value, after) = rest.split_at_checked(length)?;
        found.push((kind, value.to_vec()));
        rest = after;
    }
    Some(found)
}

fn value(records: &[Record], kind: u64) -> Option<&[u8]> {
    records.iter().find(|(found, _)| *found == kind).map(|(_, value)| &value[..])
}

fn stream(records: &[Record]) -> Vec<u8> {
    let record =
        |(kind, value): &Record| [big_size(*kind), big_size(value.len() as u64), value.clone()].concat();
    records.iter().flat_map(record).collect()
}

/// Numbers up to 65 535 are all that is needed here.
fn big_size(number: u64) -> Vec<u8> {
    match u8::try_from(number) {
        Ok(small) if small < 0xfd => vec![small],
        _ => [&[0xfd], &number.to_be_bytes()[6..]].concat(),
    }
}

fn read_big_size(rest: &mut &[u8]) -> Option<u64> {
    let (first, after) = rest.split_first()?;
    let (number, after) = match first {
        0xfd => {
            let (digits, after) = after.split_at_checked(2)?;
            (digits.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)), after)
        }
        0xfe.. => return None,
        small => (u64::from(*small), after),
    };
    *rest = after;
    Some(number)
}

/// Without leading zero bytes.
fn truncated(number: u64) -> Vec<u8> {
    number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_invoice_is_read_again_and_a_changed_one_is_refused() {
        let (node, payer) = (NodeKey::from_bytes(&[1; 32]).unwrap(), NodeKey::from_bytes(&[2; 32]).unwrap());
        let offer = node.offer("news");
        assert_eq!(description(&offer).as_deref(), Some("news"));
        let draft = Draft {
            network: Network::Regtest,
            hash: [7; 32],
            payment_addr: [8; 32],
            amount_msat: 10_001,
            memo: "news",
            description_hash: None,
            created: 1_800_000_000,
            expiry_s: 600,
            cltv_expiry: 40,
        };
        let invoice = node.sign_bolt12(&offer, &payer, [5; 16], &draft).unwrap();
        let decoded = decode(&invoice).unwrap();
        assert_eq!((decoded.hash, decoded.payment_addr), (draft.hash, draft.payment_addr));
        assert_eq!((decoded.amount_msat, decoded.expiry_s), (Some(10_001), 600));
        let at = invoice.len() / 2;
        let other = if invoice.as_bytes()[at] == b'q' { "p" } else { "q" };
        let mut changed = invoice.clone();
        changed.replace_range(at..=at, other);
        assert!(decode(&changed).is_err());
        assert!(payer.sign_bolt12(&offer, &payer, [5; 16], &draft).is_err());
    }
}
