//! The share that one gateway of several has of a limit while they cannot count together.

use std::num::NonZeroU32;

use super::{Bucket, Polls, Quota, Rate, Sessions, Shape};

/// Returns the share of one of so many gateways, each part rounded down and never below one.
///
/// All shares together are the limit, but for parts that cannot be divided further. A bucket refills more slowly rather
/// than by fewer tokens, which would be none. Of sessions the calls are divided and not the days: each gateway sees each
/// session.
#[must_use]
pub fn divided(shape: &Shape, replicas: NonZeroU32) -> Shape {
    let part = |whole: NonZeroU32| NonZeroU32::new(whole.get() / replicas).unwrap_or(NonZeroU32::MIN);
    match shape {
        Shape::Bucket(bucket) => {
            let per = bucket.rate.per.saturating_mul(replicas.get());
            let rate = Rate { per, ..bucket.rate };
            Shape::Bucket(Bucket { rate, burst: part(bucket.burst), ..bucket.clone() })
        }
        Shape::Quota(quota) => Shape::Quota(Quota { most: part(quota.most), ..quota.clone() }),
        Shape::InFlight(most) => Shape::InFlight(part(*most)),
        Shape::Polls(polls) => Shape::Polls(Polls { most: part(polls.most), ..polls.clone() }),
        Shape::Sessions(sessions) => {
            let (calls, rate) = (part(sessions.calls), part(sessions.rate));
            Shape::Sessions(Sessions { calls, rate, ..sessions.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Window;
    use super::super::testing::{Counter, Dice, HOUR, MINUTE, NOW, SECOND, bucket, number, polls, quota, sessions};
    use super::*;

    #[test]
    fn a_share_is_never_below_one() {
        for seed in 0..200 {
            let shape = Dice(seed).shape();
            let mut counter = Counter::new(divided(&shape, NonZeroU32::MAX));
            assert!(counter.fits(NOW), "{shape:?}");
        }
    }

    #[test]
    fn the_share_of_the_only_one_is_all_of_it() {
        for seed in 0..200 {
            let shape = Dice(seed).shape();
            assert_eq!(divided(&shape, NonZeroU32::MIN), shape);
        }
    }

    #[test]
    fn shares_are_rounded_down() {
        let third = |shape: &Shape| divided(shape, number(3));
        assert_eq!(third(&quota(8, Window::Day)), quota(2, Window::Day));
        assert_eq!(third(&quota(9, Window::Day)), quota(3, Window::Day));
        assert_eq!(third(&Shape::InFlight(number(5))), Shape::InFlight(number(1)));
        let asked = polls(SECOND, MINUTE, 6, HOUR);
        assert_eq!(third(&Shape::Polls(asked)), Shape::Polls(polls(SECOND, MINUTE, 2, HOUR)));
        let called = sessions(20, 100, 5, MINUTE);
        assert_eq!(third(&Shape::Sessions(called)), Shape::Sessions(sessions(20, 33, 1, MINUTE)));
        let tokens = bucket(2, MINUTE, 100);
        assert_eq!(third(&Shape::Bucket(tokens)), Shape::Bucket(bucket(2, 3 * MINUTE, 33)));
    }

    #[test]
    fn all_shares_of_a_bucket_together_let_in_no_more_than_it_does() {
        for replicas in [2, 3, 7] {
            let mut shares: Vec<Counter> = Vec::new();
            for _ in 0..replicas {
                shares.push(Counter::new(divided(&Shape::Bucket(bucket(10, SECOND, 21)), number(replicas))));
            }
            let mut taken = 0;
            for millis in (0..=60_000).step_by(100) {
                let now = NOW + Duration::from_millis(millis);
                taken += shares.iter_mut().map(|share| share.drain(now)).sum::<u32>();
            }
            assert!((590..=621).contains(&taken), "{replicas}: {taken}");
        }
    }
}
