//! Outgoing payments. `Debug` shows no preimage.

use std::fmt;

/// State of an outgoing payment.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct Payment {
    /// Payment hash, hex.
    #[prost(string, tag = "1")]
    pub payment_hash: String,
    /// Preimage, hex; zeros until the payment succeeded.
    #[prost(string, tag = "6")]
    pub payment_preimage: String,
    /// Amount, whole satoshis.
    #[prost(int64, tag = "7")]
    pub value_sat: i64,
    /// Amount, millisatoshis.
    #[prost(int64, tag = "8")]
    pub value_msat: i64,
    /// The BOLT11 invoice that is paid.
    #[prost(string, tag = "9")]
    pub payment_request: String,
    /// What decides: in flight, succeeded or failed.
    #[prost(enumeration = "payment::PaymentStatus", tag = "10")]
    pub status: i32,
    /// Fee paid, whole satoshis.
    #[prost(int64, tag = "11")]
    pub fee_sat: i64,
    /// Fee paid, millisatoshis.
    #[prost(int64, tag = "12")]
    pub fee_msat: i64,
    /// Start, Unix nanoseconds.
    #[prost(int64, tag = "13")]
    pub creation_time_ns: i64,
    /// Its place in the order of creation.
    #[prost(uint64, tag = "15")]
    pub payment_index: u64,
    /// Why it failed.
    #[prost(enumeration = "PaymentFailureReason", tag = "16")]
    pub failure_reason: i32,
}

/// What belongs to [`Payment`].
pub mod payment {
    /// State of a payment.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    pub enum PaymentStatus {
        /// Deprecated by LND; never sent.
        Unknown = 0,
        /// Under way.
        InFlight = 1,
        /// Paid; the preimage is known.
        Succeeded = 2,
        /// Failed for good.
        Failed = 3,
        /// Registered, nothing sent yet.
        Initiated = 4,
    }
}

/// Why a payment failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum PaymentFailureReason {
    /// It has not failed.
    None = 0,
    /// No success within `timeout_seconds`.
    Timeout = 1,
    /// No route to the payee within the limits.
    NoRoute = 2,
    /// An error that can't be mended by another route.
    Error = 3,
    /// The payee refused: unknown hash, wrong amount or already paid.
    IncorrectPaymentDetails = 4,
    /// The payer's channels hold too little.
    InsufficientBalance = 5,
    /// Cancelled by its owner.
    Canceled = 6,
}

/// Everything but the preimage.
impl fmt::Debug for Payment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payment")
            .field("payment_hash", &self.payment_hash)
            .field("value_msat", &self.value_msat)
            .field("fee_msat", &self.fee_msat)
            .field("status", &self.status())
            .field("failure_reason", &self.failure_reason())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_preimage() {
        let payment = Payment { payment_preimage: "ab".repeat(32), ..Payment::default() };
        assert!(!format!("{payment:?}").contains("abab"));
    }
}
