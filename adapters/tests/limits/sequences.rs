//! Random calls against random limits, each answer held against the oracle's.

use std::collections::HashMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use adapters::limit::limits::{Asked, Counted, Happened, Holds, Limits};
use policies::limit::{Limit, Mode, Shape, Values, Verdict};
use policies::time::Timestamp;

use crate::dice::{Dice, full};
use crate::oracle::{Book, Expect, STEP_MAX, Time};
use crate::rules::{self, STATUSES, counter};

/// How many sets of limits, and how many steps each has; every day, and in the large run.
const SETS: u64 = 300;
const SETS_FULL: u64 = 6000;
const STEPS: u64 = 250;

/// How clocks step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steps {
    None,
    /// Forth and back by up to five seconds, never further back than that from where it has been.
    Small,
    /// As far as it pleases.
    Any,
}

/// Waits for what never waits.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("limits that are counted here never wait"),
    }
}

/// A call that is under way.
struct Open {
    holds: Holds,
    /// The limits that counted it, and the names of their counters.
    counted: Vec<(usize, String)>,
}

/// What a later call may give back.
struct Mark {
    limit: usize,
    counter: String,
    thing: String,
    organisation: &'static str,
    left: i64,
}

struct Play {
    dice: Dice,
    limits: Vec<Limit>,
    engine: Limits,
    books: HashMap<String, Book>,
    time: Time,
    steps: Steps,
    /// Time as it goes by, how far the clock is off, and the furthest it has been.
    real: i64,
    off: i64,
    furthest: i64,
    open: Vec<Open>,
    marks: Vec<Mark>,
    things: u64,
    admitted: u64,
    refused: u64,
    told: Vec<String>,
}

impl Play {
    fn new(mut dice: Dice, steps: Steps) -> Self {
        let limits = rules::draw_limits(&mut dice);
        let real = 1_800_000_000_000 + i64::try_from(dice.below(400 * 86_400_000)).unwrap();
        let time = if steps == Steps::Any { Time::Forward } else { Time::Furthest };
        Self {
            limits,
            engine: Limits::default(),
            books: HashMap::new(),
            time,
            steps,
            real,
            off: 0,
            furthest: real,
            open: Vec::new(),
            marks: Vec::new(),
            things: 0,
            admitted: 0,
            refused: 0,
            told: Vec::new(),
            dice,
        }
    }

    fn step(&mut self) {
        self.real += rules::draw_pause(&mut self.dice);
        if self.steps != Steps::None && self.dice.once_in(8) {
            self.off = match self.steps {
                Steps::Any if self.dice.once_in(4) => -i64::try_from(self.dice.below(200_000_000)).unwrap(),
                _ => i64::try_from(self.dice.below(2 * STEP_MAX as u64)).unwrap() - STEP_MAX,
            };
            if self.steps == Steps::Small {
                self.off = self.off.max(self.furthest - STEP_MAX - self.real);
            }
        }
        self.furthest = self.furthest.max(self.now());
        match self.dice.below(10) {
            0..=6 => self.call(),
            7..=8 => self.end(),
            _ if self.dice.once_in(2) => self.later_call(),
            _ => self.begin(),
        }
    }

    fn now(&self) -> i64 {
        self.real + self.off
    }

    fn book(&mut self, limit: usize, counter: &str) -> &mut Book {
        let Self { books, limits, time, .. } = self;
        let shape = &limits.get(limit).unwrap().shape;
        books.entry(counter.to_owned()).or_insert_with(|| Book::new(shape, *time))
    }

    fn call(&mut self) {
        let now = self.now();
        let values = rules::draw_values(&mut self.dice);
        self.things += 1;
        let thing = format!("thing-{}", self.things);
        let asked: Vec<_> = (0..self.limits.len()).filter(|_| !self.dice.once_in(4)).collect();
        let counters: Vec<_> =
            asked.iter().map(|number| counter(*number, self.limits.get(*number).unwrap(), &values)).collect();
        let expected: Vec<_> =
            asked.iter().zip(&counters).map(|(number, counter)| self.book(*number, counter).expects(now)).collect();
        let limits: Vec<_> = asked.iter().map(|number| self.limits.get(*number).unwrap().clone()).collect();
        let counted: Vec<_> = limits.iter().map(|limit| Counted { limit, values, thing: Some(&thing) }).collect();
        let owner = values.client.unwrap();
        let asking = Asked { limits: &counted, owner, call: &thing, now: Timestamp::from_millis(now) };
        let taken = at_once(self.engine.take(&asking)).unwrap();
        self.told.push(format!("{now}: {values:?} -> {:?}, expected {expected:?}", taken.verdicts));
        assert_eq!(taken.verdicts.len(), asked.len());
        for ((verdict, expect), limit) in taken.verdicts.iter().zip(&expected).zip(&limits) {
            let right = match expect {
                Expect::Room => verdict.admitted,
                Expect::Full => !verdict.admitted,
                Expect::Either => true,
            };
            assert!(right, "{expect:?} instead of {verdict:?}: {limit:?}");
        }
        let refused =
            limits.iter().zip(&taken.verdicts).any(|(limit, said)| limit.mode == Mode::Enforce && !said.admitted);
        let mut open = Open { holds: taken.holds, counted: Vec::new() };
        for ((number, counter), verdict) in asked.iter().zip(&counters).zip(&taken.verdicts) {
            if !refused && verdict.admitted {
                self.book(*number, counter).taken(now);
                open.counted.push((*number, counter.clone()));
                self.mark(*number, counter, &thing, values.organisation.unwrap(), now);
            }
            self.check(*number, counter, verdict, refused, now);
        }
        if refused {
            self.refused += 1;
        } else {
            self.admitted += 1;
            self.open.push(open);
        }
    }

    /// Holds the numbers that were told against the oracle's.
    fn check(&mut self, number: usize, counter: &str, verdict: &Verdict, refused: bool, now: i64) {
        let limit = self.limits.get(number).unwrap().clone();
        let book = self.book(number, counter);
        let remaining = i128::from(verdict.remaining);
        // What a refused call would have left where it had room is not defined.
        if !(refused && verdict.admitted) {
            let (most, least) = (book.free_at_most(now), book.free_at_least(now));
            assert!(most.is_none_or(|most| remaining <= most), "{remaining} remain, at most {most:?} may: {limit:?}");
            assert!(least.is_none_or(|least| remaining >= least), "{remaining} remain, not {least:?}: {limit:?}");
        }
        if !verdict.admitted && !matches!(limit.shape, Shape::InFlight(_)) {
            let after = i64::try_from(verdict.more_after.as_millis()).unwrap();
            assert!(after > 0 && verdict.remaining == 0, "{verdict:?}");
            let soon = book.clone().expects(now + after - 1);
            let then = book.clone().expects(now + after);
            assert!(soon != Expect::Room, "there is room before the {after} ms that were told: {limit:?}");
            assert!(then != Expect::Full, "there is no room after the {after} ms that were told: {limit:?}");
        }
    }

    fn mark(&mut self, limit: usize, counter: &str, thing: &str, organisation: &'static str, now: i64) {
        if matches!(&self.limits.get(limit).unwrap().shape, Shape::Bucket(bucket) if bucket.credit.is_some()) {
            let (counter, thing) = (counter.to_owned(), thing.to_owned());
            self.marks.push(Mark { limit, counter, thing, organisation, left: now });
        }
    }

    /// Ends one of the calls that are under way.
    fn end(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = usize::try_from(self.dice.below(self.open.len() as u64)).unwrap();
        let mut open = self.open.swap_remove(at);
        let status = (!self.dice.once_in(6)).then(|| *self.dice.pick(&STATUSES));
        let now = self.now();
        at_once(self.engine.settle(&mut open.holds, status, Timestamp::from_millis(now)));
        self.told.push(format!("{now}: ended with {status:?}"));
        if self.dice.once_in(8) {
            // Nothing is settled twice.
            at_once(self.engine.settle(&mut open.holds, Some(404), Timestamp::from_millis(now)));
        }
        drop(open.holds);
        for (number, counter) in &open.counted {
            let shape = self.limits.get(*number).unwrap().shape.clone();
            let book = self.book(*number, counter);
            book.ended();
            if let (Shape::Bucket(bucket), Some(status)) = (shape, status)
                && let Some(costs) = bucket.costs
            {
                let cost = costs.of.get(&status).copied().unwrap_or(costs.otherwise);
                book.settled(now, i64::from(cost) - 1);
            }
        }
    }

    /// A later call gives back what a call has taken, once.
    fn later_call(&mut self) {
        if self.marks.is_empty() {
            return;
        }
        let at = usize::try_from(self.dice.below(self.marks.len() as u64)).unwrap();
        let now = self.now();
        let mark = self.marks.swap_remove(at);
        let limit = self.limits.get(mark.limit).unwrap().clone();
        let Shape::Bucket(bucket) = &limit.shape else { unreachable!("only buckets have credits") };
        let credit = bucket.credit.clone().unwrap();
        // Whichever client of the organisation makes it.
        let owner = *self.dice.pick(&["app", "other-app"]);
        let happened = |engine: &Limits, organisation: &str, thing: &str| {
            let values = Values { client: Some(owner), organisation: Some(organisation), ..Values::default() };
            let now = Timestamp::from_millis(now);
            at_once(engine.happened(&Happened { limit: &limit, values: &values, owner, thing, now })).unwrap()
        };
        assert!(!happened(&self.engine, mark.organisation, "another thing"), "nobody has named it");
        assert!(!happened(&self.engine, "a stranger", &mark.thing), "it was somebody else's call");
        let given = happened(&self.engine, mark.organisation, &mark.thing);
        assert!(!happened(&self.engine, mark.organisation, &mark.thing), "it was given once");
        self.told.push(format!("{now}: {} happened, {given}", mark.thing));
        let age = Duration::from_millis(u64::try_from(now - mark.left).unwrap_or(0));
        let free = self.book(mark.limit, &mark.counter).free_at_most(now);
        let is_full = free.is_some_and(|free| free == i128::from(bucket.burst.get()));
        if self.steps == Steps::None && !is_full {
            assert_eq!(given, age < credit.within, "{age:?} of {:?}", credit.within);
        }
        if given {
            self.book(mark.limit, &mark.counter).settled(now, -i64::from(credit.tokens.get()));
        }
    }

    fn begin(&mut self) {
        let values = rules::draw_values(&mut self.dice);
        let now = self.now();
        for number in 0..self.limits.len() {
            let limit = self.limits.get(number).unwrap().clone();
            if matches!(&limit.shape, Shape::Polls(polls) if polls.after.is_some()) {
                let counted = Counted { limit: &limit, values, thing: None };
                let owner = values.client.unwrap();
                at_once(self.engine.begun(&counted, owner, Timestamp::from_millis(now))).unwrap();
                self.told.push(format!("{now}: begun {values:?}"));
                self.book(number, &counter(number, &limit, &values)).begun(now);
            }
        }
    }
}

/// Tells what was done where something is found, and leaves the finding as it is.
impl Drop for Play {
    #[expect(clippy::print_stderr, reason = "a failing run is to tell what it did")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.told.len().saturating_sub(40);
            eprintln!("{:#?}", self.limits);
            self.told.iter().skip(from).for_each(|line| eprintln!("{line}"));
        }
    }
}

fn play(steps: Steps) {
    let dice = Dice::of_this_run();
    let (mut admitted, mut refused) = (0, 0);
    for number in 0..if full() { SETS_FULL } else { SETS } {
        let mut play = Play::new(dice.round(number), steps);
        (0..STEPS).for_each(|_| play.step());
        admitted += play.admitted;
        refused += play.refused;
    }
    // Neither is everything let in nor everything refused: the sets ask something of the limits.
    assert!(admitted > 10_000 && refused > 10_000, "{admitted} admitted, {refused} refused");
}

#[test]
fn every_answer_is_the_one_of_the_bare_list_of_events() {
    play(Steps::None);
}

#[test]
fn clocks_that_step_by_five_seconds_open_nothing() {
    play(Steps::Small);
}

#[test]
fn clocks_that_step_at_all_open_nothing_but_the_time_they_gained() {
    play(Steps::Any);
}
