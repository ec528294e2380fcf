#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::super::clock::STEP_BACK_MAX;
use super::super::testing::{Counter, DAY, Dice, HOUR, MINUTE, NOW, SECOND, TICK, at, quota};
use super::*;

#[test]
fn the_one_too_many_is_refused_until_its_window_is_over() {
    // 13:00:00 in Kazakhstan, on 15 January.
    for (window, end) in [
        (Window::Second, NOW + SECOND),
        (Window::Minute, NOW + MINUTE),
        (Window::Hour, NOW + HOUR),
        (Window::Day, at("2027-01-15T19:00:00Z")),
        (Window::Month, at("2027-01-31T19:00:00Z")),
    ] {
        let mut counter = Counter::new(quota(3, window));
        let last = counter.room(NOW);
        assert_eq!(
            (last.remaining, last.capacity, last.window, last.more_after),
            (3, 3, Duration::ZERO, Duration::ZERO)
        );
        for remaining in [2, 1, 0] {
            let verdict = counter.take(NOW + TICK);
            assert_eq!((verdict.admitted, verdict.remaining), (true, remaining), "{window:?}");
        }
        let refused = counter.take(NOW + TICK);
        let wait = end.since(NOW) - TICK;
        assert_eq!((refused.admitted, refused.remaining), (false, 0), "{window:?}");
        assert_eq!((refused.more_after, refused.window), (wait, wait), "{window:?}");
        assert!(!counter.fits(end - TICK), "{window:?}");
        assert_eq!(counter.drain(end), 3, "{window:?}");
    }
}

#[test]
fn a_window_of_the_clock_begins_when_the_clock_says_so() {
    let mut counter = Counter::new(quota(2, Window::Minute));
    assert_eq!(counter.drain(NOW + MINUTE - TICK), 2);
    assert_eq!(counter.drain(NOW + MINUTE), 2);
    assert_eq!(counter.drain(NOW + 2 * MINUTE - TICK), 0);
}

#[test]
fn days_and_months_are_those_of_kazakhstan() {
    for (window, before, first) in [
        (Window::Day, "2026-11-23T18:59:59.999Z", "2026-11-23T19:00:00Z"),
        (Window::Day, "2026-12-31T18:59:59.999Z", "2026-12-31T19:00:00Z"),
        (Window::Month, "2026-11-30T18:59:59.999Z", "2026-11-30T19:00:00Z"),
        (Window::Month, "2026-12-31T18:59:59.999Z", "2026-12-31T19:00:00Z"),
        (Window::Month, "2027-02-28T18:59:59.999Z", "2027-02-28T19:00:00Z"),
        (Window::Month, "2028-02-29T18:59:59.999Z", "2028-02-29T19:00:00Z"),
        (Window::Month, "2100-02-28T18:59:59.999Z", "2100-02-28T19:00:00Z"),
    ] {
        let mut counter = Counter::new(quota(1, window));
        assert_eq!(counter.drain(at(before)), 1, "{before}");
        assert_eq!(counter.drain(at(before)), 0, "{before}");
        assert_eq!(counter.drain(at(first)), 1, "{first}");
    }
    // The 29th is a day of February in a leap year, and its month goes on.
    let mut counter = Counter::new(quota(1, Window::Month));
    assert_eq!(counter.drain(at("2028-02-28T19:00:00Z")), 1);
    assert_eq!(counter.drain(at("2028-02-29T18:59:59Z")), 0);
}

#[test]
fn a_rolling_window_forgets_a_call_within_a_slot_after_its_time() {
    let length = Duration::from_secs(70);
    let slot = Duration::from_secs(10);
    // On the edge of a slot, and right before the next one.
    let first = Timestamp::from_seconds(1_800_000_000);
    for early in [first, first + slot - TICK] {
        let mut counter = Counter::new(quota(3, Window::Rolling(length)));
        assert_eq!(counter.drain(early), 3);
        assert!(!counter.fits(early + length));
        assert!(!counter.fits(first + length + slot - TICK));
        assert_eq!(counter.drain(first + length + slot), 3);
    }
}

#[test]
fn room_in_a_rolling_window_comes_back_slot_by_slot() {
    let slot = Duration::from_secs(10);
    let mut counter = Counter::new(quota(3, Window::Rolling(Duration::from_secs(70))));
    assert!(counter.fits(NOW) && counter.fits(NOW + slot) && counter.fits(NOW + 2 * slot));
    let refused = counter.take(NOW + 2 * slot);
    assert_eq!((refused.admitted, refused.remaining), (false, 0));
    assert_eq!((refused.more_after, refused.window), (6 * slot, 8 * slot));
    assert!(!counter.fits(NOW + 8 * slot - TICK));
    assert!(counter.fits(NOW + 8 * slot));
    assert!(!counter.fits(NOW + 9 * slot - TICK));
    assert!(counter.fits(NOW + 9 * slot));
}

#[test]
fn never_more_than_most_in_any_window_that_rolls() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let length = SECOND + dice.span(20 * SECOND);
        let most = dice.number(12);
        let mut counter = Counter::new(quota(most.get(), Window::Rolling(length)));
        let most = usize::try_from(most.get()).unwrap();
        // Each of eight slots is rounded up to whole milliseconds.
        let slot = length / 7 + 8 * TICK;
        let mut now = NOW;
        let mut admitted: Vec<Timestamp> = Vec::new();
        for _ in 0..600 {
            now = now + dice.span(length / 8);
            let within = |span: Duration| admitted.iter().filter(|earlier| now.since(**earlier) < span).count();
            // Full by the letter: refused. Room even if all that is nearly over counts: let in.
            let (full, free) = (within(length) >= most, within(length + slot) < most);
            let fits = counter.fits(now);
            assert!(!(full && fits), "seed {seed}: one too many within {length:?} at {now}");
            assert!(fits || !free, "seed {seed}: refused without need at {now}");
            if fits {
                admitted.push(now);
            }
        }
    }
}

#[test]
fn a_calendar_window_holds_exactly_so_many() {
    for seed in 0..100 {
        let mut dice = Dice(seed);
        let most = dice.number(12);
        let (window, part, step) = match dice.below(4) {
            // How much of a written time names the window.
            0 => (Window::Day, 10, 6 * HOUR),
            1 => (Window::Month, 7, 6 * DAY),
            2 => (Window::Hour, 13, HOUR / 4),
            _ => (Window::Minute, 16, MINUTE / 4),
        };
        let mut counter = Counter::new(quota(most.get(), window));
        let mut names: Vec<String> = Vec::new();
        let mut now = NOW;
        for _ in 0..400 {
            now = now + dice.span(step);
            let name = (now + 5 * HOUR).to_string().get(..part).unwrap().to_owned();
            let had = names.iter().filter(|other| **other == name).count();
            let fits = counter.fits(now);
            assert_eq!(fits, had < usize::try_from(most.get()).unwrap(), "seed {seed}: {window:?} at {now}");
            if fits {
                names.push(name);
            }
        }
    }
}

#[test]
fn a_clock_that_stepped_back_into_the_window_before_opens_nothing() {
    for window in [Window::Second, Window::Minute, Window::Hour, Window::Day, Window::Month] {
        let start = window.start(NOW);
        let mut counter = Counter::new(quota(2, window));
        assert_eq!(counter.drain(start), 2, "{window:?}");
        assert_eq!(counter.drain(start - TICK), 0, "{window:?}");
        assert_eq!(counter.drain(start - STEP_BACK_MAX), 0, "{window:?}");
        // The clock has caught up: it is the same window still.
        assert_eq!(counter.drain(start), 0, "{window:?}");
        assert_eq!(counter.drain(window.end(start)), 2, "{window:?}");
    }
}

#[test]
fn a_window_on_another_clock_is_over_when_that_clock_says_so() {
    for window in [Window::Second, Window::Minute, Window::Hour, Window::Day, Window::Month] {
        let start = window.start(NOW);
        let mut counter = Counter::new(quota(2, window));
        assert_eq!(counter.drain(start), 2, "{window:?}");
        let back = start - STEP_BACK_MAX - TICK;
        assert_eq!(counter.drain(back), 0, "{window:?}");
        assert_eq!(counter.drain(window.end(back) - TICK), 0, "{window:?}");
        assert_eq!(counter.drain(window.end(back)), 2, "{window:?}");
    }
}

#[test]
fn a_rolling_window_on_another_clock_is_over_after_its_length() {
    let window = Window::Rolling(Duration::from_secs(70));
    let mut counter = Counter::new(quota(2, window));
    assert_eq!(counter.drain(NOW), 2);
    assert_eq!(counter.drain(NOW - STEP_BACK_MAX), 0);
    assert_eq!(counter.drain(NOW), 0);
    let back = NOW - DAY;
    assert_eq!(counter.drain(back), 0);
    assert_eq!(counter.drain(back + Duration::from_secs(70)), 0);
    assert_eq!(counter.drain(back + Duration::from_secs(80)), 2);
}

#[test]
fn fewer_allowed_than_counted_waits_until_enough_is_over() {
    let slot = Duration::from_secs(10);
    let mut counter = Counter::new(quota(6, Window::Rolling(Duration::from_secs(70))));
    for age in 0..6 {
        assert!(counter.fits(NOW + age * slot));
    }
    counter.shape = quota(3, Window::Rolling(Duration::from_secs(70)));
    let now = NOW + 5 * slot;
    let refused = counter.take(now);
    assert_eq!((refused.admitted, refused.remaining, refused.more_after), (false, 0, 6 * slot));
    assert!(!counter.fits(now + 6 * slot - TICK));
    assert!(counter.fits(now + 6 * slot));
}

#[test]
fn windows_at_the_edge_of_what_can_be_told_do_no_harm() {
    let rolling = [SECOND, Duration::MAX].map(Window::Rolling);
    let fixed = [Window::Second, Window::Minute, Window::Hour, Window::Day, Window::Month];
    for window in rolling.into_iter().chain(fixed) {
        for now in [Timestamp::from_millis(-1), Timestamp::from_millis(0), Timestamp::from_seconds(253_402_300_799)] {
            let mut counter = Counter::new(quota(1, window));
            assert_eq!(counter.drain(now), 1, "{window:?}");
            assert_eq!(counter.drain(now), 0, "{window:?}");
        }
        for now in [Timestamp::MAX, Timestamp::from_millis(i64::MIN)] {
            let mut counter = Counter::new(quota(1, window));
            counter.take(now);
            counter.take(NOW);
            counter.take(now);
        }
    }
}
