//! Rows of events, numbered for each client.

use std::time::Duration;

use policies::event::{Event, EventKind, NewEvent};
use policies::id::ClientId;
use policies::time::Timestamp;
use tokio_postgres::Row;

use super::super::port::Telling;
use super::session::{Fault, Session, column, limit, time};

// Whoever appends to the same client's events waits here until this one is in, or is not: no number is left out.
const COUNT: &str = "INSERT INTO positions (client, last) VALUES ($1, 1)
    ON CONFLICT (client) DO UPDATE SET last = positions.last + 1 RETURNING last";

const ADD: &str = "INSERT INTO events (client, position, id, subject, kind, at, data, attempts, state, due_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 'waiting', $6)";

const AFTER: &str = "SELECT client, position, id, subject, kind, at, data, attempts FROM events
    WHERE client = $1 AND position > $2 ORDER BY position LIMIT $3";

// What another gateway is just taking is left to it.
const TAKE: &str = "WITH found AS (
        SELECT client, position, due_at FROM events AS this
        WHERE state = 'waiting' AND due_at <= $1 AND client = ANY($2)
            AND NOT EXISTS (
                SELECT 1 FROM events AS before
                WHERE before.client = this.client AND before.subject = this.subject
                    AND before.position < this.position AND before.state = 'waiting')
        ORDER BY due_at, client, position LIMIT $3 FOR UPDATE SKIP LOCKED)
    UPDATE events SET attempts = events.attempts + 1, due_at = $4
    FROM found WHERE events.client = found.client AND events.position = found.position
    RETURNING events.client, events.position, events.id, events.subject, events.kind, events.at, events.data,
        events.attempts, found.due_at AS was_due";

const TELL: &str = "UPDATE events SET state = $3, due_at = coalesce($4, due_at)
    WHERE client = $1 AND position = $2 AND state <> 'delivered'";

const REDELIVER: &str = "UPDATE events SET state = 'waiting', attempts = 0, due_at = $3
    WHERE client = $1 AND position > $2";

const WAITING: &str = "SELECT count(*) AS waiting FROM events WHERE state = 'waiting' AND client = ANY($1)";

/// Numbers an event and keeps it; what is done before in this transaction is done with it or not at all.
pub(super) async fn append(session: &Session, event: &NewEvent) -> Result<(), Fault> {
    let client = event.client.as_str();
    let counted = session.row(COUNT, &[&client]).await?.ok_or_else(|| Fault::new("an event was given no number"))?;
    let position: i64 = column(&counted, "last")?;
    let (kind, at) = (event.kind.word(), event.at.millis());
    session.change(ADD, &[&client, &position, &event.id, &event.subject, &kind, &at, &event.data]).await?;
    Ok(())
}

/// Gives events beyond a position, in order.
pub(super) async fn after(session: &Session, client: &ClientId, after: u64, most: usize) -> Result<Vec<Event>, Fault> {
    let found = session.rows(AFTER, &[&client.as_str(), &place(after), &limit(most)]).await?;
    found.iter().map(read).collect()
}

/// Takes what is due.
pub(super) async fn due(
    session: &Session,
    clients: &[ClientId],
    most: usize,
    lease: Duration,
    now: Timestamp,
) -> Result<Vec<Event>, Fault> {
    let clients: Vec<&str> = clients.iter().map(ClientId::as_str).collect();
    let lease_ends = (now + lease).millis();
    let taken = session.rows(TAKE, &[&now.millis(), &clients, &limit(most), &lease_ends]).await?;
    let read = |row: &Row| Ok((column::<i64>(row, "was_due")?, read(row)?));
    let mut found: Vec<_> = taken.iter().map(read).collect::<Result<_, Fault>>()?;
    // An update gives its rows in no order.
    found.sort_by(|(one, first), (other, second)| {
        let order = |event: &Event| (event.event.client.clone(), event.position);
        one.cmp(other).then_with(|| order(first).cmp(&order(second)))
    });
    Ok(found.into_iter().map(|(_, event)| event).collect())
}

/// Writes down what became of an attempt.
pub(super) async fn told(session: &Session, client: &ClientId, position: u64, telling: Telling) -> Result<(), Fault> {
    let (state, due_at) = match telling {
        Telling::Delivered => ("delivered", None),
        Telling::Again(at) => ("waiting", Some(at.millis())),
        Telling::Parked => ("parked", None),
    };
    session.change(TELL, &[&client.as_str(), &place(position), &state, &due_at]).await?;
    Ok(())
}

/// Makes events due again.
pub(super) async fn redeliver(session: &Session, client: &ClientId, after: u64, now: Timestamp) -> Result<u64, Fault> {
    session.change(REDELIVER, &[&client.as_str(), &place(after), &now.millis()]).await
}

/// Counts what waits.
pub(super) async fn waiting(session: &Session, clients: &[ClientId]) -> Result<u64, Fault> {
    let clients: Vec<&str> = clients.iter().map(ClientId::as_str).collect();
    let counted = session.row(WAITING, &[&clients]).await?.ok_or_else(|| Fault::new("nothing was counted"))?;
    u64::try_from(column::<i64>(&counted, "waiting")?).map_err(Fault::new)
}

// A position that the table could not hold is beyond all that it holds.
fn place(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn read(row: &Row) -> Result<Event, Fault> {
    let kind = EventKind::from_word(column(row, "kind")?);
    let event = NewEvent {
        id: column(row, "id")?,
        client: ClientId::parse(column(row, "client")?).map_err(Fault::new)?,
        subject: column(row, "subject")?,
        kind: kind.ok_or_else(|| Fault::new("a stored kind of event cannot be read"))?,
        at: time(row, "at")?,
        data: column(row, "data")?,
    };
    let position = u64::try_from(column::<i64>(row, "position")?).map_err(Fault::new)?;
    let attempts = u32::try_from(column::<i64>(row, "attempts")?).map_err(Fault::new)?;
    Ok(Event { position, event, attempts })
}
