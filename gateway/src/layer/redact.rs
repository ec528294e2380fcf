//! `redact`: the way out. Only headers that clients may see leave, and a backend's answer must be what was promised.

use std::sync::Arc;

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use policies::code::Code;
use policies::rulebook::Service;
use spine::Reply;
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::Cleared;
use tower::Layer;

use super::noted;

/// What a backend may tell a client; everything else (`server`, cookies, challenges meant for us, our own names) stays
/// here.
static FROM_BACKEND: [HeaderName; 6] =
    [CONTENT_TYPE, CONTENT_LENGTH, ETAG, LOCATION, RETRY_AFTER, HeaderName::from_static("x-next-cursor")];

/// Makes the frame.
#[derive(Debug, Clone)]
pub struct RedactLayer;

impl<S> Layer<S> for RedactLayer {
    type Service = Redact<S>;

    fn layer(&self, inner: S) -> Redact<S> {
        Redact { inner }
    }
}

/// The frame.
#[derive(Debug)]
pub struct Redact<S> {
    inner: S,
}

impl<S: Refine<Cleared, Out = Reply>> Refine<Cleared> for Redact<S> {
    type Out = Reply;

    async fn refine(&self, cleared: Cleared) -> Result<Reply, Rejection> {
        let trail = cleared.trail.clone();
        let from_backend = matches!(cleared.policy().service, Service::Upstream(_));
        let received = cleared.received;
        let reference = cleared.reference().map(|reference| reference.0.clone());
        let policy = Arc::clone(cleared.policy());
        let mut reply = self.inner.refine(cleared).await?;
        if from_backend {
            let cleaned = clean(&mut reply, reference.is_some());
            if let Err(rejection) = noted(&trail, "redact", cleaned) {
                // A money call never ends undecided: the backend has answered, so it may have acted.
                return match reference {
                    Some(reference) => {
                        Ok(crate::reply::unknown_outcome(&reference, policy.settled_by.as_ref(), received))
                    }
                    None => Err(rejection),
                };
            }
        }
        let headers = reply.headers_mut();
        if !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Ok(reply)
    }
}

/// Takes out of a backend's answer what clients may not see, if it is what was promised.
///
/// `once` tells that it answers something that is done once, of which nobody can have an earlier state.
pub(crate) fn clean(reply: &mut Reply, once: bool) -> Result<(), Rejection> {
    promised(reply, once)?;
    keep_only(reply.headers_mut());
    // A place of ours, never one that a backend sends clients to.
    let elsewhere = |place: &HeaderValue| !place.as_bytes().starts_with(b"/v1/");
    if reply.headers().get(LOCATION).is_some_and(elsewhere) {
        reply.headers_mut().remove(LOCATION);
    }
    Ok(())
}

fn promised(reply: &Reply, once: bool) -> Result<(), Rejection> {
    let broken = |why: &str| Rejection::new(Code::BackendBroken, "The backend's answer is not usable.").because(why);
    if reply.status() == StatusCode::NOT_MODIFIED && !once {
        return Ok(());
    }
    if reply.status().is_redirection() || reply.status().is_informational() {
        return Err(broken("the backend redirects"));
    }
    if http_body::Body::is_end_stream(reply.body()) {
        return Ok(());
    }
    let media = reply.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/json") || media.eq_ignore_ascii_case("application/problem+json") {
        return Ok(());
    }
    Err(broken("the backend's answer is not JSON"))
}

// In place: an answer has few headers that have to go, and a new map would be one more allocation for each answer.
fn keep_only(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| !FROM_BACKEND.contains(name)).cloned() {
        headers.remove(name);
    }
}
