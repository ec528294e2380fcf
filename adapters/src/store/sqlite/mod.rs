//! A store in a SQLite file: for what must survive the process.
//!
//! One thread owns the connection. It takes every job that waits, does them in one transaction, makes that durable once,
//! and only then answers: many callers share one write to the disk, and none is told of what could still be lost. Other
//! programs may read the file meanwhile; a second gateway is kept out by a lock file beside it.
//!
//! The modules below write values into rows and read them back. A row that cannot be read is a fault, never a guess.

mod claims;
mod fault;
mod items;
mod lasting;
mod look;
mod outbox;
mod schema;
#[cfg(test)]
mod tests;
mod verifications;
mod worker;

use std::path::Path;
use std::time::Duration;

use policies::change::Entry;
use policies::code::Outage;
use policies::event::{Event, NewEvent};
use policies::id::{ClientId, OperationId, ProviderId, VerificationId};
use policies::revocation::Revoked;
use policies::settle::{Fate, Settlement, Undecided};
use policies::time::Timestamp;
use policies::verification::{State, Verification};
use rusqlite::params;

pub use self::look::kept_bundle;
use self::worker::Worker;
use super::acts::Columns;
use super::port::{
    Answer, Authorizations, Changes, ClaimAnswer, ClaimTicket, Claims, Durable, Finish, Generations, Item, ItemKind,
    NewClaim, Outbox, Replays, Step, SubjectKey, SubjectKeys, Telling, Verifications,
};
use super::retention::Retention;

/// A store in one SQLite file, written by one thread; dropping it waits until that thread has ended.
#[derive(Debug)]
pub struct SqliteStore(Worker);

impl SqliteStore {
    /// Opens the file, or makes it, readable for its owner only; what is over is kept as long as by default.
    ///
    /// # Errors
    /// As [`SqliteStore::open_keeping`].
    pub fn open(path: &Path) -> Result<Self, Outage> {
        Self::open_keeping(path, Retention::default())
    }

    /// Opens the file, or makes it, readable for its owner only; a file of an earlier version is brought to ours.
    ///
    /// # Errors
    /// An [`Outage`] if the file cannot be opened, is of a later version or of another program, or is in use by another
    /// gateway.
    pub fn open_keeping(path: &Path, retention: Retention) -> Result<Self, Outage> {
        Worker::open(path, retention).map(Self)
    }
}

impl Replays for SqliteStore {
    // The room is that of the disk, so no owner has a share of it.
    fn claim<'a>(&'a self, _owner: &'a str, key: [u8; 32], keep_until: Timestamp, now: Timestamp) -> Answer<'a, bool> {
        self.0.ask_at("replays", now, move |connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO replays (key, until) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET until = ?2 WHERE until <= ?3",
            )?;
            Ok(statement.execute(params![key, keep_until.millis(), now.millis()])? == 1)
        })
    }
}

impl Claims for SqliteStore {
    fn claim(&self, claim: NewClaim, now: Timestamp) -> Answer<'_, ClaimAnswer> {
        self.0.ask_at("claims", now, move |connection| claims::claim(connection, claim, now))
    }

    fn clear<'a>(&'a self, ticket: &'a ClaimTicket, spends: &'a [String], now: Timestamp) -> Answer<'a, bool> {
        let (ticket, spends) = (ticket.clone(), spends.to_vec());
        self.0.ask_at("claims", now, move |connection| claims::clear(connection, &ticket, &spends, now))
    }

    fn spent<'a>(&'a self, thing: &'a str, now: Timestamp) -> Answer<'a, bool> {
        let thing = thing.to_owned();
        self.0.ask_at("claims", now, move |connection| claims::spent(connection, &thing, now))
    }

    fn finish<'a>(&'a self, ticket: &'a ClaimTicket, finish: Finish, now: Timestamp) -> Answer<'a, ()> {
        let ticket = ticket.clone();
        self.0.ask_at("claims", now, move |connection| claims::finish(connection, &ticket, finish, now))
    }

    fn release<'a>(&'a self, ticket: &'a ClaimTicket, now: Timestamp) -> Answer<'a, ()> {
        let ticket = ticket.clone();
        self.0.ask_at("claims", now, move |connection| claims::release(connection, &ticket, now))
    }

    fn undecided(&self, most: usize, lease: Duration, now: Timestamp) -> Answer<'_, Vec<Undecided>> {
        self.0.ask_at("claims", now, move |connection| claims::undecided(connection, most, lease, now))
    }

    fn settle<'a>(
        &'a self,
        undecided: &'a Undecided,
        settlement: Settlement,
        event: Option<NewEvent>,
        now: Timestamp,
    ) -> Answer<'a, bool> {
        let undecided = undecided.clone();
        self.0.ask_at("claims", now, move |connection| {
            claims::settle(connection, &undecided, settlement, event.as_ref(), now)
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
        self.0.ask_at("claims", now, move |connection| claims::fate(connection, &client, &operation, &reference, now))
    }
}

impl Verifications for SqliteStore {
    fn insert(&self, verification: Verification) -> Answer<'_, ()> {
        let now = verification.created;
        self.0.ask_at("verifications", now, move |connection| verifications::insert(connection, &verification))
    }

    fn get<'a>(&'a self, id: &'a VerificationId) -> Answer<'a, Option<Verification>> {
        let id = id.clone();
        self.0.ask("verifications", move |connection| verifications::find(connection, "id = ?1", &[id.as_str()]))
    }

    fn by_session<'a>(&'a self, provider: &'a ProviderId, session: &'a str) -> Answer<'a, Option<Verification>> {
        let (provider, session) = (provider.clone(), session.to_owned());
        self.0.ask("verifications", move |connection| {
            verifications::find(connection, "provider = ?1 AND session = ?2", &[provider.as_str(), &session])
        })
    }

    fn replace<'a>(
        &'a self,
        verification: &'a Verification,
        expected: State,
        event: Option<NewEvent>,
    ) -> Answer<'a, bool> {
        let verification = verification.clone();
        self.0.ask("verifications", move |connection| {
            verifications::replace(connection, &verification, expected, event.as_ref())
        })
    }
}

impl Outbox for SqliteStore {
    fn after<'a>(&'a self, client: &'a ClientId, after: u64, most: usize) -> Answer<'a, Vec<Event>> {
        let client = client.clone();
        self.0.ask("outbox", move |connection| outbox::after(connection, &client, after, most))
    }

    fn due<'a>(
        &'a self,
        clients: &'a [ClientId],
        most: usize,
        lease: Duration,
        now: Timestamp,
    ) -> Answer<'a, Vec<Event>> {
        let clients = clients.to_vec();
        self.0.ask_at("outbox", now, move |connection| outbox::due(connection, &clients, most, lease, now))
    }

    fn told<'a>(&'a self, client: &'a ClientId, position: u64, telling: Telling) -> Answer<'a, ()> {
        let client = client.clone();
        self.0.ask("outbox", move |connection| outbox::told(connection, &client, position, telling))
    }

    fn redeliver<'a>(&'a self, client: &'a ClientId, after: u64, now: Timestamp) -> Answer<'a, u64> {
        let client = client.clone();
        self.0.ask_at("outbox", now, move |connection| outbox::redeliver(connection, &client, after, now))
    }

    fn waiting<'a>(&'a self, clients: &'a [ClientId]) -> Answer<'a, u64> {
        let clients = clients.to_vec();
        self.0.ask("outbox", move |connection| outbox::waiting(connection, &clients))
    }
}

impl SubjectKeys for SqliteStore {
    fn obtain<'a>(&'a self, subject: [u8; 32], fresh: SubjectKey, now: Timestamp) -> Answer<'a, SubjectKey> {
        self.0.ask_at("subject keys", now, move |connection| lasting::obtain(connection, subject, fresh, now))
    }

    fn find<'a>(&'a self, id: [u8; 16]) -> Answer<'a, Option<SubjectKey>> {
        self.0.ask("subject keys", move |connection| lasting::find(connection, id))
    }

    fn destroy<'a>(&'a self, subject: [u8; 32]) -> Answer<'a, Option<[u8; 16]>> {
        self.0.ask_to_wipe("subject keys", Option::is_some, move |connection| lasting::destroy(connection, subject))
    }
}

impl Generations for SqliteStore {
    fn enter<'a>(&'a self, digest: [u8; 32], bundle: &'a [u8], now: Timestamp) -> Answer<'a, u64> {
        let bundle = bundle.to_vec();
        self.0.ask_at("generations", now, move |connection| lasting::enter(connection, digest, &bundle, now))
    }

    fn bundle(&self, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        self.0.ask("generations", move |connection| lasting::bundle(connection, number))
    }
}

impl Changes for SqliteStore {
    fn add_change<'a>(&'a self, entry: &'a Entry, texts: &'a [u8]) -> Answer<'a, bool> {
        let (columns, texts) = (Columns::of(entry), texts.to_vec());
        self.0.ask("changes", move |connection| lasting::add_change(connection, columns, &texts))
    }

    fn changes_after(&self, number: u64) -> Answer<'_, Vec<Entry>> {
        self.0.ask("changes", move |connection| lasting::changes_after(connection, number))
    }

    fn proposed_texts(&self, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        self.0.ask("changes", move |connection| lasting::proposed_texts(connection, number))
    }
}

impl Authorizations for SqliteStore {
    fn item<'a>(&'a self, kind: ItemKind, key: &'a [u8; 32]) -> Answer<'a, Option<(Item, u64)>> {
        let key = *key;
        self.0.ask("authorizations", move |connection| items::find(connection, kind, key))
    }

    fn change_items<'a>(&'a self, steps: &'a [Step], revoked: &'a [Revoked], now: Timestamp) -> Answer<'a, bool> {
        let (steps, revoked) = (steps.to_vec(), revoked.to_vec());
        self.0.ask_at("authorizations", now, move |connection| items::change(connection, &steps, &revoked, now))
    }

    fn of_owner<'a>(&'a self, kind: ItemKind, owner: &'a [u8; 32]) -> Answer<'a, Vec<(Item, u64)>> {
        let owner = *owner;
        self.0.ask("authorizations", move |connection| items::of_owner(connection, kind, owner))
    }

    fn revoked_after(&self, position: u64, now: Timestamp) -> Answer<'_, Vec<(u64, Revoked)>> {
        self.0.ask_at("authorizations", now, move |connection| items::revoked_after(connection, position, now))
    }
}

impl Durable for SqliteStore {
    fn probe(&self) -> Answer<'_, ()> {
        self.0.ask("store", |connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?))
    }
}
