//! Whose fault it is that ecash is not taken: the client's (a refusal), the mint's or the disk's, or the operator's.

use std::path::PathBuf;

use crate::{SeedError, WALLET_SCHEMA};

/// Why a token is not taken: the client's to mend (NUT-24: 400). The texts hold nothing of the token's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It can't be read.
    #[error("the ecash token can not be read: send cashuA or cashuB")]
    Malformed,
    /// It is longer than is read, or of more proofs.
    #[error("the ecash token is too large: send fewer and larger proofs")]
    TooLarge,
    /// It holds a proof twice.
    #[error("the ecash token holds a proof twice")]
    DuplicateProof,
    /// It is of another mint.
    #[error("the ecash is of a mint that is not accepted here: the payment request names those that are")]
    Mint,
    /// It is in another unit.
    #[error("the ecash is not in the unit sat")]
    Unit,
    /// The mint knows no such keyset.
    #[error("the ecash is of a keyset that its mint does not know")]
    Keyset,
    /// The mint takes nothing of the keyset any more.
    #[error("the ecash is of a keyset that has ended: its mint takes it no more")]
    ExpiredKeyset,
    /// The id of the keyset, or of all that the mint issues now, is of a version that is not understood.
    #[error(
        "the mint uses keyset ids of a version that is not understood here (00 and 01 are): pay the invoice, or send ecash of \
         another mint that the payment request names"
    )]
    NewerKeyset,
    /// It is worth less than the price.
    #[error("the ecash is worth less than the price, after the mint's fee")]
    Amount,
    /// It is not locked as the payment request says.
    #[error("the ecash is not locked to the key of the payment request")]
    NotLocked,
    /// Somebody else could spend it, or we could not.
    #[error(
        "the ecash is locked in a way that leaves it to others: lock it to the one key of the payment request"
    )]
    LockTerms,
    /// Its lock ends too soon.
    #[error("the lock of the ecash ends too soon: leave the locktime out, or set it a day ahead")]
    Locktime,
    /// It is locked, and not to us.
    #[error("the ecash is locked to another key")]
    LockedToOther,
    /// Its mint does not enforce locks, so that others could spend it.
    #[error(
        "the mint of the ecash does not enforce locks (NUT-11), which are required here: pay the invoice, or send ecash of another \
         mint that the payment request names"
    )]
    NoLocks,
    /// As much is held of its mint as may be.
    #[error(
        "so much ecash waits to be redeemed at its mint that no more of it is taken now: send the same token again later, or pay \
         the invoice"
    )]
    TooMuchHeld,
    /// It comes without the proof that the mint signed it.
    #[error("the ecash comes without DLEQ proofs (NUT-12), which are required here")]
    NoDleq,
    /// The proof that the mint signed it is wrong.
    #[error("a DLEQ proof (NUT-12) of the ecash does not verify")]
    WrongDleq,
    /// It was spent before.
    #[error("the ecash has been spent already")]
    Spent,
    /// Something else is being done with it.
    #[error("the ecash is pending at its mint: try again later")]
    Pending,
    /// The mint says that it is not genuine.
    #[error("the mint does not accept the ecash")]
    Invalid,
}

/// Why nothing can be said of a token now; the client may try again with the same one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The mint can't be reached, or does not do its part.
    #[error("the mint {mint} is not available: {reason}")]
    Mint {
        /// The mint.
        mint: String,
        /// What went wrong, for the operator; fit for a log.
        reason: String,
        /// For how long it asks to be left alone, in seconds.
        retry_after_s: Option<u32>,
    },
    /// The record of payments can't be written.
    #[error("the ecash wallet's database failed: {0}")]
    Store(String),
    /// What hosts tell each other can't be read or written.
    #[error("the ledger that hosts share failed: {0}")]
    Ledger(String),
    /// Another host is taking the token.
    #[error("another host is taking this ecash")]
    Elsewhere,
    /// Too many tokens wait.
    #[error("too many ecash payments wait for the mint {mint}")]
    Busy {
        /// The mint.
        mint: String,
    },
}

/// Why a token did not become a payment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The client's fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Not the client's fault.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why ecash can't be sold for: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The wallet's database.
    #[error("can't open the ecash wallet {}: {reason}; it must be a file that l402d's user can write", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A newer l402d has written it.
    #[error(
        "the ecash wallet {} was written by a newer l402d (schema {found}, this one knows {}); upgrade l402d",
        path.display(),
        WALLET_SCHEMA
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i32,
    },
    /// There is none.
    #[error("there is no ecash wallet {}: expected the state directory or CASHU_DB_PATH that l402d has", path.display())]
    NoWallet {
        /// The file.
        path: PathBuf,
    },
    /// It can't be read.
    #[error(
        "the ecash wallet {} can't be read: {reason}; run this as root or as l402d's user, and start this release's l402d with \
         it once",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Nothing can be trusted to be a mint.
    #[error(
        "the system's certificate authorities can't be read: {reason}; they are needed for mints over https (is ca-certificates \
         installed?)"
    )]
    Authorities {
        /// What went wrong.
        reason: String,
    },
    /// The seed.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// Another seed than the wallet was made with.
    #[error(
        "the ecash wallet {} belongs to another mnemonic; give the one it was made with, or another CASHU_DB_PATH",
        path.display()
    )]
    OtherSeed {
        /// The file.
        path: PathBuf,
    },
}
