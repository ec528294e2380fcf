//! Rows of claims and of what they spent.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policies::event::NewEvent;
use policies::id::{ClientId, IdempotencyKey, OperationId, OrganisationId};
use policies::once::StoredReply;
use policies::settle::{Fate, Settlement, Undecided};
use policies::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::kept::{Kept, Outcome, Standing, take};
use super::super::port::{ClaimAnswer, ClaimTicket, Finish, NewClaim, SPENDS_KEPT};
use super::fault::{Fault, rows};
use super::outbox;

/// Claims a key.
pub(super) fn claim(connection: &Connection, claim: NewClaim, now: Timestamp) -> Result<ClaimAnswer, Fault> {
    match take(kept(connection, &claim.key)?, &claim, now) {
        Standing::Earlier(earlier) => Ok(ClaimAnswer::Earlier(earlier)),
        Standing::Taken(kept) => {
            write(connection, &claim.key, &kept)?;
            Ok(ClaimAnswer::Taken(kept.ticket(claim.key)))
        }
    }
}

/// Spends things for a claim, all or none.
pub(super) fn clear(
    connection: &Connection,
    ticket: &ClaimTicket,
    spends: &[String],
    now: Timestamp,
) -> Result<bool, Fault> {
    let own_from = held(connection, ticket)?.spends_from().millis();
    let key = &ticket.key;
    let (client, operation, name) = (key.client().as_str(), key.operation().as_str(), key.key());
    let mut other = connection.prepare_cached(
        "SELECT 1 FROM spends WHERE name = ?1 AND until > ?2
         AND NOT (client = ?3 AND operation = ?4 AND key = ?5 AND digest = ?6 AND until >= ?7)",
    )?;
    for thing in spends {
        let asked = params![thing, now.millis(), client, operation, name, ticket.digest, own_from];
        let found = other.query_row(asked, |_| Ok(()));
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

/// Tells whether a thing was spent.
pub(super) fn spent(connection: &Connection, thing: &str, now: Timestamp) -> Result<bool, Fault> {
    let mut find = connection.prepare_cached("SELECT 1 FROM spends WHERE name = ?1 AND until > ?2")?;
    Ok(find.query_row(params![thing, now.millis()], |_| Ok(())).optional()?.is_some())
}

/// Keeps the answer of a deed.
pub(super) fn finish(
    connection: &Connection,
    ticket: &ClaimTicket,
    finish: Finish,
    now: Timestamp,
) -> Result<(), Fault> {
    let mut kept = kept(connection, &ticket.key)?.filter(|kept| kept.may_finish(ticket)).ok_or(Fault::TAKEN_OVER)?;
    let event = kept.finish(finish, now);
    write(connection, &ticket.key, &kept)?;
    event.map_or(Ok(()), |event| outbox::append(connection, &event))
}

/// Takes a claim back from its holder; one that is not held by this ticket stays as it is.
pub(super) fn release(connection: &Connection, ticket: &ClaimTicket, now: Timestamp) -> Result<(), Fault> {
    match kept(connection, &ticket.key)?.filter(|kept| kept.is_held_by(ticket)) {
        None => Ok(()),
        Some(mut kept) => {
            kept.release(now);
            write(connection, &ticket.key, &kept)
        }
    }
}

/// Hands out undecided claims that are due.
pub(super) fn undecided(
    connection: &Connection,
    most: usize,
    lease: Duration,
    now: Timestamp,
) -> Result<Vec<Undecided>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT client, operation, key FROM claims WHERE ask_at <= ?1 AND lease_ends <= ?1 AND organisation IS NOT NULL
         ORDER BY ask_at LIMIT ?2",
    )?;
    let keys: Vec<_> =
        statement.query_map(params![now.millis(), rows(most)], |row| Ok(key(row)))?.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for key in keys {
        let key = key?;
        let Some(mut kept) = kept(connection, &key)? else { continue };
        if let Some(undecided) = kept.ask(key, lease, now) {
            write(connection, &undecided.key, &kept)?;
            found.push(undecided);
        }
    }
    Ok(found)
}

/// Settles an undecided claim.
pub(super) fn settle(
    connection: &Connection,
    undecided: &Undecided,
    settlement: Settlement,
    event: Option<&NewEvent>,
    now: Timestamp,
) -> Result<bool, Fault> {
    let Some(mut kept) = kept(connection, &undecided.key)? else { return Ok(false) };
    if !kept.settle(undecided, settlement, now) {
        return Ok(false);
    }
    write(connection, &undecided.key, &kept)?;
    event.map_or(Ok(true), |event| outbox::append(connection, event).map(|()| true))
}

/// Tells how a deed stands.
pub(super) fn fate(
    connection: &Connection,
    client: &ClientId,
    operation: &OperationId,
    reference: &str,
    now: Timestamp,
) -> Result<Option<Fate>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT client, operation, key FROM claims WHERE client = ?1 AND operation = ?2 AND reference = ?3",
    )?;
    let named = params![client.as_str(), operation.as_str(), reference];
    let key = statement.query_row(named, |row| Ok(key(row))).optional()?.transpose()?;
    let kept = key.map(|key| kept(connection, &key)).transpose()?.flatten();
    Ok(kept.and_then(|kept| kept.fate(now)))
}

fn held(connection: &Connection, ticket: &ClaimTicket) -> Result<Kept, Fault> {
    kept(connection, &ticket.key)?.filter(|kept| kept.is_held_by(ticket)).ok_or(Fault::TAKEN_OVER)
}

fn key(row: &Row<'_>) -> Result<IdempotencyKey, Fault> {
    let client = ClientId::parse(&row.get::<_, String>(0)?).map_err(Fault::new)?;
    let operation = OperationId::parse(&row.get::<_, String>(1)?).map_err(Fault::new)?;
    IdempotencyKey::bind(&client, &operation, &row.get::<_, String>(2)?).map_err(Fault::new)
}

fn kept(connection: &Connection, key: &IdempotencyKey) -> Result<Option<Kept>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT digest, reference, token, lease_ends, until, keep, organisation, settles, since, ask_at, asked, held, doubt,
             outcome, status, headers, body
         FROM claims WHERE client = ?1 AND operation = ?2 AND key = ?3",
    )?;
    let named = params![key.client().as_str(), key.operation().as_str(), key.key()];
    statement.query_row(named, |row| Ok(read(row))).optional()?.transpose()
}

fn read(row: &Row<'_>) -> Result<Kept, Fault> {
    let reply = match (row.get("status")?, row.get::<_, Option<String>>("headers")?, row.get("body")?) {
        (None, None, None::<Vec<u8>>) => None,
        (Some(status), Some(headers), Some(body)) => {
            Some(StoredReply { status, headers: headers_from_text(&headers)?, body })
        }
        _ => return Err(Fault::new("a kept answer is not whole")),
    };
    let organisation = row.get::<_, Option<String>>("organisation")?;
    let outcome = Outcome::read(&row.get::<_, String>("outcome")?, reply);
    Ok(Kept {
        digest: row.get("digest")?,
        reference: row.get("reference")?,
        token: row.get("token")?,
        lease_ends: Timestamp::from_millis(row.get("lease_ends")?),
        until: Timestamp::from_millis(row.get("until")?),
        keep: Duration::from_millis(u64::try_from(row.get::<_, i64>("keep")?).map_err(Fault::new)?),
        organisation: organisation.map(|id| OrganisationId::parse(&id)).transpose().map_err(Fault::new)?,
        settles: row.get("settles")?,
        since: Timestamp::from_millis(row.get("since")?),
        ask_at: row.get::<_, Option<i64>>("ask_at")?.map(Timestamp::from_millis),
        asked: row.get("asked")?,
        held: row.get("held")?,
        doubt: row.get("doubt")?,
        outcome: outcome.ok_or_else(|| Fault::new("a kept outcome does not fit its answer"))?,
    })
}

fn write(connection: &Connection, key: &IdempotencyKey, kept: &Kept) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO claims (client, operation, key, digest, reference, token, lease_ends, until, keep,
             organisation, settles, since, ask_at, asked, held, doubt, outcome, status, headers, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
    )?;
    let reply = kept.outcome.reply();
    statement.execute(params![
        key.client().as_str(),
        key.operation().as_str(),
        key.key(),
        kept.digest,
        kept.reference,
        kept.token,
        kept.lease_ends.millis(),
        kept.until.millis(),
        i64::try_from(kept.keep.as_millis()).unwrap_or(i64::MAX),
        kept.organisation.as_ref().map(OrganisationId::as_str),
        kept.settles,
        kept.since.millis(),
        kept.ask_at.map(Timestamp::millis),
        kept.asked,
        kept.held,
        kept.doubt,
        kept.outcome.word(),
        reply.map(|reply| reply.status),
        reply.map(|reply| headers_to_text(&reply.headers)).transpose()?,
        reply.map(|reply| &reply.body),
    ])?;
    Ok(())
}

// A JSON list of pairs, values in base64 as they need not be text.
fn headers_to_text(headers: &[(String, Vec<u8>)]) -> Result<String, Fault> {
    let pairs: Vec<_> = headers.iter().map(|(name, value)| (name, STANDARD.encode(value))).collect();
    serde_json::to_string(&pairs).map_err(Fault::new)
}

fn headers_from_text(text: &str) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text).map_err(Fault::new)?;
    pairs.into_iter().map(|(name, value)| Ok((name, STANDARD.decode(value).map_err(Fault::new)?))).collect()
}
