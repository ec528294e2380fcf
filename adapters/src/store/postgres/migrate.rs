//! The schema, as steps that were released one after another; a step that was released never changes.
//!
//! Any number of gateways may start at once: a row is locked by whoever brings the schema up to date, and the others find
//! it done. Every statement can be done twice, for databases that keep such changes out of transactions.

use std::time::Duration;

use policies::jose::sha256;

use super::session::{Fault, Session, bytes, column, step_aside};

/// The steps, the first being version 1; each statement by itself.
const STEPS: [&[&str]; 3] = [&FIRST, &CHANGES, &AUTHORIZATIONS];

/// How often the start is tried again when others are at it.
const TRIES_MAX: u32 = 16;

/// How long one statement of a step may take: tables of years may get a new index.
const STATEMENT_WAIT: Duration = Duration::from_secs(600);

const FIRST: [&str; 18] = [
    "CREATE TABLE IF NOT EXISTS replays (key BYTEA PRIMARY KEY, until BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS replays_until ON replays (until)",
    "CREATE TABLE IF NOT EXISTS claims (
        client TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, digest BYTEA NOT NULL, reference TEXT NOT NULL,
        token BYTEA NOT NULL, lease_ends BIGINT NOT NULL, until BIGINT NOT NULL, keep BIGINT NOT NULL,
        organisation TEXT NOT NULL, settles BOOLEAN NOT NULL, since BIGINT NOT NULL, ask_at BIGINT,
        asked BIGINT NOT NULL, held BOOLEAN NOT NULL, doubt BOOLEAN NOT NULL, outcome TEXT NOT NULL,
        status BIGINT, headers TEXT, body BYTEA, PRIMARY KEY (client, operation, key))",
    "CREATE INDEX IF NOT EXISTS claims_until ON claims (until)",
    "CREATE INDEX IF NOT EXISTS claims_reference ON claims (client, operation, reference)",
    "CREATE INDEX IF NOT EXISTS claims_ask_at ON claims (ask_at)",
    "CREATE TABLE IF NOT EXISTS spends (
        name TEXT PRIMARY KEY, client TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, digest BYTEA NOT NULL,
        until BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS spends_until ON spends (until)",
    "CREATE TABLE IF NOT EXISTS verifications (
        id TEXT PRIMARY KEY, client TEXT NOT NULL, subject TEXT NOT NULL, sealed_subject BYTEA NOT NULL,
        purpose TEXT NOT NULL, level TEXT NOT NULL, binding TEXT, state TEXT NOT NULL, provider TEXT NOT NULL,
        session TEXT NOT NULL, capture_url TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL,
        decided BIGINT, acr TEXT, UNIQUE (provider, session))",
    "CREATE INDEX IF NOT EXISTS verifications_expires ON verifications (expires)",
    "CREATE TABLE IF NOT EXISTS positions (client TEXT PRIMARY KEY, last BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS events (
        client TEXT NOT NULL, position BIGINT NOT NULL, id TEXT NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL,
        at BIGINT NOT NULL, data TEXT NOT NULL, attempts BIGINT NOT NULL, state TEXT NOT NULL, due_at BIGINT NOT NULL,
        PRIMARY KEY (client, position))",
    "CREATE INDEX IF NOT EXISTS events_at ON events (at)",
    "CREATE INDEX IF NOT EXISTS events_due ON events (state, due_at)",
    "CREATE INDEX IF NOT EXISTS events_subject ON events (client, subject, position)",
    "CREATE TABLE IF NOT EXISTS subject_keys (
        subject BYTEA PRIMARY KEY, id BYTEA NOT NULL UNIQUE, wrapped BYTEA NOT NULL, made BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS generations (
        number BIGINT PRIMARY KEY, digest BYTEA NOT NULL, entered BIGINT NOT NULL, bundle BYTEA NOT NULL)",
    "CREATE INDEX IF NOT EXISTS generations_entered ON generations (entered)",
];

const CHANGES: [&str; 1] = ["CREATE TABLE IF NOT EXISTS changes (
        number BIGINT PRIMARY KEY, by_whom TEXT NOT NULL, at BIGINT NOT NULL, act TEXT NOT NULL, proposal BIGINT,
        applies BOOLEAN, digest BYTEA, note TEXT, base BIGINT, restores BIGINT, texts BYTEA NOT NULL)"];

const AUTHORIZATIONS: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS items (
        kind TEXT NOT NULL, key BYTEA NOT NULL, number BIGSERIAL, owner BYTEA, keep_until BIGINT NOT NULL,
        version BIGINT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (kind, key))",
    "CREATE INDEX IF NOT EXISTS items_owner ON items (kind, owner, number)",
    "CREATE INDEX IF NOT EXISTS items_keep_until ON items (keep_until)",
    "CREATE TABLE IF NOT EXISTS revocations (
        position BIGINT PRIMARY KEY, name BYTEA NOT NULL, until BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS revocations_name ON revocations (name)",
    "CREATE INDEX IF NOT EXISTS revocations_until ON revocations (until)",
];

/// Brings a schema to the newest version, and makes it if it is not there.
///
/// A schema of a later version, or with another history than ours, is refused: whatever it holds, this program would read
/// it wrongly.
pub(super) async fn migrate(session: &Session, schema: &str) -> Result<(), Fault> {
    migrate_by(session, schema, &STEPS).await
}

pub(super) async fn migrate_by(session: &Session, schema: &str, steps: &[&[&str]]) -> Result<(), Fault> {
    let mut tries = 0;
    loop {
        let brought = bring(session, schema, steps).await;
        if brought.is_err() {
            session.undo().await?;
        }
        match brought {
            // Two that make the same thing at once: one is told that it is there, whatever IF NOT EXISTS says.
            Err(Fault::Clash | Fault::Taken) if tries < TRIES_MAX => {
                tries += 1;
                step_aside(tries).await;
            }
            brought => return brought,
        }
    }
}

async fn bring(session: &Session, schema: &str, steps: &[&[&str]]) -> Result<(), Fault> {
    // Asked first, as also IF NOT EXISTS needs the right to make one.
    if session.row("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", &[&schema]).await?.is_none() {
        session.batch(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await?;
    }
    match version(session, steps).await {
        Ok(version) if version == steps.len() => return Ok(()),
        Ok(_) => {}
        Err(Fault::Missing) => {
            session
                .batch(
                    "CREATE TABLE IF NOT EXISTS migrations (
                         version BIGINT PRIMARY KEY, checksum BYTEA NOT NULL, applied TIMESTAMPTZ NOT NULL)",
                )
                .await?;
            session.batch("CREATE TABLE IF NOT EXISTS migration_lock (one BIGINT PRIMARY KEY)").await?;
            session.batch("INSERT INTO migration_lock (one) VALUES (1) ON CONFLICT (one) DO NOTHING").await?;
        }
        Err(fault) => return Err(fault),
    }
    session.begin();
    // Whoever is at it already is waited for as long as they may take.
    let wait = STATEMENT_WAIT.as_millis();
    session.batch(&format!("SET LOCAL statement_timeout = {wait}; SET LOCAL lock_timeout = {wait}")).await?;
    session.be_patient(STATEMENT_WAIT);
    session.row("SELECT one FROM migration_lock WHERE one = 1 FOR UPDATE", &[]).await?;
    let version = version(session, steps).await?;
    for (number, step) in (1_i64..).zip(steps).skip(version) {
        tracing::info!("the database is brought to version {number}");
        for statement in *step {
            session.batch(statement).await?;
        }
        let add = "INSERT INTO migrations (version, checksum, applied) VALUES ($1, $2, now())";
        session.change(add, &[&number, &checksum(step).as_slice()]).await?;
    }
    session.commit().await
}

/// Tells how many of the steps were made, and that they were these.
async fn version(session: &Session, steps: &[&[&str]]) -> Result<usize, Fault> {
    let made = session.rows("SELECT version, checksum FROM migrations ORDER BY version", &[]).await?;
    if made.len() > steps.len() {
        let (found, known) = (made.len(), steps.len());
        return Err(Fault::Failed(format!(
            "the database is of version {found}, this program knows {known}; use a later one"
        )));
    }
    for ((number, step), row) in (1_i64..).zip(steps).zip(&made) {
        if column::<i64>(row, "version")? != number || bytes::<32>(row, "checksum")? != checksum(step) {
            let told = format!("version {number} of the database was made by another program than this one");
            return Err(Fault::Failed(told));
        }
    }
    Ok(made.len())
}

fn checksum(step: &[&str]) -> [u8; 32] {
    sha256(step.join(";\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_released_steps_have_not_changed() {
        let hex = |step: &[&str]| checksum(step).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let released = [
            "ca438481df8c95fe6a759dfc3bdfaea55180e9d6f72c01949b5a812ada482d1b",
            "2d49f856c87d39645d7e6a96cac3a4ad02ed236205d9ea023aca2623dd38cb78",
            "2f74e3ab14795e871fe65caee218aa3968f80fba5865e4cd1830cf8b951d762b",
        ];
        assert_eq!(STEPS.map(hex).as_slice(), released);
    }
}
