#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::super::Shape;
use super::super::clock::STEP_BACK_MAX;
use super::super::state::{self, State};
use super::super::testing::{Counter, DAY, Dice, HOUR, NOW, SECOND, TICK, polls};
use super::*;

/// The discipline of UPI: three checks, the first after 90 s, within two hours.
fn upi() -> Polls {
    polls(90 * SECOND, 60 * SECOND, 3, 2 * HOUR)
}

fn begun_at(terms: &Polls, now: Timestamp) -> Counter {
    let state = Some(state::begin(terms, None, now));
    Counter { shape: Shape::Polls(terms.clone()), state }
}

#[test]
fn the_first_question_comes_not_before_its_time() {
    let mut counter = begun_at(&upi(), NOW);
    let refused = counter.take(NOW);
    assert_eq!((refused.admitted, refused.remaining, refused.capacity), (false, 0, 3));
    assert_eq!((refused.more_after, refused.window), (90 * SECOND, 2 * HOUR));
    assert!(!counter.fits(NOW + 90 * SECOND - TICK));
    assert!(counter.fits(NOW + 90 * SECOND));
}

#[test]
fn a_question_upon_another_is_refused() {
    let mut counter = begun_at(&upi(), NOW);
    let first = NOW + 100 * SECOND;
    assert!(counter.fits(first));
    let refused = counter.take(first + TICK);
    assert_eq!((refused.admitted, refused.more_after), (false, 60 * SECOND - TICK));
    assert!(!counter.fits(first + 60 * SECOND - TICK));
    assert!(counter.fits(first + 60 * SECOND));
}

#[test]
fn no_more_are_answered_than_may_be_until_the_thing_is_forgotten() {
    let mut counter = begun_at(&upi(), NOW);
    for minutes in [2, 3, 4] {
        assert!(counter.fits(NOW + minutes * 60 * SECOND));
    }
    let refused = counter.take(NOW + HOUR);
    assert_eq!((refused.admitted, refused.more_after), (false, HOUR));
    assert!(!counter.fits(NOW + 2 * HOUR - TICK));
    assert!(counter.fits(NOW + 2 * HOUR));
}

#[test]
fn where_nobody_knows_the_beginning_the_first_question_is_it() {
    let mut counter = Counter::new(Shape::Polls(upi()));
    assert_eq!((counter.room(NOW).remaining, counter.room(NOW).more_after), (1, Duration::ZERO));
    let first = counter.take(NOW);
    assert_eq!((first.admitted, first.remaining, first.more_after), (true, 0, 60 * SECOND));
    assert!(!counter.fits(NOW + 60 * SECOND - TICK));
    assert!(counter.fits(NOW + 60 * SECOND));
    assert!(counter.fits(NOW + 120 * SECOND));
    assert!(!counter.fits(NOW + 2 * HOUR - TICK));
    assert!(counter.fits(NOW + 2 * HOUR));
}

#[test]
fn without_a_gap_all_of_them_may_come_at_once() {
    let mut counter = Counter::new(Shape::Polls(polls(Duration::ZERO, Duration::ZERO, 3, HOUR)));
    assert_eq!(counter.room(NOW).remaining, 3);
    let first = counter.take(NOW);
    assert_eq!((first.remaining, first.more_after), (2, HOUR));
    assert_eq!(counter.drain(NOW), 2);
    assert_eq!(counter.drain(NOW + HOUR - TICK), 0);
    assert_eq!(counter.drain(NOW + HOUR), 3);
}

#[test]
fn what_has_begun_does_not_begin_again() {
    let terms = upi();
    let mut counter = begun_at(&terms, NOW);
    for minutes in [2, 3, 4] {
        assert!(counter.fits(NOW + minutes * 60 * SECOND));
    }
    counter.state = Some(state::begin(&terms, counter.state.take(), NOW + HOUR));
    assert!(!counter.fits(NOW + HOUR + 90 * SECOND));
    // What is forgotten does, and what was of another shape.
    let over = NOW + 2 * HOUR;
    for state in [counter.state.take(), Some(State::InFlight(3)), None] {
        let mut counter =
            Counter { shape: Shape::Polls(terms.clone()), state: Some(state::begin(&terms, state, over)) };
        assert!(!counter.fits(over + 90 * SECOND - TICK));
        assert!(counter.fits(over + 90 * SECOND));
    }
}

#[test]
fn a_clock_that_stepped_back_answers_nothing_twice() {
    let mut counter = Counter::new(Shape::Polls(polls(Duration::ZERO, 10 * SECOND, 2, HOUR)));
    assert!(counter.fits(NOW));
    assert!(!counter.fits(NOW - STEP_BACK_MAX));
    assert!(!counter.fits(NOW + 10 * SECOND - TICK));
    assert!(counter.fits(NOW + 10 * SECOND));
    assert!(!counter.fits(NOW - DAY));
}

#[test]
fn on_another_clock_nothing_is_refused_for_longer_than_it_would_have_been() {
    let back = NOW - STEP_BACK_MAX - TICK;
    let mut counter = Counter::new(Shape::Polls(polls(Duration::ZERO, 10 * SECOND, 2, HOUR)));
    assert!(counter.fits(NOW));
    assert!(!counter.fits(back));
    assert!(!counter.fits(back + 10 * SECOND - TICK));
    assert!(counter.fits(back + 10 * SECOND));
    assert!(!counter.fits(back + HOUR - TICK));
    assert!(counter.fits(back + HOUR));
}

#[test]
fn any_thing_is_asked_about_as_its_list_of_answers_allows() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let within = 5 * SECOND + dice.span(20 * SECOND);
        let gap = if dice.below(3) == 0 { Duration::ZERO } else { dice.span(2 * SECOND) };
        let terms = polls(dice.span(3 * SECOND), gap, dice.number(5).get(), within);
        let known = dice.below(2) == 0;
        let mut counter = Counter::new(Shape::Polls(terms.clone()));
        if known {
            counter = begun_at(&terms, NOW);
        }
        let mut began = known.then_some(NOW);
        let mut answers: Vec<Timestamp> = Vec::new();
        let mut now = NOW;
        for _ in 0..200 {
            now = now + dice.span(SECOND);
            if began.is_some_and(|began| now.since(began) >= within) {
                began = None;
                answers.clear();
            }
            let expected = match (began, answers.last()) {
                (None, _) => true,
                (Some(began), None) => now.since(began) >= terms.first,
                (Some(_), Some(last)) => {
                    now.since(*last) >= terms.gap && answers.len() < usize::try_from(terms.most.get()).unwrap()
                }
            };
            assert_eq!(counter.fits(now), expected, "seed {seed} at {now}");
            if expected {
                began = began.or(Some(now));
                answers.push(now);
            }
        }
    }
}
