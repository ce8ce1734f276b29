//! Payments that other hosts may have taken: each piece of ecash is of one payment, over all hosts.
//!
//! A host has the proofs on its own disk before it enters the payment, so whoever stands in the ledger can redeem it. A payment
//! that is to be swapped first is entered for a while, then for ever once it is paid; if its host dies in between, another may try
//! after that, and the mint decides. What a host finds entered by another is that one's payment: same payment hash, same preimage,
//! drawn on together.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::record::{Row, State};
use crate::till::Inner;
use crate::{AcceptError, Lock, PaymentId, Refusal, Unavailable};

/// How long a payment is entered before it is paid: longer than a mint is asked for.
const WHILE_SWAPPED: Duration = Duration::from_secs(60);

/// An answer of the ledger; an error says why it gave none.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Where hosts tell each other of which payment a piece of ecash is. All pieces of a payment are entered together or not at all,
/// durably. A note holds a preimage.
pub trait Ledger: Send + Sync {
    /// Enters pieces with this note, unless one of them is entered already; for so long, or for ever.
    fn enter<'a>(
        &'a self,
        pieces: &'a [String],
        note: &'a str,
        keep: Option<Duration>,
    ) -> LedgerFuture<'a, Entered>;

    /// Enters them with this note, whatever they were entered with; for so long, or for ever.
    fn confirm<'a>(
        &'a self,
        pieces: &'a [String],
        note: &'a str,
        keep: Option<Duration>,
    ) -> LedgerFuture<'a, ()>;

    /// Takes out those that are entered with this note.
    fn withdraw<'a>(&'a self, pieces: &'a [String], note: &'a str) -> LedgerFuture<'a, ()>;
}

/// What pieces were found to be.
pub enum Entered {
    /// Of no payment: they are entered now.
    New,
    /// All entered with this note.
    Known(String),
    /// Of several payments, or some of none.
    Mixed,
}

/// The names of a payment's proofs.
pub(crate) type Pieces = Arc<[String]>;

/// Their names: the Y values (NUT-00), in hex.
pub(crate) fn pieces(ys: impl Iterator<Item = [u8; 33]>) -> Pieces {
    ys.map(|y| HEXLOWER.encode(&y)).collect()
}

/// What the ledger says of a payment.
struct Entry {
    paid: bool,
    id: PaymentId,
    preimage: Zeroizing<[u8; 32]>,
    bought: [u8; 32],
    at: u64,
    net_sat: u64,
}

impl Entry {
    fn of(row: &Row, paid: bool) -> Self {
        let Row { id, at, bought, net_sat, .. } = *row;
        Self { paid, id, preimage: row.preimage.clone(), bought, at, net_sat }
    }

    fn note(&self) -> Zeroizing<String> {
        let state = if self.paid { PAID } else { OFFERED };
        let (id, preimage, bought) = (
            HEXLOWER.encode(&self.id.0),
            Zeroizing::new(HEXLOWER.encode(&*self.preimage)),
            HEXLOWER.encode(&self.bought),
        );
        Zeroizing::new(format!("{state} {id} {} {bought} {} {}", *preimage, self.at, self.net_sat))
    }

    fn parse(note: &str) -> Option<Self> {
        let mut words = note.split(' ');
        let mut next = || words.next();
        let paid = match next()? {
            PAID => true,
            OFFERED => false,
            _ => return None,
        };
        let (id, preimage, bought) = (unhex(next()?)?, unhex(next()?)?, unhex(next()?)?);
        let (at, net_sat) = (next()?.parse().ok()?, next()?.parse().ok()?);
        Some(Self { paid, id: PaymentId(id), preimage: Zeroizing::new(preimage), bought, at, net_sat })
    }

    /// As a payment that is recorded elsewhere.
    fn into_row(self, mint: &str) -> Row {
        Row {
            id: self.id,
            state: State::Finished,
            at: self.at,
            mint: mint.to_owned(),
            bought: self.bought,
            payee: String::new(),
            net_sat: self.net_sat,
            preimage: self.preimage,
            proofs: None,
            outputs: None,
            locked: true,
            lock_end: None,
            former_bundle: None,
            tries: 0,
        }
    }
}

const PAID: &str = "paid";
const OFFERED: &str = "offered";

/// Whose a payment is.
enum Standing {
    Ours,
    /// Ours, and not entered as paid.
    OursOffered,
    Theirs(Entry),
    /// Some of its pieces are of another payment.
    Other {
        paid: bool,
    },
}

impl Inner {
    /// A payment of ours that is paid, or that of another host which took the same ecash before.
    pub(crate) async fn stand(&self, row: Row, pieces: &[String]) -> Result<Row, AcceptError> {
        let Some(ledger) = &self.ledger else { return Ok(row) };
        let note = Entry::of(&row, true).note();
        let entered = ledger.enter(pieces, &note, self.keep()).await.map_err(Unavailable::Ledger)?;
        // Whose it is that counts once it is swapped, the mint has said.
        let is_decided = row.state == State::Finished && self.terms.lock == Lock::None;
        match standing(&row, true, entered)? {
            Standing::Ours => Ok(row),
            Standing::Theirs(entry) if entry.paid => {
                self.purse.record.leave(row.id).await?;
                Ok(entry.into_row(&row.mint))
            }
            Standing::OursOffered => self.confirm(row, pieces, &note).await,
            Standing::Theirs(_) | Standing::Other { .. } if is_decided => {
                self.confirm(row, pieces, &note).await
            }
            Standing::Theirs(_) => Err(Unavailable::Elsewhere.into()),
            Standing::Other { .. } => {
                self.purse.record.leave(row.id).await?;
                Err(Refusal::Spent.into())
            }
        }
    }

    /// Before a payment is swapped: that of another host, if one took the same ecash before.
    pub(crate) async fn begin(&self, row: &Row, pieces: &[String]) -> Result<Option<Row>, AcceptError> {
        let Some(ledger) = &self.ledger else { return Ok(None) };
        let note = Entry::of(row, false).note();
        let entered = ledger.enter(pieces, &note, Some(WHILE_SWAPPED)).await.map_err(Unavailable::Ledger)?;
        let standing = standing(row, false, entered)?;
        if !matches!(standing, Standing::Ours | Standing::OursOffered) {
            self.purse.record.leave(row.id).await?;
        }
        match standing {
            Standing::Ours | Standing::OursOffered => Ok(None),
            Standing::Theirs(entry) if entry.paid => Ok(Some(entry.into_row(&row.mint))),
            Standing::Theirs(_) => Err(Unavailable::Elsewhere.into()),
            Standing::Other { paid: true } => Err(Refusal::Spent.into()),
            Standing::Other { paid: false } => Err(Refusal::Pending.into()),
        }
    }

    /// After a swap that the mint refused.
    pub(crate) async fn withdraw(&self, row: &Row, pieces: &[String]) {
        let Some(ledger) = &self.ledger else { return };
        // If that fails it is out by itself soon.
        if let Err(reason) = ledger.withdraw(pieces, &Entry::of(row, false).note()).await {
            tracing::debug!(reason, "what a mint refused is in the ledger for a minute");
        }
    }

    /// Of payments that were taken on sight, those that no other host has. While the ledger can't tell, all of them: ecash that is
    /// redeemed too late may be gone.
    pub(crate) async fn without_theirs(&self, held: Vec<Row>) -> Vec<Row> {
        if self.ledger.is_none() {
            return held;
        }
        let mut ours = Vec::with_capacity(held.len());
        for row in held {
            let standing = async {
                let pieces = pieces(self.purse.record.ys(row.id).await?.into_iter());
                self.stand(row.clone(), &pieces).await
            };
            match standing.await {
                Ok(stands) if stands.state != State::Held => {}
                Err(AcceptError::Refused(_)) => {}
                Ok(_) | Err(AcceptError::Unavailable(_)) => ours.push(row),
            }
        }
        ours
    }

    /// Tells other hosts of a payment whose swap went through without anybody waiting for it.
    pub(crate) async fn tell_if_paid(&self, id: PaymentId) {
        if self.ledger.is_none() {
            return;
        }
        let told = async {
            match self.purse.record.find(id).await? {
                Some(row) if row.is_paid() => {
                    let pieces = pieces(self.purse.record.ys(id).await?.into_iter());
                    self.stand(row, &pieces).await.map(|_| ())
                }
                Some(_) | None => Ok(()),
            }
        };
        if let Err::<(), AcceptError>(error) = told.await {
            tracing::debug!(%error, "other hosts do not know of a payment yet");
        }
    }

    async fn confirm(&self, row: Row, pieces: &[String], note: &str) -> Result<Row, AcceptError> {
        if let Some(ledger) = &self.ledger {
            ledger.confirm(pieces, note, self.keep()).await.map_err(Unavailable::Ledger)?;
        }
        Ok(row)
    }
}

fn standing(row: &Row, paid: bool, entered: Entered) -> Result<Standing, Unavailable> {
    Ok(match entered {
        Entered::New => Standing::Ours,
        Entered::Mixed => Standing::Other { paid },
        Entered::Known(note) => {
            let entry = Entry::parse(&Zeroizing::new(note));
            let unread =
                || Unavailable::Ledger("an entry can't be read; does something else write its keys?".into());
            match entry.ok_or_else(unread)? {
                entry if entry.id != row.id => Standing::Other { paid: entry.paid },
                entry if entry.preimage != row.preimage => Standing::Theirs(entry),
                entry if entry.paid => Standing::Ours,
                _ => Standing::OursOffered,
            }
        }
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_note_says_what_its_payment_is() {
        for paid in [false, true] {
            let entry = Entry {
                paid,
                id: PaymentId([1; 32]),
                preimage: Zeroizing::new([2; 32]),
                bought: [3; 32],
                at: 4,
                net_sat: 5,
            };
            let read = Entry::parse(&entry.note()).unwrap();
            assert_eq!(read.note(), entry.note());
            assert_eq!(read.paid, paid);
        }
        for wrong in ["", "paid", "held 00", &format!("paid {0} {0} {0} 4", "11".repeat(32))] {
            assert!(Entry::parse(wrong).is_none(), "{wrong}");
        }
    }
}
