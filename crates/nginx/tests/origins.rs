//! Which servers can have one origin, by the rules by which nginx finds the server of a request.
#![allow(clippy::unwrap_used)]

#[path = "../src/origins.rs"]
mod origins;

use origins::{Name, Server, Socket, conflict};

fn server(names: &[&str]) -> Server {
    let read = |name: &&str| if name.starts_with('~') { Name::Regex } else { Name::read(name.as_bytes()) };
    Server { place: names.join(" "), sells: true, origin: None, names: names.iter().map(read).collect() }
}

fn fixed(names: &[&str], origin: &str) -> Server {
    Server { origin: Some(origin.as_bytes().to_vec()), ..server(names) }
}

fn socket(port: u16, servers: &[usize]) -> Socket {
    Socket { port, default: servers[0], servers: servers.to_vec() }
}

/// Both on one socket each, of these ports.
fn apart(one: Server, other: Server, ports: [u16; 2]) -> Option<String> {
    let sockets = [socket(ports[0], &[0]), socket(ports[1], &[1])];
    conflict(&[one, other], &sockets).map(|conflict| conflict.origin)
}

/// Both on one socket.
fn together(one: Server, other: Server) -> Option<String> {
    conflict(&[one, other], &[socket(8080, &[0, 1])]).map(|conflict| conflict.origin)
}

#[test]
fn ports_tell_nameless_servers_apart() {
    for names in [&[][..], &[""], &["_"], &["shop.example"], &["*.shop.example"], &["~^(.+)$"]] {
        assert_eq!(apart(server(names), server(names), [8080, 8081]), None, "{names:?}");
        assert!(apart(server(names), server(names), [0, 8081]).is_none(), "{names:?}");
        assert!(apart(server(names), server(names), [8080, 8080]).is_some(), "{names:?}");
    }
}

#[test]
fn the_ports_of_http_and_https_are_one() {
    assert_eq!(apart(server(&["shop.example"]), server(&["shop.example"]), [0, 0]).unwrap(), "shop.example");
    // The default server of one port gets what the other port's server is called.
    assert_eq!(apart(server(&[""]), server(&["shop.example"]), [0, 0]).unwrap(), "shop.example");
    // Each is the default server of its port.
    assert_eq!(apart(server(&["a.example"]), server(&["b.example"]), [0, 0]).unwrap(), "a.example");
}

#[test]
fn names_tell_servers_of_one_socket_apart() {
    for (one, other) in [
        (&["a.example"][..], &["b.example"][..]),
        (&["a.example"], &["*.example"]),
        (&["*.a.example"], &["*.example"]),
        (&["a.*"], &["*.example"]),
        (&["a.example"], &["~^.+$"]),
        (&["~^a$"], &["~^b$"]),
        (&["a.example"], &[""]),
    ] {
        assert_eq!(together(server(one), server(other)), None, "{one:?} {other:?}");
        assert_eq!(together(server(other), server(one)), None, "{other:?} {one:?}");
    }
    // nginx ignores the second one, but it takes tokens of that name.
    assert_eq!(together(server(&["a", "b"]), server(&["c", "a"])).unwrap(), "a:8080");
}

#[test]
fn on_two_sockets_a_wildcard_can_get_what_another_server_is_called() {
    let on_both = |one: Server, other: Server| {
        let servers = [one, other];
        conflict(&servers, &[socket(8080, &[0, 1]), socket(8080, &[1])]).map(|conflict| conflict.origin)
    };
    assert_eq!(on_both(server(&["a.example"]), server(&["*.example"])).unwrap(), "a.example:8080");
    assert_eq!(on_both(server(&["a.example"]), server(&["~x"])).unwrap(), "a.example:8080");
    // There it is the default server, whatever it is called.
    assert_eq!(on_both(server(&["a.example"]), server(&["b.example"])).unwrap(), "a.example:8080");
}

#[test]
fn both_places_are_told() {
    let servers = [server(&["free"]), server(&["a", "b"]), server(&["c"]), server(&["b", "d"])];
    let found = conflict(&servers, &[socket(8080, &[0, 1, 2, 3])]).unwrap();
    assert_eq!(found.places, ["a b", "b d"]);
}

#[test]
fn who_sells_nothing_does_not_count() {
    let free = Server { sells: false, ..server(&["shop.example"]) };
    assert_eq!(apart(server(&["shop.example"]), free, [0, 0]), None);
}

#[test]
fn two_that_say_their_origin_may_have_one() {
    let shop = || fixed(&["shop.example"], "shop.example");
    assert_eq!(apart(shop(), shop(), [0, 8443]), None);
    assert_eq!(apart(shop(), server(&["shop.example"]), [8080, 0]).unwrap(), "shop.example");
    assert_eq!(apart(shop(), server(&["shop.example"]), [8080, 8081]), None);
    assert_eq!(apart(shop(), server(&[""]), [8080, 0]).unwrap(), "shop.example");
    let with_port = fixed(&["x"], "shop.example:8443");
    assert_eq!(apart(with_port.clone(), server(&["shop.example"]), [0, 8443]).unwrap(), "shop.example:8443");
    assert_eq!(apart(with_port, server(&["shop.example"]), [0, 0]), None);
}
