//! The citizens' pages at their desk: providers are reached through the broker, accounts are asked of the bank.

use std::net::IpAddr;
use std::time::Instant;

use adapters::keys::{Keyring, Subjects};
use adapters::store::port::Answer;
use oauth::identify::{Accounts, Begun, Check, Checked, Identify, Later, Office, OwnAccount};
use oauth::visit::Visit;
use policies::code::{Code, Outage};
use policies::id::VerificationId;
use policies::login::Errand;
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
    fn browser(&self, now: Timestamp) -> Result<(), Rejection> {
        self.at.house.beginnings.browser(self.peer, now)
    }

    fn room(&self, errand: &Errand, now: Timestamp) -> Result<(), Rejection> {
        self.at.house.beginnings.check(errand, self.peer, now)
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
