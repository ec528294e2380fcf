//! Rows of verifications.

use policies::event::NewEvent;
use policies::id::{ClientId, ProviderId, VerificationId};
use policies::time::Timestamp;
use policies::verification::{Binding, State, Verification};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::outbox;
use super::session::{Fault, Session, column, time};

const ADD: &str =
    "INSERT INTO verifications (id, client, subject, sealed_subject, purpose, level, binding, state, provider,
        session, capture_url, created, expires, decided, acr)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

const CHANGE: &str =
    "UPDATE verifications SET client = $2, subject = $3, sealed_subject = $4, purpose = $5, level = $6,
        binding = $7, state = $8, provider = $9, session = $10, capture_url = $11, created = $12, expires = $13,
        decided = $14, acr = $15
    WHERE id = $1 AND state = $16";

const FIND: &str = "SELECT id, client, subject, sealed_subject, purpose, level, binding, state, provider, session,
        capture_url, created, expires, decided, acr
    FROM verifications WHERE id = $1";

const FIND_BY_SESSION: &str = "SELECT id, client, subject, sealed_subject, purpose, level, binding, state, provider,
        session, capture_url, created, expires, decided, acr
    FROM verifications WHERE provider = $1 AND session = $2";

/// Adds a verification; its id and its provider's session must be new.
pub(super) async fn insert(session: &Session, verification: &Verification) -> Result<(), Fault> {
    write(session, ADD, verification, None).await.map(|_| ())
}

/// Finds one by its id.
pub(super) async fn get(session: &Session, id: &VerificationId) -> Result<Option<Verification>, Fault> {
    session.row(FIND, &[&id.as_str()]).await?.map(|row| read(&row)).transpose()
}

/// Finds the one that a provider's session belongs to.
pub(super) async fn by_session(
    session: &Session,
    provider: &ProviderId,
    named: &str,
) -> Result<Option<Verification>, Fault> {
    session.row(FIND_BY_SESSION, &[&provider.as_str(), &named]).await?.map(|row| read(&row)).transpose()
}

/// Puts a verification in place of the one with its id, if that one is in the state `expected`.
pub(super) async fn replace(
    session: &Session,
    verification: &Verification,
    expected: State,
    event: Option<&NewEvent>,
) -> Result<bool, Fault> {
    if event.is_some() {
        session.begin();
    }
    // Who wants to change the same row waits here, and then finds another state.
    let changed = write(session, CHANGE, verification, Some(expected.word())).await? == 1;
    if let Some(event) = event.filter(|_| changed) {
        outbox::append(session, event).await?;
    }
    Ok(changed)
}

async fn write(
    session: &Session,
    statement: &str,
    verification: &Verification,
    expected: Option<&'static str>,
) -> Result<u64, Fault> {
    let binding = match &verification.binding {
        Binding::None => None,
        Binding::Payment { hash } => Some(hash.as_str()),
    };
    let (id, client, provider) =
        (verification.id.as_str(), verification.client.as_str(), verification.provider.as_str());
    let (state, created, expires) =
        (verification.state.word(), verification.created.millis(), verification.expires.millis());
    let decided = verification.decided.map(Timestamp::millis);
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![
        &id,
        &client,
        &verification.subject,
        &verification.sealed_subject,
        &verification.purpose,
        &verification.level,
        &binding,
        &state,
        &provider,
        &verification.session,
        &verification.capture_url,
        &created,
        &expires,
        &decided,
        &verification.acr,
    ];
    if let Some(expected) = &expected {
        values.push(expected);
    }
    session.change(statement, &values).await
}

fn read(row: &Row) -> Result<Verification, Fault> {
    let binding: Option<String> = column(row, "binding")?;
    Ok(Verification {
        id: VerificationId::parse(column(row, "id")?).map_err(Fault::new)?,
        client: ClientId::parse(column(row, "client")?).map_err(Fault::new)?,
        subject: column(row, "subject")?,
        sealed_subject: column(row, "sealed_subject")?,
        purpose: column(row, "purpose")?,
        level: column(row, "level")?,
        binding: binding.map_or(Binding::None, |hash| Binding::Payment { hash }),
        state: State::from_word(column(row, "state")?).ok_or_else(|| Fault::new("a stored state cannot be read"))?,
        provider: ProviderId::parse(column(row, "provider")?).map_err(Fault::new)?,
        session: column(row, "session")?,
        capture_url: column(row, "capture_url")?,
        created: time(row, "created")?,
        expires: time(row, "expires")?,
        decided: column::<Option<i64>>(row, "decided")?.map(Timestamp::from_millis),
        acr: column(row, "acr")?,
    })
}
