//! The arithmetic alone: one limit, one counter, and what is kept of it thrown away whenever it may be.

use policies::limit::clock::STEP_BACK_MAX;
use policies::limit::state::{State, begin, finish, over_at, room, settle, take};
use policies::limit::{Limit, Shape, Verdict};
use policies::time::Timestamp;

use crate::dice::{Dice, full};
use crate::oracle::{Book, Expect, STEP_MAX, Time};
use crate::rules::{self, STATUSES};

/// How many limits, and how many steps each has; every day, and in the large run.
const LIMITS: u64 = 600;
const LIMITS_FULL: u64 = 20_000;
const STEPS: u64 = 150;

fn right(expect: Expect, verdict: &Verdict, what: &Limit) {
    match expect {
        Expect::Room => assert!(verdict.admitted, "refused: {what:?}"),
        Expect::Full => assert!(!verdict.admitted, "admitted: {what:?}"),
        Expect::Either => {}
    }
}

fn play(mut dice: Dice, steps: bool) {
    let limit = rules::draw_limits(&mut dice).swap_remove(0);
    let shape = &limit.shape;
    let mut book = Book::new(shape, Time::Furthest);
    let mut state: Option<State> = None;
    let mut real = 1_800_000_000_000;
    let (mut off, mut furthest, mut under_way) = (0, real, 0);
    for _ in 0..STEPS {
        real += rules::draw_pause(&mut dice);
        if steps && dice.once_in(4) {
            off = i64::try_from(dice.below(2 * STEP_MAX as u64)).unwrap() - STEP_MAX;
            off = off.max(furthest - STEP_MAX - real);
        }
        let now = real + off;
        furthest = furthest.max(now);
        let stamp = Timestamp::from_millis(now);
        if state.as_ref().is_some_and(|state| stamp >= over_at(shape, state) + STEP_BACK_MAX) {
            state = None;
        }
        let expect = book.expects(now);
        let would = room(shape, state.as_ref(), stamp);
        let (verdict, next) = take(shape, state.take(), stamp);
        state = next;
        right(expect, &verdict, &limit);
        assert_eq!(would.admitted, verdict.admitted, "{limit:?}");
        if verdict.admitted {
            book.taken(now);
            under_way += 1;
        } else {
            assert_eq!(would, verdict);
        }
        let most = book.free_at_most(now);
        assert!(most.is_none_or(|most| i128::from(verdict.remaining) <= most), "{most:?}: {verdict:?} {limit:?}");
        if under_way > 0 && dice.once_in(2) {
            under_way -= 1;
            book.ended();
            state = finish(state);
            if let Shape::Bucket(bucket) = shape
                && let Some(costs) = &bucket.costs
            {
                let tokens = i64::from(costs.of(*dice.pick(&STATUSES))) - 1;
                state = Some(settle(bucket, state, tokens, stamp));
                book.settled(now, tokens);
            }
        }
        if let Shape::Polls(polls) = shape
            && polls.after.is_some()
            && dice.once_in(6)
        {
            state = Some(begin(polls, state, stamp));
            book.begun(now);
        }
    }
}

fn play_all(steps: bool) {
    let dice = Dice::of_this_run();
    (0..if full() { LIMITS_FULL } else { LIMITS }).for_each(|number| play(dice.round(number), steps));
}

#[test]
fn the_arithmetic_says_what_the_bare_list_of_events_says() {
    play_all(false);
}

#[test]
fn clocks_that_step_by_five_seconds_open_no_counter() {
    play_all(true);
}
