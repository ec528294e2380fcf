//! A store in PostgreSQL, or in what speaks its protocol: for what must last, shared by any number of gateways.
//!
//! Every call is one statement, or one transaction that locks the rows it judges; nothing is held between calls, and no
//! gateway knows of another. Of PostgreSQL only what CockroachDB and YugabyteDB have as well is used.

mod claims;
mod items;
mod lasting;
mod migrate;
mod outbox;
mod session;
mod settings;
mod sweep;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod verifications;
mod worker;

use std::time::Duration;

use policies::change::Entry;
use policies::code::Outage;
use policies::event::{Event, NewEvent};
use policies::id::{ClientId, OperationId, ProviderId, VerificationId};
use policies::revocation::Revoked;
use policies::settle::{Fate, Settlement, Undecided};
use policies::time::Timestamp;
use policies::verification::{State, Verification};

use self::session::Session;
pub use self::settings::PostgresSettings;
use self::worker::Worker;
use super::acts::Columns;
use super::port::{
    Answer, Authorizations, Changes, ClaimAnswer, ClaimTicket, Claims, Durable, Finish, Generations, Item, ItemKind,
    NewClaim, Outbox, Replays, Step, SubjectKey, SubjectKeys, Telling, Verifications,
};
use super::retention::Retention;

/// A store in a PostgreSQL schema; dropping it waits until its connections are closed.
#[derive(Debug)]
pub struct PostgresStore(Worker);

impl PostgresStore {
    /// Makes the store; the database need not be there yet.
    ///
    /// Until it is, and whenever it is away, every call gives an outage at once, and the store tries to reach it by
    /// itself. The schema is brought up to date when it is first reached.
    ///
    /// # Errors
    /// An [`Outage`] if the settings can never work: a URL that cannot be read, a server elsewhere without `trust`, a
    /// schema whose name would need quotes, no connections, or no time for a statement.
    pub fn connect(settings: PostgresSettings, retention: Retention) -> Result<Self, Outage> {
        settings.check()?;
        Worker::start(settings, retention).map(Self)
    }
}

impl Replays for PostgresStore {
    // The room is that of the disk, so no owner has a share of it.
    fn claim<'a>(&'a self, _owner: &'a str, key: [u8; 32], keep_until: Timestamp, now: Timestamp) -> Answer<'a, bool> {
        const SPEND: &str = "INSERT INTO replays (key, until) VALUES ($1, $2)
            ON CONFLICT (key) DO UPDATE SET until = $2 WHERE replays.until <= $3";
        self.0.ask_at("replays", now, async move |session: &Session| {
            let values: session::Values<'_> = &[&key.as_slice(), &keep_until.millis(), &now.millis()];
            Ok(session.change(SPEND, values).await? == 1)
        })
    }
}

impl Claims for PostgresStore {
    fn claim(&self, claim: NewClaim, now: Timestamp) -> Answer<'_, ClaimAnswer> {
        self.0.ask_at("claims", now, async move |session: &Session| claims::claim(session, &claim, now).await)
    }

    fn clear<'a>(&'a self, ticket: &'a ClaimTicket, spends: &'a [String], now: Timestamp) -> Answer<'a, bool> {
        let (ticket, spends) = (ticket.clone(), spends.to_vec());
        self.0.ask_at("claims", now, async move |session: &Session| claims::clear(session, &ticket, &spends, now).await)
    }

    fn spent<'a>(&'a self, thing: &'a str, now: Timestamp) -> Answer<'a, bool> {
        let thing = thing.to_owned();
        self.0.look("claims", async move |session: &Session| claims::spent(session, &thing, now).await)
    }

    fn finish<'a>(&'a self, ticket: &'a ClaimTicket, finish: Finish, now: Timestamp) -> Answer<'a, ()> {
        let ticket = ticket.clone();
        self.0
            .ask_at("claims", now, async move |session: &Session| claims::finish(session, &ticket, &finish, now).await)
    }

    fn release<'a>(&'a self, ticket: &'a ClaimTicket, now: Timestamp) -> Answer<'a, ()> {
        let ticket = ticket.clone();
        self.0.ask_at("claims", now, async move |session: &Session| claims::release(session, &ticket, now).await)
    }

    fn undecided(&self, most: usize, lease: Duration, now: Timestamp) -> Answer<'_, Vec<Undecided>> {
        self.0.ask_at("claims", now, async move |session: &Session| claims::undecided(session, most, lease, now).await)
    }

    fn settle<'a>(
        &'a self,
        undecided: &'a Undecided,
        settlement: Settlement,
        event: Option<NewEvent>,
        now: Timestamp,
    ) -> Answer<'a, bool> {
        let undecided = undecided.clone();
        self.0.ask_at("claims", now, async move |session: &Session| {
            claims::settle(session, &undecided, &settlement, event.as_ref(), now).await
        })
    }

    fn fate<'a>(
        &'a self,
        client: &'a ClientId,
        operation: &'a OperationId,
        reference: &'a str,
        now: Timestamp,
    ) -> Answer<'a, Option<Fate>> {
        let (client, operation, reference) = (client.clone(), operation.clone(), reference.to_owned());
        self.0.look("claims", async move |session: &Session| {
            claims::fate(session, &client, &operation, &reference, now).await
        })
    }
}

impl Verifications for PostgresStore {
    fn insert(&self, verification: Verification) -> Answer<'_, ()> {
        let now = verification.created;
        self.0.ask_at("verifications", now, async move |session: &Session| {
            verifications::insert(session, &verification).await
        })
    }

    fn get<'a>(&'a self, id: &'a VerificationId) -> Answer<'a, Option<Verification>> {
        let id = id.clone();
        self.0.look("verifications", async move |session: &Session| verifications::get(session, &id).await)
    }

    fn by_session<'a>(&'a self, provider: &'a ProviderId, session: &'a str) -> Answer<'a, Option<Verification>> {
        let (provider, named) = (provider.clone(), session.to_owned());
        self.0.look("verifications", async move |session: &Session| {
            verifications::by_session(session, &provider, &named).await
        })
    }

    fn replace<'a>(
        &'a self,
        verification: &'a Verification,
        expected: State,
        event: Option<NewEvent>,
    ) -> Answer<'a, bool> {
        let verification = verification.clone();
        self.0.ask("verifications", async move |session: &Session| {
            verifications::replace(session, &verification, expected, event.as_ref()).await
        })
    }
}

impl Outbox for PostgresStore {
    fn after<'a>(&'a self, client: &'a ClientId, after: u64, most: usize) -> Answer<'a, Vec<Event>> {
        let client = client.clone();
        self.0.look("outbox", async move |session: &Session| outbox::after(session, &client, after, most).await)
    }

    fn due<'a>(
        &'a self,
        clients: &'a [ClientId],
        most: usize,
        lease: Duration,
        now: Timestamp,
    ) -> Answer<'a, Vec<Event>> {
        let clients = clients.to_vec();
        self.0.ask_at("outbox", now, async move |session: &Session| {
            outbox::due(session, &clients, most, lease, now).await
        })
    }

    fn told<'a>(&'a self, client: &'a ClientId, position: u64, telling: Telling) -> Answer<'a, ()> {
        let client = client.clone();
        self.0.ask("outbox", async move |session: &Session| outbox::told(session, &client, position, telling).await)
    }

    fn redeliver<'a>(&'a self, client: &'a ClientId, after: u64, now: Timestamp) -> Answer<'a, u64> {
        let client = client.clone();
        self.0.ask("outbox", async move |session: &Session| outbox::redeliver(session, &client, after, now).await)
    }

    fn waiting<'a>(&'a self, clients: &'a [ClientId]) -> Answer<'a, u64> {
        let clients = clients.to_vec();
        self.0.look("outbox", async move |session: &Session| outbox::waiting(session, &clients).await)
    }
}

impl SubjectKeys for PostgresStore {
    fn obtain<'a>(&'a self, subject: [u8; 32], fresh: SubjectKey, now: Timestamp) -> Answer<'a, SubjectKey> {
        self.0.ask("subject keys", async move |session: &Session| lasting::obtain(session, subject, &fresh, now).await)
    }

    fn find<'a>(&'a self, id: [u8; 16]) -> Answer<'a, Option<SubjectKey>> {
        self.0.look("subject keys", async move |session: &Session| lasting::find(session, id).await)
    }

    fn destroy<'a>(&'a self, subject: [u8; 32]) -> Answer<'a, Option<[u8; 16]>> {
        self.0.ask("subject keys", async move |session: &Session| lasting::destroy(session, subject).await)
    }
}

impl Generations for PostgresStore {
    fn enter<'a>(&'a self, digest: [u8; 32], bundle: &'a [u8], now: Timestamp) -> Answer<'a, u64> {
        let bundle = bundle.to_vec();
        self.0.ask("generations", async move |session: &Session| lasting::enter(session, digest, &bundle, now).await)
    }

    fn bundle(&self, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        self.0.look("generations", async move |session: &Session| lasting::bundle(session, number).await)
    }
}

impl Changes for PostgresStore {
    fn add_change<'a>(&'a self, entry: &'a Entry, texts: &'a [u8]) -> Answer<'a, bool> {
        let (columns, texts) = (Columns::of(entry), texts.to_vec());
        self.0.ask("changes", async move |session: &Session| {
            let Some(columns) = &columns else { return Ok(false) };
            lasting::add_change(session, columns, &texts).await
        })
    }

    fn changes_after(&self, number: u64) -> Answer<'_, Vec<Entry>> {
        self.0.look("changes", async move |session: &Session| lasting::changes_after(session, number).await)
    }

    fn proposed_texts(&self, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        self.0.look("changes", async move |session: &Session| lasting::proposed_texts(session, number).await)
    }
}

impl Authorizations for PostgresStore {
    fn item<'a>(&'a self, kind: ItemKind, key: &'a [u8; 32]) -> Answer<'a, Option<(Item, u64)>> {
        let key = *key;
        self.0.look("authorizations", async move |session: &Session| items::find(session, kind, key).await)
    }

    fn change_items<'a>(&'a self, steps: &'a [Step], revoked: &'a [Revoked], now: Timestamp) -> Answer<'a, bool> {
        let (steps, revoked) = (steps.to_vec(), revoked.to_vec());
        self.0.ask_at("authorizations", now, async move |session: &Session| {
            items::change(session, &steps, &revoked, now).await
        })
    }

    fn of_owner<'a>(&'a self, kind: ItemKind, owner: &'a [u8; 32]) -> Answer<'a, Vec<(Item, u64)>> {
        let owner = *owner;
        self.0.look("authorizations", async move |session: &Session| items::of_owner(session, kind, owner).await)
    }

    fn revoked_after(&self, position: u64, now: Timestamp) -> Answer<'_, Vec<(u64, Revoked)>> {
        self.0.look("authorizations", async move |session: &Session| items::revoked_after(session, position, now).await)
    }
}

impl Durable for PostgresStore {
    // Also the word to try a database again that was away.
    fn probe(&self) -> Answer<'_, ()> {
        self.0.knock()
    }
}
