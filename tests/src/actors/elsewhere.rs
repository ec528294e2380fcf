//! Another authorization server, over TLS: it publishes keys, says what its tokens are worth, and gives tokens to the
//! gateway.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adapters::keys::{private_jwk, public_part};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policies::jose::Algorithm;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

use super::app::{ASSERTION_TYPE, App, fresh};
use super::authority::Authority;
use super::backend::Received;
use super::jws::Jws;
use super::key::Key;
use crate::world::{Folder, World};

/// What it calls itself; nobody answers under that name.
pub const ISSUER: &str = "https://as.elsewhere.example";

/// As whom the gateway asks it.
pub const GATEWAY: &str = "gateway-of-the-country";

/// The server; it ends with its runtime, or when it is told to.
#[derive(Debug)]
pub struct Elsewhere {
    port: u16,
    folder: Folder,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<Value>,
    worth: HashMap<String, Value>,
    gateway: Value,
    seen: Vec<String>,
    given: usize,
}

impl Elsewhere {
    /// Starts it with a certificate of an authority of its own.
    pub async fn start() -> Self {
        let authority = Authority::new("elsewhere", adapters::clock::Clock::system().now().seconds());
        let folder = Folder::new();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let state = Arc::new(Mutex::new(State { gateway: new_key(&folder), ..State::default() }));
        let acceptor = acceptor(&authority);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let theirs = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(acceptor.clone(), stream, Arc::clone(&theirs)));
            }
        });
        Self { port, folder, state, serving }
    }

    /// Stops it: who calls is refused from now on.
    pub async fn stop(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }

    /// Returns the URL of one of its paths.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Returns the certificate of its authority.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Returns the file with the key that the gateway signs assertions with.
    #[must_use]
    pub fn gateway_key(&self) -> PathBuf {
        self.folder.path().join("gateway.jwk")
    }

    /// Gives the gateway another key, and takes the one before no more.
    pub fn replace_gateway_key(&self) {
        self.state().gateway = new_key(&self.folder);
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: &[(&str, &Key)]) {
        let jwk = |(kid, key): &(&str, &Key)| {
            let mut jwk = key.public_jwk();
            jwk["kid"] = json!(kid);
            jwk["alg"] = json!(key.algorithm());
            jwk
        };
        self.state().keys = keys.iter().map(jwk).collect();
    }

    /// Says from now on that a token is worth this.
    pub fn knows(&self, token: &str, worth: Value) {
        self.state().worth.insert(token.to_owned(), worth);
    }

    /// Returns how often a path was called.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        self.state().seen.iter().filter(|seen| *seen == path).count()
    }

    /// Words a right access token for a client, bound to the key that it signs proofs with.
    #[must_use]
    pub fn token(&self, world: &World, app: &App, kid: &str) -> Jws {
        let now = world.seconds();
        let claims = json!({
            "iss": ISSUER, "aud": world.issuer(), "sub": app.id, "client_id": app.id, "jti": fresh("theirs"),
            "iat": now, "exp": now + 3600, "scope": "accounts:read", "cnf": {"jkt": app.proof_key.thumbprint()},
        });
        Jws::new(json!({"alg": "ES256", "kid": kid, "typ": "at+jwt"}), claims)
    }

    /// Words what it says of such a token when it is asked.
    #[must_use]
    pub fn worth(&self, world: &World, app: &App) -> Value {
        let mut claims = Value::Object(self.token(world, app, "").claims);
        claims["active"] = json!(true);
        claims["token_type"] = json!("DPoP");
        claims
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Writes a new private key for the gateway and gives its public part.
fn new_key(folder: &Folder) -> Value {
    let jwk = private_jwk(Algorithm::Es256, &fresh("gateway")).unwrap();
    let file = folder.path().join("gateway.jwk");
    std::fs::write(&file, jwk.to_string()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    public_part(&jwk)
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let (certificate, key) = authority.server();
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn converse(acceptor: TlsAcceptor, stream: TcpStream, state: Arc<Mutex<State>>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    let request = loop {
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let request = Received { head: head.to_owned(), body: body.to_owned() };
            let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                break request;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => text.extend_from_slice(buffer.get(..count).unwrap()),
            _ => return,
        }
    };
    let (status, body) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        answer(&mut state, &request)
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn answer(state: &mut State, request: &Received) -> (&'static str, Value) {
    let path = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
    state.seen.push(path.clone());
    let form: HashMap<String, String> = request
        .body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.replace("%3A", ":")))
        .collect();
    match path.as_str() {
        "/jwks" => ("200 OK", json!({"keys": state.keys})),
        "/introspect" | "/token" if !is_gateway(&state.gateway, &form) => {
            ("401 Unauthorized", json!({"error": "invalid_client"}))
        }
        "/introspect" => {
            let worth = form.get("token").and_then(|token| state.worth.get(token));
            ("200 OK", worth.cloned().unwrap_or_else(|| json!({"active": false})))
        }
        "/token" => {
            state.given += 1;
            let token = format!("canary-of-the-token-{}", state.given);
            ("200 OK", json!({"access_token": token, "token_type": "Bearer", "expires_in": 300}))
        }
        _ => ("404 Not Found", json!({})),
    }
}

// Whether the gateway has shown who it is: by an assertion for this server, signed with its key.
fn is_gateway(public: &Value, form: &HashMap<String, String>) -> bool {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let Some((signed, signature)) = field("client_assertion").rsplit_once('.') else { return false };
    let Some((_, claims)) = signed.split_once('.') else { return false };
    let claims: Value = serde_json::from_slice(&bytes(claims)).unwrap_or_default();
    let coordinate = |name: &str| bytes(public[name].as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    field("client_assertion_type") == ASSERTION_TYPE
        && field("client_id") == GATEWAY
        && claims["iss"] == GATEWAY
        && claims["sub"] == GATEWAY
        && claims["aud"] == ISSUER
        && key.verify(signed.as_bytes(), &bytes(signature)).is_ok()
}
