//! The deed of operations that a backend answers: our own headers go out, the answer streams back.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use adapters::store::port::Claims;
use adapters::upstream::{OutgoingRequest, PooledBody, Pools, SendError};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use http_body::Body as _;
use policies::code::Code;
use policies::details::Detail;
use policies::id::{ClientId, InteractionId, OperationId, UpstreamId};
use policies::rulebook::{Rulebook, Upstream};
use policies::settle::{Undecided, shown};
use policies::time::Timestamp;
use spine::Reply;
use spine::body::{Body, BodyFailure};
use spine::error::Rejection;
use spine::stage::{Cleared, SoundBody};

use crate::bounded::{Bounded, Broken};
use crate::house::House;
use crate::layer::once::LEASE_MARGIN;
use crate::layer::trace::INTERACTION;
use crate::layer::{answer, read};
use crate::metering::naming;
use crate::reach::Reach;
use crate::reply::{OfOurs, json_reply, unknown_outcome};

/// Whose request it is, by the gateway's word.
const ORGANISATION: HeaderName = HeaderName::from_static("x-qaqpa-organisation");
/// Which client's.
const CLIENT: HeaderName = HeaderName::from_static("x-qaqpa-client");
/// Under which reference the backend does it once.
const REFERENCE: HeaderName = HeaderName::from_static("x-qaqpa-reference");
/// The verified payer's number, to be compared with the account's owner.
const PAYER: HeaderName = HeaderName::from_static("x-qaqpa-payer");
/// The consents by which the call is made, with commas between; they take the place of the backend's own mandates.
const CONSENT: HeaderName = HeaderName::from_static("x-qaqpa-consent");
/// The accounts that these consents share, by the backend's ids with commas between; none where they are about a payment.
const ACCOUNTS: HeaderName = HeaderName::from_static("x-qaqpa-accounts");

/// What of the client's own headers goes on; tokens, proofs, cookies and addresses never do.
static FROM_CLIENT: [HeaderName; 4] = [ACCEPT, CONTENT_TYPE, HeaderName::from_static("traceparent"), IF_NONE_MATCH];

/// What never goes on, whatever a policy names: what is ours to say, and who has called how.
const OURS: [&str; 2] = ["x-qaqpa-", "x-fapi-"];
const NEVER: [&str; 10] = [
    "authorization",
    "cookie",
    "dpop",
    "forwarded",
    "proxy-authorization",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-idempotency-key",
    "x-identity-result",
    "x-real-ip",
];

/// Sends a cleared request to its backend.
pub async fn forward(
    house: &House,
    reach: &Reach,
    rulebook: &Rulebook,
    upstream: &UpstreamId,
    mut cleared: Cleared,
) -> Result<Reply, Rejection> {
    let defect = |what: &str| Rejection::new(Code::Internal, "The request could not be sent on.").because(what);
    let headers = headers(&cleared).map_err(|_| defect("a name is no header value"))?;
    let target = target(&cleared).ok_or_else(|| defect("the canonical path is no request target"))?;
    let method = cleared.head.method.clone();
    let broken = Arc::new(OnceLock::new());
    let body = body(&mut cleared, &broken);
    let pools = reach.pools.get(cleared.worker).ok_or_else(|| defect("a serving thread has no connections"))?;
    let reference = cleared.reference().map(|reference| reference.0.clone());
    let (deadline, received) = (cleared.deadline, cleared.received);
    let policy = Arc::clone(cleared.policy());
    let unknown = |reference: &str| Ok(unknown_outcome(reference, policy.settled_by.as_ref(), received));
    if reference.is_some() && house.clock.now() >= received + policy.timeout + LEASE_MARGIN {
        // Whoever stood still for so long, with its timers, may no longer hold the claim: another may be sending it.
        return Err(Rejection::new(Code::DeadlineExceeded, "The request took too long, and was not sent on."));
    }
    let mut sending = std::pin::pin!(pools.send(upstream, OutgoingRequest::new(method, target, headers, body)));
    // Of time for connecting twice: for the connection, and for a token of ours that may be needed before.
    let may = |known: &Upstream| known.connect * 2 + known.response;
    let backend_may = rulebook.upstreams.get(upstream).map_or(Duration::ZERO, may);
    let sent = if deadline.saturating_duration_since(Instant::now()) > backend_may {
        // The backend's own bounds come first: a second timer would only cost.
        sending.as_mut().await
    } else {
        let in_time = tokio::time::timeout_at(deadline.into(), sending.as_mut()).await;
        in_time.unwrap_or(Err(SendError::TimedOut { sent: true }))
    };
    match (sent, reference) {
        // A backend that refuses us, or puts us off, has done nothing: that is no answer to the client's request, and must
        // not be kept as one.
        (Ok(reply), _) if matches!(reply.status().as_u16(), 401 | 407) => {
            Err(Rejection::new(Code::BackendBroken, "The backend's answer is not usable.")
                .because("the backend refuses the gateway"))
        }
        (Ok(reply), _) if matches!(reply.status().as_u16(), 408 | 425 | 429) => {
            let after = reply.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let rejection = Rejection::new(Code::BackendUnavailable, "The backend takes no more requests now.");
            Err(rejection
                .because("the backend puts the gateway off")
                .retry_after(Duration::from_secs(after.unwrap_or(1))))
        }
        // A backend that fails at moving money may have moved it all the same.
        (Ok(reply), Some(reference)) if reply.status().is_server_error() => unknown(&reference),
        // Boxed: it is rare, and every request would carry it.
        (Ok(reply), None) if reply.status() == StatusCode::NOT_FOUND => {
            let wanted = Wanted::of(rulebook, &cleared);
            Ok(match wanted {
                Some(wanted) => Box::pin(wanted.fate(&*house.claims)).await?.unwrap_or_else(|| passed_on(reply)),
                None => passed_on(reply),
            })
        }
        (Ok(reply), _) => Ok(passed_on(reply)),
        (Err(SendError::TimedOut { sent: true } | SendError::Lost(_)), Some(reference)) => unknown(&reference),
        (Err(error), _) => Err(match broken.get() {
            Some(Broken::Size) => read::too_large(cleared.policy().body_bytes_max),
            Some(Broken::Time) => Rejection::new(Code::BodyTooSlow, "The body came too slowly."),
            None => refuse(error),
        }),
    }
}

/// Asks a backend for the state of a client's deed, as an interaction of its own; the answer as it came.
///
/// `place` is a path that policy names. None if nothing could be sent, or nothing came back.
pub(crate) async fn ask_state(
    pools: &Pools<Body>,
    upstream: &UpstreamId,
    place: &str,
    undecided: &Undecided,
    interaction: &InteractionId,
) -> Option<Reply> {
    let value = |text: &str| HeaderValue::from_str(text).ok();
    let headers = [
        (ACCEPT, HeaderValue::from_static("application/json")),
        (INTERACTION, value(interaction.as_str())?),
        (CLIENT, value(undecided.key.client().as_str())?),
        (ORGANISATION, value(undecided.organisation.as_str())?),
    ];
    let place = PathAndQuery::try_from(place).ok()?;
    match read_from(pools, upstream, place, HeaderMap::from_iter(headers)).await {
        Ok(reply) => Some(reply),
        Err(error) => {
            tracing::debug!("what became of {} could not be asked: {error}", undecided.reference);
            None
        }
    }
}

/// Reads something of a backend for ourselves: no client's request stands behind it.
pub(crate) async fn read_from(
    pools: &Pools<Body>,
    upstream: &UpstreamId,
    place: PathAndQuery,
    headers: HeaderMap,
) -> Result<Reply, SendError> {
    pools.send(upstream, OutgoingRequest::new(Method::GET, place, headers, Body::empty())).await.map(passed_on)
}

/// Takes over the answer of a backend as it is; its body streams on.
fn passed_on(reply: http::Response<PooledBody<Body>>) -> Reply {
    let (mut head, body) = reply.into_parts();
    head.version = http::Version::HTTP_11;
    Reply::from_parts(head, Body::stream(Box::pin(Answer(body))))
}

/// A deed that is read under its reference, by the client that asked for it.
struct Wanted {
    client: ClientId,
    reference: String,
    // What it may have been.
    operations: Vec<OperationId>,
    received: Timestamp,
}

impl Wanted {
    /// Tells what is read, if it is the state of a deed.
    fn of(rulebook: &Rulebook, cleared: &Cleared) -> Option<Self> {
        let client = cleared.caller().client()?.id.clone();
        let settled = || rulebook.settled_by(&cleared.policy().operation);
        let parameter = &settled().next()?.settled_by.as_ref()?.parameter;
        let reference = cleared.matched().parameter(parameter)?.to_owned();
        let operations = settled().map(|policy| policy.operation.clone()).collect();
        Some(Self { client, reference, operations, received: cleared.received })
    }

    /// Answers for a backend that does not know the deed (yet), if that is all that anybody knows.
    async fn fate(self, claims: &dyn Claims) -> Result<Option<Reply>, Rejection> {
        for operation in &self.operations {
            let fate = claims.fate(&self.client, operation, &self.reference, self.received).await;
            // A backend's "not found" alone could make a client pay again.
            let fate = fate.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
            if let Some(body) = fate.and_then(|fate| shown(&self.reference, fate)) {
                let mut reply = json_reply(StatusCode::OK, &body);
                reply.extensions_mut().insert(OfOurs);
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }
}

fn refuse(error: SendError) -> Rejection {
    match error {
        SendError::NotSent(outage) => Rejection::outage(Code::BackendUnavailable, &outage),
        SendError::Full => Rejection::new(Code::Capacity, "The backend has as many requests as it may have."),
        SendError::TimedOut { sent } => Rejection::new(Code::BackendTimeout, "The backend did not answer in time.")
            .because(if sent { "sent, no answer" } else { "not sent in time" }),
        SendError::Lost(outage) => Rejection::outage(Code::BackendBroken, &outage),
    }
}

// Whom limits count by a header, the backend must see there too: else a client names to the gateway whomever it likes.
fn counted_by(cleared: &Cleared, headers: &mut HeaderMap) {
    for name in naming(cleared).filter(|name| goes_on(name) && cleared.matched().operation.takes_header(name)) {
        if let (Ok(name), Some(value)) = (HeaderName::from_bytes(name.as_bytes()), cleared.head.headers.get(&**name)) {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
}

fn goes_on(name: &str) -> bool {
    !NEVER.contains(&name) && !OURS.iter().any(|ours| name.starts_with(ours))
}

fn headers(cleared: &Cleared) -> Result<HeaderMap, http::header::InvalidHeaderValue> {
    let mut headers = HeaderMap::with_capacity(12);
    for name in &FROM_CLIENT {
        if let Some(value) = cleared.head.headers.get(name) {
            headers.insert(name, value.clone());
        }
    }
    if headers.contains_key(IF_NONE_MATCH) && answer::is_cut(cleared) {
        // "Not modified" would confirm a guess at what is cut out, as the tag would that is kept back for it.
        headers.remove(IF_NONE_MATCH);
    }
    counted_by(cleared, &mut headers);
    headers.insert(INTERACTION, HeaderValue::from_str(cleared.interaction.as_str())?);
    if let Some(client) = cleared.caller().client() {
        headers.insert(CLIENT, HeaderValue::from_str(client.id.as_str())?);
        headers.insert(ORGANISATION, HeaderValue::from_str(client.organisation.id.as_str())?);
    }
    if let Some(reference) = cleared.reference() {
        headers.insert(REFERENCE, HeaderValue::from_str(&reference.0)?);
    }
    consented(cleared.clearance().granted(), &mut headers)?;
    if let Some(payer) = cleared.payer() {
        let mut value = HeaderValue::from_str(payer.0.expose())?;
        value.set_sensitive(true);
        headers.insert(PAYER, value);
    }
    Ok(headers)
}

/// Tells the backend what citizens have granted for this very call, so that it can keep to it as well.
fn consented(granted: &[Detail], headers: &mut HeaderMap) -> Result<(), http::header::InvalidHeaderValue> {
    if granted.is_empty() {
        return Ok(());
    }
    let mut accounts = BTreeSet::new();
    for detail in granted {
        match detail {
            Detail::AccountInformation { accounts: shared, .. } => accounts.extend(shared.iter().map(String::as_str)),
            Detail::PaymentInitiation { .. } => {}
        }
    }
    let consents: Vec<&str> = granted.iter().map(|detail| detail.consent().as_str()).collect();
    headers.insert(CONSENT, HeaderValue::from_str(&consents.join(","))?);
    if !accounts.is_empty() {
        headers.insert(ACCOUNTS, HeaderValue::from_str(&accounts.into_iter().collect::<Vec<_>>().join(","))?);
    }
    Ok(())
}

// What hyper has parsed, if its path is the canonical one, as it always is: `CanonicalPath` refuses every other form.
fn target(cleared: &Cleared) -> Option<PathAndQuery> {
    let uri = &cleared.head.uri;
    uri.path_and_query().filter(|_| uri.path() == cleared.path().as_str()).cloned()
}

fn body(cleared: &mut Cleared, broken: &Arc<OnceLock<Broken>>) -> Body {
    if let SoundBody::Checked { raw, .. } = cleared.sound_body() {
        return Body::whole(raw.clone());
    }
    let bytes_max = cleared.policy().body_bytes_max;
    let deadline: Instant = cleared.deadline;
    let body = cleared.inflight_mut().body.take();
    if body.is_end_stream() { Body::empty() } else { Bounded::body(body, bytes_max, deadline, Arc::clone(broken)) }
}

/// A backend's body with its errors in the words of the spine.
struct Answer<B>(B);

impl<B> http_body::Body for Answer<B>
where
    B: http_body::Body<Data = bytes::Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = bytes::Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, BodyFailure>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx).map_err(|error| BodyFailure::Broken(error.to_string()))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_sends_no_secret_on_and_says_nothing_for_us() {
        for name in NEVER.into_iter().chain(["x-qaqpa-consent", "x-fapi-customer-ip-address"]) {
            assert!(!goes_on(name), "{name}");
        }
        assert!(goes_on("x-payer-id") && goes_on("x-end-to-end-id") && goes_on("qaqpa-payer"));
    }
}
