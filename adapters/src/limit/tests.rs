//! Limits on both of their sides, with the time moved by hand.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use policies::limit::{Dimension, Limit, LimitKey, Metering, Rate, Values};
use policies::time::Timestamp;

use super::local::LocalLimiter;
use super::peer::PeerGuard;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);

fn rate(count: u32, per: Duration) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), per }
}

fn limit(id: &str, count: u32, per: Duration, burst: u32) -> Limit {
    let burst = NonZeroU32::new(burst).unwrap();
    Limit::bucket(id, &[Dimension::Client], rate(count, per), burst)
}

fn key(limit: &Limit, client: &str) -> LimitKey {
    LimitKey::of(
        limit,
        &Values { client: Some(client), organisation: Some("bank"), operation: Some("pay"), ..Values::default() },
    )
}

#[test]
fn a_burst_fits_once_and_then_the_rate_holds() {
    let limiter = LocalLimiter::new();
    let limit = limit("l", 2, Duration::from_secs(1), 5);
    let key = key(&limit, "a");
    for remaining in (0..5).rev() {
        assert_eq!(limiter.check(&limit, &key, NOW), Metering::Within { remaining });
    }
    let retry_after = Duration::from_millis(500);
    assert_eq!(limiter.check(&limit, &key, NOW), Metering::Exceeded { retry_after });
    let soon = NOW + retry_after - TICK;
    assert_eq!(limiter.check(&limit, &key, soon), Metering::Exceeded { retry_after: TICK });
    assert_eq!(limiter.check(&limit, &key, NOW + retry_after), Metering::Within { remaining: 0 });
    assert!(matches!(limiter.check(&limit, &key, NOW + retry_after), Metering::Exceeded { .. }));
    // After a long rest there is a whole burst again, and no more.
    let rested = NOW + Duration::from_secs(3600);
    assert_eq!(limiter.check(&limit, &key, rested), Metering::Within { remaining: 4 });
}

#[test]
fn a_burst_that_was_changed_is_kept_at_once() {
    let limiter = LocalLimiter::new();
    let (narrow, wide) = (limit("l", 1, Duration::from_secs(60), 1), limit("l", 1, Duration::from_secs(60), 3));
    assert_eq!(key(&narrow, "a"), key(&wide, "a"));
    assert_eq!(limiter.check(&wide, &key(&wide, "a"), NOW), Metering::Within { remaining: 2 });
    assert_eq!(limiter.check(&narrow, &key(&narrow, "a"), NOW), Metering::Within { remaining: 0 });
    assert!(matches!(limiter.check(&narrow, &key(&narrow, "a"), NOW), Metering::Exceeded { .. }));
    assert_eq!(limiter.check(&wide, &key(&wide, "a"), NOW), Metering::Within { remaining: 2 });
}

#[test]
fn each_key_has_its_own_bucket() {
    let limiter = LocalLimiter::new();
    let limit = limit("l", 1, Duration::from_secs(60), 1);
    assert_eq!(limiter.check(&limit, &key(&limit, "a"), NOW), Metering::Within { remaining: 0 });
    assert!(matches!(limiter.check(&limit, &key(&limit, "a"), NOW), Metering::Exceeded { .. }));
    assert_eq!(limiter.check(&limit, &key(&limit, "b"), NOW), Metering::Within { remaining: 0 });
}

#[test]
fn a_full_limiter_refuses_new_keys_until_old_buckets_are_full_again() {
    let limiter = LocalLimiter::with_keys_max(16);
    let limit = limit("l", 1, Duration::from_secs(1), 2);
    let names: Vec<_> = (0..400).map(|number| number.to_string()).collect();
    let kept = |now| {
        names.iter().filter(|name| limiter.check(&limit, &key(&limit, name), now) != Metering::KeysExhausted).count()
    };
    assert_eq!(kept(NOW), 16);
    // Those that are kept are still counted: two of two are used after the second round.
    assert_eq!(kept(NOW), 16);
    assert_eq!(kept(NOW + Duration::from_millis(2000)), 16);
    let fresh = names.iter().filter(|name| {
        limiter.check(&limit, &key(&limit, &format!("x{name}")), NOW + Duration::from_secs(10))
            == Metering::Within { remaining: 1 }
    });
    assert_eq!(fresh.count(), 16);
}

#[test]
fn a_clock_that_goes_back_does_not_lock_anybody_out() {
    let limiter = LocalLimiter::new();
    let limit = limit("l", 1, Duration::from_secs(1), 2);
    let key = key(&limit, "a");
    assert!(matches!(limiter.check(&limit, &key, NOW), Metering::Within { .. }));
    let before = NOW - Duration::from_secs(3600);
    assert_eq!(limiter.check(&limit, &key, before), Metering::Within { remaining: 1 });

    let guard = PeerGuard::new(rate(1, Duration::from_secs(1)), NonZeroU32::new(2).unwrap());
    let peer: IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(guard.check(peer, NOW), Metering::Within { remaining: 1 });
    assert_eq!(guard.check(peer, before), Metering::Within { remaining: 1 });
}

#[test]
fn one_limiter_counts_for_all_threads() {
    let limiter = LocalLimiter::new();
    let limit = limit("l", 1, Duration::from_secs(3600), 100);
    let within: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let key = key(&limit, "a");
                    (0..100).filter(|_| matches!(limiter.check(&limit, &key, NOW), Metering::Within { .. })).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(within, 100);
}

#[test]
fn odd_rates_neither_panic_nor_let_everything_through() {
    let limiter = LocalLimiter::new();
    for (count, per) in
        [(u32::MAX, Duration::from_secs(1)), (1, Duration::from_secs(86_400)), (3, Duration::from_secs(1))]
    {
        let limit = limit(&format!("{count}/{per:?}"), count, per, 1);
        let key = key(&limit, "a");
        assert_eq!(limiter.check(&limit, &key, NOW), Metering::Within { remaining: 0 });
        assert!(matches!(limiter.check(&limit, &key, NOW), Metering::Exceeded { .. }), "{limit:?}");
    }
    let guard = PeerGuard::new(rate(1, Duration::MAX), NonZeroU32::MAX);
    assert!(matches!(guard.check("192.0.2.1".parse().unwrap(), NOW), Metering::Within { .. }));
}

#[test]
fn a_peer_has_its_burst_and_then_the_rate() {
    let guard = PeerGuard::new(rate(10, Duration::from_secs(1)), NonZeroU32::new(3).unwrap());
    let peer: IpAddr = "192.0.2.1".parse().unwrap();
    for remaining in (0..3).rev() {
        assert_eq!(guard.check(peer, NOW), Metering::Within { remaining });
    }
    let retry_after = Duration::from_millis(100);
    assert_eq!(guard.check(peer, NOW), Metering::Exceeded { retry_after });
    assert_eq!(guard.check(peer, NOW + retry_after - TICK), Metering::Exceeded { retry_after: TICK });
    assert_eq!(guard.check(peer, NOW + retry_after), Metering::Within { remaining: 0 });
}

#[test]
fn addresses_of_one_v6_network_are_one_peer_and_mapped_v4_is_v4() {
    let guard = PeerGuard::new(rate(1, Duration::from_secs(60)), NonZeroU32::new(1).unwrap());
    let check = |address: &str| guard.check(address.parse().unwrap(), NOW);
    assert_eq!(check("2001:db8:1:2::1"), Metering::Within { remaining: 0 });
    assert!(matches!(check("2001:db8:1:2:ffff::9"), Metering::Exceeded { .. }));
    assert_eq!(check("192.0.2.1"), Metering::Within { remaining: 0 });
    assert!(matches!(check("::ffff:192.0.2.1"), Metering::Exceeded { .. }));
    // Two slots may be one by chance, but not all of twenty.
    let others = (0..20).filter(|number| matches!(check(&format!("2001:db8:2:{number}::1")), Metering::Within { .. }));
    assert!(others.count() > 10);
}
