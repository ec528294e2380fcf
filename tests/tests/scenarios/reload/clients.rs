//! Whom clients' certificates are vouched for by, and what was taken back: for new connections and for open ones.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::listen::tls::JUDGED_MAX;
use scenarios::actors::authority::{Authority, bundle};
use scenarios::actors::certificate::Certificate;
use scenarios::actors::{App, Session};
use scenarios::world::socket::{MODERN, write};
use scenarios::world::wire::{Wire, answer};
use scenarios::world::{Ask, Kind, Setup, Tls, World};
use spine::stage::Door;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const NAME: &str = "demo-mtls-app.sandbox.qaqpa";
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Gives the door that asks for certificates authorities of its own.
fn own_authorities(state: &Path) {
    std::fs::copy(state.join("ca/ca.pem"), state.join("clients-ca.pem")).unwrap();
    configure(state, "clientAuthorities: clients-ca.pem");
}

/// The same, and a list of revocations: of an authority that vouches for nobody.
fn own_revocations(state: &Path) {
    own_authorities(state);
    let stranger = Authority::new("a stranger", adapters::clock::Clock::system().now().seconds());
    std::fs::write(state.join("clients-crl.pem"), stranger.revocations(&[], WEEK)).unwrap();
    configure(state, "clientAuthorities: clients-ca.pem, clientRevocations: clients-crl.pem");
}

fn configure(state: &Path, keys: &str) {
    let path = state.join("qaqpa.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, after) = text.split_once("clientAuthorities: ").unwrap();
    let after = after.split_once('}').unwrap().1;
    std::fs::write(&path, format!("{before}{keys}}}{after}")).unwrap();
}

async fn world(before: fn(&Path)) -> World {
    World::with(Kind::Http1, Setup { before: Some(before), ..Setup::default() }).await
}

/// The client that goes by a certificate, with this one.
fn app(world: &World, certificate: &Arc<Certificate>) -> App {
    App { certificate: Some(Arc::clone(certificate)), ..App::of(world, "demo-mtls-app") }
}

async fn asks_for_a_token(world: &World, certificate: &Arc<Certificate>) -> u16 {
    world.send(app(world, certificate).token_ask(world, None)).await.status
}

/// Sends a request on a connection that stays open.
async fn again(open: &mut TlsStream<TcpStream>, session: &Session<'_>) -> u16 {
    let ask = session.dress(Ask::get("/v1/accounts"));
    write(open, &Wire::of(session.world, &ask).bytes()).await;
    answer(open).await.status
}

async fn open(world: &World, certificate: &Certificate) -> TlsStream<TcpStream> {
    let tls = Tls { alpn: &[b"http/1.1"], versions: MODERN, certificate: Some(certificate) };
    world.connect(Door::MtlsApi, tls).await.unwrap()
}

#[tokio::test]
async fn authorities_are_exchanged_by_a_bundle_of_both() {
    let world = world(own_authorities).await;
    let old = App::of(&world, "demo-mtls-app").certificate.unwrap();
    let authority = Authority::new("the next authority", world.seconds());
    let new = authority.client(NAME, 7);
    let session = app(&world, &old).session(&world, None).await;
    let mut kept = open(&world, &old).await;
    assert_eq!(again(&mut kept, &session).await, 200);
    assert_eq!(asks_for_a_token(&world, &new).await, 401);
    // Both, while clients go over to the new one.
    let ca = std::fs::read_to_string(world.told("/ca_cert")).unwrap();
    bundle(&world.file("clients-ca.pem"), &[&ca, authority.pem()]);
    assert_eq!(world.read_again().renewed, ["certificates of listener mtls_api"]);
    assert_eq!((asks_for_a_token(&world, &old).await, asks_for_a_token(&world, &new).await), (200, 200));
    assert_eq!(again(&mut kept, &session).await, 200);
    // The new one alone: who still comes by the old one is refused, also on a connection of yesterday.
    bundle(&world.file("clients-ca.pem"), &[authority.pem()]);
    world.reload().unwrap();
    assert_eq!((asks_for_a_token(&world, &old).await, asks_for_a_token(&world, &new).await), (401, 200));
    assert_eq!(again(&mut kept, &session).await, 401);
    session.get("/v1/accounts").await.refused(401, "token_binding_failed");
    let renewed = app(&world, &new).session(&world, None).await;
    renewed.get("/v1/accounts").await.succeeded(200);
}

#[tokio::test]
async fn half_a_bundle_keeps_the_last_good_one() {
    let world = world(own_authorities).await;
    let old = App::of(&world, "demo-mtls-app").certificate.unwrap();
    let path = world.file("clients-ca.pem");
    let whole = std::fs::read_to_string(&path).unwrap();
    let stranger = Authority::new("a stranger", world.seconds());
    for broken in
        ["", whole.get(..whole.len() / 2).unwrap(), &format!("{}{}", stranger.pem(), whole.get(..90).unwrap())]
    {
        std::fs::write(&path, broken).unwrap();
        let told = world.reload().unwrap_err();
        assert!(told.contains("clients-ca.pem"), "{told}");
        assert_eq!(asks_for_a_token(&world, &old).await, 200, "{broken}");
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_at_once_whatever_it_is_for() {
    let world = world(own_revocations).await;
    let authority = Authority::new("an authority with lists", world.seconds());
    let (one, other) = (authority.client(NAME, 7), authority.client(NAME, 8));
    bundle(&world.file("clients-ca.pem"), &[authority.pem()]);
    std::fs::write(world.file("clients-crl.pem"), authority.revocations(&[], WEEK)).unwrap();
    world.reload().unwrap();
    let session = app(&world, &one).session(&world, None).await;
    let mut kept = open(&world, &one).await;
    assert_eq!(again(&mut kept, &session).await, 200);
    std::fs::write(world.file("clients-crl.pem"), authority.revocations(&[7], WEEK)).unwrap();
    assert_eq!(again(&mut kept, &session).await, 200, "nothing was read yet");
    world.reload().unwrap();
    assert_eq!(again(&mut kept, &session).await, 401);
    assert_eq!((asks_for_a_token(&world, &one).await, asks_for_a_token(&world, &other).await), (401, 200));
    // A client that goes by its key may not come with it either.
    let by_key = App::of(&world, "demo-app").token_ask(&world, None);
    let refused = world.send(by_key.at(Door::MtlsApi).showing(&one)).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
}

#[tokio::test]
async fn a_list_that_is_not_of_the_authority_does_not_close_the_door() {
    let world = world(own_revocations).await;
    let authority = Authority::new("an authority with lists", world.seconds());
    let client = authority.client(NAME, 7);
    bundle(&world.file("clients-ca.pem"), &[authority.pem()]);
    let (path, own) = (world.file("clients-crl.pem"), authority.revocations(&[], WEEK));
    std::fs::write(&path, &own).unwrap();
    world.reload().unwrap();
    // One of a stranger, and one of somebody who only has its name.
    for name in ["a stranger", "an authority with lists"] {
        let other = Authority::new(name, world.seconds());
        std::fs::write(&path, other.revocations(&[], WEEK)).unwrap();
        let told = world.reload().unwrap_err();
        assert!(told.contains("clients-crl.pem") && told.contains("an authority with lists"), "{told}");
        assert_eq!(asks_for_a_token(&world, &client).await, 200, "{name}");
        // A second authority needs a list of its own; beside others, each has one.
        bundle(&world.file("clients-ca.pem"), &[authority.pem(), other.pem()]);
        std::fs::write(&path, &own).unwrap();
        assert!(world.reload().unwrap_err().contains(name));
        bundle(&path, &[&other.revocations(&[], WEEK), &own]);
        world.reload().unwrap();
        bundle(&world.file("clients-ca.pem"), &[authority.pem()]);
        std::fs::write(&path, &own).unwrap();
        world.reload().unwrap();
    }
}

#[tokio::test]
async fn where_lists_say_nothing_nobody_is_vouched_for() {
    let world = world(own_revocations).await;
    let old = App::of(&world, "demo-mtls-app").certificate.unwrap();
    assert_eq!(asks_for_a_token(&world, &old).await, 401, "its authority has no list");
    let authority = Authority::new("an authority with lists", world.seconds());
    let client = authority.client(NAME, 7);
    bundle(&world.file("clients-ca.pem"), &[authority.pem()]);
    std::fs::write(world.file("clients-crl.pem"), authority.revocations(&[], WEEK)).unwrap();
    world.reload().unwrap();
    let session = app(&world, &client).session(&world, None).await;
    let mut kept = open(&world, &client).await;
    assert_eq!(again(&mut kept, &session).await, 200);
    // A list that is over is no list; the one in force is not exchanged for one.
    let stale = Authority::new("yesterday", world.seconds() - 30 * 86_400).revocations(&[], WEEK);
    let good = std::fs::read_to_string(world.file("clients-crl.pem")).unwrap();
    std::fs::write(world.file("clients-crl.pem"), &stale).unwrap();
    assert!(world.reload().unwrap_err().contains("it is over since"));
    std::fs::write(world.file("clients-crl.pem"), good.get(..good.len() / 2).unwrap()).unwrap();
    assert!(world.reload().unwrap_err().contains("clients-crl.pem"));
    assert_eq!(asks_for_a_token(&world, &client).await, 200);
    let left = world.metric("qaqpa_cert_expiry_seconds{place=\"mtls_api\",kind=\"revocations\"}");
    assert!((left - 604_800.0).abs() < 60.0, "{left}");
    world.advance(WEEK + JUDGED_MAX);
    assert_eq!(asks_for_a_token(&world, &client).await, 401);
}
