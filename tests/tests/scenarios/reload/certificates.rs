//! Certificates of listeners: old, new, and what is neither; what connections under way see of it; and when one ends.

use scenarios::actors::Session;
use scenarios::actors::authority::{Authority, LIFE, bundle};
use scenarios::actors::log::Log;
use scenarios::world::socket::{MODERN, connect, write};
use scenarios::world::wire::{Wire, answer};
use scenarios::world::{Ask, Kind, Tls, World};
use spine::stage::Door;
use std::path::Path;
use std::time::Duration;

use crate::http::STATUS;

const PLAIN: Tls<'static> = Tls { alpn: &[b"http/1.1"], versions: MODERN, certificate: None };

/// Puts a certificate of another authority in the place of the world's, with its key; gives the authority's file.
fn replaced(world: &World, with_key: bool) -> std::path::PathBuf {
    let other = Authority::new("another authority", world.seconds());
    let (certificate, key) = other.server();
    std::fs::write(world.file("ca/server.pem"), certificate).unwrap();
    if with_key {
        std::fs::write(world.file("ca/server.key"), key).unwrap();
    }
    let ca = world.file("other-ca.pem");
    bundle(&ca, &[other.pem()]);
    ca
}

/// Tells whether a door shows a certificate that this authority vouches for.
async fn shows(world: &World, door: Door, ca: &Path) -> bool {
    connect(world.address(door), ca, PLAIN).await.is_ok()
}

#[tokio::test]
async fn a_key_that_does_not_fit_keeps_the_last_good_certificate() {
    let world = World::start(Kind::Http1).await;
    let own = Path::new(world.told("/ca_cert")).to_owned();
    let other = replaced(&world, false);
    let told = world.reload().unwrap_err();
    assert!(told.contains("server.pem") && !told.contains("PRIVATE"), "{told}");
    assert!(shows(&world, Door::Api, &own).await && !shows(&world, Door::Api, &other).await);
    assert_eq!(world.metric("qaqpa_config_rejected_total"), 1.0);
    // The rest of the same reload counts: a certificate is no reason to keep an old policy.
    world.write_policy("more.yaml", &super::more(1));
    let outcome = world.read_again();
    assert!(outcome.changed && outcome.refused.is_some() && outcome.generation == 2);
}

#[tokio::test]
async fn half_a_certificate_keeps_the_last_good_one() {
    let world = World::start(Kind::Http1).await;
    let own = Path::new(world.told("/ca_cert")).to_owned();
    let path = world.file("ca/server.pem");
    let whole = std::fs::read_to_string(&path).unwrap();
    let before = world.metric("qaqpa_cert_expiry_seconds{place=\"api\",kind=\"certificate\"}");
    for broken in
        [whole.get(..whole.len() / 2).unwrap(), "", "no PEM", &format!("{whole}-----BEGIN CERTIFICATE-----\nMII")]
    {
        std::fs::write(&path, broken).unwrap();
        world.look();
        world.look();
        assert!(shows(&world, Door::Api, &own).await, "{broken}");
        assert!(world.metric("qaqpa_reload_faults") > 0.0, "{broken}");
    }
    assert_eq!(world.metric("qaqpa_cert_expiry_seconds{place=\"api\",kind=\"certificate\"}"), before);
    std::fs::remove_file(&path).unwrap();
    world.reload().unwrap_err();
    std::fs::write(&path, whole).unwrap();
    assert_eq!(world.reload(), Ok(1));
}

#[tokio::test]
async fn a_certificate_that_is_over_does_not_take_the_place_of_a_good_one() {
    let world = World::start(Kind::Http1).await;
    let own = Path::new(world.told("/ca_cert")).to_owned();
    let old = Authority::new("yesterday", world.seconds() - 2 * i64::try_from(LIFE.as_secs()).unwrap());
    let (certificate, key) = old.server();
    std::fs::write(world.file("ca/server.pem"), certificate).unwrap();
    std::fs::write(world.file("ca/server.key"), key).unwrap();
    let told = world.reload().unwrap_err();
    assert!(told.contains("it is over since"), "{told}");
    assert!(shows(&world, Door::Api, &own).await);
}

#[tokio::test]
async fn a_certificate_that_is_not_good_yet_waits_for_its_day() {
    const DAYS: i64 = 2;
    let world = World::start(Kind::Http1).await;
    let own = Path::new(world.told("/ca_cert")).to_owned();
    let left = || world.metric("qaqpa_cert_expiry_seconds{place=\"api\",kind=\"certificate\"}") / 86_400.0;
    let early = Authority::new("the day after tomorrow", world.seconds() + DAYS * 86_400);
    let (certificate, key) = early.server();
    std::fs::write(world.file("ca/server.pem"), certificate).unwrap();
    std::fs::write(world.file("ca/server.key"), key).unwrap();
    let told = world.reload().unwrap_err();
    assert!(told.contains("server.pem") && told.contains("it is not good before"), "{told}");
    assert!(shows(&world, Door::Api, &own).await && left() > 89.0);
    let refused = world.metric("qaqpa_config_rejected_total");
    world.look();
    assert_eq!(world.metric("qaqpa_config_rejected_total"), refused, "it is told once");
    // Nothing moves in the folder, and yet it is read again.
    world.advance(Duration::from_secs(u64::try_from(DAYS).unwrap() * 86_400));
    world.look();
    world.look();
    assert!((left() - 40.0).abs() < 1.0 && world.metric("qaqpa_reload_faults") == 0.0, "{}", left());
}

#[tokio::test]
async fn authorities_that_are_not_good_yet_do_not_take_the_place_of_good_ones() {
    let world = World::start(Kind::Http1).await;
    let path = world.file("ca/ca.pem");
    let whole = std::fs::read_to_string(&path).unwrap();
    let early = Authority::new("the day after tomorrow", world.seconds() + 2 * 86_400);
    std::fs::write(&path, early.pem()).unwrap();
    assert!(world.reload().unwrap_err().contains("it is not good before"));
    // Beside one that is good they are a bundle of old and new.
    std::fs::write(&path, format!("{whole}{}", early.pem())).unwrap();
    assert_eq!(world.reload(), Ok(1));
}

#[tokio::test]
async fn new_handshakes_see_the_new_certificate_and_open_connections_go_on() {
    let world = World::start(Kind::Http1).await;
    let own = Path::new(world.told("/ca_cert")).to_owned();
    let ask = Wire::of(&world, &Ask::get(STATUS)).bytes();
    let mut open = world.raw().await;
    write(&mut open, &ask).await;
    assert_eq!(answer(&mut open).await.status, 200);
    let other = replaced(&world, true);
    assert!(shows(&world, Door::Api, &own).await, "nothing was read yet");
    let outcome = world.read_again();
    assert_eq!((outcome.generation, outcome.changed, outcome.renewed.len()), (1, false, 2), "{outcome:?}");
    for door in [Door::Api, Door::MtlsApi] {
        assert!(shows(&world, door, &other).await && !shows(&world, door, &own).await);
    }
    write(&mut open, &ask).await;
    assert_eq!(answer(&mut open).await.status, 200);
    assert!(world.read_again().renewed.is_empty());
}

#[tokio::test]
async fn how_long_a_certificate_is_good_is_counted_down_and_warned_of() {
    const DAY: Duration = Duration::from_secs(86_400);
    let log = Log::default();
    let _listening = log.listen("gateway=warn");
    let world = World::start(Kind::Memory).await;
    let left = |place: &str, kind: &str| {
        world.metric(&format!("qaqpa_cert_expiry_seconds{{place=\"{place}\",kind=\"{kind}\"}}"))
    };
    let days = |seconds: f64| seconds / 86_400.0;
    assert!((days(left("api", "certificate")) - 90.0).abs() < 1.0, "{}", left("api", "certificate"));
    assert!(days(left("mtls_api", "authorities")) > 3600.0 && days(left("webhooks", "authorities")) > 3600.0);
    world.advance(59 * DAY);
    world.look();
    assert!((days(left("api", "certificate")) - 31.0).abs() < 1.0);
    assert!(!log.text().contains("are over"), "{}", log.text());
    world.advance(2 * DAY);
    world.look();
    world.look();
    assert_eq!(log.text().matches("the certificate of api are over at").count(), 1, "{}", log.text());
    world.advance(30 * DAY);
    world.look();
    assert!(log.text().contains("the certificate of api are over since") && left("api", "certificate") < 0.0);
}

#[tokio::test]
async fn tokens_and_secrets_of_the_configuration_are_read_again() {
    let world = World::start(Kind::Http1).await;
    let app = Session::of(&world, "demo-app").await;
    let editor = scenarios::actors::Administrator::of(&world, "aigerim");
    let path = world.file("admins/aigerim.token");
    std::fs::write(&path, "short").unwrap();
    let told = world.reload().unwrap_err();
    assert!(told.contains("aigerim") && !told.contains("short\n"), "{told}");
    editor.get(&world, "/admin/generation").await.succeeded(200);
    let fresh = "another-token-of-enough-characters";
    std::fs::write(&path, fresh).unwrap();
    assert_eq!(world.read_again().renewed, ["secrets"]);
    editor.get(&world, "/admin/generation").await.refused(401, "client_unauthenticated");
    let renewed = scenarios::actors::Administrator { token: fresh.to_owned() };
    renewed.get(&world, "/admin/generation").await.succeeded(200);
    app.get("/v1/accounts").await.succeeded(200);
}
