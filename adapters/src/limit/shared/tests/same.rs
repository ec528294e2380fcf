//! The script and the arithmetic of `policies::limit` say the same, call by call and number by number.

use policies::limit::bucket::{longest_nanos, nanos};
use policies::limit::state::{State, begin, current, over_at, room, settle, take};
use redis::aio::MultiplexedConnection;
use redis::cmd;

use super::super::key::CounterKey;
use super::super::places::May;
use super::super::script::{Done, Moment, Part, Said, Verb, count, said};
use super::*;
use crate::entropy;
use crate::store::redis::tests::raw;

/// A small generator whose sequences can be had again by their seed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = u64::from_le_bytes(entropy::random());
        // A test that fails tells with what it can be repeated.
        eprintln_seed(seed);
        Self(seed | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }
}

#[expect(clippy::print_stderr, reason = "a test that fails tells its seed")]
fn eprintln_seed(seed: u64) {
    eprintln!("seed {seed}");
}

/// Every shape, with times short enough that a sequence sees all of its sides.
fn shapes() -> Vec<Shape> {
    vec![
        bucket(3, SECOND, 7),
        bucket(1200, Duration::from_secs(60), 36_000),
        bucket(40, 24 * HOUR, 200),
        bucket(u32::MAX, SECOND, 3),
        lookups(2, Duration::from_secs(60), 100),
        bucket(7, 24 * HOUR, 1_000_000),
        dearest(),
        quota(3, Window::Second),
        quota(5, Window::Minute),
        quota(5, Window::Hour),
        quota(4, Window::Day),
        quota(4, Window::Month),
        quota(4, Window::Rolling(Duration::from_secs(10))),
        quota(6, Window::Rolling(Duration::from_secs(1))),
        polls(Duration::from_secs(90), Duration::from_secs(60), 3, 2 * HOUR),
        polls(Duration::ZERO, Duration::ZERO, 3, 30 * SECOND),
        sessions(3, 5, 2, 10 * SECOND),
    ]
}

/// Lookups of which one that finds nothing closes the limit for a year.
fn dearest() -> Shape {
    let Shape::Bucket(mut terms) = lookups(2, Duration::from_secs(60), 100) else { unreachable!() };
    terms.costs.as_mut().unwrap().of.insert(404, 1_000_000);
    Shape::Bucket(terms)
}

/// By how much the script may be wrong about a bucket that takes longer to fill than a number there holds nanoseconds of.
const WRONG_NANOS: u64 = 2_000;

fn is_wide(shape: &Shape) -> bool {
    matches!(shape, Shape::Bucket(terms) if longest_nanos(terms) > 1 << f64::MANTISSA_DIGITS)
}

/// What the same calls make of the states here.
struct Oracle {
    shapes: Vec<Shape>,
    states: Vec<Option<State>>,
}

struct Both {
    limiter: SharedLimiter,
    keys: Vec<String>,
    oracle: Oracle,
    ahead: i64,
    raw: MultiplexedConnection,
}

impl Both {
    async fn new(shapes: Vec<Shape>) -> Self {
        let limiter = open();
        let key =
            |number: usize| CounterKey::of(&limiter.prefix, &limit(&number.to_string(), bucket(1, SECOND, 1)), &VALUES);
        let keys = (0..shapes.len()).map(|number| key(number).text).collect();
        let states = shapes.iter().map(|_| None).collect();
        Self { limiter, keys, oracle: Oracle { shapes, states }, ahead: 0, raw: raw().await }
    }

    async fn ask(&self, verb: Verb, which: &[usize], enforced: &[bool], tokens: i64) -> Said {
        let part = |(place, number): (usize, &usize)| Part {
            key: &self.keys[*number],
            shape: &self.oracle.shapes[*number],
            enforced: enforced.get(place).copied().unwrap_or(false),
            tokens,
        };
        let parts: Vec<_> = which.iter().enumerate().map(part).collect();
        let here = Timestamp::from_millis(now().millis() + self.ahead);
        let time = (self.ahead != 0).then_some(here);
        let moment = Moment { call: u64::from_le_bytes(entropy::random()), now: here, time, may: May::All };
        said(&self.limiter.call(count(verb, moment, &parts)).await.unwrap(), &parts).unwrap()
    }

    async fn take(&mut self, which: &[usize], enforced: &[bool]) {
        let before = self.kept(which).await;
        let said = self.ask(Verb::Take, which, enforced, 0).await;
        let after = self.kept(which).await;
        let rooms: Vec<bool> = which.iter().map(|number| self.oracle.room(*number, said.now).admitted).collect();
        let full = rooms.iter().zip(enforced).all(|(room, enforced)| *room || !*enforced);
        assert_eq!(said.done == Done::Yes, full, "{which:?} {rooms:?}");
        for (place, number) in which.iter().enumerate() {
            let (shape, told) = (&self.oracle.shapes[*number], &said.each[place]);
            assert_eq!(told.room, rooms[place], "{shape:?} {told:?}");
            let state = self.oracle.states[*number].take();
            let state = if full && rooms[place] {
                take(shape, state, said.now).1
            } else if before[place] == after[place] {
                // What is over stays where it is until it is swept: a clock that steps back finds it again.
                state
            } else {
                current(shape, state, said.now)
            };
            self.compare(*number, state, told.state.clone(), said.now);
        }
    }

    async fn kept(&self, which: &[usize]) -> Vec<Option<String>> {
        let keys: Vec<_> = which.iter().map(|number| &self.keys[*number]).collect();
        cmd("MGET").arg(keys).query_async(&mut self.raw.clone()).await.unwrap()
    }

    async fn settle(&mut self, number: usize, tokens: i64) {
        let said = self.ask(Verb::Settle, &[number], &[], tokens).await;
        if let Shape::Bucket(terms) = &self.oracle.shapes[number] {
            let state = settle(terms, self.oracle.states[number].take(), tokens, said.now);
            self.compare(number, Some(state), said.each[0].state.clone(), said.now);
        }
    }

    async fn begin(&mut self, number: usize) {
        let said = self.ask(Verb::Begin, &[number], &[], 0).await;
        if let Shape::Polls(terms) = &self.oracle.shapes[number] {
            let state = begin(terms, self.oracle.states[number].take(), said.now);
            self.compare(number, Some(state), said.each[0].state.clone(), said.now);
        }
    }

    // What counts nothing at all may be told or left out.
    fn compare(&mut self, number: usize, here: Option<State>, there: Option<State>, now: Timestamp) {
        let shape = &self.oracle.shapes[number];
        if is_wide(shape) {
            self.oracle.states[number] = about(shape, here, there, now);
            return;
        }
        let counts = |state: &Option<State>| current(shape, state.clone(), now);
        assert_eq!(counts(&here), counts(&there), "{shape:?} at {now}");
        assert_eq!(room(shape, here.as_ref(), now), room(shape, there.as_ref(), now), "{shape:?} at {now}");
        self.oracle.states[number] = here;
    }
}

// What the script has made of it, if that is nearly the same, so that what it cuts off does not add up.
fn about(shape: &Shape, here: Option<State>, there: Option<State>, now: Timestamp) -> Option<State> {
    let used = |state: &Option<State>| match current(shape, state.clone(), now) {
        Some(State::Bucket(used)) => used.full_at_nanos,
        _ => nanos(now),
    };
    let verdict = |state: &Option<State>| room(shape, state.as_ref(), now);
    let ((here_room, there_room), wrong) = ((verdict(&here), verdict(&there)), used(&here).abs_diff(used(&there)));
    assert!(wrong <= WRONG_NANOS, "{shape:?} at {now}: {here:?} {there:?}");
    assert!(here_room.remaining.abs_diff(there_room.remaining) <= 1, "{here_room:?} {there_room:?}");
    assert!(here_room.more_after.abs_diff(there_room.more_after) <= TICK || wrong > 0, "{here_room:?} {there_room:?}");
    if there.is_some() { there } else { here }
}

impl Oracle {
    fn room(&self, number: usize, now: Timestamp) -> Verdict {
        room(&self.shapes[number], self.states[number].as_ref(), now)
    }
}

async fn random_calls(calls: usize) {
    let mut dice = Dice::new();
    let mut both = Both::new(shapes()).await;
    let count = both.keys.len() as u64;
    for _ in 0..calls {
        let step = match dice.below(20) {
            0..8 => 0,
            8..13 => dice.below(1500) as i64,
            13..15 => dice.below(20_000) as i64,
            15 => dice.below(100_000) as i64,
            16 => dice.below(8_000_000) as i64,
            // The clock steps back: a little, which is waited for, and far, which makes it another clock.
            17 => -(dice.below(5_000) as i64),
            18 => -(dice.below(9_000_000) as i64),
            _ => dice.below(3_000_000_000) as i64,
        };
        both.ahead += step;
        let number = dice.below(count) as usize;
        match dice.below(12) {
            0 if matches!(both.oracle.shapes[number], Shape::Bucket(_)) => {
                let tokens = match &both.oracle.shapes[number] {
                    wide if is_wide(wide) && dice.below(2) == 0 => dice.below(1_000_000) as i64 - 300_000,
                    _ => dice.below(50) as i64 - 25,
                };
                both.settle(number, tokens).await;
            }
            1 if matches!(both.oracle.shapes[number], Shape::Polls(_)) => both.begin(number).await,
            2..6 => {
                let mut which = vec![number];
                for _ in 0..dice.below(4) {
                    let other = dice.below(count) as usize;
                    if !which.contains(&other) {
                        which.push(other);
                    }
                }
                let enforced: Vec<bool> = which.iter().map(|_| dice.below(3) > 0).collect();
                both.take(&which, &enforced).await;
            }
            _ => both.take(&[number], &[true]).await,
        }
    }
}

#[tokio::test]
async fn random_calls_get_the_same_verdicts_here_and_there() {
    let full = std::env::var("QAQPA_FULL").is_ok_and(|full| full == "1");
    random_calls(if full { 50_000 } else { 4_000 }).await;
}

#[tokio::test]
async fn each_shape_says_no_where_the_arithmetic_does() {
    for shape in shapes() {
        let mut both = Both::new(vec![shape]).await;
        for call in 0..250 {
            both.ahead += [0, 1, 400, 0, 0][call % 5];
            both.take(&[0], &[true]).await;
        }
    }
}

#[tokio::test]
async fn a_bucket_owes_as_much_as_it_may_and_no_more() {
    let shape = lookups(2, 60 * SECOND, 100);
    let mut both = Both::new(vec![shape.clone()]).await;
    for _ in 0..300 {
        both.settle(0, 19).await;
    }
    let (Some(State::Bucket(used)), Shape::Bucket(terms)) = (&both.oracle.states[0], &shape) else { unreachable!() };
    let owed = used.full_at_nanos - nanos(now());
    let most = longest_nanos(terms) + 5_000_000_000;
    assert!(owed <= most && owed > most - 10_000_000_000, "{owed}");
    both.settle(0, -5000).await;
    both.take(&[0], &[true]).await;
}

#[tokio::test]
async fn a_counter_is_swept_a_minute_after_it_is_over() {
    for (number, shape) in shapes().into_iter().enumerate() {
        let mut both = Both::new(vec![shape.clone()]).await;
        both.take(&[0], &[true]).await;
        let left: i64 = cmd("PTTL").arg(&both.keys[0]).query_async(&mut both.raw.clone()).await.unwrap();
        let state = both.oracle.states[0].clone();
        let over = state.map_or(now(), |state| over_at(&shape, &state)).since(now()).as_millis() as i64;
        let month =
            if matches!(&shape, Shape::Quota(terms) if terms.window == Window::Month) { 31 * 86_400_000 } else { 0 };
        let slot = if matches!(&shape, Shape::Quota(_)) { 2000 } else { 50 };
        assert!(left >= over + 50_000 && left <= over.max(month) + 60_000 + slot, "{number}: {left} {over}");
    }
}

#[tokio::test]
async fn what_is_taken_back_leaves_as_much_room_as_before() {
    const LATER: [i64; 3] = [0, 2_000, 95_000];
    for shape in shapes() {
        for (verb, later) in [Verb::Take, Verb::Begin].into_iter().flat_map(|verb| LATER.map(|later| (verb, later))) {
            let mut both = Both::new(vec![shape.clone()]).await;
            both.ahead = 1;
            if later > 0 {
                both.oracle.states[0] = both.ask(verb, &[0], &[true], 0).await.each[0].state.clone();
            }
            both.ahead += later;
            for _ in 0..5 {
                let taken = both.ask(Verb::Take, &[0], &[true], 0).await;
                assert_eq!(taken.done == Done::Yes, both.oracle.room(0, taken.now).admitted, "{shape:?}");
                if taken.done == Done::Yes {
                    both.ask(Verb::Undo(taken.now), &[0], &[], 0).await;
                }
                let said = both.ask(Verb::Read, &[0], &[], 0).await;
                let (there, here) =
                    (room(&shape, said.each[0].state.as_ref(), said.now), both.oracle.room(0, said.now));
                assert_eq!(
                    (there.admitted, there.remaining),
                    (here.admitted, here.remaining),
                    "{shape:?} {verb:?} {later} {:?}",
                    said.each[0].state
                );
            }
        }
    }
}

#[tokio::test]
async fn a_call_is_taken_back_from_the_window_that_it_was_counted_in() {
    let lengths = [(Window::Minute, 60_000), (Window::Rolling(7 * SECOND), 1_000)];
    for (window, length) in lengths {
        let mut both = Both::new(vec![quota(5, window)]).await;
        // The last moment of a window, or of a slot: what follows comes in the next one.
        both.ahead = 10 * length - now().millis() % length - 1;
        let taken = both.ask(Verb::Take, &[0], &[true], 0).await;
        both.ahead += 500;
        both.ask(Verb::Take, &[0], &[true], 0).await;
        both.ask(Verb::Undo(taken.now), &[0], &[], 0).await;
        let left = both.ask(Verb::Read, &[0], &[], 0).await;
        let count = match left.each[0].state.clone().unwrap() {
            State::Window(counted) => vec![counted.count],
            State::Rolling(slots) => slots.counts[..2].to_vec(),
            other => unreachable!("{other:?}"),
        };
        let wanted = if window == Window::Minute { vec![1] } else { vec![1, 0] };
        assert_eq!(count, wanted, "{window:?} {taken:?}");
    }
}

#[tokio::test]
async fn a_bucket_that_fills_for_decades_is_told_without_negative_nanoseconds() {
    let both = Both::new(vec![bucket(1, 24 * HOUR, 14_000)]).await;
    let time = now();
    // No double lies between this and a whole millisecond: cut to one, it is rounded up.
    for over in [1_100_000_000_002, 1_100_000_000_006, 1_100_000_000_010] {
        let text = format!(";B{} 999936", time.millis() + over);
        let () = cmd("SET").arg(&both.keys[0]).arg(text).query_async(&mut both.raw.clone()).await.unwrap();
        let part = [Part::of(&both.keys[0], &both.oracle.shapes[0], 0)];
        let moment = Moment { call: 1, now: time, time: Some(time), may: May::All };
        let answer = both.limiter.call(count(Verb::Read, moment, &part)).await.unwrap();
        let Some(State::Bucket(used)) = said(&answer, &part).unwrap().each[0].state else { unreachable!() };
        let held = u64::try_from(time.millis() + over).unwrap() * 1_000_000 + 999_936;
        assert!(used.full_at_nanos.abs_diff(held) < 1_000, "{used:?} {held}");
    }
}
