//! Answers of our own making.

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use policies::time::Timestamp;
use serde_json::{Value, json};
use spine::Reply;
use spine::body::Body;

/// Makes a JSON answer.
pub(crate) fn json_reply(status: StatusCode, body: &Value) -> Reply {
    let mut reply = Reply::new(Body::whole(body.to_string()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// Answers a money call of `at` whose outcome is not known, and says where it can be read.
pub(crate) fn unknown_outcome(reference: &str, at: Timestamp) -> Reply {
    let place = format!("/v1/domestic-payments/{reference}");
    let body =
        json!({"paymentId": reference, "status": "unknown", "createdAt": at.to_string(), "links": {"self": place}});
    let mut reply = json_reply(StatusCode::ACCEPTED, &body);
    if let Ok(place) = HeaderValue::from_str(&place) {
        reply.headers_mut().insert(LOCATION, place);
    }
    // It may be made on the way out, where `redact` no longer sees it.
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
