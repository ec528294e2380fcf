//! Rows of events, numbered for each client.

use std::time::Duration;

use policies::event::{Event, EventKind, NewEvent};
use policies::id::ClientId;
use policies::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::super::port::Telling;
use super::fault::{Fault, rows};

const COLUMNS: &str = "client, position, id, subject, kind, at, data, attempts";

/// Numbers an event and keeps it.
pub(super) fn append(connection: &Connection, event: &NewEvent) -> Result<(), Fault> {
    let mut count = connection.prepare_cached(
        "INSERT INTO positions (client, last) VALUES (?1, 1) ON CONFLICT (client) DO UPDATE SET last = last + 1
         RETURNING last",
    )?;
    let position: i64 = count.query_row([event.client.as_str()], |row| row.get(0))?;
    let mut add = connection.prepare_cached(
        "INSERT INTO events (client, position, id, subject, kind, at, data, due_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6)",
    )?;
    let (client, kind) = (event.client.as_str(), event.kind.word());
    add.execute(params![client, position, event.id, event.subject, kind, event.at.millis(), event.data])?;
    Ok(())
}

/// Gives events beyond a position, in order.
pub(super) fn after(connection: &Connection, client: &ClientId, after: u64, most: usize) -> Result<Vec<Event>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM events WHERE client = ?1 AND position > ?2 ORDER BY position LIMIT ?3"
    ))?;
    let found = statement.query_map(params![client.as_str(), place(after), rows(most)], |row| Ok(event(row)))?;
    found.map(|event| event?).collect()
}

/// Takes what is due.
pub(super) fn due(
    connection: &Connection,
    clients: &[ClientId],
    most: usize,
    lease: Duration,
    now: Timestamp,
) -> Result<Vec<Event>, Fault> {
    let mut find = connection.prepare_cached(
        "SELECT client, position FROM events AS this
         WHERE state = 'waiting' AND due_at <= ?1 AND client IN (SELECT value FROM json_each(?2))
             AND NOT EXISTS (
                 SELECT 1 FROM events AS before
                 WHERE before.client = this.client AND before.subject = this.subject
                     AND before.position < this.position AND before.state = 'waiting')
         ORDER BY due_at, client, position LIMIT ?3",
    )?;
    let found = find.query_map(params![now.millis(), list(clients)?, rows(most)], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let found: Vec<_> = found.collect::<Result<_, _>>()?;
    let mut take = connection.prepare_cached(&format!(
        "UPDATE events SET attempts = attempts + 1, due_at = ?3 WHERE client = ?1 AND position = ?2 RETURNING {COLUMNS}"
    ))?;
    let take =
        |(client, position)| take.query_row(params![client, position, (now + lease).millis()], |row| Ok(event(row)))?;
    found.into_iter().map(take).collect()
}

/// Writes down what became of an attempt.
pub(super) fn told(connection: &Connection, client: &ClientId, position: u64, telling: Telling) -> Result<(), Fault> {
    let (state, due_at) = match telling {
        Telling::Delivered => ("delivered", None),
        Telling::Again(at) => ("waiting", Some(at.millis())),
        Telling::Parked => ("parked", None),
    };
    let mut statement = connection.prepare_cached(
        "UPDATE events SET state = ?3, due_at = coalesce(?4, due_at)
         WHERE client = ?1 AND position = ?2 AND state <> 'delivered'",
    )?;
    statement.execute(params![client.as_str(), place(position), state, due_at])?;
    Ok(())
}

/// Makes events due again.
pub(super) fn redeliver(connection: &Connection, client: &ClientId, after: u64, now: Timestamp) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached(
        "UPDATE events SET state = 'waiting', attempts = 0, due_at = ?3 WHERE client = ?1 AND position > ?2",
    )?;
    Ok(statement.execute(params![client.as_str(), place(after), now.millis()])? as u64)
}

/// Counts what waits.
pub(super) fn waiting(connection: &Connection, clients: &[ClientId]) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM events WHERE state = 'waiting' AND client IN (SELECT value FROM json_each(?1))",
    )?;
    let count: i64 = statement.query_row([list(clients)?], |row| row.get(0))?;
    u64::try_from(count).map_err(Fault::new)
}

// A position that the file could not hold is beyond all that it holds.
fn place(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn list(clients: &[ClientId]) -> Result<String, Fault> {
    serde_json::to_string(&clients.iter().map(ClientId::as_str).collect::<Vec<_>>()).map_err(Fault::new)
}

fn event(row: &Row<'_>) -> Result<Event, Fault> {
    let kind = EventKind::from_word(&row.get::<_, String>("kind")?);
    let event = NewEvent {
        id: row.get("id")?,
        client: ClientId::parse(&row.get::<_, String>("client")?).map_err(Fault::new)?,
        subject: row.get("subject")?,
        kind: kind.ok_or_else(|| Fault::new("a stored kind of event cannot be read"))?,
        at: Timestamp::from_millis(row.get("at")?),
        data: row.get("data")?,
    };
    let position = u64::try_from(row.get::<_, i64>("position")?).map_err(Fault::new)?;
    Ok(Event { position, event, attempts: row.get("attempts")? })
}
