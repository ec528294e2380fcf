//! Rows of persons' keys and of policy sets.

use policies::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use policies::change::Entry;

use super::super::acts::Columns;
use super::super::port::{CHANGES_READ, SubjectKey};
use super::fault::Fault;

/// Gives the key of a person, or makes `fresh` their key.
pub(super) fn obtain(
    connection: &Connection,
    subject: [u8; 32],
    fresh: SubjectKey,
    now: Timestamp,
) -> Result<SubjectKey, Fault> {
    let mut find =
        connection.prepare_cached("SELECT id, wrapped FROM subject_keys WHERE subject = ?1 AND destroyed = 0")?;
    if let Some(found) = find.query_row([subject], subject_key).optional()? {
        return Ok(found);
    }
    let mut add =
        connection.prepare_cached("INSERT INTO subject_keys (subject, id, wrapped, made) VALUES (?1, ?2, ?3, ?4)")?;
    add.execute(params![subject, fresh.id, fresh.wrapped, now.millis()])?;
    Ok(fresh)
}

/// Finds a key by its id.
pub(super) fn find(connection: &Connection, id: [u8; 16]) -> Result<Option<SubjectKey>, Fault> {
    let mut find = connection.prepare_cached("SELECT id, wrapped FROM subject_keys WHERE id = ?1 AND destroyed = 0")?;
    Ok(find.query_row([id], subject_key).optional()?)
}

/// Overwrites the key of a person; what stood in the log is gone once the log was written back and cut.
pub(super) fn destroy(connection: &Connection, subject: [u8; 32]) -> Result<Option<[u8; 16]>, Fault> {
    // Of the same size as before, so that the row stays where it is.
    let mut destroy = connection.prepare_cached(
        "UPDATE subject_keys SET wrapped = zeroblob(length(wrapped)), subject = zeroblob(length(subject)), destroyed = 1
         WHERE subject = ?1 AND destroyed = 0 RETURNING id",
    )?;
    Ok(destroy.query_row([subject], |row| row.get(0)).optional()?)
}

/// Enters a policy set, if the newest is another.
pub(super) fn enter(connection: &Connection, digest: [u8; 32], bundle: &[u8], now: Timestamp) -> Result<u64, Fault> {
    let mut newest =
        connection.prepare_cached("SELECT number, digest FROM generations ORDER BY number DESC LIMIT 1")?;
    let newest = newest.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))).optional()?;
    let number = match newest {
        Some((number, found)) if found == digest => return u64::try_from(number).map_err(Fault::new),
        Some((number, _)) => number + 1,
        None => 1,
    };
    let mut add = connection
        .prepare_cached("INSERT INTO generations (number, digest, entered, bundle) VALUES (?1, ?2, ?3, ?4)")?;
    add.execute(params![number, digest, now.millis(), bundle])?;
    u64::try_from(number).map_err(Fault::new)
}

/// Finds the text of a policy set.
pub(super) fn bundle(connection: &Connection, number: u64) -> Result<Option<Vec<u8>>, Fault> {
    let Ok(number) = i64::try_from(number) else { return Ok(None) };
    let mut find = connection.prepare_cached("SELECT bundle FROM generations WHERE number = ?1")?;
    Ok(find.query_row([number], |row| row.get(0)).optional()?)
}

/// Adds what an administrator did, if it is the next entry.
pub(super) fn add_change(connection: &Connection, columns: Option<Columns>, texts: &[u8]) -> Result<bool, Fault> {
    let Some(it) = columns else { return Ok(false) };
    let mut add = connection.prepare_cached(
        "INSERT INTO changes (number, by, at, act, proposal, applies, digest, note, base, restores, texts)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
         WHERE (SELECT coalesce(max(number), 0) FROM changes) = ?1 - 1",
    )?;
    let values = params![
        it.number,
        it.by,
        it.at.millis(),
        it.act,
        it.proposal,
        it.applies,
        it.digest,
        it.note,
        it.base,
        it.restores,
        texts
    ];
    Ok(add.execute(values)? == 1)
}

/// Reads what administrators did after an entry.
pub(super) fn changes_after(connection: &Connection, number: u64) -> Result<Vec<Entry>, Fault> {
    let Ok(number) = i64::try_from(number) else { return Ok(Vec::new()) };
    let mut find = connection.prepare_cached(
        "SELECT number, by, at, act, proposal, applies, digest, note, base, restores FROM changes
         WHERE number > ?1 ORDER BY number LIMIT ?2",
    )?;
    let limit = i64::try_from(CHANGES_READ).map_err(Fault::new)?;
    let rows = find.query_map([number, limit], |row| {
        Ok(Columns {
            number: row.get(0)?,
            by: row.get(1)?,
            at: Timestamp::from_millis(row.get(2)?),
            act: row.get(3)?,
            proposal: row.get(4)?,
            applies: row.get(5)?,
            digest: row.get(6)?,
            note: row.get(7)?,
            base: row.get(8)?,
            restores: row.get(9)?,
        })
    })?;
    rows.map(|row| row?.read().ok_or_else(|| Fault::new("an entry of the changes cannot be read"))).collect()
}

/// Finds the texts of a proposal.
pub(super) fn proposed_texts(connection: &Connection, number: u64) -> Result<Option<Vec<u8>>, Fault> {
    let Ok(number) = i64::try_from(number) else { return Ok(None) };
    let mut find = connection.prepare_cached("SELECT texts FROM changes WHERE number = ?1 AND act = 'proposed'")?;
    Ok(find.query_row([number], |row| row.get(0)).optional()?)
}

fn subject_key(row: &Row<'_>) -> Result<SubjectKey, rusqlite::Error> {
    Ok(SubjectKey { id: row.get(0)?, wrapped: row.get(1)? })
}
