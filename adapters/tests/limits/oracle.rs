//! What a limit may say, found out from the bare list of what has happened: no state, no rounding, no shortcut.
//!
//! It must never share arithmetic with what it judges. Each counter keeps every event with its time, and each question
//! goes through all of them; times are whole milliseconds, and tokens are exact fractions.

use std::time::Duration;

use policies::limit::{Bucket, Polls, Quota, Sessions, Shape, Window};

/// What an engine must say of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// There is room.
    Room,
    /// There is none.
    Full,
    /// Both are right: within a slot of a rolling window, or while the clock is not where it has been.
    Either,
}

/// What time is, where the clock that engines are told may step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// The furthest that the clock has been: what is counted while it is back is counted as then, and no time goes by.
    ///
    /// This is what holds where a clock is never further back than an engine tolerates.
    Furthest,
    /// As much as the clock has gone forward from one question to the next: a step back, however far, is no time.
    ///
    /// There must be room once no step back is younger than what the limit may take to be free again.
    Forward,
}

/// How far a clock may step back without opening anything, and how much longer limits may then be closed.
pub(crate) const STEP_MAX: i64 = 5000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A call was counted, or tokens were taken or given besides.
    Counted { tokens: i64 },
    /// The thing that is polled for has begun.
    Begun,
    /// Only the clock was seen.
    Seen,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    /// When, as time is counted.
    at: i64,
    /// Which date that was.
    date: i64,
    what: What,
}

/// Everything that has happened to one counter.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    shape: Shape,
    time: Time,
    /// Where time is, and what the clock told last; nothing before the first event.
    at: Option<(i64, i64)>,
    stepped_back_at: Option<i64>,
    /// The furthest that the clock was at any question, answered with yes or no, and at any change.
    seen: i64,
    events: Vec<Event>,
    under_way: u32,
    /// Something was forgiven, given or begun while the clock was back: from then on there may be more than is known here.
    blurred: bool,
}

impl Book {
    pub(crate) fn new(shape: &Shape, time: Time) -> Self {
        Self {
            shape: shape.clone(),
            time,
            at: None,
            stepped_back_at: None,
            seen: i64::MIN,
            events: Vec::new(),
            under_way: 0,
            blurred: false,
        }
    }

    /// Says what the answer to a call at `now` has to be.
    pub(crate) fn expects(&mut self, now: i64) -> Expect {
        let here = self.here(now, What::Seen);
        self.seen = self.seen.max(now);
        if self.time == Time::Forward {
            self.note(now, What::Seen);
        }
        let (may, must) = match &self.shape {
            Shape::InFlight(most) => return if self.under_way < most.get() { Expect::Room } else { Expect::Full },
            Shape::Bucket(bucket) => {
                let free = self.tokens(bucket, here.at) >= 1;
                (free, free)
            }
            Shape::Quota(quota) => (self.free(quota, here, 0) > 0, self.free(quota, here, slot(quota)) > 0),
            Shape::Polls(polls) => {
                let free = self.may_poll(polls, here.at);
                (free, free)
            }
            Shape::Sessions(sessions) => {
                let free = self.may_go_on(sessions, here);
                (free, free)
            }
        };
        match (may, must) {
            _ if self.blurred => Expect::Either,
            // Its end may have been seen already, or another one, once the clock was another.
            _ if self.begins_anew() && (here.at < self.seen || self.is_of_another_clock()) => Expect::Either,
            (true, true) if self.is_settled(here, now) => Expect::Room,
            (false, _) => Expect::Full,
            _ => Expect::Either,
        }
    }

    /// Tells how many calls fit at `now` at most, where that is a number.
    pub(crate) fn free_at_most(&self, now: i64) -> Option<i128> {
        let here = self.here(now, What::Seen);
        match &self.shape {
            _ if self.blurred => None,
            Shape::Bucket(bucket) => Some(self.tokens(bucket, here.at).max(0)),
            Shape::Quota(quota) => Some(self.free(quota, here, 0).max(0)),
            Shape::InFlight(most) => Some(i128::from(most.get() - self.under_way)),
            Shape::Polls(_) | Shape::Sessions(_) => None,
        }
    }

    /// Tells how many fit at least.
    pub(crate) fn free_at_least(&self, now: i64) -> Option<i128> {
        let here = self.here(now, What::Seen);
        match &self.shape {
            _ if self.blurred => None,
            Shape::Quota(quota) if self.is_settled(here, now) => Some(self.free(quota, here, slot(quota)).max(0)),
            Shape::Bucket(_) if self.is_settled(here, now) => self.free_at_most(now),
            _ => None,
        }
    }

    /// Notes a call that was counted.
    pub(crate) fn taken(&mut self, now: i64) {
        self.note(now, What::Counted { tokens: 1 });
        self.under_way += 1;
    }

    /// Notes that a call has ended.
    pub(crate) fn ended(&mut self) {
        self.under_way -= 1;
    }

    /// Notes tokens that were taken besides, or given back if negative.
    pub(crate) fn settled(&mut self, now: i64, tokens: i64) {
        if tokens == 0 {
            return;
        }
        self.seen = self.seen.max(now);
        let behind = self.here(now, What::Seen).at > now;
        self.note(now, What::Counted { tokens });
        if let (Shape::Bucket(bucket), Some((at, _))) = (&self.shape, self.at) {
            self.blurred |= self.tokens(bucket, at) < i128::from(bucket.burst.get()) - owed_at_most(bucket);
            self.blurred |= tokens < 0 && behind;
            if tokens < 0 && self.tokens(bucket, at) == i128::from(bucket.burst.get()) && self.time == Time::Furthest {
                // A full bucket is as good as none: nothing tells where the clock has been.
                (self.events, self.at) = (Vec::new(), None);
            }
        }
    }

    /// Notes that the thing that is polled for has begun.
    pub(crate) fn begun(&mut self, now: i64) {
        let here = self.here(now, What::Begun);
        let known = matches!(&self.shape, Shape::Polls(polls) if self.polled(polls, here).0.is_some());
        if known && self.time == Time::Furthest {
            // What has begun is left as it is: it does not learn where the clock was.
            self.seen = self.seen.max(now);
            return;
        }
        self.note(now, What::Begun);
    }

    /// Places a moment in time.
    fn here(&self, now: i64, what: What) -> Event {
        let (at, told) = self.at.unwrap_or((now, now));
        match self.time {
            Time::Furthest => Event { at: at.max(now), date: at.max(now), what },
            Time::Forward => Event { at: at + (now - told).max(0), date: now, what },
        }
    }

    fn note(&mut self, now: i64, what: What) {
        let event = self.here(now, what);
        // An engine may have seen a session end at a later call that another limit refused, and may or may not know where
        // the clock was when a bucket was filled up.
        let forgot = self.begins_anew() || self.at.is_none();
        self.blurred |= what != What::Seen && event.at < self.seen && forgot;
        if self.at.is_some_and(|(_, told)| now < told) {
            self.stepped_back_at = Some(event.at);
        }
        self.at = Some((event.at, now));
        self.events.push(event);
    }

    /// Tells whether the clock is where it was, so that there must be room where there may be.
    fn is_settled(&self, here: Event, now: i64) -> bool {
        match self.time {
            Time::Furthest => here.at == now && now >= self.seen,
            Time::Forward => self.stepped_back_at.is_none_or(|stepped| here.at - stepped > self.free_again_within()),
        }
    }

    /// Whether an engine may have seen less time go by: where time also begins something anew, its count then began at
    /// another moment, and neither more nor less room follows from that.
    fn is_of_another_clock(&self) -> bool {
        self.time == Time::Forward && self.stepped_back_at.is_some()
    }

    /// Whether time that goes by begins something anew.
    fn begins_anew(&self) -> bool {
        matches!(self.shape, Shape::Polls(_) | Shape::Sessions(_))
    }

    /// How long it takes, at most, until all is free whatever was before.
    fn free_again_within(&self) -> i64 {
        let span = match &self.shape {
            Shape::Bucket(bucket) => {
                let tokens: i128 = self.events.iter().map(|event| event.tokens().max(0)).sum();
                let tokens = tokens + owed_at_most(bucket);
                i64::try_from(tokens * nanos(bucket.rate.per) / i128::from(bucket.rate.count.get()) / 1_000_000)
                    .unwrap()
            }
            Shape::Quota(quota) => 2 * length(quota.window),
            Shape::InFlight(_) => 0,
            Shape::Polls(polls) => millis(polls.within) + millis(polls.first),
            Shape::Sessions(sessions) => 2 * DAY + millis(sessions.idle),
        };
        span + STEP_MAX
    }

    /// How many whole tokens there are; negative where some are owed.
    ///
    /// Tokens come in all the time and never beyond the burst, so of all moments in the past one was the last at which
    /// there were as many as could be; from it on they are simply counted. Which one it was need not be known: it is
    /// the one that leaves the fewest. Only moments beside events can be it.
    fn tokens(&self, bucket: &Bucket, at: i64) -> i128 {
        // In parts of a token, of which so many make a whole one.
        let whole = nanos(bucket.rate.per);
        let a_milli = 1_000_000 * i128::from(bucket.rate.count.get());
        let burst = i128::from(bucket.burst.get()) * whole;
        let mut fewest = burst;
        let mut taken = 0;
        for event in self.events.iter().rev() {
            let came = i128::from(at - event.at) * a_milli;
            // From just after the event on, and from just before it.
            fewest = fewest.min(burst + came - taken * whole);
            taken += event.tokens();
            fewest = fewest.min(burst + came - taken * whole);
        }
        fewest.div_euclid(whole)
    }

    /// How many calls fit into the window at `here`, or into one that is longer by so much.
    fn free(&self, quota: &Quota, here: Event, longer: i64) -> i128 {
        let counted = |event: &&Event| matches!(event.what, What::Counted { .. });
        let most = i128::from(quota.most.get());
        if let Window::Rolling(span) = quota.window {
            // A clock that is another one leaves what was counted where it is among the slots, not within its slot.
            let longer = if self.time == Time::Forward && longer == 0 { -slot(quota) } else { longer };
            let in_it = |event: &&Event| here.at - event.at < millis(span) + longer;
            return most - i128::try_from(self.events.iter().filter(counted).filter(in_it).count()).unwrap();
        }
        // Each time that the date goes on over a border begins a window; back over it begins none.
        let mut free = most;
        let mut before = None;
        for event in self.events.iter().chain([&here]) {
            let number = number(quota.window, event.date);
            if before.is_some_and(|before| number > before) {
                free = most;
            }
            before = Some(number);
            free -= i128::from(counted(&event));
        }
        free
    }

    fn may_poll(&self, polls: &Polls, at: i64) -> bool {
        let (start, last, asked) = self.polled(polls, Event { at, date: at, what: What::Seen });
        match (start, last) {
            (None, _) => true,
            (Some((start, told)), None) => !told || at - start >= millis(polls.first),
            (Some(_), Some(last)) => at - last >= millis(polls.gap) && asked < polls.most.get(),
        }
    }

    /// Tells the beginning, with whether it was told, the last question, and how many there were, as they stand at `here`.
    fn polled(&self, polls: &Polls, here: Event) -> (Option<(i64, bool)>, Option<i64>, u32) {
        let mut start: Option<(i64, bool)> = None;
        let (mut last, mut asked) = (None, 0);
        let here = Event { what: What::Seen, ..here };
        for event in self.events.iter().chain([&here]) {
            if start.is_some_and(|(start, _)| event.at - start >= millis(polls.within)) {
                (start, last, asked) = (None, None, 0);
            }
            match event.what {
                What::Begun => start = start.or(Some((event.at, true))),
                What::Counted { .. } => {
                    start = start.or(Some((event.at, false)));
                    last = Some(event.at);
                    asked += 1;
                }
                What::Seen => {}
            }
        }
        (start, last, asked)
    }

    fn may_go_on(&self, sessions: &Sessions, here: Event) -> bool {
        let mut before: Option<Event> = None;
        let mut last: Option<i64> = None;
        let (mut began_today, mut calls, mut this_second) = (0, 0, 0);
        for event in self.events.iter().chain([&here]) {
            if let Some(before) = before {
                if day(event.date) > day(before.date) {
                    began_today = 0;
                }
                if event.date.div_euclid(1000) > before.date.div_euclid(1000) {
                    this_second = 0;
                }
            }
            before = Some(*event);
            if event.what != What::Seen {
                if last.is_none_or(|last| event.at - last >= millis(sessions.idle)) {
                    began_today += 1;
                    (calls, this_second) = (0, 0);
                }
                calls += 1;
                this_second += 1;
                last = Some(event.at);
            }
        }
        if last.is_none_or(|last| here.at - last >= millis(sessions.idle)) {
            return began_today < sessions.per_day.get();
        }
        calls < sessions.calls.get() && this_second < sessions.rate.get()
    }
}

impl Event {
    fn tokens(&self) -> i128 {
        match self.what {
            What::Counted { tokens } => i128::from(tokens),
            What::Begun | What::Seen => 0,
        }
    }
}

/// How many tokens a whole burst of the dearest calls takes.
fn owed_at_most(bucket: &Bucket) -> i128 {
    let costs = bucket.costs.iter().flat_map(|costs| costs.of.values().copied().chain([costs.otherwise]));
    i128::from(bucket.burst.get()) * i128::from(costs.fold(1, i32::max))
}

const DAY: i64 = 86_400_000;

/// Numbers the days in Asia/Almaty.
fn day(date: i64) -> i64 {
    (date + 5 * 3_600_000).div_euclid(DAY)
}

/// How much longer than the window the slots of a rolling one may count; nothing for others.
fn slot(quota: &Quota) -> i64 {
    match quota.window {
        Window::Rolling(span) => millis(span) / 7 + 8,
        _ => 0,
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap()
}

fn nanos(span: Duration) -> i128 {
    i128::try_from(span.as_nanos()).unwrap()
}

fn length(window: Window) -> i64 {
    match window {
        Window::Second => 1000,
        Window::Minute => 60_000,
        Window::Hour => 3_600_000,
        Window::Day => DAY,
        Window::Month => 31 * DAY,
        Window::Rolling(span) => millis(span),
    }
}

/// Numbers the windows of the calendar.
fn number(window: Window, date: i64) -> i64 {
    match window {
        Window::Month => months(day(date)),
        Window::Day => day(date),
        window => date.div_euclid(length(window)),
    }
}

/// Counts the months since 1970, one after the other.
fn months(mut days: i64) -> i64 {
    let mut months = 0;
    for year in 1970.. {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for length in [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if days < length {
                return months;
            }
            days -= length;
            months += 1;
        }
    }
    months
}
