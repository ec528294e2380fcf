//! What the sandbox's services answer with: JSON, problem documents, and the bounded reading of a body.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// Bytes of a request body: a payment or a session needs less than two kilobytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a request body may take: everything comes over loopback.
const BODY_WAIT: Duration = Duration::from_secs(10);
/// Characters of an interaction id that are given back; a UUID has 36.
const INTERACTION_ID_CHARS_MAX: usize = 128;

/// The header that names one exchange across all hops.
pub(crate) const INTERACTION_ID: HeaderName = HeaderName::from_static("x-fapi-interaction-id");

/// A reply of the sandbox.
pub(crate) type Reply = Response<Outgoing>;

/// Says that the connection is to be closed without any answer, as a fault switch asked.
#[derive(Debug, thiserror::Error)]
#[error("the fault switch asked to answer nothing")]
pub(crate) struct HungUp;

/// A body of known length that can tell when it was handed over.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    rest: Bytes,
    /// Sends when the body is dropped, which happens after its last byte went to the connection.
    told: Option<oneshot::Sender<()>>,
}

impl Outgoing {
    /// Tells `told` once the body has gone to the connection, or can no longer go.
    pub(crate) fn tell(&mut self, told: oneshot::Sender<()>) {
        self.told = Some(told);
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(told) = self.told.take() {
            // Nobody waiting any more is fine: the service is stopping.
            let _ = told.send(());
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// A refusal as RFC 9457 tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// The last part of `urn:qaqpa:problem:<name>`.
    pub(crate) name: &'static str,
    pub(crate) detail: &'static str,
}

impl Problem {
    pub(crate) const fn new(status: StatusCode, name: &'static str, detail: &'static str) -> Self {
        Self { status, name, detail }
    }

    /// The body or a parameter does not have its shape.
    pub(crate) const fn shape(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "schema_violation", detail)
    }

    /// There is nothing here, or nothing the caller may see: one answer for both.
    pub(crate) const fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// More is asked at once than the sandbox has room for.
    pub(crate) const fn capacity() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "capacity", "The sandbox is busy; ask again.")
    }

    /// The problem document as a reply.
    pub(crate) fn reply(&self) -> Reply {
        #[derive(Serialize)]
        struct Document {
            r#type: String,
            title: &'static str,
            status: u16,
            detail: &'static str,
        }
        let document = Document {
            r#type: format!("urn:qaqpa:problem:{}", self.name),
            title: self.status.canonical_reason().unwrap_or("Fault switch"),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        bytes_reply(self.status, "application/problem+json", to_json(&document))
    }
}

/// A JSON reply.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    bytes_reply(status, "application/json", to_json(value))
}

/// A reply of any type that is not to be stored by caches.
pub(crate) fn bytes_reply(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Reply {
    let mut reply = Response::new(Outgoing { rest: bytes, told: None });
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// The reply to a method that a path does not have.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Reply {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The path has other methods.");
    let mut reply = problem.reply();
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// Gives the interaction id of a request back with its reply.
pub(crate) fn echo(request: &HeaderMap, reply: &mut Reply) {
    if let Some(id) = request.get(INTERACTION_ID).filter(|id| id.len() <= INTERACTION_ID_CHARS_MAX) {
        reply.headers_mut().insert(INTERACTION_ID, id.clone());
    }
}

/// Whether a method only reads.
pub(crate) fn reads(method: &Method) -> bool {
    method == Method::GET
}

/// Reads a whole body, bounded in bytes and time.
pub(crate) async fn read_body(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Problem> {
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "unsupported_media", "The body is to be application/json."));
    }
    let reading = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_WAIT, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(Problem::new(status, "payload_too_large", "The body is larger than 64 KiB."))
        }
        Ok(Err(_)) => Err(Problem::shape("The body ended early.")),
        Err(_) => {
            let status = StatusCode::REQUEST_TIMEOUT;
            Err(Problem::new(status, "request_timeout", "The body took longer than 10 s."))
        }
    }
}

/// Reads JSON of a known shape; members it does not know are faults.
pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|_| Problem::shape("The body is not JSON of the described shape."))
}

fn to_json<T: Serialize>(value: &T) -> Bytes {
    // The structs of this crate have text keys and no failing serialiser, so the error side is never taken.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}
