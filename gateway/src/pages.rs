//! The citizens' pages at their desk: providers are reached through the broker, accounts are asked of the bank.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use adapters::keys::{Keyring, Subjects};
use adapters::limit::peer::PeerGuard;
use adapters::store::port::Answer;
use oauth::identify::{Accounts, Begun, Check, Checked, Identify, Later, Office, OwnAccount};
use oauth::visit::Visit;
use policies::code::{Code, Outage};
use policies::id::VerificationId;
use policies::limit::{Metering, Rate};
use policies::secret::Secret;
use policies::time::Timestamp;
use spine::Reply;
use spine::error::Rejection;
use spine::stage::{Cleared, SoundBody};
use spine::trail::Trail;

use crate::accounts;
use crate::authority::Authority;
use crate::generation::Generation;
use crate::house::House;
use crate::own::Page;
use crate::reach::Reach;

/// The house, the policies and what is reached, for one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Keys and stores.
    pub(crate) house: &'a House,
    /// The policies.
    pub(crate) generation: &'a Generation,
    /// Backends and providers.
    pub(crate) reach: &'a Reach,
}

impl<'a> Place<'a> {
    /// Gives flows of the identity broker what they work with.
    pub(crate) fn broker(&self, keyring: &'a Keyring) -> broker::Broker<'a> {
        broker::Broker {
            offered: &self.generation.rulebook.providers,
            providers: &self.reach.providers,
            verifications: &*self.house.verifications,
            sealer: &self.house.sealer,
            subjects: Subjects::new(&self.house.sealer, &*self.house.subject_keys),
            signer: keyring.signer(),
            issuer: &self.house.issuer,
            external: &self.house.external,
        }
    }
}

/// How many identity checks may be begun by pages from one address each second: a carrier puts thousands of people behind
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
    of_each: PeerGuard,
    of_all: PeerGuard,
}

impl Default for Beginnings {
    fn default() -> Self {
        let each_second = |count| Rate { count, per: Duration::from_secs(1) };
        Self {
            of_each: PeerGuard::new(each_second(BEGUN_PER_ADDRESS), BEGUN_PER_ADDRESS_AT_ONCE),
            of_all: PeerGuard::new(each_second(BEGUN), BEGUN_AT_ONCE),
        }
    }
}

impl Beginnings {
    /// Counts one check of a browser at `peer`.
    ///
    /// # Errors
    /// [`Code::RateLimited`] where there is no room; one address that has none takes none of the others'.
    pub(crate) fn check(&self, peer: IpAddr, now: Timestamp) -> Result<(), Rejection> {
        let room = match self.of_each.check(peer, now) {
            Metering::Within { .. } => self.of_all.check(IpAddr::V4(Ipv4Addr::UNSPECIFIED), now),
            none => none,
        };
        let refused = || Rejection::new(Code::RateLimited, "Too many identity checks are begun.");
        match room {
            Metering::Within { .. } => Ok(()),
            Metering::Exceeded { retry_after } => Err(refused().retry_after(retry_after)),
            Metering::KeysExhausted => Err(refused()),
        }
    }
}

/// Shows a citizen's browser a page.
pub(crate) async fn show(at: &Place<'_>, page: Page, cleared: &Cleared) -> Result<Reply, Rejection> {
    let unreadable = || Rejection::new(Code::OauthInvalidRequest, "The form cannot be read.");
    let query = cleared.head.uri.query().unwrap_or_default();
    let query = openapi::form_fields(query.as_bytes()).ok_or_else(unreadable)?;
    let form = match cleared.sound_body() {
        SoundBody::Checked { raw, .. } => openapi::form_fields(raw).ok_or_else(unreadable)?,
        SoundBody::None | SoundBody::Streamed => Vec::new(),
    };
    let (trail, now) = (&cleared.trail, cleared.received);
    let house = at.house;
    let authority = Authority::new(house, at.generation);
    let peer = cleared.peer.address;
    let bridge = Bridge { at: *at, trail, peer, worker: cleared.worker, deadline: cleared.deadline };
    let office = Office {
        server: authority.server(),
        external: &house.external,
        sealer: &house.sealer,
        subjects: Subjects::new(&house.sealer, &*house.subject_keys),
        identify: &bridge,
        accounts: &bridge,
        asked_max: house.limits.asked_max,
    };
    let visit = Visit { headers: &cleared.head.headers, query: &query, form: &form, trail, now };
    match page {
        Page::Authorization => oauth::authorize::show(&office, &visit).await,
        Page::AuthorizationForm => oauth::authorize::decide(&office, &visit).await,
        Page::Return => oauth::authorize::returned(&office, &visit).await,
        Page::Consents => oauth::citizen::show(&office, &visit).await,
        Page::ConsentsForm => oauth::citizen::change(&office, &visit).await,
    }
}

/// Leads from the pages to whatever answers their questions.
struct Bridge<'a> {
    at: Place<'a>,
    trail: &'a Trail,
    peer: IpAddr,
    worker: usize,
    deadline: Instant,
}

impl Identify for Bridge<'_> {
    fn room(&self, now: Timestamp) -> Result<(), Rejection> {
        self.at.house.beginnings.check(self.peer, now)
    }

    fn begin<'a>(&'a self, check: Check<'a>) -> Later<'a, Begun> {
        Box::pin(async move {
            let Check { iin, reason, level, return_url, now } = check;
            let keyring = self.at.house.keyring.now();
            let login = broker::Login { subject: iin, reason, level, return_url };
            let begun = broker::begin_login(&self.at.broker(&keyring), &login, self.trail, now).await?;
            Ok(Begun { verification: begun.id, capture_url: begun.capture_url })
        })
    }

    fn find<'a>(&'a self, verification: &'a VerificationId, now: Timestamp) -> Later<'a, Checked> {
        Box::pin(async move {
            let keyring = self.at.house.keyring.now();
            let found = broker::find_login(&self.at.broker(&keyring), verification).await?;
            Ok(Checked { state: found.state_at(now), acr: found.acr })
        })
    }
}

impl Accounts for Bridge<'_> {
    fn of_citizen<'a>(&'a self, iin: &'a Secret<String>) -> Answer<'a, Vec<OwnAccount>> {
        Box::pin(async move {
            let pools = self.at.reach.pools.get(self.worker);
            let pools = pools.ok_or_else(|| Outage::new("customer accounts", "a serving thread has no connections"))?;
            let generation = self.at.generation;
            let named = accounts::of_customer(generation, pools, iin, self.trail.interaction(), self.deadline).await?;
            Ok(named.into_iter().map(|named| OwnAccount { shared: named.account, label: named.name }).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    fn begun(beginnings: &Beginnings, last: u8, times: u32, now: Timestamp) -> u32 {
        let begun = (0..times).filter(|_| beginnings.check(address(last), now).is_ok());
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
        let later = NOW + Duration::from_secs(1);
        assert_eq!(begun(&beginnings, 1, each, later), BEGUN_PER_ADDRESS.get());
        assert_eq!(begun(&beginnings, 4, each, later), BEGUN.get() - BEGUN_PER_ADDRESS.get());
    }
}
