//! What the module remembers of a request, from its arrival to its line in the access log.
//!
//! Internal redirects clear a request's module contexts. What must survive them (the client's own path
//! and method, the payment) is therefore found again through the clean-up list of the request's pool,
//! as the realip module does.
use std::ffi::c_void;
use std::ptr::{self, NonNull};

use gate::{Answer, Gate, Grant, Issued, Outcome, PaymentHash, Response, TokenId};
use ngx::ffi::{ngx_http_request_t, ngx_pool_cleanup_add, ngx_str_t};

use crate::guard::guard;
use crate::nginx;
use crate::request::{OutOfMemory, Request};
use crate::suspension::Suspension;

/// What is remembered of the client's own request. A handle: the memory belongs to the request, and
/// nothing but short references into it exist, as a variable that nginx evaluates may look there too.
pub struct Client(NonNull<Note>);

/// The client's own request, noted before anything could rewrite it.
struct Note {
    path: ngx_str_t,
    method: ngx_str_t,
    /// A variable says that this request is free, and another one may not be.
    is_free_for_some: bool,
    /// Owned; a raw pointer, as event handlers hold copies of it.
    sale: Option<NonNull<Sale>>,
}

/// What became of the request in a location that sells.
pub struct Sale {
    /// The request; valid as long as this is, as its pool holds both.
    pub request: *mut ngx_http_request_t,
    /// Itself, for whoever must find it again.
    pub handle: NonNull<Sale>,
    /// How far it has come.
    pub state: State,
    /// What is known, for the variables.
    pub facts: Facts,
    /// May shared caches keep what is granted?
    pub may_be_shared: bool,
    /// What l402d said was wrong, for the operator.
    pub reason: Option<String>,
    /// How it waits.
    pub suspension: Suspension,
}

/// How far a request has come.
pub enum State {
    /// Not looked at yet, or not until there are keys.
    New,
    /// Waits for the keys.
    WaitingForKeys,
    /// Has waited for them as long as it may.
    DoneWaitingForKeys,
    /// Waits for l402d's answer.
    Asked(Gate),
    /// Has got it.
    Answered(Gate, Answer),
    /// Is let through, here and wherever nginx redirects it to.
    Granted,
    /// Was answered: the response is at hand in case an error page sends it back here.
    Responded(Box<Response>),
    /// Gets a 500: the configuration gave a value for it that can't be used, or memory is out.
    Failed,
}

/// What the variables show.
#[derive(Default)]
pub struct Facts {
    /// `$l402_status`
    pub outcome: Option<Outcome>,
    /// `$l402_payment_hash`
    pub payment_hash: Option<PaymentHash>,
    /// `$l402_token_id`
    pub token_id: Option<TokenId>,
    /// `$l402_amount_msat`
    pub amount_msat: Option<u64>,
    /// `$l402_remaining_uses`
    pub remaining: Option<u32>,
    /// The token that goes out with the answer; in no variable.
    pub issued: Option<Box<Issued>>,
}

impl Facts {
    /// Notes a grant.
    pub fn grant(&mut self, grant: &Grant) {
        self.outcome = Some(Outcome::Granted);
        self.payment_hash = Some(grant.payment_hash);
        self.token_id = Some(grant.token_id);
        self.amount_msat = Some(grant.amount_msat);
        self.remaining = grant.remaining;
        self.issued.clone_from(&grant.issued);
    }
}

impl Client {
    /// Notes the request as it is now.
    ///
    /// # Errors
    /// Memory is out.
    fn note(r: &Request) -> Result<Self, OutOfMemory> {
        // SAFETY: the pool is alive; the new memory is of the size asked for and aligned for any type of
        // nginx's, and the handler that drops it is set only once it holds a `Note`. nginx keeps the
        // path and the method of a request in memory that lives as long as the request.
        unsafe {
            const { assert!(align_of::<Note>() <= ngx::ffi::NGX_ALIGNMENT) };
            let cleanup = ngx_pool_cleanup_add(r.pool(), size_of::<Note>());
            let place = NonNull::new(cleanup).ok_or(OutOfMemory)?.as_ref().data.cast::<Note>();
            place.write(Note { path: r.path(), method: r.method(), is_free_for_some: false, sale: None });
            (*cleanup).handler = Some(drop_note);
            NonNull::new(place).map(Self).ok_or(OutOfMemory)
        }
    }

    /// What was noted of this request, or of the one that it is a subrequest of.
    pub fn find(r: &Request) -> Option<Self> {
        // SAFETY: the pool is alive and its clean-up list is nginx's own; an entry with our handler was
        // made by `note`.
        unsafe {
            let mut cleanup = (*r.pool()).cleanup;
            while let Some(entry) = cleanup.as_ref() {
                if entry.handler.is_some_and(|handler| ptr::fn_addr_eq(handler, DROP_NOTE)) {
                    return NonNull::new(entry.data.cast()).map(Self);
                }
                cleanup = entry.next;
            }
            None
        }
    }

    /// What was noted, or the request as it is now: one that failed before its first phase, and has an
    /// error page in a location that sells, was never noted.
    ///
    /// # Errors
    /// Memory is out.
    pub fn find_or_note(r: &Request) -> Result<Self, OutOfMemory> {
        Self::find(r).map_or_else(|| Self::note(r), Ok)
    }

    /// The client's path, normalised.
    pub fn path(&self) -> &[u8] {
        // SAFETY: as said in `note`, it lives as long as the note.
        unsafe { nginx::bytes((*self.0.as_ptr()).path) }
    }

    /// The client's method.
    pub fn method(&self) -> &str {
        // SAFETY: as `path`.
        std::str::from_utf8(unsafe { nginx::bytes((*self.0.as_ptr()).method) }).unwrap_or_default()
    }

    /// Notes that this request is free, and another one may not be.
    pub fn note_free_for_some(&mut self) {
        // SAFETY: the note is alive.
        unsafe { (*self.0.as_ptr()).is_free_for_some = true };
    }

    /// The note of [`Client::note_free_for_some`].
    pub fn is_free_for_some(&self) -> bool {
        // SAFETY: the note is alive.
        unsafe { (*self.0.as_ptr()).is_free_for_some }
    }

    /// The sale, if the request came to a location that sells.
    pub fn sale(&mut self) -> Option<&mut Sale> {
        // SAFETY: the note is alive; `sale_of` made the sale, and it lives as long as the note.
        unsafe { (*self.0.as_ptr()).sale.map(|mut sale| sale.as_mut()) }
    }

    /// The sale, opened now unless it was before.
    pub fn sale_of(&mut self, r: &Request) -> &mut Sale {
        // SAFETY: the note is alive; the box has room for a `Sale`, and the note's `drop` takes it back.
        unsafe {
            let slot = &mut (*self.0.as_ptr()).sale;
            let mut sale = *slot.get_or_insert_with(|| {
                let sale = NonNull::from(Box::leak(Box::<Sale>::new_uninit())).cast::<Sale>();
                sale.write(Sale {
                    request: r.as_ptr(),
                    handle: sale,
                    state: State::New,
                    facts: Facts::default(),
                    may_be_shared: false,
                    reason: None,
                    suspension: Suspension::new(),
                });
                sale
            });
            sale.as_mut()
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(sale) = self.sale.take() {
            // SAFETY: made from a box by `sale_of`. The request has ended, so its clean-up handlers have
            // taken the sale out of the table and stopped its timer.
            drop(unsafe { Box::from_raw(sale.as_ptr()) });
        }
    }
}

/// [`drop_note`], as nginx stores it.
const DROP_NOTE: unsafe extern "C" fn(*mut c_void) = drop_note;

unsafe extern "C" fn drop_note(data: *mut c_void) {
    // SAFETY: set by `note` on memory that holds a `Note`; a pool runs a handler once.
    guard((), || unsafe { data.cast::<Note>().drop_in_place() });
}
