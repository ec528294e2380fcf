//! One request and its answer over a socket, kept as they were on the wire.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::records::{SandboxClient, SandboxFile};

/// How long connecting and the handshake may take: the sandbox is on this machine.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long one exchange may take: above every timeout of the policies, so that the gateway's answer comes first.
pub const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes: a page of accounts has some 20 KiB.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

const USER_AGENT: &str = concat!("qaqpa/", env!("CARGO_PKG_VERSION"));

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
        spine::error::name_of(&told).map(str::to_owned)
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
        Self::build(Some(Path::new(&sandbox.ca_cert)), None)
    }

    /// Makes a client that trusts servers of one authority (a PEM file); without one, it can only speak clear text.
    ///
    /// # Errors
    /// A sentence for people if the authority's certificate cannot be read.
    pub fn trusting(authority: Option<&Path>) -> Result<Self, String> {
        Self::build(authority, None)
    }

    /// Makes a client that shows the certificate of `record` to servers that ask for one.
    ///
    /// # Errors
    /// A sentence for people if it has none, or a file cannot be read.
    pub fn with_certificate(sandbox: &SandboxFile, record: &SandboxClient) -> Result<Self, String> {
        let (Some(chain), Some(key)) = (&record.mtls_cert, &record.mtls_key) else {
            let with = sandbox.clients.iter().filter(|client| client.mtls_cert.is_some());
            let with: Vec<&str> = with.map(|client| client.client_id.as_str()).collect();
            return Err(format!(
                "The client `{}` has no certificate; these have one: {}.",
                record.client_id,
                with.join(", ")
            ));
        };
        Self::build(Some(Path::new(&sandbox.ca_cert)), Some((Path::new(chain), Path::new(key))))
    }

    fn build(authority: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        if let Some(authority) = authority {
            for certificate in certificates(authority)? {
                roots.add(certificate).map_err(|error| format!("{}: {error}.", authority.display()))?;
            }
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
                let private =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}.", key.display()))?;
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
        let refused =
            |error: std::io::Error| format!("{authority} cannot be reached ({error}). Does the sandbox still run?");
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
        stream
            .map(|stream| Connection::Tls(Box::new(stream)))
            .map_err(|error| format!("TLS with {authority} failed: {error}."))
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
    let mut builder = http::Request::builder().method(asked.method.as_str()).uri(asked.path.as_str());
    for (name, value) in &asked.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(Full::new(Bytes::from(asked.body.clone())))
        .map_err(|error| format!("The request cannot be written: {error}."))
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

async fn talk<S>(
    stream: S,
    request: http::Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>>
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

/// Writes a form (`application/x-www-form-urlencoded`).
#[must_use]
pub fn encode_form(fields: &[(&str, String)]) -> String {
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
    use super::*;

    #[test]
    fn a_form_escapes_what_would_end_a_field() {
        assert_eq!(encode_form(&[("scope", "a:b c&d=é".to_owned())]), "scope=a%3Ab+c%26d%3D%C3%A9");
    }
}
