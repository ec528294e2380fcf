//! Peers on both sides of their limit, with the time moved by hand.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use policies::limit::clock::STEP_BACK_MAX;
use policies::limit::{Metering, Rate};
use policies::time::Timestamp;

use super::peer::PeerGuard;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);

fn rate(count: u32, per: Duration) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), per }
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

#[test]
fn a_clock_that_goes_back_does_not_lock_a_peer_out() {
    let guard = PeerGuard::new(rate(1, Duration::from_secs(1)), NonZeroU32::new(2).unwrap());
    let peer: IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(guard.check(peer, NOW), Metering::Within { remaining: 1 });
    assert_eq!(guard.check(peer, NOW - Duration::from_secs(3600)), Metering::Within { remaining: 1 });
}

#[test]
fn a_clock_that_steps_back_a_little_opens_nothing_to_a_peer() {
    let guard = PeerGuard::new(rate(1, Duration::from_secs(1)), NonZeroU32::new(2).unwrap());
    let peer: IpAddr = "192.0.2.1".parse().unwrap();
    assert!((0..2).all(|_| matches!(guard.check(peer, NOW), Metering::Within { .. })));
    // A millisecond is what a thread may come late with what it read from the clock.
    for back in [Duration::ZERO, TICK, STEP_BACK_MAX] {
        let retry_after = Duration::from_secs(1) + back;
        assert_eq!(guard.check(peer, NOW - back), Metering::Exceeded { retry_after });
    }
    assert_eq!(guard.check(peer, NOW - STEP_BACK_MAX - TICK), Metering::Within { remaining: 1 });
}

#[test]
fn an_odd_rate_of_peers_does_not_panic() {
    let guard = PeerGuard::new(rate(1, Duration::MAX), NonZeroU32::MAX);
    let peer: IpAddr = "192.0.2.1".parse().unwrap();
    assert!(matches!(guard.check(peer, NOW), Metering::Within { .. }));
    assert!(matches!(guard.check(peer, NOW), Metering::Exceeded { .. }), "nor let everything through");
    // What would take longer to be full than times can tell holds as much as refills until then.
    let guard = PeerGuard::new(rate(1, Duration::from_secs(86_400)), NonZeroU32::MAX);
    let within = (0..100_000).filter(|_| matches!(guard.check(peer, NOW), Metering::Within { .. })).count();
    assert!((70_000..100_000).contains(&within), "{within}");
}
