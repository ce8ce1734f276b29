//! A request of nginx, through the few things the module reads and changes of it.
use std::ffi::CStr;

use gate::GrpcStatus;
use ngx::ffi::{
    NGX_HTTP_VERSION_20, ngx_chain_t, ngx_create_temp_buf, ngx_http_complex_value, ngx_http_complex_value_t,
    ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_discard_request_body,
    ngx_http_err_page_t, ngx_http_finalize_request, ngx_http_output_filter, ngx_http_request_t,
    ngx_http_send_header, ngx_http_send_response, ngx_inet_get_port, ngx_int_t, ngx_list_part_t,
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

/// A request has more header lines than are looked at.
#[derive(Debug)]
pub struct TooManyHeaders;

/// As many header lines are looked at: nginx itself takes no more by default from version 1.30 on.
const MAX_HEADERS: usize = 1000;

/// The type of what a gRPC client reads.
const GRPC: &CStr = c"application/grpc";

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

    /// The same, as bytes.
    pub fn path_bytes(&self) -> &[u8] {
        // SAFETY: nginx never writes to a path, which lives as long as the request; it only exchanges it.
        unsafe { nginx::bytes(self.path()) }
    }

    /// Its target as it came, without scheme and authority.
    pub fn raw_target(&self) -> &[u8] {
        // SAFETY: the target lives in the buffer that the request's header was read into, and is not written to.
        unsafe { nginx::bytes((*self.0).unparsed_uri) }
    }

    /// Leaves the first bytes of the raw target out, from now on and for everybody. There must be as many.
    pub fn shorten_raw_target(&self, by: usize) {
        // SAFETY: the request is alive; what is left lies within what was there.
        unsafe {
            let target = &mut (*self.0).unparsed_uri;
            let by = by.min(target.len);
            target.data = target.data.add(by);
            target.len -= by;
        }
    }

    /// Are neighbouring slashes of its path one?
    pub fn merges_slashes(&self) -> bool {
        // SAFETY: the request is alive, and so is its server's configuration.
        unsafe { (*self.core_server()).merge_slashes != 0 }
    }

    /// The host that the client asked for, in lower case, without port; without one the server's own name.
    pub fn host(&self) -> &[u8] {
        // SAFETY: the request is alive; the host lives as long, and the server's name as long as the configuration.
        unsafe {
            let asked = nginx::bytes((*self.0).headers_in.server);
            if asked.is_empty() { nginx::bytes((*self.core_server()).server_name) } else { asked }
        }
    }

    /// The port that nginx listens on; 0 on a Unix socket.
    pub fn local_port(&self) -> u16 {
        // SAFETY: the request is alive, and so is its connection; nginx sets the address of the listening socket, which
        // has the port even where it has no address.
        unsafe { ngx_inet_get_port((*(*self.0).connection).local_sockaddr) }
    }

    /// The name of the named location that serves it now, if it is one.
    pub fn named_location(&self) -> Option<&[u8]> {
        // SAFETY: the request is alive, and so is its location's configuration.
        unsafe {
            let location = &*self.core_location();
            (location.named() == 1).then(|| nginx::bytes(location.name))
        }
    }

    /// Is it a call of gRPC, whose client reads headers and trailers alone? Over HTTP/1.1 there is no such call.
    pub fn is_grpc(&self) -> bool {
        // SAFETY: the request is alive; request headers live as long and are not changed.
        unsafe {
            let r = &*self.0;
            let content_type = r.headers_in.content_type.as_ref().map(|header| nginx::bytes(header.value));
            r.http_version >= NGX_HTTP_VERSION_20 as ngx_uint_t && content_type.is_some_and(gate::is_grpc)
        }
    }

    fn core_server(&self) -> *const ngx_http_core_srv_conf_t {
        // SAFETY: the request is alive; each has a configuration of nginx's core at its index.
        unsafe { (*self.0).srv_conf.add(ngx_http_core_module.ctx_index).read().cast() }
    }

    fn core_location(&self) -> *const ngx_http_core_loc_conf_t {
        // SAFETY: as `core_server`.
        unsafe { (*self.0).loc_conf.add(ngx_http_core_module.ctx_index).read().cast() }
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

    /// The values of the request headers with these lower-case names, the first line of each.
    ///
    /// # Errors
    /// There are more lines than are looked at.
    pub fn headers<const N: usize>(&self, names: [&[u8]; N]) -> Result<[Option<&[u8]>; N], TooManyHeaders> {
        let mut found = [None; N];
        // SAFETY: as `authorization`; the list is nginx's own.
        let headers = unsafe { headers(&raw const (*self.0).headers_in.headers) };
        for (count, header) in headers.enumerate() {
            if count == MAX_HEADERS {
                return Err(TooManyHeaders);
            }
            // SAFETY: as `authorization`.
            let (key, value) = unsafe { (nginx::bytes(header.key), nginx::bytes(header.value)) };
            for (slot, name) in found.iter_mut().zip(names) {
                if slot.is_none() && key.eq_ignore_ascii_case(name) {
                    *slot = Some(value);
                }
            }
        }
        Ok(found)
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

    /// Calls `act` with each header of the answer that goes out.
    pub fn each_response_header(&self, mut act: impl FnMut(&mut ngx_table_elt_t)) {
        // SAFETY: the request is alive; the list is nginx's own, and nobody else refers to its entries meanwhile.
        unsafe {
            let mut part: *mut ngx_list_part_t = &raw mut (*self.0).headers_out.headers.part;
            while let Some(this) = part.as_ref() {
                let entries = this.elts.cast::<ngx_table_elt_t>();
                for index in 0..if entries.is_null() { 0 } else { this.nelts } {
                    let header = &mut *entries.add(index);
                    if header.hash != 0 {
                        act(header);
                    }
                }
                part = this.next;
            }
        }
    }

    /// Adds a response header. `value` must be fit for one: no control characters.
    ///
    /// # Errors
    /// Memory is out.
    pub fn add_response_header(&self, name: &'static str, value: &str) -> Result<(), OutOfMemory> {
        // SAFETY: the request is alive.
        let value = unsafe { nginx::copy(self.pool(), value.as_bytes()) }.ok_or(OutOfMemory)?;
        self.push_response_header(name, value).map(drop)
    }

    /// The same with a value that lives as long as the request.
    ///
    /// # Errors
    /// Memory is out.
    pub fn push_response_header(
        &self,
        name: &'static str,
        value: ngx_str_t,
    ) -> Result<*mut ngx_table_elt_t, OutOfMemory> {
        // SAFETY: the request is alive. The new entry is zeroed before it is filled, so that `next`, which
        // newer versions of nginx have, is null. nginx does not write to a header's name.
        unsafe {
            let list: *mut ngx_list_t = &raw mut (*self.0).headers_out.headers;
            let header = ngx_list_push(list).cast::<ngx_table_elt_t>();
            if header.is_null() {
                return Err(OutOfMemory);
            }
            header.write_bytes(0, 1);
            (*header).hash = 1;
            (*header).key = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
            (*header).value = value;
            Ok(header)
        }
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
            let location = self.core_location();
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

    /// Answers a call of gRPC with its status alone, in headers that end the stream, and ends the request.
    pub fn send_grpc(self, status: &GrpcStatus) -> ngx_int_t {
        let code = status.code.to_string();
        let headers = [("grpc-status", code.as_str()), ("grpc-message", &status.message)];
        if headers.iter().any(|(name, value)| self.add_response_header(name, value).is_err()) {
            return nginx::INTERNAL_ERROR;
        }
        // SAFETY: the request is alive; nginx does not write to a type's text. After `ngx_http_finalize_request` nobody here
        // touches the request, and NGX_DONE tells nginx so.
        unsafe {
            let r = self.0;
            let discarded = ngx_http_discard_request_body(r);
            if discarded != nginx::OK {
                return discarded;
            }
            (*r).err_status = 0;
            let out = &mut (*r).headers_out;
            out.status = 200;
            out.content_length_n = -1;
            out.content_type = nginx::constant(GRPC);
            out.content_type_len = out.content_type.len;
            out.content_type_lowcase = std::ptr::null_mut();
            (*r).set_header_only(1);
            let sent = ngx_http_send_header(r);
            ngx_http_finalize_request(r, sent);
        }
        nginx::DONE
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
