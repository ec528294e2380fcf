//! Rows of persons' keys and of policy sets.

use policies::time::Timestamp;
use tokio_postgres::Row;

use policies::change::Entry;

use super::super::acts::Columns;
use super::super::port::{CHANGES_READ, SubjectKey};
use super::session::{Fault, Session, bytes, column};

const FIND_OF: &str = "SELECT id, wrapped FROM subject_keys WHERE subject = $1";

const FIND: &str = "SELECT id, wrapped FROM subject_keys WHERE id = $1";

const ADD: &str = "INSERT INTO subject_keys (subject, id, wrapped, made) VALUES ($1, $2, $3, $4)
    ON CONFLICT (subject) DO NOTHING";

const DESTROY: &str = "DELETE FROM subject_keys WHERE subject = $1 RETURNING id";

const NEWEST: &str = "SELECT number, digest FROM generations ORDER BY number DESC LIMIT 1";

const ENTER: &str = "INSERT INTO generations (number, digest, entered, bundle) VALUES ($1, $2, $3, $4)
    ON CONFLICT (number) DO NOTHING";

const BUNDLE: &str = "SELECT bundle FROM generations WHERE number = $1";

const NEWEST_CHANGE: &str = "SELECT number FROM changes ORDER BY number DESC LIMIT 1";

const ADD_CHANGE: &str = "INSERT INTO changes
    (number, by_whom, at, act, proposal, applies, digest, note, base, restores, texts)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (number) DO NOTHING";

const CHANGES_AFTER: &str = "SELECT number, by_whom, at, act, proposal, applies, digest, note, base, restores
    FROM changes WHERE number > $1 ORDER BY number LIMIT $2";

const TEXTS: &str = "SELECT texts FROM changes WHERE number = $1 AND act = 'proposed'";

/// Gives the key of a person, or makes `fresh` their key.
pub(super) async fn obtain(
    session: &Session,
    subject: [u8; 32],
    fresh: &SubjectKey,
    now: Timestamp,
) -> Result<SubjectKey, Fault> {
    if let Some(found) = session.row(FIND_OF, &[&subject.as_slice()]).await? {
        return key(&found);
    }
    let (id, made) = (fresh.id.as_slice(), now.millis());
    if session.change(ADD, &[&subject.as_slice(), &id, &fresh.wrapped, &made]).await? == 1 {
        return Ok(fresh.clone());
    }
    // Somebody was quicker; if it is gone again, the next try is.
    session.row(FIND_OF, &[&subject.as_slice()]).await?.map_or(Err(Fault::Clash), |found| key(&found))
}

/// Finds a key by its id.
pub(super) async fn find(session: &Session, id: [u8; 16]) -> Result<Option<SubjectKey>, Fault> {
    session.row(FIND, &[&id.as_slice()]).await?.map(|row| key(&row)).transpose()
}

/// Destroys the key of a person.
///
/// The server keeps a deleted row on its page until that is cleaned up, and in its log until that is written over. So it
/// is asked to clean up at once; what stands in its log and in copies of it is of no use without the data key.
pub(super) async fn destroy(session: &Session, subject: [u8; 32]) -> Result<Option<[u8; 16]>, Fault> {
    let Some(gone) = session.row(DESTROY, &[&subject.as_slice()]).await? else { return Ok(None) };
    if let Err(fault) = session.batch("VACUUM subject_keys").await {
        tracing::warn!("the database did not clean up after a key that was destroyed: {}", fault.cause());
    }
    bytes(&gone, "id").map(Some)
}

/// Enters a policy set, if the newest is another.
pub(super) async fn enter(session: &Session, digest: [u8; 32], bundle: &[u8], now: Timestamp) -> Result<u64, Fault> {
    let newest = session.row(NEWEST, &[]).await?;
    let number = match newest {
        Some(newest) => {
            let number: i64 = column(&newest, "number")?;
            if bytes::<32>(&newest, "digest")? == digest {
                return u64::try_from(number).map_err(Fault::new);
            }
            number + 1
        }
        None => 1,
    };
    match session.change(ENTER, &[&number, &digest.as_slice(), &now.millis(), &bundle]).await? {
        1 => u64::try_from(number).map_err(Fault::new),
        // Somebody entered one meanwhile, perhaps this one.
        _ => Err(Fault::Clash),
    }
}

/// Finds the text of a policy set.
pub(super) async fn bundle(session: &Session, number: u64) -> Result<Option<Vec<u8>>, Fault> {
    let Ok(number) = i64::try_from(number) else { return Ok(None) };
    session.row(BUNDLE, &[&number]).await?.map(|row| column(&row, "bundle")).transpose()
}

/// Adds what an administrator did, if it is the next entry.
pub(super) async fn add_change(session: &Session, it: &Columns, texts: &[u8]) -> Result<bool, Fault> {
    let newest: i64 = match session.row(NEWEST_CHANGE, &[]).await? {
        Some(row) => column(&row, "number")?,
        None => 0,
    };
    if it.number != newest + 1 {
        return Ok(false);
    }
    let at = it.at.millis();
    let digest = it.digest.as_deref();
    let added = session
        .change(
            ADD_CHANGE,
            &[
                &it.number,
                &it.by,
                &at,
                &it.act,
                &it.proposal,
                &it.applies,
                &digest,
                &it.note,
                &it.base,
                &it.restores,
                &texts,
            ],
        )
        .await?;
    Ok(added == 1)
}

/// Reads what administrators did after an entry.
pub(super) async fn changes_after(session: &Session, number: u64) -> Result<Vec<Entry>, Fault> {
    let Ok(number) = i64::try_from(number) else { return Ok(Vec::new()) };
    let limit = i64::try_from(CHANGES_READ).map_err(Fault::new)?;
    let read = |row: &Row| -> Result<Entry, Fault> {
        let columns = Columns {
            number: column(row, "number")?,
            by: column(row, "by_whom")?,
            at: Timestamp::from_millis(column(row, "at")?),
            act: column(row, "act")?,
            proposal: column(row, "proposal")?,
            applies: column(row, "applies")?,
            digest: column(row, "digest")?,
            note: column(row, "note")?,
            base: column(row, "base")?,
            restores: column(row, "restores")?,
        };
        columns.read().ok_or_else(|| Fault::new("an entry of the changes cannot be read"))
    };
    session.rows(CHANGES_AFTER, &[&number, &limit]).await?.iter().map(read).collect()
}

/// Finds the texts of a proposal.
pub(super) async fn proposed_texts(session: &Session, number: u64) -> Result<Option<Vec<u8>>, Fault> {
    let Ok(number) = i64::try_from(number) else { return Ok(None) };
    session.row(TEXTS, &[&number]).await?.map(|row| column(&row, "texts")).transpose()
}

fn key(row: &Row) -> Result<SubjectKey, Fault> {
    Ok(SubjectKey { id: bytes(row, "id")?, wrapped: column(row, "wrapped")? })
}
