//! Rows of claims and of what they spent.
//!
//! A row is locked before it is judged and until what became of it is written: nobody else judges it meanwhile.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policies::event::NewEvent;
use policies::id::{ClientId, IdempotencyKey, OperationId, OrganisationId};
use policies::once::StoredReply;
use policies::settle::{Fate, Settlement, Undecided};
use policies::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::super::kept::{Kept, Outcome, Standing, take};
use super::super::port::{ClaimAnswer, ClaimTicket, Finish, NewClaim, SPENDS_KEPT};
use super::outbox;
use super::session::{Fault, Session, bytes, column, limit, time};

const FIND_TO_CHANGE: &str = "SELECT digest, reference, token, lease_ends, until, keep, organisation, settles, since, ask_at, asked, held, doubt,
        outcome, status, headers, body
    FROM claims WHERE client = $1 AND operation = $2 AND key = $3 FOR UPDATE";

const FIND_BY_REFERENCE: &str = "SELECT digest, reference, token, lease_ends, until, keep, organisation, settles, since, ask_at, asked, held, doubt,
        outcome, status, headers, body
    FROM claims WHERE client = $1 AND operation = $2 AND reference = $3 ORDER BY since DESC LIMIT 1";

// Of rows that another gateway is at, it takes care.
const FIND_DUE: &str = "SELECT client, operation, key, digest, reference, token, lease_ends, until, keep, organisation, settles, since, ask_at, asked, held, doubt,
        outcome, status, headers, body
    FROM claims WHERE ask_at <= $1 AND lease_ends <= $1 ORDER BY ask_at LIMIT $2 FOR UPDATE SKIP LOCKED";

const ADD: &str = "INSERT INTO claims (client, operation, key, digest, reference, token, lease_ends, until, keep,
        organisation, settles, since, ask_at, asked, held, doubt, outcome, status, headers, body)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
    ON CONFLICT (client, operation, key) DO NOTHING";

const CHANGE: &str =
    "UPDATE claims SET digest = $4, reference = $5, token = $6, lease_ends = $7, until = $8, keep = $9,
        organisation = $10, settles = $11, since = $12, ask_at = $13, asked = $14, held = $15, doubt = $16,
        outcome = $17, status = $18, headers = $19, body = $20
    WHERE client = $1 AND operation = $2 AND key = $3";

const ASK_AT: &str = "UPDATE claims SET ask_at = $4 WHERE client = $1 AND operation = $2 AND key = $3";

// Things in one order for everybody, so that two that want the same two do not wait for each other for ever. Who wants
// what another is just spending waits here for how that ends.
const SPEND: &str = "INSERT INTO spends (name, client, operation, key, digest, until)
    SELECT name, $2, $3, $4, $5, $6 FROM unnest($1::TEXT[]) AS name
    ON CONFLICT (name) DO UPDATE SET client = $2, operation = $3, key = $4, digest = $5, until = $6
    WHERE spends.until <= $7 OR
        (spends.client = $2 AND spends.operation = $3 AND spends.key = $4 AND spends.digest = $5 AND
            spends.until >= $8)";

const SPENT: &str = "SELECT name FROM spends WHERE name = $1 AND until > $2";

/// How often a claim whose row comes and goes under our hands is looked at again.
const LOOKS_MAX: u32 = 4;

/// Claims a key.
pub(super) async fn claim(session: &Session, claim: &NewClaim, now: Timestamp) -> Result<ClaimAnswer, Fault> {
    for _ in 0..LOOKS_MAX {
        // Most keys are new: one statement, and it is durable.
        if let Standing::Taken(kept) = take(None, claim, now)
            && write(session, ADD, &claim.key, &kept).await? == 1
        {
            return Ok(ClaimAnswer::Taken(kept.ticket(claim.key.clone())));
        }
        session.begin();
        // Swept out between the two statements: it is new after all.
        let Some(found) = kept(session, &claim.key).await? else {
            session.undo().await?;
            continue;
        };
        return match take(Some(found), claim, now) {
            Standing::Earlier(earlier) => Ok(ClaimAnswer::Earlier(earlier)),
            Standing::Taken(kept) => {
                write(session, CHANGE, &claim.key, &kept).await?;
                Ok(ClaimAnswer::Taken(kept.ticket(claim.key.clone())))
            }
        };
    }
    Err(Fault::Clash)
}

/// Spends things for a claim, all or none.
pub(super) async fn clear(
    session: &Session,
    ticket: &ClaimTicket,
    spends: &[String],
    now: Timestamp,
) -> Result<bool, Fault> {
    session.begin();
    let own_from = held(session, ticket).await?.spends_from().millis();
    let mut things: Vec<&str> = spends.iter().map(String::as_str).collect();
    things.sort_unstable();
    things.dedup();
    if things.is_empty() {
        return Ok(true);
    }
    let (client, operation, name) = names(&ticket.key);
    let (digest, until, now) = (ticket.digest.as_slice(), (now + SPENDS_KEPT).millis(), now.millis());
    let wanted: [&(dyn ToSql + Sync); 8] = [&things, &client, &operation, &name, &digest, &until, &now, &own_from];
    let spent = session.change(SPEND, &wanted).await?;
    if spent == things.len() as u64 {
        return Ok(true);
    }
    session.undo().await?;
    Ok(false)
}

/// Tells whether a thing was spent.
pub(super) async fn spent(session: &Session, thing: &str, now: Timestamp) -> Result<bool, Fault> {
    Ok(session.row(SPENT, &[&thing, &now.millis()]).await?.is_some())
}

/// Keeps the answer of a deed.
pub(super) async fn finish(
    session: &Session,
    ticket: &ClaimTicket,
    finish: &Finish,
    now: Timestamp,
) -> Result<(), Fault> {
    session.begin();
    let found = kept(session, &ticket.key).await?.filter(|kept| kept.may_finish(ticket));
    let mut kept = found.ok_or(Fault::TakenOver)?;
    let event = kept.finish(finish.clone(), now);
    write(session, CHANGE, &ticket.key, &kept).await?;
    match event {
        Some(event) => outbox::append(session, &event).await,
        None => Ok(()),
    }
}

/// Takes a claim back from its holder; one that is not held by this ticket stays as it is.
pub(super) async fn release(session: &Session, ticket: &ClaimTicket, now: Timestamp) -> Result<(), Fault> {
    session.begin();
    if let Some(mut kept) = kept(session, &ticket.key).await?.filter(|kept| kept.is_held_by(ticket)) {
        kept.release(now);
        write(session, CHANGE, &ticket.key, &kept).await?;
    }
    Ok(())
}

/// Hands out undecided claims that are due.
pub(super) async fn undecided(
    session: &Session,
    most: usize,
    lease: Duration,
    now: Timestamp,
) -> Result<Vec<Undecided>, Fault> {
    session.begin();
    let mut found = Vec::new();
    for row in session.rows(FIND_DUE, &[&now.millis(), &limit(most)]).await? {
        let (key, mut kept) = (key(&row)?, read(&row)?);
        let Some(undecided) = kept.ask(key, lease, now) else { continue };
        let (client, operation, name) = names(&undecided.key);
        let ask_at = kept.ask_at.map(Timestamp::millis);
        session.change(ASK_AT, &[&client, &operation, &name, &ask_at]).await?;
        found.push(undecided);
    }
    Ok(found)
}

/// Settles an undecided claim.
pub(super) async fn settle(
    session: &Session,
    undecided: &Undecided,
    settlement: &Settlement,
    event: Option<&NewEvent>,
    now: Timestamp,
) -> Result<bool, Fault> {
    session.begin();
    let Some(mut kept) = kept(session, &undecided.key).await? else { return Ok(false) };
    if !kept.settle(undecided, settlement.clone(), now) {
        return Ok(false);
    }
    write(session, CHANGE, &undecided.key, &kept).await?;
    if let Some(event) = event {
        outbox::append(session, event).await?;
    }
    Ok(true)
}

/// Tells how a deed stands.
pub(super) async fn fate(
    session: &Session,
    client: &ClientId,
    operation: &OperationId,
    reference: &str,
    now: Timestamp,
) -> Result<Option<Fate>, Fault> {
    let found = session.row(FIND_BY_REFERENCE, &[&client.as_str(), &operation.as_str(), &reference]).await?;
    let kept = found.map(|row| read(&row)).transpose()?;
    Ok(kept.and_then(|kept| kept.fate(now)))
}

async fn held(session: &Session, ticket: &ClaimTicket) -> Result<Kept, Fault> {
    kept(session, &ticket.key).await?.filter(|kept| kept.is_held_by(ticket)).ok_or(Fault::TakenOver)
}

async fn kept(session: &Session, key: &IdempotencyKey) -> Result<Option<Kept>, Fault> {
    let (client, operation, name) = names(key);
    let found = session.row(FIND_TO_CHANGE, &[&client, &operation, &name]).await?;
    found.map(|row| read(&row)).transpose()
}

fn names(key: &IdempotencyKey) -> (&str, &str, &str) {
    (key.client().as_str(), key.operation().as_str(), key.key())
}

fn key(row: &Row) -> Result<IdempotencyKey, Fault> {
    let client = ClientId::parse(column(row, "client")?).map_err(Fault::new)?;
    let operation = OperationId::parse(column(row, "operation")?).map_err(Fault::new)?;
    IdempotencyKey::bind(&client, &operation, column(row, "key")?).map_err(Fault::new)
}

fn read(row: &Row) -> Result<Kept, Fault> {
    let status: Option<i64> = column(row, "status")?;
    let reply = match (status, column::<Option<&str>>(row, "headers")?, column(row, "body")?) {
        (None, None, None::<Vec<u8>>) => None,
        (Some(status), Some(headers), Some(body)) => {
            let status = u16::try_from(status).map_err(Fault::new)?;
            Some(StoredReply { status, headers: headers_from_text(headers)?, body })
        }
        _ => return Err(Fault::new("a kept answer is not whole")),
    };
    let outcome = Outcome::read(column(row, "outcome")?, reply);
    Ok(Kept {
        digest: bytes(row, "digest")?,
        reference: column(row, "reference")?,
        token: bytes(row, "token")?,
        lease_ends: time(row, "lease_ends")?,
        until: time(row, "until")?,
        keep: Duration::from_millis(u64::try_from(column::<i64>(row, "keep")?).map_err(Fault::new)?),
        organisation: Some(OrganisationId::parse(column(row, "organisation")?).map_err(Fault::new)?),
        settles: column(row, "settles")?,
        since: time(row, "since")?,
        ask_at: column::<Option<i64>>(row, "ask_at")?.map(Timestamp::from_millis),
        asked: u32::try_from(column::<i64>(row, "asked")?).map_err(Fault::new)?,
        held: column(row, "held")?,
        doubt: column(row, "doubt")?,
        outcome: outcome.ok_or_else(|| Fault::new("a kept outcome does not fit its answer"))?,
    })
}

async fn write(session: &Session, statement: &str, key: &IdempotencyKey, kept: &Kept) -> Result<u64, Fault> {
    let (client, operation, name) = names(key);
    let reply = kept.outcome.reply();
    session
        .change(
            statement,
            &[
                &client,
                &operation,
                &name,
                &kept.digest.as_slice(),
                &kept.reference,
                &kept.token.as_slice(),
                &kept.lease_ends.millis(),
                &kept.until.millis(),
                &i64::try_from(kept.keep.as_millis()).unwrap_or(i64::MAX),
                &kept.organisation.as_ref().map(OrganisationId::as_str),
                &kept.settles,
                &kept.since.millis(),
                &kept.ask_at.map(Timestamp::millis),
                &i64::from(kept.asked),
                &kept.held,
                &kept.doubt,
                &kept.outcome.word(),
                &reply.map(|reply| i64::from(reply.status)),
                &reply.map(|reply| headers_to_text(&reply.headers)).transpose()?,
                &reply.map(|reply| reply.body.as_slice()),
            ],
        )
        .await
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
