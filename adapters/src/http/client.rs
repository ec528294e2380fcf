//! The client for single calls: one connection each, one deadline for all of it, a bound on the answer.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use policies::code::Outage;
use tokio::time::timeout;

use super::dial::{Connection, Dialler};
use super::inside::Inside;
use super::trust::Trust;
use super::url::AllowedUrl;

/// The longest answer that is read, in bytes: what services tell us in JSON is far below.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Calls other services.
#[derive(Clone)]
pub struct Client {
    trust: Trust,
    inside: Option<Arc<dyn Inside>>,
}

/// What a service answered; any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`ANSWER_BYTES_MAX`].
    pub body: Bytes,
}

impl Client {
    /// Makes a client that trusts `trust`.
    #[must_use]
    pub fn new(trust: &Trust) -> Self {
        Self { trust: trust.clone(), inside: None }
    }

    /// Makes a client whose every connection is taken by a service inside this process.
    #[must_use]
    pub fn inside(trust: &Trust, service: Arc<dyn Inside>) -> Self {
        Self { trust: trust.clone(), inside: Some(service) }
    }

    /// Gets a resource; connecting, sending and reading together may take `within`.
    ///
    /// # Errors
    /// An [`Outage`] if no whole answer came, in time and within the size.
    pub async fn get(&self, url: &AllowedUrl, within: Duration) -> Result<Reply, Outage> {
        let request = request(Method::GET, url, Bytes::new())?;
        self.call(url, request, within).await
    }

    /// Posts a JSON body, with this `Authorization` header if one is given; all of it may take `within`. Never tried twice.
    ///
    /// # Errors
    /// An [`Outage`] if no whole answer came, in time and within the size.
    pub async fn post_json(
        &self,
        url: &AllowedUrl,
        authorization: Option<&HeaderValue>,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Reply, Outage> {
        let mut request = request(Method::POST, url, Bytes::from(body))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(value) = authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        self.call(url, request, within).await
    }

    /// Posts a form; all of it may take `within`. Never tried twice.
    ///
    /// # Errors
    /// An [`Outage`] if no whole answer came, in time and within the size.
    pub async fn post_form(&self, url: &AllowedUrl, body: Vec<u8>, within: Duration) -> Result<Reply, Outage> {
        self.call(url, form(url, body)?, within).await
    }

    async fn call(&self, url: &AllowedUrl, request: Request<Full<Bytes>>, within: Duration) -> Result<Reply, Outage> {
        let outage = |cause: String| Outage::new(url.authority(), cause);
        let dialler = Dialler::new(url, &self.trust, b"http/1.1").map_err(|error| outage(error.to_string()))?;
        let dialler = dialler.inside(self.inside.as_ref());
        let calling = async {
            match dialler.connect().await.map_err(|error| error.to_string())? {
                Connection::Inside(io) => exchange(io, request, ANSWER_BYTES_MAX).await,
                Connection::Plain(io) => exchange(io, request, ANSWER_BYTES_MAX).await,
                Connection::Tls(io) => exchange(*io, request, ANSWER_BYTES_MAX).await,
            }
        };
        let called = timeout(within, calling).await.map_err(|_| outage("no whole answer in time".to_owned()))?;
        called.map_err(outage)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("inside", &self.inside.is_some()).finish_non_exhaustive()
    }
}

/// Writes a request with a form; what it holds is for the other side alone.
pub(super) fn form(url: &AllowedUrl, body: Vec<u8>) -> Result<Request<Full<Bytes>>, Outage> {
    let mut request = request(Method::POST, url, Bytes::from(body))?;
    let value = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, value);
    Ok(request)
}

/// Writes a request for one answer over a connection of its own.
pub(super) fn request(method: Method, url: &AllowedUrl, body: Bytes) -> Result<Request<Full<Bytes>>, Outage> {
    let host = HeaderValue::from_str(&url.authority()).map_err(|error| Outage::new(url.authority(), error))?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(url.target().clone());
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

// Driven by the caller and not by a task, so that dropping the call closes the connection.
pub(super) async fn exchange<I>(io: I, request: Request<Full<Bytes>>, bytes_max: usize) -> Result<Reply, String>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(io).await.map_err(|error| told(&error))?;
    let answering = async {
        let answer = sender.send_request(request).await.map_err(|error| told(&error))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), bytes_max).collect().await.map_err(|error| error.to_string())?;
        Ok(Reply { status, body: body.to_bytes() })
    };
    let mut answering = std::pin::pin!(answering);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        answered = &mut answering => answered,
        // The connection may end with the last byte of the answer, which then has still to be read.
        ended = &mut connection => match ended {
            Ok(()) => answering.await,
            Err(error) => Err(told(&error)),
        },
    }
}

// hyper's own words say little; what lies below them tells what happened.
fn told(error: &hyper::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
