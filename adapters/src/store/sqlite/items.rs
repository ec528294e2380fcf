//! Rows of what the authorization server remembers, and of what was taken back.

use policies::revocation::Revoked;
use policies::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::port::{ITEMS_LISTED, Item, ItemKind, REVOKED_READ, Step, too_long};
use super::fault::{Fault, rows};

/// Finds an item.
pub(super) fn find(connection: &Connection, kind: ItemKind, key: [u8; 32]) -> Result<Option<(Item, u64)>, Fault> {
    let mut find = connection
        .prepare_cached("SELECT kind, key, owner, keep_until, version, body FROM items WHERE kind = ?1 AND key = ?2")?;
    find.query_row(params![kind.word(), key], |row| Ok(read(row))).optional()?.transpose()
}

/// Gives the items of an owner, the last added first.
pub(super) fn of_owner(connection: &Connection, kind: ItemKind, owner: [u8; 32]) -> Result<Vec<(Item, u64)>, Fault> {
    let mut find = connection.prepare_cached(
        "SELECT kind, key, owner, keep_until, version, body FROM items WHERE kind = ?1 AND owner = ?2
         ORDER BY number DESC LIMIT ?3",
    )?;
    let found = find.query_map(params![kind.word(), owner, rows(ITEMS_LISTED)], |row| Ok(read(row)))?;
    found.map(|item| item?).collect()
}

/// Takes all steps and remembers what is revoked; undoes what it did if a step does not fit.
pub(super) fn change(
    connection: &Connection,
    steps: &[Step],
    revoked: &[Revoked],
    now: Timestamp,
) -> Result<bool, Fault> {
    if steps.iter().any(too_long) {
        return Err(Fault::new("an item is longer than may be"));
    }
    // A fault undoes the whole job, and this with it.
    connection.execute_batch("SAVEPOINT steps")?;
    for step in steps {
        if !take(connection, step)? {
            connection.execute_batch("ROLLBACK TO steps; RELEASE steps")?;
            return Ok(false);
        }
    }
    for one in revoked {
        revoke(connection, one, now)?;
    }
    connection.execute_batch("RELEASE steps")?;
    Ok(true)
}

/// Gives what was revoked beyond a position.
pub(super) fn revoked_after(
    connection: &Connection,
    position: u64,
    now: Timestamp,
) -> Result<Vec<(u64, Revoked)>, Fault> {
    let Ok(position) = i64::try_from(position) else { return Ok(Vec::new()) };
    let mut find = connection.prepare_cached(
        "SELECT position, name, until FROM revocations WHERE position > ?1 AND until > ?2 ORDER BY position LIMIT ?3",
    )?;
    let found = find.query_map(params![position, now.millis(), rows(REVOKED_READ)], |row| {
        let revoked = Revoked { name: row.get(1)?, until: Timestamp::from_millis(row.get(2)?) };
        Ok((row.get::<_, i64>(0)?, revoked))
    })?;
    found
        .map(|row| {
            let (position, revoked) = row?;
            Ok((u64::try_from(position).map_err(Fault::new)?, revoked))
        })
        .collect()
}

fn take(connection: &Connection, step: &Step) -> Result<bool, Fault> {
    let changed = match step {
        Step::Add(item) => {
            let mut add = connection.prepare_cached(
                "INSERT INTO items (kind, key, owner, keep_until, version, body) VALUES (?1, ?2, ?3, ?4, 1, ?5)
                 ON CONFLICT (kind, key) DO NOTHING",
            )?;
            add.execute(params![item.kind.word(), item.key, item.owner, item.keep_until.millis(), item.body])?
        }
        Step::Replace(item, version) => {
            let Ok(version) = i64::try_from(*version) else { return Ok(false) };
            let mut replace = connection.prepare_cached(
                "UPDATE items SET owner = ?3, keep_until = ?4, version = version + 1, body = ?5
                 WHERE kind = ?1 AND key = ?2 AND version = ?6",
            )?;
            let kind = item.kind.word();
            replace.execute(params![kind, item.key, item.owner, item.keep_until.millis(), item.body, version])?
        }
    };
    Ok(changed == 1)
}

// What is known to be revoked for as long needs no second line: whoever repeats it makes the list no longer.
fn revoke(connection: &Connection, revoked: &Revoked, now: Timestamp) -> Result<(), Fault> {
    let mut add = connection.prepare_cached(
        "INSERT INTO revocations (name, until) SELECT ?1, ?2
         WHERE ?2 > ?3 AND NOT EXISTS (SELECT 1 FROM revocations WHERE name = ?1 AND until >= ?2)",
    )?;
    add.execute(params![revoked.name, revoked.until.millis(), now.millis()])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<(Item, u64), Fault> {
    let kind = ItemKind::from_word(&row.get::<_, String>(0)?);
    let item = Item {
        kind: kind.ok_or_else(|| Fault::new("a kept item is of no known kind"))?,
        key: row.get(1)?,
        owner: row.get(2)?,
        keep_until: Timestamp::from_millis(row.get(3)?),
        body: row.get(5)?,
    };
    Ok((item, u64::try_from(row.get::<_, i64>(4)?).map_err(Fault::new)?))
}
