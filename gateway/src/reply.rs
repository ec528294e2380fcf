//! Answers of our own making.

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use policies::rulebook::StatusOperation;
use policies::settle::{Fate, shown};
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

/// Marks an answer that says that the outcome is not known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutcomeUnknown;

/// Marks an answer of our own to an operation that a backend answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfOurs;

/// Answers a money call of `at` whose outcome is not known, and says where it can be read, if it can.
pub(crate) fn unknown_outcome(reference: &str, settled_by: Option<&StatusOperation>, at: Timestamp) -> Reply {
    let mut body = shown(reference, Fate::Undecided { since: at }).unwrap_or_default();
    let place = settled_by.map(|status| status.path(reference));
    if let (Some(place), Some(members)) = (&place, body.as_object_mut()) {
        members.insert("links".to_owned(), json!({"self": place}));
    }
    let mut reply = json_reply(StatusCode::ACCEPTED, &body);
    if let Some(place) = place.and_then(|place| HeaderValue::from_str(&place).ok()) {
        reply.headers_mut().insert(LOCATION, place);
    }
    // It may be made on the way out, where `redact` no longer sees it.
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.extensions_mut().insert(OutcomeUnknown);
    reply.extensions_mut().insert(OfOurs);
    reply
}
