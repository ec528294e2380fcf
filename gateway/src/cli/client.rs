//! A client of the gateway for people: it finds the running sandbox, gets tokens, proves possession, and keeps every
//! exchange as it was on the wire, so that it can be told.
//!
//! It speaks to the gateway over sockets as any fintech would, and must never know anything of its inside.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Clock;
use adapters::entropy;
use adapters::keys::SigningKey;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use policies::jose::{self, Algorithm, SignError, Signer};
use policies::secret::Secret;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The name of the file, in the state folder, by which a running sandbox is found.
pub const SANDBOX_FILE: &str = "sandbox.json";

/// The form of [`SandboxFile`] that this program writes and reads.
pub const SANDBOX_FILE_VERSION: u32 = 1;

/// How long connecting and the handshake may take: the sandbox is on this machine.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long one exchange may take: above every timeout of the policies, so that the gateway's answer comes first.
pub const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes: a page of accounts has some 20 KiB.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

// How long an assertion is good for; it is used at once.
const ASSERTION_SECONDS: i64 = 60;

const USER_AGENT: &str = concat!("qaqpa/", env!("CARGO_PKG_VERSION"));

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a running sandbox tells programs about itself; the form is stable, what is absent is `null`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxFile {
    /// The form of this file, [`SANDBOX_FILE_VERSION`].
    pub version: u32,
    /// The process.
    pub pid: u32,
    /// The issuer of tokens; also their audience.
    pub issuer: String,
    /// The base URL of the listener that never asks for a certificate.
    pub api: String,
    /// The base URL of the listener that asks for certificates.
    pub mtls_api: String,
    /// The base URL of the administrators' listener.
    pub admin: String,
    /// The authority that signed the servers' certificates, PEM.
    pub ca_cert: PathBuf,
    /// The base URL of the bank behind the gateway.
    pub bank: Option<String>,
    /// The identity providers behind the gateway.
    pub providers: Vec<SandboxProvider>,
    /// The clients, with all they need to act.
    pub clients: Vec<SandboxClient>,
    /// The administrators.
    pub admins: Vec<SandboxAdministrator>,
    /// Invented people, and what happens when one is verified.
    pub subjects: Vec<SandboxSubject>,
    /// Where things are on this machine.
    pub paths: SandboxPaths,
}

/// An identity provider of the sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxProvider {
    /// Its id in the policies.
    pub id: String,
    /// Its base URL.
    pub url: String,
}

/// A client of the sandbox, private key included: it is a rehearsal.
#[derive(Clone, Serialize, Deserialize)]
pub struct SandboxClient {
    /// Its id.
    pub client_id: String,
    /// Whose it is.
    pub organisation: String,
    /// The organisation's roles, for example `PISP`.
    pub roles: Vec<String>,
    /// What it may be granted.
    pub scopes: Vec<String>,
    /// `private_key_jwt` or `tls_client_auth`.
    pub auth: String,
    /// Its private key as a JWK with `kid` and `alg`, if it signs assertions.
    pub jwk_private: Option<Value>,
    /// Its certificate, PEM, if it has one.
    pub mtls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM.
    pub mtls_key: Option<PathBuf>,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<String>,
}

/// Leaves the private key out.
impl fmt::Debug for SandboxClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxClient")
            .field("client_id", &self.client_id)
            .field("organisation", &self.organisation)
            .field("roles", &self.roles)
            .field("scopes", &self.scopes)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// An administrator of the sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxAdministrator {
    /// Who it is.
    pub id: String,
    /// What they may do.
    pub roles: Vec<String>,
    /// The private file that holds their token.
    pub token_file: PathBuf,
}

/// An invented person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxSubject {
    /// The person's number.
    pub iin: String,
    /// What happens when they are verified, for example `match`.
    pub scenario: String,
    /// Their current account.
    pub iban: String,
}

/// Where the sandbox keeps things.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxPaths {
    /// The policies in force.
    pub policies: PathBuf,
    /// The published contracts.
    pub contracts: PathBuf,
    /// The audit trail.
    pub audit: PathBuf,
    /// The state folder.
    pub state: PathBuf,
}

impl SandboxFile {
    /// Finds the running sandbox that keeps its state in `state`.
    ///
    /// # Errors
    /// A sentence for people, with what to run, if there is none or its file cannot be read.
    pub fn find(state: &Path) -> Result<Self, String> {
        let path = state.join(SANDBOX_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none_is_running(state)),
            Err(error) => return Err(format!("{} cannot be read: {error}.", path.display())),
        };
        let found: Self = serde_json::from_slice(&text).map_err(|error| {
            format!("{} was not written by this version of qaqpa ({error}). Start the sandbox again.", path.display())
        })?;
        if found.version != SANDBOX_FILE_VERSION {
            let (told, known) = (found.version, SANDBOX_FILE_VERSION);
            return Err(format!("{} has the form {told}, this qaqpa reads {known}. Start the sandbox again.", path.display()));
        }
        Ok(found)
    }

    /// Finds a client by its id.
    ///
    /// # Errors
    /// A sentence for people that names the clients there are.
    pub fn client(&self, id: &str) -> Result<&SandboxClient, String> {
        self.clients.iter().find(|client| client.client_id == id).ok_or_else(|| {
            let known: Vec<&str> = self.clients.iter().map(|client| client.client_id.as_str()).collect();
            format!("The sandbox has no client `{id}`. Its clients are: {}.", known.join(", "))
        })
    }
}

fn none_is_running(state: &Path) -> String {
    let told = if state == Path::new(".qaqpa") { String::new() } else { format!(" --state {}", state.display()) };
    format!(
        "No sandbox is running with its state in {}.\n\
         Start one in another terminal:   qaqpa sandbox{told}\n\
         or start, tour and stop at once: qaqpa sandbox --tour{told}",
        state.display()
    )
}

/// A request as a person means it; the host and the length are added on the way.
#[derive(Clone)]
pub struct Question {
    /// The method.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl Question {
    /// Makes a request without a body.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_ascii_uppercase(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// Makes a GET.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// Makes a POST of a JSON body.
    #[must_use]
    pub fn post(path: &str, body: &Value) -> Self {
        Self::new("POST", path).with("content-type", "application/json").carrying(body.to_string().into_bytes())
    }

    /// Sets a header; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let name = name.to_ascii_lowercase();
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn carrying(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Returns a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// A request and its answer, as they were on the wire.
#[derive(Clone)]
pub struct Exchange {
    /// The base URL it was sent to.
    pub base: String,
    /// What was asked, with every header that was sent.
    pub asked: Question,
    /// The status that came back.
    pub status: u16,
    /// The headers that came back.
    pub headers: Vec<(String, String)>,
    /// The body that came back.
    pub body: Vec<u8>,
}

impl Exchange {
    /// Returns a header of the answer.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Returns the body if it is JSON.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Returns a text of the JSON body by its pointer.
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<String> {
        self.json()?.pointer(pointer)?.as_str().map(str::to_owned)
    }

    /// Returns the name of the problem, the last part of its `type`.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let told = self.text("/type")?;
        told.strip_prefix("urn:qaqpa:problem:").map(str::to_owned)
    }

    /// Returns the status with its words, for example `404 Not Found`.
    #[must_use]
    pub fn status_line(&self) -> String {
        let words = http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        words.map_or_else(|| self.status.to_string(), |words| format!("{} {words}", self.status))
    }
}

/// Leaves headers and bodies out: they hold tokens.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{} -> {}", self.asked.method, self.base, self.asked.path, self.status)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Sends requests over TLS, one connection each; trusts the sandbox's own authority and nobody else.
#[derive(Clone)]
pub struct Client {
    tls: TlsConnector,
}

impl Client {
    /// Makes a client that shows no certificate.
    ///
    /// # Errors
    /// A sentence for people if the authority's certificate cannot be read.
    pub fn new(sandbox: &SandboxFile) -> Result<Self, String> {
        Self::build(sandbox, None)
    }

    /// Makes a client that shows the certificate of `record` to servers that ask for one.
    ///
    /// # Errors
    /// A sentence for people if it has none, or a file cannot be read.
    pub fn with_certificate(sandbox: &SandboxFile, record: &SandboxClient) -> Result<Self, String> {
        let (Some(chain), Some(key)) = (&record.mtls_cert, &record.mtls_key) else {
            return Err(format!("The client `{}` has no certificate.", record.client_id));
        };
        Self::build(sandbox, Some((chain, key)))
    }

    fn build(sandbox: &SandboxFile, identity: Option<(&Path, &Path)>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&sandbox.ca_cert)? {
            roots.add(certificate).map_err(|error| format!("{}: {error}.", sandbox.ca_cert.display()))?;
        }
        // Named outright: rustls must never choose between two providers.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}."))?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let private = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}.", key.display()))?;
                builder
                    .with_client_auth_cert(certificates(chain)?, private)
                    .map_err(|error| format!("{}: {error}.", chain.display()))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Sends a request to the base URL and reads the whole answer.
    ///
    /// # Errors
    /// A sentence for people if the URL is none of ours, nobody answers, or the answer is broken, late or too long.
    pub async fn send(&self, base: &str, question: &Question) -> Result<Exchange, String> {
        let exchange = tokio::time::timeout(EXCHANGE_TIME_MAX, self.exchange(base, question)).await;
        exchange.unwrap_or_else(|_| Err(format!("{base} did not answer within {} s.", EXCHANGE_TIME_MAX.as_secs())))
    }

    async fn exchange(&self, base: &str, question: &Question) -> Result<Exchange, String> {
        let url: http::Uri = base.parse().map_err(|_| format!("`{base}` is not a URL."))?;
        let authority = url.authority().ok_or_else(|| format!("`{base}` names no host."))?.as_str().to_owned();
        let asked = addressed(question, &authority);
        let request = request(&asked)?;
        let connecting = self.connect(&url, &authority);
        let connection = tokio::time::timeout(CONNECT_TIME_MAX, connecting).await;
        let late = || format!("{authority} did not take the connection within {} s.", CONNECT_TIME_MAX.as_secs());
        let connection = connection.map_err(|_| late())??;
        let (status, headers, body) = match connection {
            Connection::Tls(stream) => talk(*stream, request).await,
            Connection::Plain(stream) => talk(stream, request).await,
        }
        .map_err(|error| format!("{authority} broke off: {error}."))?;
        Ok(Exchange { base: base.to_owned(), asked, status, headers, body })
    }

    async fn connect(&self, url: &http::Uri, authority: &str) -> Result<Connection, String> {
        let refused = |error: std::io::Error| format!("{authority} cannot be reached ({error}). Does the sandbox still run?");
        let host = url.host().unwrap_or_default();
        let secure = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("`{url}` is neither https nor http.")),
        };
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, port)).await.map_err(refused)?;
        // Small writes are whole messages here.
        stream.set_nodelay(true).map_err(refused)?;
        if !secure {
            return Ok(Connection::Plain(stream));
        }
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| format!("`{host}` is no host name."))?;
        let stream = self.tls.connect(name, stream).await;
        stream.map(|stream| Connection::Tls(Box::new(stream))).map_err(|error| format!("TLS with {authority} failed: {error}."))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

enum Connection {
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    Plain(TcpStream),
}

// Adds what a request needs on the wire and a person does not say.
fn addressed(question: &Question, authority: &str) -> Question {
    let has = |name: &str| question.header(name).is_some();
    let length = question.body.len().to_string();
    let mut asked = Question { headers: Vec::new(), ..question.clone() };
    let before = [("host", authority), ("user-agent", USER_AGENT), ("accept", "application/json")];
    for (name, value) in before.into_iter().filter(|(name, _)| !has(name)) {
        asked = asked.with(name, value);
    }
    asked.headers.extend(question.headers.iter().cloned());
    if question.body.is_empty() || has("content-length") { asked } else { asked.with("content-length", &length) }
}

fn request(asked: &Question) -> Result<http::Request<Full<Bytes>>, String> {
    if !asked.path.starts_with('/') {
        return Err(format!("The path `{}` does not begin with a slash, for example /v1/accounts.", asked.path));
    }
    let mut builder = http::Request::builder().method(asked.method.as_str()).uri(asked.path.as_str());
    for (name, value) in &asked.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(Full::new(Bytes::from(asked.body.clone())))
        .map_err(|error| format!("The request cannot be written: {error}."))
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

async fn talk<S>(stream: S, request: http::Request<Full<Bytes>>) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What the connection has to say about its end is told by the request itself.
    let driver = tokio::spawn(connection);
    let answered = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        Ok((head.status.as_u16(), headers, body.to_vec()))
    };
    let answered = answered.await;
    driver.abort();
    answered
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found = found.map_err(|error| format!("{}: {error}.", path.display()))?;
    if found.is_empty() { Err(format!("{} holds no certificate.", path.display())) } else { Ok(found) }
}

/// How a token is bound to who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// To a key, by DPoP (RFC 9449).
    Dpop,
    /// To a certificate (RFC 8705).
    Mtls,
}

/// A client of the sandbox, ready to act.
pub struct Actor {
    record: SandboxClient,
    issuer: String,
    api: String,
    mtls_api: String,
    binding: Binding,
    line: Client,
    // Signs assertions; none for clients that authenticate by certificate.
    assertion_key: Option<ClientKey>,
    // Signs proofs: a new key each time, since nobody needs to know it beforehand.
    proof_key: SigningKey,
}

impl Actor {
    /// Makes ready the client of `record`; by default its tokens are bound the way it authenticates.
    ///
    /// # Errors
    /// A sentence for people if a key or certificate is missing or cannot be read.
    pub fn new(sandbox: &SandboxFile, record: &SandboxClient, binding: Option<Binding>) -> Result<Self, String> {
        let by_certificate = record.auth == "tls_client_auth";
        let binding = binding.unwrap_or(if by_certificate { Binding::Mtls } else { Binding::Dpop });
        let line = if by_certificate || binding == Binding::Mtls {
            Client::with_certificate(sandbox, record)?
        } else {
            Client::new(sandbox)?
        };
        let assertion_key = match &record.jwk_private {
            Some(jwk) if !by_certificate => Some(ClientKey::from_jwk(jwk)?),
            None if !by_certificate => return Err(format!("The client `{}` has no private key.", record.client_id)),
            _ => None,
        };
        let proof_key = SigningKey::generate(Algorithm::Es256).map_err(|outage| outage.to_string())?;
        Ok(Self {
            record: record.clone(),
            issuer: sandbox.issuer.clone(),
            api: sandbox.api.clone(),
            mtls_api: sandbox.mtls_api.clone(),
            binding,
            line,
            assertion_key,
            proof_key,
        })
    }

    /// Returns what the sandbox tells about the client.
    #[must_use]
    pub fn record(&self) -> &SandboxClient {
        &self.record
    }

    /// Returns how its tokens are bound.
    #[must_use]
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// Asks for a token by `client_credentials`; without `scope`, for everything the client may have.
    ///
    /// # Errors
    /// A sentence for people if nobody answers or a key cannot sign; a refusal is an exchange like any other.
    pub async fn request_token(&self, scope: Option<&str>) -> Result<Exchange, String> {
        let with_certificate = self.binding == Binding::Mtls || self.assertion_key.is_none();
        let base = if with_certificate { &self.mtls_api } else { &self.issuer };
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        if let Some(scope) = scope {
            form.push(("scope", scope.to_owned()));
        }
        match &self.assertion_key {
            Some(key) => {
                form.push(("client_assertion_type", ASSERTION_TYPE.to_owned()));
                form.push(("client_assertion", assertion(key, &self.record.client_id, &self.issuer)?));
            }
            None => form.push(("client_id", self.record.client_id.clone())),
        }
        let mut question = Question::new("POST", "/oauth/token")
            .with("content-type", "application/x-www-form-urlencoded")
            .carrying(encode_form(&form).into_bytes());
        if self.binding == Binding::Dpop {
            question = question.with("dpop", &proof(&self.proof_key, "POST", &format!("{base}/oauth/token"), None)?);
        }
        self.line.send(base, &question).await
    }

    /// Takes the token out of the answer.
    ///
    /// # Errors
    /// A sentence for people if the answer holds none.
    pub fn session(&self, granted: &Exchange) -> Result<Session<'_>, String> {
        let token = granted.text("/access_token").filter(|_| granted.status == 200);
        let token = token.ok_or_else(|| {
            let why = granted.text("/error_description").or_else(|| granted.text("/detail")).unwrap_or_default();
            format!("No token was granted to `{}`: {} {why}", self.record.client_id, granted.status_line())
        })?;
        Ok(Session { actor: self, token: Secret::new(token) })
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor").field("record", &self.record).field("binding", &self.binding).finish_non_exhaustive()
    }
}

/// A client with its token.
#[derive(Debug)]
pub struct Session<'a> {
    actor: &'a Actor,
    token: Secret<String>,
}

impl Session<'_> {
    /// Returns the base URL that its requests go to.
    #[must_use]
    pub fn base(&self) -> &str {
        match self.actor.binding {
            Binding::Dpop => &self.actor.api,
            Binding::Mtls => &self.actor.mtls_api,
        }
    }

    /// Returns the client.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        self.actor
    }

    /// Returns the token as the `authorization` header carries it.
    #[must_use]
    pub fn authorization(&self) -> String {
        match self.actor.binding {
            Binding::Dpop => format!("DPoP {}", self.token.expose()),
            Binding::Mtls => format!("Bearer {}", self.token.expose()),
        }
    }

    /// Reads the token's claims, unchecked: to show them, never to believe them.
    #[must_use]
    pub fn claims(&self) -> Option<Value> {
        let payload = self.token.expose().split('.').nth(1)?;
        serde_json::from_slice(&jose::base64url_decode_strict(payload)?).ok()
    }

    /// Adds the token and, if it is bound to a key, a new proof; headers that are there stay as they are.
    ///
    /// # Errors
    /// A sentence for people if the key cannot sign.
    pub fn dress(&self, question: &Question) -> Result<Question, String> {
        let mut dressed = question.clone();
        if question.header("authorization").is_none() {
            dressed = dressed.with("authorization", &self.authorization());
        }
        if self.actor.binding == Binding::Dpop && question.header("dpop").is_none() {
            let path = question.path.split(['?', '#']).next().unwrap_or_default();
            let target = format!("{}{path}", self.base());
            let proof = proof(&self.actor.proof_key, &question.method, &target, Some(self.token.expose()))?;
            dressed = dressed.with("dpop", &proof);
        }
        Ok(dressed)
    }

    /// Sends a request with the token and a new proof.
    ///
    /// # Errors
    /// As [`Client::send`] and [`Session::dress`].
    pub async fn ask(&self, question: &Question) -> Result<Exchange, String> {
        self.actor.line.send(self.base(), &self.dress(question)?).await
    }

    /// Sends a request as it is, over the client's own connection.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn ask_as_is(&self, question: &Question) -> Result<Exchange, String> {
        self.actor.line.send(self.base(), question).await
    }
}

/// The private key that a client of the sandbox signs its assertions with.
pub struct ClientKey {
    kid: String,
    key: SigningKey,
}

impl ClientKey {
    /// Reads a private JWK: P-256 (`d`, `x`, `y`) or Ed25519 (`d`), with its `kid`.
    ///
    /// # Errors
    /// A sentence for people that holds nothing of the key.
    pub fn from_jwk(jwk: &Value) -> Result<Self, String> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
        let bytes = |name: &str| Secret::new(jose::base64url_decode_strict(text(name)).unwrap_or_default());
        let private = bytes("d");
        let document = match (text("kty"), text("crv")) {
            ("EC", "P-256") => [P256_HEAD, private.expose(), P256_MIDDLE, bytes("x").expose(), bytes("y").expose()].concat(),
            ("OKP", "Ed25519") => [ED25519_HEAD, private.expose()].concat(),
            _ => return Err("A private key of the sandbox is neither P-256 nor Ed25519.".to_owned()),
        };
        let key = SigningKey::from_pkcs8(Secret::new(document).expose()).map_err(|outage| outage.to_string())?;
        let kid = text("kid");
        let kid = if kid.is_empty() { key.kid() } else { kid }.to_owned();
        Ok(Self { kid, key })
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Signer for ClientKey {
    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn kid(&self) -> &str {
        &self.kid
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(message)
    }
}

// What stands around the numbers of a key in PKCS#8 (RFC 5208, RFC 5915, RFC 8410): the lengths are fixed, so the
// documents are these bytes and the numbers between them.
const P256_HEAD: &[u8] = &[
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
];
const P256_MIDDLE: &[u8] = &[0xa1, 0x44, 0x03, 0x42, 0x00, 0x04];
const ED25519_HEAD: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Writes a private P-256 or Ed25519 key, PKCS#8 in PEM or DER, as a JWK with `kid` (its thumbprint) and `alg`.
///
/// For the sandbox, which gives its clients' keys away; what is published of a gateway never passes here.
///
/// # Errors
/// A sentence that holds nothing of the key.
pub fn private_jwk(document: &[u8]) -> Result<Value, String> {
    let key = SigningKey::from_pkcs8(document).map_err(|outage| outage.to_string())?;
    let pem = rustls::pki_types::PrivatePkcs8KeyDer::from_pem_slice(document);
    let der = pem.as_ref().map_or(document, rustls::pki_types::PrivatePkcs8KeyDer::secret_pkcs8_der);
    let unknown = || "The key is not written as a PKCS#8 document of version 1 or 2.".to_owned();
    let heads = [P256_HEAD, ED25519_HEAD, ED25519_HEAD_V2];
    let private = heads.iter().find_map(|head| der.strip_prefix(*head)).and_then(|rest| rest.get(..32)).ok_or_else(unknown)?;
    let mut jwk = key.verifying_key().to_jwk();
    let members = jwk.as_object_mut().ok_or_else(unknown)?;
    members.insert("alg".to_owned(), json!(key.algorithm().as_str()));
    members.insert("d".to_owned(), json!(jose::base64url(private)));
    // Only if the key reads back is it the one that was written.
    let again = ClientKey::from_jwk(&jwk)?;
    if again.key.verifying_key() == key.verifying_key() { Ok(jwk) } else { Err(unknown()) }
}

// The same with the public key behind it (RFC 8410, section 7), which some writers add.
const ED25519_HEAD_V2: &[u8] =
    &[0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Signs a client assertion (RFC 7523) for one use; the audience is the issuer, as one string (FAPI 2.0).
///
/// # Errors
/// A sentence for people if the key cannot sign.
pub fn assertion(key: &dyn Signer, client: &str, issuer: &str) -> Result<String, String> {
    let now = Clock::system().now().seconds();
    let claims = json!({
        "iss": client,
        "sub": client,
        "aud": issuer,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
        "jti": entropy::token_128bit(),
    });
    jose::encode("client-authentication+jwt", &claims, None, key).map_err(|error| error.to_string())
}

/// Signs a DPoP proof (RFC 9449) for one request; `target` is its URL without query.
///
/// # Errors
/// A sentence for people if the key cannot sign.
pub fn proof(key: &SigningKey, method: &str, target: &str, token: Option<&str>) -> Result<String, String> {
    let mut claims = json!({
        "jti": entropy::token_128bit(),
        "htm": method,
        "htu": target,
        "iat": Clock::system().now().seconds(),
    });
    if let (Some(token), Some(members)) = (token, claims.as_object_mut()) {
        members.insert("ath".to_owned(), json!(jose::base64url(&jose::sha256(token.as_bytes()))));
    }
    let mut public = key.verifying_key().to_jwk();
    if let Some(members) = public.as_object_mut() {
        // A proof carries the key itself, so a name for it says nothing.
        members.retain(|name, _| matches!(name.as_str(), "kty" | "crv" | "x" | "y"));
    }
    jose::encode("dpop+jwt", &claims, Some(public), key).map_err(|error| error.to_string())
}

fn encode_form(fields: &[(&str, String)]) -> String {
    let encode = |text: &str| {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
                b' ' => out.push('+'),
                other => out.push_str(&format!("%{other:02X}")),
            }
        }
        out
    };
    fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use policies::jose::{CompactJws, VerifyingKey};

    use super::*;

    // RFC 8037, appendix A.1; RFC 7515, appendix A.3.
    const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwaaPJIURo"}"#;
    const P256: &str = r#"{"kty":"EC","crv":"P-256","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

    fn jwk(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_key_that_is_none_is_refused_without_showing_it() {
        for (name, value) in [("d", json!("AAAA")), ("d", json!(1)), ("crv", json!("P-521")), ("x", json!("f83O"))] {
            let mut broken = jwk(P256);
            broken.as_object_mut().unwrap().insert(name.to_owned(), value);
            let error = ClientKey::from_jwk(&broken).unwrap_err();
            assert!(!error.contains("jpsQ"), "{error}");
        }
    }

    #[test]
    fn an_assertion_verifies_with_the_public_half_of_the_jwk() {
        for text in [P256, ED25519] {
            let mut public = jwk(text);
            let key = ClientKey::from_jwk(&public).unwrap();
            public.as_object_mut().unwrap().remove("d");
            public.as_object_mut().unwrap().insert("x".to_owned(), key.key.verifying_key().to_jwk()["x"].clone());
            let raw = assertion(&key, "demo", "https://gate.example").unwrap();
            let jws = CompactJws::parse(&raw, 4096).unwrap();
            let claims = jws.verify_with(&VerifyingKey::from_jwk(&public).unwrap()).unwrap();
            assert!(claims.audience_is("https://gate.example").unwrap());
            assert_eq!(jws.kid(), Some(key.kid()));
        }
        assert_eq!(ClientKey::from_jwk(&jwk(ED25519)).unwrap().kid(), "ed");
    }

    #[test]
    fn a_private_key_survives_being_written_as_a_jwk() {
        for text in [P256, ED25519] {
            let read = ClientKey::from_jwk(&jwk(text)).unwrap();
            let d = jwk(text)["d"].clone();
            let directory = std::env::temp_dir().join(format!("qaqpa-jwk-{}", entropy::token_128bit()));
            std::fs::create_dir(&directory).unwrap();
            let path = directory.join("key.pem");
            read.key.save(&path).unwrap();
            let written = private_jwk(&std::fs::read(&path).unwrap());
            std::fs::remove_dir_all(&directory).unwrap();
            let written = written.unwrap();
            assert_eq!(written["d"], d);
            assert_eq!(written["kid"], json!(read.key.kid()));
        }
    }

    #[test]
    fn a_proof_names_its_request_and_carries_no_private_member() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let raw = proof(&key, "GET", "https://gate.example/v1/accounts", Some("token")).unwrap();
        let jws = CompactJws::parse(&raw, 4096).unwrap();
        let (public, claims) = jws.verify_with_embedded().unwrap();
        assert_eq!(public.thumbprint(), key.verifying_key().thumbprint());
        assert_eq!(claims.required_string("htu").unwrap(), "https://gate.example/v1/accounts");
        assert_eq!(claims.required_string("ath").unwrap(), jose::base64url(&jose::sha256(b"token")));
    }

    #[test]
    fn a_form_escapes_what_would_end_a_field() {
        assert_eq!(encode_form(&[("scope", "a:b c&d=é".to_owned())]), "scope=a%3Ab+c%26d%3D%C3%A9");
    }

    #[test]
    fn without_a_sandbox_people_are_told_what_to_run() {
        let error = SandboxFile::find(Path::new("/nonexistent/qaqpa")).unwrap_err();
        assert!(error.contains("qaqpa sandbox --state /nonexistent/qaqpa"), "{error}");
    }

    #[test]
    fn what_is_absent_is_null_in_the_file() {
        let client = SandboxClient {
            client_id: "c".into(),
            organisation: "o".into(),
            roles: vec![],
            scopes: vec![],
            auth: "private_key_jwt".into(),
            jwk_private: None,
            mtls_cert: None,
            mtls_key: None,
            redirect_uris: vec![],
        };
        let told = serde_json::to_value(&client).unwrap();
        assert_eq!(told["mtls_cert"], Value::Null);
        assert_eq!(told["jwk_private"], Value::Null);
    }
}
