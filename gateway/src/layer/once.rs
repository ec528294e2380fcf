//! `once`: an operation with an idempotency key is done once; a repetition gets the stored answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::store::port::{ClaimAnswer, ClaimTicket, Finish, NewClaim};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use policies::caller::Caller;
use policies::code::Code;
use policies::event::{EventKind, NewEvent};
use policies::id::IdempotencyKey;
use policies::jose::digest_of_parts;
use policies::once::{Repeat, StoredReply, judge};
use policies::rulebook::OperationPolicy;
use policies::settle::{self, Fate};
use policies::time::Timestamp;
use spine::Reply;
use spine::body::Body;
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::Sound;
use tokio::time::timeout_at;
use tower::Layer;

use super::guard::CatchPanic;
use crate::house::House;
use crate::reply::{OutcomeUnknown, unknown_outcome};

/// How long an answer is kept for repetitions (Open Banking: 24 hours).
pub const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// By how much a claim's lease outlasts the operation's own timeout.
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// The longest answer that is kept: answers to money calls have about 1 KiB.
pub const REPLY_BYTES_MAX: usize = 256 * 1024;

/// Tells a client that an answer is an earlier one.
pub(crate) const REPLAYED: &str = "x-idempotency-replayed";

/// A sound request with the claim of its key, if the operation has one.
#[derive(Debug)]
pub struct Claimed {
    /// The request.
    pub sound: Sound,
    /// The claim, held by this request.
    pub ticket: Option<ClaimTicket>,
}

/// Makes the frame.
#[derive(Debug, Clone)]
pub struct OnceLayer(pub Arc<House>);

impl<S> Layer<S> for OnceLayer {
    type Service = Once<S>;

    fn layer(&self, inner: S) -> Once<S> {
        Once { house: Arc::clone(&self.0), inner }
    }
}

/// The frame.
#[derive(Debug)]
pub struct Once<S> {
    house: Arc<House>,
    inner: S,
}

impl<S: Refine<Claimed, Out = Reply>> Refine<Sound> for Once<S> {
    type Out = Reply;

    async fn refine(&self, sound: Sound) -> Result<Reply, Rejection> {
        if !sound.policy().idempotent {
            return self.inner.refine(Claimed { sound, ticket: None }).await;
        }
        Box::pin(self.once(sound)).await
    }
}

impl<S: Refine<Claimed, Out = Reply>> Once<S> {
    async fn once(&self, sound: Sound) -> Result<Reply, Rejection> {
        let trail = sound.trail.clone();
        let claim = new_claim(&self.house, &sound)?;
        let (policy, now, deadline) = (Arc::clone(sound.policy()), sound.received, sound.deadline);
        let answer = self.house.claims.claim(claim, now).await;
        match answer.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))? {
            ClaimAnswer::Earlier(earlier) => {
                let repeat = judge(earlier, &digest(&sound));
                let reply = repeated(repeat);
                trail.note_step("once", reply.as_ref().map_or_else(Rejection::name, |_| "replay"));
                reply
            }
            ClaimAnswer::Taken(ticket) => {
                trail.note_step("once", "pass");
                trail.note_reference(ticket.reference());
                let claimed = Claimed { sound, ticket: Some(ticket.clone()) };
                let holder = Holder { house: &self.house, ticket, policy, received: now, deadline };
                let told = async {
                    match CatchPanic(std::pin::pin!(self.inner.refine(claimed))).await {
                        Ok(Ok(reply)) => holder.keep(reply).await,
                        Ok(Err(rejection)) => holder.give_back(rejection).await,
                        Err(cause) => holder.keep(holder.broken(&cause)?).await,
                    }
                };
                // The lease ends by itself if the defect is in the telling.
                CatchPanic(std::pin::pin!(told)).await.unwrap_or_else(|cause| holder.broken(&cause))
            }
        }
    }
}

/// Who holds a claim, and has done the deed or given it up.
struct Holder<'a> {
    house: &'a House,
    ticket: ClaimTicket,
    policy: Arc<OperationPolicy>,
    received: Timestamp,
    deadline: Instant,
}

impl Holder<'_> {
    /// Stores what the way out let through, then gives it.
    async fn keep(&self, reply: Reply) -> Result<Reply, Rejection> {
        // What a backend refuses now it may have done for an earlier holder: by its answer nobody can tell.
        let reply = if self.ticket.in_doubt() && !reply.status().is_success() { self.unknown() } else { reply };
        // A backend that dribbles its answer does not hold the claim beyond its lease.
        let read = timeout_at(self.deadline.into(), whole(reply)).await.ok().flatten();
        let (head, bytes) = match read {
            Some(read) => read,
            // The deed is done, its answer broke off: the backend knows the outcome under the same reference.
            None => whole(self.unknown()).await.ok_or_else(|| {
                Rejection::new(Code::Internal, "The outcome cannot be told.").because("a body of ours broke off")
            })?,
        };
        let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let stored = StoredReply { status: head.status.as_u16(), headers: headers.collect(), body: bytes.to_vec() };
        let now = self.house.clock.now();
        let finish = if head.extensions.get::<OutcomeUnknown>().is_some() {
            Finish::Unknown(stored, self.unknown_event(now))
        } else {
            Finish::Answered(stored)
        };
        if let Err(outage) = self.house.claims.finish(&self.ticket, finish, now).await {
            // The deed is done and must be told. When the lease is over the backend is asked what became of it, and a
            // repetition that comes earlier reaches the backend under the same reference, which does it once.
            tracing::error!("an answer could not be stored for repetitions: {outage}");
            if self.is_outlived(now) && !head.status.is_success() {
                // Whoever took the claim over may get another answer.
                return Ok(self.unknown());
            }
        }
        Ok(Reply::from_parts(head, Body::whole(bytes)))
    }

    /// Gives the claim back: this holder has sent nothing, and the same body may try again at once.
    async fn give_back(&self, rejection: Rejection) -> Result<Reply, Rejection> {
        if let Err(outage) = self.house.claims.release(&self.ticket, self.house.clock.now()).await {
            // If the store is gone, the end of the lease lets it try again.
            tracing::warn!("a claim could not be released and stays until its lease ends: {outage}");
        }
        // A client can do something about this one, and comes back with the same key: it is no refusal of the deed.
        if rejection.code() == Code::StepUpRequired || self.policy.settled_by.is_none() {
            return Err(rejection);
        }
        let (key, now) = (self.ticket.key(), self.house.clock.now());
        if !self.ticket.in_doubt() && !self.is_outlived(now) {
            return Err(rejection);
        }
        // Another holder, before or since, may have reached the backend: then a refusal would be more than anybody knows.
        match self.house.claims.fate(key.client(), key.operation(), self.ticket.reference(), now).await {
            Ok(Some(Fate::NotReceived { .. })) => Err(rejection),
            Ok(_) => Ok(self.unknown()),
            Err(_) if self.ticket.in_doubt() => Ok(self.unknown()),
            Err(_) => Err(rejection),
        }
    }

    /// Answers for a defect on the way: nobody can say how far the deed has come.
    fn broken(&self, cause: &str) -> Result<Reply, Rejection> {
        self.house.metrics.panicked();
        if self.policy.settled_by.is_none() {
            return Err(Rejection::new(Code::Internal, "The request could not be answered.").because(cause));
        }
        tracing::error!("a defect left the outcome of {} unknown: {cause}", self.ticket.reference());
        Ok(self.unknown())
    }

    /// Tells whether the lease is over: then somebody else may be at it.
    fn is_outlived(&self, now: Timestamp) -> bool {
        now >= self.received + self.policy.timeout + LEASE_MARGIN
    }

    fn unknown(&self) -> Reply {
        unknown_outcome(self.ticket.reference(), self.policy.settled_by.as_ref(), self.received)
    }

    fn unknown_event(&self, now: Timestamp) -> NewEvent {
        let reference = self.ticket.reference();
        NewEvent {
            id: self.house.new_reference(),
            client: self.ticket.key().client().clone(),
            subject: reference.to_owned(),
            kind: EventKind::PaymentUnknown,
            at: now,
            data: settle::told(reference, settle::UNKNOWN),
        }
    }
}

/// Reads an answer to its end; none if it breaks off or is longer than what is kept.
async fn whole(reply: Reply) -> Option<(http::response::Parts, Bytes)> {
    let (head, body) = reply.into_parts();
    Limited::new(body, REPLY_BYTES_MAX).collect().await.ok().map(|read| (head, read.to_bytes()))
}

fn new_claim(house: &House, sound: &Sound) -> Result<NewClaim, Rejection> {
    let missing = || {
        let detail = "This operation is done once per key: send a header `x-idempotency-key` of 1 to 40 characters.";
        Rejection::new(Code::IdempotencyKeyMissing, detail)
    };
    let header =
        sound.head.headers.get("x-idempotency-key").and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let client = sound.caller().client().ok_or_else(missing)?;
    let policy = sound.policy();
    let key = IdempotencyKey::bind(&client.id, &policy.operation, header).map_err(|error| missing().because(error))?;
    Ok(NewClaim {
        key,
        organisation: client.organisation.id.clone(),
        digest: digest(sound),
        reference: house.new_reference(),
        lease: policy.timeout + LEASE_MARGIN,
        keep: KEEP,
        settles: policy.settled_by.is_some(),
    })
}

/// Names what is asked for, and in whose name: what was answered for one citizen is no answer for another. Whoever lost a
/// grant and comes with a new consent of the same citizen asks for the same thing, and must not have to choose another key.
fn digest(sound: &Sound) -> [u8; 32] {
    match sound.caller() {
        Caller::Bound { token, .. } if token.token().subject() != token.token().client().as_str() => {
            digest_of_parts(&[b"in the name of", token.token().subject().as_bytes(), sound.digest().as_slice()])
        }
        _ => *sound.digest(),
    }
}

fn repeated(repeat: Repeat) -> Result<Reply, Rejection> {
    match repeat {
        Repeat::Replay(stored) => restore(stored),
        Repeat::InProgress { retry_after } => {
            let detail = "The first request with this key is still under way.";
            Err(Rejection::new(Code::RequestInProgress, detail).retry_after(retry_after))
        }
        Repeat::Mismatch => Err(Rejection::new(Code::IdempotencyMismatch, "This key was used with another body.")
            .next("Use a new key for a new request, or send the first body again.")),
    }
}

fn restore(stored: StoredReply) -> Result<Reply, Rejection> {
    let defect =
        || Rejection::new(Code::Internal, "The stored answer cannot be read.").because("a stored reply is broken");
    let mut reply = Reply::new(Body::whole(stored.body));
    *reply.status_mut() = StatusCode::from_u16(stored.status).map_err(|_| defect())?;
    for (name, value) in stored.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| defect())?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| defect())?;
        reply.headers_mut().append(name, value);
    }
    reply.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(reply)
}
