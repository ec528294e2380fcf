//! The citizens' pages at their desk: providers are reached through the broker, accounts are asked of the bank.
//!
//! Also tells which refusals a browser reads as a page, whatever stage they come from.

use std::time::Instant;

use adapters::keys::Subjects;
use adapters::store::port::Answer;
use http::{HeaderMap, Method};
use oauth::identify::{Accounts, Begun, Check, Checked, Identify, Later, Office, OwnAccount};
use oauth::pages::{AUTHORIZE, CONSENTS, Language, RETURN};
use oauth::visit::{Visit, language_of};
use policies::code::{Code, Outage};
use policies::id::{InteractionId, VerificationId};
use policies::secret::Secret;
use policies::time::Timestamp;
use spine::Reply;
use spine::error::Rejection;
use spine::stage::{Cleared, SoundBody};
use spine::trail::Trail;

use crate::accounts;
use crate::authority::Authority;
use crate::deed::Deed;
use crate::own::Page;

/// How a browser reads a refusal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader(Language);

impl Reader {
    /// Finds out whether a page is asked for.
    pub(crate) fn of(method: &Method, path: &str, headers: &HeaderMap) -> Option<Self> {
        let ours = [AUTHORIZE, RETURN, CONSENTS].contains(&path) && (method == Method::GET || method == Method::POST);
        ours.then(|| Self(language_of(headers)))
    }

    /// Writes a refusal as a page.
    pub(crate) fn page(self, rejection: &Rejection, interaction: &InteractionId) -> Reply {
        oauth::pages::problem(self.0, rejection.code(), rejection.status(), interaction.as_str())
    }
}

/// Shows a citizen's browser a page.
pub(crate) async fn show(deed: &Deed, page: Page, cleared: &Cleared) -> Result<Reply, Rejection> {
    let unreadable = || Rejection::new(Code::OauthInvalidRequest, "The form cannot be read.");
    let query = cleared.head.uri.query().unwrap_or_default();
    let query = openapi::form_fields(query.as_bytes()).ok_or_else(unreadable)?;
    let form = match cleared.sound_body() {
        SoundBody::Checked { raw, .. } => openapi::form_fields(raw).ok_or_else(unreadable)?,
        SoundBody::None | SoundBody::Streamed => Vec::new(),
    };
    let (trail, now) = (&cleared.trail, cleared.received);
    let house = &deed.house;
    let authority = Authority::new(house, &deed.generation);
    let bridge = Bridge { deed, trail, worker: cleared.worker, deadline: cleared.deadline };
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
    deed: &'a Deed,
    trail: &'a Trail,
    worker: usize,
    deadline: Instant,
}

impl Identify for Bridge<'_> {
    fn begin<'a>(&'a self, check: Check<'a>) -> Later<'a, Begun> {
        Box::pin(async move {
            let Check { iin, reason, level, return_url, now } = check;
            let keyring = self.deed.house.keyring.now();
            let login = broker::Login { subject: iin, reason, level, return_url };
            let begun = broker::begin_login(&self.deed.broker(&keyring), &login, self.trail, now).await?;
            Ok(Begun { verification: begun.id, capture_url: begun.capture_url })
        })
    }

    fn find<'a>(&'a self, verification: &'a VerificationId, now: Timestamp) -> Later<'a, Checked> {
        Box::pin(async move {
            let keyring = self.deed.house.keyring.now();
            let found = broker::find_login(&self.deed.broker(&keyring), verification).await?;
            Ok(Checked { state: found.state_at(now), acr: found.acr })
        })
    }
}

impl Accounts for Bridge<'_> {
    fn of_citizen<'a>(&'a self, iin: &'a Secret<String>) -> Answer<'a, Vec<OwnAccount>> {
        Box::pin(async move {
            let pools = self.deed.reach.pools.get(self.worker);
            let pools = pools.ok_or_else(|| Outage::new("customer accounts", "a serving thread has no connections"))?;
            let generation = &self.deed.generation;
            let named = accounts::of_customer(generation, pools, iin, self.trail.interaction(), self.deadline).await?;
            Ok(named.into_iter().map(|named| OwnAccount { shared: named.account, label: named.name }).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_browsers_at_the_pages_read_pages() {
        let headers = HeaderMap::new();
        for path in ["/oauth/token", "/oauth/par", "/oauth/authorize/", "/oauth/consents/x", "/v1/accounts"] {
            assert!(Reader::of(&Method::GET, path, &headers).is_none(), "{path}");
        }
        assert!(Reader::of(&Method::PUT, AUTHORIZE, &headers).is_none());
        for path in [AUTHORIZE, RETURN, CONSENTS] {
            assert!(Reader::of(&Method::GET, path, &headers).is_some(), "{path}");
        }
        assert!(Reader::of(&Method::POST, CONSENTS, &headers).is_some());
    }
}
