//! Real connections: TLS over loopback, HTTP/1.1 and HTTP/2 by hyper's client, or bytes by hand.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::answer::{Answer, problem_type};
use crate::actors::certificate::Certificate;

/// How long a scenario waits for what must happen: long enough for a busy machine, never reached when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Either kind of stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// How a client speaks TLS.
#[derive(Debug, Clone, Copy)]
pub struct Tls<'a> {
    /// The protocols it offers by ALPN.
    pub alpn: &'a [&'a [u8]],
    /// The versions it speaks.
    pub versions: &'a [&'static SupportedProtocolVersion],
    /// What it shows when asked.
    pub certificate: Option<&'a Certificate>,
}

/// What a client of today offers.
pub const MODERN: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Connects with TLS, trusting only the authority in `ca`.
///
/// # Errors
/// A handshake that fails.
pub async fn connect(address: SocketAddr, ca: &Path, tls: Tls<'_>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    secure(stream, ca, tls).await
}

/// Speaks TLS over a connection that is there, trusting only the authority in `ca`.
///
/// # Errors
/// A handshake that fails.
pub async fn secure(stream: TcpStream, ca: &Path, tls: Tls<'_>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(tls.versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match tls.certificate {
        None => builder.with_no_client_auth(),
        Some(shown) => builder.with_client_auth_cert(vec![shown.der.clone()], shown.key.clone_key()).unwrap(),
    };
    config.alpn_protocols = tls.alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
    tokio::time::timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
}

/// Sends one request over HTTP/1.1 and reads the answer to its end.
///
/// # Errors
/// A connection that ends before the answer does.
pub async fn http1<B>(stream: impl Stream + 'static, request: Request<B>) -> Result<Answer, String>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let mut driven = Driven(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let answered = read(sender.send_request(request)).await;
    drop(sender);
    driven.end().await;
    answered
}

/// Sends one request over HTTP/2 and reads the answer to its end.
///
/// # Errors
/// A connection or stream that ends before the answer does.
pub async fn http2<B>(stream: impl Stream + 'static, request: Request<B>) -> Result<Answer, String>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let mut driven = Driven(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let answered = read(sender.send_request(request)).await;
    drop(sender);
    driven.end().await;
    answered
}

/// The task that moves a connection's bytes: the connection is closed with it.
struct Driven(tokio::task::JoinHandle<()>);

impl Driven {
    async fn end(&mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read(
    sending: impl Future<Output = hyper::Result<http::Response<hyper::body::Incoming>>>,
) -> Result<Answer, String> {
    let reading = async {
        let (head, body) = sending.await.map_err(|error| format!("{error:?}"))?.into_parts();
        let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    tokio::time::timeout(PATIENCE, reading).await.map_err(|_| "no answer in time".to_owned())?
}

/// What a server said on a raw connection until it closed it.
#[derive(Debug, Clone)]
pub struct Said {
    /// Every byte.
    pub bytes: Vec<u8>,
}

impl Said {
    /// Returns the statuses of all answers, in their order.
    #[must_use]
    pub fn statuses(&self) -> Vec<u16> {
        // A body may end without a line end, so that the next answer begins within a line.
        let text = self.text();
        text.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
    }

    /// Returns everything as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Tells whether an answer is the problem of this name.
    #[must_use]
    pub fn is_problem(&self, name: &str) -> bool {
        self.text().contains(&format!("{}\"", problem_type(name)))
    }
}

/// Writes bytes as they are; a server that has closed already is no error.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    let writing = async {
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
    };
    tokio::time::timeout(PATIENCE, writing).await.unwrap();
}

/// Reads until the server closes.
pub async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> Said {
    let mut bytes = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        // A reset is a close too, only less polite.
        while let Ok(count) = stream.read(&mut buffer).await {
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(buffer.get(..count).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("the server keeps the connection open"));
    Said { bytes }
}

/// Reads until a text has been said.
pub async fn until_said(stream: &mut (impl AsyncRead + Unpin), text: &str) -> Said {
    let mut said = Said { bytes: Vec::new() };
    let reading = async {
        let mut buffer = [0; 4096];
        while !said.text().contains(text) {
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "closed before saying {text}: {}", said.text());
            said.bytes.extend_from_slice(buffer.get(..count).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("the server never says {text}"));
    said
}
