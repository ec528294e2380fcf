//! Whom connections to backends trust: exchanged under way, and kept where the file is wrong.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::authority::{Authority, bundle};
use scenarios::actors::bank::{self, payment_with};
use scenarios::world::{Kind, Setup, World};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::payments::booked;

/// Speaks TLS before the bank.
struct Front {
    address: SocketAddr,
    shown: Arc<Mutex<TlsAcceptor>>,
    bank: Arc<OnceLock<String>>,
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let (certificate, key) = authority.server();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    TlsAcceptor::from(Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}

impl Front {
    async fn new(authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shown, bank) = (Arc::new(Mutex::new(acceptor(authority))), Arc::new(OnceLock::<String>::new()));
        let (accepts, to) = (Arc::clone(&shown), Arc::clone(&bank));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, to) = (accepts.lock().unwrap().clone(), Arc::clone(&to));
                tokio::spawn(async move {
                    let Ok(mut stream) = tls.accept(stream).await else { return };
                    let mut bank = TcpStream::connect(to.get().unwrap()).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut bank).await;
                });
            }
        });
        Self { address, shown, bank }
    }

    /// Shows a certificate of another authority from now on.
    fn show(&self, authority: &Authority) {
        *self.shown.lock().unwrap() = acceptor(authority);
    }

    async fn world(&self) -> World {
        let before =
            |state: &Path| bundle(&state.join("banks.pem"), &[Authority::new("a stranger", 1_700_000_000).pem()]);
        let (plain, tls) = (format!("http://{}", self.address), format!("https://{}", self.address));
        let setup =
            Setup { before: Some(before), backend: Some(self.address), ..Setup::configured("trust: banks.pem") };
        let world = World::with(Kind::Http1, setup.replacing("qaqpa.yaml", &plain, tls)).await;
        self.bank.set(world.told("/bank").strip_prefix("http://").unwrap().to_owned()).unwrap();
        world
    }
}

fn trust(world: &World, authorities: &[&Authority]) {
    let texts: Vec<&str> = authorities.iter().map(|authority| authority.pem()).collect();
    bundle(&world.file("banks.pem"), &texts);
}

#[tokio::test]
async fn authorities_of_backends_are_exchanged_by_a_bundle_of_both() {
    let now = adapters::clock::Clock::system().now().seconds();
    let (old, new) = (Authority::new("old", now), Authority::new("new", now));
    let front = Front::new(&old).await;
    let world = front.world().await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.refused(503, "backend_unavailable");
    trust(&world, &[&old]);
    assert_eq!(world.read_again().renewed, ["authorities of upstreams"]);
    app.get("/v1/accounts").await.succeeded(200);
    front.show(&new);
    trust(&world, &[&old, &new]);
    world.reload().unwrap();
    app.get("/v1/accounts").await.succeeded(200);
    trust(&world, &[&new]);
    let outcome = world.read_again();
    assert_eq!((outcome.generation, outcome.changed), (1, false));
    app.get("/v1/accounts").await.succeeded(200);
    trust(&world, &[&old]);
    world.reload().unwrap();
    app.get("/v1/accounts").await.refused(503, "backend_unavailable");
}

#[tokio::test]
async fn half_a_bundle_of_backends_keeps_the_last_good_one() {
    let old = Authority::new("old", adapters::clock::Clock::system().now().seconds());
    let front = Front::new(&old).await;
    let world = front.world().await;
    let app = Session::of(&world, "demo-app").await;
    trust(&world, &[&old]);
    world.reload().unwrap();
    let path = world.file("banks.pem");
    for broken in ["", old.pem().get(..200).unwrap(), &format!("{0}{1}", old.pem(), old.pem().get(..200).unwrap())] {
        std::fs::write(&path, broken).unwrap();
        assert!(world.reload().unwrap_err().contains("banks.pem"), "{broken}");
        // A new policy set is in force all the same, and trusts as before.
        world.write_policy("more.yaml", &super::more(u32::try_from(broken.len()).unwrap()));
        assert!(world.read_again().changed);
        app.get("/v1/accounts").await.succeeded(200);
    }
    std::fs::remove_file(&path).unwrap();
    assert!(world.reload().unwrap_err().contains("banks.pem"));
}

#[tokio::test]
async fn a_payment_under_way_ends_on_the_connection_it_began_with() {
    let now = adapters::clock::Clock::system().now().seconds();
    let (old, new) = (Authority::new("old", now), Authority::new("new", now));
    let front = Front::new(&old).await;
    let world = front.world().await;
    trust(&world, &[&old]);
    world.reload().unwrap();
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let meanwhile = async {
        booked(&world, before).await;
        front.show(&new);
        trust(&world, &[&new]);
        world.reload().unwrap();
        app.get("/v1/accounts").await.succeeded(200);
    };
    let (key, slow) = (fresh("order"), payment_with("1.00", "SBX:delay=700"));
    let (paid, ()) = tokio::join!(app.pay(&key, &slow), meanwhile);
    paid.succeeded(201);
}
