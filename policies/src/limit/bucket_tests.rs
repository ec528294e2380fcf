#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::super::Shape;
use super::super::testing::{Counter, Dice, HOUR, MINUTE, NOW, SECOND, TICK, bucket, number};
use super::*;

fn counter(count: u32, per: Duration, burst: u32) -> Counter {
    Counter::new(Shape::Bucket(bucket(count, per, burst)))
}

/// The costs of DICT's user antiscan: what is not there costs twenty.
fn lookups() -> Bucket {
    let costs = Costs { of: BTreeMap::from([(200, 1), (404, 20), (500, 0)]), otherwise: 1 };
    Bucket { costs: Some(costs), ..bucket(2, MINUTE, 100) }
}

#[test]
fn a_burst_fits_once_and_then_the_rate_holds() {
    let mut counter = counter(2, SECOND, 5);
    for remaining in (0..5).rev() {
        let verdict = counter.take(NOW);
        assert_eq!((verdict.admitted, verdict.remaining, verdict.capacity), (true, remaining, 5));
    }
    let refused = counter.take(NOW);
    assert!(!refused.admitted);
    assert_eq!((refused.remaining, refused.more_after), (0, Duration::from_millis(500)));
    assert_eq!(refused.window, Duration::from_millis(2500));
    assert!(!counter.fits(NOW + Duration::from_millis(499)));
    assert!(counter.fits(NOW + Duration::from_millis(500)));
    assert!(!counter.fits(NOW + Duration::from_millis(999)));
    assert_eq!(counter.drain(NOW + HOUR), 5);
}

#[test]
fn a_refused_call_takes_nothing() {
    let mut counter = counter(1, SECOND, 1);
    assert!(counter.fits(NOW));
    for millis in 0..1000 {
        assert!(!counter.fits(NOW + Duration::from_millis(millis)));
    }
    assert!(counter.fits(NOW + SECOND));
}

#[test]
fn a_wait_is_told_in_whole_milliseconds_and_not_too_short() {
    let mut counter = counter(3, SECOND, 1);
    assert!(counter.fits(NOW));
    let refused = counter.take(NOW);
    assert_eq!((refused.admitted, refused.more_after), (false, Duration::from_millis(334)));
    assert!(!counter.fits(NOW + Duration::from_millis(333)));
    assert!(counter.fits(NOW + Duration::from_millis(334)));
}

#[test]
fn a_call_costs_what_its_status_does() {
    let costs = lookups().costs.unwrap();
    for (status, cost) in [(200, 1), (404, 20), (500, 0), (403, 1)] {
        assert_eq!(costs.of(status), cost, "{status}");
    }
    assert_eq!(costs.most(), 20);
    assert_eq!(Costs { of: BTreeMap::new(), otherwise: -3 }.most(), -3);
}

#[test]
fn what_is_not_there_is_owed_and_waited_for() {
    let mut counter = Counter::new(Shape::Bucket(lookups()));
    // All are under way before any is settled: a hundred fit, each costs twenty.
    assert_eq!(counter.drain(NOW), 100);
    for _ in 0..100 {
        counter.settle(19, NOW);
    }
    let refused = counter.take(NOW);
    assert!(!refused.admitted);
    assert_eq!(refused.remaining, 0);
    assert_eq!(refused.more_after, 1901 * 30 * SECOND);
    assert_eq!(refused.window, 2000 * 30 * SECOND);
    assert!(!counter.fits(NOW + 1901 * 30 * SECOND - TICK));
    assert!(counter.fits(NOW + 1901 * 30 * SECOND));
}

#[test]
fn no_more_is_owed_than_a_burst_of_the_dearest_calls() {
    let mut counter = Counter::new(Shape::Bucket(lookups()));
    counter.settle(2000, NOW);
    assert_eq!(counter.room(NOW).window, 2000 * 30 * SECOND);
    for tokens in [1, 1_000_000, i64::MAX] {
        counter.settle(tokens, NOW);
        assert_eq!(counter.room(NOW).window, 2000 * 30 * SECOND + STEP_BACK_MAX, "{tokens}");
    }
}

#[test]
fn what_is_owed_while_the_clock_is_back_is_not_forgiven() {
    let costs = Costs { of: BTreeMap::from([(404, 20)]), otherwise: 1 };
    let terms = Bucket { costs: Some(costs), ..bucket(100, 10 * SECOND, 2) };
    let mut counter = Counter::new(Shape::Bucket(terms));
    // Both are answered while the clock is as far back as is waited for: forty tokens, of 100 ms each.
    assert_eq!(counter.drain(NOW), 2);
    counter.settle(19, NOW - STEP_BACK_MAX);
    counter.settle(19, NOW - STEP_BACK_MAX);
    let owed = 39 * Duration::from_millis(100);
    assert!(!counter.fits(NOW + owed - TICK));
    assert!(counter.fits(NOW + owed));
}

#[test]
fn what_is_given_back_never_goes_beyond_the_burst() {
    let mut counter = Counter::new(Shape::Bucket(lookups()));
    for tokens in [-1, -1000, i64::MIN] {
        counter.settle(tokens, NOW);
        assert_eq!(counter.room(NOW).remaining, 100, "{tokens}");
    }
    assert_eq!(counter.drain(NOW), 100);
    counter.settle(-20, NOW);
    assert_eq!(counter.drain(NOW), 20);
    counter.settle(-100, NOW);
    counter.settle(-1, NOW);
    assert_eq!(counter.drain(NOW), 100);
}

#[test]
fn five_lookups_of_what_is_not_there_use_up_a_hundred_tokens() {
    let mut counter = Counter::new(Shape::Bucket(lookups()));
    for _ in 0..5 {
        assert!(counter.fits(NOW));
        counter.settle(19, NOW);
    }
    assert!(!counter.fits(NOW + 30 * SECOND - TICK));
    assert!(counter.fits(NOW + 30 * SECOND));
}

#[test]
fn a_clock_that_stepped_back_by_five_seconds_is_waited_for() {
    let mut counter = counter(10, SECOND, 10);
    assert_eq!(counter.drain(NOW), 10);
    let back = NOW - STEP_BACK_MAX;
    assert_eq!(counter.drain(back), 0);
    assert_eq!(counter.drain(NOW), 0);
    assert_eq!(counter.room(back).more_after, STEP_BACK_MAX + Duration::from_millis(100));
    assert_eq!(counter.drain(NOW + Duration::from_millis(100)), 1);
}

#[test]
fn a_clock_that_stepped_back_further_is_another_one_and_opens_nothing() {
    let mut counter = counter(10, SECOND, 10);
    assert_eq!(counter.drain(NOW), 10);
    let back = NOW - STEP_BACK_MAX - TICK;
    assert_eq!(counter.drain(back), 0);
    assert_eq!(counter.drain(back + Duration::from_millis(99)), 0);
    assert_eq!(counter.drain(back + Duration::from_millis(100)), 1);
    assert_eq!(counter.drain(back + Duration::from_secs(2)), 10);
}

#[test]
fn rates_and_times_at_the_edge_of_what_can_be_told_do_no_harm() {
    let most = Bucket { burst: NonZeroU32::MAX, ..bucket(1, Duration::MAX, 1) };
    let least = Bucket { burst: NonZeroU32::MAX, ..bucket(u32::MAX, TICK, 1) };
    for terms in [most, least] {
        for now in [Timestamp::from_millis(i64::MIN), Timestamp::from_millis(-1), NOW, Timestamp::MAX] {
            let mut counter = Counter::new(Shape::Bucket(terms.clone()));
            counter.take(now);
            counter.settle(i64::MAX, now);
            counter.settle(i64::MIN, now);
            counter.take(Timestamp::MAX);
            counter.take(Timestamp::from_millis(i64::MIN));
        }
    }
}

#[test]
fn a_bucket_that_refills_for_longer_than_can_be_told_is_used_up_too() {
    // A token a day: 194 years refill so many.
    let held = u32::try_from(SPAN_NANOS_MAX / (86_400 * 1_000_000_000)).unwrap();
    for burst in [held - 1, held, held + 1, 1_000_000, u32::MAX] {
        let mut counter = counter(1, 24 * HOUR, burst);
        assert_eq!(counter.drain(NOW), burst.min(held), "{burst}");
        // What was cut off may be a part of a token, which is then there earlier.
        assert!(!counter.fits(NOW + TICK), "{burst}");
        assert_eq!(counter.drain(NOW + 24 * HOUR - TICK) + counter.drain(NOW + 24 * HOUR), 1, "{burst}");
    }
    let mut never = counter(1, Duration::MAX, u32::MAX);
    assert_eq!(never.drain(NOW), 1);
    assert!(!never.fits(NOW + 100 * 365 * 24 * HOUR));
}

/// Counts tokens that come in rather than times: another arithmetic for the same meaning.
struct Tokens {
    cell: i128,
    burst: i128,
    level: i128,
    at: Timestamp,
}

impl Tokens {
    fn refill(&mut self, now: Timestamp) {
        let passed = i128::from(now.millis() - self.at.millis()) * 1_000_000;
        self.level = (self.level + passed).min(self.burst * self.cell);
        self.at = now;
    }

    fn take(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        let fits = self.level >= self.cell;
        if fits {
            self.level -= self.cell;
        }
        fits
    }
}

#[test]
fn any_bucket_is_one_of_tokens_that_come_in_with_time() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let dearest = i32::try_from(dice.below(30)).unwrap();
        let costs = Costs { of: BTreeMap::from([(404, dearest), (200, -2)]), otherwise: 1 };
        let per = TICK + dice.span(2 * SECOND);
        let terms = Bucket {
            rate: Rate { count: dice.number(20), per },
            burst: dice.number(20),
            costs: Some(costs),
            credit: None,
        };
        let cell = i128::try_from((per / terms.rate.count.get()).as_nanos()).unwrap();
        let burst = i128::from(terms.burst.get());
        let mut tokens = Tokens { cell, burst, level: burst * cell, at: NOW };
        let mut counter = Counter::new(Shape::Bucket(terms));
        let mut now = NOW;
        for _ in 0..300 {
            now = now + dice.span(Duration::from_millis(u64::try_from(2 * cell / 1_000_000).unwrap() + 1));
            let verdict = counter.take(now);
            assert_eq!(verdict.admitted, tokens.take(now), "seed {seed} at {now}");
            assert_eq!(i128::from(verdict.remaining), (tokens.level / cell).max(0), "seed {seed} at {now}");
            if verdict.admitted && dice.below(3) == 0 {
                let settled = if dice.below(2) == 0 { i64::from(dearest) - 1 } else { -3 };
                counter.settle(settled, now);
                let step = i128::try_from(STEP_BACK_MAX.as_nanos()).unwrap();
                let owed = (burst - burst * i128::from(dearest.max(1))) * cell - step;
                let level = tokens.level + i128::from(-settled) * cell;
                tokens.level = level.min(burst * cell).max(owed);
            }
        }
    }
}

#[test]
fn a_limit_may_change_under_what_was_counted() {
    let mut used = Counter::new(Shape::Bucket(bucket(1, SECOND, 10)));
    assert_eq!(used.drain(NOW), 10);
    // A smaller burst: what was used still is, and no longer than the new bucket needs.
    used.shape = Shape::Bucket(Bucket { burst: number(2), ..bucket(1, SECOND, 1) });
    assert_eq!(used.drain(NOW), 0);
    assert_eq!(used.drain(NOW + SECOND - TICK), 0);
    assert_eq!(used.drain(NOW + SECOND), 1);
    used.shape = Shape::InFlight(number(2));
    assert_eq!(used.drain(NOW), 2);
}
