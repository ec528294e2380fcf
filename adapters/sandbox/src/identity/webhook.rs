//! Callbacks: signed as Standard Webhooks say, over TLS or to loopback, and tried three times.

use super::session::{OutcomeMessage, Plan, random_name};
use crate::clock;
use crate::reply::Problem;
use crate::server::SandboxError;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How often one message is tried.
const TRIES_MAX: u32 = 3;
/// Pause after the first failure; doubled after each further one.
const PAUSE: Duration = Duration::from_millis(200);
/// How long one try may take.
const TRY_WAIT: Duration = Duration::from_secs(5);
/// Characters of a callback address.
const URL_CHARS_MAX: usize = 2048;
/// Signs in the provider's name without its secret.
const FORGED_SECRET: &[u8] = b"not the secret of any provider";

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Where callbacks go: `https`, or `http` on loopback.
#[derive(Clone, Debug)]
pub(super) struct Target {
    secure: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Target {
    /// Reads a callback address.
    ///
    /// Plain `http` goes to loopback only; `https` needs certificates to trust, since no public authority is trusted.
    pub(super) fn read(url: &str, trusts: bool) -> Result<Self, Problem> {
        let refused = Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "callback_refused",
            "The callback address is to be https with trust configured, or http on loopback.",
        );
        let uri: Uri = match url.parse() {
            Ok(uri) if url.len() <= URL_CHARS_MAX => uri,
            _ => return Err(refused),
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refused);
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let allowed = match scheme {
            "https" => trusts,
            "http" => is_loopback(host),
            _ => false,
        };
        // Credentials in an address would be sent to wherever it points.
        if !allowed || authority.as_str().contains('@') || host.is_empty() {
            return Err(refused);
        }
        let secure = scheme == "https";
        Ok(Self {
            secure,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

/// Sends messages.
pub(super) struct Messenger {
    secret: hmac::Key,
    forged: hmac::Key,
    tls: Option<TlsConnector>,
}

/// A message with its signature, ready to be sent any number of times.
struct Signed {
    id: String,
    timestamp: String,
    signature: String,
    body: Bytes,
}

impl Messenger {
    /// Takes the secret and reads the certificates to trust.
    ///
    /// # Errors
    /// [`SandboxError::Trust`] when the file has no certificate that can be trusted.
    pub(super) fn new(secret: Vec<u8>, ca_pem: Option<&Path>) -> Result<Self, SandboxError> {
        let tls = ca_pem.map(trust).transpose()?;
        Ok(Self {
            secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            forged: hmac::Key::new(hmac::HMAC_SHA256, FORGED_SECRET),
            tls,
        })
    }

    /// Whether `https` can be called.
    pub(super) fn trusts(&self) -> bool {
        self.tls.is_some()
    }

    /// Delivers a message, trying again when nobody answers or the answer is 429 or 5xx.
    pub(super) async fn deliver(&self, target: &Target, message: &OutcomeMessage, plan: Plan) {
        let Ok(body) = serde_json::to_vec(message) else {
            return;
        };
        let Ok(id) = random_name() else { return };
        let key = if plan == Plan::Forged { &self.forged } else { &self.secret };
        let signed = sign(key, format!("msg_{id}"), clock::now(), Bytes::from(body));
        let times = if plan == Plan::Twice { 2 } else { 1 };
        for _ in 0..times {
            self.insist(target, &signed).await;
        }
    }

    async fn insist(&self, target: &Target, signed: &Signed) {
        let mut pause = PAUSE;
        for attempt in 1..=TRIES_MAX {
            let tried = tokio::time::timeout(TRY_WAIT, self.send(target, signed)).await;
            match tried {
                Ok(Ok(status)) if !is_worth_another_try(status) => return,
                _ if attempt == TRIES_MAX => {
                    tracing::warn!(attempts = TRIES_MAX, "a callback of the sandbox was not taken");
                }
                _ => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
    }

    async fn send(&self, target: &Target, signed: &Signed) -> Result<StatusCode, SendError> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        match (&self.tls, target.secure) {
            (Some(tls), true) => {
                let name = ServerName::try_from(target.host.clone())?;
                exchange(tls.connect(name, stream).await?, target, signed).await
            }
            (_, false) => exchange(stream, target, signed).await,
            (None, true) => Err(SendError::Untrusted),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("no certificates are trusted")]
    Untrusted,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Name(#[from] rustls_pki_types::InvalidDnsNameError),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Request(#[from] http::Error),
}

async fn exchange<S>(stream: S, target: &Target, signed: &Signed) -> Result<StatusCode, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(&target.path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, "qaqpa-sandbox")
        .header(CONTENT_TYPE, "application/json")
        .header(WEBHOOK_ID, &signed.id)
        .header(WEBHOOK_TIMESTAMP, &signed.timestamp)
        .header(WEBHOOK_SIGNATURE, &signed.signature)
        .body(Full::new(signed.body.clone()))?;
    let answer = sender.send_request(request);
    // Driven here and not by a task of its own, so that a timeout ends both.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        // The answer's body is not read: only its status matters.
        answer = answer.as_mut() => Ok(answer?.status()),
        ended = connection.as_mut() => {
            ended?;
            Ok(answer.await?.status())
        }
    }
}

fn is_worth_another_try(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Signs `id.timestamp.body` as Standard Webhooks 1.0 says, symmetric scheme `v1`.
fn sign(key: &hmac::Key, id: String, now: i64, body: Bytes) -> Signed {
    let timestamp = now.to_string();
    let mut context = hmac::Context::with_key(key);
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", &body] {
        context.update(part);
    }
    let signature = format!("v1,{}", STANDARD.encode(context.sign()));
    Signed { id, timestamp, signature, body }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Reads the certificates of a PEM file and trusts them and nobody else.
fn trust(path: &Path) -> Result<TlsConnector, SandboxError> {
    let failed = |error: &dyn std::fmt::Display| SandboxError::Trust(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(SandboxError::Trust("the file has no certificate".to_owned()));
    }
    // The provider is named, because two of them in one process would make the default panic.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    #[test]
    fn other_addresses_are_refused() {
        for url in [
            "",
            "/v1/callback",
            "ftp://127.0.0.1/",
            "http://example.com/",
            "http://10.0.0.1/",
            "http://127.0.0.1.example.com/",
            "http://user:word@127.0.0.1/",
            "https://user:word@gateway/",
            "http://",
        ] {
            assert!(Target::read(url, true).is_err(), "{url}");
        }
        assert!(Target::read("https://127.0.0.1/", false).is_err());
        let longest = format!("http://127.0.0.1/{}", "a".repeat(URL_CHARS_MAX - 17));
        assert!(Target::read(&longest, false).is_ok());
        assert!(Target::read(&format!("{longest}a"), false).is_err());
    }

    #[test]
    fn loopback_and_trusted_addresses_are_read() {
        let target = Target::read("https://gateway.example:8443/v1/callback?a=b", true).unwrap();
        assert_eq!((target.secure, target.port), (true, 8443));
        assert_eq!(target.path, "/v1/callback?a=b");
        let target = Target::read("http://[::1]:80/x", false).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 80));
        assert_eq!(Target::read("http://localhost", false).unwrap().path, "/");
    }

    #[test]
    fn the_vector_of_standard_webhooks_is_signed() {
        // The example of the reference libraries' tests (standard-webhooks, symmetric).
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let body = Bytes::from_static(b"{\"test\": 2432232314}");
        let signed = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(), 1_614_265_330, body);
        assert_eq!(signed.signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
