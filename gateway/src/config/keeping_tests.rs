//! What of a configuration says where things are kept.

use std::path::Path;

use policies::language::Source;
use policies::rotation::{ROTATE_EVERY, ROTATE_EVERY_MAX, ROTATE_EVERY_MIN};

use super::keeping::*;
use super::{Config, parse};

const BEFORE: &str = "qaqpa: v1\nlisteners: {api: {address: 127.0.0.1:1}, admin: {address: 127.0.0.1:2}}\n";

fn read(lines: &str) -> Result<Config, Vec<String>> {
    let source = Source::new("qaqpa.yaml", format!("{BEFORE}{lines}\n"));
    parse(&source, Path::new("/etc/qaqpa"))
        .map_err(|problems| problems.iter().map(|problem| problem.message.clone()).collect())
}

fn refused(lines: &str) -> bool {
    read(lines).is_err_and(|problems| problems.len() == 1)
}

#[test]
fn credentials_never_stand_in_an_address() {
    assert!(refused("stores: {redis: {nodes: ['redis://user:hunter2@10.0.0.5:6379']}}"));
    assert!(refused("audit: {ship: {bus: {nats: {url: 'nats://token@10.0.0.6:4222'}}}}"));
    assert!(refused("stores: {postgres: {url: 'postgres://qaqpa:hunter2@db/qaqpa'}}"));
    let Err(problems) = read("stores: {postgres: {url: 'postgres://qaqpa:hunter2@db/qaqpa'}}") else { return };
    assert!(!problems.concat().contains("hunter2"));
}

#[test]
fn sentinels_need_the_name_of_their_master() {
    assert!(refused("stores: {redis: {kind: sentinel, nodes: ['redis://10.0.0.5:26379']}}"));
    let found = read("stores: {redis: {kind: sentinel, master: m, nodes: ['redis://10.0.0.5:26379']}}");
    let kind = found.ok().and_then(|config| config.stores.redis).map(|redis| redis.kind);
    assert_eq!(kind, Some(RedisKind::Sentinel { master: "m".to_owned() }));
}

#[test]
fn a_schema_needs_no_quotes() {
    let schema = |name: &str| format!("stores: {{postgres: {{url: 'secret:env:U', schema: {name}}}}}");
    for name in ["Qaqpa", "1q", "q-q", "'q q'", &"q".repeat(41)] {
        assert!(refused(&schema(name)), "{name}");
    }
    assert!(read(&schema(&"q".repeat(40))).is_ok());
}

#[test]
fn one_key_wraps_the_other() {
    let token = "pkcs11: {module: lib.so, token: t, key: k, pin: 'secret:env:PIN'}";
    assert!(refused(&format!("keys: {{wrap: 'secret:env:K', {token}}}")));
    assert!(matches!(read(&format!("keys: {{{token}}}")).map(|config| config.wrap), Ok(WrapConfig::Pkcs11(_))));
}

#[test]
fn keys_are_rotated_no_more_often_than_every_hour_and_only_then_never_if_that_is_said() {
    let every = |text: &str| read(&format!("keys: {{rotateEvery: {text}}}")).map(|config| config.rotate_every);
    for wrong in ["59m", "3654d", "often", "30", "''"] {
        assert!(refused(&format!("keys: {{rotateEvery: {wrong}}}")), "{wrong}");
    }
    assert_eq!(every("1h"), Ok(Some(ROTATE_EVERY_MIN)));
    assert_eq!(every("3653d"), Ok(Some(ROTATE_EVERY_MAX)));
    assert_eq!(every("never"), Ok(None));
    assert_eq!(read("").map(|config| config.rotate_every).ok(), Some(Some(ROTATE_EVERY)));
    assert_eq!(read("keys: {wrap: 'secret:env:K'}").map(|config| config.rotate_every).ok(), Some(Some(ROTATE_EVERY)));
}

#[test]
fn a_place_is_one_thing() {
    assert!(refused("audit: {ship: {both: {file: a, nats: {url: 'nats://10.0.0.6:4222'}}}}"));
    assert!(refused("audit: {ship: {none: {}}}"));
    let places = |count: usize| {
        let places: String = (0..count).map(|number| format!("p{number}: {{file: a}}, ")).collect();
        format!("audit: {{ship: {{{places}}}}}")
    };
    assert!(refused(&places(SHIPS_MAX + 1)));
    assert!(read(&places(SHIPS_MAX)).is_ok_and(|config| config.ships.len() == SHIPS_MAX));
}

#[test]
fn nothing_is_kept_for_less_than_a_day() {
    assert!(refused("retention: {events: 23h}"));
    assert!(read("retention: {events: 1d}").is_ok_and(|config| config.retention.events == DAY));
}
