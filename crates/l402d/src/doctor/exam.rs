//! Tries everything that selling needs of a wallet, over the trait that it is sold through.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use l402::{Msat, PaymentHash};
use lightning::{
    Bounds, Cancelled, Health, Invoice, InvoiceRequest, Lightning, LightningError, Lookup, Reply, made_at,
};
use tokio::time::timeout;

use super::report::{Check, Outcome, Report};
use crate::engine::INVOICE_EXPIRY_S;

/// How long one try may take, whatever the wallet's own time-out is.
pub(super) const EACH: Duration = Duration::from_secs(5);

/// How many tries there are at most, one after the other.
pub(super) const TRIES: u32 = 10;

/// From here on clocks are worth a word, seconds; transport and whole seconds make up for less.
const SKEW_S: u64 = 10;

/// Tries the wallet of the backend `name`. An invoice over one satoshi, or the least that the wallet makes, is made and taken
/// back where that is possible; nobody gets to see it.
pub async fn examine(name: &str, wallet: &dyn Lightning) -> Report {
    let kind = wallet.calls().kind.to_owned();
    let mut exam = Exam { wallet, report: Report { backend: name.to_owned(), kind, lines: Vec::new() } };
    if exam.health().await {
        let invoice = exam.invoice().await;
        if invoice.is_some() {
            exam.parts_of_a_satoshi().await;
        }
        exam.look_up(invoice.as_ref()).await;
        exam.unknown().await;
        exam.push().await;
        exam.cancel(invoice.as_ref()).await;
    }
    exam.report
}

struct Exam<'a> {
    wallet: &'a dyn Lightning,
    report: Report,
}

impl Exam<'_> {
    /// Whether anything else is worth a try.
    async fn health(&mut self) -> bool {
        let (call, begun) = (self.wallet.calls().health, Instant::now());
        let health = within(self.wallet.health()).await;
        if let Err(error @ (LightningError::Unavailable { .. } | LightningError::TimedOut)) = &health {
            self.report.failed(Check::Reachable, call, error);
            for check in [
                Check::Authorised,
                Check::Invoice,
                Check::Clock,
                Check::LookUp,
                Check::Unknown,
                Check::Push,
                Check::Cancel,
            ] {
                self.report.line(check, Outcome::Skipped, "the wallet is not reached");
            }
            return false;
        }
        let text = format!("it answers in {} ms", begun.elapsed().as_millis());
        self.report.line(Check::Reachable, Outcome::Ok, text);
        match health {
            Ok(Health { node, network, synced, remarks }) => {
                let network = network.map(|network| format!(", on {network}")).unwrap_or_default();
                match synced {
                    Some(false) => self.report.line(
                        Check::Authorised,
                        Outcome::Note,
                        format!("{node}{network}; it has not caught up with the chain, and may be unable to receive"),
                    ),
                    Some(true) | None => {
                        self.report.line(Check::Authorised, Outcome::Ok, format!("{node}{network}"));
                    }
                }
                self.report.remarks(&remarks);
            }
            Err(error) => self.report.failed(Check::Authorised, call, &error),
        }
        true
    }

    /// The invoice that was made, with the same checks as one for a client.
    async fn invoice(&mut self) -> Option<Invoice> {
        let call = self.wallet.calls().create;
        let made = match within(self.wallet.bounds()).await {
            Ok(bounds) => {
                self.bounds(&bounds);
                let amount =
                    bounds.least.map_or(Msat(1000), |least| Msat(least.0.max(1).div_ceil(1000) * 1000));
                // As long, and in as foreign letters, as that of any location may be.
                let description = format!("l402 doctor {}", "caf\u{e9}/".repeat(40));
                let ask = InvoiceRequest { amount, description, expiry_s: INVOICE_EXPIRY_S };
                within(self.wallet.create(&ask)).await.map(|invoice| (amount, invoice))
            }
            Err(error) => Err(error),
        };
        match made {
            Ok((amount, invoice)) => {
                let text = format!(
                    "{call}: one over {} was made; its payment hash, amount, network and expiry are as asked",
                    shown(amount)
                );
                self.report.line(Check::Invoice, Outcome::Ok, text);
                self.report.remarks(&invoice.remarks);
                self.clock(&invoice);
                Some(invoice)
            }
            Err(error) => {
                self.report.failed(Check::Invoice, call, &error);
                self.report.line(Check::Clock, Outcome::Skipped, "there is no invoice to read it from");
                None
            }
        }
    }

    /// What it says of the amounts that it takes.
    fn bounds(&mut self, bounds: &Bounds) {
        let text = match (bounds.least, bounds.most) {
            (None, None) => return,
            (Some(least), None) => format!("from {least} on"),
            (None, Some(most)) => format!("up to {most}"),
            (Some(least), Some(most)) => format!("from {least} to {most}"),
        };
        let text = format!("it makes invoices {text}; a location with another price is answered 502");
        self.report.line(Check::Price, Outcome::Note, text);
    }

    /// Whether prices may have parts of a satoshi. The invoice that is made for it is taken back.
    async fn parts_of_a_satoshi(&mut self) {
        let amount = Msat(match within(self.wallet.bounds()).await {
            Ok(Bounds { least: Some(least), .. }) => least.0.div_ceil(1000) * 1000 + 1,
            Ok(_) | Err(_) => 1001,
        });
        let ask =
            InvoiceRequest { amount, description: "l402 doctor".to_owned(), expiry_s: INVOICE_EXPIRY_S };
        match within(self.wallet.create(&ask)).await {
            Ok(invoice) => {
                self.report.line(Check::Price, Outcome::Ok, "prices in msat are invoiced as they are");
                // Where that fails it expires, like the one before, of which that is said.
                let _ = within(self.wallet.cancel(invoice.payment_hash)).await;
            }
            Err(error) => {
                let text =
                    format!("{amount} is not invoiced, so prices have to be multiples of 1000 msat: {error}");
                self.report.line(Check::Price, Outcome::Note, text);
            }
        }
    }

    /// What it says of an invoice that nobody made: never that it is paid.
    async fn unknown(&mut self) {
        let call = self.wallet.calls().look_up;
        match within(self.wallet.look_up(PaymentHash([0x5a; 32]))).await {
            Ok(Lookup::Settled { .. }) => {
                let text = format!("{call}: an invoice that was never made is said to be settled");
                self.report.wrong(Check::Unknown, text);
            }
            Ok(Lookup::CannotLookUp) => {}
            Ok(Lookup::Unclear(said)) => {
                let text = format!(
                    "{call}: an invoice that is not its own is answered with an error of its own: {said}"
                );
                self.report.line(Check::Unknown, Outcome::Note, text);
            }
            Ok(Lookup::Unknown | Lookup::Dead | Lookup::Pending { .. }) => {
                let text = format!("{call}: an invoice that is not its own is told from others");
                self.report.line(Check::Unknown, Outcome::Ok, text);
            }
            Err(error) => self.report.failed(Check::Unknown, call, &error),
        }
    }

    fn clock(&mut self, invoice: &Invoice) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let Some(made) = made_at(&invoice.bolt11) else {
            return self.report.line(
                Check::Clock,
                Outcome::Note,
                "the invoice does not tell when it was made",
            );
        };
        let apart = made.abs_diff(now);
        if apart < SKEW_S {
            return self.report.line(Check::Clock, Outcome::Ok, format!("{apart} s apart"));
        }
        let which = if made > now { "ahead of" } else { "behind" };
        let text = format!(
            "the wallet's clock is {apart} s {which} this host's: set both by NTP; invoices with less than a minute left by \
             this host's clock are not sold"
        );
        self.report.line(Check::Clock, Outcome::Note, text);
    }

    async fn look_up(&mut self, invoice: Option<&Invoice>) {
        let call = self.wallet.calls().look_up;
        // Without an invoice it shows at least whether the call is permitted.
        let hash = invoice.map_or(PaymentHash([0; 32]), |invoice| invoice.payment_hash);
        let found = match within(self.wallet.look_up(hash)).await {
            Ok(found) => found,
            Err(error) => return self.report.failed(Check::LookUp, call, &error),
        };
        match (found, invoice) {
            (Lookup::CannotLookUp, _) => self.report.line(
                Check::LookUp,
                Outcome::Note,
                format!(
                    "{call}: this wallet can't tell whether an invoice is paid: clients need the preimage, and \
                     l402_auto_detect_payment is of no use"
                ),
            ),
            (Lookup::Pending { bolt11: Some(text), .. }, Some(invoice)) if text != invoice.bolt11 => {
                self.report.wrong(Check::LookUp, format!("{call}: it finds another invoice than it made"));
            }
            (Lookup::Pending { .. }, Some(_)) => {
                self.report.line(Check::LookUp, Outcome::Ok, format!("{call}: the invoice is found, unpaid"));
            }
            (Lookup::Unknown | Lookup::Unclear(_), Some(_)) => {
                let text = format!(
                    "{call}: the wallet does not find an invoice before it is paid: clients are shown the same one until \
                     it expires"
                );
                self.report.line(Check::LookUp, Outcome::Note, text);
            }
            (found @ (Lookup::Settled { .. } | Lookup::Dead), Some(_)) => {
                let text = format!("{call}: {found:?} for an invoice that was made a moment ago and that nobody has");
                self.report.wrong(Check::LookUp, text);
            }
            (_, None) => self.report.line(Check::LookUp, Outcome::Ok, format!("{call}: permitted")),
        }
    }

    async fn push(&mut self) {
        let call = self.wallet.calls().push;
        match within(self.wallet.try_push()).await {
            Ok(true) => self.report.line(Check::Push, Outcome::Ok, format!("{call}: taken")),
            Ok(false) => self.report.line(
                Check::Push,
                Outcome::Note,
                "it tells of no payment by itself: each is looked up while a client waits for it",
            ),
            Err(error) => self.report.failed(Check::Push, call, &error),
        }
    }

    async fn cancel(&mut self, invoice: Option<&Invoice>) {
        let left = "invoices that nobody got stay in the wallet until they expire, this one among them";
        match (self.wallet.calls().cancel, invoice) {
            (_, None) => self.report.line(Check::Cancel, Outcome::Skipped, "there is no invoice to cancel"),
            (None, Some(_)) => {
                self.report.line(Check::Cancel, Outcome::Note, format!("this kind of wallet can't: {left}"));
            }
            (Some(call), Some(invoice)) => match within(self.wallet.cancel(invoice.payment_hash)).await {
                Ok(Cancelled::Done) => {
                    self.report.line(
                        Check::Cancel,
                        Outcome::Ok,
                        format!("{call}: the invoice is taken back"),
                    );
                }
                Ok(Cancelled::CannotCancel) => {
                    self.report.line(
                        Check::Cancel,
                        Outcome::Note,
                        format!("{call}: this wallet can't, or does not let us: {left}"),
                    );
                }
                Err(error) => self.report.failed(Check::Cancel, call, &error),
            },
        }
    }
}

/// The answer, or that there was none for [`EACH`].
async fn within<T>(call: Reply<'_, T>) -> Result<T, LightningError> {
    timeout(EACH, call).await.unwrap_or(Err(LightningError::TimedOut))
}

fn shown(amount: Msat) -> String {
    match amount.0 {
        1000 => "1 sat".to_owned(),
        _ => amount.to_string(),
    }
}
