//! The resolver: asks backends what became of deeds whose outcome nobody knows, and tells it.
//!
//! Must never send a deed: it only reads, by the operation that policy names in `settledBy`. It keeps nothing itself, so
//! that whoever comes after a crash goes on where the store says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use adapters::upstream::Pools;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use http_body_util::{BodyExt as _, Limited};
use policies::audit::{Ending, Record};
use policies::code::Outage;
use policies::event::{EventKind, NewEvent};
use policies::id::{IdempotencyKey, OperationId, UpstreamId};
use policies::mask::Mask;
use policies::once::StoredReply;
use policies::rulebook::{Rulebook, Service, StatusOperation};
use policies::settle::{self, ASK_AGAIN_MAX, Said, Settlement, Undecided, Verdict, judge};
use policies::time::Timestamp;
use spine::body::Body;
use spine::trail::Trail;
use tokio::task::JoinSet;

use super::Chore;
use crate::generation::Generation;
use crate::house::House;
use crate::layer::once::REPLY_BYTES_MAX;
use crate::layer::{answer, redact};
use crate::proxy::ask_state;
use crate::reach::Reach;
use crate::stack::Stack;

/// How many deeds one round asks for, all at once: few beside what a backend may have under way.
const TOGETHER_MAX: usize = 16;

/// The longest time that one question may take, its answer's body included.
const QUESTION_MAX: Duration = Duration::from_secs(10);

/// How long a taken deed is nobody else's: well over a question and its settling.
const LEASE: Duration = Duration::from_secs(30);

/// How long a deed that was asked for in vain still counts as undecided: longer than it waits to be asked for again, so
/// that one that another process has settled meanwhile is not counted for ever.
const COUNTED: Duration = Duration::from_secs(3 * ASK_AGAIN_MAX.as_secs());

/// The resolver.
pub struct Settle {
    house: Arc<House>,
    stack: Arc<ArcSwap<Stack>>,
    // Connections of the chores' own runtime, with what they were made of.
    connected: Option<(Arc<Reach>, Arc<Pools<Body>>)>,
    // Deeds that were asked for in vain, and until when that is worth knowing.
    waiting: HashMap<IdempotencyKey, Timestamp>,
    // Operations that nobody can be asked about, each told once.
    gone: HashSet<OperationId>,
}

impl std::fmt::Debug for Settle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settle").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Settle {
    /// Makes the resolver of a house; `stack` tells which policies are in force.
    #[must_use]
    pub fn new(house: &Arc<House>, stack: &Arc<ArcSwap<Stack>>) -> Self {
        Self {
            house: Arc::clone(house),
            stack: Arc::clone(stack),
            connected: None,
            waiting: HashMap::new(),
            gone: HashSet::new(),
        }
    }

    async fn once_round(&mut self) -> Result<usize, Outage> {
        let now = self.house.clock.now();
        let taken = self.house.claims.undecided(TOGETHER_MAX, LEASE, now).await?;
        let count = taken.len();
        let stack = self.stack.load_full();
        let pools = self.pools(stack.reach());
        let mut asking = JoinSet::new();
        for undecided in taken {
            let question = self.question(&stack.generation().rulebook, &undecided);
            let (house, pools) = (Arc::clone(&self.house), Arc::clone(&pools));
            let generation = Arc::clone(stack.generation());
            asking.spawn(async move {
                let told = settled(&house, &generation, &pools, question, &undecided).await;
                (undecided.key, told)
            });
        }
        let mut failed = None;
        while let Some(ended) = asking.join_next().await {
            match ended {
                Ok((key, Ok(Some(outcome)))) => {
                    self.waiting.remove(&key);
                    self.house.metrics.settled(outcome);
                }
                Ok((key, Ok(None))) => {
                    self.waiting.insert(key, now + COUNTED);
                }
                Ok((_, Err(outage))) => failed = Some(outage),
                // What was taken is due again when its lease is over.
                Err(error) => tracing::error!("a question to a backend ended by a defect: {error}"),
            }
        }
        self.waiting.retain(|_, until| now < *until);
        self.house.metrics.undecided(self.waiting.len());
        failed.map_or(Ok(count), Err)
    }

    fn pools(&mut self, reach: &Arc<Reach>) -> Arc<Pools<Body>> {
        if let Some((known, pools)) = &self.connected
            && Arc::ptr_eq(known, reach)
        {
            return Arc::clone(pools);
        }
        let pools = Arc::new(reach.more_pools());
        self.connected = Some((Arc::clone(reach), Arc::clone(&pools)));
        pools
    }

    /// Finds out whom to ask; none if policies do not tell (any more).
    fn question(&mut self, rulebook: &Rulebook, undecided: &Undecided) -> Option<Question> {
        let operation = undecided.key.operation();
        let policy = rulebook.operations.get(operation);
        let found = policy.and_then(|policy| match (&policy.service, &policy.settled_by) {
            (Service::Upstream(upstream), Some(status)) => {
                Some(Question { upstream: upstream.clone(), status: status.clone() })
            }
            _ => None,
        });
        match &found {
            Some(_) => {
                self.gone.remove(operation);
            }
            None if self.gone.insert(operation.clone()) => tracing::warn!(
                "nobody can be asked what became of requests of {operation}: no policy says `settledBy` for it any more; \
                 they are kept until one does"
            ),
            None => {}
        }
        found
    }
}

impl Chore for Settle {
    fn name(&self) -> &'static str {
        "settle"
    }

    fn round(&mut self) -> super::Round<'_> {
        Box::pin(self.once_round())
    }
}

/// Whom to ask, and where.
struct Question {
    upstream: UpstreamId,
    status: StatusOperation,
}

/// What came of a question.
enum Heard {
    /// The backend knows the deed: what may be passed on of its answer.
    Known(HeaderValue, Bytes),
    /// It knows no such deed.
    Unheard,
    /// Nothing that could be used.
    Nothing,
}

/// Asks and settles; tells how it was settled, or none if the deed is still undecided, as far as it is known here.
async fn settled(
    house: &House,
    generation: &Generation,
    pools: &Pools<Body>,
    question: Option<Question>,
    undecided: &Undecided,
) -> Result<Option<&'static str>, Outage> {
    let heard = match &question {
        Some(question) => {
            tokio::time::timeout(QUESTION_MAX, ask(house, pools, question, undecided)).await.unwrap_or(Heard::Nothing)
        }
        None => Heard::Nothing,
    };
    let said = match &heard {
        Heard::Known(_, body) => Said::Known(body),
        Heard::Unheard => Said::Unheard,
        Heard::Nothing => Said::Nothing,
    };
    let (now, dice) = (house.clock.now(), u64::from_le_bytes(adapters::entropy::random()));
    let event = |status: &str| NewEvent {
        id: house.new_reference(),
        client: undecided.key.client().clone(),
        subject: undecided.reference.clone(),
        kind: EventKind::PaymentSettled,
        at: now,
        data: settle::told(&undecided.reference, status),
    };
    let verdict = judge(undecided, said, dice, now);
    let masks = masks(generation, question.as_ref(), undecided);
    let (settlement, event, outcome) = match (verdict, heard) {
        (Verdict::Settled(_), Heard::Known(_, body)) if answer::masked(&body, &masks).is_err() => {
            tracing::error!("what became of {} cannot be masked, and is not told", undecided.reference);
            (Settlement::AskAgain(now + ASK_AGAIN_MAX), None, None)
        }
        (Verdict::Settled(status), Heard::Known(media, body)) => {
            let body = answer::masked(&body, &masks).unwrap_or_default();
            let place = question.map(|question| question.status.path(&undecided.reference)).unwrap_or_default();
            (Settlement::Answered(stored(&media, &place, &body)), Some(event(&status)), Some("answered"))
        }
        (Verdict::NotReceived, _) => (Settlement::NotReceived, Some(event(settle::NOT_RECEIVED)), Some("not_received")),
        (Verdict::AskAgain(at), _) => (Settlement::AskAgain(at), None, None),
        (Verdict::Settled(_), Heard::Unheard | Heard::Nothing) => {
            (Settlement::AskAgain(now + ASK_AGAIN_MAX), None, None)
        }
    };
    let decided = event.is_some();
    if decided {
        // Before anybody relies on it: a crash after this line leaves the record twice, never not at all.
        let not_received = matches!(settlement, Settlement::NotReceived);
        let ending = if not_received { Ending::NotReceived } else { Ending::Answered };
        house.audit.record_durably(record(house, generation, undecided, ending, now)).await?;
    }
    let done = house.claims.settle(undecided, settlement, event, now).await?;
    if decided && !done {
        // Somebody else was quicker: what was written before did not come to be.
        house.audit.record_durably(record(house, generation, undecided, Ending::Superseded, now)).await?;
    }
    if let Some(outcome) = outcome.filter(|_| done) {
        tracing::info!("the outcome of {} is known: {outcome}", undecided.reference);
        return Ok(Some(outcome));
    }
    Ok(None)
}

/// The masks of what was asked for and of what tells about it, for the client that the answer is kept for.
fn masks(generation: &Generation, question: Option<&Question>, undecided: &Undecided) -> Vec<Arc<Mask>> {
    let rulebook = &generation.rulebook;
    let client = rulebook.clients.get(undecided.key.client()).map(AsRef::as_ref);
    let operations = [Some(undecided.key.operation()), question.map(|question| &question.status.operation)];
    let policies = operations.into_iter().flatten().filter_map(|operation| rulebook.operations.get(operation));
    policies.flat_map(|policy| answer::masks(policy, client)).collect()
}

fn record(house: &House, generation: &Generation, undecided: &Undecided, ending: Ending, now: Timestamp) -> Record {
    let trail = Trail::open(house.new_interaction(), undecided.since, generation.number);
    trail.note_operation(undecided.key.operation());
    if let Some(client) = generation.rulebook.clients.get(undecided.key.client()) {
        trail.note_client(client);
    }
    trail.note_reference(&undecided.reference);
    trail.settlement(ending, now)
}

/// Asks a backend by its status operation.
async fn ask(house: &House, pools: &Pools<Body>, question: &Question, undecided: &Undecided) -> Heard {
    let place = question.status.path(&undecided.reference);
    let interaction = house.new_interaction();
    let Some(mut reply) = ask_state(pools, &question.upstream, &place, undecided, &interaction).await else {
        return Heard::Nothing;
    };
    // The same way out as of any answer: a page of some proxy in between tells nothing, whatever its status.
    if redact::clean(&mut reply, true).is_err() {
        return Heard::Nothing;
    }
    match reply.status() {
        StatusCode::OK => {
            let (head, body) = reply.into_parts();
            let media = head.headers.get(CONTENT_TYPE).cloned();
            match (Limited::new(body, REPLY_BYTES_MAX).collect().await, media) {
                (Ok(read), Some(media)) => known(question, undecided, media, read.to_bytes()),
                _ => Heard::Nothing,
            }
        }
        StatusCode::NOT_FOUND if is_problem(reply.headers()) => {
            // Whoever stands in between says "not found" too, but not as a bank does.
            let read = Limited::new(reply.into_body(), REPLY_BYTES_MAX).collect().await;
            let telling = read.is_ok_and(|read| settle::is_telling(&read.to_bytes()));
            if telling { Heard::Unheard } else { Heard::Nothing }
        }
        _ => Heard::Nothing,
    }
}

fn known(question: &Question, undecided: &Undecided, media: HeaderValue, body: Bytes) -> Heard {
    if settle::is_of(&body, &question.status.parameter, &undecided.reference) {
        return Heard::Known(media, body);
    }
    tracing::error!(
        "asked what became of {}, the backend {} answers 200 without this reference as `{}`: nothing is settled by that",
        undecided.reference,
        question.upstream,
        question.status.parameter,
    );
    Heard::Nothing
}

fn is_problem(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/problem+json")
}

/// Makes the answer that repetitions get from now on: that of a deed that was taken on.
fn stored(media: &HeaderValue, place: &str, body: &Bytes) -> StoredReply {
    let headers = [
        (CONTENT_TYPE.as_str(), media.as_bytes()),
        (LOCATION.as_str(), place.as_bytes()),
        (CACHE_CONTROL.as_str(), b"no-store".as_slice()),
    ];
    StoredReply {
        status: StatusCode::CREATED.as_u16(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_vec())).to_vec(),
        body: body.to_vec(),
    }
}
