//! What is looked for in an answer on its way out: faults against the contract, and fields that its reader may not see.
//!
//! Where nothing is masked and faults are only reported, the answer streams on while it is looked at; else it is read
//! whole. Must never put a value of an answer into a log line, a count or a record.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, ETAG, HeaderMap};
use http_body::{Body as HttpBody, Frame, SizeHint};
use openapi::{Operation, ResponseCheck, ResponseFault};
use policies::audit::AnswerFaults;
use policies::code::Code;
use policies::details::Detail;
use policies::limit::Mode;
use policies::mask::{self, Mask};
use policies::rulebook::{AccountList, Client, OperationPolicy, Service};
use spine::Reply;
use spine::body::{Body, BodyFailure};
use spine::error::Rejection;
use spine::stage::Cleared;
use spine::trail::Trail;

use super::read;
use crate::house::House;
use crate::reply::OfOurs;

/// The longest answer that is looked into, in bytes: pages of a list have some 100 KiB. A longer one is let out unseen
/// where faults are only reported, and refused where they are enforced or something is masked.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What is looked for in the answer to one request.
pub(crate) struct Look {
    judge: Option<Judge>,
    cuts: Cuts,
    deadline: Instant,
}

/// What is taken out of an answer.
struct Cuts {
    shared: Option<Shared>,
    masks: Vec<Arc<Mask>>,
}

/// The list of an answer that holds accounts, and those of them that a citizen shares.
struct Shared {
    list: AccountList,
    accounts: BTreeSet<String>,
}

impl Cuts {
    fn of(cleared: &Cleared) -> Self {
        let policy = cleared.policy();
        let list = policy.consent.as_ref().and_then(|need| need.list.clone());
        let granted = cleared.clearance().granted();
        // A client that is not asked for consents has none, and its backend's own mandates decide.
        let shared = list.filter(|_| !granted.is_empty()).map(|list| Shared { list, accounts: shared(granted) });
        Self { shared, masks: masks(policy, cleared.caller().client().map(AsRef::as_ref)) }
    }

    fn is_empty(&self) -> bool {
        self.shared.is_none() && self.masks.is_empty()
    }

    /// Cuts the body of an answer; refuses what cannot be cut. Errors of a backend hold no list.
    fn through(&self, status: StatusCode, body: &Bytes) -> Result<Bytes, Rejection> {
        let left = match self.shared.as_ref().filter(|_| status.is_success()) {
            None => body.clone(),
            Some(Shared { list, accounts }) => {
                let kept = mask::kept(body, &list.items, &list.id, accounts);
                kept.map(Bytes::from).map_err(|fault| broken(fault.why()))?
            }
        };
        masked(&left, &self.masks)
    }
}

fn shared(granted: &[Detail]) -> BTreeSet<String> {
    let accounts = granted.iter().filter_map(|detail| match detail {
        Detail::AccountInformation { accounts, .. } => Some(accounts),
        Detail::PaymentInitiation { .. } => None,
    });
    accounts.flatten().cloned().collect()
}

impl Look {
    /// Tells what has to be looked for in the answer to a request; none if nothing has.
    pub(crate) fn at(house: &Arc<House>, cleared: &Cleared) -> Option<Self> {
        let policy = cleared.policy();
        let checked = policy.responses != Mode::Off && matches!(policy.service, Service::Upstream(_));
        let judge = checked.then(|| Judge {
            operation: Arc::clone(&cleared.matched().operation),
            policy: Arc::clone(policy),
            house: Arc::clone(house),
            trail: cleared.trail.clone(),
        });
        let cuts = Cuts::of(cleared);
        (judge.is_some() || !cuts.is_empty()).then(|| Self { judge, cuts, deadline: cleared.deadline })
    }

    /// Judges status and headers, as the backend gave them; what is left to do is done by [`Look::body`].
    pub(crate) fn head(&mut self, reply: &Reply) -> Result<Option<Headers>, Rejection> {
        let Some(judge) = self.judge.take().filter(|_| reply.extensions().get::<OfOurs>().is_none()) else {
            return Ok(None);
        };
        match judge.operation.check_response_head(reply.status().as_u16(), &named(reply.headers())) {
            Ok(ResponseCheck::SizeOnly) => Ok(None),
            Ok(ResponseCheck::Read) => {
                let headers = Headers { status: reply.status(), fields: reply.headers().clone() };
                self.judge = Some(judge);
                Ok(Some(headers))
            }
            Err(fault) => judge.found(&fault).map(|()| None),
        }
    }

    /// Goes on with an answer whose headers are fit to leave; where it has to be read first, gives what reads it.
    pub(crate) fn body(self, reply: Reply, headers: Option<Headers>) -> Result<Reply, Box<Unread>> {
        let judge = self.judge.zip(headers);
        match judge {
            None if self.cuts.is_empty() => Ok(reply),
            Some((judge, headers)) if self.cuts.is_empty() && judge.policy.responses == Mode::Report => {
                Ok(judge.beside(headers, reply))
            }
            judge => Err(Box::new(Unread { reply, judge, cuts: self.cuts, deadline: self.deadline })),
        }
    }
}

/// An answer that has to be read whole before any of it leaves.
pub(crate) struct Unread {
    reply: Reply,
    judge: Option<(Judge, Headers)>,
    cuts: Cuts,
    deadline: Instant,
}

impl Unread {
    /// Reads, judges and cuts it.
    pub(crate) async fn through(self) -> Result<Reply, Rejection> {
        let (mut head, bytes) = whole(self.reply, self.deadline, self.judge.as_ref()).await?;
        if let Some((judge, headers)) = &self.judge {
            judge.body(headers, &bytes)?;
        }
        if self.cuts.is_empty() {
            return Ok(Reply::from_parts(head, Body::whole(bytes)));
        }
        // A tag may be made of what is cut out, and would tell a guess at it from another; a length would tell its own.
        head.headers.remove(ETAG);
        head.headers.remove(CONTENT_LENGTH);
        if bytes.is_empty() {
            return Ok(Reply::from_parts(head, Body::empty()));
        }
        let left = self.cuts.through(head.status, &bytes)?;
        Ok(Reply::from_parts(head, Body::whole(left)))
    }
}

/// Status and headers of an answer, as the backend gave them.
pub(crate) struct Headers {
    status: StatusCode,
    fields: HeaderMap,
}

/// Tells whether something may be cut out of the answer to a request before it leaves.
pub(crate) fn is_cut(cleared: &Cleared) -> bool {
    !Cuts::of(cleared).is_empty()
}

/// Returns the masks that answers of an operation to a client get.
pub(crate) fn masks(policy: &OperationPolicy, client: Option<&Client>) -> Vec<Arc<Mask>> {
    let roles = client.map(|client| &client.organisation.roles);
    policy.masks.iter().filter(|mask| mask.covers_answers(roles)).cloned().collect()
}

/// Masks the body of an answer; refuses what cannot be masked.
pub(crate) fn masked(body: &Bytes, masks: &[Arc<Mask>]) -> Result<Bytes, Rejection> {
    match mask::masked(body, masks.iter().map(AsRef::as_ref)) {
        Ok(masked) => Ok(masked.map_or_else(|| body.clone(), Bytes::from)),
        Err(fault) => Err(broken(fault.why())),
    }
}

fn broken(why: &str) -> Rejection {
    Rejection::new(Code::BackendBroken, "The backend's answer is not usable.").because(why)
}

fn named(headers: &HeaderMap) -> impl Fn(&str) -> Option<String> + '_ {
    |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

async fn whole(
    reply: Reply,
    deadline: Instant,
    judge: Option<&(Judge, Headers)>,
) -> Result<(http::response::Parts, Bytes), Rejection> {
    let (head, body) = reply.into_parts();
    let read = read::read(body, ANSWER_BYTES_MAX, deadline).await.map_err(|rejection| match rejection.code() {
        Code::BodyTooSlow => Rejection::new(Code::BackendTimeout, "The backend did not answer in time."),
        Code::PayloadTooLarge => {
            if let Some((judge, _)) = judge {
                judge.count(TOO_LARGE, 1);
            }
            broken("the backend's answer is too large to be looked into")
        }
        _ => broken("the backend's answer broke off"),
    });
    read.map(|bytes| (head, bytes))
}

/// Judges answers to one request.
struct Judge {
    operation: Arc<Operation>,
    policy: Arc<OperationPolicy>,
    house: Arc<House>,
    trail: Trail,
}

impl Judge {
    /// Judges an answer that was read.
    fn body(&self, headers: &Headers, body: &[u8]) -> Result<(), Rejection> {
        match self.operation.check_response(headers.status.as_u16(), &named(&headers.fields), body) {
            Ok(()) => Ok(()),
            Err(fault) => self.found(&fault),
        }
    }

    /// Counts a fault, and refuses where that is the rule.
    fn found(&self, fault: &ResponseFault) -> Result<(), Rejection> {
        let (keyword, count) = match fault {
            ResponseFault::Invalid(faults) => {
                (keyword(faults.first().map_or("", |fault| &fault.keyword)), u32::try_from(faults.len()).unwrap_or(1))
            }
            other => (other.kind(), 1),
        };
        self.count(keyword, count);
        if self.policy.responses == Mode::Enforce { Err(broken(&fault.to_string())) } else { Ok(()) }
    }

    fn count(&self, keyword: &'static str, count: u32) {
        self.house.metrics.rules.response_fault(&self.policy.operation, keyword);
        self.trail.note_answer_faults(AnswerFaults { count, keyword });
    }

    /// Lets an answer stream on, and judges it when its last byte is through.
    fn beside(self, headers: Headers, mut reply: Reply) -> Reply {
        let body = reply.body_mut().take();
        if body.is_end_stream() {
            // Only reported, so that it never refuses.
            let _ = self.body(&headers, b"");
            return reply;
        }
        if body.size_hint().lower() > ANSWER_BYTES_MAX as u64 {
            self.count(TOO_LARGE, 1);
            *reply.body_mut() = body;
            return reply;
        }
        let beside = Beside { inner: body, seen: Vec::new(), length: 0, judge: Some((self, headers)) };
        *reply.body_mut() = Body::stream(Box::pin(beside));
        reply
    }
}

/// A body that is judged while it streams on.
struct Beside {
    inner: Body,
    seen: Vec<Bytes>,
    length: usize,
    judge: Option<(Judge, Headers)>,
}

impl Beside {
    fn see(&mut self, data: &Bytes) {
        if self.judge.is_none() {
            return;
        }
        self.length = self.length.saturating_add(data.len());
        if self.length <= ANSWER_BYTES_MAX {
            self.seen.push(data.clone());
        } else if let Some((judge, _)) = self.judge.take() {
            judge.count(TOO_LARGE, 1);
            self.seen = Vec::new();
        }
    }

    fn end(&mut self) {
        let Some((judge, headers)) = self.judge.take() else { return };
        let seen = std::mem::take(&mut self.seen);
        // Only reported, so that it never refuses.
        let _ = match seen.as_slice() {
            [one] => judge.body(&headers, one),
            many => {
                let mut text = BytesMut::with_capacity(self.length);
                many.iter().for_each(|part| text.extend_from_slice(part));
                judge.body(&headers, &text)
            }
        };
    }
}

impl HttpBody for Beside {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.see(data);
                }
                // The server may never ask again after the last frame.
                if self.inner.is_end_stream() {
                    self.end();
                }
            }
            Poll::Ready(None) => self.end(),
            // An answer that broke off is no answer that breaks the contract.
            Poll::Ready(Some(Err(_))) => self.judge = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

const TOO_LARGE: &str = "tooLarge";

/// The rules of a contract that are counted by name; contracts may have others, and metrics have a bounded size.
const KEYWORDS: [&str; 28] = [
    "type",
    "required",
    "enum",
    "const",
    "pattern",
    "format",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "additionalProperties",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "nullable",
    "discriminator",
    "unknown",
    "depth",
    "duplicate",
];

fn keyword(text: &str) -> &'static str {
    KEYWORDS.into_iter().find(|known| *known == text).unwrap_or("other")
}
