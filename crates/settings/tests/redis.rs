//! `REDIS_URL`: what it can say, what it can't, and what it needs.
#![allow(clippy::unwrap_used)]

use settings::{AgentConfig, Flags, RedisHost, RedisSettings, RedisTopology, RedisUrl, Secret};
use std::io::ErrorKind;

const KEY: &str = "0123456789abcdef0123456789abcdef";
const PEM: &str = include_str!("node.pem");

fn read(pairs: &[(&str, &str)]) -> Result<Option<RedisSettings>, Vec<String>> {
    let env = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let read = |path: &std::path::Path| match path.to_str() {
        Some("/ca.pem") => Ok(PEM.into()),
        _ => Err(ErrorKind::NotFound.into()),
    };
    let config = AgentConfig::from_env(&env, &read, &read, Flags::default());
    config.map(|config| config.redis).map_err(|all| all.iter().map(ToString::to_string).collect())
}

fn url(text: &str) -> RedisUrl {
    read(&[("REDIS_URL", text), ("ROOT_KEY", KEY)]).unwrap().unwrap().parsed().unwrap()
}

fn plain(topology: RedisTopology, hosts: &[(&str, u16)]) -> RedisUrl {
    let hosts = hosts.iter().map(|(host, port)| RedisHost::Tcp((*host).to_owned(), *port)).collect();
    let (user, password, sentinel_user, sentinel_password) = (None, None, None, None);
    let (tls, db, wait_replicas) = (false, 0, 0);
    RedisUrl { topology, hosts, tls, user, password, sentinel_user, sentinel_password, db, wait_replicas }
}

fn secret(text: &str) -> Option<Secret<String>> {
    Some(Secret::new(text.to_owned()))
}

#[test]
fn every_form_is_understood() {
    let single = |host| plain(RedisTopology::Single, &[(host, 6379)]);
    assert_eq!(url("redis://localhost"), single("localhost"));
    assert_eq!(url("REDIS://localhost/"), single("localhost"));
    assert_eq!(
        url("valkey://[::1]:7000/2"),
        RedisUrl { db: 2, ..plain(RedisTopology::Single, &[("::1", 7000)]) }
    );
    assert_eq!(
        url("rediss://:p%40ss:w@h"),
        RedisUrl { tls: true, password: secret("p@ss:w"), ..single("h") }
    );
    let login = RedisUrl { user: Some("me".into()), password: secret("it"), ..single("h") };
    assert_eq!(url("redis://me:it@h:6379/0?protocol=3"), login);

    let socket = url("redis+unix:///run/a%20b.sock?db=4&user=me&pass=it&wait_replicas=2");
    assert_eq!(socket.hosts, [RedisHost::Unix("/run/a b.sock".into())]);
    assert_eq!(
        (socket.db, socket.user, socket.password, socket.wait_replicas),
        (4, Some("me".into()), secret("it"), 2)
    );

    let sentinel = RedisTopology::Sentinel { master: "mymaster".into() };
    let expected = plain(sentinel.clone(), &[("a", 26379), ("b", 5)]);
    assert_eq!(url("redis+sentinel://a,b:5/mymaster"), expected);
    let expected = RedisUrl {
        tls: true,
        password: secret("x"),
        sentinel_user: Some("s".into()),
        sentinel_password: secret("y"),
        db: 3,
        wait_replicas: 1,
        ..expected
    };
    assert_eq!(
        url("rediss+sentinel://:x@a,b:5/mymaster/3?sentinel_user=s&sentinel_password=y&wait_replicas=1"),
        expected
    );
    assert_eq!(url("redis+cluster://a,b:7001"), plain(RedisTopology::Cluster, &[("a", 6379), ("b", 7001)]));
}

#[test]
fn what_is_wrong_is_said_without_the_password() {
    let wrong = [
        "localhost:6379",
        "http://localhost",
        "redis://",
        "redis://a,b",
        "redis://hunter2@h",
        "redis://me:hunter2@h/x",
        "redis://me:hunter%2@h",
        "redis://me:hunter2@h?db=1",
        "redis://me:hunter2@h?colour=red",
        "redis://me:hunter2@h:0",
        "redis+sentinel://a,b",
        "redis+sentinel://a,b/",
        "redis+cluster://a/1",
        "redis+unix://run/sock",
        "redis://a?wait_replicas=99",
        "redis://a\nb",
    ];
    for text in wrong {
        let said = read(&[("REDIS_URL", text), ("ROOT_KEY", KEY)]).unwrap_err();
        assert_eq!(said.len(), 1, "{text}: {said:?}");
        assert!(said[0].starts_with("REDIS_URL is not valid; expected redis://"), "{text}: {said:?}");
        assert!(!said[0].contains("hunter"), "{said:?}");
    }
    let settings = read(&[("REDIS_URL", "redis://me:hunter2@h"), ("ROOT_KEY", KEY)]).unwrap().unwrap();
    let shown = format!("{settings:?} {:?}", settings.parsed().unwrap());
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn hosts_that_share_it_share_the_root_key() {
    let said = read(&[("REDIS_URL", "redis://h")]).unwrap_err();
    assert!(
        said[0].starts_with("ROOT_KEY is missing, and with REDIS_URL all hosts must share one; expected"),
        "{said:?}"
    );
    assert_eq!(read(&[]).unwrap(), None);
    assert_eq!(read(&[("REDIS_URL", ""), ("REDIS_POOL_SIZE", "3")]).unwrap(), None);
}

#[test]
fn the_rest_has_defaults_and_bounds() {
    let with = |name, value| read(&[("REDIS_URL", "redis://h"), ("ROOT_KEY", KEY), (name, value)]);
    let found = with("X", "").unwrap().unwrap();
    assert_eq!((found.pool_size, found.preimage_ttl_s, found.ca), (4, 0, None));
    assert_eq!(with("REDIS_POOL_SIZE", "8").unwrap().unwrap().pool_size, 8);
    assert_eq!(with("L402_PREIMAGE_TTL_SECONDS", "86400").unwrap().unwrap().preimage_ttl_s, 86_400);
    assert_eq!(with("REDIS_CA_FILE", "/ca.pem").unwrap().unwrap().ca.as_deref(), Some(PEM.as_bytes()));
    for (name, value) in [
        ("REDIS_POOL_SIZE", "0"),
        ("REDIS_POOL_SIZE", "many"),
        ("L402_PREIMAGE_TTL_SECONDS", "1d"),
        ("REDIS_CA_FILE", "/gone.pem"),
    ] {
        let said = with(name, value).unwrap_err();
        assert!(said.len() == 1 && said[0].starts_with(name), "{said:?}");
    }
}
