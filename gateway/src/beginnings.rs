//! How many logins and identity checks are begun by pages: whoever opens one is a stranger, and each check costs somebody.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use adapters::limit::peer::PeerGuard;
use policies::code::Code;
use policies::limit::{Metering, Rate};
use policies::login::Errand;
use policies::time::Timestamp;
use spine::error::Rejection;

/// How many logins, and how many identity checks, may be begun by pages from one address each second: a carrier puts thousands of people behind
/// one, but only few of them sit down to this in the same second.
const BEGUN_PER_ADDRESS: NonZeroU32 = NonZeroU32::new(5).expect("it is not zero");

/// How many at once.
const BEGUN_PER_ADDRESS_AT_ONCE: NonZeroU32 = NonZeroU32::new(200).expect("it is not zero");

/// How many may be begun by pages from everywhere each second: each costs a provider's time, and leaves a person's key.
const BEGUN: NonZeroU32 = NonZeroU32::new(20).expect("it is not zero");

/// How many at once.
const BEGUN_AT_ONCE: NonZeroU32 = NonZeroU32::new(400).expect("it is not zero");

/// Bounds what strangers begin: whoever knows how numbers are made could ask for checks of anybody.
#[derive(Debug)]
pub struct Beginnings {
    browsers: PeerGuard,
    of_each: PeerGuard,
    requests: PeerGuard,
    own_consents: PeerGuard,
}

impl Default for Beginnings {
    fn default() -> Self {
        let each_second = |count| Rate { count, per: Duration::from_secs(1) };
        let of_address = || PeerGuard::new(each_second(BEGUN_PER_ADDRESS), BEGUN_PER_ADDRESS_AT_ONCE);
        let of_all = || PeerGuard::new(each_second(BEGUN), BEGUN_AT_ONCE);
        Self { browsers: of_address(), of_each: of_address(), requests: of_all(), own_consents: of_all() }
    }
}

impl Beginnings {
    /// Counts one browser that a login is to be kept for.
    ///
    /// # Errors
    /// [`Code::RateLimited`] where its address has no room.
    pub(crate) fn browser(&self, peer: IpAddr, now: Timestamp) -> Result<(), Rejection> {
        admitted(self.browsers.check(peer, now))
    }

    /// Counts one check. An address without room takes none of the others'. Anybody may look for own consents, while a
    /// request comes from a client: strangers who use up the one leave the other alone.
    ///
    /// # Errors
    /// [`Code::RateLimited`] where there is no room.
    pub(crate) fn check(&self, errand: &Errand, peer: IpAddr, now: Timestamp) -> Result<(), Rejection> {
        admitted(self.of_each.check(peer, now))?;
        let of_all = match errand {
            Errand::Request { .. } => &self.requests,
            Errand::OwnConsents => &self.own_consents,
        };
        admitted(of_all.check(IpAddr::V4(Ipv4Addr::UNSPECIFIED), now))
    }
}

fn admitted(room: Metering) -> Result<(), Rejection> {
    let refused = || Rejection::new(Code::RateLimited, "Too many identity checks are begun.");
    match room {
        Metering::Within { .. } => Ok(()),
        Metering::Exceeded { retry_after } => Err(refused().retry_after(retry_after)),
        Metering::KeysExhausted => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use policies::id::ClientId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    fn begun(beginnings: &Beginnings, last: u8, times: u32, now: Timestamp) -> u32 {
        let begun = (0..times).filter(|_| beginnings.check(&Errand::OwnConsents, address(last), now).is_ok());
        u32::try_from(begun.count()).unwrap_or(u32::MAX)
    }

    #[test]
    fn strangers_begin_no_more_than_there_is_room_for() {
        let beginnings = Beginnings::default();
        let (each, all) = (BEGUN_PER_ADDRESS_AT_ONCE.get(), BEGUN_AT_ONCE.get());
        assert_eq!(begun(&beginnings, 1, each * 3, NOW), each);
        // What one address was refused takes nothing of the others'.
        assert_eq!(begun(&beginnings, 2, each, NOW), each);
        assert_eq!(begun(&beginnings, 3, each, NOW), all - 2 * each);
        // Nor do all of them together of those who come on the request of a client.
        let client = ClientId::parse("demo-app").unwrap();
        let errand = Errand::Request { pushed: [0; 32], client };
        assert!(beginnings.check(&errand, address(4), NOW).is_ok());
        let later = NOW + Duration::from_secs(1);
        assert_eq!(begun(&beginnings, 1, each, later), BEGUN_PER_ADDRESS.get());
        assert_eq!(begun(&beginnings, 5, each, later), BEGUN.get() - BEGUN_PER_ADDRESS.get());
    }

    #[test]
    fn no_address_has_logins_without_end_kept() {
        let beginnings = Beginnings::default();
        let kept = |last, at| (0..1000).filter(|_| beginnings.browser(address(last), at).is_ok()).count();
        assert_eq!(kept(1, NOW), BEGUN_PER_ADDRESS_AT_ONCE.get() as usize);
        assert_eq!(kept(2, NOW), BEGUN_PER_ADDRESS_AT_ONCE.get() as usize);
        assert_eq!(kept(1, NOW + Duration::from_secs(1)), BEGUN_PER_ADDRESS.get() as usize);
    }
}
