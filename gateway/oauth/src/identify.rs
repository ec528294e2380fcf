//! Finding out who sits before the browser: the number, the provider's page, the provider's word.
//!
//! The same way leads to a decision and to one's own consents. Must not know how a provider is reached, nor how a bank
//! is asked: those are handed in.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use adapters::authorizations::{Batch, Found, asked_key, find};
use adapters::entropy;
use adapters::keys::{Opened, Sealer, Subjects, record_purpose};
use adapters::store::port::{Answer, Authorizations, SubjectKey};
use policies::audit::PersonalData;
use policies::code::{Code, Outage};
use policies::consent::{ConsentKind, ConsentTerms, Person, SharedAccount};
use policies::id::{ClientId, ConsentId, VerificationId};
use policies::jose::base64url;
use policies::login::{self, Asked, Errand, LOGIN_TIME, Login, LoginError, Progress, Stage};
use policies::national::iin::{Iin, IinError};
use policies::rulebook::Client;
use policies::secret::Secret;
use policies::time::Timestamp;
use policies::verification::State;
use spine::Reply;
use spine::error::Rejection;

use crate::Server;
use crate::pages::{self, Fault};
use crate::visit::{Visit, foreign};

/// An account of a citizen's, as the bank lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAccount {
    /// Its id and number.
    pub shared: SharedAccount,
    /// What the bank calls it; holds no balance.
    pub label: String,
}

/// Asks the bank which accounts a citizen has.
pub trait Accounts: Send + Sync {
    /// Lists the accounts of the person with this number.
    fn of_citizen<'a>(&'a self, iin: &'a Secret<String>) -> Answer<'a, Vec<OwnAccount>>;
}

/// What an identity check is begun with.
#[derive(Debug)]
pub struct Check<'a> {
    /// The number of the person who it should be.
    pub iin: &'a Secret<String>,
    /// Why, in words for the person.
    pub reason: &'a str,
    /// How sure it has to be, for example `L2`.
    pub level: &'a str,
    /// Where the provider's page leads back to.
    pub return_url: &'a str,
    /// When it is begun.
    pub now: Timestamp,
}

/// A check that was begun.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Its id.
    pub verification: VerificationId,
    /// Where the person goes.
    pub capture_url: String,
}

/// How far a check has come.
#[derive(Debug, Clone)]
pub struct Checked {
    /// How far.
    pub state: State,
    /// The context class that was reached, once it has passed.
    pub acr: Option<String>,
}

/// A refusal or a value, some time later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Rejection>> + Send + 'a>>;

/// Has identity providers find out who somebody is.
pub trait Identify: Send + Sync {
    /// Counts a browser that a login is to be kept for; asked beforehand.
    ///
    /// # Errors
    /// [`Code::RateLimited`] where too many were begun from this visit's address.
    fn browser(&self, now: Timestamp) -> Result<(), Rejection>;

    /// Counts a check that is to be begun; asked before anything is kept of it.
    ///
    /// # Errors
    /// [`Code::RateLimited`] where too many were begun from this visit's address, or from everywhere on errands of this kind.
    fn room(&self, errand: &Errand, now: Timestamp) -> Result<(), Rejection>;

    /// Begins a check.
    fn begin<'a>(&'a self, check: Check<'a>) -> Later<'a, Begun>;

    /// Tells how far one is that was begun here.
    fn find<'a>(&'a self, verification: &'a VerificationId, now: Timestamp) -> Later<'a, Checked>;
}

/// What the pages work with.
#[derive(Clone, Copy)]
pub struct Office<'a> {
    /// The authorization server.
    pub server: Server<'a>,
    /// The base URL of the pages, as browsers know it.
    pub external: &'a str,
    /// Names people by keyed hashes.
    pub sealer: &'a Sealer,
    /// Seals what names a person, so that it can be erased.
    pub subjects: Subjects<'a>,
    /// Identity providers.
    pub identify: &'a dyn Identify,
    /// The bank.
    pub accounts: &'a dyn Accounts,
    /// How often verifications of one person may be asked for.
    pub asked_max: usize,
}

impl<'a> Office<'a> {
    /// Returns where everything rests.
    pub(crate) fn store(&self) -> &'a dyn Authorizations {
        self.server.store
    }

    /// Finds a client.
    pub(crate) fn client(&self, id: &ClientId) -> Option<&'a Arc<Client>> {
        self.server.rulebook.clients.get(id)
    }

    /// Returns how sure it has to be who decides on a consent of a kind.
    pub(crate) fn level(&self, kind: ConsentKind) -> &'static str {
        let terms = self.server.rulebook.consents.get(&kind).copied();
        terms.unwrap_or_else(|| ConsentTerms::usual(kind)).level
    }
}

/// Names a citizen the same way towards everybody, for their own list of consents; of no use without the key.
#[must_use]
pub fn index_of(sealer: &Sealer, iin: &Secret<String>) -> [u8; 32] {
    sealer.keyed_hash("citizen", iin.expose().as_bytes())
}

/// Names a citizen towards one client: two clients cannot find out that they have the same customer.
#[must_use]
pub fn subject_of(sealer: &Sealer, client: &ClientId, iin: &Secret<String>) -> String {
    let joined = Secret::new(format!("{client}|{}", iin.expose()));
    format!("citizen:{}", base64url(&sealer.keyed_hash("citizen of a client", joined.expose().as_bytes())))
}

/// What a person's number is sealed for in a consent: it cannot be put into another.
#[must_use]
pub fn consent_purpose(id: &ConsentId) -> String {
    format!("consent {id}")
}

fn login_purpose(verification: &VerificationId) -> String {
    format!("login {verification}")
}

/// Draws the secret of a cookie: 256 bits.
pub(crate) fn fresh_secret() -> String {
    base64url(&entropy::random::<32>())
}

/// Refuses because a store is out of reach.
pub(crate) fn down(outage: Outage) -> Rejection {
    Rejection::outage(Code::DependencyDown, &outage)
}

/// Refuses as a login says.
pub(crate) fn refuse(error: LoginError) -> Rejection {
    Rejection::new(error.code(), "The page cannot go on from here.").because(error)
}

/// Finds the login of a cookie's secret that is not over.
pub(crate) async fn current(
    office: &Office<'_>,
    secret: &str,
    now: Timestamp,
) -> Result<Option<Found<Login>>, Rejection> {
    let found = find::<Login>(office.store(), &login::key_of(secret)).await.map_err(down)?;
    Ok(found.filter(|found| !found.value.is_over(now)))
}

/// What is known of a number that was filled in.
pub(crate) fn number(visit: &Visit<'_>) -> Result<Secret<String>, Fault> {
    // Many write it in groups.
    let text = Secret::new(visit.field("iin").unwrap_or_default().replace([' ', '\u{a0}'], ""));
    match Iin::parse(text.expose()) {
        Ok(_) => Ok(text),
        Err(IinError::CheckDigit) => Err(Fault::Wrong),
        Err(_) if text.expose().len() == 12 && text.expose().bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(Fault::Wrong)
        }
        Err(_) => Err(Fault::Length),
    }
}

/// Begins a verification for a login, and sends the browser to the provider's page.
///
/// The attempt is counted, for the login and for the person, before anybody is asked. `reason` tells the person why.
pub(crate) async fn begin(
    office: &Office<'_>,
    visit: &Visit<'_>,
    login: &Found<Login>,
    iin: &Secret<String>,
    reason: &str,
    level: &str,
) -> Result<Reply, Rejection> {
    let now = visit.now;
    let counted = login.value.attempt(now).map_err(refuse)?;
    let index = index_of(office.sealer, iin);
    let batch = asked(office, &index, now, Batch::new().replace(login, &counted)).await?;
    if !batch.commit(office.store(), now).await.map_err(down)? {
        return Err(foreign("the form was sent twice"));
    }
    let back = match counted.errand {
        Errand::Request { .. } => pages::RETURN,
        Errand::OwnConsents => pages::CONSENTS,
    };
    // Whoever was sent the provider's page by somebody else comes back without the cookie; who has sent it, without the ticket.
    let ticket = fresh_secret();
    let return_url = format!("{}{back}?ticket={ticket}", office.external);
    let begun = office.identify.begin(Check { iin, reason, level, return_url: &return_url, now }).await?;
    // A person has a key from when a check has begun on.
    let key = office.subjects.key(iin, now).await.map_err(down)?;
    note(office, visit, &key, iin)?;
    let sealed = office.subjects.seal(&key, &login_purpose(&begun.verification), iin.expose().as_bytes());
    let person = Person { index, sealed: sealed.map_err(down)? };
    let before = find::<Login>(office.store(), &counted.key).await.map_err(down)?;
    let before =
        before.filter(|before| before.value == counted).ok_or_else(|| foreign("the login went on elsewhere"))?;
    let verifying = counted.verifying(begun.verification, person, &ticket, now);
    let kept = Batch::new().replace(&before, &verifying).commit(office.store(), now).await.map_err(down)?;
    if !kept {
        return Err(foreign("the login went on elsewhere"));
    }
    pages::see_other(&begun.capture_url).ok_or_else(|| {
        Rejection::new(Code::ProviderUnavailable, "The identity provider cannot be reached.")
            .because("its page has no address")
    })
}

/// Counts that a verification of a person is asked for.
async fn asked(office: &Office<'_>, index: &[u8; 32], now: Timestamp, batch: Batch) -> Result<Batch, Rejection> {
    let found = find::<Asked>(office.store(), &asked_key(index)).await.map_err(down)?;
    Ok(match found {
        None => batch.add(&Asked::never(*index).once_more(office.asked_max, now).map_err(refuse)?),
        Some(found) => {
            let more = found.value.once_more(office.asked_max, now).map_err(refuse)?;
            batch.replace(&found, &more)
        }
    })
}

/// Notes that a browser was led back by the provider's page; gives where it goes on, without the ticket in its address.
pub(crate) async fn come_back(
    office: &Office<'_>,
    visit: &Visit<'_>,
    login: &Found<Login>,
    place: &str,
) -> Result<Option<Reply>, Rejection> {
    let Some(back) = visit.parameter("ticket").and_then(|ticket| login.value.come_back(ticket)) else {
        return Ok(None);
    };
    if !Batch::new().replace(login, &back).commit(office.store(), visit.now).await.map_err(down)? {
        return Err(foreign("the login went on elsewhere"));
    }
    Ok(pages::see_other(place))
}

/// Forgets how often somebody was asked for who was verified: what counts is what nobody has answered for.
pub(crate) async fn answered(office: &Office<'_>, login: &Login, now: Timestamp) -> Result<(), Rejection> {
    let Stage::Verified { person, .. } = &login.stage else { return Ok(()) };
    if let Some(found) = find::<Asked>(office.store(), &asked_key(&person.index)).await.map_err(down)? {
        // Somebody may count at this moment; then it is forgotten the next time.
        Batch::new().replace(&found, &Asked::never(person.index)).commit(office.store(), now).await.map_err(down)?;
    }
    Ok(())
}

/// What a verification in progress has come to.
pub(crate) enum Turn {
    /// The page to wait before, or that says no.
    Progress(Progress),
    /// The login, which goes on under another name; with what has changed, and the new secret.
    Passed(Box<(Login, Login, String)>),
}

/// Looks how far the verification of a login has come; gives none if it has none in progress.
pub(crate) async fn turn(office: &Office<'_>, login: &Login, now: Timestamp) -> Result<Option<Turn>, Rejection> {
    let Stage::Verifying { verification, since, .. } = &login.stage else { return Ok(None) };
    let checked = office.identify.find(verification, now).await?;
    let progress = login.progress(*since, checked.state, now);
    let (Progress::Passed, Some(acr)) = (progress, checked.acr) else { return Ok(Some(Turn::Progress(progress))) };
    let secret = fresh_secret();
    let (old, new) = login.verified(login::key_of(&secret), acr, now).map_err(refuse)?;
    Ok(Some(Turn::Passed(Box::new((old, new, secret)))))
}

/// A citizen who was verified.
pub(crate) struct Citizen {
    /// Their number.
    pub(crate) iin: Secret<String>,
    /// Their key.
    pub(crate) key: SubjectKey,
    /// How well they were authenticated.
    pub(crate) acr: String,
    /// When.
    pub(crate) at: Timestamp,
}

/// Opens who was verified by a login; none if nobody was.
pub(crate) async fn citizen(
    office: &Office<'_>,
    visit: &Visit<'_>,
    login: &Login,
) -> Result<Option<Citizen>, Rejection> {
    let Stage::Verified { verification, person, acr, at } = &login.stage else { return Ok(None) };
    let opened = office.subjects.open(&login_purpose(verification), &person.sealed).await.map_err(down)?;
    let Opened::Text(bytes, Some(key)) = opened else { return Err(foreign("the person was erased")) };
    let text = String::from_utf8(bytes.expose().clone()).map_err(|_| foreign("the number is not text"))?;
    let iin = Secret::new(text);
    note(office, visit, &key, &iin)?;
    Ok(Some(Citizen { iin, key, acr: acr.clone(), at: *at }))
}

/// Notes on the trail whom the visit is about, so that it can be erased from there.
fn note(office: &Office<'_>, visit: &Visit<'_>, key: &SubjectKey, iin: &Secret<String>) -> Result<(), Rejection> {
    let text = Secret::new(format!("{{\"iin\":\"{}\"}}", iin.expose()));
    let purpose = record_purpose(visit.trail.interaction());
    let sealed = office.subjects.seal(key, &purpose, text.expose().as_bytes()).map_err(down)?;
    visit.trail.note_personal(PersonalData { key: key.id, sealed: sealed.into() });
    Ok(())
}

/// Gives the browser the secret of its login.
pub(crate) fn remember(reply: &mut Reply, cookie: &'static str, secret: &str) {
    pages::set_cookie(reply, cookie, secret, LOGIN_TIME.as_secs());
}
