//! Rows of what the authorization server remembers, and of what was taken back.

use policies::revocation::Revoked;
use policies::time::Timestamp;
use tokio_postgres::Row;

use super::super::port::{ITEMS_LISTED, Item, ItemKind, REVOKED_READ, Step, too_long};
use super::session::{Fault, Session, bytes, column, limit, time};

const FIND: &str = "SELECT kind, key, owner, keep_until, version, body FROM items WHERE kind = $1 AND key = $2";

const OF_OWNER: &str = "SELECT kind, key, owner, keep_until, version, body FROM items
    WHERE kind = $1 AND owner = $2 ORDER BY number DESC LIMIT $3";

const ADD: &str = "INSERT INTO items (kind, key, owner, keep_until, version, body) VALUES ($1, $2, $3, $4, 1, $5)
    ON CONFLICT (kind, key) DO NOTHING";

// Who wants to replace what another is just replacing waits here for how that ends, and finds another version then.
const REPLACE: &str = "UPDATE items SET owner = $3, keep_until = $4, version = version + 1, body = $5
    WHERE kind = $1 AND key = $2 AND version = $6";

// Whoever revokes waits here until those before are in, or are not: whoever sees a position sees all before it. The name
// is no client's: it has a character that theirs have not.
const COUNT: &str = "INSERT INTO positions (client, last) VALUES ('#revocations', 1)
    ON CONFLICT (client) DO UPDATE SET last = positions.last + 1 RETURNING last";

// What is known to be revoked for as long needs no second row: whoever repeats it makes the list no longer.
const REVOKE: &str = "INSERT INTO revocations (position, name, until)
    SELECT $1::BIGINT, $2::BYTEA, $3::BIGINT
    WHERE NOT EXISTS (SELECT 1 FROM revocations WHERE name = $2::BYTEA AND until >= $3::BIGINT)";

const REVOKED_AFTER: &str = "SELECT position, name, until FROM revocations
    WHERE position > $1 AND until > $2 ORDER BY position LIMIT $3";

/// Finds an item.
pub(super) async fn find(session: &Session, kind: ItemKind, key: [u8; 32]) -> Result<Option<(Item, u64)>, Fault> {
    session.row(FIND, &[&kind.word(), &key.as_slice()]).await?.map(|row| read(&row)).transpose()
}

/// Gives the items of an owner, the last added first.
pub(super) async fn of_owner(session: &Session, kind: ItemKind, owner: [u8; 32]) -> Result<Vec<(Item, u64)>, Fault> {
    let found = session.rows(OF_OWNER, &[&kind.word(), &owner.as_slice(), &limit(ITEMS_LISTED)]).await?;
    found.iter().map(read).collect()
}

/// Takes all steps and remembers what is revoked, or undoes all if a step does not fit.
pub(super) async fn change(
    session: &Session,
    steps: &[Step],
    revoked: &[Revoked],
    now: Timestamp,
) -> Result<bool, Fault> {
    if steps.iter().any(too_long) {
        return Err(Fault::new("an item is longer than may be"));
    }
    session.begin();
    // In one order for everybody, so that two that change the same two do not wait for each other for ever.
    let mut ordered: Vec<&Step> = steps.iter().collect();
    ordered.sort_by_key(|step| (step.item().kind.word(), step.item().key));
    for step in ordered {
        if !take(session, step).await? {
            session.undo().await?;
            return Ok(false);
        }
    }
    for one in revoked.iter().filter(|one| now < one.until) {
        let counted = session.row(COUNT, &[]).await?.ok_or_else(|| Fault::new("a revocation was given no number"))?;
        let position: i64 = column(&counted, "last")?;
        session.change(REVOKE, &[&position, &one.name.as_slice(), &one.until.millis()]).await?;
    }
    Ok(true)
}

/// Gives what was revoked beyond a position.
pub(super) async fn revoked_after(
    session: &Session,
    position: u64,
    now: Timestamp,
) -> Result<Vec<(u64, Revoked)>, Fault> {
    let Ok(position) = i64::try_from(position) else { return Ok(Vec::new()) };
    let read = |row: &Row| -> Result<(u64, Revoked), Fault> {
        let position = u64::try_from(column::<i64>(row, "position")?).map_err(Fault::new)?;
        Ok((position, Revoked { name: bytes(row, "name")?, until: time(row, "until")? }))
    };
    let found = session.rows(REVOKED_AFTER, &[&position, &now.millis(), &limit(REVOKED_READ)]).await?;
    found.iter().map(read).collect()
}

async fn take(session: &Session, step: &Step) -> Result<bool, Fault> {
    let item = step.item();
    let (kind, key, body) = (item.kind.word(), item.key.as_slice(), item.body.as_slice());
    let (owner, keep_until) = (item.owner.as_ref().map(<[u8; 32]>::as_slice), item.keep_until.millis());
    let changed = match step {
        Step::Add(_) => session.change(ADD, &[&kind, &key, &owner, &keep_until, &body]).await?,
        Step::Replace(_, version) => {
            let Ok(version) = i64::try_from(*version) else { return Ok(false) };
            session.change(REPLACE, &[&kind, &key, &owner, &keep_until, &body, &version]).await?
        }
    };
    Ok(changed == 1)
}

fn read(row: &Row) -> Result<(Item, u64), Fault> {
    let kind = ItemKind::from_word(column(row, "kind")?);
    let owner: Option<&[u8]> = column(row, "owner")?;
    let unreadable = |_| Fault::new("a stored owner cannot be read");
    let item = Item {
        kind: kind.ok_or_else(|| Fault::new("a stored item is of no known kind"))?,
        key: bytes(row, "key")?,
        owner: owner.map(|owner| owner.try_into().map_err(unreadable)).transpose()?,
        keep_until: time(row, "keep_until")?,
        body: column(row, "body")?,
    };
    Ok((item, u64::try_from(column::<i64>(row, "version")?).map_err(Fault::new)?))
}
