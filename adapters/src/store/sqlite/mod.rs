//! A store in a SQLite file: for what must survive the process.
//!
//! One thread owns the connection. It takes every job that waits, does them in one transaction, makes that durable once,
//! and only then answers: many callers share one write to the disk, and none is told of what could still be lost.

mod record;
mod worker;

use std::path::Path;

use policies::code::Outage;
use policies::id::{ProviderId, VerificationId};
use policies::once::StoredReply;
use policies::time::Timestamp;
use policies::verification::{State, Verification};
use rusqlite::{Connection, OptionalExtension, params};

use self::worker::{Fault, Worker};
use super::kept::{Standing, compare};
use super::port::{Answer, ClaimAnswer, ClaimTicket, Claims, NewClaim, Replays, SPENDS_KEPT, Verifications};
use crate::entropy;

/// A store in one SQLite file, written by one thread; dropping it waits until that thread has ended.
#[derive(Debug)]
pub struct SqliteStore(Worker);

impl SqliteStore {
    /// Opens the file, or makes it, readable for its owner only.
    ///
    /// # Errors
    /// An [`Outage`] if the file cannot be opened, is of a later version, or is in use by another process.
    pub fn open(path: &Path) -> Result<Self, Outage> {
        Worker::open(path).map(Self)
    }

    /// Tells whether the store works now (for the readiness probe).
    #[must_use]
    pub fn probe(&self) -> Answer<'_, ()> {
        self.0.ask("store", |connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?))
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
        self.0.ask_at("claims", now, move |connection| take_claim(connection, claim, now))
    }

    fn clear<'a>(&'a self, ticket: &'a ClaimTicket, spends: &'a [String], now: Timestamp) -> Answer<'a, bool> {
        let (ticket, spends) = (ticket.clone(), spends.to_vec());
        self.0.ask_at("claims", now, move |connection| spend(connection, &ticket, &spends, now))
    }

    fn finish<'a>(&'a self, ticket: &'a ClaimTicket, reply: StoredReply, now: Timestamp) -> Answer<'a, ()> {
        let ticket = ticket.clone();
        self.0.ask_at("claims", now, move |connection| {
            let ClaimTicket { key, token, .. } = &ticket;
            let mut statement = connection.prepare_cached(
                "UPDATE claims SET status = ?5, headers = ?6, body = ?7
                 WHERE client = ?1 AND operation = ?2 AND key = ?3 AND token = ?4 AND status IS NULL",
            )?;
            let (client, operation, name) = (key.client().as_str(), key.operation().as_str(), key.key());
            let headers = record::headers_to_text(&reply.headers)?;
            match statement.execute(params![client, operation, name, token, reply.status, headers, reply.body])? {
                1 => Ok(()),
                _ => Err(Fault::TAKEN_OVER),
            }
        })
    }

    fn release<'a>(&'a self, ticket: &'a ClaimTicket, now: Timestamp) -> Answer<'a, ()> {
        let ticket = ticket.clone();
        self.0.ask_at("claims", now, move |connection| {
            let ClaimTicket { key, token, .. } = &ticket;
            // The new token is nobody's: the ticket is void from here on.
            let mut statement = connection.prepare_cached(
                "UPDATE claims SET lease_ends = min(lease_ends, ?5), token = ?6
                 WHERE client = ?1 AND operation = ?2 AND key = ?3 AND token = ?4 AND status IS NULL",
            )?;
            let (client, operation, name) = (key.client().as_str(), key.operation().as_str(), key.key());
            statement.execute(params![client, operation, name, token, now.millis(), entropy::random::<16>()])?;
            Ok(())
        })
    }
}

impl Verifications for SqliteStore {
    fn insert(&self, verification: Verification) -> Answer<'_, ()> {
        let now = verification.created;
        self.0.ask_at("verifications", now, move |connection| record::insert(connection, &verification))
    }

    fn get<'a>(&'a self, id: &'a VerificationId) -> Answer<'a, Option<Verification>> {
        let id = id.clone();
        self.0.ask("verifications", move |connection| record::find(connection, "id = ?1", &[id.as_str()]))
    }

    fn by_session<'a>(&'a self, provider: &'a ProviderId, session: &'a str) -> Answer<'a, Option<Verification>> {
        let (provider, session) = (provider.clone(), session.to_owned());
        self.0.ask("verifications", move |connection| {
            record::find(connection, "provider = ?1 AND session = ?2", &[provider.as_str(), &session])
        })
    }

    fn replace<'a>(&'a self, verification: &'a Verification, expected: State) -> Answer<'a, bool> {
        let verification = verification.clone();
        self.0.ask("verifications", move |connection| record::replace(connection, &verification, expected))
    }
}

fn take_claim(connection: &Connection, claim: NewClaim, now: Timestamp) -> Result<ClaimAnswer, Fault> {
    let reference = match compare(record::kept(connection, &claim.key)?, &claim, now) {
        Standing::Earlier(earlier) => return Ok(ClaimAnswer::Earlier(earlier)),
        Standing::TakenOver(reference) => reference,
        Standing::Free => claim.reference,
    };
    let ticket = ClaimTicket { key: claim.key, digest: claim.digest, reference, token: entropy::random() };
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO claims (client, operation, key, digest, reference, token, lease_ends, until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    statement.execute(params![
        ticket.key.client().as_str(),
        ticket.key.operation().as_str(),
        ticket.key.key(),
        ticket.digest,
        ticket.reference,
        ticket.token,
        (now + claim.lease).millis(),
        (now + claim.keep).millis(),
    ])?;
    Ok(ClaimAnswer::Taken(ticket))
}

fn spend(connection: &Connection, ticket: &ClaimTicket, spends: &[String], now: Timestamp) -> Result<bool, Fault> {
    let key = &ticket.key;
    let (client, operation, name) = (key.client().as_str(), key.operation().as_str(), key.key());
    let mut held = connection.prepare_cached(
        "SELECT 1 FROM claims
         WHERE client = ?1 AND operation = ?2 AND key = ?3 AND token = ?4 AND status IS NULL",
    )?;
    if held.query_row(params![client, operation, name, ticket.token], |_| Ok(())).optional()?.is_none() {
        return Err(Fault::TAKEN_OVER);
    }
    let mut other = connection.prepare_cached(
        "SELECT 1 FROM spends WHERE name = ?1 AND until > ?2
         AND NOT (client = ?3 AND operation = ?4 AND key = ?5 AND digest = ?6)",
    )?;
    for thing in spends {
        let found = other.query_row(params![thing, now.millis(), client, operation, name, ticket.digest], |_| Ok(()));
        if found.optional()?.is_some() {
            return Ok(false);
        }
    }
    let mut add = connection.prepare_cached(
        "INSERT OR REPLACE INTO spends (name, client, operation, key, digest, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for thing in spends {
        add.execute(params![thing, client, operation, name, ticket.digest, (now + SPENDS_KEPT).millis()])?;
    }
    Ok(true)
}
