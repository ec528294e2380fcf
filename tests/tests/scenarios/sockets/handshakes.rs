//! TLS at the doors: who is asked for what, and what is never offered.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway::unready::AssemblyError;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use scenarios::actors::certificate::Certificate;
use scenarios::actors::{App, Session};
use scenarios::world::socket::{until_closed, write};
use scenarios::world::wire::{Wire, answer};
use scenarios::world::{Ask, Kind, Setup, Tls, World};
use spine::stage::Door;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::STATUS;

const DOORS: [Door; 2] = [Door::Api, Door::MtlsApi];

/// Remembers whether it was asked, and has nothing to show.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn client(world: &World, versions: &[&'static SupportedProtocolVersion], asked: &Arc<Asked>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(Path::new(world.told("/ca_cert"))).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let asked: Arc<dyn ResolvesClientCert> = Arc::<Asked>::clone(asked);
    let mut config = builder.with_root_certificates(roots).with_client_cert_resolver(asked);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

async fn handshake(world: &World, door: Door, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let address = world.address(door);
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::clone(config)).connect(ServerName::IpAddress(address.ip().into()), stream).await
}

/// Asks for the status over a connection, so that what comes behind a handshake has come too.
async fn served(world: &World, door: Door, stream: &mut TlsStream<TcpStream>) -> u16 {
    write(stream, &Wire::of(world, &Ask::get(STATUS).at(door)).bytes()).await;
    answer(stream).await.status
}

/// What a client offers by ALPN, and what is agreed on.
type Offer<'a> = (&'a [&'a [u8]], Option<&'a [u8]>);

#[tokio::test]
async fn both_versions_of_today_are_served_with_and_without_alpn() {
    let world = World::start(Kind::Http1).await;
    let versions = [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)];
    for door in DOORS {
        for (version, negotiated) in versions {
            let offers: [Offer<'_>; 5] = [
                (&[b"h2", b"http/1.1"], Some(b"h2")),
                (&[b"http/1.1", b"h2"], Some(b"h2")),
                (&[b"h2"], Some(b"h2")),
                (&[b"http/1.1"], Some(b"http/1.1")),
                (&[], None),
            ];
            for (alpn, expected) in offers {
                let tls = Tls { alpn, versions: &[version], certificate: None };
                let mut stream = world.connect(door, tls).await.unwrap();
                assert_eq!(stream.get_ref().1.protocol_version(), Some(negotiated));
                assert_eq!(stream.get_ref().1.alpn_protocol(), expected);
                if expected != Some(b"h2") {
                    assert_eq!(served(&world, door, &mut stream).await, 200);
                }
            }
            let tls = Tls { alpn: &[b"spdy/3"], versions: &[version], certificate: None };
            assert!(world.connect(door, tls).await.is_err(), "a protocol that nobody speaks is agreed on");
        }
    }
}

/// Words the hello of an old client: this version, the suites of its time, no extensions.
fn old_hello(version: [u8; 2]) -> Vec<u8> {
    let suites = [0xc0, 0x13, 0xc0, 0x14, 0x00, 0x2f, 0x00, 0x35, 0x00, 0x0a];
    let mut hello = [version.as_slice(), &[7; 32], &[0]].concat();
    hello.extend_from_slice(&[0, u8::try_from(suites.len()).unwrap()]);
    hello.extend_from_slice(&suites);
    hello.extend_from_slice(&[1, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    [[0x16, 3, 1, 0, length + 4, 1, 0, 0, length].as_slice(), &hello].concat()
}

#[tokio::test]
async fn c2_older_versions_are_refused() {
    let world = World::start(Kind::Http1).await;
    for door in DOORS {
        // SSL 3, TLS 1.0, TLS 1.1; and TLS 1.2 with only the suites that are out of use.
        for version in [[3, 0], [3, 1], [3, 2], [3, 3]] {
            let mut stream = TcpStream::connect(world.address(door)).await.unwrap();
            write(&mut stream, &old_hello(version)).await;
            let said = until_closed(&mut stream).await.bytes;
            // An alert, never a hello of ours.
            assert!(said.first().is_none_or(|kind| *kind == 0x15), "{version:?}: {said:?}");
        }
    }
}

/// The suites of TLS 1.2 that BCP 195 (RFC 9325, section 4.2) recommends, and those of ChaCha20 that it allows.
const SUITES: [u16; 6] = [0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9];

/// Words the hello of a client of TLS 1.2 that offers these suites, and all else that a server of today asks for.
fn hello(suites: &[u16]) -> Vec<u8> {
    let counted = |body: &[u8]| [&u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat();
    let extension = |kind: u16, body: &[u8]| [kind.to_be_bytes().as_slice(), &counted(body)].concat();
    let extensions = [
        // Groups X25519 and P-256, uncompressed points, ECDSA, RSA-PSS and RSA with SHA-256, no renegotiation.
        extension(0x000a, &[0, 4, 0, 0x1d, 0, 0x17]),
        extension(0x000b, &[1, 0]),
        extension(0x000d, &[0, 6, 4, 3, 8, 4, 4, 1]),
        extension(0x0017, &[]),
        extension(0xff01, &[0]),
    ];
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let body = [&[3, 3], [7; 32].as_slice(), &[0], &counted(&suites), &[1, 0], &counted(&extensions.concat())].concat();
    let message = [&[1, 0], counted(&body).as_slice()].concat();
    [&[0x16, 3, 1], counted(&message).as_slice()].concat()
}

/// Offers suites, and gives the one that is taken.
async fn taken(world: &World, door: Door, suites: &[u16]) -> Option<u16> {
    let mut stream = TcpStream::connect(world.address(door)).await.unwrap();
    write(&mut stream, &hello(suites)).await;
    let mut head = [0; 9];
    stream.read_exact(&mut head[..5]).await.unwrap();
    // An alert.
    if head[0] == 0x15 {
        return None;
    }
    let mut said = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut said).await.unwrap();
    // Behind the kind, three bytes of length, the version and 32 random bytes stand the session's id and the suite.
    let at = 39 + usize::from(said[38]);
    Some(u16::from_be_bytes([said[at], said[at + 1]]))
}

#[tokio::test]
async fn c2_no_suite_is_taken_but_those_that_are_recommended() {
    let world = World::start(Kind::Http1).await;
    // Every number that was ever given to a suite of TLS 1.2 or before, but for the signals that are none.
    let all =
        (0x0000..=0x01ff).chain(0xc000..=0xc1ff).chain(0xcc00..=0xccff).chain(0xd000..=0xd0ff).chain(0xfe00..=0xffff);
    let other: Vec<u16> = all.filter(|suite| !SUITES.contains(suite) && ![0x00ff, 0x5600].contains(suite)).collect();
    for door in DOORS {
        assert_eq!(taken(&world, door, &other).await, None, "{door:?}");
        let mut found = 0;
        for suite in SUITES {
            let one = taken(&world, door, &[suite]).await;
            assert!(one.is_none_or(|one| one == suite), "{door:?} {suite:04x}: {one:?}");
            found += usize::from(one.is_some());
            // One that is recommended is taken whatever stands before it.
            assert_eq!(taken(&world, door, &[other.as_slice(), &[suite]].concat()).await, one);
        }
        // Half of them are for keys of another kind than ours.
        assert_eq!(found, 3, "{door:?}");
    }
}

#[tokio::test]
async fn only_one_door_asks_for_a_certificate_and_it_takes_no_for_an_answer() {
    let world = World::start(Kind::Http1).await;
    for version in [&TLS13, &TLS12] {
        for (door, asks) in [(Door::Api, false), (Door::MtlsApi, true)] {
            let asked = Arc::new(Asked::default());
            let config = Arc::new(client(&world, &[version], &asked));
            let mut stream = handshake(&world, door, &config).await.unwrap();
            assert_eq!(served(&world, door, &mut stream).await, 200);
            assert_eq!(asked.0.load(Ordering::Relaxed), asks, "{door:?} {version:?}");
        }
    }
}

#[tokio::test]
async fn as50_a_certificate_that_nobody_vouches_for_gets_an_answer_and_no_token() {
    for kind in [Kind::Memory, Kind::Http1, Kind::Http2] {
        let world = World::start(kind).await;
        let mut app = App::of(&world, "demo-mtls-app");
        app.session(&world, None).await.get("/v1/accounts").await.succeeded(200);
        app = App::of(&world, "demo-mtls-app");
        let forged = Certificate::self_signed("demo-mtls-app.sandbox.qaqpa");
        let ask = app.token_ask(&world, None).showing(&forged);
        world.send(ask.clone()).await.oauth_refused(401, "invalid_client");
        // Shown or not at the door that does not ask, it proves nothing.
        world.send(ask.at(Door::Api)).await.oauth_refused(401, "invalid_client");
        // The connection itself is served.
        let status = Ask::get(STATUS).at(Door::MtlsApi).showing(&forged);
        world.send(status).await.succeeded(200);
        // A token of the right certificate is worth nothing with another.
        let mut session = app.session(&world, None).await;
        session.app.certificate = Some(forged);
        session.get("/v1/accounts").await.refused(401, "token_binding_failed");
    }
}

#[tokio::test]
async fn as54_a_certificate_without_its_key_ends_the_handshake() {
    let world = World::start(Kind::Http1).await;
    let app = App::of(&world, "demo-mtls-app");
    let shown = app.certificate.as_ref().unwrap();
    let other = Certificate::self_signed("demo-mtls-app.sandbox.qaqpa");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(other.key.clone_key()).unwrap();
    let stolen: Arc<dyn ResolvesClientCert> =
        Arc::new(Stolen(Arc::new(CertifiedKey::new(vec![shown.der.clone()], key))));
    for version in [&TLS13, &TLS12] {
        let mut config = client(&world, &[version], &Arc::new(Asked::default()));
        config.client_auth_cert_resolver = Arc::clone(&stolen);
        // With TLS 1.3 the client may believe that it is through, until it reads.
        let Ok(mut stream) = handshake(&world, Door::MtlsApi, &Arc::new(config)).await else { continue };
        write(&mut stream, &Wire::of(&world, &Ask::get(STATUS).at(Door::MtlsApi)).bytes()).await;
        let mut said = Vec::new();
        let read = stream.read_to_end(&mut said).await;
        assert!(read.is_err() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
}

/// Shows a certificate of one and signs as another.
#[derive(Debug)]
struct Stolen(Arc<CertifiedKey>);

impl ResolvesClientCert for Stolen {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn as55_no_session_is_taken_up_again_where_certificates_count() {
    let world = World::start(Kind::Http1).await;
    for version in [&TLS13, &TLS12] {
        for door in DOORS {
            let mut config = client(&world, &[version], &Arc::new(Asked::default()));
            config.enable_early_data = true;
            let config = Arc::new(config);
            let mut kinds = Vec::new();
            for _ in 0..3 {
                let mut stream = handshake(&world, door, &config).await.unwrap();
                assert_eq!(served(&world, door, &mut stream).await, 200);
                assert!(!stream.get_ref().1.is_early_data_accepted());
                kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            }
            if door == Door::MtlsApi {
                assert!(!kinds.contains(&HandshakeKind::Resumed), "{version:?}: {kinds:?}");
            }
        }
    }
}

#[tokio::test]
async fn c4_early_data_is_never_offered() {
    let world = World::start(Kind::Http1).await;
    let mut config = client(&world, &[&TLS13], &Arc::new(Asked::default()));
    config.enable_early_data = true;
    let config = Arc::new(config);
    let mut stream = handshake(&world, Door::Api, &config).await.unwrap();
    assert_eq!(served(&world, Door::Api, &mut stream).await, 200);
    // With what it got, a second connection could send early if it had been allowed to.
    let name = ServerName::IpAddress(world.address(Door::Api).ip().into());
    let mut second = rustls::ClientConnection::new(config, name).unwrap();
    assert!(second.early_data().is_none());
}

#[tokio::test]
async fn as55_authorities_that_cannot_be_read_stop_the_start() {
    let state = |file: &str| Setup::default().replacing("qaqpa.yaml", "/ca/ca.pem", format!("/{file}"));
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let setups = [
        ("missing", state("nowhere.pem")),
        ("empty", state("policies/../empty.pem").policy("../empty.pem", "")),
        ("no certificate", state("broken.pem").policy("../broken.pem", broken)),
        ("no PEM", state("qaqpa.yaml")),
        ("a key", state("mtls/demo-mtls-app.key")),
    ];
    for (name, setup) in setups {
        match World::attempt(Kind::Http1, setup).await {
            Err(AssemblyError::Configuration(text)) => assert!(text.contains("mtls_api"), "{name}: {text}"),
            Err(other) => panic!("{name}: {other}"),
            Ok(_) => panic!("{name}: it starts"),
        }
    }
}

#[tokio::test]
async fn c1_a_door_with_tls_takes_no_clear_text() {
    let world = World::start(Kind::Http1).await;
    for door in DOORS {
        let mut stream = TcpStream::connect(world.address(door)).await.unwrap();
        write(&mut stream, &Wire::of(&world, &Ask::get(STATUS).at(door)).bytes()).await;
        let said = until_closed(&mut stream).await;
        assert!(said.statuses().is_empty(), "{}", said.text());
    }
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
}
