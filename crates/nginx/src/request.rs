//! A request of nginx, through the few things the module reads and changes of it.
use std::ffi::CStr;

use ngx::ffi::{
    ngx_chain_t, ngx_create_temp_buf, ngx_http_complex_value, ngx_http_complex_value_t,
    ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_err_page_t, ngx_http_finalize_request,
    ngx_http_output_filter, ngx_http_request_t, ngx_http_send_response, ngx_int_t, ngx_list_part_t,
    ngx_list_push, ngx_list_t, ngx_log_t, ngx_pool_t, ngx_str_t, ngx_table_elt_t, ngx_uint_t, off_t,
};

use crate::conf::{Complex, LocationConf, MainConf};
use crate::nginx::{self, Level};

/// A request that nginx has handed to a callback.
///
/// It is alive while the value exists: whoever makes one promises it, and [`Request::send`], after which
/// nginx may free the request, consumes it. Only raw pointers are kept, as nginx changes the request
/// whenever it is called.
pub struct Request(*mut ngx_http_request_t);

/// Memory is out.
#[derive(Debug)]
pub struct OutOfMemory;

impl Request {
    /// # Safety
    /// `r` is alive and stays so until nginx is given control over it again.
    pub const unsafe fn new(r: *mut ngx_http_request_t) -> Self {
        Self(r)
    }

    /// The request itself.
    pub const fn as_ptr(&self) -> *mut ngx_http_request_t {
        self.0
    }

    /// Its memory.
    pub fn pool(&self) -> *mut ngx_pool_t {
        // SAFETY: the request is alive.
        unsafe { (*self.0).pool }
    }

    /// The connection's log, which adds the client and the request to each line.
    fn log_target(&self) -> *mut ngx_log_t {
        // SAFETY: the request is alive, and so is its connection.
        unsafe { (*(*self.0).connection).log }
    }

    /// One line in the error log.
    pub fn log(&self, level: Level, text: &str) {
        // SAFETY: the connection's log is alive.
        unsafe { nginx::log_to(self.log_target(), level, text) }
    }

    /// Is it the client's own, and no subrequest?
    pub fn is_main(&self) -> bool {
        // SAFETY: the request is alive.
        unsafe { (*self.0).main == self.0 }
    }

    /// The configuration of the location that serves it now.
    pub fn location_conf(&self) -> &LocationConf {
        // SAFETY: the configuration outlives the request, and nothing changes it after start-up.
        unsafe { LocationConf::of_request(self.0) }
    }

    /// The configuration of `http {}`.
    pub fn main_conf(&self) -> &MainConf {
        // SAFETY: as above.
        unsafe { MainConf::of_request(self.0) }
    }

    /// Its normalised path, as it stands now.
    pub fn path(&self) -> ngx_str_t {
        // SAFETY: the request is alive.
        unsafe { (*self.0).uri }
    }

    /// Its method, as it stands now.
    pub fn method(&self) -> ngx_str_t {
        // SAFETY: the request is alive.
        unsafe { (*self.0).method_name }
    }

    /// The client's address as text, as the realip module may have set it.
    pub fn client_address(&self) -> &[u8] {
        // SAFETY: the request is alive, and so is its connection, whose text lives as long or until realip sets another.
        unsafe { nginx::bytes((*(*self.0).connection).addr_text) }
    }

    /// The value of `Authorization`.
    pub fn authorization(&self) -> Option<&[u8]> {
        // SAFETY: request headers live in the request's pool and are not changed.
        unsafe { (*self.0).headers_in.authorization.as_ref().map(|header| nginx::bytes(header.value)) }
    }

    /// The value of the first request header with one of these lower-case names.
    pub fn header(&self, names: &[&[u8]]) -> Option<&[u8]> {
        // SAFETY: as `authorization`; the list is nginx's own.
        let headers = unsafe { headers(&raw const (*self.0).headers_in.headers) };
        headers
            .map(|header| (header.key, header.value))
            // SAFETY: as `authorization`.
            .map(|(key, value)| unsafe { (nginx::bytes(key), nginx::bytes(value)) })
            .find(|(key, _)| names.iter().any(|name| key.eq_ignore_ascii_case(name)))
            .map(|(_, value)| value)
    }

    /// The beginning of the header line that nginx had no room for, where this is nginx's own answer to that.
    ///
    /// nginx calls such an answer 494 until it turns it into 400. What tells it from another 400: it alone leaves
    /// `lingering_close` set, its last header is not complete, its buffer is full, and no error page of the operator's is under way.
    pub fn header_without_room(&self) -> Option<&[u8]> {
        // SAFETY: the request is alive. The line is taken only from within the buffer that its headers are read into, which lives
        // as long as the request and is not written to while nginx answers; over HTTP/2 and later there is no such line.
        unsafe {
            let r = &*self.0;
            let (start, buffer) = (r.header_name_start.cast_const(), r.header_in.as_ref()?);
            let is_that = r.headers_out.status == 400 && r.lingering_close() == 1 && r.internal() == 0;
            let (from, to) = (buffer.start.cast_const(), buffer.pos.cast_const());
            if !is_that || buffer.pos != buffer.end || start < from || start >= to {
                return None;
            }
            let len = usize::try_from(to.offset_from(start)).ok()?;
            Some(std::slice::from_raw_parts(start, len))
        }
    }

    /// Sets type and length of the body, in place of those of nginx's own page.
    pub fn announce(&self, content_type: &'static CStr, len: usize) {
        // SAFETY: the request is alive, and its header is not sent yet; nginx does not write to a type's text.
        unsafe {
            let out = &mut (*self.0).headers_out;
            if let Some(length) = out.content_length.as_mut() {
                length.hash = 0;
                out.content_length = std::ptr::null_mut();
            }
            out.content_length_n = len as off_t;
            out.content_type = nginx::constant(content_type);
            out.content_type_len = content_type.to_bytes().len();
            out.content_type_lowcase = std::ptr::null_mut();
        }
    }

    /// Sends the announced body behind the header that nginx has just sent, and has nginx send no other.
    pub fn send_body(&self, body: &str) -> ngx_int_t {
        // SAFETY: the request is alive. The buffer holds as much as is copied; nginx keeps neither the chain's link nor
        // anything else of this frame, as in `ngx_http_send_response`.
        unsafe {
            let r = self.0;
            if (*r).header_only() == 1 {
                return nginx::OK;
            }
            (*r).set_header_only(1);
            let buffer = ngx_create_temp_buf(self.pool(), body.len());
            let Some(filled) = buffer.as_mut() else { return nginx::ERROR };
            std::ptr::copy_nonoverlapping(body.as_ptr(), filled.pos, body.len());
            filled.last = filled.pos.add(body.len());
            filled.set_last_buf(1);
            filled.set_last_in_chain(1);
            let mut chain = ngx_chain_t { buf: buffer, next: std::ptr::null_mut() };
            ngx_http_output_filter(r, &raw mut chain)
        }
    }

    /// Is a response header of this name there already?
    pub fn has_response_header(&self, name: &[u8]) -> bool {
        // SAFETY: the list is nginx's own and is not changed while we look.
        let headers = unsafe { headers(&raw const (*self.0).headers_out.headers) };
        // SAFETY: a header's key lives at least as long as the request.
        headers
            .filter(|header| header.hash != 0)
            .any(|header| unsafe { nginx::bytes(header.key) }.eq_ignore_ascii_case(name))
    }

    /// Adds a response header. `value` must be fit for one: no control characters.
    ///
    /// # Errors
    /// Memory is out.
    pub fn add_response_header(&self, name: &'static str, value: &str) -> Result<(), OutOfMemory> {
        // SAFETY: the request is alive. The new entry is zeroed before it is filled, so that `next`, which
        // newer versions of nginx have, is null. nginx does not write to a header's name.
        unsafe {
            let value = nginx::copy(self.pool(), value.as_bytes()).ok_or(OutOfMemory)?;
            let list: *mut ngx_list_t = &raw mut (*self.0).headers_out.headers;
            let header = ngx_list_push(list).cast::<ngx_table_elt_t>();
            if header.is_null() {
                return Err(OutOfMemory);
            }
            header.write_bytes(0, 1);
            (*header).hash = 1;
            (*header).key = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
            (*header).value = value;
        }
        Ok(())
    }

    /// Evaluates a text with variables.
    ///
    /// # Errors
    /// Memory is out, or a variable can't be computed.
    pub fn evaluate(&self, text: Complex) -> Result<&[u8], OutOfMemory> {
        let mut value = ngx_str_t::empty();
        // SAFETY: the request is alive; the compiled text belongs to the configuration, which outlives it.
        // The value lies in the request's pool or in the configuration.
        unsafe {
            if ngx_http_complex_value(self.0, text.as_ptr(), &raw mut value) != nginx::OK {
                return Err(OutOfMemory);
            }
            Ok(nginx::bytes(value))
        }
    }

    /// Should nginx itself answer with this status, because the location has a page for it, or because a
    /// wrong credential is to be answered slowly (`auth_delay`)?
    pub fn leaves_answer_to_nginx(&self, status: u16) -> bool {
        // SAFETY: the request and its location's configuration are alive; `error_pages` is null or an array
        // of that type.
        unsafe {
            let core = ngx_http_core_module.ctx_index;
            let location = (*self.0).loc_conf.add(core).read().cast::<ngx_http_core_loc_conf_t>();
            if status == 401 && (*location).auth_delay != 0 {
                return true;
            }
            // Within an error page nginx looks for no other.
            if (*self.0).error_page() != 0 {
                return false;
            }
            let Some(pages) = (*location).error_pages.as_ref() else { return false };
            pages.as_slice::<ngx_http_err_page_t>().iter().any(|page| page.status == status as ngx_int_t)
        }
    }

    /// Sends a whole answer and ends the request.
    pub fn send(self, status: u16, content_type: &'static CStr, body: &str) -> ngx_int_t {
        // SAFETY: the request is alive; the body is copied into its pool. `ngx_http_send_response` reads
        // both structs before it returns, and a zeroed complex value with a value is a constant. After
        // `ngx_http_finalize_request` nobody here touches the request, and NGX_DONE tells nginx so.
        unsafe {
            let Some(body) = nginx::copy(self.pool(), body.as_bytes()) else { return nginx::INTERNAL_ERROR };
            let mut text: ngx_http_complex_value_t = std::mem::zeroed();
            text.value = body;
            let mut content_type = nginx::constant(content_type);
            let r = self.0;
            // `error_page 404 =200 /paid` has promised a status that ours must replace.
            (*r).err_status = 0;
            if !(*r).headers_in.expect.is_null() && (*r).expect_tested() == 0 {
                // The client waits to be asked for its body. It isn't, as in nginx's own error answers; and as
                // it may send it or not, what comes next on this connection can't be told apart.
                (*r).set_expect_tested(1);
                (*r).set_keepalive(0);
            }
            let sent =
                ngx_http_send_response(self.0, status as ngx_uint_t, &raw mut content_type, &raw mut text);
            ngx_http_finalize_request(self.0, sent);
        }
        nginx::DONE
    }
}

/// The entries of a list of headers.
///
/// # Safety
/// `list` is a live list of headers that does not change while the iterator is used.
unsafe fn headers<'a>(list: *const ngx_list_t) -> impl Iterator<Item = &'a ngx_table_elt_t> {
    // SAFETY: the caller's promise; each part holds `nelts` entries and points to the next or to nothing.
    unsafe {
        let mut part: *const ngx_list_part_t = &raw const (*list).part;
        std::iter::from_fn(move || {
            let this = part.as_ref()?;
            part = this.next;
            let entries = this.elts.cast::<ngx_table_elt_t>();
            let count = if entries.is_null() { 0 } else { this.nelts };
            Some((0..count).map(move |index| &*entries.add(index)))
        })
        .flatten()
    }
}
