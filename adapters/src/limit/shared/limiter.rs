//! The shared limiter: what is asked of the servers, and what is known without asking.
//!
//! It must not know how limits are told to anybody, nor what is done while the servers are away.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use policies::code::Outage;
use policies::limit::state::room;
use policies::limit::{Bucket, Mode, Shape, Verdict};
use policies::time::Timestamp;
use redis::Value;

use super::key::{self, CounterKey};
use super::places::{May, Places, life};
use super::script::{self, Done, Moment, Part, Said, Told, Verb};
use super::seen::{Draw, Leases, Over, Seen};
use crate::entropy;
use crate::limit::asked::{Counted, Happened, owed};
use crate::store::redis::{Call, Link, Prefix, Readings, RedisConfig, Servers};

/// How often a gateway should say that it is alive.
pub const BEAT: Duration = Duration::from_secs(1);

/// After how long without a word a gateway counts as dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(5);

/// Counts calls in servers that all gateways share.
#[derive(Debug)]
pub struct SharedLimiter {
    link: Link,
    pub(super) prefix: Prefix,
    /// Whether the keys of one script must lie in one slot.
    pub(super) cluster: bool,
    /// Tells this process and its calls from those of all others.
    process: u64,
    calls: AtomicU64,
    /// What is taken for the servers' time: milliseconds since 1970; zero if they tell it themselves.
    time: AtomicI64,
    over: Over,
    leases: Leases,
    pub(super) places: Places,
    alive: AtomicU32,
    resets: AtomicI64,
    refused: AtomicU64,
    leased: AtomicU64,
    unsettled: AtomicU64,
}

/// What all shared limits of a call say of it.
#[derive(Debug)]
pub struct SharedTaken {
    /// What each says, in the order asked.
    pub verdicts: Vec<Verdict>,
    /// Whether it was counted; false if an enforced one had no room, and then nothing was taken from any.
    pub counted: bool,
    /// The ids of the limits that needed a counter of their own, if its owner has as many as it may; then nothing was taken
    /// either.
    pub exhausted: Vec<Arc<str>>,
    /// What is still to be settled.
    pub holds: SharedHolds,
}

/// What a call has taken that costs by its outcome; dropped, it stays taken.
#[derive(Debug, Default)]
pub struct SharedHolds {
    owed: Vec<Owed>,
    /// Whether the answer has been given before, so that no tokens are given for it.
    repeated: bool,
}

#[derive(Debug)]
struct Owed {
    key: CounterKey,
    shape: Shape,
}

/// What a limiter has seen since it was opened, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedReadings {
    /// What its connections have seen.
    pub link: Readings,
    /// Calls without room that were not asked about, as that was known.
    pub refused: u64,
    /// Calls that leased tokens were enough for.
    pub leased: u64,
    /// Answers whose costs, credit or beginning could not be told to the servers.
    pub unsettled: u64,
    /// Counters that it has made, and that are still there.
    pub counters: usize,
    /// Gateways alive, as last heard.
    pub alive: u32,
}

/// One limit of a call.
#[derive(Debug)]
struct One<'a> {
    counted: &'a Counted<'a>,
    key: CounterKey,
    enforced: bool,
    /// How many tokens are asked for beyond the one.
    more: u32,
    verdict: Option<Verdict>,
    /// Whether it refuses whom it has no counter for, and has none.
    lacking: bool,
}

impl SharedLimiter {
    /// Starts to connect; the servers need not be there yet.
    ///
    /// # Errors
    /// An [`Outage`] if the budget makes no sense or the system gives no thread.
    pub fn open(config: RedisConfig) -> Result<Self, Outage> {
        config.budget.check().map_err(|error| Outage::new("limits", error))?;
        Ok(Self {
            prefix: config.prefix.clone(),
            cluster: matches!(config.servers, Servers::Cluster(_)),
            link: Link::open(config)?,
            process: u64::from_le_bytes(entropy::random()),
            calls: AtomicU64::new(0),
            time: AtomicI64::new(0),
            over: Over::default(),
            leases: Leases::default(),
            places: Places::default(),
            alive: AtomicU32::new(1),
            resets: AtomicI64::new(0),
            refused: AtomicU64::new(0),
            leased: AtomicU64::new(0),
            unsettled: AtomicU64::new(0),
        })
    }

    /// Takes this for the servers' time until it is told again: for tests, which move time by hand.
    pub fn set_time(&self, time: Timestamp) {
        self.time.store(time.millis(), Ordering::Relaxed);
    }

    /// Counts a call against its limits, if every enforced one has room for it; otherwise takes nothing from any.
    ///
    /// The limits are those that count the call, none of them of calls under way. `owner` is whose share of the counters it
    /// is, and who a credit belongs to, if the values name no organisation.
    ///
    /// # Errors
    /// An [`Outage`] of the servers; nobody knows then whether the call was counted.
    pub async fn take(&self, limits: &[Counted<'_>], owner: &str, now: Timestamp) -> Result<SharedTaken, Outage> {
        let (mut ones, places) = self.ones(limits);
        if self.is_known_to_be_over(&mut ones, now) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(SharedTaken {
                verdicts: verdicts(&ones, &places),
                counted: false,
                exhausted: Vec::new(),
                holds: SharedHolds::default(),
            });
        }
        for one in &mut ones {
            match self.leases.draw(one.key.digest, one.counted.limit, now) {
                Draw::Leased(verdict) => one.verdict = Some(verdict),
                Draw::Ask(more) => one.more = more,
            }
        }
        let drawn: Vec<_> = ones.iter().filter(|one| one.verdict.is_some()).map(|one| one.key.digest).collect();
        if drawn.len() == ones.len() {
            self.leased.fetch_add(1, Ordering::Relaxed);
        }
        let done = self.ask(&mut ones, owner, now).await;
        if !matches!(done, Ok(Done::Yes)) {
            drawn.iter().for_each(|counter| self.leases.put_back(*counter));
        }
        let done = done?;
        let counted = done == Done::Yes;
        let lacking = ones.iter().filter(|one| done == Done::NoPlace && one.lacking);
        let exhausted = lacking.map(|one| Arc::clone(&one.counted.limit.id)).collect();
        let mut holds = SharedHolds::default();
        for one in ones.iter().filter(|one| counted && one.verdict.is_some_and(|verdict| verdict.admitted)) {
            self.leave_mark(one, owner, now).await;
            holds.owed.extend(Owed::of(one));
        }
        Ok(SharedTaken { verdicts: verdicts(&ones, &places), counted, exhausted, holds })
    }

    /// Settles what a call costs by the status of its answer; none if nobody knows it, so that its tokens stay taken.
    ///
    /// # Errors
    /// An [`Outage`] of the servers: then it has cost what was taken beforehand.
    pub async fn settle(&self, holds: &mut SharedHolds, status: Option<u16>, now: Timestamp) -> Result<(), Outage> {
        let owed = std::mem::take(&mut holds.owed);
        let Some(status) = status else { return Ok(()) };
        let changes = owed.iter().map(|owed| (&owed.key, &owed.shape, owed.tokens(status, holds.repeated)));
        let changes: Vec<_> = changes.filter(|(_, _, tokens)| *tokens != 0).collect();
        for group in self.in_slots(changes, |(key, _, _)| key.tag()) {
            let parts: Vec<_> = group.iter().map(|(key, shape, tokens)| Part::of(&key.text, shape, *tokens)).collect();
            let settled = self.count(Verb::Settle, May::All, &parts, now).await;
            self.count_unsettled(&settled);
            settled?;
            group.iter().for_each(|(key, _, _)| self.over.remove(key.digest));
        }
        Ok(())
    }

    /// Gives the tokens of a credit back, once for each thing; tells whether there were any to give.
    ///
    /// # Errors
    /// An [`Outage`] of the servers: then nothing is given for this thing any more, or what was given is not known.
    pub async fn happened(&self, happened: &Happened<'_>) -> Result<bool, Outage> {
        let Some((_, tokens)) = credit(&happened.limit.shape) else { return Ok(false) };
        let owner = Counted::whose_mark(happened.values, happened.owner);
        let mark = key::mark(&self.prefix, happened.limit, owner, happened.thing);
        let given = self.spend(mark, &happened.limit.shape, tokens, happened.now).await;
        self.count_unsettled(&given);
        given
    }

    /// Notes for a limit of polls that the resource among these values begins now; other limits are passed over.
    ///
    /// What finds no place in the share of `owner` begins with the first question.
    ///
    /// # Errors
    /// An [`Outage`] of the servers.
    pub async fn begun(&self, counted: &Counted<'_>, owner: &str, now: Timestamp) -> Result<(), Outage> {
        if matches!(counted.limit.shape, Shape::Polls(_)) {
            let one = self.one(counted);
            // Without it nobody is refused.
            let spare = self.places.may(owner, self.alive(), now) == May::All;
            let may = if spare { May::All } else { May::Nothing };
            let said = self.count(Verb::Begin, may, &[one.part()], now).await;
            self.count_unsettled(&said);
            let said = said?;
            said.each.iter().for_each(|told| self.note_made(&one, told, &said, owner, now));
        }
        Ok(())
    }

    /// Tells what each limit would say, in the order asked; takes nothing.
    ///
    /// # Errors
    /// An [`Outage`] of the servers.
    pub async fn read(&self, limits: &[Counted<'_>], now: Timestamp) -> Result<Vec<Verdict>, Outage> {
        let (mut ones, places) = self.ones(limits);
        for mut group in self.in_slots(ones.iter_mut().collect(), |one| one.key.tag()) {
            let said = self.ask_group(Verb::Read, May::Nothing, &group, now).await?;
            for (one, told) in group.iter_mut().zip(&said.each) {
                one.verdict = Some(room(&one.counted.limit.shape, told.state.as_ref(), said.now));
            }
        }
        Ok(verdicts(&ones, &places))
    }

    /// Forgets what was counted; tells how many counters there were.
    ///
    /// Other gateways hear of it with their next beat: until then some may refuse by what they know.
    ///
    /// # Errors
    /// An [`Outage`] of the servers.
    pub async fn reset(&self, limits: &[Counted<'_>]) -> Result<usize, Outage> {
        let keys: Vec<_> = self.ones(limits).0.into_iter().map(|one| one.key).collect();
        let mut forgotten = 0;
        for group in self.in_slots(keys.iter().collect(), |key| key.tag()) {
            match self.call(script::reset(group.iter().map(|key| key.text.clone()).collect())).await? {
                Value::Int(count) => forgotten += usize::try_from(count).unwrap_or(0),
                _ => return Err(script::strange()),
            }
        }
        for key in &keys {
            self.over.remove(key.digest);
            self.leases.remove(key.digest);
        }
        self.call(script::tell_reset(key::gateways(&self.prefix))).await?;
        Ok(forgotten)
    }

    /// Tells the others that this gateway is alive, and hears of them, and of counters that were reset.
    ///
    /// # Errors
    /// An [`Outage`] of the servers: then what was heard last still stands.
    pub async fn beat(&self) -> Result<(), Outage> {
        let name = format!("{:016x}", self.process);
        let call = script::beat(key::gateways(&self.prefix), &name, DEAD_AFTER.as_millis());
        let answer = self.call(call).await?;
        let (alive, resets) = script::pair(&answer)?;
        self.alive.store(u32::try_from(alive).unwrap_or(u32::MAX).max(1), Ordering::Relaxed);
        if self.resets.swap(resets, Ordering::Relaxed) != resets {
            self.over.clear();
            self.leases.clear();
        }
        Ok(())
    }

    /// Returns how many gateways are alive, this one with them, as last heard.
    #[must_use]
    pub fn alive(&self) -> NonZeroU32 {
        NonZeroU32::new(self.alive.load(Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN)
    }

    /// Returns what it has seen, for metrics.
    #[must_use]
    pub fn readings(&self) -> SharedReadings {
        SharedReadings {
            link: self.link.readings(),
            refused: self.refused.load(Ordering::Relaxed),
            leased: self.leased.load(Ordering::Relaxed),
            unsettled: self.unsettled.load(Ordering::Relaxed),
            counters: self.places.count(),
            alive: self.alive().get(),
        }
    }

    /// Forgets what is known to be without room.
    #[cfg(test)]
    pub(super) fn over_clear(&self) {
        self.over.clear();
    }

    /// Believes that so many gateways are alive.
    #[cfg(test)]
    pub(super) fn set_alive(&self, alive: u32) {
        self.alive.store(alive, Ordering::Relaxed);
    }

    fn one<'a>(&self, counted: &'a Counted<'a>) -> One<'a> {
        let key = CounterKey::of(&self.prefix, counted.limit, &counted.values);
        One { enforced: counted.limit.mode == Mode::Enforce, counted, key, more: 0, verdict: None, lacking: false }
    }

    // A limit that a plan and an operation share has one counter, and a call counts there once. The second list tells where
    // each limit stands in the first.
    fn ones<'a>(&self, limits: &'a [Counted<'a>]) -> (Vec<One<'a>>, Vec<usize>) {
        let mut ones: Vec<One<'a>> = Vec::with_capacity(limits.len());
        let mut places = Vec::with_capacity(limits.len());
        for counted in limits {
            let next = self.one(counted);
            let known = ones.iter().position(|one| one.key.digest == next.key.digest);
            places.push(known.unwrap_or(ones.len()));
            match known.and_then(|place| ones.get_mut(place)) {
                Some(one) => one.enforced |= next.enforced,
                None => ones.push(next),
            }
        }
        (ones, places)
    }

    // Of limits that nobody was asked about nothing more is told than what they are.
    fn is_known_to_be_over(&self, ones: &mut [One<'_>], now: Timestamp) -> bool {
        let mut known = false;
        for one in &mut *ones {
            if one.enforced {
                one.verdict = self.over.verdict(one.key.digest, &one.counted.limit.shape, now, self.cluster);
                known |= one.verdict.is_some();
            }
        }
        if known {
            for one in ones {
                one.verdict.get_or_insert_with(|| room(&one.counted.limit.shape, None, now));
            }
        }
        known
    }

    /// Asks about all limits without a verdict; tells whether the call was counted.
    async fn ask(&self, ones: &mut [One<'_>], owner: &str, now: Timestamp) -> Result<Done, Outage> {
        let open: Vec<_> = ones.iter_mut().filter(|one| one.verdict.is_none()).collect();
        let may = if open.is_empty() { May::All } else { self.places.may(owner, self.alive(), now) };
        let mut done = Done::Yes;
        let mut taken = Vec::new();
        for mut group in self.in_slots(open, |one| one.key.tag()) {
            // Who is refused already still hears what the other slots say.
            let verb = if done == Done::Yes { Verb::Take } else { Verb::Read };
            let said = match self.ask_group(verb, may, &group, now).await {
                Ok(said) => said,
                Err(outage) => {
                    self.undo(&taken, now).await;
                    return Err(outage);
                }
            };
            for (one, told) in group.iter_mut().zip(&said.each) {
                one.verdict = Some(self.hear(one, told, &said, now));
                one.lacking = one.enforced && told.state.is_none();
                self.note_made(one, told, &said, owner, now);
            }
            if verb == Verb::Take {
                done = said.done;
            }
            if done == Done::Yes {
                taken.push((said.now, group));
            }
        }
        if done != Done::Yes {
            self.undo(&taken, now).await;
        }
        Ok(done)
    }

    async fn ask_group(&self, verb: Verb, may: May, group: &[&mut One<'_>], now: Timestamp) -> Result<Said, Outage> {
        let parts: Vec<_> = group.iter().map(|one| one.part()).collect();
        self.count(verb, may, &parts, now).await
    }

    fn note_made(&self, one: &One<'_>, told: &Told, said: &Said, owner: &str, now: Timestamp) {
        if let Some(state) = told.state.as_ref().filter(|_| told.made) {
            self.places.add(owner, life(&one.counted.limit.shape, state, said.now), now);
        }
    }

    fn hear(&self, one: &One<'_>, told: &Told, said: &Said, now: Timestamp) -> Verdict {
        let (limit, counter) = (one.counted.limit, one.key.digest);
        let seen = Seen { state: told.state.clone(), there: said.now, here: now };
        let verdict = room(&limit.shape, told.state.as_ref(), said.now);
        if !told.room && one.enforced {
            self.over.add(counter, seen.clone());
        }
        if one.more == 0 {
            return Verdict { admitted: told.room, ..verdict };
        }
        if said.done == Done::Yes && told.room {
            self.leases.add(counter, limit, told.more, seen).unwrap_or(Verdict { admitted: true, ..verdict })
        } else {
            self.leases.remove(counter);
            Verdict { admitted: told.room, ..verdict }
        }
    }

    // In a Cluster, slots are asked one after the other: what the first gave is given back if a later one refuses. Where
    // that fails, or the request is gone, one call too many stays counted.
    async fn undo(&self, groups: &[(Timestamp, Vec<&mut One<'_>>)], now: Timestamp) {
        for (taken, group) in groups {
            let undone = self.ask_group(Verb::Undo(*taken), May::Nothing, group, now).await.map(drop);
            self.count_unsettled(&undone);
            group.iter().for_each(|one| self.over.remove(one.key.digest));
        }
    }

    async fn leave_mark(&self, one: &One<'_>, owner: &str, now: Timestamp) {
        let limit = one.counted.limit;
        if let (Some((within, _)), Some(thing)) = (credit(&limit.shape), one.counted.thing) {
            let mark = key::mark(&self.prefix, limit, Counted::whose_mark(&one.counted.values, owner), thing);
            let may = self.places.may(owner, self.alive(), now) == May::All;
            let left = self.call(script::leave(mark, &one.key, within.as_millis(), may)).await;
            let left = left.and_then(|answer| script::left(&answer));
            if left == Ok(true) {
                self.places.add(owner, within, now);
            }
            // Without a mark nothing is given later; that is no reason to refuse now.
            self.count_unsettled(&left);
        }
    }

    async fn spend(&self, mark: String, shape: &Shape, tokens: u32, now: Timestamp) -> Result<bool, Outage> {
        let answer = self.call(script::spend(mark)).await?;
        let Some(counter) = script::marked(&answer)? else { return Ok(false) };
        let Some(digest) = key::read(&self.prefix, counter) else { return Err(script::strange()) };
        self.count(Verb::Settle, May::All, &[Part::of(counter, shape, -i64::from(tokens))], now).await?;
        self.over.remove(digest);
        Ok(true)
    }

    async fn count(&self, verb: Verb, may: May, parts: &[Part<'_>], now: Timestamp) -> Result<Said, Outage> {
        // Odd, so that no two counts give the same name.
        let number = self.calls.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let time = Some(self.time.load(Ordering::Relaxed)).filter(|time| *time != 0);
        let time = time.map(Timestamp::from_millis);
        let moment = Moment { call: self.process.wrapping_add(number), now, time, may };
        let answer = self.call(script::count(verb, moment, parts)).await?;
        script::said(&answer, parts)
    }

    pub(super) async fn call(&self, call: Call) -> Result<Value, Outage> {
        self.link.call(call).await.map_err(|outage| Outage { port: "limits".to_owned(), ..outage })
    }

    fn count_unsettled<T>(&self, settled: &Result<T, Outage>) {
        if settled.is_err() {
            self.unsettled.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Parts a list by what chooses the slot; all of it is one part where there are no slots.
    fn in_slots<T>(&self, all: Vec<T>, tag: impl Fn(&T) -> &str) -> Vec<Vec<T>> {
        let mut groups: Vec<Vec<T>> = Vec::new();
        for one in all {
            let same =
                |group: &&mut Vec<T>| group.first().is_some_and(|first| !self.cluster || tag(first) == tag(&one));
            match groups.iter_mut().find(same) {
                Some(group) => group.push(one),
                None => groups.push(vec![one]),
            }
        }
        groups
    }
}

impl SharedHolds {
    /// Tells whether the status of the answer makes a difference.
    #[must_use]
    pub fn settles(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Notes that the answer has been given before: what it costs is not below zero.
    pub fn repeat(&mut self) {
        self.repeated = true;
    }
}

impl Owed {
    fn of(one: &One<'_>) -> Option<Self> {
        let shape = &one.counted.limit.shape;
        let owed = matches!(shape, Shape::Bucket(Bucket { costs: Some(_), .. }));
        owed.then(|| Self { key: one.key.clone(), shape: shape.clone() })
    }

    fn tokens(&self, status: u16, repeated: bool) -> i64 {
        match &self.shape {
            Shape::Bucket(Bucket { costs: Some(costs), .. }) => owed(costs, status, repeated),
            _ => 0,
        }
    }
}

impl One<'_> {
    fn part(&self) -> Part<'_> {
        let part = Part::of(&self.key.text, &self.counted.limit.shape, i64::from(self.more));
        Part { enforced: self.enforced, ..part }
    }
}

fn verdicts(ones: &[One<'_>], places: &[usize]) -> Vec<Verdict> {
    // Each limit was asked about, or is known: what has no verdict was never there.
    places.iter().filter_map(|place| ones.get(*place)?.verdict).collect()
}

fn credit(shape: &Shape) -> Option<(Duration, u32)> {
    match shape {
        Shape::Bucket(Bucket { credit: Some(credit), .. }) => Some((credit.within, credit.tokens.get())),
        _ => None,
    }
}
