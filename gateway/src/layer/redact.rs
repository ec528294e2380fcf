//! `redact`: the way out. Only headers and fields that clients may see leave, and a backend's answer must be what was
//! promised.

use std::sync::Arc;

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER,
};
use policies::code::Code;
use policies::rulebook::Service;
use spine::Reply;
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::Cleared;
use tower::Layer;
use tracing::Instrument as _;

use super::answer::{Look, Unread};
use super::{note, noted};
use crate::house::House;

/// What a backend may tell a client; everything else (`server`, cookies, challenges meant for us, our own names) stays
/// here.
static FROM_BACKEND: [HeaderName; 6] =
    [CONTENT_TYPE, CONTENT_LENGTH, ETAG, LOCATION, RETRY_AFTER, HeaderName::from_static("x-next-cursor")];

/// Makes the frame.
#[derive(Debug, Clone)]
pub struct RedactLayer(pub Arc<House>);

impl<S> Layer<S> for RedactLayer {
    type Service = Redact<S>;

    fn layer(&self, inner: S) -> Redact<S> {
        Redact { house: Arc::clone(&self.0), inner }
    }
}

/// The frame.
#[derive(Debug)]
pub struct Redact<S> {
    house: Arc<House>,
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
        let look = Look::at(&self.house, &cleared);
        // Boxed where there is something to do: what every request carries stays small.
        let mut reply = match note::span(&cleared) {
            None => self.inner.refine(cleared).await,
            Some(span) => Box::pin(self.inner.refine(cleared).instrument(span)).await,
        }?;
        if from_backend || look.is_some() {
            let let_out = match look {
                None => clean(&mut reply, reference.is_some()).map(|()| reply),
                Some(look) => match let_out(look, reply, from_backend, reference.is_some()) {
                    Ok(Ok(reply)) => Ok(reply),
                    Ok(Err(unread)) => Box::pin(unread.through()).await,
                    Err(rejection) => Err(rejection),
                },
            };
            reply = match (noted(&trail, "redact", let_out), reference) {
                (Ok(reply), _) => reply,
                // A money call never ends undecided: the backend has answered, so it may have acted.
                (Err(rejection), Some(reference)) if from_backend => {
                    crate::layer::trace::log(&rejection, trail.interaction());
                    return Ok(crate::reply::unknown_outcome(&reference, policy.settled_by.as_ref(), received));
                }
                (Err(rejection), _) => return Err(rejection),
            };
        }
        let headers = reply.headers_mut();
        if !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Ok(reply)
    }
}

/// Judges the head of an answer and cleans it; gives what has to be read before any of it leaves.
fn let_out(
    mut look: Look,
    mut reply: Reply,
    from_backend: bool,
    once: bool,
) -> Result<Result<Reply, Box<Unread>>, Rejection> {
    let mut headers = None;
    if from_backend {
        // Judged as the backend gave them: some do not leave.
        headers = look.head(&reply)?;
        clean(&mut reply, once)?;
    }
    Ok(look.body(reply, headers))
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
    // Nobody has asked for it, and neither the contract nor a mask can look into it.
    let plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !reply.headers().get_all(CONTENT_ENCODING).iter().all(plain) {
        return Err(broken("the backend's answer is encoded"));
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
