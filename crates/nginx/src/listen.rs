//! Reads which servers listen where, and refuses those that sell under one origin.
use std::collections::HashMap;
use std::ffi::CStr;

use gate::Names;
use ngx::ffi::{
    ngx_array_t, ngx_http_conf_addr_t, ngx_http_conf_port_t, ngx_http_core_main_conf_t,
    ngx_http_core_srv_conf_t, ngx_http_server_name_t,
};

use crate::conf::LocationConf;
use crate::module_index;
use crate::origins::{Conflict, Name, Server, Socket, conflict};

/// The ports whose number an origin leaves out.
const USUAL_PORTS: [u16; 2] = [80, 443];

/// The port as an origin tells it; `None` for those of http and https, and where there is none.
pub fn told(port: u16) -> Option<u16> {
    (port != 0 && !USUAL_PORTS.contains(&port)).then_some(port)
}

/// The exact names of a server, in the order in which they are written.
pub fn exact_names(server: &ngx_http_core_srv_conf_t) -> Names {
    let exact = names(server).into_iter().filter_map(|name| match name {
        Name::Exact(name) => Some(name.into_boxed_slice()),
        Name::Under(_) | Name::AtAndUnder(_) | Name::Begins(_) | Name::Regex => None,
    });
    exact.collect::<Vec<_>>().into()
}

fn names(server: &ngx_http_core_srv_conf_t) -> Vec<Name> {
    // SAFETY: once nginx has read a server, this is an array of its names.
    let names = unsafe { server.server_names.as_slice::<ngx_http_server_name_t>() };
    let read = |name: &ngx_http_server_name_t| match name.regex.is_null() {
        true => Name::read(name.name.as_bytes()),
        false => Name::Regex,
    };
    names.iter().filter(|name| name.name.len > 0).map(read).collect()
}

/// A complaint about two servers that can have one origin.
///
/// # Safety
/// `core` is that of the configuration being read, after all servers were merged.
pub unsafe fn complaint(core: &ngx_http_core_main_conf_t) -> Option<String> {
    // SAFETY: the caller's promise.
    let (servers, sockets) = unsafe { read(core) };
    let Conflict { places: [one, other], origin } = conflict(&servers, &sockets)?;
    Some(format!(
        "the servers in {one} and {other} both sell, and clients can ask for both as \"{origin}\": a token of one would open \
         the other; expected other names or ports (80 and 443 count as one), or l402_origin in both"
    ))
}

/// # Safety
/// As [`complaint`].
unsafe fn read(core: &ngx_http_core_main_conf_t) -> (Vec<Server>, Vec<Socket>) {
    // SAFETY: these are nginx's own arrays of these types; the ports are null where no server listens.
    unsafe {
        let all: Vec<*const ngx_http_core_srv_conf_t> = elements(&core.servers);
        let numbers: HashMap<_, _> = all.iter().enumerate().map(|(at, server)| (*server, at)).collect();
        let servers = all.iter().map(|server| read_server(&**server)).collect();
        let number = |server: *const ngx_http_core_srv_conf_t| numbers.get(&server).copied();
        let mut sockets = Vec::new();
        let ports = core.ports.as_ref().map_or(&[][..], |ports| ports.as_slice::<ngx_http_conf_port_t>());
        for port in ports {
            for address in port.addrs.as_slice::<ngx_http_conf_addr_t>() {
                let listening = elements::<ngx_http_core_srv_conf_t>(&address.servers);
                let Some(default) = number(address.default_server) else { continue };
                let servers = listening.into_iter().filter_map(number).collect();
                sockets.push(Socket { port: told(port.port).unwrap_or(0), default, servers });
            }
        }
        (servers, sockets)
    }
}

/// # Safety
/// An array of pointers to `T`.
unsafe fn elements<T>(array: &ngx_array_t) -> Vec<*const T> {
    // SAFETY: the caller's promise.
    unsafe { array.as_slice::<*const T>() }.to_vec()
}

/// # Safety
/// A server of the configuration being read, after it was merged.
unsafe fn read_server(server: &ngx_http_core_srv_conf_t) -> Server {
    // SAFETY: the caller's promise; a server's own context holds what was made for it at the module's index. nginx notes
    // where a server begins, and the file's name is a C string.
    unsafe {
        let conf = (*(*server.ctx).loc_conf.add(module_index())).cast::<LocationConf>();
        let file = server.file_name.cast::<std::ffi::c_char>();
        let file =
            if file.is_null() { String::new() } else { CStr::from_ptr(file).to_string_lossy().into_owned() };
        Server {
            place: format!("{file}:{}", server.line),
            sells: (*conf).server_sells.get(),
            origin: (*conf).origin.as_deref().map(|origin| origin.as_bytes().to_vec()),
            names: names(server),
        }
    }
}
