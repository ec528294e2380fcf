//! Limits counted in this process: all limits of a call under the locks of their counters, so that no other call comes
//! between.
//!
//! What fits is `policies::limit`'s to say. This module must not know who is told of it.

use std::sync::Arc;
use std::time::Duration;

use policies::limit::state::{self, State};
use policies::limit::{Costs, Mode, Shape, Verdict};
use policies::time::Timestamp;

use super::asked::{Asked, Counted, Happened, Untaken, owed};
use super::bucket;
use super::key::{Key, Keys};
use super::store::{Kept, Locked, Store};

/// How many counters are kept at once where nobody sets it, at most 200 MB of them: the customers that a national gateway
/// serves in an hour.
pub const KEYS_MAX: usize = 1_000_000;

/// Counts calls against limits, for all threads of the process.
#[derive(Debug)]
pub struct LocalLimiter {
    keys: Keys,
    store: Arc<Store>,
}

/// How full a limiter is, for those who watch it: who finds no place is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fullness {
    /// Counters that are kept.
    pub keys: usize,
    /// How many there may be.
    pub keys_max: usize,
    /// Counters of the owner that has most of them.
    pub owner_keys: usize,
    /// How many one owner may have.
    pub owner_keys_max: usize,
}

/// What a call has taken: its places among the calls under way are given back when this is dropped.
#[derive(Debug, Default)]
pub struct Holds {
    /// None where nothing is held.
    store: Option<Arc<Store>>,
    under_way: Vec<Key>,
    unsettled: Vec<Unsettled>,
    /// Whether the answer has been given before, so that no tokens are given for it.
    repeated: bool,
}

/// A token that was taken beforehand, of a bucket whose calls cost by their outcome.
#[derive(Debug)]
struct Unsettled {
    key: Key,
    owner: u64,
    shape: Shape,
}

/// What one limit says of a call, before any is changed.
#[derive(Debug)]
struct Step {
    /// None where the call is not counted, or by the counter of an earlier step.
    key: Option<Key>,
    /// The earlier step.
    same_as: Option<usize>,
    verdict: Verdict,
    /// What becomes of the counter.
    next: Option<State>,
    /// Whether there is none yet.
    new: bool,
}

impl LocalLimiter {
    /// Makes a limiter that keeps [`KEYS_MAX`] counters.
    #[must_use]
    pub fn new() -> Self {
        Self::with_keys_max(KEYS_MAX)
    }

    /// Makes a limiter that keeps so many counters.
    #[must_use]
    pub fn with_keys_max(keys_max: usize) -> Self {
        Self { keys: Keys::default(), store: Arc::new(Store::new(keys_max)) }
    }

    /// Counts a call against its limits, if every enforced one has room for it; otherwise takes nothing from any.
    ///
    /// The mark of a credit that finds no place is not left: then there is no credit.
    ///
    /// # Errors
    /// [`Untaken::KeysExhausted`] if it needs counters that its owner may not have; then nothing was taken either.
    pub fn take(&self, asked: &Asked<'_>) -> Result<(Vec<Verdict>, Holds), Untaken> {
        let owner = self.keys.owner(asked.owner);
        let mut steps = self.steps(asked);
        let mut taken = self.attempt(asked, owner, &mut steps);
        if taken == Attempt::NoPlace {
            self.store.make_room(steps.iter().filter_map(|step| step.key), asked.now);
            taken = self.attempt(asked, owner, &mut steps);
        }
        let holds = match taken {
            Attempt::NoPlace => {
                let of = steps.iter().zip(asked.limits).filter(|(step, _)| step.key.is_some() && step.new);
                let needed = of.filter(|(_, counted)| counted.limit.mode == Mode::Enforce);
                let limits = needed.map(|(_, counted)| Arc::clone(&counted.limit.id)).collect();
                return Err(Untaken::KeysExhausted { limits });
            }
            Attempt::Refused => Holds::default(),
            Attempt::Taken => self.holds(asked, owner, &steps),
        };
        let verdict = |step: &Step| step.same_as.and_then(|same| steps.get(same)).unwrap_or(step).verdict;
        Ok((steps.iter().map(verdict).collect(), holds))
    }

    /// Settles what a call costs by the status of its answer; none if nobody knows it, so that its tokens stay taken.
    pub fn settle(&self, holds: &mut Holds, status: Option<u16>, now: Timestamp) {
        for unsettled in std::mem::take(&mut holds.unsettled) {
            let (Some(status), Some(costs)) = (status, costs(&unsettled.shape)) else { continue };
            let tokens = owed(costs, status, holds.repeated);
            if tokens != 0 {
                self.move_bucket(&unsettled.shape, unsettled.key, Some(unsettled.owner), tokens, now);
            }
        }
    }

    /// Gives the tokens of a credit back, once for each thing; tells whether there were any to give.
    pub fn happened(&self, happened: &Happened<'_>) -> bool {
        let Shape::Bucket(bucket) = &happened.limit.shape else { return false };
        let Some(credit) = &bucket.credit else { return false };
        let whose = Counted::whose_mark(happened.values, happened.owner);
        let mark = self.keys.mark(happened.limit, whose, happened.thing);
        // Both shards are never locked together: which counter it is stands in the mark.
        let found = self.store.lock(std::iter::once(mark)).remove(mark);
        let Some((Kept::Mark(counter), over_at)) = found else { return false };
        let fresh = happened.now < over_at;
        if fresh {
            self.move_bucket(&happened.limit.shape, counter, None, -i64::from(credit.tokens.get()), happened.now);
        }
        fresh
    }

    /// Notes for a limit of polls that the resource among these values begins now; other limits are passed over.
    ///
    /// What finds no place begins with the first question, which then needs the same place.
    pub fn begun(&self, counted: &Counted<'_>, owner: &str, now: Timestamp) {
        let Shape::Polls(polls) = &counted.limit.shape else { return };
        if !counted.counts() {
            return;
        }
        let key = self.keys.counter(counted.limit, &counted.values);
        let owner = self.keys.owner(owner);
        let begin = |locked: &mut Locked<'_>| {
            let before = locked.state(key);
            let new = before.is_none();
            let next = state::begin(polls, before, now);
            let over_at = state::over_at(&counted.limit.shape, &next);
            if !new {
                return locked.replace(key, Kept::State(next), over_at, now);
            }
            let place = self.store.reserve_spare(owner);
            if place {
                locked.insert(key, Kept::State(next), over_at, owner, now);
            }
            place
        };
        if !begin(&mut self.store.lock(std::iter::once(key))) {
            self.store.make_room(std::iter::once(key), now);
            begin(&mut self.store.lock(std::iter::once(key)));
        }
    }

    /// Tells what each limit would say, in the order asked; takes nothing.
    #[must_use]
    pub fn read(&self, asked: &Asked<'_>) -> Vec<Verdict> {
        let read = |counted: &Counted<'_>| {
            let state = counted.counts().then(|| self.keys.counter(counted.limit, &counted.values));
            let state = state.and_then(|key| self.store.lock(std::iter::once(key)).state(key));
            state::room(&counted.limit.shape, state.as_ref(), asked.now)
        };
        asked.limits.iter().map(read).collect()
    }

    /// Forgets what was counted; tells how many counters there were. Calls that are under way stay counted.
    pub fn reset(&self, asked: &Asked<'_>) -> usize {
        let reset = |counted: &&Counted<'_>| {
            let key = self.keys.counter(counted.limit, &counted.values);
            counted.counts()
                && !matches!(counted.limit.shape, Shape::InFlight(_))
                && self.store.lock(std::iter::once(key)).remove(key).is_some()
        };
        asked.limits.iter().filter(reset).count()
    }

    /// Returns how many counters are kept.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.store.len()
    }

    /// Returns how full it is; goes through all owners.
    #[must_use]
    pub fn fullness(&self) -> Fullness {
        let (owner_keys, owner_keys_max) = self.store.fullest_owner();
        Fullness { keys: self.keys(), keys_max: self.store.keys_max(), owner_keys, owner_keys_max }
    }
}

impl Default for LocalLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Holds {
    /// Tells whether nothing is held: neither to be settled nor to be given back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.unsettled.is_empty()
    }

    /// Tells whether the status of the answer makes a difference.
    #[must_use]
    pub fn settles(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Notes that the answer has been given before: what it costs is not below zero.
    pub fn repeat(&mut self) {
        self.repeated = true;
    }
}

impl Drop for Holds {
    fn drop(&mut self) {
        let Some(store) = &self.store else { return };
        for key in std::mem::take(&mut self.under_way) {
            let mut locked = store.lock(std::iter::once(key));
            match state::finish(locked.state(key)) {
                Some(left) => locked.put_back(key, Kept::State(left)),
                None => drop(locked.remove(key)),
            }
        }
    }
}

/// What became of a try to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Taken,
    /// An enforced limit has no room.
    Refused,
    /// There is no place for a counter of an enforced limit.
    NoPlace,
}

impl LocalLimiter {
    fn steps(&self, asked: &Asked<'_>) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::with_capacity(asked.limits.len());
        for counted in asked.limits {
            let key = counted.counts().then(|| self.keys.counter(counted.limit, &counted.values));
            // The plan and the operation may name one limit: it has one counter, and the call is one call.
            let same_as = key.and_then(|key| steps.iter().position(|step| step.key == Some(key)));
            let key = key.filter(|_| same_as.is_none());
            let verdict = if key.is_some() { UNJUDGED } else { state::room(&counted.limit.shape, None, asked.now) };
            steps.push(Step { key, same_as, verdict, next: None, new: false });
        }
        steps
    }

    fn attempt(&self, asked: &Asked<'_>, owner: u64, steps: &mut [Step]) -> Attempt {
        let mut locked = self.store.lock(steps.iter().filter_map(|step| step.key));
        let (mut refused, mut places) = (false, 0);
        for (step, counted) in steps.iter_mut().zip(asked.limits) {
            let Some(key) = step.key else { continue };
            let before = locked.state(key);
            step.new = before.is_none();
            (step.verdict, step.next) = admit(&counted.limit.shape, before, asked.now);
            if counted.limit.mode == Mode::Enforce {
                refused |= !step.verdict.admitted;
                places += usize::from(step.new);
            }
        }
        if refused {
            for (step, counted) in steps.iter_mut().zip(asked.limits) {
                leave(&mut locked, step, counted, asked.now);
            }
            return Attempt::Refused;
        }
        if places > 0 && !self.store.reserve(owner, places) {
            return Attempt::NoPlace;
        }
        for (step, counted) in steps.iter_mut().zip(asked.limits) {
            let (Some(key), Some(next)) = (step.key, step.next.take()) else { continue };
            let over_at = state::over_at(&counted.limit.shape, &next);
            if !step.new {
                locked.replace(key, Kept::State(next), over_at, asked.now);
            } else if counted.limit.mode == Mode::Enforce || self.store.reserve_spare(owner) {
                locked.insert(key, Kept::State(next), over_at, owner, asked.now);
            } else {
                // What refuses nobody is not counted rather than in anybody's way.
                step.key = None;
                step.verdict.admitted = false;
            }
        }
        Attempt::Taken
    }

    fn holds(&self, asked: &Asked<'_>, owner: u64, steps: &[Step]) -> Holds {
        let mut holds = Holds::default();
        for (step, counted) in steps.iter().zip(asked.limits) {
            let Some(key) = step.key.filter(|_| step.verdict.admitted) else { continue };
            match &counted.limit.shape {
                Shape::InFlight(_) => holds.under_way.push(key),
                Shape::Bucket(bucket) => {
                    if bucket.costs.is_some() {
                        holds.unsettled.push(Unsettled { key, owner, shape: counted.limit.shape.clone() });
                    }
                    if let (Some(credit), Some(thing)) = (&bucket.credit, counted.thing) {
                        let whose = Counted::whose_mark(&counted.values, asked.owner);
                        let mark = self.keys.mark(counted.limit, whose, thing);
                        self.leave_mark(mark, key, owner, asked.now + credit.within, asked.now);
                    }
                }
                Shape::Quota(_) | Shape::Polls(_) | Shape::Sessions(_) => {}
            }
        }
        if !holds.under_way.is_empty() {
            holds.store = Some(Arc::clone(&self.store));
        }
        holds
    }

    fn leave_mark(&self, mark: Key, counter: Key, owner: u64, until: Timestamp, now: Timestamp) {
        let mut locked = self.store.lock(std::iter::once(mark));
        // The tokens are for who has asked first: whoever names the thing again must not draw them to another counter.
        if locked.mark(mark).is_some_and(|(first, over_at)| first != counter && now < over_at) {
            return;
        }
        if !locked.replace(mark, Kept::Mark(counter), until, now) && self.store.reserve_spare(owner) {
            locked.insert(mark, Kept::Mark(counter), until, owner, now);
        }
    }

    /// Takes tokens of a bucket or gives some back; where there is no counter any more, it was full, and one is made for
    /// `owner` if there is something to take.
    fn move_bucket(&self, shape: &Shape, key: Key, owner: Option<u64>, tokens: i64, now: Timestamp) {
        let Shape::Bucket(bucket) = shape else { return };
        let mut locked = self.store.lock(std::iter::once(key));
        let before = locked.state(key);
        let new = before.is_none();
        let next = state::settle(bucket, before, tokens, now);
        let over_at = state::over_at(shape, &next);
        if !new {
            locked.replace(key, Kept::State(next), over_at, now);
        } else if let Some(owner) = owner.filter(|_| tokens > 0) {
            // Beyond the owner's share if need be: a cost must not be lost, and there are no more of them than calls.
            locked.insert_anyway(key, Kept::State(next), over_at, owner, now);
        }
    }
}

// Until the counter is seen.
const UNJUDGED: Verdict =
    Verdict { admitted: false, remaining: 0, capacity: 0, window: Duration::ZERO, more_after: Duration::ZERO };

fn costs(shape: &Shape) -> Option<&Costs> {
    match shape {
        Shape::Bucket(bucket) => bucket.costs.as_ref(),
        _ => None,
    }
}

/// Takes room for one call: `governor` says of a bucket what fits, the rules of the other shapes say it themselves.
fn admit(shape: &Shape, before: Option<State>, now: Timestamp) -> (Verdict, Option<State>) {
    let Shape::Bucket(terms) = shape else { return state::take(shape, before, now) };
    let used = match before {
        Some(State::Bucket(used)) => Some(used),
        _ => None,
    };
    let (verdict, used) = bucket::admit(terms, used, now);
    (verdict, Some(State::Bucket(used)))
}

/// Leaves a counter as it is, as another limit has no room for the call; only a clock that stepped back moves it.
fn leave(locked: &mut Locked<'_>, step: &mut Step, counted: &Counted<'_>, now: Timestamp) {
    let Some(key) = step.key else { return };
    let shape = &counted.limit.shape;
    let stands = state::current(shape, locked.state(key), now);
    step.next = None;
    if step.verdict.admitted {
        step.verdict = state::room(shape, stands.as_ref(), now);
    }
    if let Some(stands) = stands {
        let over_at = state::over_at(shape, &stands);
        locked.replace(key, Kept::State(stands), over_at, now);
    }
}
