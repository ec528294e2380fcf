#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::super::Shape;
use super::super::clock::STEP_BACK_MAX;
use super::super::testing::{Counter, DAY, Dice, HOUR, MINUTE, NOW, SECOND, TICK, at, sessions};
use super::*;

fn counter(per_day: u32, calls: u32, rate: u32) -> Counter {
    Counter::new(Shape::Sessions(sessions(per_day, calls, rate, 10 * MINUTE)))
}

#[test]
fn a_session_has_so_many_calls_and_ends_when_none_came_for_a_while() {
    let mut counter = counter(5, 3, 100);
    assert_eq!(counter.drain(NOW), 3);
    let refused = counter.take(NOW);
    assert_eq!((refused.admitted, refused.remaining, refused.capacity), (false, 0, 3));
    assert_eq!(refused.more_after, 10 * MINUTE);
    // Refused calls do not keep it alive.
    assert!(!counter.fits(NOW + 5 * MINUTE));
    assert!(!counter.fits(NOW + 10 * MINUTE - TICK));
    assert_eq!(counter.drain(NOW + 10 * MINUTE), 3);
}

#[test]
fn a_call_keeps_its_session_alive() {
    let mut counter = counter(1, 3, 100);
    assert!(counter.fits(NOW));
    assert!(counter.fits(NOW + 10 * MINUTE - TICK));
    assert!(counter.fits(NOW + 20 * MINUTE - 2 * TICK));
    assert!(!counter.fits(NOW + 20 * MINUTE));
}

#[test]
fn a_second_of_a_session_has_so_many_calls() {
    let mut counter = counter(5, 100, 5);
    assert_eq!((counter.room(NOW).remaining, counter.room(NOW).capacity), (5, 100));
    assert_eq!(counter.drain(NOW), 5);
    let refused = counter.take(NOW + TICK);
    assert_eq!((refused.admitted, refused.more_after), (false, SECOND - TICK));
    assert!(!counter.fits(NOW + SECOND - TICK));
    assert_eq!(counter.drain(NOW + SECOND), 5);
    // So fast, a hundred calls are twenty seconds.
    let taken: u32 = (2..60).map(|seconds| counter.drain(NOW + seconds * SECOND)).sum();
    assert_eq!(taken, 90);
}

#[test]
fn a_session_that_ends_within_its_second_brings_no_call_with_the_next_one() {
    let night = at("2027-01-15T18:00:00Z");
    for (per_day, more_after) in [(1, HOUR), (2, SECOND)] {
        let mut counter = Counter::new(Shape::Sessions(sessions(per_day, 8, 1, SECOND)));
        assert!(counter.fits(night));
        let refused = counter.take(night);
        assert_eq!((refused.admitted, refused.more_after), (false, more_after));
        assert!(!counter.fits(night + more_after - TICK));
        assert!(counter.fits(night + more_after));
    }
}

#[test]
fn no_more_sessions_begin_on_a_day_than_may() {
    let mut counter = counter(2, 1, 1);
    // 18:00 in Kazakhstan, one hour before 19:00Z... of the evening of 15 January there.
    let evening = at("2027-01-15T18:00:00Z");
    assert!(counter.fits(evening));
    assert!(counter.fits(evening + 10 * MINUTE));
    let refused = counter.take(evening + 20 * MINUTE);
    assert_eq!((refused.admitted, refused.more_after, refused.window), (false, 40 * MINUTE, 40 * MINUTE));
    assert!(!counter.fits(evening + HOUR - TICK));
    assert!(counter.fits(evening + HOUR));
    assert!(counter.fits(evening + HOUR + 10 * MINUTE));
    assert!(!counter.fits(evening + HOUR + 20 * MINUTE));
}

#[test]
fn a_session_over_midnight_counts_for_the_day_it_began_on() {
    let mut counter = counter(1, 5, 5);
    let midnight = at("2027-01-15T19:00:00Z");
    assert!(counter.fits(midnight - TICK));
    assert!(counter.fits(midnight + 9 * MINUTE));
    assert!(counter.fits(midnight + 18 * MINUTE));
    // The day's own one is still to come.
    assert_eq!(counter.drain(midnight + 28 * MINUTE), 5);
    assert!(!counter.fits(midnight + 38 * MINUTE));
    assert!(counter.fits(midnight + DAY));
}

#[test]
fn a_used_up_session_over_midnight_waits_for_its_end() {
    let mut counter = counter(1, 2, 5);
    let midnight = at("2027-01-15T19:00:00Z");
    assert_eq!(counter.drain(midnight - MINUTE), 2);
    let refused = counter.take(midnight - MINUTE);
    assert_eq!((refused.admitted, refused.more_after), (false, 10 * MINUTE));
    assert!(!counter.fits(midnight + 9 * MINUTE - TICK));
    assert!(counter.fits(midnight + 9 * MINUTE));
}

#[test]
fn a_clock_that_stepped_back_opens_no_session_and_no_second() {
    let midnight = at("2027-01-15T19:00:00Z");
    let mut counter = counter(1, 4, 2);
    assert_eq!(counter.drain(midnight), 2);
    for back in [TICK, SECOND, STEP_BACK_MAX] {
        assert_eq!(counter.drain(midnight - back), 0, "{back:?}");
    }
    assert_eq!(counter.drain(midnight), 0);
    assert_eq!(counter.drain(midnight + SECOND), 2);
    assert_eq!(counter.drain(midnight + HOUR), 0);
}

#[test]
fn sessions_on_another_clock_end_after_their_time() {
    let midnight = at("2027-01-15T19:00:00Z");
    let mut counter = counter(1, 2, 2);
    assert_eq!(counter.drain(midnight), 2);
    let back = midnight - 2 * HOUR;
    assert_eq!(counter.drain(back), 0);
    // What was counted on the next day is counted on this one, which ends as it should.
    assert_eq!(counter.drain(midnight - TICK), 0);
    assert_eq!(counter.drain(midnight), 2);
}

#[test]
fn any_sessions_are_as_their_list_of_calls_tells() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let idle = SECOND + dice.span(5 * MINUTE);
        let terms = sessions(dice.number(6).get(), dice.number(9).get(), dice.number(4).get(), idle);
        let mut counter = Counter::new(Shape::Sessions(terms.clone()));
        let mut now = NOW;
        // Each session: the day it began on, and its calls.
        let mut had: Vec<(String, Vec<Timestamp>)> = Vec::new();
        for _ in 0..400 {
            now = now
                + match dice.below(10) {
                    0 => dice.span(6 * HOUR),
                    1 | 2 => dice.span(2 * idle),
                    _ => dice.span(SECOND),
                };
            let day = (now + 5 * HOUR).to_string().get(..10).unwrap().to_owned();
            let alive = had.last_mut().filter(|(_, calls)| now.since(*calls.last().unwrap()) < idle);
            let expected = if let Some((_, calls)) = alive {
                let in_second = calls.iter().filter(|call| call.seconds() == now.seconds()).count();
                let fits = calls.len() < usize::try_from(terms.calls.get()).unwrap()
                    && in_second < usize::try_from(terms.rate.get()).unwrap();
                if fits {
                    calls.push(now);
                }
                fits
            } else {
                let begun = had.iter().filter(|(other, _)| *other == day).count();
                let fits = begun < usize::try_from(terms.per_day.get()).unwrap();
                if fits {
                    had.push((day, vec![now]));
                }
                fits
            };
            assert_eq!(counter.fits(now), expected, "seed {seed} at {now}");
        }
    }
}
