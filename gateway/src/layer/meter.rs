//! `meter`: counts the request against the limits of its caller's plan and of its operation, all together; tells the caller
//! how much room there is, and keeps what was taken until the answer has ended.

use std::sync::Arc;
use std::time::Duration;

use adapters::limit::limits::{Asked, Counted, Holds, Taken, Untaken};
use policies::code::Code;
use policies::limit::{Limit, Mode, Verdict};
use policies::rule::{RuleKind, RuleName};
use policies::rulebook::Rulebook;
use spine::Reply;
use spine::body::Held;
use spine::error::Rejection;
use spine::rate_limit::Rooms;
use spine::refine::Refine;
use spine::stage::{Identified, Metered};
use spine::trail::Trail;
use tower::Layer;

use super::noted;
use crate::house::House;
use crate::metering::{self, Made};
use crate::sequel::{Sequels, is_repeated};

/// When to come back if the limiter has no room for another key.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Makes the frame for one policy generation.
#[derive(Debug, Clone)]
pub struct MeterLayer {
    house: Arc<House>,
    sequels: Arc<Sequels>,
}

impl MeterLayer {
    /// Finds out which limits of a set wait for which operations.
    #[must_use]
    pub fn new(house: Arc<House>, rulebook: &Rulebook) -> Self {
        Self { house, sequels: Arc::new(Sequels::of(rulebook)) }
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        Meter { house: Arc::clone(&self.house), sequels: Arc::clone(&self.sequels), inner }
    }
}

/// The frame.
#[derive(Debug)]
pub struct Meter<S> {
    house: Arc<House>,
    sequels: Arc<Sequels>,
    inner: S,
}

impl<S: Refine<Metered, Out = Reply>> Refine<Identified> for Meter<S> {
    type Out = Reply;

    async fn refine(&self, identified: Identified) -> Result<Reply, Rejection> {
        let trail = identified.trail.clone();
        let room = noted(&trail, "meter", self.meter(&identified).await)?;
        let sequel = self.sequels.at(&identified, &self.house);
        let mut answer = self.inner.refine(Metered::counted(identified)).await;
        let Room { rooms, mut places } = room;
        if let Some(places) = places.as_mut().filter(|places| places.0.settles()) {
            let status = answer.as_ref().map_or_else(Rejection::status, Reply::status).as_u16();
            if answer.as_ref().is_ok_and(is_repeated) {
                places.0.repeat();
            }
            // Boxed, as all that is rare: what every request carries stays small.
            Box::pin(self.house.limiter.settle(&mut places.0, Some(status), self.house.clock.now())).await;
        }
        if let (Ok(reply), Some(sequel)) = (answer.as_mut(), sequel) {
            let told = std::mem::take(reply);
            *reply = Box::pin(sequel.told(&self.house, told)).await;
        }
        // Who was refused by another limit, further on, is told of that one.
        let mut reply = answer.map_err(|rejection| {
            let told = rooms.is_empty() || rejection.code() == Code::RateLimited;
            if told { rejection } else { rejection.room(rooms.clone()) }
        })?;
        rooms.write(reply.headers_mut());
        if let Some(places) = places {
            reply.body_mut().hold(places);
        }
        Ok(reply)
    }
}

/// What a call was given.
struct Room {
    rooms: Rooms,
    /// None where nothing has to be settled or given back.
    places: Option<Box<Places>>,
}

/// What was taken: given back when the answer has ended, or is dropped.
struct Places(Holds);

impl Held for Places {
    fn end(self: Box<Self>, _complete: bool) {}
}

impl<S> Meter<S> {
    async fn meter(&self, call: &Identified) -> Result<Room, Rejection> {
        let house = &self.house;
        if let Some(name) = metering::ambiguous(call) {
            call.trail.note_counters(Vec::new());
            let detail = format!("The header {name} may come once only.");
            return Err(Rejection::new(Code::HeaderRefused, detail));
        }
        let made = Made::of(call, &house.sealer, metering::limits(call));
        let counted = metering::counted(call, &made);
        if let Some(counters) = metering::counters(call, &counted) {
            call.trail.note_counters(counters);
        }
        if counted.is_empty() {
            return Ok(Room { rooms: Rooms::default(), places: None });
        }
        let Taken { verdicts, holds } = taken(house, call, &counted).await?;
        let rooms = judged(house, call, &counted, &verdicts).map_err(|full| full.noted(&call.trail))?;
        Ok(Room { rooms, places: (!holds.is_empty()).then(|| Box::new(Places(holds))) })
    }
}

/// Takes of all limits what a call needs, or of none.
pub(crate) async fn taken(house: &House, call: &Identified, counted: &[Counted<'_>]) -> Result<Taken, Rejection> {
    let (owner, now) = (metering::owner(call), house.clock.now());
    let asked = Asked { limits: counted, owner, call: call.interaction.as_str(), now };
    let taken = match house.limiter.take_here(&asked) {
        Some(taken) => taken,
        // Boxed: where nothing has to be waited for no request carries it.
        None => Box::pin(house.limiter.take(&asked)).await,
    };
    taken.map_err(|untaken| match untaken {
        Untaken::KeysExhausted { limits } => {
            house.metrics.shed("limit-keys");
            limits.iter().for_each(|limit| house.metrics.limits.crowded(limit));
            if let Some(limit) = limits.into_iter().next() {
                call.trail.note_rule(&RuleName { kind: RuleKind::Limit, name: limit, origin: None });
            }
            Rejection::new(Code::Capacity, "The gateway cannot count more callers now.").retry_after(FULL_RETRY_AFTER)
        }
        Untaken::Outage { limit, outage } => {
            house.metrics.limits.denied(&limit);
            call.trail.note_rule(&RuleName { kind: RuleKind::Limit, name: limit, origin: None });
            Rejection::outage(Code::DependencyDown, &outage)
        }
    })
}

/// Reads what limits have said: how much room is left, or that one that is enforced has none.
///
/// Which limits had no room and only report it, is noted and counted.
pub(crate) fn judged(
    house: &House,
    call: &Identified,
    counted: &[Counted<'_>],
    verdicts: &[Verdict],
) -> Result<Rooms, Box<Full>> {
    let told = || counted.iter().map(|counted| counted.limit).zip(verdicts);
    let without_room = |mode: Mode| told().filter(move |(limit, verdict)| limit.mode == mode && !verdict.admitted);
    for (limit, _) in without_room(Mode::Report) {
        house.metrics.limits.reported(&limit.id);
        super::reported(&house.metrics, &call.trail, &[RuleName::limit(limit)]);
    }
    let rooms = Rooms::of(told());
    // The one that has no room for the longest is the one that who waits has to wait for.
    let Some((strictest, _)) = without_room(Mode::Enforce).max_by_key(|(_, verdict)| verdict.more_after) else {
        return Ok(rooms);
    };
    let violated = without_room(Mode::Enforce).map(|(limit, _)| limit);
    violated.clone().for_each(|limit| house.metrics.limits.refused(&limit.id));
    let others = violated.filter(|limit| limit.id != strictest.id).map(|limit| Arc::clone(&limit.id));
    let others = others.collect();
    let detail = format!("{} has no room for this request now.", whose(call, strictest));
    let rejection = Rejection::new(Code::RateLimited, detail).violated(rooms);
    Err(Box::new(Full { rejection, limits: Exhausted { strictest: RuleName::limit(strictest), others } }))
}

/// Why a request is refused: limits without room.
pub(crate) struct Full {
    /// The refusal.
    pub(crate) rejection: Rejection,
    /// Which limits they were.
    pub(crate) limits: Exhausted,
}

/// The limit that has no room for the longest, and the others.
pub(crate) struct Exhausted {
    strictest: RuleName,
    others: Vec<Arc<str>>,
}

impl Full {
    fn noted(self, trail: &Trail) -> Rejection {
        self.limits.note(trail);
        self.rejection
    }
}

impl Exhausted {
    /// Notes on the trail which limits they were.
    pub(crate) fn note(self, trail: &Trail) {
        trail.note_exhausted(&self.strictest.name, self.others);
        trail.note_rule(&self.strictest);
    }
}

/// Says whose limit it is, for people.
fn whose(call: &Identified, limit: &Limit) -> String {
    let client = call.caller().client();
    match client.filter(|client| client.plan.limits.iter().any(|known| known.id == limit.id)) {
        Some(client) => format!("The plan `{}`", client.plan.id),
        None => format!("The operation `{}`", call.policy().operation),
    }
}
