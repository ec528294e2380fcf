//! What a call that has succeeded means for limits of others: it gives tokens of a credit back, or begins what polls ask for.
//!
//! Which calls do is known by a set of policies before any comes: who is named by no limit pays nothing for this.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use adapters::limit::limits::{Counted, Happened};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use policies::code::Outage;
use policies::id::OperationId;
use policies::limit::{Limit, Mode, Shape, Values};
use policies::rulebook::Rulebook;
use policies::time::Timestamp;
use serde_json::Value;
use spine::Reply;
use spine::body::{Body, BodyFailure};
use spine::stage::Identified;
use tokio::time::timeout_at;

use crate::house::House;
use crate::layer::once::REPLAYED;
use crate::metering::{Made, one_spelling, owner};
use crate::reply::OutcomeUnknown;

/// The longest answer in which the name of what has begun is looked for, in bytes: answers that begin something have about
/// 1 KiB. The beginning of what a longer one names is not known.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The longest name of a thing that has begun, in bytes: names in paths have 36.
pub const NAME_BYTES_MAX: usize = 256;

/// How often the log hears that something could not be noted: metrics tell each time.
const LOST_EVERY: Duration = Duration::from_secs(60);

/// When the log heard last of credits, and of beginnings: milliseconds since 1970.
static CREDITS_LOST: AtomicI64 = AtomicI64::new(0);
static BEGINNINGS_LOST: AtomicI64 = AtomicI64::new(0);

/// Which limits wait for which operations to succeed.
#[derive(Debug, Default)]
pub(crate) struct Sequels(HashMap<OperationId, Vec<Limit>>);

impl Sequels {
    /// Finds them in a set of policies.
    pub(crate) fn of(rulebook: &Rulebook) -> Self {
        let planned = rulebook.clients.values().flat_map(|client| &client.plan.limits);
        let own = rulebook.operations.values().flat_map(|policy| &policy.limits);
        let mut found = HashMap::<OperationId, Vec<Limit>>::new();
        for limit in planned.chain(own).filter(|limit| limit.mode != Mode::Off) {
            let Some(operation) = awaited(limit) else { continue };
            let waiting = found.entry(operation.clone()).or_default();
            // What plan and operation share, or clients of one plan, waits once.
            if !waiting.contains(limit) {
                waiting.push(limit.clone());
            }
        }
        Self(found)
    }

    /// Tells what the success of a call will mean; none if nothing.
    pub(crate) fn at(&self, call: &Identified, house: &House) -> Option<Box<Sequel>> {
        let waiting = self.0.get(&call.policy().operation)?;
        let made = Made::of(call, &house.sealer, waiting.iter());
        let mut sequel = Sequel { owner: owner(call).to_owned(), deadline: call.deadline, ..Sequel::default() };
        for limit in waiting {
            let Counted { values, thing, .. } = made.counted(call, limit);
            let told = Told { limit: limit.clone(), values: Owned::of(&values) };
            match (&limit.shape, thing) {
                (Shape::Bucket(_), Some(thing)) => sequel.credits.push((told, thing.to_owned())),
                (Shape::Polls(_), _) => sequel.polls.push(told),
                _ => {}
            }
        }
        (!sequel.credits.is_empty() || !sequel.polls.is_empty()).then(|| Box::new(sequel))
    }
}

/// The operation whose success a limit waits for.
fn awaited(limit: &Limit) -> Option<&OperationId> {
    match &limit.shape {
        Shape::Bucket(bucket) => bucket.credit.as_ref().map(|credit| &credit.operation),
        Shape::Polls(polls) => polls.after.as_ref().map(|(operation, _)| operation),
        Shape::Quota(_) | Shape::InFlight(_) | Shape::Sessions(_) => None,
    }
}

/// What the success of one call means.
#[derive(Debug)]
pub(crate) struct Sequel {
    owner: String,
    deadline: Instant,
    /// Limits that give tokens back, each with the thing that the call names.
    credits: Vec<(Told, String)>,
    /// Limits of polls that begin.
    polls: Vec<Told>,
}

impl Default for Sequel {
    fn default() -> Self {
        Self { owner: String::new(), deadline: Instant::now(), credits: Vec::new(), polls: Vec::new() }
    }
}

impl Sequel {
    /// Tells the limits that wait for it how a call was answered; gives the answer on.
    ///
    /// What has begun stays as it began, so that a repetition begins only what nobody heard the beginning of: who hangs up
    /// before the first answer comes.
    pub(crate) async fn told(self, house: &House, reply: Reply) -> Reply {
        if !reply.status().is_success() {
            return reply;
        }
        if is_credited(&reply) {
            self.credit(house).await;
        }
        if self.polls.is_empty() { reply } else { self.begin(house, reply).await }
    }

    async fn credit(&self, house: &House) {
        for (told, thing) in &self.credits {
            let values = told.values.values();
            let (limit, owner, now) = (&told.limit, self.owner.as_str(), house.clock.now());
            let happened = Happened { limit, values: &values, owner, thing, now };
            let credited = house.limiter.happened(&happened).await;
            lost(&CREDITS_LOST, limit, credited.map(|_| ()), now);
        }
    }

    async fn begin(&self, house: &House, reply: Reply) -> Reply {
        let (head, body) = reply.into_parts();
        let (read, body) = read(body, self.deadline).await;
        let answer: Option<Value> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        for told in &self.polls {
            let Shape::Polls(polls) = &told.limit.shape else { continue };
            let name = polls.after.as_ref().and_then(|(_, pointer)| name(answer.as_ref()?.pointer(pointer)?));
            let Some(name) = name else { continue };
            let values = Values { resource: Some(&name), ..told.values.values() };
            let counted = Counted { limit: &told.limit, values, thing: None };
            let now = house.clock.now();
            lost(&BEGINNINGS_LOST, &told.limit, house.limiter.begun(&counted, &self.owner, now).await, now);
        }
        Reply::from_parts(head, body)
    }
}

/// A limit with what the call is counted as there, kept while the call is under way.
#[derive(Debug)]
struct Told {
    limit: Limit,
    values: Owned,
}

// What operation and resource the call has itself, is none of the limit's: it is about other calls.
#[derive(Debug, Default)]
struct Owned {
    client: Option<String>,
    organisation: Option<String>,
    customer: Option<String>,
    consent: Option<String>,
    subject: Option<String>,
    peer: Option<String>,
}

impl Owned {
    fn of(values: &Values<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            client: owned(values.client),
            organisation: owned(values.organisation),
            customer: owned(values.customer),
            consent: owned(values.consent),
            subject: owned(values.subject),
            peer: owned(values.peer),
        }
    }

    fn values(&self) -> Values<'_> {
        Values {
            client: self.client.as_deref(),
            organisation: self.organisation.as_deref(),
            customer: self.customer.as_deref(),
            consent: self.consent.as_deref(),
            subject: self.subject.as_deref(),
            peer: self.peer.as_deref(),
            ..Values::default()
        }
    }
}

/// Tells whether an answer gives no tokens, as it has been given before.
///
/// Of an outcome that nobody knows nobody knows whether it is one; what it names may be asked for all the same.
pub(crate) fn is_repeated(reply: &Reply) -> bool {
    reply.headers().contains_key(REPLAYED) || reply.extensions().get::<OutcomeUnknown>().is_some()
}

fn is_credited(reply: &Reply) -> bool {
    reply.status().is_success() && !is_repeated(reply)
}

// The call has succeeded, and its client must hear so: what a store could not note is a token less, or an earlier question.
fn lost(last: &AtomicI64, limit: &Limit, told: Result<(), Outage>, now: Timestamp) {
    if let Err(outage) = told
        && is_due(last, now)
    {
        tracing::warn!("what a call means for the limit {} could not be noted: {outage}", limit.id);
    }
}

// A store that is away would fill the log with a line for each call.
fn is_due(last: &AtomicI64, now: Timestamp) -> bool {
    let due = |told: i64| {
        let told = Timestamp::from_millis(told);
        // A clock that was set back far makes it early, never late.
        let waits = told <= now + LOST_EVERY && now < told + LOST_EVERY;
        (!waits).then_some(now.millis())
    };
    last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
}

fn name(found: &Value) -> Option<String> {
    let name = match found {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (1..=NAME_BYTES_MAX).contains(&name.len()).then(|| one_spelling(&name).into_owned())
}

/// Reads a body, and gives it on as it was; none if it is longer than what is looked into, breaks off or takes too long.
async fn read(mut body: Body, deadline: Instant) -> (Option<Bytes>, Body) {
    let (mut parts, mut length) = (VecDeque::new(), 0_usize);
    let ended = loop {
        let Ok(frame) = timeout_at(deadline.into(), body.frame()).await else { break None };
        match frame {
            None => break Some(None),
            Some(Err(failure)) => break Some(Some(failure)),
            Some(Ok(frame)) => {
                // Trailers are none of an answer's that is JSON.
                let Ok(data) = frame.into_data() else { continue };
                length = length.saturating_add(data.len());
                parts.push_back(data);
                if length > ANSWER_BYTES_MAX {
                    break None;
                }
            }
        }
    };
    match ended {
        Some(None) => {
            let whole = joined(&parts);
            (Some(whole.clone()), Body::whole(whole))
        }
        Some(Some(failure)) => (None, Body::stream(Box::pin(Again { parts, rest: Err(Some(failure)) }))),
        None => (None, Body::stream(Box::pin(Again { parts, rest: Ok(body) }))),
    }
}

fn joined(parts: &VecDeque<Bytes>) -> Bytes {
    match parts.len() {
        1 => parts.front().cloned().unwrap_or_default(),
        _ => parts.iter().flatten().copied().collect(),
    }
}

/// A body of which a part was read before.
struct Again {
    parts: VecDeque<Bytes>,
    /// What comes after it: more, or why there is no more.
    rest: Result<Body, Option<BodyFailure>>,
}

impl http_body::Body for Again {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        if let Some(part) = self.parts.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        match &mut self.rest {
            Ok(rest) => Pin::new(rest).poll_frame(cx),
            Err(failure) => Poll::Ready(failure.take().map(Err)),
        }
    }

    fn is_end_stream(&self) -> bool {
        let ended = match &self.rest {
            Ok(rest) => rest.is_end_stream(),
            Err(failure) => failure.is_none(),
        };
        self.parts.is_empty() && ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderValue, StatusCode};
    use serde_json::json;

    use super::*;

    fn parts(list: &[usize], end: Option<BodyFailure>) -> Body {
        let parts = list.iter().map(|length| Bytes::from(vec![b'x'; *length])).collect();
        Body::stream(Box::pin(Again { parts, rest: Err(end) }))
    }

    async fn passed(body: Body) -> (Option<usize>, Result<usize, String>) {
        let (read, body) = read(body, Instant::now() + Duration::from_secs(5)).await;
        let rest = body.collect().await.map(|rest| rest.to_bytes().len()).map_err(|failure| failure.to_string());
        (read.map(|bytes| bytes.len()), rest)
    }

    #[test]
    fn what_is_lost_is_told_once_a_minute_and_again_after() {
        let (last, now) = (AtomicI64::new(0), Timestamp::from_seconds(1_800_000_000));
        let due = |millis: u64| is_due(&last, now + Duration::from_millis(millis));
        assert_eq!([0, 0, 1, 59_999].map(due), [true, false, false, false]);
        assert_eq!([60_000, 60_001, 119_999, 120_000].map(due), [true, false, false, true]);
        // A clock that has stepped back a little waits, one that was elsewhere does not.
        assert_eq!([60_000, 59_999, 60_000].map(due), [false, true, false]);
    }

    #[tokio::test]
    async fn an_answer_is_looked_into_up_to_its_longest_and_given_on_in_any_case() {
        let longest = ANSWER_BYTES_MAX;
        assert_eq!(passed(parts(&[longest], None)).await, (Some(longest), Ok(longest)));
        assert_eq!(passed(parts(&[1, longest - 1], None)).await, (Some(longest), Ok(longest)));
        assert_eq!(passed(parts(&[1, longest, 7], None)).await, (None, Ok(longest + 8)));
        assert_eq!(passed(Body::empty()).await, (Some(0), Ok(0)));
        let broken = passed(parts(&[3], Some(BodyFailure::Broken("reset".into())))).await;
        assert_eq!(broken, (None, Err("the body broke off: reset".to_owned())));
    }

    #[test]
    fn tokens_are_given_back_for_what_has_happened_and_once() {
        let answered = |status: StatusCode| {
            let mut reply = Reply::new(Body::empty());
            *reply.status_mut() = status;
            reply
        };
        for refused in [StatusCode::SEE_OTHER, StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE] {
            assert!(!is_credited(&answered(refused)), "{refused}");
        }
        assert!(is_credited(&answered(StatusCode::OK)) && is_credited(&answered(StatusCode::CREATED)));
        let mut again = answered(StatusCode::CREATED);
        again.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        assert!(!is_credited(&again), "a repetition has happened before");
    }

    #[test]
    fn a_name_is_a_text_or_a_number_of_bounded_length() {
        assert_eq!(name(&json!("a1")), Some("a1".to_owned()));
        assert_eq!(name(&json!(17)), Some("17".to_owned()));
        let id = "018f3c1e-9d84-7e4f-a031-5c7d9e1f2031";
        assert_eq!(name(&json!(id.to_ascii_uppercase())).as_deref(), Some(id), "as the path is counted");
        assert_eq!(name(&json!("x".repeat(NAME_BYTES_MAX))).map(|name| name.len()), Some(NAME_BYTES_MAX));
        for other in [json!(""), json!(null), json!(true), json!({"a": 1}), json!("x".repeat(NAME_BYTES_MAX + 1))] {
            assert_eq!(name(&other), None, "{other}");
        }
    }
}
