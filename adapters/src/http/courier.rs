//! Messages to endpoints that somebody else chose: one request each, to an address that was looked at first.
//!
//! Redirections are not followed, and what an answer says beyond its head is read to a bound and dropped.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use policies::code::Outage;
use policies::delivery::Signed;
use policies::network::Endpoint;
use tokio::time::{timeout, timeout_at};

use super::chosen::dial;
use super::dial::{Connection, Dialler};
use super::trust::Trust;
use super::url::AllowedUrl;

/// How long an attempt may take, from the look-up of the name to the head of the answer: Standard Webhooks ("Request
/// timeouts") asks for 15 to 30 seconds.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(15);

/// The most of an answer's body that is read, in bytes: it is thrown away, and only spares the other side a broken pipe.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// How long that may take once the head has told everything.
const BODY_MAX: Duration = Duration::from_secs(1);

/// The most that an answer's head may have, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The most headers of an answer.
const HEADERS_MAX: usize = 64;

const AGENT: &str = concat!("qaqpa/", env!("CARGO_PKG_VERSION"));

/// Carries signed messages to endpoints.
#[derive(Debug, Clone)]
pub struct Courier {
    trust: Trust,
    private: bool,
}

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The HTTP status.
    pub status: u16,
    /// Its `Retry-After`, if that is text.
    pub retry_after: Option<String>,
}

impl Courier {
    /// Makes a courier that trusts `trust`; `private` says whether it may call private addresses.
    #[must_use]
    pub fn new(trust: &Trust, private: bool) -> Self {
        Self { trust: trust.clone(), private }
    }

    /// Posts a message; all of it may take [`ATTEMPT_MAX`]. Never tried twice.
    ///
    /// # Errors
    /// An [`Outage`], which names the endpoint's origin and never its path, if no head of an answer came.
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        content_type: &'static str,
        signed: &Signed,
        body: Bytes,
    ) -> Result<Receipt, Outage> {
        let outage = |cause: String| Outage::new(endpoint.origin(), cause);
        let url = AllowedUrl::chosen(endpoint).map_err(|error| outage(error.to_string()))?;
        let request = request(&url, content_type, signed, body).map_err(|error| outage(error.to_string()))?;
        let dialler = Dialler::new(&url, &self.trust, b"http/1.1").map_err(|error| outage(error.to_string()))?;
        let calling = async {
            let stream = dial(&url, self.private).await?;
            match dialler.secure(stream).await.map_err(|error| error.to_string())? {
                Connection::Inside(io) => exchange(io, request).await,
                Connection::Plain(io) => exchange(io, request).await,
                Connection::Tls(io) => exchange(*io, request).await,
            }
        };
        timeout(ATTEMPT_MAX, calling).await.map_err(|_| outage("no answer in time".to_owned()))?.map_err(outage)
    }
}

fn request(
    url: &AllowedUrl,
    content_type: &'static str,
    signed: &Signed,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(url.target().clone());
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&url.authority())?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(HeaderName::from_static("webhook-id"), HeaderValue::from_str(&signed.id)?);
    headers.insert(HeaderName::from_static("webhook-timestamp"), HeaderValue::from_str(&signed.timestamp)?);
    headers.insert(HeaderName::from_static("webhook-signature"), HeaderValue::from_str(&signed.signature)?);
    Ok(request)
}

// Driven by the caller and not by a task, so that dropping the attempt closes the connection.
async fn exchange<I>(io: I, request: Request<Full<Bytes>>) -> Result<Receipt, String>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let (mut sender, connection) = builder.handshake(io).await.map_err(|error| error.to_string())?;
    let answering = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let receipt = Receipt { status: answer.status().as_u16(), retry_after };
        // The head has said it all: how the body ends, or whether it does, changes nothing.
        let until = tokio::time::Instant::now() + BODY_MAX;
        let _ = timeout_at(until, Limited::new(answer.into_body(), BODY_BYTES_MAX).collect()).await;
        Ok(receipt)
    };
    let mut answering = std::pin::pin!(answering);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        answered = &mut answering => answered,
        // The connection may end with the last byte of the answer, which then has still to be read.
        ended = &mut connection => match ended {
            Ok(()) => answering.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

#[cfg(test)]
#[path = "courier_tests.rs"]
mod tests;
