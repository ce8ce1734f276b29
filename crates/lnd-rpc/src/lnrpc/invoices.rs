//! Invoices: making them, looking them up, following them. `Debug` shows no preimage and no payment secret.

use std::fmt;

use super::Hex;

/// An invoice, both as asked for in `AddInvoice` and as the node reports it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct Invoice {
    /// Description; becomes the `d` field of the BOLT11 invoice (at most 1024 bytes).
    #[prost(string, tag = "1")]
    pub memo: String,
    /// Preimage, 32 bytes. LND reports it for open invoices as well: it is no sign of settlement.
    #[prost(bytes = "vec", tag = "3")]
    pub r_preimage: Vec<u8>,
    /// Payment hash, 32 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub r_hash: Vec<u8>,
    /// Amount, satoshis; excludes `value_msat` in a request.
    #[prost(int64, tag = "5")]
    pub value: i64,
    /// Deprecated by LND in favour of `state`; still sent.
    #[prost(bool, tag = "6")]
    pub settled: bool,
    /// Unix seconds.
    #[prost(int64, tag = "7")]
    pub creation_date: i64,
    /// Unix seconds; zero until settled.
    #[prost(int64, tag = "8")]
    pub settle_date: i64,
    /// The BOLT11 invoice.
    #[prost(string, tag = "9")]
    pub payment_request: String,
    /// SHA-256 of a description kept elsewhere; excludes `memo` in the BOLT11 invoice.
    #[prost(bytes = "vec", tag = "10")]
    pub description_hash: Vec<u8>,
    /// Life of the invoice from `creation_date`, seconds; zero in a request is the node's default (86400).
    #[prost(int64, tag = "11")]
    pub expiry: i64,
    /// On-chain address to fall back to.
    #[prost(string, tag = "12")]
    pub fallback_addr: String,
    /// CLTV delta of the last hop, blocks.
    #[prost(uint64, tag = "13")]
    pub cltv_expiry: u64,
    /// Whether hints for private channels are put into the invoice.
    #[prost(bool, tag = "15")]
    pub private: bool,
    /// Counts invoices in the order of their creation, from 1.
    #[prost(uint64, tag = "16")]
    pub add_index: u64,
    /// Counts invoices in the order of their settlement, from 1; zero until settled.
    #[prost(uint64, tag = "17")]
    pub settle_index: u64,
    /// Deprecated by LND: the amount received, millisatoshis.
    #[prost(int64, tag = "18")]
    pub amt_paid: i64,
    /// Amount received, whole satoshis.
    #[prost(int64, tag = "19")]
    pub amt_paid_sat: i64,
    /// Amount received, millisatoshis.
    #[prost(int64, tag = "20")]
    pub amt_paid_msat: i64,
    /// What decides: open, settled, cancelled or accepted (held).
    #[prost(enumeration = "invoice::InvoiceState", tag = "21")]
    pub state: i32,
    /// Amount, millisatoshis.
    #[prost(int64, tag = "23")]
    pub value_msat: i64,
    /// Made by a spontaneous payment.
    #[prost(bool, tag = "25")]
    pub is_keysend: bool,
    /// Payment secret, 32 bytes.
    #[prost(bytes = "vec", tag = "26")]
    pub payment_addr: Vec<u8>,
    /// Whether the invoice is one of atomic multi-path payments.
    #[prost(bool, tag = "27")]
    pub is_amp: bool,
    /// Whether the invoice carries blinded paths.
    #[prost(bool, tag = "29")]
    pub is_blinded: bool,
}

/// What belongs to [`Invoice`].
pub mod invoice {
    /// State of an invoice. An invoice that expires unpaid becomes `Canceled`, some time after its expiry.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    pub enum InvoiceState {
        /// Not paid.
        Open = 0,
        /// Paid: the money is ours.
        Settled = 1,
        /// Cancelled, by its owner or by expiry.
        Canceled = 2,
        /// A payment is held; it may still be taken back.
        Accepted = 3,
    }
}

/// The invoice that was made.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AddInvoiceResponse {
    /// Payment hash, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub r_hash: Vec<u8>,
    /// The BOLT11 invoice.
    #[prost(string, tag = "2")]
    pub payment_request: String,
    /// Its place in the order of creation.
    #[prost(uint64, tag = "16")]
    pub add_index: u64,
    /// Payment secret, 32 bytes.
    #[prost(bytes = "vec", tag = "17")]
    pub payment_addr: Vec<u8>,
}

/// Which invoice to look up.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PaymentHash {
    /// Hex of the hash; deprecated by LND.
    #[prost(string, tag = "1")]
    pub r_hash_str: String,
    /// Payment hash, 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub r_hash: Vec<u8>,
}

/// From where a subscription starts: what was added or settled after these indices is delivered first.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct InvoiceSubscription {
    /// Last creation already seen; zero: no backlog.
    #[prost(uint64, tag = "1")]
    pub add_index: u64,
    /// Last settlement already seen; zero: no backlog.
    #[prost(uint64, tag = "2")]
    pub settle_index: u64,
}

/// An invoice to decode.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PayReqString {
    /// The BOLT11 invoice.
    #[prost(string, tag = "1")]
    pub pay_req: String,
}

/// A decoded invoice.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PayReq {
    /// Public key of the payee, hex.
    #[prost(string, tag = "1")]
    pub destination: String,
    /// Payment hash, hex.
    #[prost(string, tag = "2")]
    pub payment_hash: String,
    /// Amount, whole satoshis.
    #[prost(int64, tag = "3")]
    pub num_satoshis: i64,
    /// Creation, Unix seconds.
    #[prost(int64, tag = "4")]
    pub timestamp: i64,
    /// Life from the creation on, seconds.
    #[prost(int64, tag = "5")]
    pub expiry: i64,
    /// Description.
    #[prost(string, tag = "6")]
    pub description: String,
    /// SHA-256 of the description, hex.
    #[prost(string, tag = "7")]
    pub description_hash: String,
    /// On-chain address to fall back to.
    #[prost(string, tag = "8")]
    pub fallback_addr: String,
    /// CLTV delta of the last hop, blocks.
    #[prost(int64, tag = "9")]
    pub cltv_expiry: i64,
    /// Payment secret, 32 bytes.
    #[prost(bytes = "vec", tag = "11")]
    pub payment_addr: Vec<u8>,
    /// Amount, millisatoshis.
    #[prost(int64, tag = "12")]
    pub num_msat: i64,
}

/// Everything but the preimage and the payment secret.
impl fmt::Debug for Invoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invoice")
            .field("memo", &self.memo)
            .field("r_hash", &Hex(&self.r_hash))
            .field("value_msat", &self.value_msat)
            .field("creation_date", &self.creation_date)
            .field("expiry", &self.expiry)
            .field("add_index", &self.add_index)
            .field("settle_index", &self.settle_index)
            .field("amt_paid_msat", &self.amt_paid_msat)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prost::Message;

    use super::*;

    /// The bytes of a message with LND's field numbers, written by hand: (number, wire type 0) value …
    #[test]
    fn field_numbers_are_those_of_lnd() {
        let invoice = Invoice {
            memo: "m".to_owned(),
            r_hash: vec![0xaa],
            value: 1,
            creation_date: 2,
            payment_request: "p".to_owned(),
            expiry: 3,
            add_index: 4,
            settle_index: 5,
            amt_paid_msat: 6,
            state: invoice::InvoiceState::Settled.into(),
            value_msat: 7,
            payment_addr: vec![0xbb],
            ..Invoice::default()
        };
        let wire: &[&[u8]] = &[
            &[0x0a, 1, b'm'],
            &[0x22, 1, 0xaa],
            &[0x28, 1],
            &[0x38, 2],
            &[0x4a, 1, b'p'],
            &[0x58, 3],
            &[0x80, 1, 4],
            &[0x88, 1, 5],
            &[0xa0, 1, 6],
            &[0xa8, 1, 1],
            &[0xb8, 1, 7],
            &[0xd2, 1, 1, 0xbb],
        ];
        assert_eq!(invoice.encode_to_vec(), wire.concat());
    }

    #[test]
    fn unknown_fields_are_skipped() {
        // Field 14 (route hints) and field 30 (blinded paths), which we do not read.
        let wire = [0x72, 2, 1, 2, 0xf2, 1, 1, 0, 0x28, 9];
        assert_eq!(Invoice::decode(&wire[..]).unwrap().value, 9);
    }

    #[test]
    fn debug_shows_no_preimage() {
        let invoice =
            Invoice { r_preimage: vec![0xab; 32], payment_addr: vec![0xcd; 32], ..Invoice::default() };
        let shown = format!("{invoice:?}");
        assert!(!shown.contains("171") && !shown.contains("abab"), "{shown}");
        assert!(!shown.contains("205") && !shown.contains("cdcd"), "{shown}");
    }
}
