//! Rows of verifications.

use policies::event::NewEvent;
use policies::id::{ClientId, IdError, ProviderId, VerificationId};
use policies::time::Timestamp;
use policies::verification::{Binding, State, Verification};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::outbox;

/// Adds a verification; its id and its provider's session must be new.
pub(super) fn insert(connection: &Connection, verification: &Verification) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO verifications (id, client, subject, sealed_subject, purpose, level, binding, state, provider,
             session, capture_url, created, expires, decided, acr)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    let (binding, decided) = columns(verification);
    statement.execute(params![
        verification.id.as_str(),
        verification.client.as_str(),
        verification.subject,
        verification.sealed_subject,
        verification.purpose,
        verification.level,
        binding,
        verification.state.word(),
        verification.provider.as_str(),
        verification.session,
        verification.capture_url,
        verification.created.millis(),
        verification.expires.millis(),
        decided,
        verification.acr,
    ])?;
    Ok(())
}

/// Puts a verification in place of the one with its id, if that one is in the state `expected`.
pub(super) fn replace(
    connection: &Connection,
    verification: &Verification,
    expected: State,
    event: Option<&NewEvent>,
) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached(
        "UPDATE verifications SET client = ?3, subject = ?4, sealed_subject = ?5, purpose = ?6, level = ?7, binding = ?8,
             state = ?9, provider = ?10, session = ?11, capture_url = ?12, created = ?13, expires = ?14, decided = ?15,
             acr = ?16
         WHERE id = ?1 AND state = ?2",
    )?;
    let (binding, decided) = columns(verification);
    let changed = statement.execute(params![
        verification.id.as_str(),
        expected.word(),
        verification.client.as_str(),
        verification.subject,
        verification.sealed_subject,
        verification.purpose,
        verification.level,
        binding,
        verification.state.word(),
        verification.provider.as_str(),
        verification.session,
        verification.capture_url,
        verification.created.millis(),
        verification.expires.millis(),
        decided,
        verification.acr,
    ])?;
    if let Some(event) = event.filter(|_| changed == 1) {
        outbox::append(connection, event)?;
    }
    Ok(changed == 1)
}

/// Finds the verification that `condition`, a constant of this crate, holds for.
pub(super) fn find(
    connection: &Connection,
    condition: &'static str,
    values: &[&str],
) -> Result<Option<Verification>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, client, subject, sealed_subject, purpose, level, binding, state, provider, session, capture_url,
             created, expires, decided, acr
         FROM verifications WHERE {condition}"
    ))?;
    let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
    let found = statement.query_row(values.as_slice(), |row| Ok(verification(row)));
    found.optional()?.transpose()
}

fn columns(verification: &Verification) -> (Option<&str>, Option<i64>) {
    let binding = match &verification.binding {
        Binding::None => None,
        Binding::Payment { hash } => Some(hash.as_str()),
    };
    (binding, verification.decided.map(Timestamp::millis))
}

fn verification(row: &Row<'_>) -> Result<Verification, Fault> {
    let text = |name: &str| row.get::<_, String>(name);
    let unreadable = |error: IdError| Fault::new(format!("a stored id cannot be read: {error}"));
    let time = |name: &str| row.get(name).map(Timestamp::from_millis);
    Ok(Verification {
        id: VerificationId::parse(&text("id")?).map_err(unreadable)?,
        client: ClientId::parse(&text("client")?).map_err(unreadable)?,
        subject: text("subject")?,
        sealed_subject: row.get("sealed_subject")?,
        purpose: text("purpose")?,
        level: text("level")?,
        binding: row.get::<_, Option<String>>("binding")?.map_or(Binding::None, |hash| Binding::Payment { hash }),
        state: State::from_word(&text("state")?).ok_or_else(|| Fault::new("a stored state cannot be read"))?,
        provider: ProviderId::parse(&text("provider")?).map_err(unreadable)?,
        session: text("session")?,
        capture_url: text("capture_url")?,
        created: time("created")?,
        expires: time("expires")?,
        decided: row.get::<_, Option<i64>>("decided")?.map(Timestamp::from_millis),
        acr: row.get("acr")?,
    })
}
